"""What a command needs of its surroundings: a terminal, signals, a port, failures in one line."""

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Self, TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from service.durable import write_file
from service.errors import IncompleteError, ServiceError, ValidationError
from service.summary import EXIT_ERROR, EXIT_INCOMPLETE, Summary
from service.texts import fit

_EXIT_INTERRUPTED = 130
_WIDTH = 160


def console(stream: TextIO) -> Console:
    """Return a console on stdout or stderr."""
    # Where nobody looks at a terminal, lines may be long.
    return Console(file=stream, width=None if stream.isatty() else _WIDTH)


class Bar:
    """A bar of the input's bytes, with the ALTs done and their rate; silent where nobody looks.

    Args:
      shown: where it appears.
      size: all bytes, None where that is not known.
    """

    def __init__(self, shown: Console, size: int | None = None) -> None:
        """Draw nothing yet."""
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[alts]:,} ALTs, {task.fields[rate]:,.0f}/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=shown,
            transient=True,
            disable=not shown.is_terminal,
        )
        self._task = self._progress.add_task("preparing", total=size, start=False, alts=0, rate=0.0)
        self._start: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        """Show it."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._progress.stop()

    def update(self, position: int, n_alts: int, size: int | None = None) -> None:
        """Show what is done by now; the first call says where this run begins.

        Args:
          position: bytes done.
          n_alts: ALTs done.
          size: all bytes, where that was not known before.
        """
        now = time.monotonic()
        if self._start is None:
            self._start = now, n_alts
            self._progress.start_task(self._task)
        began, n_before = self._start
        rate = (n_alts - n_before) / (now - began) if now > began else 0.0
        self._progress.update(
            self._task,
            description="scoring",
            total=size,
            completed=position,
            alts=n_alts,
            rate=rate,
        )


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM, which schedulers send, end the block like Ctrl-C: by a KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would break off the first
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; a taken port is known before models are loaded.

    Raises:
      ValidationError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ValidationError(
            f"cannot listen on {host} port {port}: {error.strerror}; give another --host or --port"
        ) from error


def explained(error: BaseException) -> tuple[str, int]:
    """Return the line, notes included, and the exit code for whatever ended a command."""
    message, code = _cause(error)
    text = "; ".join((" ".join(message.split()), *getattr(error, "__notes__", ())))
    return fit(text), code


def _cause(error: BaseException) -> tuple[str, int]:
    if isinstance(error, IncompleteError):
        return error.message, EXIT_INCOMPLETE
    if isinstance(error, ServiceError):
        return error.message, EXIT_ERROR
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", _EXIT_INTERRUPTED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", EXIT_ERROR
    if hasattr(error, "format_message"):  # what typer raises for a wrong command line
        text = error.format_message().strip().rstrip(".")
        context = getattr(error, "ctx", None)  # of the command that was asked for
        command = context.command_path if context else "varsigma"
        return f"{text}; see {command} --help", getattr(error, "exit_code", EXIT_ERROR)
    return (
        f"unexpected {type(error).__name__}: {error}; this is a bug, run with --debug and report"
        " the traceback",
        EXIT_ERROR,
    )


def finish(done: Summary, mismatch_share: float, device: str, path: Path | None) -> None:
    """Show a summary, write it where that is asked, and end with its exit code."""
    done.show(console(sys.stderr), mismatch_share=mismatch_share, device=device)
    if path is not None:
        content = json.dumps(done.as_dict(mismatch_share=mismatch_share), indent=2)
        write_file(path, f"{content}\n".encode())
    raise typer.Exit(done.exit_code)
