"""The HTTP interface: every route, every error in one shape, one result per input."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
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
from service.batcher import Lane
from service.errors import ModelContractError, ModelNotFoundError, Status
from service.fields import numbers
from service.reference import Reference
from service.registry import Model, Registry
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
    "/v1/sequences": "POST",
    "/v1/saturation": "POST",
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

    asyncio.run(app(SCOPE, receive, send))
    return sent


SCOPE = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
    "path": "/v1/score", "raw_path": b"/v1/score", "query_string": b"", "headers": [],
    "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
}  # fmt: skip


def test_a_bug_says_nothing_of_its_insides(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret /path")

    monkeypatch.setattr(Scorer, "cut_pairs", broken)
    response = client.post("/v1/score", json={"sequences": [PAIR]})
    assert_error(response, 500)
    assert "secret" not in response.text
    monkeypatch.undo()
    assert score(client, sequences=[PAIR])["results"][0]["status"] == "ok", "it carries on"


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
        assert_error(client.get("/v1/score"), 405)
        assert_error(client.post("/v1/saturation", json={}), 422)
        assert client.get("/v1/models").status_code == 200
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


# --- many, and long ------------------------------------------------------------------------------


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


def lines_of(response: httpx.Response) -> list[dict]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


LINES = {"accept": "application/x-ndjson"}


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


# --- sequences -----------------------------------------------------------------------------------


def test_activity_of_sequences(client):
    texts = ["ACGT", "acgtn" * 4, "A" * 21, "AXC", "G"]
    response = client.post(
        "/v1/sequences", json={"sequences": [{"sequence": text, "id": text} for text in texts]}
    )
    results = response.json()["results"]
    statuses = ["ok", "ok", "allele_too_long", "non_acgtn", "ok"]
    assert [result["status"] for result in results] == statuses
    assert [result["id"] for result in results] == texts
    assert results[2]["reason"] == "the sequence is longer than the model's window"
    assert results[2]["targets"] is results[3]["targets"] is None
    # ACGT is its own reverse complement and starts at index 8 of 20: weights 9 to 12.
    mean = 9 * 1 + 10 * 2 + 11 * 4 + 12 * 8
    found = results[0]["targets"]["HepG2"]
    # Members scale by 1, 2 and 3, HepG2 by 2; sigma is scale / 4 x (1 + one G).
    assert found["activity"] == pytest.approx(mean * 2 * 2)
    assert found["epistemic"] == pytest.approx(mean * 2)
    assert found["sigma"] == pytest.approx(np.sqrt(np.mean(np.square([1, 2, 3]))))
    assert response.json()["provenance"]["calibrated"] is False


def test_activity_of_one_strand_and_of_one_member(client):
    def activity(text, **options):
        body = {"sequences": [{"sequence": text}], **options}
        return client.post("/v1/sequences", json=body).json()["results"][0]["targets"]["K562"]

    assert activity("A", strands=1, model="sum_one")["activity"] == 10
    assert activity("A", model="sum_one")["activity"] == (10 * 1 + 11 * 8) / 2
    assert activity("A", model="sum_one")["epistemic"] is None
    assert activity("AC", strands=1, model="sum_one")["activity"] == 10 * 1 + 11 * 2


def test_limits_of_sequences(client):
    many = [{"sequence": "A"}] * (MAX_ITEMS + 1)
    assert_error(client.post("/v1/sequences", json={"sequences": many}), 413, str(MAX_ITEMS))
    assert client.post("/v1/sequences", json={"sequences": []}).json()["results"] == []
    assert_error(client.post("/v1/sequences", json={"sequences": ["A"]}), 422, "sequences.0")


# --- saturation ----------------------------------------------------------------------------------


def test_every_change_of_a_region(client):
    body = {"contig": "1", "start": 31, "end": 45}
    answer = client.post("/v1/saturation", json=body).json()
    assert (answer["contig"], answer["start"], answer["end"]) == ("chr1", 31, 45)
    assert (answer["sequence"], answer["alts"]) == (CHR1[30:45], "ACGT")
    variants = [
        {"contig": "chr1", "pos": pos, "ref": CHR1[pos - 1], "alt": alt}
        for pos in range(31, 46)
        for alt in "ACGT"
    ]
    scored = [
        result
        for first in range(0, len(variants), MAX_ITEMS)
        for result in score(client, variants=variants[first : first + MAX_ITEMS])["results"]
    ]
    for target in ("K562", "HepG2"):
        for number, result in enumerate(scored):
            place, alt = divmod(number, 4)
            for name in ("effect", "sd"):
                found = answer["targets"][target][name][place][alt]
                if answer["sequence"][place] == "ACGT"[alt] or answer["sequence"][place] == "N":
                    assert found is None
                else:
                    assert found == pytest.approx(result["targets"][target][name])
    head, *lines = lines_of(client.post("/v1/saturation", json=body, headers=LINES))
    assert head.keys() == answer.keys() - {"targets"}
    assert lines == [{key: answer[key] for key in answer if key != "provenance"}]


def test_a_region_in_parts(client, monkeypatch):
    body = {"contig": "chr1", "start": 1, "end": 103, "strands": 1, "shifts": [0, 3]}
    whole = client.post("/v1/saturation", json=body).json()
    assert len(whole["targets"]["K562"]["effect"]) == 103
    _, *lines = lines_of(client.post("/v1/saturation", json=body, headers=LINES))
    assert [(line["start"], line["end"]) for line in lines] == [(1, 64), (65, 103)]
    for name in ("effect", "sd"):
        joined = [row for line in lines for row in line["targets"]["K562"][name]]
        assert joined == whole["targets"]["K562"][name]
    assert "".join(line["sequence"] for line in lines) == whole["sequence"] == CHR1


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        ({"contig": "chr9"}, 422, "no contig"), ({"start": 100, "end": 104}, 422, "known sequence"),
        ({"end": 39}, 422, "end must not be less"), ({"start": 0}, 422, "start"),
        ({"end": 5000}, 413, "3000"), ({"shifts": [50]}, 422, "window of 20"),
        ({"model": "dh8"}, 404, "dh8"),
    ],
)  # fmt: skip
def test_regions_that_cannot_be_scored(client, change, code, part):
    body = {"contig": "chr1", "start": 40, "end": 42} | change
    assert_error(client.post("/v1/saturation", json=body), code, part)


def test_a_region_needs_a_reference(toy_models_dir):
    with TestClient(create_app(settings(toy_models_dir))) as client:
        body = {"contig": "chr1", "start": 1, "end": 2}
        assert_error(client.post("/v1/saturation", json=body), 422, "no reference")


# --- health --------------------------------------------------------------------------------------


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


def test_a_service_for_cuda_is_not_ready_on_anything_else(app, client):
    app.state.engine.settings = app.state.engine.settings.model_copy(update={"device": "cuda"})
    response = client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (503, "failing")
    assert response.json()["models"][0]["providers"] == ["CPUExecutionProvider"]


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


# --- the start -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("path", "requests", "known"),
    [
        ("/v1/sequences", examples.SEQUENCES_REQUESTS, examples.SEQUENCES_RESPONSE),
        ("/v1/saturation", examples.SATURATION_REQUESTS, examples.SATURATION_RESPONSE),
    ],
)
def test_the_other_examples_are_answered_as_they_say(tmp_path, path, requests, known):
    write_model(tmp_path, SumModel(width=200), name="dh7")
    fasta = Path(__file__).parents[2] / "examples" / "chr17.hg19.part.fa"
    with TestClient(create_app(settings(tmp_path, reference=fasta))) as client:
        for example in requests.values():
            response = client.post(path, json=example["value"])
            assert response.status_code == 200, response.text
            assert response.json().keys() == known.keys()
            real = response.json().get("results", [{}])[0] or response.json()["targets"]["K562"]
            shown = known.get("results", [{}])[0] or known["targets"]["K562"]
            assert real.keys() == shown.keys()


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
