"""The OpenAPI page: its examples are what the model of this repository answers."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from service import examples, triage_examples
from service.app import create_app
from service.settings import Settings
from service.web import game_docs, jobs_docs
from tests.lean_client import ROOT
from tests.service.api.asking import MAX_ITEMS, PAIR, ROUTES, score, settings
from tests.service.job_desk import finished
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


# Of the machine, and of the day.
OF_THE_PLACE = {"onnxruntime", "threads", "created", "started", "finished", "id", "result"}


@pytest.fixture(scope="module")
def real_client(tmp_path_factory) -> Iterator[TestClient]:
    """A server of the model and the slice that the examples are of."""
    served = Settings(
        model=("dh7",),
        reference=ROOT / "examples" / "chr17.hg19.part.fa",
        assembly="GRCh37",
        device="cpu",
        threads=1,
        jobs=tmp_path_factory.mktemp("page") / "jobs",
    )
    with TestClient(create_app(served)) as client:
        yield client


def assert_shown(shown, real, where: str = "") -> None:
    """All that an example shows is in the real answer; that may have more keys."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            assert key in real, f"{where}.{key}"
            if key not in OF_THE_PLACE or (key == "id" and "index" in real):
                assert_shown(value, real[key], f"{where}.{key}")
    elif isinstance(shown, list):
        assert len(shown) == len(real), where
        for place, parts in enumerate(zip(shown, real, strict=True)):
            assert_shown(*parts, f"{where}.{place}")
    elif isinstance(shown, float):
        assert real == pytest.approx(shown, abs=1e-3), where
    else:
        assert shown == real, where


@pytest.mark.parametrize(
    ("path", "request_", "shown"),
    [
        ("/v1/score", examples.SCORE_REQUESTS["variants"]["value"], examples.SCORE_RESPONSE),
        ("/v1/triage", triage_examples.REQUESTS["variants"]["value"], triage_examples.RESPONSE),
        (
            "/v1/sequences",
            examples.SEQUENCES_REQUESTS["sequences"]["value"],
            examples.SEQUENCES_RESPONSE,
        ),
        (
            "/v1/saturation",
            examples.SATURATION_REQUESTS["region"]["value"],
            examples.SATURATION_RESPONSE,
        ),
        ("/v1/models", None, examples.MODEL_LIST),
        ("/v1/models/dh7", None, examples.CARD),
        ("/health/ready", None, examples.READY),
        ("/predict", game_docs.REQUEST, game_docs.ANSWER),
        ("/formats", None, game_docs.FORMATS[200]["content"]["application/json"]["example"]),
        ("/help", None, game_docs.HELP[200]["content"]["application/json"]["example"]),
    ],
)
def test_an_answer_that_is_shown_is_the_real_one(real_client, path, request_, shown):
    response = (
        real_client.post(path, json=request_) if request_ is not None else real_client.get(path)
    )
    assert response.status_code == 200, response.text
    assert_shown(shown, response.json())


def test_a_map_says_of_each_target_whether_it_is_calibrated(real_client):
    request = examples.SATURATION_REQUESTS["region"]["value"]
    targets = real_client.post("/v1/saturation", json=request).json()["targets"]
    flags = {name: one["calibrated"] for name, one in targets.items()}
    assert flags == {"K562": True, "HepG2": True, "WTC11": False}


def test_the_job_that_is_shown_is_a_real_one(real_client):
    content = (ROOT / "examples" / "variants.vcf").read_bytes()
    job = real_client.post("/v1/jobs?model=dh7", content=content).json()
    assert_shown(jobs_docs.EXAMPLE, finished(real_client, job))


def test_an_example_that_is_wrong_would_be_found():
    real = {"index": 0, "id": "a", "targets": {"K562": {"effect": 0.25}}, "list": [1, 2]}
    assert_shown(real | {"targets": {"K562": {"effect": 0.2504}}}, real)
    for wrong in (
        {"id": "b"}, {"targets": {"K562": {"effect": 0.26}}}, {"targets": {"WTC11": {}}},
        {"list": [1]}, {"more": 1}, {"targets": {"K562": {"effect": None}}},
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            assert_shown({"index": 0} | wrong, real)


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
