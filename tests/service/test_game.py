"""GAME as its evaluators speak it: formats, help, predictions, and errors in their own shape."""

import asyncio
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2 as httpx
import msgpack
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from service.app import create_app
from service.constructs import ADAPTERS, construct_windows
from service.errors import DecodingError, OverloadedError
from service.game import codec
from service.game.answer import write_answer
from service.game.codec import Format, decode
from service.game.predictor import Target, closest_target
from service.game.request import read_request
from service.settings import Settings
from service.web import game, game_docs
from service.web.game import response_format
from tests.toy_models import SumModel, write_model

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
KEYS = {400: "bad_prediction_request", 422: "prediction_request_failed", 500: "server_error"}


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("game")
    write_model(folder, TINY, name="a")
    write_model(folder, SumModel(width=30, targets=("WTC11",), members=1), name="b")
    return folder


@pytest.fixture(scope="module")
def client(models_dir) -> Iterator[TestClient]:
    settings = Settings(models=models_dir, threads=1, device="cpu", game_max_body_bytes=100_000)
    with TestClient(create_app(settings), raise_server_exceptions=False) as opened:
        yield opened


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


# --- what the predictor says of itself -----------------------------------------------------------


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


# --- predictions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [JSON, MSGPACK, "*/*"])
@pytest.mark.parametrize("send", [JSON, MSGPACK, None, "Application/JSON; charset=utf-8"])
def test_every_sequence_of_every_task_has_the_number_of_the_model(client, send, accept):
    content = request(task(), task("human hepatocytes (HepG2)"))
    response = post(client, content, send, accept)
    assert response.headers["content-type"] == (MSGPACK if accept == MSGPACK else JSON)
    k562, hepg2 = predicted(response)
    for column, answer in enumerate((k562, hepg2)):
        assert list(answer["predictions"]) == list(SEQUENCES)
        assert numbers(answer) == pytest.approx(expected(column), rel=1e-6)
    assert {key: hepg2[key] for key in hepg2 if key != "predictions"} == {
        "name": "task of human hepatocytes (HepG2)",
        "type_requested": "expression",
        "type_actual": ["expression"],
        "cell_type_requested": "human hepatocytes (HepG2)",
        "cell_type_actual": "HepG2",
        "species_requested": "homo_sapiens",
        "species_actual": "homo_sapiens",
        "scale_prediction_requested": "log",
        "scale_prediction_actual": "log",
    }


def test_the_adapters_of_a_sequence_are_not_shown(client):
    name = "a-z.A_Z~0#@%^&*()"
    alone = {"sequences": {name: SEQUENCES[name][15:-15]}}
    [bare] = predicted(post(client, request(**alone, prediction_ranges=None)))
    [whole] = predicted(post(client, request()))
    assert whole["predictions"][name] == bare["predictions"][name]


def test_linear_is_two_to_the_log_and_log_is_the_default(client):
    log, linear, unsaid, null = predicted(
        post(
            client,
            request(
                task(),
                task(scale="linear"),
                {key: value for key, value in task().items() if key != "scale"},
                task(scale=None),
            ),
        )
    )
    assert numbers(linear) == [2.0**value for value in numbers(log)]
    assert linear["scale_prediction_actual"] == "linear"
    for answer in (unsaid, null):
        assert answer["predictions"] == log["predictions"]
        assert answer["scale_prediction_requested"] is None
        assert answer["scale_prediction_actual"] == "log"


def test_a_model_runs_once_for_all_its_tasks_and_only_where_it_is_needed(client):
    runs = []
    client.app.state.engine.observers.append(lambda model, n, *_: runs.append((model, n)))
    predicted(post(client, request(task(), task("HepG2"), task("K562"))))
    assert sum(n for model, n in runs if model == "a") == len(SEQUENCES)
    assert {model for model, _ in runs} == {"a"}
    wide = "induced pluripotent stem cells (iPS cells; WTC11)"
    content = request(task("K562"), task(wide))
    first, second = predicted(post(client, content))
    assert second["cell_type_actual"] == "WTC11"
    assert numbers(second) == expected(0, SumModel(width=30, targets=("WTC11",), members=1))
    assert numbers(first) == pytest.approx(expected(0), rel=1e-6)


