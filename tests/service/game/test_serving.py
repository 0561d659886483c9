"""What the predictor says of itself, and how it serves many at once."""

import asyncio
import json
import math

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.errors import OverloadedError
from service.settings import Settings
from service.web import game
from tests.service.game.asking import (
    JSON,
    MSGPACK,
    TWO_MODELS,
    W,
    assert_error,
    expected,
    numbers,
    post,
    predicted,
    request,
    task,
)
from tests.service.guarded import post_below
from tests.toy_models import SumModel, write_model


def test_formats_and_help(client):
    formats = client.get("/formats").json()
    assert formats.keys() == {
        "predictor_name", "predictor_supported_request_formats",
        "predictor_supported_response_formats",
    }  # fmt: skip
    for side in ("request", "response"):
        assert formats[f"predictor_supported_{side}_formats"] == [JSON, MSGPACK]
    told = client.get("/help", headers={"accept": MSGPACK}).json()
    assert told["predictor_name"] == formats["predictor_name"]
    assert told["game_schema_version"] == "1.0"
    assert told["cell_types"] == ["K562", "HepG2", "WTC11"]
    assert told["features"] == ["expression"] * 3
    assert told["species"] == ["homo_sapiens"]
    assert told["input_size"] == W
    assert told["expression_strand_specific"] is False
    for key in ("model", "publication", "container_authors", "model_authors"):
        assert isinstance(told[key], str)


def test_the_name_of_the_predictor_is_a_file_name_and_changes_with_the_model(client, tmp_path):
    name = client.get("/help").json()["predictor_name"]
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._")
    write_model(tmp_path, SumModel(members=2), name="a")
    with TestClient(create_app(Settings(models=tmp_path, threads=1, device="cpu"))) as other:
        assert other.get("/help").json()["predictor_name"] != name


def test_errors_from_outside_the_route_have_the_shape(client, monkeypatch):
    assert_error(client, client.get("/predict"), 405, key="bad_prediction_request")

    async def broken(*_, **__):
        raise RuntimeError("secret")

    monkeypatch.setattr(client.app.state.engine, "predict_long", broken)
    messages = assert_error(client, post(client, request()), 500)
    assert "secret" not in str(messages)


def test_a_request_waits_for_a_place(client, monkeypatch):
    engine, tries = client.app.state.engine, []
    predict_long = engine.predict_long

    async def busy(*arguments, **options):
        tries.append(arguments)
        if len(tries) < 3:
            raise OverloadedError("no place", retry_after=0.01)
        return await predict_long(*arguments, **options)

    monkeypatch.setattr(engine, "predict_long", busy)
    predicted(post(client, request()))
    assert len(tries) == 3
    tries.clear()
    monkeypatch.setattr(game, "_PATIENCE", -math.inf)
    assert_error(client, post(client, request()), 503, "no place", key="server_error")
    assert len(tries) == 1


def test_many_at_once_are_all_answered(client):
    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as caller:
            body = json.dumps(request())
            return await asyncio.gather(
                *(caller.post("/predict", content=body) for _ in range(3 * game._AT_ONCE))
            )

    responses = asyncio.run(main())
    for response in responses:
        [answer] = predicted(response)
        assert numbers(answer) == pytest.approx(expected(0), rel=1e-6)


def test_a_body_that_does_not_come_is_given_up(models_dir):
    settings = Settings(
        models=models_dir, threads=1, device="cpu",
        body_timeout=0.5, max_body_bytes=1000, game_max_body_bytes=10_000,
    )  # fmt: skip
    app = create_app(settings)

    async def receive() -> dict:
        await asyncio.sleep(30)
        raise AssertionError("it was waited for")

    sent = post_below(app, receive, "/predict")
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"] == [
        {"bad_prediction_request": "the body came more slowly than 2000 bytes a second"}
    ], "at the pace of other routes"
    left = [b" " * 500] * 6

    async def receive_slowly() -> dict:
        await asyncio.sleep(0.15)
        return {"type": "http.request", "body": left.pop(), "more_body": bool(left)}

    assert post_below(app, receive_slowly, "/predict")[0]["status"] == 400, "longer, but at a pace"
    app.state.engine.close()


def test_a_client_that_leaves_frees_its_places(client, monkeypatch):
    # The model went on for minutes, for nobody.
    engine, running = client.app.state.engine, asyncio.Event()

    async def endless(*_, **__):
        with engine.long_place():
            running.set()
            await asyncio.sleep(10)

    monkeypatch.setattr(engine, "predict_long", endless)
    messages = [{"type": "http.request", "body": json.dumps(request()).encode()}]

    async def receive() -> dict:
        if messages:
            return messages.pop()
        await running.wait()
        assert engine._n_long == 1
        return {"type": "http.disconnect"}

    assert post_below(client.app, receive, "/predict")[0]["status"] == 499
    assert engine._n_long == 0


def test_all_models_of_a_request_have_one_deadline_and_the_wait_for_a_place_counts(
    client, monkeypatch
):
    deadlines, predict_long = [], client.app.state.engine.predict_long

    async def noted(*arguments, deadline):
        deadlines.append(deadline)
        return await predict_long(*arguments)

    monkeypatch.setattr(client.app.state.engine, "predict_long", noted)
    content = json.dumps(request(task(), task("unknown"), task("WTC11")))
    monkeypatch.setattr(game, "served_targets", lambda _: TWO_MODELS)
    headers = {"x-timeout-seconds": "50"}
    assert client.post("/predict", content=content, headers=headers).status_code == 200
    assert len(deadlines) == 2
    assert len(set(deadlines)) == 1
    monkeypatch.setattr(client.app.state, game._PLACES, asyncio.Semaphore(0))
    response = client.post("/predict", content=content, headers={"x-timeout-seconds": "0.05"})
    assert_error(client, response, 504, key="server_error")
