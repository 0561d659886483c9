"""A route whose body is one pydantic model, read once, straight from the bytes.

FastAPI parses a body into Python objects, then validates those, and solves the dependencies of a
route by its general rules: several times what such a request needs. The OpenAPI page is FastAPI's.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

import pydantic
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from service.errors import DecodingError, ValidationError
from service.web.gone import unless_gone
from service.web.state import call_of

# How pydantic ends what it says of bytes that are no JSON.
_PLACE = re.compile(r" at line (\d+) column (\d+)$")
_MOST_PROBLEMS = 1000


class JsonRoute(APIRoute):
    """Calls `endpoint(body, call)`: a model that was read from the body, and a `Call`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        endpoint = self.endpoint
        body_type = get_type_hints(endpoint)["body"]

        async def handle(request: Request) -> Response:
            body = _parsed(body_type, await request.body(), request.headers.get("content-type"))
            return await unless_gone(request, endpoint(body, call_of(request)))

        return handle


def _parsed(kind: type[pydantic.BaseModel], body: bytes, content_type: str | None) -> Any:  # noqa: ANN401
    if not body:
        problem = {"type": "missing", "loc": ("body",), "msg": "Field required"}
        raise RequestValidationError([problem])
    main, _, sub = (content_type or "").partition(";")[0].strip().lower().partition("/")
    if main != "application" or not (sub == "json" or sub.endswith("+json")):
        raise DecodingError(
            f"Content-Type is {content_type or 'missing'}; it must be application/json"
        )
    try:
        return kind.model_validate_json(body)
    except pydantic.ValidationError as error:
        # Listing them takes many times the memory of the body that has them.
        if error.error_count() > _MOST_PROBLEMS:
            raise ValidationError(
                f"the body has {error.error_count()} problems, too many to list"
            ) from None
        problems = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [
                _not_json(problem, body)
                if problem["type"] == "json_invalid"
                else {**problem, "loc": ("body", *problem["loc"])}
                for problem in problems
            ]
        ) from None


def _not_json(problem: Any, body: bytes) -> dict[str, Any]:  # noqa: ANN401
    """Say it as FastAPI does: what is wrong, and the 0-based character where."""
    text = problem["ctx"]["error"]
    position = 0
    if found := _PLACE.search(text):
        line, column = map(int, found.groups())
        before = body.split(b"\n", line)[: line - 1]
        position = sum(len(one) + 1 for one in before) + max(column - 1, 0)
        text = text[: found.start()]
    return {**problem, "loc": ("body", position), "ctx": {"error": text}}