def test_a_cell_type_that_is_not_served_gets_the_default_one_which_is_said(client):
    k562, other = predicted(post(client, request(task("K562"), task("SK-N-SH (neuroblastoma)"))))
    assert other["cell_type_requested"] == "SK-N-SH (neuroblastoma)"
    assert other["cell_type_actual"] == "K562"
    assert other["predictions"] == k562["predictions"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("K562", "K562"),
        ("lymphoblasts (K562)", "K562"),
        ("k-562", "K562"),
        ("K562 (erythroid precursors)", "K562"),
        ("HEPG2", "HepG2"),
        ("Hep G2 cells", "HepG2"),
        ("human hepatocytes (HepG2)", "HepG2"),
        ("primary hepatocytes", "HepG2"),
        ("iPSC", "WTC11"),
        ("induced pluripotent stem cells (iPS cells; WTC11)", "WTC11"),
        ("WTC-11", "WTC11"),
        ("hepatocytes from iPSC line WTC11", "WTC11"),
        ("K5620", None),
        ("HepG22", None),
        ("", None),
        ("SK-N-SH", None),
        ("細胞", None),
    ],
)
def test_a_cell_type_is_found_in_free_text(text, name):
    for targets in (TARGETS, TARGETS[::-1]):
        assert closest_target(text, targets).name == (name or targets[0].name)


@pytest.mark.parametrize("kind", ["expression_mRNA", "expression_pol1", "expression_pol2"])
def test_kinds_of_expression_are_expression(client, kind):
    [answer] = predicted(post(client, request(task(type=kind))))
    assert (answer["type_requested"], answer["type_actual"]) == (kind, ["expression"])


def test_what_is_optional_may_be_missing_null_or_unknown(client):
    content = {
        "request": "predict",
        "readout": "point",
        "prediction_tasks": [task(species="Homo sapiens", note="x")],
        "sequences": {"a": "ACGT"},
        "a_key_of_schema_1.1": {},
    }
    nulls = dict.fromkeys(("upstream_seq", "downstream_seq", "prediction_ranges"))
    empty = {"upstream_seq": "", "downstream_seq": "", "prediction_ranges": {"a": []}}
    answers = [predicted(post(client, content | more)) for more in ({}, nulls, empty)]
    assert answers[0] == answers[1] == answers[2]
    assert numbers(answers[0][0]) == pytest.approx(
        expected(0, content=content | {"upstream_seq": "", "downstream_seq": ""})
    )


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        st.text("ACGTNacgtn", min_size=1, max_size=50),
        min_size=1,
        max_size=4,
    )
)
def test_ids_come_back_as_they_were(sequences):
    content = request(sequences=sequences, prediction_ranges=None)
    values = np.random.default_rng(1).normal(size=(len(sequences), 3))
    for form in Format:
        asked = read_request(decode(encoded(content, form), form), TARGETS)
        told = decode(write_answer(asked, {"m": values}, "a name", form), form)
        assert told["predictor_name"] == "a name"
        [answer] = told["prediction_tasks"]
        assert answer["predictions"] == {
            name: [value] for name, value in zip(sequences, values[:, 0], strict=True)
        }


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", JSON),
        (JSON, JSON),
        (MSGPACK, MSGPACK),
        ("application/x-msgpack", MSGPACK),
        (f"{JSON}, {MSGPACK}", MSGPACK),
        (f"{MSGPACK};q=0.1, {JSON};q=0.9", JSON),
        (f"{JSON};q=0.1,{MSGPACK.upper()};q=0.9", MSGPACK),
        (f"{MSGPACK};q=0", JSON),
        (f"{MSGPACK};q=x", JSON),
    ],
)
def test_the_form_of_an_answer_is_negotiated(accept, form):
    assert response_format({"accept": accept} if accept else {}) == form


def test_the_examples_of_the_page_are_true(client):
    [answer] = predicted(post(client, game_docs.REQUEST))
    [shown] = game_docs.ANSWER["prediction_tasks"]
    assert answer.keys() == shown.keys()
    assert answer["predictions"].keys() == shown["predictions"].keys()
    for path, entry in (("/formats", game_docs.FORMATS), ("/help", game_docs.HELP)):
        assert client.get(path).json().keys() == (entry[200]["content"][JSON]["example"].keys())


# --- refusals ------------------------------------------------------------------------------------


def ranges(value: Any) -> dict[str, Any]:
    return {"prediction_ranges": {name: [0, 1] for name in SEQUENCES} | {"short": value}}


