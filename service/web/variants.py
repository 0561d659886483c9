"""One variant in any common spelling -> its names: `GET /v1/variants`."""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Query, Request

from service.errors import ValidationError
from service.spellings import resolve_one
from service.variant_schemas import VariantNames, VariantQuery
from service.web.failures import documented
from service.web.limits import charge
from service.web.state import Loaded, example

router = APIRouter(tags=["variants"])


_ANSWER = VariantNames(
    identifier="GRCh37:chr17:31347:CG:C",
    spdi="NC_000017.10:31347:GGGG:GGG",
    contig="chr17",
    pos=31347,
    ref="CG",
    alt="C",
    assembly="GRCh37",
    notes=["in normal form, left-aligned and parsimonious: 31347:CG:C"],
).model_dump()


@router.get(
    "/v1/variants", responses={**example(_ANSWER), **documented(422, 503)}, summary="Read a variant"
)
async def variants(
    request: Request, query: Annotated[VariantQuery, Query()], engine: Loaded
) -> VariantNames:
    """Read one variant in any common spelling, compare it with the reference, and name it.

    All spellings of a change, of an indel in a repeat too, get the same identifier. What cannot be
    read, or differs from the reference, gets 422; the message says what would do. It counts as one
    item of the key's quota.
    """
    names = Counter(name for name, _ in request.query_params.multi_items())
    if names["q"] > 1:
        raise ValidationError("q is given twice; ask for one variant", detail={"field": "q"})
    reference = engine.genome("q")
    await charge(request, items=1)
    named = await engine.offload(resolve_one, query.q, reference)
    return VariantNames.model_validate(named.as_dict())
