"""The HTTP interface: `create_app(settings)` joins routes, engine, limits and error shape."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

from fastapi import APIRouter, Body, Depends, FastAPI, Request, Response

from service import __version__, examples
from service.engine import Engine
from service.failures import BodyLimit, add_error_handlers, documented
from service.schemas import (
    Limits,
    Live,
    ModelList,
    ModelSummary,
    Ready,
    ReadyModel,
    ScoreRequest,
    ScoreResponse,
)
from service.settings import Settings, load_settings

_DESCRIPTION = """Effect of DNA variants on regulatory activity, with its uncertainty.
Research use only.

One request holds at most {max_items:,} items and {max_body_bytes:,} bytes. Every input gets one
result, in order, with a status. Every error has the shape
`{{"error": {{"type", "message", "detail"}}}}`."""

router = APIRouter()


async def _engine(request: Request) -> Engine:
    return cast(Engine, request.app.state.engine)


Loaded = Annotated[Engine, Depends(_engine)]


def _example(value: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": value}}}}


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
    )
    app.state.engine = engine
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    add_error_handlers(app)
    app.include_router(router)
    return app


@router.post(
    "/v1/score",
    response_model=ScoreResponse,
    responses={**_example(examples.SCORE_RESPONSE), **documented(400, 404, 413, 422, 503)},
    tags=["scoring"],
)
async def score(
    request: Annotated[ScoreRequest, Body(openapi_examples=examples.SCORE_REQUESTS)],
    engine: Loaded,
) -> Response:
    """Score variants, or pairs of sequences.

    One that cannot be scored has a status and a reason in its result; it is no error.
    """
    return Response(await engine.score(request), media_type="application/json")


@router.get("/v1/models", responses=_example(examples.MODEL_LIST), tags=["models"])
async def models(engine: Loaded) -> ModelList:
    """List the served models, the default one first, and the limits of a request."""
    return ModelList(
        models=[ModelSummary.from_card(model.card) for model in engine.models.values()],
        limits=Limits(
            max_items=engine.settings.max_items, max_body_bytes=engine.settings.max_body_bytes
        ),
    )


@router.get(
    "/v1/models/{name}",
    responses={**_example(examples.CARD), **documented(404, 422)},
    tags=["models"],
)
async def card(name: str, engine: Loaded) -> dict[str, Any]:
    """Return a model's card: data, metrics, calibration, licence, limits."""
    return dict(engine.model(name).card)


@router.get("/health/live", tags=["health"])
async def live() -> Live:
    """Say that the process runs."""
    return Live()


@router.get("/health/ready", responses=_example(examples.READY), tags=["health"])
async def ready(engine: Loaded) -> Ready:
    """Say that requests are answered, and on which device."""
    reference = engine.reference
    return Ready(
        models=[
            ReadyModel(name=name, providers=list(model.providers))
            for name, model in engine.models.items()
        ],
        reference=reference.name if reference else None,
        assembly=reference.assembly if reference else None,
    )
