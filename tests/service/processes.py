"""Processes of this machine, looked at from outside through Linux's /proc, and their limits."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def command_of(pid: int) -> str:
    """Command line of a process, words apart by spaces; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """Processes that a process has started and that have not ended."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def parent_of(pid: int) -> int:
    """Process that started a process, or has inherited it; 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return 0


def count_shards(folder: Path) -> int:
    """Finished shards in a work folder, which may be removed at any time."""
    with suppress(FileNotFoundError):
        return sum(path.suffix == ".json" for path in (folder / "shards").iterdir())
    return 0


def wait_until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something to come true.

    Raises:
      TimeoutError: it did not.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {seconds} s")
        time.sleep(0.005)


@contextmanager
def small_disk(n_bytes: int) -> Iterator[None]:
    """No file may grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
