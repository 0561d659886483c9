"""What GAME refuses: said at once, in its own shape, in bounded memory."""

from typing import Any

import msgpack
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.errors import DecodingError
from service.game import codec
from service.game.codec import Format, decode
from service.settings import Settings
from tests.service.game.asking import (
    DOWNSTREAM,
    JSON,
    MSGPACK,
    SEQUENCES,
    UPSTREAM,
    W,
    assert_error,
    encoded,
    post,
    predicted,
    request,
    task,
)
from tests.toy_models import SumModel, write_model


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
        (b"\x91" * 90_000, "nested too deeply"),
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
    for content in ([[[]] * 900] * 2, [[{}] * 900] * 2, [{str(n): [] for n in range(900)}] * 2):
        with pytest.raises(DecodingError, match="more than 1,000 objects and lists"):
            decode(encoded(content, form), form)
    decode(encoded([[]] * 900, form), form)
    monkeypatch.setattr(codec, "MAX_VALUES", 1000)
    monkeypatch.setattr(codec, "MAX_CONTAINERS", 100_000)
    for content in ([1] * 2000, {str(number): "" for number in range(2000)}, [[1] * 300] * 5):
        with pytest.raises(DecodingError, match="1,000 values"):
            decode(encoded(content, form), form)
    decode(encoded([[1] * 30] * 30, form), form)


def test_a_list_that_is_announced_is_not_made(monkeypatch):
    monkeypatch.setattr(codec, "MAX_CONTAINERS", 1000)
    for head in (b"\xdd", b"\xdf"):
        with pytest.raises(DecodingError, match="2000 exceeds"):
            decode(head + (2000).to_bytes(4, "big") + b"\xc0" * 5000, Format.MSGPACK)


def test_tasks_and_sequences_do_not_multiply_without_end(client, monkeypatch):
    # 600 kB of both would have been answered by gigabytes.
    content = request(*[task()] * 3, prediction_ranges=None)
    monkeypatch.setattr("service.game.request.MAX_NUMBERS", 3 * len(SEQUENCES))
    assert len(predicted(post(client, content))) == 3
    monkeypatch.setattr("service.game.request.MAX_NUMBERS", 3 * len(SEQUENCES) - 1)
    key = "bad_prediction_request"
    assert_error(client, post(client, content), 413, "3 tasks of 5 sequences", key=key)


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
