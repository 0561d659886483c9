"""The served models and their cards: `GET /v1/models`, `GET /v1/models/{name}`."""

from typing import Any

from fastapi import APIRouter

from service import examples
from service.schemas import Limits, ModelList, ModelSummary
from service.web.failures import documented
from service.web.state import Loaded, example

router = APIRouter(tags=["models"])


@router.get("/v1/models", responses=example(examples.MODEL_LIST))
async def models(engine: Loaded) -> ModelList:
    """List the served models, the default one first, and the limits of a request."""
    return ModelList(
        models=[ModelSummary.from_card(model.card) for model in engine.models.values()],
        limits=Limits.of(engine.settings.model_dump()),
    )


@router.get("/v1/models/{name}", responses={**example(examples.CARD), **documented(404, 422)})
async def card(name: str, engine: Loaded) -> dict[str, Any]:
    """Return a model's card: data, metrics, calibration, licence, limits."""
    return dict(engine.model(name).card)
