"""Several server processes behind one socket: the system gives each connection to one of them.

```
parent: socket, signals, counts ── a pipe each ── workers: models, event loop, answers
```
Nothing is answered before all of them are loaded, and one that cannot load ends the start. A
worker that dies later takes the requests that it was answering with it; another one takes its
place, and meanwhile the others take the connections. Metrics and the quotas of keys are counted
for all of them together; queues and the limits of what may wait are each worker's own. If the
parent is gone, they finish what they accepted and end.
"""

import logging
import logging.config
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from types import FrameType
from typing import TypeAlias

from service.errors import ServerError, ServiceError, ValidationError
from service.server import Server, configuration, run_server
from service.session import gpu_count, has_cuda
from service.settings import Settings
from service.web.keys import KeyRing
from service.web.logs import uvicorn_log_config
from service.web.shared import forget, share
from service.workers import spare_collector

_POLL_SECONDS = 0.1
# Between two starts of a worker that does not last.
_SHORT_LIFE = 60.0
_LONGEST_PAUSE = 30.0
# Beyond what the settings allow for the end.
_PATIENCE = 15.0

_log = logging.getLogger("uvicorn.fleet")


class _Order(Enum):
    """What the parent tells a worker."""

    SERVE = auto()
    DRAIN = auto()
    CLOSE = auto()


Loaded: TypeAlias = tuple[tuple[str, str], ...]
"""Digests of what a worker has loaded, by name: all of them must have the same."""


@dataclass(eq=False)
class _Worker:
    """A process.

    Attributes:
      process: it.
      line: on which it says what it has loaded, or its error, and hears its orders.
      began: on the monotonic clock.
      is_loaded: it said so.
    """

    process: SpawnProcess
    line: Connection
    began: float
    is_loaded: bool = False

    def tell(self, order: _Order) -> None:
        with suppress(OSError):  # it is gone, which shows elsewhere
            self.line.send(order)


@dataclass(eq=False)
class _Place:
    """Where a worker is, or should be.

    Attributes:
      worker: None while there is none.
      n_lost: workers lost one soon after the other.
      starts_at: when the next one may start, on the monotonic clock.
    """

    worker: _Worker | None = None
    n_lost: int = 0
    starts_at: float = 0.0


def run(settings: Settings, door: socket.socket) -> None:
    """Answer requests on a listening socket, in `settings.workers` processes, until a signal.

    Args:
      settings: how to serve.
      door: the socket, which is closed here.

    Raises:
      ValidationError: there are fewer GPUs than workers.
      ServiceError: a worker cannot load, or does not end.
    """
    size = settings.workers or 1
    wants_gpus = settings.device == "cuda" or (settings.device == "auto" and has_cuda())
    if wants_gpus and size > gpu_count():
        raise ValidationError(
            f"--workers {size}, but {gpu_count()} GPU: each needs one of its own; give fewer, or"
            " --device cpu",
            detail={"setting": "workers"},
        )
    logging.config.dictConfig(uvicorn_log_config())
    with TemporaryDirectory(prefix="varsigma-") as folder:
        if settings.keys is not None:
            # One that starts later must know the same keys.
            KeyRing.open(settings.keys)
            kept = shutil.copy(settings.keys, Path(folder, "keys"))
            settings = settings.model_copy(update={"keys": Path(kept)})
        _Fleet(settings, door, Path(folder), size).run()


