"""What the tests of the HTTP interface ask, and how every error must look."""

import asyncio
import json
from pathlib import Path

import httpx2 as httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.settings import Settings
from tests.genomes import CHR1

ERROR_TYPES = {
    400: "decoding_error",
    404: "model_not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "media_type",
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


ROUTES = {
    "/v1/score": "POST",
    "/v1/triage": "POST",
    "/v1/sequences": "POST",
    "/v1/saturation": "POST",
    "/v1/models": "GET",
    "/v1/models/sum": "GET",
    "/health/live": "GET",
    "/health/ready": "GET",
}


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


def lines_of(response: httpx.Response) -> list[dict]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


LINES = {"accept": "application/x-ndjson"}
