"""Many requests, long ones, late ones: what waits, what is refused, what is streamed."""

import asyncio
import json
import threading
import time
from contextlib import ExitStack

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.batcher import Lane
from service.registry import Model
from tests.service.api.asking import (
    LINES,
    PAIR,
    SCOPE,
    SNV,
    assert_error,
    lines_of,
    score,
    settings,
)


def test_a_queue_that_is_full(toy_models_dir, monkeypatch):
    release, started = threading.Event(), threading.Event()
    app = create_app(settings(toy_models_dir, model="sum", max_waiting_sequences=6))
    original = Model.run

    def slow(self, bases):
        started.set()
        assert release.wait(30)
        return original(self, bases)

    monkeypatch.setattr(Model, "run", slow)

    async def scenario() -> tuple[httpx.Response, ...]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            body = {"sequences": [PAIR]}  # four sequences
            first = asyncio.create_task(client.post("/v1/score", json=body))
            while not started.is_set():
                await asyncio.sleep(0.01)
            # The loop answers while the model runs.
            live = await client.get("/health/live")
            second = await client.post("/v1/score", json=body)
            half = asyncio.create_task(client.post("/v1/score", json=body | {"strands": 1}))
            await asyncio.sleep(0.05)
            release.set()
            return await first, live, second, await half, await client.post("/v1/score", json=body)

    first, live, second, *others = asyncio.run(scenario())
    assert [response.status_code for response in (first, live, *others)] == [200] * 4
    assert assert_error(second, 503, "try again") == {"limit": 6, "waiting": 4}
    assert int(second.headers["retry-after"]) > 0
    app.state.engine.close()


def test_a_client_that_leaves_frees_its_place(toy_models_dir, monkeypatch):
    """What it asked for does not run, and the next one is admitted."""
    release, started, n_run = threading.Event(), threading.Event(), []
    app = create_app(settings(toy_models_dir, model="sum", max_waiting_sequences=8))
    original = Model.run

    def slow(self, bases):
        n_run.append(len(bases))
        started.set()
        assert release.wait(30)
        return original(self, bases)

    monkeypatch.setattr(Model, "run", slow)
    content = json.dumps({"sequences": [PAIR]}).encode()

    async def post(gone: asyncio.Event) -> list[dict]:
        pending = [{"type": "http.request", "body": content}]

        async def receive() -> dict:
            if pending:
                return pending.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        sent: list[dict] = []

        async def send(message) -> None:
            sent.append(message)

        await app(SCOPE | {"headers": [(b"content-type", b"application/json")]}, receive, send)
        return sent

    async def scenario() -> None:
        stays, leaves = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(post(stays))
        while not started.is_set():
            await asyncio.sleep(0.01)
        second = asyncio.create_task(post(leaves))
        await asyncio.sleep(0.05)
        # Four looks at the pair; its two strands share a sequence.
        assert app.state.engine.batchers["sum"].depth(Lane.INTERACTIVE) == 3
        assert (await post(stays))[0]["status"] == 503
        leaves.set()
        assert (await second)[0]["status"] == 499
        assert app.state.engine.batchers["sum"].depth(Lane.INTERACTIVE) == 0
        third = asyncio.create_task(post(stays))
        await asyncio.sleep(0.05)
        release.set()
        assert [(await one)[0]["status"] for one in (first, third)] == [200, 200]

    asyncio.run(scenario())
    assert n_run == [3, 3]
    app.state.engine.close()


def test_under_overload_nothing_is_parsed_to_be_refused(client, app):
    with ExitStack() as held:
        for batcher in app.state.engine.batchers.values():
            held.enter_context(batcher.admitted(batcher.max_waiting, None))
        for path in ("/v1/score", "/v1/sequences"):
            response = client.post(path, content=b"{")
            assert_error(response, 503, "try again")
            assert int(response.headers["retry-after"]) > 0
            wrong = client.post(path, content=b"{", headers={"x-timeout-seconds": "soon"})
            assert_error(wrong, 422, "X-Timeout-Seconds")  # it would be told so every time
            assert "retry-after" not in wrong.headers
        assert_error(client.get("/v1/score"), 405)
        assert_error(client.post("/v1/saturation", json={}), 422)
        assert client.get("/v1/models").status_code == 200
        # Another lane, whose places are free.
        lines = client.post("/v1/score", json={"sequences": [PAIR]}, headers=LINES)
        assert (lines.status_code, len(lines_of(lines))) == (200, 2)
    assert score(client, sequences=[PAIR])["results"]


