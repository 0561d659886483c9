"""What `GET /v1/variants` is asked, and what it answers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


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
