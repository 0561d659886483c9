"""KServe V2: metadata, health, inference and the one shape of its errors."""

import asyncio
import json
from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.errors import OverloadedError
from service.settings import Settings
from tests.service.guarded import post_below
from tests.toy_models import SumModel

W, M, T = 20, 3, 2
CODES = np.random.default_rng(0).integers(0, 5, (3, W), dtype=np.uint8)


@pytest.fixture(scope="module")
def client(toy_models_dir) -> Iterator[TestClient]:
    settings = Settings(models=toy_models_dir, threads=1, device="cpu", max_items=5)
    with TestClient(create_app(settings), raise_server_exceptions=False) as opened:
        yield opened


def tensor(codes: np.ndarray = CODES, **changes) -> dict:
    return {
        "name": "bases",
        "shape": list(codes.shape),
        "datatype": "UINT8",
        "data": codes.ravel().tolist(),
    } | changes


def infer(client: TestClient, *inputs: dict, path: str = "/v2/models/sum/infer", **more):
    return client.post(path, json={"inputs": list(inputs or [tensor()])} | more)


def outputs(response) -> dict[str, np.ndarray]:
    assert response.status_code == 200, response.text
    return {
        output["name"]: np.array(output["data"], np.float32).reshape(output["shape"])
        for output in response.json()["outputs"]
    }


def assert_error(response, code: int, *parts: str) -> None:
    assert response.status_code == code, response.text
    body = response.json()
    assert body.keys() == {"error"}
    assert all(part in body["error"] for part in parts), body


def test_a_key_that_occurs_twice_is_refused(client):
    text = json.dumps({"inputs": [tensor()], "id": "a"})
    assert_error(
        client.post("/v2/models/sum/infer", content=text[:-1] + ', "id": "b"}'), 400, "twice"
    )


