"""Errors: one shape for all, save for the protocols that have their own."""

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.guarded import client_of, guarded


def test_retry_after_is_in_whole_seconds_upwards():
    response = client_of(guarded()).get("/v1/busy")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "3"


def test_a_wrong_method_says_which_are_right():
    response = client_of(guarded()).delete("/v1/charge/1")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert response.json()["error"]["type"] == "method_not_allowed"


@pytest.fixture(scope="module")
def client(toy_models_dir):
    settings = Settings(models=toy_models_dir, threads=1, device="cpu", max_body_bytes=200)
    with TestClient(create_app(settings), raise_server_exceptions=False) as opened:
        yield opened


LONG, PACKED = {"content": b"x" * 300}, {"headers": {"content-encoding": "gzip"}, "content": b"x"}


@pytest.mark.parametrize(("how", "code"), [(LONG, 413), (PACKED, 415), ({}, 405)])
def test_what_never_reaches_a_route_has_the_shape_of_its_protocol(client, how, code):
    response = client.put("/v2", **how)
    assert response.status_code == code
    assert list(response.json()) == ["error"]
    assert isinstance(response.json()["error"], str)
    response = client.put("/formats", **how)
    assert response.status_code == code
    assert response.json().keys() == {"predictor_name", "error"}
    assert list(response.json()["error"][0]) == ["bad_prediction_request"]
    response = client.put("/v1/models", **how)
    assert response.status_code == code
    assert response.json()["error"].keys() == {"type", "message", "detail"}


def test_the_shape_goes_by_whole_names(client):
    assert isinstance(client.get("/v2/nowhere").json()["error"], str)
    assert isinstance(client.get("/v2x").json()["error"], dict)


def test_a_bug_in_a_protocol_has_its_shape_too(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr("service.web.game.help_message", broken)
    response = client.get("/help")
    assert response.status_code == 500
    assert list(response.json()["error"][0]) == ["server_error"]
    assert "secret" not in response.text


def test_a_refused_method_is_told_of_all_that_its_path_has():
    # The router knew of the first of several routes only.
    app, more = guarded(), APIRouter()

    @more.get("/v1/both/{name}")
    async def one() -> None: ...

    @more.delete("/v1/both/{name}")
    async def other() -> None: ...

    app.include_router(more)
    response = client_of(app).put("/v1/both/x")
    assert response.status_code == 405
    assert response.headers["allow"] == "DELETE, GET"
    assert client_of(app).put("/v1/busy").headers["allow"] == "GET"
