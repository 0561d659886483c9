"""What a command needs of its surroundings: a terminal, a port, and failures in one line."""

import socket
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from service.errors import ServiceError, ValidationError
from service.summary import EXIT_ERROR

_EXIT_INTERRUPTED = 130
_WIDTH = 160


def console(stream: TextIO) -> Console:
    """Return a console on stdout or stderr."""
    # Where nobody looks at a terminal, lines may be long.
    return Console(file=stream, width=None if stream.isatty() else _WIDTH)


def progress(shown: Console, size: int | None) -> Progress:
    """Return a bar of the bytes read, of `size` if that is known; silent where nobody looks."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%" if size else ""),
        TextColumn("{task.fields[alts]:,} ALTs"),
        TimeElapsedColumn(),
        console=shown,
        transient=True,
        disable=not shown.is_terminal,
    )


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
    return "; ".join((" ".join(message.split()), *getattr(error, "__notes__", ()))), code


def _cause(error: BaseException) -> tuple[str, int]:
    if isinstance(error, ServiceError):
        return error.message, EXIT_ERROR
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", _EXIT_INTERRUPTED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", EXIT_ERROR
    if hasattr(error, "format_message"):  # what typer raises for a wrong command line
        text = error.format_message().strip().rstrip(".")
        return f"{text}; see varsigma --help", getattr(error, "exit_code", EXIT_ERROR)
    return (
        f"unexpected {type(error).__name__}: {error}; this is a bug, run with --debug and report"
        " the traceback",
        EXIT_ERROR,
    )
