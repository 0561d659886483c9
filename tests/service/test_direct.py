"""Routes that are reached past the router answer as they do through it; their bodies' keys."""

import json
from types import SimpleNamespace

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.testclient import TestClient
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from service.errors import DecodingError, OverloadedError
from service.settings import Settings
from service.web import guard
from service.web.direct import Direct
from service.web.jsonroute import JsonRoute, check_keys
from service.web.state import Call, Called, call_of
from tests.service.guarded import Lines


class Pairs:
    """A JSON object as it is written, which may have a key twice."""

    def __init__(self, pairs) -> None:
        self.pairs = pairs

    def __repr__(self) -> str:
        return f"Pairs({self.pairs!r})"


class Wish(BaseModel):
    wish: str


def client(lines: Lines, *, is_direct: bool) -> TestClient:
    router = APIRouter(route_class=JsonRoute)

    @router.post("/v1/score")
    async def score(body: Wish, call: Called) -> Response:
        if body.wish == "refusal":
            raise OverloadedError("busy", retry_after=2.2)
        if body.wish == "bug":
            raise RuntimeError("GATTACA")
        return Response(f"{body.wish} {call.deadline > 0}", headers={"X-More": "1"})

    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.engine = SimpleNamespace(
        observers=[], batchers={}, models={}, settings=SimpleNamespace(timeout=1.0)
    )
    app.include_router(router)
    if is_direct:
        app.add_middleware(Direct, routes=router.routes)
    guard.install(app, Settings(), sink=lines)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/score", b'{"wish": "good"}', 200),
        ("POST", "/v1/score?wish=1", b'{"wish": "good"}', 422),
        ("POST", "/v1/score", b'{"wish": "refusal"}', 503),
        ("POST", "/v1/score", b'{"wish": "bug"}', 500),
        ("POST", "/v1/score", b'{"wish": 1}', 422),
        ("POST", "/v1/score", b'{"wish": "a", "wish": "b"}', 400),
        ("POST", "/v1/score", b"{", 400),
        ("POST", "/v1/score", b"", 422),
        ("GET", "/v1/score", b"", 405),
        ("OPTIONS", "/v1/score", b"", 405),
        ("POST", "/v1/score/", b"{}", 404),
        ("POST", "/v1/SCORE", b"{}", 404),
    ],
)
def test_it_answers_as_the_router_does(method, path, content, status):
    told = []
    for is_direct in (False, True):
        lines = Lines()
        headers = {"content-type": "application/json", "x-request-id": "a"}
        answer = client(lines, is_direct=is_direct).request(
            method, path, content=content, headers=headers
        )
        line = {key: value for key, value in lines.last.items() if key not in ("ms", "timestamp")}
        told.append((answer.status_code, answer.content, sorted(answer.headers.items()), line))
    assert told[0] == told[1]
    assert told[0][0] == status


def test_the_time_of_a_request_includes_that_to_read_its_body(monkeypatch):
    steps = []

    async def read_body(*_: object) -> Wish:
        steps.append("read")
        return Wish(wish="good")

    def note_call(request: Request) -> Call:
        steps.append("clock")
        return call_of(request)

    monkeypatch.setattr("service.web.jsonroute.read_body", read_body)
    monkeypatch.setattr("service.web.jsonroute.call_of", note_call)
    assert client(Lines(), is_direct=True).post("/v1/score", content=b"{}").status_code == 200
    assert steps == ["clock", "read"]


# Short texts of what could be mistaken for the end of a key.
_TEXTS = st.text(alphabet='ab:" \\,{}é', max_size=3)
_VALUES = st.recursive(
    _TEXTS | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(_TEXTS, inner), max_size=3).map(Pairs)
    ),
    max_leaves=8,
)


def written(value) -> str:
    if isinstance(value, Pairs):
        inside = ", ".join(f"{json.dumps(key)} : {written(one)}" for key, one in value.pairs)
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    return json.dumps(value, ensure_ascii=False)


def has_twice(value) -> bool:
    if isinstance(value, Pairs):
        keys = [key for key, _ in value.pairs]
        return len(set(keys)) < len(keys) or any(has_twice(one) for _, one in value.pairs)
    return isinstance(value, list) and any(map(has_twice, value))


@given(_VALUES)
@example(Pairs([("a", ":"), ("b", [":", ","]), ("a", 1)]))
@example(Pairs([("a", Pairs([("a", 1)]))]))
def test_a_key_twice_in_one_object_is_found(value):
    body = written(value).encode()
    if has_twice(value):
        with pytest.raises(DecodingError, match="twice"):
            check_keys(body)
    else:
        check_keys(body)
