"""What a request brings to its route: the engine of its app, its deadline, the form of answer."""

import math
import time
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Header, Request
from pydantic.json_schema import SkipJsonSchema
from starlette.types import Scope

from service.engine import Engine
from service.errors import ValidationError
from service.settings import MAX_TIMEOUT

NDJSON = "application/x-ndjson"
_NDJSON = NDJSON.encode()
_TIMEOUT = b"x-timeout-seconds"


def engine_of(request: Request) -> Engine:
    """Return the engine of the app that a request came to."""
    return cast(Engine, request.app.state.engine)


async def _engine(request: Request) -> Engine:
    return engine_of(request)


Loaded = Annotated[Engine, Depends(_engine)]


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the routes that score see it.

    Attributes:
      request: the whole of it.
      engine: of its app.
      began: when its headers were read, on the monotonic clock.
      seconds: that it allows, None where it does not say.
      wants_lines: the answer should come as NDJSON.
    """

    request: Request
    engine: Engine
    began: float
    seconds: float | None
    wants_lines: bool

    @property
    def deadline(self) -> float:
        """When the answer is due at the latest, on the monotonic clock; every call has one."""
        seconds = self.engine.settings.timeout if self.seconds is None else self.seconds
        return self.began + seconds

    @property
    def long_deadline(self) -> float | None:
        """The same for a long call, which has one only where the request says so."""
        return None if self.seconds is None else self.began + self.seconds


def call_of(request: Request) -> Call:
    """Read the headers of a request.

    Raises:
      ValidationError: X-Timeout-Seconds is no number of seconds that is allowed.
    """
    scope = request.scope
    now, seconds = time.monotonic(), seconds_of(scope)
    return Call(request, engine_of(request), now, seconds, wants_lines(scope))


def wants_lines(scope: Scope) -> bool:
    """Say whether the answer should come as NDJSON."""
    accepted = (value for name, value in scope["headers"] if name == b"accept")
    return any(_NDJSON in value.lower() for value in accepted)


def seconds_of(scope: Scope) -> float | None:
    """Return what X-Timeout-Seconds says, None where it is absent.

    Raises:
      ValidationError: that is no number of seconds that is allowed.
    """
    for name, value in scope["headers"]:
        if name == _TIMEOUT:
            try:
                seconds = float(value)
            except ValueError:
                seconds = math.nan
            if not 0 < seconds <= MAX_TIMEOUT:
                raise ValidationError(
                    f"X-Timeout-Seconds must be a number above 0, at most {MAX_TIMEOUT}",
                    detail={"problems": [{"field": "x-timeout-seconds", "problem": "not allowed"}]},
                )
            return seconds
    return None


async def _call(
    request: Request,
    # For the OpenAPI page; `call_of` reads it.
    x_timeout_seconds: Annotated[
        float | SkipJsonSchema[None],
        Header(gt=0, le=MAX_TIMEOUT, description="Seconds until 504; default: the server's"),
    ] = None,
) -> Call:
    return call_of(request)


Called = Annotated[Call, Depends(_call)]


def example(value: Any) -> dict[int | str, dict[str, Any]]:  # noqa: ANN401  (any JSON)
    """Return the OpenAPI entry of a good answer with an example."""
    return {200: {"content": {"application/json": {"example": value}}}}


def example_or_lines(value: Any, lines: str) -> dict[int | str, dict[str, Any]]:  # noqa: ANN401
    """Return the OpenAPI entry of a good answer that can also come as NDJSON."""
    entry = example(value)
    entry[200]["content"][NDJSON] = {"schema": {"type": "string", "description": lines}}
    return entry
