"""The HTTP interface: `create_app(settings)` joins routes, engine, guard and error shape."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service import __version__
from service.engine import Engine
from service.settings import Settings, load_settings
from service.web import game, guard, head, health, kserve, models, scoring, serviceinfo, shed

_DESCRIPTION = """Effect of DNA variants on regulatory activity, with its uncertainty.
Research use only.

One request holds at most {max_items:,} items and {max_body_bytes:,} bytes; answered as NDJSON, at
most {max_stream_items:,} items; a region has at most {max_region:,} positions. Every input gets one
result, in order, with a status. Every error has the shape
`{{"error": {{"type", "message", "detail"}}}}`. A request is answered within {timeout:g} s, or the
time that its header X-Timeout-Seconds allows; 429 and 503 say in Retry-After when to come again."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the service: models and reference are loaded here, so a bad one stops the start.

    Args:
      settings: how to serve; by default from the environment.

    Raises:
      ServiceError: a model or the reference cannot be loaded.
    """
    settings = settings or load_settings()
    engine = Engine(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        engine.close()

    app = FastAPI(
        title="varsigma",
        version=__version__,
        description=_DESCRIPTION.format_map(settings.model_dump()),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # the guard brings a page that needs no other host
        redoc_url=None,
    )
    app.state.engine = engine
    app.include_router(scoring.router)
    app.include_router(models.router)
    app.include_router(health.router)
    app.include_router(kserve.router)
    app.include_router(game.router)
    app.include_router(serviceinfo.router)
    app.add_middleware(shed.Shed, engine=engine, paths=scoring.INTERACTIVE)
    app.add_middleware(head.HeadAsGet)
    guard.install(app, settings)
    return app
