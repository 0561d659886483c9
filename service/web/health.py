"""Whether the process runs and whether it answers: `GET /health/live`, `GET /health/ready`."""

from fastapi import APIRouter, Response

from service import examples
from service.schemas import Live, Ready, ReadyModel
from service.session import CUDA
from service.web.state import Loaded, example

router = APIRouter(tags=["health"])


@router.get("/health/live")
async def live() -> Live:
    """Say that the process runs."""
    return Live()


@router.get(
    "/health/ready",
    responses={
        **example(examples.READY),
        503: {"model": Ready, "description": "The service is shutting down, or a model fails"},
    },
)
async def ready(engine: Loaded, response: Response) -> Ready:
    """Say whether requests are answered, and on which device."""
    reference, state = engine.reference, engine.state
    is_on_cuda = all(model.providers[0] == CUDA for model in engine.models.values())
    if state != "ready":
        response.status_code = 503
    return Ready(
        status=state,
        device="cuda" if is_on_cuda else "cpu",
        models=[
            ReadyModel(name=name, providers=list(model.providers))
            for name, model in engine.models.items()
        ],
        reference=reference.name if reference else None,
        assembly=reference.assembly if reference else None,
    )