class _Fleet:
    """The parent's side."""

    def __init__(self, settings: Settings, door: socket.socket, folder: Path, size: int) -> None:
        self._settings = settings
        self._door = door
        self._folder = folder
        self._places = [_Place() for _ in range(size)]
        self._loaded: Loaded | None = None
        self._is_open = False
        self._orders: list[_Order] = []
        self._ends_at: float | None = None

    def run(self) -> None:
        """Start all, and look after them until the last has ended."""
        try:
            with self._signals():
                while self._ends_at is None or self._workers:
                    self._obey()
                    self._start_missing()
                    self._listen()
                    self._bury()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()

    @property
    def _workers(self) -> list[_Worker]:
        return [place.worker for place in self._places if place.worker is not None]

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn signals into orders."""

        def note(sig: int, _: FrameType | None) -> None:
            is_gentle = sig == signal.SIGTERM and self._ends_at is None and not self._orders
            self._orders.append(_Order.DRAIN if is_gentle else _Order.CLOSE)

        before = {sig: signal.signal(sig, note) for sig in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def _obey(self) -> None:
        """Pass orders on; what has not begun to serve has nothing to finish."""
        while self._orders:
            order = self._orders.pop(0)
            delay = self._settings.drain_delay if order is _Order.DRAIN else 0
            self._ends_at = time.monotonic() + delay + self._settings.drain_timeout + _PATIENCE
            # The workers have it too: the port is closed when the last of them closes it.
            self._door.close()
            for worker in self._workers:
                if self._is_open and worker.is_loaded:
                    worker.tell(order)
                else:
                    worker.process.kill()
        if self._ends_at is not None and time.monotonic() > self._ends_at:
            raise ServerError("a worker did not end in its time, and was killed")

    def _start_missing(self) -> None:
        if self._ends_at is None:
            for number, place in enumerate(self._places):
                if place.worker is None and time.monotonic() >= place.starts_at:
                    place.worker = self._start(number)

    def _start(self, number: int) -> _Worker:
        context = get_context("spawn")  # ONNX Runtime and CUDA do not survive a fork
        line, its_end = context.Pipe()
        process = context.Process(
            target=_work, args=(its_end, self._door, self._settings, self._folder, number)
        )
        # Ctrl-C reaches every process of a terminal, and the parent is the one that answers it:
        # what is blocked here is blocked there from the beginning.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        its_end.close()
        return _Worker(process, line, time.monotonic())

    def _listen(self) -> None:
        """Hear which workers are loaded, or what keeps them from it."""
        lines = {worker.line: worker for worker in self._workers if not worker.line.closed}
        ends = [worker.process.sentinel for worker in self._workers]
        for line in wait([*lines, *ends], _POLL_SECONDS):
            if isinstance(line, Connection):
                worker = lines[line]
                try:
                    self._hear(worker, line.recv())
                except EOFError:
                    line.close()
        if not self._is_open and all(p.worker and p.worker.is_loaded for p in self._places):
            self._is_open = True
            for worker in self._workers:
                worker.tell(_Order.SERVE)
            _log.info("%d workers answer", len(self._places))

    def _hear(self, worker: _Worker, said: Loaded | Exception) -> None:
        """Take what a worker says.

        Raises:
          Exception: it cannot load, and nothing is served yet.
        """
        if not isinstance(said, Exception) and said != (self._loaded or said):
            said = ServerError(
                "a model or the reference changed on the disk since the other workers loaded it;"
                " restart the service"
            )
        if isinstance(said, Exception):
            if not self._is_open:
                raise said
            # Paths stay out of the log.
            why = f"{type(said).__name__}: {said}" if self._settings.debug else type(said).__name__
            _log.error("worker %d cannot load: %s", worker.process.pid, why)
            worker.process.kill()
            return
        self._loaded = said
        worker.is_loaded = True
        if self._is_open:
            worker.tell(_Order.SERVE)

    def _bury(self) -> None:
        """Take leave of workers that have ended."""
        for number, place in enumerate(self._places):
            worker = place.worker
            if worker is None or worker.process.is_alive():
                continue
            worker.process.join()
            worker.line.close()
            place.worker = None
            forget(self._folder, number)
            if self._ends_at is not None:
                continue
            how = f"worker {worker.process.pid} ended with exit code {worker.process.exitcode}"
            if not self._is_open:
                raise ServerError(f"{how} while it loaded (-9: killed, where memory is short)")
            lived = time.monotonic() - worker.began
            place.n_lost = place.n_lost + 1 if lived < _SHORT_LIFE else 1
            pause = min(2.0 ** (place.n_lost - 1), _LONGEST_PAUSE) if place.n_lost > 1 else 0.0
            place.starts_at = time.monotonic() + pause
            _log.error("%s; the next one starts in %.0f s", how, pause)


# --- a worker ------------------------------------------------------------------------------------


class _WorkerServer(Server):
    """Drains by itself too, on SIGTERM, which some managers send to every process of a service."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; what is more urgent is the parent's to say."""
        self.drain()


def _work(
    line: Connection, door: socket.socket, settings: Settings, folder: Path, number: int
) -> None:
    """Load, say so, and serve when told to; the number is also that of the GPU to use, if any."""
    spare_collector()
    share(folder, number)
    # Only now: prometheus_client decides when it is imported where it counts.
    from service.app import create_app  # noqa: PLC0415

    try:
        app = create_app(settings, gpu=number, shared=folder)
    except (ServiceError, OSError) as error:
        _answer(line, error)  # the parent tells it, once for all workers
        return
    engine = app.state.engine
    loaded = [(name, model.card["model_sha256"]) for name, model in engine.models.items()]
    if engine.reference is not None:
        loaded.append(("", engine.reference.sha256))
    _answer(line, tuple(loaded))
    try:
        order = line.recv()
    except EOFError:  # the parent is gone
        order = _Order.CLOSE
    if order is not _Order.SERVE:
        engine.close()
        return
    server = _WorkerServer(configuration(app, settings), engine, settings.drain_delay)
    Thread(target=_follow, args=(line, server), daemon=True).start()
    run_server(app, server, door)


def _answer(line: Connection, said: Loaded | Exception) -> None:
    with suppress(BrokenPipeError):
        line.send(said)


def _follow(line: Connection, server: Server) -> None:
    """Do what the parent says; without a parent, end."""
    order = None
    while order is not _Order.CLOSE:
        try:
            order = line.recv()
        except (EOFError, OSError):
            order = _Order.CLOSE
        if order is _Order.DRAIN:
            server.drain()
        else:
            server.close()
