"""How a call of the client can fail.

```
CallError             a call did not give what it should
  GivenError          no service would take what is given, so that nothing was sent; a ValueError
  UnreachableError    no answer: no connection, it broke off, or nothing came for too long
  UnreadableError     an answer that this service does not give: cut short, or of something between
  RefusedError        the service said no, and why: type, message, detail
    BusyError         429 or 503: the same may succeed later, and the client has waited enough
```
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx2 as httpx
import pydantic

from service.schemas import ErrorBody

BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})

_SHOWN_CHARACTERS = 200


class CallError(Exception):
    """Base of what a call of the client raises."""


class UnreachableError(CallError):
    """No answer came, or not all of it."""


class UnreadableError(CallError):
    """What came is no answer of this service."""


class GivenError(CallError, ValueError):
    """What is given has no form that a service takes; it was not sent."""


class RefusedError(CallError):
    """The service refused a request.

    Attributes:
      type: stable identifier, see `service.errors`.
      message: one line for a person.
      detail: machine-readable particulars, or None.
      status: of HTTP; 200 where an answer in lines failed in its middle.
      request_id: under which the server's log has more, or None.
      retry_after: seconds after which the same may succeed, or None.
    """

    def __init__(
        self,
        *,
        type: str,
        message: str,
        detail: Mapping[str, Any] | None,
        status: int,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Keep what the service said."""
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message
        self.detail = detail
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after


class BusyError(RefusedError):
    """The service has no room, or the key has used up its minute."""


def refusal(response: httpx.Response) -> RefusedError | UnreadableError:
    """Return the error that an answer says."""
    try:
        said = ErrorBody.model_validate_json(response.content).error
    except pydantic.ValidationError:
        return UnreadableError(
            f"HTTP {response.status_code} without an error of varsigma, from"
            f" {response.url}: {_start(response.text)}"
        )
    kind = BusyError if response.status_code in BUSY else RefusedError
    return kind(
        type=said.type,
        message=said.message,
        detail=said.detail,
        status=response.status_code,
        request_id=response.headers.get("x-request-id"),
        retry_after=retry_after(response.headers),
    )


def refusal_in_line(line: bytes) -> RefusedError | None:
    """Return the error that a line says instead of a result, None where it is a result."""
    if not line.startswith(b'{"error":'):
        return None
    said = ErrorBody.model_validate(json.loads(line)).error
    return RefusedError(type=said.type, message=said.message, detail=said.detail, status=200)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds, or a date as a proxy may send it."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _start(text: str) -> str:
    shown = " ".join(text.split())
    return repr(shown[:_SHOWN_CHARACTERS]) + ("..." if len(shown) > _SHOWN_CHARACTERS else "")
