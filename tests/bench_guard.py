"""What the guard costs each request: `python -m tests.bench_guard`, microseconds of one core.

The same smallest request goes to an app of three lines, with and without the guard's middleware,
and to a route that scores, past the router and through it; the best of several rounds is reported,
because a busy machine only ever adds.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel
from starlette.types import ASGIApp

from service.settings import Settings
from service.web import guard
from service.web.direct import Direct
from service.web.jsonroute import JsonRoute
from service.web.keys import add_key
from service.web.state import Called
from tests.service.guarded import Lines

N_ROUNDS, N_REQUESTS = 10, 3000
ORIGIN = "https://a.org"


class _Nowhere(Lines):
    def info(self, line: str) -> None:
        pass

    error = info


async def _bare(_: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"{}"})


def _guarded(**settings: Any) -> tuple[FastAPI, ASGIApp]:
    """The guard around the bare app, without FastAPI's router."""
    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.engine = SimpleNamespace(observers=[], batchers={})
    guard.install(app, Settings(**settings), sink=_Nowhere())
    chain: ASGIApp = _bare
    for middleware in reversed(app.user_middleware):
        chain = middleware.cls(chain, *middleware.args, **middleware.kwargs)
    return app, chain


class _Asked(BaseModel):
    sequences: list[str]


def _routed(*, is_direct: bool) -> tuple[FastAPI, ASGIApp]:
    """An app whose one route does nothing."""
    router = APIRouter(route_class=JsonRoute)

    @router.post("/v1/score")
    async def score(body: _Asked, call: Called) -> Response:
        return Response(b"{}")

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.engine = SimpleNamespace()
    app.include_router(router)
    if is_direct:
        app.add_middleware(Direct, routes=router.routes)
    return app, app


async def _microseconds(app: FastAPI, chain: ASGIApp, *headers: tuple[bytes, bytes]) -> float:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"sequences":[]}', "more_body": False}

    async def send(_: object) -> None: ...

    fixed = [(b"host", b"x"), (b"content-type", b"application/json"), (b"content-length", b"16")]
    best = float("inf")
    for _ in range(N_ROUNDS):
        start = time.perf_counter()
        for _ in range(N_REQUESTS):
            scope = {
                "type": "http", "method": "POST", "path": "/v1/score", "app": app,
                "headers": [*fixed, *headers], "query_string": b"",
            }  # fmt: skip
            await chain(scope, receive, send)
        best = min(best, time.perf_counter() - start)
    return best / N_REQUESTS * 1e6


def main() -> None:
    """Run from the command line."""
    app, chain = _guarded()
    bare = asyncio.run(_microseconds(app, _bare))
    print(f"guard               {asyncio.run(_microseconds(app, chain)) - bare:6.1f} us a request")
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        texts = [add_key(keys, f"k{n}", None) for n in range(20)]
        app, chain = _guarded(keys=keys, cors_origins=ORIGIN)
        given = (b"x-api-key", texts[-1].encode()), (b"origin", ORIGIN.encode())
        found = asyncio.run(_microseconds(app, chain, *given)) - bare
    print(f"with 20 keys, CORS  {found:6.1f} us a request")
    routed = asyncio.run(_microseconds(*_routed(is_direct=False)))
    direct = asyncio.run(_microseconds(*_routed(is_direct=True)))
    print(f"route, by router    {routed:6.1f} us a request")
    print(f"route, direct       {direct:6.1f} us a request")


if __name__ == "__main__":
    main()
