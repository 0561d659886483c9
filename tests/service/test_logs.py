"""The log: one line of JSON for each request, and nothing in it that was asked or sent."""

import asyncio
import json
import logging.config

import pytest
from fastapi import Request

from service.web.logs import Log, uvicorn_log_config
from service.web.record import Record
from tests.service.guarded import Lines, client_of, guarded, post_below

FIELDS = {
    "event", "level", "timestamp", "request_id", "method", "route", "status", "error", "items",
    "sequences", "ms", "key",
}  # fmt: skip
SECRET = "GATTACA"


@pytest.fixture
def lines():
    return Lines()


def test_one_line_for_each_request(lines):
    client = client_of(guarded(lines))
    response = client.post(f"/v1/echo/{SECRET}?q={SECRET}", content=f'"{SECRET}"'.encode())
    [line] = lines.all
    assert line.keys() == FIELDS
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/echo/{name}", 200)
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["ms"] > 0
    assert line["error"] is None
    assert SECRET not in lines.raw[0]


def test_refusals_and_wrong_routes(lines):
    client = client_of(guarded(lines, max_body_bytes=10))
    client.get(f"/v1/{SECRET}")
    client.request(SECRET, "/v1/busy")
    client.get("/v1/busy")
    client.post("/v1/echo/x", content=SECRET.encode() * 2)
    found = [(line["method"], line["route"], line["status"], line["error"]) for line in lines.all]
    assert found == [
        ("GET", None, 404, "not_found"),
        ("OTHER", "/v1/busy", 405, "method_not_allowed"),
        ("GET", "/v1/busy", 503, "overloaded"),
        ("POST", None, 413, "request_too_large"),
    ]
    assert SECRET not in "".join(lines.raw)


def test_a_client_that_leaves(lines):
    async def receive() -> dict:
        return {"type": "http.disconnect"}

    assert post_below(guarded(lines), receive) == []
    assert lines.last["status"] == 499


def test_a_client_that_leaves_a_route_in_the_middle_of_its_stream(lines):
    messages = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b"x", "more_body": True},
    ]

    async def receive() -> dict:
        return messages.pop()

    app = guarded(lines)

    @app.post("/predict")
    async def predict(request: Request) -> None:
        await request.body()

    assert post_below(app, receive, "/predict") == []
    [line] = lines.all
    assert (line["status"], line["route"]) == (499, "/predict"), "no bug, and nobody to answer"


def test_a_cancelled_request_has_a_line_too(lines):
    app = guarded(lines)

    async def scenario() -> None:
        async def receive() -> dict:
            await asyncio.sleep(60)
            raise AssertionError

        async def send(_) -> None: ...

        scope = {
            "type": "http", "method": "POST", "path": "/v1/echo/x", "raw_path": b"", "headers": [],
            "query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http",
        }  # fmt: skip
        task = asyncio.create_task(app(scope, receive, send))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert lines.last["status"] == 499


def test_a_bug_is_told_with_its_place_but_not_with_its_message(lines):
    response = client_of(guarded(lines)).get("/v1/bug")
    bug, request = lines.all
    assert response.status_code == 500
    error = response.json()["error"]
    assert error["type"] == "internal_error"
    assert error["detail"] == {"request_id": bug["request_id"]}
    assert response.headers["x-request-id"] == bug["request_id"] == request["request_id"]
    assert (bug["event"], bug["level"], bug["route"]) == ("bug", "error", "/v1/bug")
    assert bug["exception"] == ["RuntimeError", "KeyError"]
    assert any(part.startswith("tests/service/guarded.py:") for part in bug["traceback"])
    assert (request["status"], request["error"]) == (500, "internal_error")
    for text in ("".join(lines.raw), response.text):
        assert SECRET not in text
        assert "SECRET" not in text
    assert "RuntimeError" not in response.text


def test_in_debug_mode_the_message_is_there(lines):
    client_of(guarded(lines, debug=True)).get("/v1/bug")
    assert lines.all[0]["message"] == [SECRET, "'ACGTSECRET /secret/path'"]


def test_a_bug_in_the_middle_of_an_answer_ends_it_unfinished(lines):
    messages = [{"type": "http.request", "body": b""}]

    async def receive() -> dict:
        if not messages:
            await asyncio.sleep(60)
        return messages.pop()

    sent = post_below(guarded(lines), receive, "/v1/half")
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"] is True, "the server sees that there is no end"
    assert [line["event"] for line in lines.all] == ["bug", "request"]


def test_lines_go_to_stderr_wherever_it_leads(capsys):
    Log().answered(Record("a", "GET"))
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["request_id"] == "a"


def test_the_messages_of_uvicorn_are_lines_of_the_same_kind(capsys):
    names = ("uvicorn", "uvicorn.error", "uvicorn.access")
    before = {name: (logging.getLogger(name).handlers[:], logging.getLogger(name).propagate)
              for name in names}  # fmt: skip
    try:
        logging.config.dictConfig(uvicorn_log_config())
        log = logging.getLogger("uvicorn.error")
        log.info("Started server process [%d]", 7)
        try:
            raise RuntimeError(SECRET)
        except RuntimeError:
            log.exception("Exception in ASGI application")
    finally:
        for name, (handlers, propagate) in before.items():
            logging.getLogger(name).handlers = handlers
            logging.getLogger(name).propagate = propagate
    err = capsys.readouterr().err
    started, broken = (json.loads(line) for line in err.splitlines())
    assert (started["event"], started["level"]) == ("Started server process [7]", "info")
    assert broken["exception"] == ["RuntimeError"]
    assert SECRET not in err