@pytest.mark.parametrize(
    ("changes", "code", "part"),
    [
        ({"readout": "points"}, 400, "readout must be one of point, track, interaction_matrix"),
        ({"readout": ["point"]}, 400, "readout must be"),
        ({"readout": "track"}, 422, "only point"),
        ({"readout": "interaction_matrix"}, 422, "only point"),
        ({"prediction_tasks": []}, 400, "one task or more"),
        ({"prediction_tasks": {}}, 400, "one task or more"),
        ({"prediction_tasks": ["K562"]}, 400, "prediction_tasks[0] must be an object"),
        ({"prediction_tasks": [task(), {}]}, 400, "prediction_tasks[1]: name is missing"),
        ({"prediction_tasks": [task(name=3)]}, 400, "name must be a string"),
        ({"prediction_tasks": [task(cell_type=["K562"])]}, 400, "cell_type must be a string"),
        ({"prediction_tasks": [task(type="expressions")]}, 400, "type must be"),
        ({"prediction_tasks": [task(type="accessibility")]}, 422, "is not predicted"),
        ({"prediction_tasks": [task(type="binding_ctcf")]}, 422, "is not predicted"),
        ({"prediction_tasks": [task(type="chromatin_confirmation")]}, 422, "is not predicted"),
        ({"prediction_tasks": [task(type="expression_splicing_donor")]}, 422, "is not predicted"),
        ({"prediction_tasks": [task(species="mus_musculus")]}, 422, "only homo_sapiens"),
        ({"prediction_tasks": [task(), task(species="")]}, 422, "prediction_tasks[1]: species"),
        ({"prediction_tasks": [task(scale="Log")]}, 400, "scale must be one of log, linear"),
        ({"prediction_tasks": [task(scale=2)]}, 400, "scale must be"),
        ({"sequences": {}}, 400, "one id and sequence or more"),
        ({"sequences": ["ACGT"]}, 400, "sequences must be an object"),
        ({"sequences": SEQUENCES | {"short": 3}}, 400, "sequence 'short' must be a string"),
        ({"sequences": SEQUENCES | {"short": None}}, 400, "sequence 'short' must be a string"),
        ({"sequences": SEQUENCES | {"short": ""}}, 422, "sequence 'short' is empty"),
        ({"sequences": SEQUENCES | {"short": "ACGR"}}, 422, "sequence 'short': a sequence may"),
        ({"sequences": SEQUENCES | {"short": "AC GT"}}, 422, "found ' ' at position 3"),
        ({"sequences": SEQUENCES | {"short": "ACÜ"}}, 422, "at position 3"),
        ({"upstream_seq": ["A"]}, 400, "upstream_seq must be a string"),
        ({"downstream_seq": 0}, 400, "downstream_seq must be a string"),
        ({"upstream_seq": "ACX"}, 422, "'upstream_seq': a sequence may"),
        ({"prediction_ranges": []}, 400, "prediction_ranges must be an object"),
        ({"prediction_ranges": {}}, 400, "differ"),
        ({"prediction_ranges": {"short": []}}, 400, "differ"),
        ({"prediction_ranges": {name: [] for name in [*SEQUENCES, "x"]}}, 400, "differ, by 'x'"),
        (ranges([1]), 400, "the range of 'short'"),
        (ranges([1, 2, 3]), 400, "the range of 'short'"),
        (ranges([2, 1]), 400, "0 <= start <= end"),
        (ranges([-1, 1]), 400, "0 <= start <= end"),
        (ranges([0, 7 + len(UPSTREAM + DOWNSTREAM)]), 400, "end < 637"),
        (ranges([0, 2**64 - 1]), 400, "the range of 'short'"),
        (ranges([0.0, 1]), 400, "two whole numbers"),
        (ranges([False, True]), 400, "two whole numbers"),
        (ranges(["0", "1"]), 400, "two whole numbers"),
        (ranges("01"), 400, "the range of 'short'"),
        (ranges({"start": 0, "end": 1}), 400, "the range of 'short'"),
        (ranges(None), 400, "the range of 'short'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("send", [JSON, MSGPACK])
def test_what_is_wrong_is_said(client, changes, code, part, send):
    if (
        send == MSGPACK
        and "10" in str(changes)
        and 10**30 in changes.get("prediction_ranges", {}).get("short", [])
    ):
        pytest.skip("MessagePack has no such number")
    response = post(client, request(prediction_ranges=None) | changes, send, MSGPACK)
    assert_error(client, response, code, part)


def test_the_last_base_of_the_construct_is_in_range(client):
    predicted(post(client, request(**ranges([0, 6 + len(UPSTREAM + DOWNSTREAM)]))))


@pytest.mark.parametrize("key", ["readout", "prediction_tasks", "sequences"])
def test_a_missing_key_is_named(client, key):
    content = request()
    del content[key]
    assert assert_error(client, post(client, content), 400) == [f"{key} is missing"]


def test_all_that_is_wrong_is_said_at_once_but_not_endlessly(client):
    content = request(task(type="x"), task(scale="y"), readout="z", sequences={"a": 1})
    messages = assert_error(client, post(client, content | {"prediction_ranges": None}), 400)
    assert len(messages) == 4
    many = {f"s{number}": "AX" for number in range(50)}
    content = request(sequences=many, prediction_ranges=None)
    messages = assert_error(client, post(client, content), 422)
    assert len(messages) == 11
    assert messages[-1] == "and more of the like"


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b"[1, 2]", "must be an object, got [1, 2]"),
        (b"null", "must be an object"),
        (b"[" * 90_000, "nested too deeply"),
        (b'{"a": 1, "a": 2}', "'a' occurs twice"),
        (b'{"sequences": {"s1": "A", "s2": "C", "s1": "G"}}', "'s1' occurs twice"),
        (b"1" * 5000, "not JSON"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(client, body, part):
    response = client.post("/predict", content=body)
    assert_error(client, response, 400, part)


def packed_pairs(*pairs: tuple[Any, Any]) -> bytes:
    assert len(pairs) < 16
    return bytes([0x80 + len(pairs)]) + b"".join(msgpack.packb(x) for pair in pairs for x in pair)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "not MessagePack"),
        (b"\xc1", "not MessagePack"),
        (msgpack.packb({}) + b"\x00", "not MessagePack"),
        (b"\x91" * 90_000, "not MessagePack"),
        (b"\xa2\xff\xff", "not MessagePack"),
        (b"\xdf\xff\xff\xff\xff", "not MessagePack"),
        (packed_pairs(("a", 1), ("a", 2)), "'a' occurs twice"),
        (packed_pairs((1, 2)), "not MessagePack: int is not allowed for map key"),
        (msgpack.packb(request(sequences={b"a": "A"})), "the id b'a' must be a string"),
        (msgpack.packb(request(sequences={"a": b"A"})), "sequence 'a' must be a string"),
    ],
)
def test_a_body_that_is_no_msgpack_object_is_refused(client, body, part):
    response = client.post("/predict", content=body, headers={"content-type": MSGPACK})
    assert_error(client, response, 400, part)


