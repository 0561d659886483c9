"""What a GAME evaluator asks, what it should be told, and how every error must look."""

import json
from collections.abc import Mapping
from typing import Any

import msgpack
from fastapi.testclient import TestClient

from service.constructs import ADAPTERS, construct_windows
from service.game.predictor import Target
from tests.toy_models import SumModel

JSON, MSGPACK = "application/json", "application/msgpack"
W = 20
# Exact in float32, and small enough for 2^x.
TINY = SumModel(base_weights=(1 / 64, 2 / 64, 4 / 64, 8 / 64, 0))
SEQUENCES = {
    "WTC11_seq9998_F": "AACCGGTTAACCGGTTAACC",
    "C:SLEA_hg18:chr9:82902419-82902586|8:V_PPARA_02:CCGG;30:V_HNF1_C:AG": "ACGTN" * 4,
    "short": "gattaca",
    "a-z.A_Z~0#@%^&*()": ADAPTERS[0] + "TTTTGGGGCCCCAAAATTTT" + ADAPTERS[1],
    "Grün": "ACGT" * 12,
}
UPSTREAM, DOWNSTREAM = "TTGACG" * 50 + ADAPTERS[0], ADAPTERS[1] + "GGCTCC" * 50
TARGETS = [Target("m", i, name, name) for i, name in enumerate(("K562", "HepG2", "WTC11"))]
TWO_MODELS = [Target("a", 0, "K562", "K562"), Target("b", 0, "WTC11", "WTC11")]
KEYS = {400: "bad_prediction_request", 422: "prediction_request_failed", 500: "server_error"}


def task(cell_type: str = "lymphoblasts (K562)", **changes) -> dict[str, Any]:
    return {
        "name": f"task of {cell_type}",
        "type": "expression",
        "cell_type": cell_type,
        "scale": "log",
        "species": "homo_sapiens",
    } | changes


def request(*tasks: dict[str, Any], **changes) -> dict[str, Any]:
    return {
        "readout": "point",
        "prediction_tasks": list(tasks or [task()]),
        "upstream_seq": UPSTREAM,
        "downstream_seq": DOWNSTREAM,
        "sequences": SEQUENCES,
        "prediction_ranges": {name: [320, 600] for name in SEQUENCES},
    } | changes


def encoded(content: Any, form: str | None) -> bytes:
    return msgpack.packb(content) if form == MSGPACK else json.dumps(content).encode()


def post(client: TestClient, content: Any, send: str | None = JSON, accept: str = JSON):
    body = encoded(content, send)
    headers = {"accept": accept} | ({"content-type": send} if send else {})
    return client.post("/predict", content=body, headers=headers)


def predicted(response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    is_packed = response.headers["content-type"] == MSGPACK
    body = msgpack.unpackb(response.content) if is_packed else response.json()
    assert body.keys() == {"predictor_name", "prediction_tasks"}
    return body["prediction_tasks"]


def expected(column: int, model: SumModel = TINY, content: Mapping[str, Any] | None = None):
    content = content or request()
    codes = construct_windows(
        list(content["sequences"].values()),
        model.width,
        upstream=content["upstream_seq"],
        downstream=content["downstream_seq"],
    )
    return model.mu(codes).mean(axis=1)[:, column].tolist()


def numbers(task: Mapping[str, Any]) -> list[float]:
    assert all(len(values) == 1 for values in task["predictions"].values())
    return [values[0] for values in task["predictions"].values()]


def assert_error(client: TestClient, response, code: int, *parts: str, key: str = "") -> list[str]:
    assert response.status_code == code, response.text
    assert response.headers["content-type"] == JSON
    body = response.json()
    assert body.keys() == {"predictor_name", "error"}
    assert body["predictor_name"] == client.get("/formats").json()["predictor_name"]
    key = key or KEYS[code]
    assert all(each.keys() == {key} for each in body["error"])
    messages = [each[key] for each in body["error"]]
    assert messages
    for message, part in zip(messages, parts, strict=False):
        assert part in message
    return messages
