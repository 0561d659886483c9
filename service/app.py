"""The HTTP interface: `create_app(settings)` joins routes, engine, guard and error shape."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from service import __version__
from service.engine import Engine
from service.settings import Settings, load_settings
from service.web import (
    direct,
    game,
    guard,
    head,
    health,
    jobs,
    kserve,
    models,
    page,
    scoring,
    serviceinfo,
    shed,
    triage,
    variants,
)

_DESCRIPTION = """Effect of DNA variants on regulatory activity, with its uncertainty.
Research use only.

One request holds at most {max_items:,} items and {max_body_bytes:,} bytes; answered as NDJSON, at
most {max_stream_items:,} items; a region has at most {max_region:,} positions. Every input gets one
result, in order, with a status. Every error has the shape
`{{"error": {{"type", "message", "detail"}}}}`. A request is answered within {timeout:g} s, or the
time that its header X-Timeout-Seconds allows; lines, maps of a region and long lists of other
protocols take their time without it. 429 and 503 say in Retry-After when to come again."""


def create_app(
    settings: Settings | None = None, *, gpu: int = 0, shared: Path | None = None
) -> FastAPI:
    """Build the service: models and reference are loaded here, so a bad one stops the start.

    Args:
      settings: how to serve; by default from the environment.
      gpu: 0-based number of the GPU to use, where one is used.
      shared: folder of the service of which this is one worker; None if it is all of it.

    Raises:
      ServiceError: a model or the reference cannot be loaded.
    """
    settings = settings or load_settings()
    engine = Engine(settings, gpu=gpu)
    desk = jobs.open_desk(settings, engine)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if desk:
            desk.supervisor.start()
        yield
        if desk:
            await asyncio.to_thread(desk.supervisor.stop)
        engine.close()

    app = FastAPI(
        title="varsigma",
        version=__version__,
        description=_DESCRIPTION.format_map(settings.model_dump()),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,  # the guard brings it, and a page that needs no other host
        docs_url=None,
        redoc_url=None,
    )
    app.state.engine = engine
    app.state.desk = desk
    app.include_router(scoring.router)
    app.include_router(triage.router)
    app.include_router(variants.router)
    app.include_router(jobs.router)
    app.include_router(models.router)
    app.include_router(health.router)
    app.include_router(kserve.router)
    app.include_router(game.router)
    app.include_router(serviceinfo.router)
    app.include_router(page.router)
    # The last one added is the first that a request meets.
    app.add_middleware(direct.Direct, routes=[*scoring.router.routes, *triage.router.routes])
    app.add_middleware(shed.Shed, engine=engine, paths=scoring.INTERACTIVE)
    app.add_middleware(head.HeadAsGet)
    guard.install(app, settings, shared=shared)
    if desk:
        desk.watch(app.state.log, app.state.metrics)
    return app