def test_half_of_a_surrogate_pair_is_no_id(client):
    for changes in (
        {"sequences": {"\ud800": "A"}, "prediction_ranges": None},
        {"prediction_tasks": [task("\ud800")]},
    ):
        for accept in (JSON, MSGPACK):
            response = post(client, request(**changes), accept=accept)
            assert_error(client, response, 400, "surrogate")


def test_another_content_type_is_refused(client):
    response = post(client, request(), send="text/csv")
    assert_error(client, response, 400, "application/json or application/msgpack")


@pytest.mark.parametrize("form", Format)
def test_a_body_made_to_fill_the_memory_is_not_unpacked(form, monkeypatch):
    monkeypatch.setattr(codec, "MAX_CONTAINERS", 1000)
    for content in ([[]] * 2000, [{}] * 2000, {str(number): [] for number in range(2000)}):
        with pytest.raises(DecodingError, match="more than 1,000 objects and lists"):
            decode(encoded(content, form), form)
    decode(encoded([[]] * 900, form), form)


def test_a_long_body_is_refused_with_and_without_its_length(client):
    response = client.post("/predict", content=b" " * 100_001)
    key = "bad_prediction_request"
    assert_error(client, response, 413, "longer than 100000 bytes", key=key)
    pieces = iter([b" " * 60_000] * 2)
    assert_error(client, client.post("/predict", content=pieces), 413, key=key)
    assert client.post("/predict", content=b" " * 90_000).status_code == 400


def test_a_body_larger_than_that_of_other_routes_is_taken(models_dir):
    settings = Settings(models=models_dir, threads=1, device="cpu", max_body_bytes=100)
    with TestClient(create_app(settings)) as client:
        predicted(post(client, request()))


def test_a_number_that_is_not_finite_is_not_sent(client, tmp_path):
    write_model(tmp_path, SumModel(), name="a")
    with TestClient(create_app(Settings(models=tmp_path, threads=1, device="cpu"))) as huge:
        content = request(task(), task(scale="linear"), sequences={"s": "T" * W})
        content["prediction_ranges"] = None
        assert_error(huge, post(huge, content), 422, "no finite number for sequence 's'")


# --- the server's side ---------------------------------------------------------------------------


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
        body_timeout=0.02, max_body_bytes=1000, game_max_body_bytes=10_000,
    )  # fmt: skip
    app = create_app(settings)
    sent: list[dict] = []

    async def receive() -> dict:
        await asyncio.sleep(30)
        raise AssertionError("it was waited for")

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "path": "/predict", "raw_path": b"/predict", "query_string": b"", "headers": [],
        "scheme": "http", "root_path": "", "server": ("here", 80), "client": ("there", 1),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    app.state.engine.close()
    assert sent[0]["status"] == 408
    body = json.loads(sent[1]["body"])
    assert body["error"] == [
        {"bad_prediction_request": "the body took longer than 0.2 s to arrive"}
    ], "at the pace of other routes"
