"""Headers: every answer has the safe ones; other origins are let in by name only."""

import pytest

from service.errors import ValidationError
from service.web.keys import add_key
from tests.service.guarded import client_of, guarded

EVERY = ["/health/live", "/v1/nowhere", "/v1/busy", "/v1/bug", "/docs", "/openapi.json", "/metrics"]


@pytest.mark.parametrize("path", EVERY)
def test_every_answer_has_them(path):
    headers = client_of(guarded()).get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert headers.get_list("content-security-policy") == [policy]
    assert len(headers["x-request-id"]) == 32
    assert "access-control-allow-origin" not in headers


def test_a_route_may_say_how_long_its_answer_keeps():
    headers = client_of(guarded()).get("/v1/kept").headers
    assert headers.get_list("cache-control") == ["max-age=60"]


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64])
def test_a_sane_request_id_is_kept(given):
    response = client_of(guarded()).get("/health/live", headers={"X-Request-ID": given})
    assert response.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "a\tb", "é".encode(), "<script>"])
def test_another_request_id_is_replaced(given):
    response = client_of(guarded()).get("/health/live", headers={"X-Request-ID": given})
    assert len(response.headers["x-request-id"]) == 32


# --- other origins -------------------------------------------------------------------------------

ORIGIN, OTHER = "https://a.org", "https://b.org"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}


def test_no_origin_is_let_in_by_default():
    client = client_of(guarded())
    preflight = client.options("/v1/charge/1", headers=PREFLIGHT | {"Origin": ORIGIN})
    plain = client.post("/v1/charge/1", headers={"Origin": ORIGIN})
    assert preflight.status_code == 405
    assert plain.status_code == 200
    for response in (preflight, plain):
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_an_origin_is_let_in_by_name(tmp_path):
    add_key(tmp_path / "keys", "a", None)
    client = client_of(guarded(cors_origins=ORIGIN, keys=tmp_path / "keys"))
    preflight = client.options("/v1/charge/1", headers=PREFLIGHT | {"Origin": ORIGIN})
    assert preflight.status_code == 200, "a browser sends no key before it is allowed to"
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    refused = client.post("/v1/charge/1", headers={"Origin": ORIGIN})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN, "its page can read why"
    assert "X-Request-ID" in refused.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in refused.headers
    for response in (
        client.options("/v1/charge/1", headers=PREFLIGHT | {"Origin": OTHER}),
        client.post("/v1/charge/1", headers={"Origin": OTHER}),
    ):
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "origin", ["https://a.org/", "a.org", "https://*.a.org", "https://a.org/x"]
)
def test_what_no_page_could_match_is_refused_at_the_start(origin):
    with pytest.raises(ValidationError, match="no origin"):
        guarded(cors_origins=origin)


def test_every_origin_may_be_let_in():
    client = client_of(guarded(cors_origins="*"))
    response = client.get("/health/live", headers={"Origin": OTHER})
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers
