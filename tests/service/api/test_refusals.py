"""Every error in one shape, whatever was sent."""

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.scoring import Scorer
from tests.service.api.asking import (
    MAX_BODY,
    MAX_ITEMS,
    PAIR,
    ROUTES,
    SNV,
    asgi,
    assert_error,
    score,
    settings,
)

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
        assert_error(response, 415, "application/json")


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
        ({"sequences": [PAIR], "coverage": "0.9"}, "coverage"),
        ({"sequences": [PAIR], "strands": "2"}, "strands"),
    ],
)
def test_validation_errors_name_the_field(client, body, field):
    detail = assert_error(client.post("/v1/score", json=body), 422, field)
    assert detail["problems"][0]["field"] == field
    assert detail["problems"][0]["problem"]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"sequences": [{"ref": "A", "ref": "C", "alt": "G"}]}',
        b'{"sequences": [], "strands": 1, "strands": 2}',
        b'{"variants": [{"contig": "chr1", "pos": 41, "pos": 42, "ref": "C", "alt": "A"}]}',
        b'{"sequences": [], "model": ' + b"1" * 3000 + b', "model": "sum"}',
        b'{"sequences": [{"a": 1, "a": 2}], "sequences": []}',
    ],
)
def test_a_key_that_occurs_twice_is_refused(client, raw):
    headers = {"content-type": "application/json"}
    assert_error(client.post("/v1/score", content=raw, headers=headers), 400, "twice")


def test_a_byte_order_mark_is_named(client):
    headers = {"content-type": "application/json"}
    raw = b'\xef\xbb\xbf{"sequences": []}'
    assert_error(client.post("/v1/score", content=raw, headers=headers), 400, "byte order mark")


@pytest.mark.parametrize("route", ["/v1/score", "/v1/triage", "/v1/sequences", "/v1/saturation"])
def test_options_in_the_query_are_not_passed_over(client, route):
    body = {"sequences": []}
    assert_error(client.post(f"{route}?model=sum", json=body), 422, "'model' in the query")


def test_validation_errors_of_the_core_have_the_same_shape(client):
    def post(**options):
        return client.post("/v1/score", json={"sequences": [PAIR], **options})

    assert_error(post(shifts=[50]), 422, "window of 20")
    assert_error(post(shifts=[1, 1]), 422, "different")


def test_many_problems_are_counted_and_the_list_is_bounded(client):
    response = client.post("/v1/score", json={"sequences": []} | {str(n): n for n in range(40)})
    detail = assert_error(response, 422, "(and 39 more)")
    assert len(detail["problems"]) == 20


@pytest.mark.parametrize("route", ["/v1/score", "/v1/triage", "/v1/sequences"])
def test_of_many_bad_items_twenty_are_told(client, route):
    response = client.post(route, json={"sequences": [0] * 40})
    detail = assert_error(response, 422, "sequences.0: ", "(and 19 more)")
    fields = [problem["field"] for problem in detail["problems"]]
    assert fields == [f"sequences.{number}" for number in range(20)]


def test_every_bad_item_is_told_beside_what_else_is_wrong(client):
    variants = [SNV] * 9
    for number, bad in (
        (2, {"pos": -1, "alt": ""}),
        (4, {"extra": 1}),
        (8, {"ref": 1, "pos": "1"}),
    ):
        variants[number] = SNV | bad
    body = {"variants": variants, "strands": 3}
    detail = assert_error(
        client.post("/v1/score", json=body), 422, "variants.2.pos: ", "(and 4 more)"
    )
    fields = [problem["field"] for problem in detail["problems"]]
    # Of the first all, of the others what is wrong first.
    assert fields == [
        "variants.2.pos", "variants.2.alt", "strands", "variants.4.extra", "variants.8.pos",
    ]  # fmt: skip
    assert all(problem["problem"] for problem in detail["problems"])


def test_of_a_long_body_the_first_bad_item_is_told(toy_models_dir):
    # A list of the problems of each would take many times the memory of the body.
    client = TestClient(create_app(settings(toy_models_dir, max_body_bytes=10**7)))
    response = client.post("/v1/score", json={"sequences": [0] * 600_000})
    detail = assert_error(response, 422, "sequences.0: ")
    assert [problem["field"] for problem in detail["problems"]] == ["sequences.0"]
    # One item may have very many problems too.
    wrong = PAIR | {str(number): 0 for number in range(2000)}
    response = client.post("/v1/score", json={"sequences": [0, wrong]})
    detail = assert_error(response, 422, "sequences.0: ", "(and 1 more)")
    assert detail["problems"][1] == {
        "field": "sequences.1", "problem": "2000 problems, too many to list",
    }  # fmt: skip


def test_a_body_full_of_wrong_keys_is_not_listed(toy_models_dir):
    client = TestClient(create_app(settings(toy_models_dir, max_body_bytes=10**6)))
    body = {"sequences": []} | {str(n): n for n in range(2000)}
    assert_error(client.post("/v1/score", json=body), 422, "2000 problems")


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
    "path", ["/page/none.js", "/v1", "/v1/scores", "/v1/models/a/b", "/v1/models/", "/%00"]
)
def test_an_unknown_route(client, path):
    assert_error(client.get(path), 404, kind="not_found")


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


def test_a_bug_says_nothing_of_its_insides(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret /path")

    monkeypatch.setattr(Scorer, "cut_pairs", broken)
    response = client.post("/v1/score", json={"sequences": [PAIR]})
    assert_error(response, 500)
    assert "secret" not in response.text
    monkeypatch.undo()
    assert score(client, sequences=[PAIR])["results"][0]["status"] == "ok", "it carries on"
