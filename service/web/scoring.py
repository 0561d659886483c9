"""What scores: `POST /v1/score`, `/v1/sequences` and `/v1/saturation`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Body, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service import calls, examples
from service.engine import Engine
from service.saturation import ALTS
from service.schemas import (
    SaturationRequest,
    SaturationResponse,
    ScoreRequest,
    ScoreResponse,
    SequencesRequest,
    SequencesResponse,
)
from service.web.failures import documented
from service.web.jsonroute import JsonRoute
from service.web.limits import charge
from service.web.state import NDJSON, Call, Called, example, example_or_lines

router = APIRouter(tags=["scoring"], route_class=JsonRoute)

INTERACTIVE = frozenset({"/v1/score", "/v1/sequences", "/v1/triage"})

REFUSALS = documented(400, 404, 413, 422, 503, 504)
_CHANGES_PER_POSITION = 3


@router.post(
    "/v1/score",
    response_model=ScoreResponse,
    responses={
        **example_or_lines(
            examples.SCORE_RESPONSE, "First the answer without its results, then one per line"
        ),
        **REFUSALS,
    },
)
async def score(
    body: Annotated[ScoreRequest, Body(openapi_examples=examples.SCORE_REQUESTS)], call: Called
) -> Response:
    """Score variants, or pairs of sequences.

    One that cannot be scored has a status and a reason in its result; it is no error. A long list
    is answered as NDJSON to `Accept: application/x-ndjson`, a result per line as they are done; a
    failure in the middle is the last line, `{"error": ...}`.
    """
    await charge_items(call, body)
    if call.wants_lines:
        return await _lines(calls.score_lines(call.engine, body, call.long_deadline))
    return _json(await calls.score(call.engine, body, call.deadline))


@router.post(
    "/v1/sequences",
    response_model=SequencesResponse,
    responses={**example(examples.SEQUENCES_RESPONSE), **REFUSALS},
)
async def sequences(
    body: Annotated[SequencesRequest, Body(openapi_examples=examples.SEQUENCES_REQUESTS)],
    call: Called,
) -> Response:
    """Predict the activity of plain sequences, with its standard deviations."""
    n_items, strands = len(body.sequences), body.strands or call.engine.defaults.strands
    await charge(call.request, items=n_items, sequences=n_items * strands)
    return _json(await calls.sequences(call.engine, body, call.deadline))


@router.post(
    "/v1/saturation",
    response_model=SaturationResponse,
    responses={
        **example_or_lines(
            examples.SATURATION_RESPONSE,
            "First the answer without its targets, then the same for one run of positions after"
            " the other, without the provenance",
        ),
        **REFUSALS,
    },
)
async def saturation(
    body: Annotated[SaturationRequest, Body(openapi_examples=examples.SATURATION_REQUESTS)],
    call: Called,
) -> Response:
    """Score every single-base change of a region of the server's reference.

    It runs behind the requests of other routes. `Accept: application/x-ndjson` shows how far it is.
    """
    n_positions = body.end - body.start + 1
    await charge(
        call.request,
        items=_CHANGES_PER_POSITION * n_positions,
        sequences=_n_sequences(call.engine, body, n_positions, len(ALTS) - 1),
    )
    if call.wants_lines:
        return await _lines(calls.saturation_lines(call.engine, body, call.long_deadline))
    return _json(await calls.saturation(call.engine, body, call.long_deadline))


async def charge_items(call: Call, body: ScoreRequest) -> None:
    """Charge the variants or pairs of a request: see `charge`."""
    n_items = len(body.items)
    n_sequences = _n_sequences(call.engine, body, n_items, 1)
    await charge(call.request, items=n_items, sequences=n_sequences)


def _n_sequences(
    engine: Engine, body: ScoreRequest | SaturationRequest, n_sites: int, n_alts: int
) -> int:
    """Count what a model has to see at most of sites with so many ALTs, anchorings of indels apart.

    Raises:
      ModelNotFoundError: the model is not served.
    """
    options, calibration = body.options(engine.defaults), engine.model(body.model).calibration
    has_place = isinstance(body, SaturationRequest) or body.variants is not None
    hides = has_place and calibration is not None and calibration.n_occluded > 0
    return n_sites * (1 + n_alts + hides) * options.strands * len(options.shifts)


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


async def _lines(lines: AsyncGenerator[bytes]) -> Response:
    # The first line is awaited here: what is refused before it is an error like any other.
    first = await anext(lines)

    async def all_lines() -> AsyncGenerator[bytes]:
        yield first
        async for line in lines:
            yield line

    return _Lines(all_lines(), lines)


class _Lines(StreamingResponse):
    """Lines, whose place is free again as soon as nobody takes any more of them."""

    media_type = NDJSON

    def __init__(self, content: AsyncGenerator[bytes], place: AsyncGenerator[bytes]) -> None:
        super().__init__(content)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._place):
            await super().__call__(scope, receive, send)
