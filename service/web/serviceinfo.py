"""GA4GH service-info 1.0: `GET /service-info`, with the limits of a request as an extension."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service import __version__
from service.schemas import Limits
from service.web.state import Loaded, example

router = APIRouter(tags=["service"])


class ServiceType(BaseModel):
    """Kind of API; no standard of GA4GH, so the group is our own."""

    group: str = "varsigma"
    artifact: str = "variant-effect"
    version: str = "1"


class Organization(BaseModel):
    """Who runs the service."""

    name: str
    url: str


class ServiceLimits(Limits):
    """What one request may ask for; each is the setting of its name."""

    game_max_body_bytes: Annotated[int, Field(description="Body of a request to /predict")]
    max_upload_bytes: Annotated[int, Field(description="File that is sent to /v1/jobs")]


class Extension(BaseModel):
    """What varsigma adds to the standard."""

    limits: ServiceLimits
    models: list[str] = Field(description="served models, the default one first")
    assembly: str | None = Field(description="of the reference, null where there is none")


class ServiceInfo(BaseModel):
    """GA4GH service-info 1.0."""

    id: str = "varsigma"
    name: str = "varsigma"
    type: ServiceType = ServiceType()
    description: str = (
        "Effect of DNA variants on regulatory activity, with its uncertainty. Research use only."
    )
    organization: Organization
    version: str = __version__
    varsigma: Extension


_EXAMPLE = ServiceInfo(
    organization=Organization(name="An institute", url="https://institute.example.org"),
    varsigma=Extension(
        limits=ServiceLimits(
            max_items=1000,
            max_stream_items=100_000,
            max_region=3000,
            max_body_bytes=8 << 20,
            max_waiting_sequences=16_384,
            timeout=30,
            game_max_body_bytes=128 << 20,
            max_upload_bytes=4 << 30,
        ),
        models=["dh7", "mse"],
        assembly="GRCh37",
    ),
).model_dump()


@router.get("/service-info", responses=example(_EXAMPLE))
async def service_info(engine: Loaded) -> ServiceInfo:
    """Describe the service in the form of GA4GH."""
    settings = engine.settings
    return ServiceInfo(
        organization=Organization(name=settings.organization, url=settings.organization_url),
        varsigma=Extension(
            limits=ServiceLimits.of(settings.model_dump()),
            models=list(engine.models),
            assembly=engine.reference.assembly if engine.reference else None,
        ),
    )
