"""The queue of jobs -> processes that score them; one thread, in one process of all that serve."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from service.errors import IncompleteError, ServiceError
from service.folder import SHARDS
from service.jobs.folder import JobFolder
from service.jobs.locks import PRIVATE, held
from service.jobs.store import Store
from service.jobs.ticket import Problem, Standing, State, now
from service.jobs.work import BUSY, UNSAID, Means

# Called with the id of a job, the state that it got into, and the type of what it failed of.
OnChange: TypeAlias = Callable[[str, str, str | None], None]

MAX_DEATHS = 3
"""Times that the process of a job may be lost without a shard finished between."""

_POLL_SECONDS = 0.5
# After something went wrong, so that the log is not full of it.
_TROUBLE_SECONDS = 5.0
_TIDY_SECONDS = 60.0
# Before a job is tried again that could not be started, or whose outcome not even be written.
_HOLD_SECONDS = 60.0
_PATIENCE_SECONDS = 10.0


@dataclass
class _Worker:
    """A process at work."""

    process: subprocess.Popen[bytes]
    n_shards: int


@dataclass
class _Losses:
    """How often the process of a job was lost, and what it had done by then."""

    n: int
    n_shards: int


class Supervisor:
    """Has jobs scored, oldest first, as long as this process holds the supervisor's lock.

    Args:
      store: the jobs.
      means: what they are scored with.
      n_workers: processes at a time.
      keep_hours: how long a job stays that is over.

    Attributes:
      on_change: told of every job that begins or ends.
      on_trouble: told of what went wrong in the thread itself.
    """

    def __init__(
        self,
        store: Store,
        means: Means,
        *,
        n_workers: int,
        keep_hours: float,
    ) -> None:
        """Start nothing yet."""
        self._store, self._means = store, means
        self._n_workers, self._keep_hours = n_workers, keep_hours
        self.on_change: OnChange = lambda _, __, ___: None
        self.on_trouble: Callable[[Exception], None] = lambda _: None
        self._workers: dict[str, _Worker] = {}
        self._losses: dict[str, _Losses] = {}
        self._held_back: dict[str, float] = {}
        self._next_tidy = 0.0
        self._news = threading.Event()
        self._is_over = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look at once: a job was queued or cancelled."""
        self._news.set()

    def stop(self) -> None:
        """End the processes; their jobs go on when a supervisor is there again."""
        self._is_over = True
        self._news.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS)

    def _run(self) -> None:
        while not self._is_over:
            try:
                with held(self._store.root / Store.SUPERVISOR, makes=True) as is_mine:
                    if is_mine:
                        self._supervise()
            except Exception as error:  # noqa: BLE001  (a full disk passes; the thread must not)
                self.on_trouble(error)
            self._wait(_POLL_SECONDS)

    def _supervise(self) -> None:
        look: Callable[[], None] = self._requeue
        try:
            while not self._is_over:
                seconds = _POLL_SECONDS
                try:
                    look()
                    look = self._look
                except Exception as error:  # noqa: BLE001  (as above; what is at work goes on)
                    self.on_trouble(error)
                    seconds = _TROUBLE_SECONDS
                self._wait(seconds)
        finally:
            for worker in self._workers.values():
                _kill(worker)
            self._workers.clear()

    def _wait(self, seconds: float) -> None:
        self._news.wait(seconds)
        if not self._is_over:
            self._news.clear()

    def _requeue(self) -> None:
        """Put back into the queue what nobody scores any more, then look."""
        for id_, standing, _ in self._store.standings():
            if standing.state is State.RUNNING:
                job = JobFolder(self._store.root / id_)
                with job.held() as is_mine:
                    if is_mine:
                        job.write_standing(Standing(state=State.QUEUED, queued=standing.queued))
        self._look()

    def _look(self) -> None:
        """Do what there is to do, once."""
        for id_, worker in list(self._workers.items()):
            if (self._store.root / id_ / "cancel").exists():
                _kill(worker)
            if worker.process.poll() is not None:
                _kill(worker)
                del self._workers[id_]
                self._ended(JobFolder(self._store.root / id_), worker)
        standings = self._store.standings()
        for id_, standing, _ in standings:
            if standing.state is State.CANCELLED and id_ not in self._workers:
                self._store.remove(JobFolder(self._store.root / id_))
        at = time.monotonic()
        due = sorted(
            (standing.queued, id_)
            for id_, standing, _ in standings
            if standing.state in {State.QUEUED, State.RUNNING}
            and id_ not in self._workers
            and self._held_back.get(id_, 0) <= at
        )
        for _, id_ in due[: self._n_workers - len(self._workers)]:
            try:
                self._start(JobFolder(self._store.root / id_))
            except OSError as error:  # no process or no descriptor is left; others go on
                self._held_back[id_] = at + _HOLD_SECONDS
                self.on_trouble(error)
        if at >= self._next_tidy:
            self._next_tidy = at + _TIDY_SECONDS
            self._store.tidy(self._keep_hours)

    def _start(self, job: JobFolder) -> None:
        handle = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
        with os.fdopen(handle, "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "service.jobs.work", str(job.path)],
                # The modules of this process, not those of whatever folder it stands in.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the service, which then ends it
            )
        self._workers[job.id] = _Worker(process, _n_shards(job))
        assert process.stdin is not None
        try:
            process.stdin.write(self._means.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which is seen next
        self.on_change(job.id, State.RUNNING, None)

    def _ended(self, job: JobFolder, worker: _Worker) -> None:
        """See what became of a job whose process has ended."""
        try:
            standing = job.standing()
        except ServiceError:
            return  # it is gone
        if standing.state.is_over:
            self._losses.pop(job.id, None)
            self.on_change(job.id, standing.state, standing.error.type if standing.error else None)
            return
        code = worker.process.returncode
        if code == 0:
            return  # it failed, and was queued again since
        if code in {BUSY, UNSAID}:
            wait = _HOLD_SECONDS if code == UNSAID else _POLL_SECONDS
            self._held_back[job.id] = time.monotonic() + wait
            return
        n_shards = _n_shards(job)
        losses = self._losses.get(job.id)
        if losses is None or n_shards > losses.n_shards:
            losses = self._losses[job.id] = _Losses(0, n_shards)
        losses.n += 1
        self.on_change(job.id, "lost", IncompleteError.type)
        with job.held() as is_mine:
            if not is_mine:
                return
            if losses.n < MAX_DEATHS:
                job.write_standing(Standing(state=State.QUEUED, queued=standing.queued))
                return
            del self._losses[job.id]
            problem = Problem(
                type=IncompleteError.type,
                message=f"the process that scores it was lost {MAX_DEATHS} times without getting"
                " on; is there too little memory? What is scored is kept: submit the file again to"
                " go on",
            )
            job.write_standing(
                standing.model_copy(
                    update={"state": State.FAILED, "finished": now(), "error": problem}
                )
            )
        self.on_change(job.id, State.FAILED, problem.type)


def _kill(worker: _Worker) -> None:
    """End a process that may be killed at any moment, and the line to it."""
    worker.process.kill()
    worker.process.wait()
    if worker.process.stdin is not None:
        with suppress(BrokenPipeError):  # a first line that it did not read
            worker.process.stdin.close()


def _n_shards(job: JobFolder) -> int:
    """Finished shards of a job."""
    return sum(1 for _ in job.path.glob(f"*/{SHARDS}/*.json"))
