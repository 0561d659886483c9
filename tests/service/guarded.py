"""A small app behind the guard: routes that do what the tests of the guard need, and no model."""

import asyncio
import json
from types import SimpleNamespace

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from service.errors import OverloadedError
from service.settings import Settings
from service.web import guard
from service.web.limits import charge


class Lines:
    """Takes the lines of a log."""

    def __init__(self) -> None:
        self.raw: list[str] = []

    def info(self, line: str) -> None:
        self.raw.append(line)

    warning = error = info

    @property
    def all(self) -> list[dict]:
        return [json.loads(line) for line in self.raw]

    @property
    def last(self) -> dict:
        return self.all[-1]


def guarded(lines: Lines | None = None, **settings) -> FastAPI:
    """Return the app; `settings` are those of the guard."""
    app = FastAPI(title="guarded", openapi_url=None, redirect_slashes=False)
    app.state.engine = SimpleNamespace(observers=[], batchers={}, models={})
    guard.install(app, Settings(**settings), sink=lines or Lines())

    @app.post("/v1/echo/{name}")
    async def echo(name: str, request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    @app.post("/v1/charge/{n}")
    async def charged(n: int, request: Request) -> dict[str, int]:
        await charge(request, items=n, sequences=4 * n)
        return {"n": n}

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/v1/kept")
    async def kept() -> Response:
        return Response("x", headers={"Cache-Control": "max-age=60"})

    @app.get("/v1/busy")
    async def busy() -> None:
        raise OverloadedError("busy", retry_after=2.2)

    @app.get("/v1/bug")
    async def bug() -> None:
        try:
            raise KeyError("ACGTSECRET /secret/path")
        except KeyError as error:
            raise RuntimeError("GATTACA") from error

    @app.post("/v1/half")
    async def half() -> StreamingResponse:
        async def parts():
            yield b"one"
            raise RuntimeError("GATTACA")

        return StreamingResponse(parts())

    return app


def client_of(app: FastAPI) -> TestClient:
    """Return a client that sees every answer as it is."""
    return TestClient(app, raise_server_exceptions=False)


def post_below(app: FastAPI, receive, path: str = "/v1/echo/x", headers=()) -> list[dict]:
    """POST below the level of a client: `receive` is the body. Return what the app sent."""
    sent: list[dict] = []

    async def send(message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "path": path, "raw_path": path.encode(), "query_string": b"", "headers": list(headers),
        "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent
