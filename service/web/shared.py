"""What the worker processes of one service count together, in a folder that only they use.

A worker that is killed loses nothing of it and blocks nobody: the counts are in files, and the
system releases its locks.
"""

import mmap
import os
import struct
import time
from asyncio import sleep
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from limits.aio.storage import Storage

from service.errors import OverloadedError

_METRICS = "metrics"
_QUOTAS = "quotas"
_WORKER = "worker-"
# What prometheus_client reads.
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Between tries to lock. A lock is held for microseconds, unless the system stopped its holder; who
# asks meanwhile is refused after a second, because a count without the lock could be wrong.
_PAUSES = tuple(0.001 * 2**n for n in range(10))
_RETRY_SECONDS = 1
# Items used, end of the minute in seconds since 1970.
_ENTRY = struct.Struct("<qd")


def share(folder: Path, place: int) -> None:
    """Let the metrics of this process be counted in a folder, before anything imports them.

    Args:
      folder: of the service.
      place: 0-based number of the worker; one that takes the place of another goes on with its
        counts, so that the folder does not grow with every death.
    """
    path = metrics_folder(folder)
    path.mkdir(mode=0o700, exist_ok=True)
    os.environ[_VARIABLE] = str(path)
    from prometheus_client import values  # noqa: PLC0415  (the variable comes first)

    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]
    (folder / f"{_WORKER}{place}").write_text(str(os.getpid()))


def forget(folder: Path, place: int) -> None:
    """Take a dead worker out of what is shown of the living."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  (see `share`)

    mark_process_dead(place, str(metrics_folder(folder)))  # type: ignore[no-untyped-call]
    (folder / f"{_WORKER}{place}").unlink(missing_ok=True)


def workers(folder: Path) -> list[str]:
    """Return the process ids of the living workers."""
    found = []
    for path in folder.glob(f"{_WORKER}*"):
        with suppress(FileNotFoundError):
            found.append(path.read_text())
    return found


def metrics_folder(folder: Path) -> Path:
    """Return where the metrics of all workers are."""
    return folder / _METRICS


class SharedStorage(Storage):
    """A storage of the library `limits` in a file that processes of one machine map.

    Single calls of it are not safe from other processes: `exclusive` is.
    """

    STORAGE_SCHEME = None  # found by no URI

    def __init__(self, folder: Path, keys: Sequence[str]) -> None:
        """Map the file, made by whoever comes first.

        Args:
          folder: of the service.
          keys: everything that is counted, the same in each process.
        """
        super().__init__()
        size = max(len(keys), 1) * _ENTRY.size
        self._places = {key: number * _ENTRY.size for number, key in enumerate(keys)}
        self._file = os.open(folder / _QUOTAS, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, size)
        self._map = mmap.mmap(self._file, size)

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Let no other process count meanwhile. The event loop goes on while the lock is taken.

        Nothing may be awaited inside that waits: this process may take its own lock again.

        Raises:
          OverloadedError: another process kept it all the time.
        """
        import fcntl  # noqa: PLC0415  (not on Windows, where nothing else needs it)

        for pause in (*_PAUSES, None):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if pause is None:
                    raise OverloadedError(
                        f"the quotas cannot be counted now; try again in {_RETRY_SECONDS} s",
                        retry_after=_RETRY_SECONDS,
                    ) from None
                await sleep(pause)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What can go wrong with it."""
        return OSError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and return the sum of this window, which begins with the first count."""
        used, end = self._entry(key)
        if not used:
            end = time.time() + expiry
        _ENTRY.pack_into(self._map, self._places[key], used + amount, end)
        return used + amount

    async def get(self, key: str) -> int:
        """Return the sum of this window."""
        return self._entry(key)[0]

    async def get_expiry(self, key: str) -> float:
        """Return the end of this window, now where none has begun."""
        used, end = self._entry(key)
        return end if used else time.time()

    async def check(self) -> bool:
        """Say that it works."""
        return True

    async def reset(self) -> int | None:
        """Forget everything."""
        self._map[:] = bytes(len(self._map))
        return len(self._places)

    async def clear(self, key: str) -> None:
        """Forget the window of a key."""
        _ENTRY.pack_into(self._map, self._places[key], 0, 0.0)

    def _entry(self, key: str) -> tuple[int, float]:
        used, end = _ENTRY.unpack_from(self._map, self._places[key])
        return (used, end) if time.time() < end else (0, 0.0)
