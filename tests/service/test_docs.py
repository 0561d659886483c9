"""The page of the interface: complete, and in need of no other host."""

import base64
import hashlib
import re
import threading

import pytest

from service.web import docs
from tests.service.guarded import client_of, guarded


@pytest.fixture
def page():
    return client_of(guarded()).get("/docs")


def test_the_page_lists_every_route(page):
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for route in ("POST /v1/echo/{name}", "GET /v1/busy", "GET /health/live"):
        assert f"<h2><code>{route}</code></h2>" in page.text
    assert "/metrics" not in page.text


def test_the_page_loads_nothing_and_its_policy_allows_nothing_but_its_style(page):
    assert not re.findall(r"<script|<link|<img|<iframe|src=|@import|url\(|https?://", page.text)
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"


def test_what_stands_in_the_interface_cannot_break_out_of_the_page():
    app = guarded()

    @app.get("/v1/<script>", description="<script>alert(1)</script>")
    async def evil() -> None: ...

    page = client_of(app).get("/docs").text
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_interface_is_put_together_beside_the_event_loop(path, monkeypatch):
    # The first call of /openapi.json held all others up for most of a second.
    app, names = guarded(), []
    plain = docs.failures.described

    def noted(*codes, **options):
        names.append(threading.current_thread().name)
        return plain(*codes, **options)

    monkeypatch.setattr(docs.failures, "described", noted)

    @app.get("/v1/loop")
    async def loop() -> str:
        return threading.current_thread().name

    with client_of(app) as client:
        loop_name = client.get("/v1/loop").json()
        assert client.get(path).status_code == 200
    assert names
    assert loop_name not in names


def test_openapi_has_what_the_guard_answers():
    spec = client_of(guarded()).get("/openapi.json").json()
    for operations in spec["paths"].values():
        for operation in operations.values():
            assert {"408", "413", "415", "500"} <= operation["responses"].keys()
