"""Many requests -> full runs of one model: a bounded queue in front of the threads that own it.

A batch is counted in sequences, whatever requests they come from. Nothing waits for company: an
idle session runs at once, and what comes in while it runs makes up the next batch.

On CUDA one thread owns the session. On a CPU one thread for each core runs it, with one thread
inside an operator: threads that share an operator wait for each other, so what the event loop
takes from one of them would be lost to all.
"""

import asyncio
import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

import numpy as np

from service.effects import Floats
from service.errors import DeadlineError, OverloadedError
from service.pace import Pace
from service.registry import Model
from service.scoring import Predictions
from service.sequence import UNKNOWN, Codes

_log = logging.getLogger(__name__)

# Of a batch, the part that the batch lane gets however much comes in through the other one.
_BATCH_LANE_SHARE = 1 / 8
# Weight of the newest run in the rate of the session.
_NEWEST = 0.2
_PROBE_SECONDS = 5.0
# A wait is known only so well, and refusing others takes time from the model: what is accepted
# keeps its deadline if the wait is this much longer than the session alone would need. It is busy
# all the same. (Where other processes share the cores, requests come through at a fraction of its
# rate when a flood begins: `python -m tests.overload_http` beside some other load.)
_CAUTION = 5.0
# The same for what is measured of how they come through.
_LESS_CAUTION = 2.5
# A long wait is known better, because what disturbs it comes and goes: this share and these seconds
# are enough.
_LONG_CAUTION = 1.5
_LONG_SECONDS = 5.0
# Of the delay of the event loop, how much a shorter one changes it; a longer one counts at once.
_LAG_EASES = 0.2


class Lane(IntEnum):
    """Who is served first."""

    INTERACTIVE = 0
    BATCH = 1


Observer: TypeAlias = Callable[[str, int, float, Mapping[Lane, int]], None]
"""Told after each run: model, sequences that ran, seconds, sequences of each lane."""


@dataclass(eq=False, slots=True)
class _Job:
    """One call of `predict`.

    Attributes:
      sequences: (S, W) codes.
      lane: where it waits.
      deadline: on the monotonic clock, in seconds; infinity for none.
      future: of the caller, in the caller's loop.
      n_taken: sequences that were put into a batch.
      n_done: sequences that ran.
      mu: (S, M, T), filled piece by piece; the same holds for sigma.
      is_dropped: the caller is gone, or has its error.
    """

    sequences: Codes
    lane: Lane
    deadline: float
    future: asyncio.Future[None]
    n_taken: int = 0
    n_done: int = 0
    mu: Floats | None = None
    sigma: Floats | None = None
    is_dropped: bool = False

    @property
    def n_left(self) -> int:
        return len(self.sequences) - self.n_taken


@dataclass(slots=True)
class _Queue:
    """Jobs of one lane in order of arrival."""

    jobs: deque[_Job] = field(default_factory=deque)
    n_waiting: int = 0

    def add(self, job: _Job) -> None:
        self.jobs.append(job)
        self.n_waiting += job.n_left

    def drop(self, job: _Job) -> None:
        """Forget what is left of a job; its place in the order is cleared when it comes up."""
        if not job.is_dropped:
            job.is_dropped = True
            self.n_waiting -= job.n_left
        if not self.n_waiting:
            self.jobs.clear()


@dataclass(frozen=True, slots=True)
class _Piece:
    """The sequences [start, end) of a job that are in a batch."""

    job: _Job
    start: int
    end: int


