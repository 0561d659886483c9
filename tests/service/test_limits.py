"""Quotas of keys: weighted by items, exact in what they tell, counted by nobody else."""

import time

import pytest

from service.web.keys import add_key
from tests.service.guarded import Lines, client_of, guarded


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys.jsonl"
    limits = {"small": 10, "other": 10, "free": None}
    return file, {name: add_key(file, name, limit) for name, limit in limits.items()}


@pytest.fixture
def ask(keys):
    file, texts = keys
    client = client_of(guarded(keys=file))
    return lambda name, n: client.post(f"/v1/charge/{n}", headers={"X-API-Key": texts[name]})


def numbers(response):
    names = ("limit", "remaining", "reset")
    return tuple(int(response.headers[f"x-ratelimit-{name}"]) for name in names)


def test_items_are_what_counts_and_the_headers_say_what_is_left(ask):
    for n, left in ((4, 6), (1, 5), (0, 4)):
        response = ask("small", n)
        assert response.status_code == 200
        limit, remaining, reset = numbers(response)
        assert (limit, remaining) == (10, left), "an empty request counts as one"
        assert 0 < reset <= 61


def test_a_quota_that_is_used_up(ask):
    assert ask("small", 8).status_code == 200
    response = ask("small", 3)
    assert response.status_code == 429
    error = response.json()["error"]
    assert error["type"] == "rate_limited"
    assert error["detail"] == {"limit": 10, "remaining": 2, "given": 3}
    assert 0 < int(response.headers["retry-after"]) <= 61
    assert numbers(response)[:2] == (10, 2), "what is refused does not count"
    assert ask("small", 2).status_code == 200
    assert ask("small", 1).status_code == 429
    assert ask("other", 10).status_code == 200, "each key has its own"
    assert all(ask("free", 1000).status_code == 200 for _ in range(3))
    assert "x-ratelimit-limit" not in ask("free", 1).headers


def test_what_can_never_pass_is_not_told_to_wait(ask):
    response = ask("small", 11)
    assert response.status_code == 413
    assert "retry-after" not in response.headers
    assert response.json()["error"]["detail"] == {"limit": 10, "given": 11}
    assert ask("small", 10).status_code == 200, "it did not count"


def test_after_the_time_that_was_told_it_passes(ask, monkeypatch):
    assert ask("small", 10).status_code == 200
    refused = ask("small", 10)
    assert refused.status_code == 429
    later = time.time() + int(refused.headers["retry-after"])
    monkeypatch.setattr(time, "time", lambda: later)
    assert ask("small", 10).status_code == 200


def test_the_log_has_what_was_asked_for_with_and_without_keys(keys):
    file, texts = keys
    lines = Lines()
    client_of(guarded(lines, keys=file)).post("/v1/charge/7", headers={"X-API-Key": texts["free"]})
    assert (lines.last["items"], lines.last["sequences"], lines.last["key"]) == (7, 28, "free")
    lines = Lines()
    client_of(guarded(lines)).post("/v1/charge/7")
    assert (lines.last["items"], lines.last["sequences"], lines.last["key"]) == (7, 28, None)
