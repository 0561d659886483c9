"""What triages: `POST /v1/triage`."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from service import calls, triage_examples
from service.triage_schemas import TriageRequest, TriageResponse
from service.web.jsonroute import JsonRoute
from service.web.scoring import REFUSALS, charge_items
from service.web.state import Called, example

router = APIRouter(tags=["scoring"], route_class=JsonRoute)


@router.post(
    "/v1/triage",
    response_model=TriageResponse,
    responses={**example(triage_examples.RESPONSE), **REFUSALS},
)
async def triage(
    body: Annotated[TriageRequest, Body(openapi_examples=triage_examples.REQUESTS)], call: Called
) -> Response:
    """Say of each variant of a list what can be said at an error rate, and rank them.

    The rate is kept over the calls of the request as one list. A variant of which nobody can tell
    has that as its tier; one that cannot be scored has a status and a reason, and none. Measured
    effects, where the service has some, and likelihood ratios, where they are asked for, stand
    beside the rows and change no call.
    """
    await charge_items(call, body)
    content = await calls.triage(call.engine, body, call.deadline)
    return Response(content, media_type="application/json")
