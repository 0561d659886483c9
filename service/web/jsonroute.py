"""A route whose body is one pydantic model, read once, straight from the bytes.

FastAPI parses a body into Python objects, then validates those, and solves the dependencies of a
route by its general rules: all that costs more than such a request needs. The OpenAPI page is
FastAPI's.
"""

import asyncio
import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

import pydantic
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from service.errors import DecodingError, MediaTypeError, ValidationError
from service.game.codec import shown, unrepeated
from service.web.gone import unless_gone
from service.web.problems import MOST_PROBLEMS, of_other_items
from service.web.state import call_of

# How pydantic ends what it says of bytes that are no JSON.
_PLACE = re.compile(r" at line (\d+) column (\d+)$")
_BEFORE_COLON = re.compile(rb'"([^"]*)"\s*:')
_SHORT_BODY = 1000
# What is longer is read in a thread, between the steps of the event loop.
_QUICK_BODY = 1 << 14


class JsonRoute(APIRoute):
    """Calls `endpoint(body, call)`: a model that was read from the body, and a `Call`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        endpoint = self.endpoint
        body_type = get_type_hints(endpoint)["body"]

        async def handle(request: Request) -> Response:
            if names := list(request.query_params):
                raise ValidationError(
                    f"{shown(names[0])} in the query: the options of this route stand in its body"
                )
            content, kind = await request.body(), request.headers.get("content-type")
            call = call_of(request)  # the time to read a long body is part of the request's
            body = await read_body(body_type, content, kind)
            return await unless_gone(request, endpoint(body, call))

        return handle


async def read_body(
    kind: type[pydantic.BaseModel],
    body: bytes,
    content_type: str | None,
) -> Any:  # noqa: ANN401
    """Read a body without holding up the event loop.

    Raises:
      RequestValidationError: it is no such model.
      ServiceError: it is no JSON, or not said to be.
    """
    if len(body) <= _QUICK_BODY:
        return _parsed(kind, body, content_type)
    return await asyncio.to_thread(_parsed, kind, body, content_type)


def _parsed(kind: type[pydantic.BaseModel], body: bytes, content_type: str | None) -> Any:  # noqa: ANN401
    if not body:
        problem = {"type": "missing", "loc": ("body",), "msg": "Field required"}
        raise RequestValidationError([problem])
    main, _, sub = (content_type or "").partition(";")[0].strip().lower().partition("/")
    if main != "application" or not (sub == "json" or sub.endswith("+json")):
        raise MediaTypeError(
            f"Content-Type is {content_type or 'missing'}; it must be application/json"
        )
    if body.startswith(BOM_UTF8):
        raise DecodingError("the body begins with a byte order mark; send UTF-8 without one")
    try:
        found = kind.model_validate_json(body)
    except pydantic.ValidationError as error:
        if error.error_count() > MOST_PROBLEMS:
            raise ValidationError(
                f"the body has {error.error_count()} problems, too many to list"
            ) from None
        problems: list[Any] = error.errors(include_url=False, include_input=False)
        problems += of_other_items(kind, body, problems)
        raise RequestValidationError(
            [
                _not_json(problem, body)
                if problem.get("type") == "json_invalid"
                else {**problem, "loc": ("body", *problem["loc"])}
                for problem in problems
            ]
        ) from None
    check_keys(body)
    return found


def check_keys(body: bytes) -> None:
    """Refuse JSON with a key twice in one object: which of the two is meant is not known.

    Raises:
      DecodingError: there is one.
    """
    if len(body) <= _SHORT_BODY and b"\\" not in body:
        # Every colon that ends a key stands behind the text of that key. So if each colon has a
        # text of its own before it, each key does; the usual case, without a second parser.
        texts = _BEFORE_COLON.findall(body)
        if len(set(texts)) == body.count(b":"):
            return

    def forget(pairs: list[tuple[str, Any]]) -> None:
        unrepeated(pairs)

    try:
        json.loads(body, object_pairs_hook=forget)
    except (ValueError, RecursionError):  # what only the first of the two values can be
        raise DecodingError("a key occurs twice in one object of the body") from None


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
