"""What is known of one request while it is answered: for its log line and the metrics."""

import re
from dataclasses import dataclass, field
from random import Random
from time import perf_counter

from fastapi.routing import APIRoute
from starlette.types import Scope

from service.web.keys import Key

# Long enough for a UUID or a W3C trace parent; nothing that would need escaping in a log.
_SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SLOT = "varsigma.record"
# Apart from the others of the machine is all that an id has to be; seeded by the system.
_ids = Random()
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


@dataclass(slots=True)
class Record:
    """One request: what it cost and what became of it, never what it asked.

    Attributes:
      request_id: the caller's, if it is sane, else a new one.
      method: HTTP method, OTHER where it is none that a route could have.
      began: seconds on the clock of `time.perf_counter`.
      route: template of the route, such as `/v1/models/{name}`; None where none was found.
      status: HTTP status, None until the answer begins.
      error: `type` of the error that was answered.
      items: variants, pairs or sequences that it asked for.
      sequences: sequences that the model has to read for it.
      key: whose it is.
      headers: what its answer gets besides the headers that every answer has.
    """

    request_id: str
    method: str
    began: float = field(default_factory=perf_counter)
    route: str | None = None
    status: int | None = None
    error: str | None = None
    items: int = 0
    sequences: int = 0
    key: Key | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time since the request began."""
        return perf_counter() - self.began


def open_record(scope: Scope) -> Record:
    """Begin the record of a request and leave it where `record_of` finds it."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    request_id = given.decode() if _SANE.fullmatch(given) else f"{_ids.getrandbits(128):032x}"
    method: str = scope["method"]
    record = Record(request_id, method if method in _METHODS else "OTHER")
    scope[_SLOT] = record
    return record


def record_of(scope: Scope) -> Record:
    """Return the record of a request; an unused one where no guard opened it."""
    record: Record | None = scope.get(_SLOT)
    return record or open_record(scope)


def route_of(scope: Scope) -> str | None:
    """Return the template of the route that a request was given to."""
    route = scope.get("route")
    return route.path if isinstance(route, APIRoute) else None
