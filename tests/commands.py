"""What the commands of this folder share: running `varsigma` as a user does, and a verdict."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Broken(Exception):
    """A promise that this run did not keep."""


@contextmanager
def verdict() -> Iterator[None]:
    """End the process with status 1 and one line when a promise is broken."""
    try:
        yield
    except Broken as broken:
        sys.exit(f"BROKEN: {broken}")


def varsigma(*arguments: object) -> list[str]:
    """Return a command line of the `varsigma` that belongs to this source tree."""
    return [sys.executable, "-m", "service.cli", *map(str, arguments)]


def run_varsigma(*arguments: object, exit_code: int = 0) -> str:
    """Run a command line to its end and return what it said on standard error.

    Raises:
      Broken: it ended with another exit code.
    """
    command = varsigma(*arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != exit_code:
        raise Broken(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stderr