class Batcher:
    """Owns a model: its threads are the only ones that run it.

    Attributes:
      model: the model.
      batch_size: sequences in one run, at most.
      deep_batch_size: the same while so many requests wait that every worker gets more.
      max_waiting: sequences that the interactive lane admits before it refuses.
      is_failing: the last run raised an error.
    """

    def __init__(
        self,
        model: Model,
        *,
        batch_size: int,
        deep_batch_size: int | None = None,
        max_waiting: int,
        workers: int = 1,
        buckets: tuple[int, ...] | None = None,
        observers: list[Observer] | None = None,
    ) -> None:
        """Warm the session up and start the threads.

        Args:
          model: the model.
          batch_size: sequences in one run, at most.
          deep_batch_size: the same while so many requests wait that every worker gets more;
            `batch_size` by default.
          max_waiting: sequences that the interactive lane admits before it refuses.
          workers: threads that run it at once, each a batch of its own.
          buckets: sizes to which a batch is padded with N, for devices that prepare for every new
            shape; None runs each as it is.
          observers: told after each run, in the thread that ran it.
        """
        self.model = model
        self.batch_size = batch_size
        self.deep_batch_size = max(batch_size, deep_batch_size or 0)
        self.max_waiting = max_waiting
        self._buckets = tuple(sorted({size for size in buckets or () if size < batch_size}))
        self._buckets += (batch_size,) if buckets else ()
        self._observers = observers if observers is not None else []
        self._queues = {lane: _Queue() for lane in Lane}
        self._admitted: Counter[int] = Counter()  # requests by their number of sequences
        self._n_admitted = 0
        self._is_closed = False
        self.is_failing = False
        self._changed = threading.Condition()
        self._n_workers = workers
        self._n_idle = 0
        self._n_running = 0  # of the interactive lane
        self._pace = Pace(workers * self.deep_batch_size)
        self._lag = 0.0
        self._rate = self._warm_up()
        # A service that is not closed, such as one that a test forgets, may still end.
        self._threads = [
            threading.Thread(target=self._work, name=f"session-{model.info.name}", daemon=True)
            for _ in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def rate(self) -> float:
        """Sequences that the session runs in a second, as measured lately."""
        return self._rate

    def depth(self, lane: Lane) -> int:
        """Return the sequences that wait in a lane."""
        return self._queues[lane].n_waiting

    def refusal(self, n_sequences: int, deadline: float | None) -> OverloadedError | None:
        """Return why the interactive lane cannot take so many sequences now; None if it can."""
        before = self._n_admitted
        if before and before + n_sequences > self.max_waiting:
            return self._overloaded(f"{before} sequences are waiting")
        if before and deadline is not None:
            now = time.monotonic()
            ahead = self._n_ahead(n_sequences)
            wait = ahead / self._through(now)
            longest = max(_feared(ahead / self._rate, _CAUTION), _feared(wait, _LESS_CAUTION))
            # The request waited for the event loop before it was read, and its answer will.
            needed = n_sequences / self._rate + longest + 2 * self._lag
            if needed > deadline - now:
                return self._overloaded(f"the wait would be about {wait:.1f} s")
        return None

    def _through(self, now: float) -> float:
        """Sequences that come through in a second."""
        in_progress = max(self._n_running, self._n_workers * self.batch_size)
        return self._pace.rate(now, self._rate, in_progress)

    def _n_ahead(self, n_sequences: int) -> int:
        """Count what runs before so many new sequences are through: each request in its turn."""
        turn = max(n_sequences, self.batch_size)
        return sum(n * min(size, turn) for size, n in self._admitted.items())

    @contextmanager
    def admitted(self, n_sequences: int, deadline: float | None) -> Iterator[None]:
        """Hold a place in the interactive lane for a request, from before its windows are cut.

        Args:
          n_sequences: that it will need. One request may be longer than the whole queue, if
            nothing else is there.
          deadline: on the monotonic clock, None for none.

        Raises:
          OverloadedError: with it, more sequences would wait than are allowed, or it would miss
            its deadline because of those before it.
          DeadlineError: it would miss its deadline by itself.
        """
        if deadline is not None:
            own, seconds = n_sequences / self._rate, deadline - time.monotonic()
            if own > seconds:
                raise DeadlineError(
                    f"{n_sequences} sequences take about {own:.1f} s, and {max(seconds, 0):.1f} s"
                    " are left; split the request, or allow more with X-Timeout-Seconds"
                )
        if error := self.refusal(n_sequences, deadline):
            raise error
        # Only the event loop changes it, so there is nothing to lock.
        if not self._n_admitted:
            self._pace.begin(time.monotonic())
        self._n_admitted += n_sequences
        self._admitted[n_sequences] += 1
        try:
            yield
        finally:
            self._n_admitted -= n_sequences
            self._admitted[n_sequences] -= 1
            if not self._admitted[n_sequences]:
                del self._admitted[n_sequences]
            if not self._n_admitted:
                self._pace.end()

    async def predict(
        self, sequences: Codes, *, lane: Lane = Lane.INTERACTIVE, deadline: float | None = None
    ) -> Predictions:
        """Run the model on sequences, in whatever company.

        The interactive lane expects its caller to hold a place (`admitted`); the batch lane takes
        everything, so its callers must be few.

        Args:
          sequences: (S, W) codes, which must not change meanwhile.
          lane: who is served first.
          deadline: on the monotonic clock; what has not run by then is dropped. None for none.

        Raises:
          DeadlineError: the deadline passed.
          OverloadedError: the service is closing.
        """
        info = self.model.info
        if not len(sequences):
            none = np.empty((0, info.members, len(info.targets)), np.float32)
            return Predictions(none, none)
        loop = asyncio.get_running_loop()
        due = math.inf if deadline is None else deadline
        job = _Job(sequences, lane, due, loop.create_future())
        with self._changed:
            if self._is_closed:
                raise OverloadedError("the service is shutting down", retry_after=1)
            self._queues[lane].add(job)
            self._changed.notify(min(self._n_workers, len(sequences)))
        timer = None
        if deadline is not None:
            timer = loop.call_later(deadline - time.monotonic(), self._expire, job)
        try:
            await job.future
        finally:
            if timer is not None:
                timer.cancel()
            if job.n_left:
                with self._changed:
                    self._queues[lane].drop(job)
        assert job.mu is not None
        assert job.sigma is not None
        return Predictions(job.mu, job.sigma)

    def close(self) -> None:
        """Finish what is waiting and end the threads."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _overloaded(self, why: str) -> OverloadedError:
        seconds = max(1, math.ceil(self._n_admitted / self._through(time.monotonic())))
        return OverloadedError(
            f"{why}; try again in {seconds} s",
            detail={"limit": self.max_waiting, "waiting": self._n_admitted},
            retry_after=seconds,
        )

    # --- the threads of the session -------------------------------------------------------------

    def _warm_up(self) -> float:
        """Run every size of batch once; return the rate at the last, the largest."""
        rate = 1.0
        for size in self._buckets or sorted({self.batch_size, self.deep_batch_size}):
            bases = np.full((size, self.model.info.window), UNKNOWN, np.uint8)
            start = time.perf_counter()
            self.model.run(bases)
            rate = size / (time.perf_counter() - start)
        return rate * self._n_workers

    def _work(self) -> None:
        busy_since: float | None = None
        while True:
            with self._changed:
                pieces: list[_Piece] | None = self._take(self._n_idle + 1)
            if not pieces:
                busy_since = None
                pieces = self._next()
            if pieces is None:
                return
            busy_since = self._run(pieces, busy_since)

    def _next(self) -> list[_Piece] | None:
        """Wait for sequences and take a batch of them; None when closed and empty."""
        while True:
            with self._changed:
                self._n_idle += 1
                try:
                    while not (pieces := self._take(self._n_idle)):
                        if self._is_closed:
                            return None
                        if not self._changed.wait(_PROBE_SECONDS if self.is_failing else None):
                            break
                    else:
                        return pieces
                finally:
                    self._n_idle -= 1
            # Not under the lock, which the event loop takes: the device may hang.
            self._probe()

    def _probe(self) -> None:
        """See whether a model that failed runs again: nobody asks a service that is not ready."""
        try:
            self.model.run(np.full((1, self.model.info.window), UNKNOWN, np.uint8))
        except Exception:  # noqa: BLE001  (then it still does not)
            return
        self.is_failing = False

    def _take(self, n_free: int) -> list[_Piece]:
        """Take from the interactive lane first; from each job in turn what there is room for.

        Args:
          n_free: threads that have nothing to do, this one included.
        """
        pieces: list[_Piece] = []
        # They share what there is, so that a lone request is over sooner.
        n_waiting = sum(queue.n_waiting for queue in self._queues.values())
        # Many requests in one run cost the threads around it less each, and those behind a deep
        # queue wait no longer for it. A long one alone makes no deep queue, and every worker must
        # get as much.
        queue = self._queues[Lane.INTERACTIVE]
        n_deep = min(queue.n_waiting, len(queue.jobs) * self.batch_size) / self._n_workers
        size = min(self.deep_batch_size, max(self.batch_size, math.ceil(n_deep)))
        room = min(size, math.ceil(n_waiting / n_free))
        kept = math.ceil(room * _BATCH_LANE_SHARE)
        kept = min(kept, self._queues[Lane.BATCH].n_waiting, max(room - 1, 0))
        for lane, queue in self._queues.items():
            spare = kept if lane is Lane.INTERACTIVE else 0
            for _ in range(len(queue.jobs)):
                if room <= spare or not queue.jobs:
                    break
                job = queue.jobs.popleft()
                if not job.is_dropped and job.deadline <= time.monotonic():
                    queue.drop(job)
                    self._deliver([job], _late())
                if job.is_dropped:
                    continue
                # In a deep batch too, no job has more of a turn than `refusal` counts on.
                n = min(job.n_left, room - spare, self.batch_size)
                if n < len(job.sequences) and job.mu is None:
                    info = self.model.info
                    shape = (len(job.sequences), info.members, len(info.targets))
                    job.mu, job.sigma = np.empty(shape, np.float32), np.empty(shape, np.float32)
                pieces.append(_Piece(job, job.n_taken, job.n_taken + n))
                job.n_taken += n
                queue.n_waiting -= n
                self._n_running += n if lane is Lane.INTERACTIVE else 0
                room -= n
                if job.n_left:
                    # To the end of the line, so that the small ones behind it are not stuck.
                    queue.jobs.append(job)
        return pieces

    def _run(self, pieces: list[_Piece], busy_since: float | None) -> float | None:
        """Run a batch, and return when it ended, None if it failed.

        Args:
          pieces: what is in it.
          busy_since: when the batch before it ended, None where the thread was idle.
        """
        parts = [piece.job.sequences[piece.start : piece.end] for piece in pieces]
        n_interactive = sum(p.end - p.start for p in pieces if p.job.lane is Lane.INTERACTIVE)
        start = time.perf_counter()
        try:
            bases = parts[0] if len(parts) == 1 else np.concatenate(parts)
            mu, sigma = self.model.run(self._padded(bases))
        except Exception as error:  # noqa: BLE001  (whoever waits has to be told)
            self.is_failing = True
            with self._changed:
                self._n_running -= n_interactive
            self._deliver([piece.job for piece in pieces], error)
            return None
        end = time.perf_counter()
        n = len(bases)
        self.is_failing = False
        # What lies between two runs counts too, where the second had to wait for the first.
        rate = self._n_workers * n / (end - (busy_since or start))
        first, done = 0, []
        by_lane = dict.fromkeys(Lane, 0)
        with self._changed:
            self._rate += _NEWEST * min(1, n / self.batch_size) * (rate - self._rate)
            self._n_running -= n_interactive
            self._pace.add(n_interactive)
            for piece in pieces:
                job, size = piece.job, piece.end - piece.start
                by_lane[job.lane] += size
                last = first + size
                if job.mu is None or job.sigma is None:  # all of it is in this batch
                    job.mu, job.sigma = mu[first:last], sigma[first:last]
                else:
                    job.mu[piece.start : piece.end] = mu[first:last]
                    job.sigma[piece.start : piece.end] = sigma[first:last]
                job.n_done += size
                if job.n_done == len(job.sequences):
                    done.append(job)
                first = last
        self._deliver(done)
        for observer in self._observers:
            try:
                observer(self.model.info.name, n, end - start, by_lane)
            except Exception:  # noqa: BLE001  (the model is well)
                _log.exception("an observer failed")
        return end

    def _padded(self, bases: Codes) -> Codes:
        """Add rows of N up to the next bucket; what comes of them is read by nobody."""
        size = next((size for size in self._buckets if size >= len(bases)), len(bases))
        if size == len(bases):
            return bases
        padded = np.full((size, bases.shape[1]), UNKNOWN, np.uint8)
        padded[: len(bases)] = bases
        return padded

    def _deliver(self, jobs: list[_Job], error: Exception | None = None) -> None:
        """Wake those who wait, each in its own loop: one wake-up for all of a loop."""
        loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        for job in jobs:
            loops.setdefault(job.future.get_loop(), []).append(job)
        now = time.monotonic()
        for loop, some in loops.items():
            with suppress(RuntimeError):  # closed: nobody waits there any more
                loop.call_soon_threadsafe(self._wake, some, error, now)

    def _wake(self, jobs: list[_Job], error: Exception | None, since: float) -> None:
        """Tell those who wait in this loop, and see how long the loop took to come to it."""
        lag = time.monotonic() - since
        self._lag = max(lag, self._lag + _LAG_EASES * (lag - self._lag))
        _settle(jobs, error)

    def _expire(self, job: _Job) -> None:
        _settle([job], _late())


def _feared(wait: float, caution: float) -> float:
    """Return the seconds that a wait should be expected to take at most."""
    return min(caution * wait, _LONG_CAUTION * wait + _LONG_SECONDS)


def _late() -> DeadlineError:
    return DeadlineError("the deadline passed before the model ran; see X-Timeout-Seconds")


def _settle(jobs: list[_Job], error: Exception | None) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if error is None:
            job.future.set_result(None)
        else:
            job.future.set_exception(error)
