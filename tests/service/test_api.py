"""The HTTP interface: every route, every error in one shape, one result per input."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from service import examples
from service.app import create_app
from service.engine import Engine
from service.errors import ModelContractError, ModelNotFoundError, OverloadedError, Status
from service.fields import numbers
from service.reference import Reference
from service.registry import Registry
from service.schemas import ScoreRequest, SequencePair
from service.scoring import Scorer
from service.settings import Settings
from service.variants import Variant
from tests.genomes import CHR1
from tests.toy_models import CALIBRATION, SumModel, write_model

ERROR_TYPES = {
    400: "decoding_error",
    404: "model_not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    422: "validation_error",
    500: "internal_error",
    503: "overloaded",
}
PAIR = {"ref": "ACGTACGT", "alt": "ACGAACGT"}
SNV = {"contig": "chr1", "pos": 41, "ref": CHR1[40], "alt": "A" if CHR1[40] != "A" else "C"}
MAX_BODY, MAX_ITEMS = 4000, 20


def settings(models: Path, **changes) -> Settings:
    values = {
        "models": models, "threads": 1, "device": "cpu",
        "max_body_bytes": MAX_BODY, "max_items": MAX_ITEMS,
    }  # fmt: skip
    return Settings(**(values | changes))


@pytest.fixture
def app(toy_models_dir, tiny_fasta) -> FastAPI:
    return create_app(settings(toy_models_dir, reference=tiny_fasta))


@pytest.fixture
def client(app) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def assert_error(response: httpx.Response, code: int, *parts: str, kind: str | None = None) -> dict:
    """Check status, content type and the one shape; return the detail."""
    assert response.status_code == code, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"}
    error = body["error"]
    assert error.keys() == {"type", "message", "detail"}
    assert error["type"] == (kind or ERROR_TYPES[code])
    assert isinstance(error["message"], str)
    assert "\n" not in error["message"]
    for part in parts:
        assert part in error["message"]
    assert error["detail"] is None or isinstance(error["detail"], dict)
    return error["detail"] or {}


def score(client: TestClient, **body) -> dict:
    response = client.post("/v1/score", json=body)
    assert response.status_code == 200, response.text
    return response.json()


# --- scoring -------------------------------------------------------------------------------------


def test_variants_get_the_scores_of_the_scorer(client, toy_models_dir, tiny_fasta):
    variants = [SNV, SNV | {"contig": "1", "id": "mine"}, SNV | {"ref": "AC", "alt": "A"}]
    answer = score(client, model="sum", variants=variants)
    with Reference.open(tiny_fasta) as reference:
        scorer = Scorer(Registry(toy_models_dir).load("sum", threads=1), reference)
        scores = scorer.score([Variant(*map(SNV.get, ("contig", "pos", "ref", "alt")))])  # type: ignore[arg-type]
    expected = numbers(scores.effects)[0]
    for result in answer["results"][:2]:
        assert result["targets"].keys() == {"K562", "HepG2"}
        found = [list(target.values())[:-1] for target in result["targets"].values()]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert [result["id"] for result in answer["results"]] == [None, "mine", None]


def test_pairs_need_no_reference_and_one_member_has_no_epistemic_sd(toy_models_dir):
    with TestClient(create_app(settings(toy_models_dir, model="sum_one"))) as client:
        answer = score(client, sequences=[PAIR | {"id": "p"}])
        assert client.get("/health/ready").json()["reference"] is None
    [result] = answer["results"]
    effect = result["targets"]["K562"]
    # 8 bases start at index 6 of 20; T>A at index 9 adds 10 * (1 - 8); on the minus strand A>T
    # at index 10 adds 11 * (8 - 1).
    assert effect["effect"] == (10 * (1 - 8) + 11 * (8 - 1)) / 2
    assert effect["epistemic"] is None
    assert effect["representation"] > 0
    assert result["reason"] is None
    assert answer["provenance"]["assembly"] is None


def test_every_input_has_one_result_with_its_status(client):
    alts = ["A", "<DEL>", "*", ".", "N[chr2:5[", "R", "A" * 30]
    variants = [SNV | {"alt": alt} for alt in alts]
    variants += [SNV | {"contig": "chrX"}, SNV | {"pos": 0}, SNV | {"pos": 104}]
    variants += [SNV | {"ref": "A" if SNV["ref"] != "A" else "C"}]
    answer = score(client, variants=variants)
    statuses = [result["status"] for result in answer["results"]]
    assert statuses == [
        "ok", "symbolic_alt", "star_alt", "no_alt", "breakend_alt", "non_acgtn", "allele_too_long",
        "unknown_contig", "window_off_contig", "window_off_contig", "ref_mismatch",
    ]  # fmt: skip
    assert [result["index"] for result in answer["results"]] == list(range(len(variants)))
    for result in answer["results"][1:]:
        assert result["targets"] is None
        assert result["reason"] == Status(result["status"]).reason


def test_options_are_taken_and_reported(client):
    answer = score(client, sequences=[PAIR], strands=1, shifts=[-2, 0, 2], coverage=0.5)
    assert answer["provenance"]["options"] == {
        "strands": 1, "shifts": [-2, 0, 2], "anchorings": ["left", "right"], "coverage": 0.5,
        "batch_size": 256,
    }  # fmt: skip
    wide = score(client, sequences=[PAIR], strands=1, shifts=[-2, 0, 2], coverage=0.9)
    narrow_, wide_ = (a["results"][0]["targets"]["K562"] for a in (answer, wide))
    assert narrow_["effect"] == wide_["effect"]
    assert wide_["lower"] < narrow_["lower"] < narrow_["upper"] < wide_["upper"]


def test_provenance_and_calibration(client):
    answer = score(client, sequences=[PAIR])
    assert answer["calibrated"] is False
    assert answer["provenance"]["model"] == "sum"
    assert answer["provenance"]["providers"] == ["CPUExecutionProvider"]
    assert answer["provenance"]["use"] == "research use only"


def test_each_target_says_whether_its_widths_are_calibrated(tmp_path, tiny_fasta):
    model = SumModel(targets=("K562", "WTC11"))
    write_model(tmp_path / "models", model, card={"calibration": CALIBRATION})
    with TestClient(create_app(settings(tmp_path / "models", reference=tiny_fasta))) as client:
        fitted = score(client, variants=[SNV])
        one_strand = score(client, variants=[SNV], strands=1)
        pairs = score(client, sequences=[PAIR])
        [summary] = client.get("/v1/models").json()["models"]
    for answer, targets in ((fitted, ["K562"]), (one_strand, []), (pairs, [])):
        [result] = answer["results"]
        found = {name: block["calibrated"] for name, block in result["targets"].items()}
        assert found == {"K562": "K562" in targets, "WTC11": False}
        for part in (answer, answer["provenance"]):
            assert (part["calibrated"], part["calibrated_targets"]) == (bool(targets), targets)
    assert (summary["calibrated"], summary["calibrated_targets"]) == (True, ["K562"])


def test_an_empty_list_has_an_empty_answer(client):
    assert score(client, sequences=[])["results"] == []
    assert score(client, variants=[])["results"] == []


def test_a_model_that_returns_nan_gives_a_status_and_valid_json(tmp_path):
    # Twenty T sum to 210 * 5e36, which is infinity in float32.
    weights = (1, 1, 1, 5e36, 0)
    write_model(tmp_path, SumModel(members=1, targets=("K562",), base_weights=weights))
    with TestClient(create_app(settings(tmp_path))) as client:
        pairs = [{"ref": "T" * 20, "alt": "T" * 19 + "A"}, PAIR]
        response = client.post("/v1/score", json={"sequences": pairs})
    assert response.status_code == 200

    def refuse(name: str) -> None:
        raise AssertionError(name)

    body = json.loads(response.text, parse_constant=refuse)
    assert body["results"][0]["status"] == "model_nan"
    assert body["results"][0]["targets"] is None
    assert body["results"][1]["status"] == "ok"


# --- the other routes ----------------------------------------------------------------------------


def test_models_are_listed_with_the_limits(client):
    body = client.get("/v1/models").json()
    assert [model["name"] for model in body["models"]] == ["sum", "sum_one"]
    assert body["models"][0]["targets"] == ["K562", "HepG2"]
    assert body["limits"] == {"max_items": MAX_ITEMS, "max_body_bytes": MAX_BODY, "max_shifts": 9}


def test_a_card_is_served_whole(client, toy_models_dir):
    card = json.loads((toy_models_dir / "sum" / "card.json").read_text())
    assert client.get("/v1/models/sum").json() == card


def test_health(client):
    assert client.get("/health/live").json() == {"status": "live"}
    ready = client.get("/health/ready").json()
    assert ready["status"] == "ready"
    assert ready["models"][0] == {"name": "sum", "providers": ["CPUExecutionProvider"]}
    assert ready["reference"] == "tiny.fa", "the file's name, not its path"


# --- errors --------------------------------------------------------------------------------------

BAD_JSON = [b"", b"{", b"[1,", b"nonsense", b'{"sequences": [}', b"\xff\xfe{}", b"[" * 3000]


@pytest.mark.parametrize("content", BAD_JSON)
def test_bad_json(client, content):
    headers = {"content-type": "application/json"}
    response = client.post("/v1/score", content=content, headers=headers)
    if content:
        assert_error(response, 400, "JSON")
    else:
        assert_error(response, 422, "body")


def test_json_under_another_content_type_is_explained(client):
    for headers in ({"content-type": "application/x-www-form-urlencoded"}, {}):
        response = client.post("/v1/score", content=b'{"sequences": []}', headers=headers)
        assert_error(response, 400, "application/json")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ([], "body"),
        ({"sequences": [], "variants": []}, "body"),
        ({"sequences": [PAIR], "modell": "sum"}, "modell"),
        ({"sequences": "ACGT"}, "sequences"),
        ({"sequences": [PAIR, {"ref": "A"}]}, "sequences.1.alt"),
        ({"sequences": [PAIR | {"ref": ""}]}, "sequences.0.ref"),
        ({"sequences": [PAIR | {"ref": 5}]}, "sequences.0.ref"),
        ({"sequences": [PAIR | {"id": "x" * 300}]}, "sequences.0.id"),
        ({"variants": [SNV | {"pos": "41"}]}, "variants.0.pos"),
        ({"variants": [SNV | {"pos": -1}]}, "variants.0.pos"),
        ({"variants": [SNV | {"pos": 2**31}]}, "variants.0.pos"),
        ({"variants": [SNV | {"pos": True}]}, "variants.0.pos"),
        ({"variants": [SNV | {"contig": ""}]}, "variants.0.contig"),
        ({"sequences": [PAIR], "strands": 3}, "strands"),
        ({"sequences": [PAIR], "shifts": []}, "shifts"),
        ({"sequences": [PAIR], "shifts": list(range(10))}, "shifts"),
        ({"sequences": [PAIR], "shifts": [0.5]}, "shifts.0"),
        ({"sequences": [PAIR], "coverage": 1}, "coverage"),
        ({"sequences": [PAIR], "coverage": "wide"}, "coverage"),
    ],
)
def test_validation_errors_name_the_field(client, body, field):
    detail = assert_error(client.post("/v1/score", json=body), 422, field)
    assert detail["problems"][0]["field"] == field
    assert detail["problems"][0]["problem"]


def test_validation_errors_of_the_core_have_the_same_shape(client):
    def post(**options):
        return client.post("/v1/score", json={"sequences": [PAIR], **options})

    assert_error(post(shifts=[50]), 422, "window of 20")
    assert_error(post(shifts=[1, 1]), 422, "different")


def test_many_problems_are_counted_and_the_list_is_bounded(client):
    response = client.post("/v1/score", json={"sequences": [{}] * 20})
    detail = assert_error(response, 422, "(and 39 more)")
    assert len(detail["problems"]) == 10


@pytest.mark.parametrize(
    "raw",
    [
        b'{"sequences": [], "coverage": NaN}',
        b'{"sequences": [], "coverage": 1e999}',
        b'{"sequences": [], "shifts": [1' + b"0" * 3000 + b"]}",
        b'{"sequences": [], "shifts": [' + b"1" * 3900 + b"]}",
        b'{"sequences": [], "\\ud800": 1}',
        b'{"sequences": [{"ref": "A", "alt": "C", "id": "\\ud800"}]}',
        b'{"sequences": [], "model": "\\ud800"}',
        b'{"sequences": [{"ref": "A", "alt": "C", "id": "\\u0000"}]}',
        b'{"sequences": [{"ref": "\xc3\xa9", "alt": "C"}]}',
    ],
)
def test_strange_values_never_break_the_answer(client, raw):
    headers = {"content-type": "application/json"}
    response = client.post("/v1/score", content=raw, headers=headers)
    if response.status_code == 200:
        json.loads(response.content.decode("utf-8"))
    else:
        assert_error(response, response.status_code)
        assert response.status_code in {400, 404, 422}


def test_variants_without_a_reference(toy_models_dir):
    with TestClient(create_app(settings(toy_models_dir))) as client:
        response = client.post("/v1/score", json={"variants": [SNV]})
        assert_error(response, 422, "no reference", "--reference", "'sequences'")


def test_an_unknown_model(client):
    detail = assert_error(
        client.post("/v1/score", json={"model": "dh8", "sequences": []}), 404, "dh8", "sum, sum_one"
    )
    assert detail == {"available": ["sum", "sum_one"]}
    assert_error(client.get("/v1/models/dh8"), 404, "dh8")


def test_a_model_that_is_there_but_not_served_is_unknown(toy_models_dir):
    with TestClient(create_app(settings(toy_models_dir, model="sum_one"))) as client:
        response = client.post("/v1/score", json={"model": "sum", "sequences": []})
        assert assert_error(response, 404)["available"] == ["sum_one"]
        assert score(client, sequences=[])["provenance"]["model"] == "sum_one"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/scores", "/v1/models/a/b", "/v1/models/", "/%00"]
)
def test_an_unknown_route(client, path):
    assert_error(client.get(path), 404, kind="not_found")


ROUTES = {
    "/v1/score": "POST",
    "/v1/models": "GET",
    "/v1/models/sum": "GET",
    "/health/live": "GET",
    "/health/ready": "GET",
}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method(client, path, method):
    if method != ROUTES[path]:
        response = client.request(method, path)
        assert_error(response, 405)
        assert response.headers["allow"] == ROUTES[path]


def test_too_many_items(client):
    body = {"sequences": [{"ref": "A", "alt": "C"}] * (MAX_ITEMS + 1)}
    detail = assert_error(client.post("/v1/score", json=body), 413, str(MAX_ITEMS))
    assert detail == {"limit": MAX_ITEMS, "given": MAX_ITEMS + 1}
    body["sequences"].pop()
    assert client.post("/v1/score", json=body).status_code == 200


@pytest.mark.parametrize("path", [*ROUTES, "/v1/nowhere"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_oversized_body(client, path, is_stream):
    chunk = b" " * 1000

    def stream() -> Iterator[bytes]:
        for _ in range(MAX_BODY // len(chunk) + 1):
            yield chunk

    content = stream() if is_stream else b"".join(stream())
    response = client.post(path, content=content)
    assert ("content-length" in response.request.headers) is not is_stream
    assert assert_error(response, 413, str(MAX_BODY)) == {"limit": MAX_BODY}


def test_a_body_of_exactly_the_limit_passes(client):
    body = json.dumps({"sequences": [PAIR]}).encode().ljust(MAX_BODY)
    headers = {"content-type": "application/json"}
    assert client.post("/v1/score", content=body, headers=headers).status_code == 200
    assert_error(client.post("/v1/score", content=body + b" ", headers=headers), 413)


def test_an_endless_body_is_read_no_further_than_the_limit(app):
    n_read = 0

    async def receive() -> dict:
        nonlocal n_read
        n_read += 1000
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    sent = asgi(app, receive)
    assert sent[0]["status"] == 413
    assert n_read <= MAX_BODY + 1000


def test_a_client_that_goes_away_is_forgotten(app):
    messages = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict:
        return messages.pop(0)

    assert asgi(app, receive) == []


def asgi(app: FastAPI, receive) -> list[dict]:
    """POST to /v1/score below the level of a client; return what the app sent."""
    sent: list[dict] = []

    async def send(message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "path": "/v1/score", "raw_path": b"/v1/score", "query_string": b"", "headers": [],
        "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent


def test_a_bug_says_nothing_of_its_insides(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret /path")

    monkeypatch.setattr(Scorer, "score_pairs", broken)
    response = client.post("/v1/score", json={"sequences": [PAIR]})
    assert_error(response, 500)
    assert "secret" not in response.text
    monkeypatch.undo()
    assert score(client, sequences=[PAIR])["results"][0]["status"] == "ok", "it carries on"


def test_a_queue_that_is_full(toy_models_dir, monkeypatch):
    release, started = threading.Event(), threading.Event()
    original = Scorer.score_pairs

    def slow(self, pairs):
        started.set()
        assert release.wait(30)
        return original(self, pairs)

    monkeypatch.setattr(Scorer, "score_pairs", slow)
    app = create_app(settings(toy_models_dir, max_waiting=1))

    async def scenario() -> tuple[httpx.Response, ...]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            body = {"sequences": [PAIR]}
            first = asyncio.create_task(client.post("/v1/score", json=body))
            while not started.is_set():
                await asyncio.sleep(0.01)
            # The loop answers while the worker is busy.
            live = await client.get("/health/live")
            second = await client.post("/v1/score", json=body)
            release.set()
            return await first, live, second, await client.post("/v1/score", json=body)

    first, live, second, third = asyncio.run(scenario())
    assert (first.status_code, live.status_code, third.status_code) == (200, 200, 200)
    assert_error(second, 503, "try again")
    assert int(second.headers["retry-after"]) > 0


def test_a_request_given_up_holds_its_place_while_its_job_runs(toy_models_dir, monkeypatch):
    release, started = threading.Event(), threading.Event()
    original = Scorer.score_pairs

    def slow(self, pairs):
        started.set()
        assert release.wait(30)
        return original(self, pairs)

    monkeypatch.setattr(Scorer, "score_pairs", slow)
    engine = Engine(settings(toy_models_dir, max_waiting=2))
    request = ScoreRequest(sequences=[SequencePair(**PAIR)])

    async def scenario() -> None:
        running = asyncio.create_task(engine.score(request))
        while not started.is_set():
            await asyncio.sleep(0.01)
        queued = asyncio.create_task(engine.score(request))
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        with pytest.raises(OverloadedError):
            await engine.score(request)
        # A job that has not begun never will, so it gives its place back at once.
        queued.cancel()
        await asyncio.wait([queued])
        last = asyncio.create_task(engine.score(request))
        await asyncio.sleep(0)
        assert not last.done()
        release.set()
        assert json.loads(await last)["results"][0]["status"] == "ok"

    asyncio.run(scenario())
    engine.close()
    assert [engine._places.acquire(blocking=False) for _ in range(3)] == [True, True, False]


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


# --- the OpenAPI page ----------------------------------------------------------------------------


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


def test_examples_of_variants_lie_on_the_example_slice(tmp_path):
    root = Path(__file__).parents[2]
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
    assert set(spec["paths"]) == {path.replace("/sum", "/{name}") for path in ROUTES}
    assert f"{MAX_ITEMS} items" in spec["info"]["description"]
    for path, operations in spec["paths"].items():
        for operation in operations.values():
            ok = operation["responses"]["200"]["content"]["application/json"]
            assert "example" in ok or path == "/health/live"
            for code, response in operation["responses"].items():
                if code != "200":
                    schema = response["content"]["application/json"]["schema"]
                    assert schema["$ref"].endswith("/ErrorBody"), (path, code)
    body = spec["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"].keys() == examples.SCORE_REQUESTS.keys()
    assert resolve(body["schema"], spec)["additionalProperties"] is False
