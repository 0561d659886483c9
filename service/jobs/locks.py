"""Locks that a process loses when it dies, however it dies: `flock` on a file."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o600


@contextmanager
def held(path: Path, *, waits: bool = False, makes: bool = False) -> Iterator[bool]:
    """Hold a lock during a block; yield whether it could be had.

    Args:
      path: of the lock file; where it is gone, or in another folder by the time that the lock is
        there, it is not held.
      waits: wait until another holder lets go.
      makes: make the file where there is none.
    """
    try:
        handle = os.open(path, os.O_RDWR | (os.O_CREAT if makes else 0), PRIVATE)
    except FileNotFoundError:
        yield False
        return
    try:
        yield take(handle, waits=waits) and _is_at(handle, path)
    finally:
        os.close(handle)


def take(handle: int, *, waits: bool = False) -> bool:
    """Lock an open file until it is closed; say whether that could be done."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file still has its name: its folder may be another one by now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
