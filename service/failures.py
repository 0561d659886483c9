"""Every way that a request fails, in one JSON shape: `{"error": {type, message, detail}}`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import (
    DecodingError,
    ModelNotFoundError,
    OverloadedError,
    RequestTooLargeError,
    ServiceError,
    ValidationError,
)
from service.schemas import ErrorBody

RETRY_AFTER_SECONDS = 1

_MAX_PROBLEMS = 10
# Refusals of the router: no ServiceError, because no code of ours raises them.
_ROUTER = {
    400: ("decoding_error", "the body could not be read as JSON"),
    404: ("not_found", "there is no such route; /openapi.json lists them"),
    405: ("method_not_allowed", "the route exists, but not with this method"),
}
_MEANING = {
    400: ("The body is not JSON", DecodingError),
    404: ("No such model", ModelNotFoundError),
    413: ("The body or the list is longer than the published limit", RequestTooLargeError),
    422: ("A field is missing or not allowed", ValidationError),
    503: ("Too many requests are waiting; see Retry-After", OverloadedError),
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


def add_error_handlers(app: FastAPI) -> None:
    """Give every error of an app the one shape."""
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_router_error)
    app.add_exception_handler(Exception, _on_bug)


class BodyLimit:
    """ASGI middleware that refuses long bodies as they come in, with or without Content-Length.

    FastAPI's own limit answers in plain text where a route does not read the body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap an app."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then run the app on it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        body = bytearray()
        is_complete = declared.isdigit() and float(declared) > self._max_bytes
        is_too_long = is_complete
        while not is_complete:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            is_too_long = len(body) > self._max_bytes
            is_complete = is_too_long or not message.get("more_body", False)
        if is_too_long:
            error = RequestTooLargeError(
                f"the body is longer than {self._max_bytes} bytes",
                detail={"limit": self._max_bytes},
            )
            await _response(error.code, error.body())(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": bytes(body)}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


def _response(
    code: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    # Escaped to ASCII: messages may quote what no UTF-8 can hold, such as half of a surrogate pair.
    return Response(json.dumps(body), code, headers, media_type="application/json")


async def _on_service_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    is_overload = isinstance(error, OverloadedError)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if is_overload else None
    return _response(error.code, error.body(), headers)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors, content_type = error.errors(), request.headers.get("content-type")
    problem = _decoding_problem(errors, content_type) or _validation_problem(errors)
    return _response(problem.code, problem.body())


def _decoding_problem(
    errors: Sequence[Mapping[str, Any]], content_type: str | None
) -> DecodingError | None:
    first = errors[0]
    if first["type"] == "json_invalid":
        position = first["loc"][-1]
        return DecodingError(
            f"the body is not JSON: {first['ctx']['error']}, at character {position}",
            detail={"position": position},
        )
    is_json = (content_type or "").partition(";")[0].strip().lower().endswith("json")
    if first["loc"] == ("body",) and first["type"] != "missing" and not is_json:
        return DecodingError(
            f"Content-Type is {content_type or 'missing'}; it must be application/json"
        )
    return None


def _validation_problem(errors: Sequence[Mapping[str, Any]]) -> ValidationError:
    problems = [
        {
            "field": ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0]),
            "problem": error["msg"].removeprefix("Value error, "),
        }
        for error in errors[:_MAX_PROBLEMS]
    ]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    first = problems[0]
    return ValidationError(
        f"{first['field']}: {first['problem']}{more}", detail={"problems": problems}
    )


async def _on_router_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind, message = _ROUTER.get(error.status_code, ("http_error", str(error.detail)))
    body = {"error": {"type": kind, "message": message, "detail": None}}
    return _response(error.status_code, body, error.headers)


async def _on_bug(_: Request, error: Exception) -> Response:
    return _response(500, ServiceError("an internal error; the server's log has more").body())
