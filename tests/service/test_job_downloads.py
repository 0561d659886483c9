"""A result, whole and in parts, as RFC 9110 says (sections 13 and 14)."""

import asyncio
import random
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect

from service.jobs.ticket import FileFacts
from service.web.download import download
from service.web.failures import add_error_handlers
from service.web.head import HeadAsGet

CONTENT = random.Random(1).randbytes(700_001)
N = len(CONTENT)
TAG = f'"{"ab" * 32}"'


@pytest.fixture
def app(tmp_path) -> FastAPI:
    (tmp_path / "file").write_bytes(CONTENT)
    app = FastAPI()
    add_error_handlers(app)
    facts = FileFacts(n_bytes=N, sha256="ab" * 32)

    @app.get("/file")
    async def file(request: Request):
        return await download(
            request, tmp_path / "file", facts, media_type="text/plain", name="a.vcf"
        )

    app.add_middleware(HeadAsGet)
    return app


@pytest.fixture
def client(app) -> TestClient:
    return TestClient(app)


def test_the_whole_file(client):
    answer = client.get("/file")
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers == {
        "etag": TAG, "accept-ranges": "bytes", "content-type": "text/plain",
        "content-length": str(N), "content-disposition": 'attachment; filename="a.vcf"',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, N),
        ("bytes=5-9", 5, 10),
        ("Bytes=5-9", 5, 10),
        ("bytes= 5-9 ", 5, 10),
        (f"bytes={N - 1}-", N - 1, N),
        (f"bytes=10-{N + 99}", 10, N),
        (f"bytes=10-{10**17}", 10, N),
        ("bytes=-1", N - 1, N),
        ("bytes=-300000", N - 300_000, N),
        (f"bytes=-{N + 5}", 0, N),
        ("bytes=262143-262145", 262_143, 262_146),
    ],
)
def test_a_range(client, asked, first, end):
    answer = client.get("/file", headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[first:end]
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{N}"
    assert answer.headers["content-length"] == str(end - first)
    assert answer.headers["etag"] == TAG


@pytest.mark.parametrize(
    "asked",
    ["bytes=9-5", "bytes=-", "bytes=", "bytes", "", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1",
     "bytes=1", "bytes=--1", "bytes=0x1-2", f"bytes=0-{10**30}"],
)  # fmt: skip
def test_a_range_that_is_none_is_ignored(client, asked):
    answer = client.get("/file", headers={"range": asked})
    assert (answer.status_code, len(answer.content)) == (200, N)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("asked", [f"bytes={N}-", f"bytes={N}-{N + 1}", "bytes=-0"])
def test_a_range_beyond_the_end(client, asked):
    answer = client.get("/file", headers={"range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{N}"
    assert answer.json()["error"]["detail"] == {"size": N}


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        (TAG, 206), (f" {TAG} ", 206), ('"other"', 200), (f"W/{TAG}", 200), ("ab" * 32, 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 200),
    ],
)  # fmt: skip
def test_a_download_goes_on_only_in_the_same_file(client, tag, status):
    answer = client.get("/file", headers={"range": "bytes=5-9", "if-range": tag})
    assert answer.status_code == status
    assert answer.content == (CONTENT[5:10] if status == 206 else CONTENT)
    # A file that is another one is sent whole, even where the range lies beyond its end.
    answer = client.get("/file", headers={"range": f"bytes={N}-", "if-range": tag})
    assert answer.status_code == (416 if status == 206 else 200)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("if-none-match", TAG, 304), ("if-none-match", f"W/{TAG}", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", f'"x", {TAG}', 304), ("if-none-match", '"x"', 200),
        ("if-match", TAG, 200), ("if-match", "*", 200), ("if-match", f'"x",{TAG}', 200),
        ("if-match", f"W/{TAG}", 412), ("if-match", '"x"', 412), ("if-match", "", 412),
    ],
)  # fmt: skip
def test_conditions(client, name, value, status):
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/file", headers={name: value})
        assert answer.status_code == status
        if status == 304:
            assert answer.content == b""
            assert answer.headers["etag"] == TAG


def test_head_says_how_long_it_is_and_reads_nothing(client, tmp_path):
    (tmp_path / "file").unlink()  # it would be missed
    answer = client.head("/file", headers={"range": "bytes=5-9"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(N)
    assert answer.headers["etag"] == TAG


def test_a_client_that_leaves_in_the_middle_ends_the_reading(app):
    sent = []

    async def scenario() -> None:
        gone = asyncio.Event()

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)
            if len(sent) == 2:
                gone.set()
                await asyncio.sleep(0.2)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "path": "/file", "raw_path": b"/file", "query_string": b"", "headers": [],
            "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
        }  # fmt: skip
        await app(scope, receive, send)

    asyncio.run(scenario())
    bodies = [message["body"] for message in sent if message["type"] == "http.response.body"]
    assert 0 < sum(map(len, bodies)) < N


def test_a_file_that_is_removed_meanwhile_is_sent_to_its_end(client, tmp_path):
    with client.stream("GET", "/file") as answer:
        (tmp_path / "file").unlink()
        assert answer.read() == CONTENT


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_a_client_that_is_gone_before_the_first_byte_leaves_no_file_open(app):
    async def receive():
        return {"type": "http.disconnect"}

    async def send(_):
        raise OSError("nobody takes it")

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1",
        "method": "GET", "path": "/file", "raw_path": b"/file", "query_string": b"", "headers": [],
        "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip

    async def scenario() -> None:
        for _ in range(20):
            with suppress(ClientDisconnect):
                await app(scope, receive, send)

    before = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(scenario())
    assert len(list(Path("/proc/self/fd").iterdir())) == before
