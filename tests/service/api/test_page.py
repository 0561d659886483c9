"""The OpenAPI page: its examples are true."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from service import examples
from service.app import create_app
from service.settings import Settings
from tests.lean_client import ROOT
from tests.service.api.asking import MAX_ITEMS, PAIR, ROUTES, score, settings
from tests.toy_models import SumModel, write_model


@pytest.fixture
def dh7_client(tmp_path, tiny_fasta) -> Iterator[TestClient]:
    """A server whose toy model bears the name that the examples use."""
    write_model(tmp_path / "models", SumModel(width=200), name="dh7")
    with TestClient(
        create_app(Settings(models=tmp_path / "models", reference=tiny_fasta, threads=1))
    ) as client:
        yield client


@pytest.mark.parametrize("name", examples.SCORE_REQUESTS)
def test_every_request_example_is_answered(dh7_client, name):
    body = examples.SCORE_REQUESTS[name]["value"]
    answer = score(dh7_client, **body)
    assert len(answer["results"]) == len(body.get("variants") or body["sequences"])


@pytest.mark.parametrize(
    ("path", "requests", "known"),
    [
        ("/v1/sequences", examples.SEQUENCES_REQUESTS, examples.SEQUENCES_RESPONSE),
        ("/v1/saturation", examples.SATURATION_REQUESTS, examples.SATURATION_RESPONSE),
    ],
)
def test_the_other_examples_are_answered_as_they_say(tmp_path, path, requests, known):
    write_model(tmp_path, SumModel(width=200), name="dh7")
    fasta = ROOT / "examples" / "chr17.hg19.part.fa"
    with TestClient(create_app(settings(tmp_path, reference=fasta))) as client:
        for example in requests.values():
            response = client.post(path, json=example["value"])
            assert response.status_code == 200, response.text
            assert response.json().keys() == known.keys()
            real = response.json().get("results", [{}])[0] or response.json()["targets"]["K562"]
            shown = known.get("results", [{}])[0] or known["targets"]["K562"]
            assert real.keys() == shown.keys()


def test_examples_of_variants_lie_on_the_example_slice(tmp_path):
    root = ROOT
    write_model(tmp_path, SumModel(width=200), name="dh7")
    copy = tmp_path / "slice.fa"
    copy.write_bytes((root / "examples" / "chr17.hg19.part.fa").read_bytes())
    with TestClient(create_app(settings(tmp_path, reference=copy, assembly="GRCh37"))) as client:
        answer = score(client, **examples.SCORE_REQUESTS["variants"]["value"])
    assert [result["status"] for result in answer["results"]] == ["ok", "ref_mismatch", "ok"]
    assert answer["provenance"]["assembly"] == "GRCh37"


def resolve(schema: dict, spec: dict) -> dict:
    name = schema.get("$ref", "").rpartition("/")[2]
    return spec["components"]["schemas"][name] if name else schema


def test_response_examples_look_like_the_real_answers(dh7_client):
    def keys(value, known):
        if isinstance(value, dict) and isinstance(known, dict):
            for key in set(value) & set(known):
                keys(value[key], known[key])
            assert set(value) <= set(known), set(value) - set(known)
        elif isinstance(value, list) and isinstance(known, list) and known:
            for part in value:
                keys(part, known[0])

    real = score(dh7_client, sequences=[PAIR])
    keys(examples.SCORE_RESPONSE, real)
    keys(examples.MODEL_LIST, dh7_client.get("/v1/models").json())
    keys(examples.READY, dh7_client.get("/health/ready").json())
    keys(examples.CARD, dh7_client.get("/v1/models/dh7").json())


def test_the_page_documents_every_route_with_examples_limits_and_the_error_shape(client):
    spec = client.get("/openapi.json").json()
    assert f"{MAX_ITEMS} items" in spec["info"]["description"]
    for path in {path.replace("/sum", "/{name}") for path in ROUTES}:
        for operation in spec["paths"][path].values():
            ok = operation["responses"]["200"]["content"]["application/json"]
            assert "example" in ok or path == "/health/live"
            for code, response in operation["responses"].items():
                if code != "200":
                    schema = response["content"]["application/json"]["schema"]
                    is_state = (path, code) == ("/health/ready", "503")
                    assert schema["$ref"].endswith("/Ready" if is_state else "/ErrorBody")
    body = spec["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"].keys() == examples.SCORE_REQUESTS.keys()
    assert resolve(body["schema"], spec)["additionalProperties"] is False
