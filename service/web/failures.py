"""Every way that a request fails, in one JSON shape: `{"error": {type, message, detail}}`.

Protocols that have a shape of their own (KServe V2, GAME) get it for their paths.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from service.engine import Engine
from service.errors import (
    BodyTimeoutError,
    ConflictError,
    DeadlineError,
    DecodingError,
    DiskFullError,
    MediaTypeError,
    MethodNotAllowedError,
    ModelNotFoundError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    RangeError,
    RateLimitedError,
    RequestTooLargeError,
    ServiceError,
    UnauthorisedError,
    ValidationError,
)
from service.schemas import ErrorBody
from service.web.record import record_of

Shape = Callable[[ServiceError, Engine], Mapping[str, Any]]

_MAX_PROBLEMS = 20
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_SHAPES = "error_shapes"
# Refusals of the router, which no code of ours raises.
_ROUTER: dict[int, ServiceError] = {
    400: DecodingError("the body could not be read as JSON"),
    404: NotFoundError("there is no such route; /openapi.json lists them"),
    405: MethodNotAllowedError("the route exists, but not with this method"),
}
_MEANING: dict[int, tuple[str, type[ServiceError]]] = {
    400: ("The body is not JSON", DecodingError),
    401: ("The API key is missing or unknown", UnauthorisedError),
    404: ("No such model", ModelNotFoundError),
    408: ("The body came too slowly", BodyTimeoutError),
    409: ("It is not done yet", ConflictError),
    412: ("It is not what If-Match names", PreconditionError),
    413: ("The body or the list is longer than the published limit", RequestTooLargeError),
    415: ("The body is compressed, or of another Content-Type", MediaTypeError),
    416: ("It has no such bytes", RangeError),
    422: ("A field is missing or not allowed", ValidationError),
    429: ("The API key has used up this minute; see Retry-After", RateLimitedError),
    500: ("A bug; the server's log has more under the request id", ServiceError),
    503: ("Too many requests are waiting; see Retry-After", OverloadedError),
    504: ("The deadline passed; see X-Timeout-Seconds", DeadlineError),
    507: ("There is no space", DiskFullError),
}


def documented(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of some error codes."""
    return {
        code: {
            "model": ErrorBody,
            "description": _MEANING[code][0],
            "content": {
                "application/json": {"example": _MEANING[code][1](_MEANING[code][0].lower()).body()}
            },
        }
        for code in codes
    }


def described(*codes: int, has_schema: bool) -> dict[str, Any]:
    """Return finished OpenAPI entries of error codes, for routes that do not state them."""
    schema = {"$ref": f"#/components/schemas/{ErrorBody.__name__}"} if has_schema else {}
    return {
        str(code): {
            "description": _MEANING[code][0],
            "content": {"application/json": {"schema": schema}},
        }
        for code in codes
    }


def add_error_handlers(app: FastAPI, shapes: Mapping[str, Shape] | None = None) -> None:
    """Give every error of an app the one shape.

    Args:
      app: the app.
      shapes: other shapes, by the path below which they hold.
    """
    setattr(app.state, _SHAPES, dict(shapes or {}))
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_router_error)
    app.add_exception_handler(Exception, _on_bug)


async def answer(scope: Scope, receive: Receive, send: Send, error: ServiceError) -> None:
    """Answer a request with an error, from below the level of routes."""
    await response(scope, error)(scope, receive, send)


def response(scope: Scope, error: ServiceError) -> Response:
    """Return the answer that says an error in the shape of the path, and note it in the record."""
    record_of(scope).error = error.type
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, UnauthorisedError):
        headers["WWW-Authenticate"] = 'Bearer realm="varsigma"'
    if isinstance(error, RangeError) and error.detail:
        headers["Content-Range"] = f"bytes */{error.detail['size']}"
    shape = _shape(scope)
    body = shape(error, scope["app"].state.engine) if shape else error.body()
    # Escaped to ASCII: messages may quote what no UTF-8 can hold, such as half of a surrogate pair.
    return Response(json.dumps(body), error.code, headers, media_type="application/json")


def bug(scope: Scope) -> ServiceError:
    """Return what a client is told of an error that nobody expected."""
    request_id = record_of(scope).request_id
    return ServiceError(
        "an internal error; the server's log has more under the request id",
        detail={"request_id": request_id},
    )


def _shape(scope: Scope) -> Shape | None:
    path = scope["path"]
    for prefix, shape in getattr(scope["app"].state, _SHAPES, {}).items():
        if path == prefix or path.startswith(f"{prefix}/"):
            return shape  # type: ignore[no-any-return]
    return None


async def _on_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return response(request.scope, error)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return response(request.scope, problem_of(error))


def problem_of(error: RequestValidationError) -> ServiceError:
    """Return what is wrong with a request that does not fit its route."""
    errors = error.errors()
    return _decoding_problem(errors[0]) or _validation_problem(errors)


def _decoding_problem(first: Mapping[str, Any]) -> DecodingError | None:
    if first.get("type") == "json_invalid":
        position = first["loc"][-1]
        return DecodingError(
            f"the body is not JSON: {first['ctx']['error']}, at character {position}",
            detail={"position": position},
        )
    return None


def _validation_problem(errors: Sequence[Mapping[str, Any]]) -> ValidationError:
    found = {_field(error["loc"]): error["msg"] for error in reversed(errors)}
    problems = [
        {"field": field, "problem": message.removeprefix("Value error, ")}
        for field, message in reversed(found.items())
    ]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    first = problems[0]
    return ValidationError(
        f"{first['field']}: {first['problem']}{more}", detail={"problems": problems[:_MAX_PROBLEMS]}
    )


def _field(place: Sequence[str | int]) -> str:
    """Name a field; what follows that of a query is a type which pydantic has tried."""
    where, *parts = map(str, place)
    return ".".join(parts[:1] if where == "query" else parts) or where


async def _on_router_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = _ROUTER.get(error.status_code) or ServiceError(str(error.detail))
    told = response(request.scope, problem)
    told.status_code = error.status_code
    told.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        told.headers["Allow"] = ", ".join(filter(partial(_is_allowed, request), _METHODS))
    return told


def _is_allowed(request: Request, method: str) -> bool:
    """Say whether a path has a method; what the router says is of the path's first route only."""
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


async def _on_bug(request: Request, _: Exception) -> Response:
    return response(request.scope, bug(request.scope))