def test_a_model_that_is_full_leaves_the_others_alone(client, app):
    batcher = app.state.engine.batchers["sum"]
    with batcher.admitted(batcher.max_waiting, None):
        full = client.post("/v1/score", json={"model": "sum", "sequences": [PAIR]})
        assert_error(full, 503)
        assert score(client, model="sum_one", sequences=[PAIR])["results"]


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", "4000", ""])
def test_a_timeout_that_is_no_time(client, value):
    headers = {"x-timeout-seconds": value}
    response = client.post("/v1/score", json={"sequences": [PAIR]}, headers=headers)
    assert_error(response, 422, "X-Timeout-Seconds")


def test_a_deadline(toy_models_dir, monkeypatch):
    with TestClient(create_app(settings(toy_models_dir, model="sum", timeout=0.2))) as client:
        body = {"sequences": [PAIR]}
        assert client.post("/v1/score", json=body).status_code == 200
        original = Model.run
        monkeypatch.setattr(Model, "run", lambda *given: time.sleep(0.4) or original(*given))
        assert_error(client.post("/v1/score", json=body), 504, kind="deadline_exceeded")
        patient = client.post("/v1/score", json=body, headers={"x-timeout-seconds": "20"})
        assert patient.status_code == 200


def test_requests_together_get_what_each_gets_alone(client, app):
    bodies = [
        {"variants": [SNV | {"id": str(number)}, SNV | {"pos": 30 + number, "alt": "T"}]}
        for number in range(6)
    ]
    bodies += [{"sequences": [PAIR]}, {"sequences": [PAIR | {"alt": "ACG"}], "strands": 1}]
    bodies += [{"variants": [SNV], "coverage": 0.5}, {"variants": [], "model": "sum_one"}]
    alone = [score(client, **body) for body in bodies]

    async def scenario() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as together:
            return await asyncio.gather(
                *(together.post("/v1/score", json=body) for body in bodies * 4)
            )

    for number, response in enumerate(asyncio.run(scenario())):
        assert response.json() == alone[number % len(bodies)]


def test_a_long_list_is_streamed(toy_models_dir, tiny_fasta):
    given = settings(toy_models_dir, reference=tiny_fasta, max_items=200, max_body_bytes=1 << 20)
    with TestClient(create_app(given)) as client:
        variants = [SNV | {"id": str(number), "pos": 1 + number % 103} for number in range(200)]
        whole = score(client, variants=variants)
        too_many = client.post("/v1/score", json={"variants": variants * 2})
        assert_error(too_many, 413, "application/x-ndjson")
        head, *results = lines_of(
            client.post("/v1/score", json={"variants": variants * 2}, headers=LINES)
        )
    assert head | {"results": whole["results"]} == whole
    assert [result["index"] for result in results] == list(range(400))
    for result, expected in zip(results, whole["results"] * 2, strict=True):
        assert result | {"index": 0} == expected | {"index": 0}


def test_limits_of_streams(toy_models_dir):
    given = settings(toy_models_dir, max_stream_items=3, max_items=2)
    with TestClient(create_app(given)) as client:
        response = client.post("/v1/score", json={"sequences": [PAIR] * 4}, headers=LINES)
        assert assert_error(response, 413) == {"limit": 3, "given": 4}
        assert len(lines_of(client.post("/v1/score", json={"sequences": []}, headers=LINES))) == 1


def test_a_stream_that_fails_says_so_in_its_last_line(toy_models_dir, monkeypatch):
    with TestClient(create_app(settings(toy_models_dir, model="sum"))) as client:
        original = Model.run
        monkeypatch.setattr(Model, "run", lambda *given: time.sleep(0.5) or original(*given))
        headers = LINES | {"x-timeout-seconds": "0.2"}
        head, last = lines_of(client.post("/v1/score", json={"sequences": [PAIR]}, headers=headers))
        assert "provenance" in head
        assert last["error"]["type"] == "deadline_exceeded"


def test_places_for_long_calls_are_few(app):
    engine = app.state.engine
    with TestClient(app) as client, ExitStack() as held:
        for _ in range(engine.settings.max_long):
            held.enter_context(engine.long_place())
        region = {"contig": "chr1", "start": 40, "end": 42}
        for path, body in (("score", {"sequences": [PAIR]}), ("saturation", region)):
            response = client.post(f"/v1/{path}", json=body, headers=LINES)
            assert_error(response, 503, "long calls")
            assert int(response.headers["retry-after"]) > 0
        assert score(client, sequences=[PAIR])["results"], "the others go on"
