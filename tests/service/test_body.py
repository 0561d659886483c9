"""Bodies: too long, too slow, packed, too many at once; none is taken in further than it may be."""

import asyncio
import gzip
import json
import time
import tracemalloc

import pytest
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from service.web.body import BodyDoor
from tests.service.guarded import Lines, client_of, guarded, post_below

MAX = 1000


@pytest.fixture
def client():
    return client_of(guarded(max_body_bytes=MAX))


def kind(response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["type"]


def test_a_body_arrives_as_it_was_sent_in_one_piece_or_many(client):
    body = bytes(range(256)) * 3

    def stream():
        for first in range(0, len(body), 100):
            yield body[first : first + 100]

    assert client.post("/v1/echo/x", content=body).content == body
    assert client.post("/v1/echo/x", content=stream()).content == body
    assert client.post("/v1/echo/x", content=b"").content == b""
    assert client.post("/v1/echo/x", content=b"x" * MAX).content == b"x" * MAX


@pytest.mark.parametrize("path", ["/v1/echo/x", "/health/live", "/v1/nowhere"])
def test_a_longer_one_is_refused_on_every_route(client, path):
    assert kind(client.post(path, content=b"x" * (MAX + 1))) == (413, "request_too_large")


@pytest.mark.parametrize("length", [b"-1", b"9" * 5000, b"1e3", b"", b"\xb2"])
def test_a_strange_length_is_no_way_round(length):
    n_read = 0

    async def receive() -> dict:
        nonlocal n_read
        n_read += 100
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    app = guarded(max_body_bytes=MAX)
    sent = post_below(app, receive, headers=[(b"content-length", length)])
    assert sent[0]["status"] == 413
    assert n_read <= MAX + 100


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate, gzip", "identity, gzip", "x"])
def test_a_packed_body_is_refused_unread(encoding):
    bomb = gzip.compress(b"\0" * 10_000_000)
    client = client_of(guarded())
    for path in ("/v1/echo/x", "/v1/jobs"):
        response = client.post(path, content=bomb, headers={"Content-Encoding": encoding})
        assert response.status_code == 415, path
    assert client.post("/v1/echo/x", headers={"Content-Encoding": "identity"}).status_code == 200


def test_a_slow_body_is_given_up():
    left = [b"x"] * 200

    async def receive() -> dict:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": left.pop(), "more_body": True}

    lines = Lines()
    start = time.perf_counter()
    sent = post_below(guarded(lines, body_timeout=0.2), receive)
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"]["type"] == "body_timeout"
    assert 0.2 <= time.perf_counter() - start < 5
    assert lines.last["error"] == "body_timeout"


def test_a_body_in_many_pieces_takes_no_more_memory_than_it_is_long():
    n_pieces = 50_000
    left = iter(range(n_pieces))

    async def receive() -> dict:
        number = next(left)
        piece = number.to_bytes(2, "big")  # an object of its own
        return {"type": "http.request", "body": piece, "more_body": number < n_pieces - 1}

    app = guarded(max_body_bytes=10**6)
    post_below(app, receive, "/v1/nowhere")
    left = iter(range(n_pieces))
    tracemalloc.start()
    try:
        post_below(app, receive, "/v1/nowhere")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * n_pieces


def test_a_client_that_takes_nothing_is_given_up():
    # It held one of the few places for long answers as long as it liked.
    app = guarded(body_timeout=0.05)

    @app.get("/v1/long")
    async def long() -> StreamingResponse:
        async def parts():
            while True:
                yield b"part"

        return StreamingResponse(parts())

    n_taken = 0

    async def send(message) -> None:
        nonlocal n_taken
        n_taken += 1
        if n_taken > 3:
            await asyncio.sleep(10)

    async def receive() -> dict:
        if messages:
            return messages.pop()
        await asyncio.sleep(10)
        return {"type": "http.disconnect"}

    messages = [{"type": "http.request", "body": b""}]

    async def scenario() -> None:
        scope = {
            "type": "http", "method": "GET", "path": "/v1/long", "raw_path": b"",
            "query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http",
            "headers": [],
        }  # fmt: skip
        await asyncio.wait_for(app(scope, receive, send), 5)

    asyncio.run(scenario())
    assert n_taken == 4


@pytest.mark.parametrize("held", ["http.response.start", "http.response.body"])
def test_an_answer_in_one_piece_that_is_not_taken_is_given_up(held):
    async def answer(scope, receive, send) -> None:
        await Response(b"x")(scope, receive, send)

    async def receive() -> dict:
        return {"type": "http.request", "body": b""}

    async def send(message) -> None:
        # The headers may be what fills the last of the server's room.
        if message["type"] == held:
            await asyncio.Event().wait()

    door = BodyDoor(answer, max_bytes=MAX, seconds=0.05)
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    with pytest.raises(ClientDisconnect):
        asyncio.run(asyncio.wait_for(door(scope, receive, send), 10))


def test_the_time_is_that_of_the_body_not_of_the_answer():
    app = guarded(body_timeout=0.05)

    @app.post("/v1/slow")
    async def slow() -> str:
        await asyncio.sleep(0.2)
        raise TimeoutError("of the route, not of the door")

    assert client_of(app).post("/v1/slow", content=b"x").status_code == 500


def test_all_bodies_together_have_a_bound_and_give_their_room_back(monkeypatch):
    monkeypatch.setattr("service.web.body._FULL_BODIES", 2)
    app = guarded(max_body_bytes=MAX)
    held, release = [], asyncio.Event()

    @app.post("/v1/hold")
    async def hold() -> None:
        held.append(1)
        await release.wait()

    def post(body: bytes) -> asyncio.Task:
        messages = [{"type": "http.request", "body": body}]

        async def receive() -> dict:
            return messages.pop()

        async def call() -> int:
            sent = []

            async def send(message) -> None:
                sent.append(message)

            scope = {
                "type": "http", "method": "POST", "path": "/v1/hold", "raw_path": b"",
                "query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http",
                "headers": [],
            }  # fmt: skip
            await app(scope, receive, send)
            return sent[0]

        return asyncio.create_task(call())

    async def scenario() -> None:
        first = [post(b"x" * MAX), post(b"x" * MAX)]
        while len(held) < 2:
            await asyncio.sleep(0)
        refused = await asyncio.wait_for(post(b"x"), 10)
        assert refused["status"] == 503
        assert (b"retry-after", b"1") in refused["headers"]
        release.set()
        assert [(await task)["status"] for task in first] == [200, 200]
        for _ in range(5):
            assert (await post(b"x" * MAX))["status"] == 200

    asyncio.run(scenario())


def test_a_route_with_a_limit_of_its_own_reads_its_stream(monkeypatch):
    app = guarded(max_body_bytes=MAX)
    pieces = []

    @app.post("/predict")
    async def predict(request: Request) -> int:
        async for piece in request.stream():
            pieces.append(len(piece))
        return sum(pieces)

    left = [500] * 10

    async def receive() -> dict:
        return {"type": "http.request", "body": b"x" * left.pop(), "more_body": bool(left)}

    sent = post_below(app, receive, "/predict")
    assert sent[0]["status"] == 200
    assert sum(pieces) == 5 * MAX
