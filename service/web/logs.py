"""One line of JSON on stderr for the start, each request and each bug.

Never what was asked or sent: no sequence, variant, key, body or path of a file. The message of an
unexpected exception may hold one, so it is written in debug mode only.
"""

import logging
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Protocol

import structlog
from pydantic_core import to_json
from structlog.processors import JSONRenderer, TimeStamper, add_log_level
from structlog.stdlib import ProcessorFormatter
from structlog.typing import FilteringBoundLogger, Processor

from service.web.record import Record

_STAMPS: list[Processor] = [add_log_level, TimeStamper(fmt="iso", utc=True)]


def _to_json(event: Mapping[str, Any], **_: object) -> str:
    # Faster than json.dumps, and a line is written for every request.
    return to_json(event, fallback=repr).decode()


_RENDERER = JSONRenderer(serializer=_to_json)


class Sink(Protocol):
    """What takes the finished lines."""

    def info(self, line: str) -> None:
        """Take the line of a request."""

    def warning(self, line: str) -> None:
        """Take the line of what is perhaps not meant."""

    def error(self, line: str) -> None:
        """Take the line of a bug."""


class _Stderr:
    """Whatever stderr is at the moment, so that a redirection holds."""

    def info(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")

    warning = error = info


class Log:
    """Writes the lines of one app; touches no global configuration."""

    def __init__(self, *, is_debug: bool = False, sink: Sink | None = None) -> None:
        """Write to stderr, or to a sink."""
        self._is_debug = is_debug
        self._sink = sink = sink or _Stderr()
        # Bound once: a logger that is not is put together anew for every line.
        self._logger: FilteringBoundLogger = structlog.wrap_logger(
            sink,
            processors=[*_STAMPS, _RENDERER],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        ).bind()

    def started(self, facts: Mapping[str, Any], warnings: Iterable[str]) -> None:
        """Write what is served, and a line for each thing that is perhaps not meant."""
        self._logger.info("start", pid=os.getpid(), **facts)
        for warning in warnings:
            self._logger.warning("start", warning=warning)

    def answered(self, record: Record) -> None:
        """Write what became of a request; status 499 where the client left before an answer."""
        # Past the processors, which cost more than the rest of the guard.
        self._sink.info(
            _to_json(
                {
                    "request_id": record.request_id,
                    "method": record.method,
                    "route": record.route,
                    "status": record.status or 499,
                    "error": record.error,
                    "items": record.items,
                    "sequences": record.sequences,
                    "ms": round(record.seconds * 1e3, 2),
                    "key": record.key.name if record.key else None,
                    "event": "request",
                    "level": "info",
                    "timestamp": datetime.now(UTC),
                }
            )
        )

    def job(self, job: str, state: str, error: str | None) -> None:
        """Write that a job began, ended, or lost its process; the type of what it failed of."""
        write = self._logger.info if error is None else self._logger.error
        write("job", job=job, state=state, error=error)

    def trouble(self, error: Exception) -> None:
        """Write what went wrong where no request is answered."""
        self._logger.error("trouble", **trace(error, self._is_debug))

    def broken(self, record: Record, error: BaseException) -> None:
        """Write where a bug shows itself."""
        self._logger.error(
            "bug", request_id=record.request_id, route=record.route, **trace(error, self._is_debug)
        )


def trace(error: BaseException, is_debug: bool) -> dict[str, Any]:
    """Return types and places of an exception and its causes, their messages in debug mode only."""
    chain = list(_chain(error))
    told = {
        "exception": [type(one).__name__ for one in chain],
        "traceback": [
            f"{'/'.join(PurePath(frame.filename).parts[-3:])}:{frame.lineno} {frame.name}"
            for one in chain
            for frame in traceback.extract_tb(one.__traceback__)
        ],
    }
    return told | ({"message": [str(one) for one in chain]} if is_debug else {})


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what it came from, the last first."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _shorten(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    found = event.pop("exc_info", None)
    if isinstance(found, tuple) and found[1] is not None:
        event.update(trace(found[1], is_debug=False))
    return event


def uvicorn_log_config() -> dict[str, Any]:
    """Return what uvicorn's own messages need to be lines of the same kind."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": ProcessorFormatter,
                "foreign_pre_chain": _STAMPS,
                "processors": [ProcessorFormatter.remove_processors_meta, _shorten, _RENDERER],
            }
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr",
            }
        },
        "loggers": {"uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False}},
    }  # fmt: skip