def test_server_and_health(client):
    assert client.get("/v2").json().keys() == {"name", "version", "extensions"}
    assert client.get("/v2/health/live").json() == {"live": True}
    ready = client.get("/v2/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True})
    assert client.get("/v2/models/sum/ready").json() == {"name": "sum", "ready": True}


def test_a_draining_server_is_alive_and_not_ready(client, monkeypatch):
    monkeypatch.setattr(client.app.state.engine, "is_draining", True)
    assert client.get("/v2/health/live").status_code == 200
    for path in ("/v2/health/ready", "/v2/models/sum/ready"):
        response = client.get(path)
        assert (response.status_code, response.json()["ready"]) == (503, False)


def test_metadata_describes_the_tensors(client):
    told = client.get("/v2/models/sum").json()
    assert told["name"] == "sum"
    assert told["platform"] == "onnx_onnxv1"
    assert told["inputs"] == [{"name": "bases", "datatype": "UINT8", "shape": [-1, W]}]
    assert told["outputs"] == [
        {"name": name, "datatype": "FP32", "shape": [-1, M, T]} for name in ("mu", "sigma")
    ]
    [version] = told["versions"]
    assert client.app.state.engine.models["sum"].info.model_sha256.startswith(version)
    assert client.get(f"/v2/models/sum/versions/{version}").json() == told
    assert client.get(f"/v2/models/sum/versions/{version}/ready").status_code == 200


def test_inference_is_what_the_model_says(client):
    got = outputs(response := infer(client))
    assert np.array_equal(got["mu"], SumModel().mu(CODES))
    assert np.array_equal(got["sigma"], SumModel().sigma(CODES))
    assert response.json()["model_name"] == "sum"
    assert "id" not in response.json()
    version = response.json()["model_version"]
    again = infer(client, path=f"/v2/models/sum/versions/{version}/infer")
    assert again.json() == response.json()


def test_rows_ids_parameters_and_a_choice_of_outputs(client):
    response = infer(
        client,
        tensor(data=CODES.tolist(), parameters={"note": 1}),
        id="42",
        parameters={"priority": 1},
        outputs=[{"name": "sigma", "parameters": {"binary_data": False}}],
    )
    assert response.json()["id"] == "42"
    assert outputs(response).keys() == {"sigma"}


def test_more_than_max_items_go_through_the_batch_lane(client):
    codes = np.tile(CODES, (4, 1))
    lanes = []
    client.app.state.engine.observers.append(
        lambda _model, _n, _seconds, by_lane: lanes.append({k.name: v for k, v in by_lane.items()})
    )
    assert np.array_equal(outputs(infer(client, tensor(codes)))["mu"], SumModel().mu(codes))
    assert sum(each["BATCH"] for each in lanes) == len(codes)
    infer(client)
    assert sum(each["INTERACTIVE"] for each in lanes) == len(CODES)


def test_a_client_that_leaves_is_not_waited_for(client, monkeypatch):
    running, ended = asyncio.Event(), []

    async def endless(*_, **__):
        running.set()
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(True)

    monkeypatch.setattr(client.app.state.engine, "predict", endless)
    messages = [{"type": "http.request", "body": json.dumps({"inputs": [tensor()]}).encode()}]

    async def receive() -> dict:
        if messages:
            return messages.pop()
        await running.wait()
        return {"type": "http.disconnect"}

    assert post_below(client.app, receive, "/v2/models/sum/infer")[0]["status"] == 499
    assert ended


def test_a_body_without_content_type_is_json(client):
    body = json.dumps({"inputs": [tensor()]})
    assert client.post("/v2/models/sum/infer", content=body).status_code == 200


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"name": "x"}, "named bases"),
        ({"datatype": "FP32"}, "UINT8"),
        ({"shape": [3, W + 1]}, "[N, 20]"),
        ({"shape": [0, W], "data": []}, "at least 1"),
        ({"shape": [True, W]}, "[N, 20]"),
        ({"shape": [3 * W]}, "[N, 20]"),
        ({"shape": None}, "[N, 20]"),
        ({"data": None}, "a list"),
        ({"data": []}, "whole numbers"),
        ({"data": [0] * 59}, "59 numbers, the shape [3, 20] asks for 60"),
        ({"data": [0.0] * 60}, "whole numbers"),
        ({"data": [True] * 60}, "whole numbers"),
        ({"data": ["0"] * 60}, "whole numbers only; element 0 ([0, 0]) is '0'"),
        ({"data": [0] * 59 + [5]}, "(ACGTN); element 59 ([2, 19]) is 5"),
        ({"data": [0] * 59 + [-1]}, "from 0 to 4"),
        ({"data": [0] * 59 + [10**30]}, "from 0 to 4"),
        ({"data": [[0] * W, [0] * W, [0] * 19]}, "data[2] holds 19 numbers, not 20"),
        ({"data": [[0] * W, [0] * W]}, "2 rows, the shape [3, 20] asks for 3"),
        ({"data": [[0] * W, [0] * W, [[0]] * W]}, "whole numbers"),
        ({"parameters": {"binary_data_size": 60}}, "binary extension"),
        ({"parameters": 3}, "an object"),
    ],
)
def test_a_tensor_that_is_not_the_models_is_refused(client, changes, part):
    assert_error(infer(client, tensor(**changes)), 400, part)


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"id": 3}, "id"),
        ({"inputs": []}, "one tensor"),
        ({"inputs": [tensor(), tensor()]}, "one tensor"),
        ({"inputs": {"bases": []}}, "one tensor"),
        ({"outputs": [{"name": "y"}]}, "mu and sigma"),
        ({"outputs": [{}]}, "mu and sigma"),
        ({"outputs": [{"name": []}]}, "mu and sigma"),
        ({"outputs": "mu"}, "list"),
        ({"outputs": [{"name": "mu", "parameters": {"binary_data": True}}]}, "binary extension"),
        ({"parameters": {"binary_data_output": True}}, "binary extension"),
    ],
)
def test_a_request_that_is_none_is_refused(client, more, part):
    assert_error(infer(client, **more), 400, part)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_a_body_that_is_no_object_is_refused(client, body):
    assert_error(client.post("/v2/models/sum/infer", content=body), 400)


def test_the_header_of_the_binary_extension_is_refused(client):
    headers = {"Inference-Header-Content-Length": "20"}
    response = client.post("/v2/models/sum/infer", json={"inputs": [tensor()]}, headers=headers)
    assert_error(response, 400, "binary extension")


@pytest.mark.parametrize("tail", ["", "/ready", "/infer"])
def test_other_models_and_versions_are_404(client, tail):
    call = client.post if tail == "/infer" else client.get
    assert_error(call(f"/v2/models/none{tail}"), 404, "none")
    assert_error(call(f"/v2/models/sum/versions/1{tail}"), 404, "no version '1'")


def test_errors_of_all_sides_have_the_shape(client, monkeypatch):
    assert_error(client.get("/v2/nothing"), 404)
    assert_error(client.get("/v2/models/sum/infer"), 405)

    async def overloaded(*_, **__):
        raise OverloadedError("too much", retry_after=3)

    monkeypatch.setattr(client.app.state.engine, "predict", overloaded)
    response = infer(client)
    assert_error(response, 503, "too much")
    assert response.headers["retry-after"] == "3"


def test_numbers_that_json_does_not_have_are_an_error(client, monkeypatch):
    engine = client.app.state.engine
    predict = engine.predict

    async def broken(*arguments, **options):
        predictions = await predict(*arguments, **options)
        predictions.mu[0, 0, 0] = np.nan
        return predictions

    monkeypatch.setattr(engine, "predict", broken)
    assert_error(infer(client), 500, "NaN")
