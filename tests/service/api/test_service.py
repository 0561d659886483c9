"""The service itself: models, health, and the start."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.app import create_app
from service.errors import ModelContractError, ModelNotFoundError
from service.session import CUDA
from tests.service.api.asking import (
    MAX_BODY,
    MAX_ITEMS,
    PAIR,
    ROUTES,
    assert_error,
    score,
    settings,
)
from tests.toy_models import write_model


def test_models_are_listed_with_the_limits(client):
    body = client.get("/v1/models").json()
    assert [model["name"] for model in body["models"]] == ["sum", "sum_one"]
    assert body["models"][0]["targets"] == ["K562", "HepG2"]
    assert body["limits"] == {
        "max_items": MAX_ITEMS, "max_stream_items": 100_000, "max_region": 3000,
        "max_body_bytes": MAX_BODY, "max_waiting_sequences": 16_384, "timeout": 30, "max_shifts": 9,
    }  # fmt: skip


def test_a_card_is_served_whole(client, toy_models_dir):
    card = json.loads((toy_models_dir / "sum" / "card.json").read_text())
    assert client.get("/v1/models/sum").json() == card


def test_health(client):
    assert client.get("/health/live").json() == {"status": "live"}
    ready = client.get("/health/ready").json()
    assert ready["status"] == "ready"
    assert ready["models"][0] == {"name": "sum", "providers": ["CPUExecutionProvider"]}
    assert ready["device"] == "cpu", "the one in use"
    assert ready["reference"] == "tiny.fa", "the file's name, not its path"


def test_not_ready(client, app, monkeypatch):
    engine = app.state.engine
    engine.batchers["sum"].is_failing = True
    response = client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (503, "failing")
    engine.batchers["sum"].is_failing = False
    assert client.get("/health/ready").status_code == 200
    engine.is_draining = True
    response = client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (503, "draining")
    assert client.get("/health/live").status_code == 200
    assert score(client, sequences=[PAIR])["results"], "what comes is still answered"


def test_a_service_for_cuda_is_not_ready_on_anything_else(app, client, monkeypatch):
    app.state.engine.settings = app.state.engine.settings.model_copy(update={"device": "cuda"})
    response = client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (503, "failing")
    assert response.json()["models"][0]["providers"] == ["CPUExecutionProvider"]
    assert response.json()["device"] == "cpu"
    monkeypatch.setattr(
        app.state.engine,
        "models",
        {"sum": SimpleNamespace(providers=(CUDA, "CPUExecutionProvider"))},
    )
    assert client.get("/health/ready").json()["device"] == "cuda"


@pytest.mark.parametrize("path", [path for path, method in ROUTES.items() if method == "GET"])
def test_head_is_get_without_its_body(client, path):
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))


def test_head_of_a_route_without_get(client):
    response = client.head("/v1/score")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert client.head("/v1/nowhere").status_code == 404


def test_a_service_that_cannot_work_does_not_start(tmp_path, toy_models_dir):
    with pytest.raises(ModelNotFoundError):
        create_app(settings(tmp_path))
    with pytest.raises(ModelNotFoundError):
        create_app(settings(toy_models_dir, model="dh8"))
    (write_model(tmp_path) / "model.onnx").write_bytes(b"junk")
    with pytest.raises(ModelContractError):
        create_app(settings(tmp_path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["model", "variants", "sequences", "strands", "ref", "alt", "pos", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def test_no_json_at_all_causes_a_500(client):
    @given(JSON)
    def post(body) -> None:
        response = client.post(
            "/v1/score",
            content=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        if response.status_code != 200:
            assert_error(response, response.status_code)
            assert response.status_code < 500

    post()
