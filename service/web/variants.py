"""One variant in any common spelling -> its names: `GET /v1/variants`."""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from service.errors import ValidationError
from service.spellings import resolve_one
from service.web.failures import documented
from service.web.limits import charge
from service.web.state import Loaded, example

router = APIRouter(tags=["variants"])


class VariantQuery(BaseModel):
    """What is asked."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[
        str,
        Field(
            min_length=1,
            description="One variant: chr17:31150:G:A, 17-31150-G-A, chr17:31,150 G>A, HGVS (g.),"
            " SPDI, a line of a VCF or of VEP's format; the assembly may stand before it (hg19:)."
            " Four parts between colons are SPDI, 0-based, behind NC_, NT_ or NW_, else 1-based",
            examples=[
                "chr17:31150:G:A",
                "chr17:31,150 G>A",
                "NC_000017.10:g.31350del",
                "NC_000017.10:31149:G:A",
                "17 31150 . G A",
                "17 31348 31348 G/- +",
            ],
        ),
    ]


class VariantNames(BaseModel):
    """A variant under its one name; contig, pos, ref and alt are what `POST /v1/score` takes."""

    identifier: Annotated[
        str,
        Field(description="assembly:contig:pos:ref:alt, the same for every spelling of one change"),
    ]
    spdi: Annotated[
        str | None,
        Field(description="Contextual allele, 0-based; null where no accession is known"),
    ]
    contig: Annotated[str, Field(description="As the reference spells it")]
    pos: Annotated[int, Field(description="1-based, of the left-aligned, parsimonious form")]
    ref: str
    alt: str
    assembly: Annotated[str | None, Field(description="Of the reference; null where not stated")]
    notes: Annotated[list[str], Field(description="How the text was read, for a person")]
    use: str = "research use only"


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
