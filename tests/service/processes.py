"""Processes of this machine, looked at from outside: Linux's /proc."""

import time
from collections.abc import Callable
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


def count_shards(folder: Path) -> int:
    """Finished shards in a work folder."""
    return len(list(folder.glob("shards/*.json")))


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
