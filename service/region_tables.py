"""Every change of a region with its scores -> TSV, or the JSON of `POST /v1/saturation`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.answers import encoded, region_head, with_map
from service.fields import (
    VARIANT_COLUMNS,
    RowTemplates,
    known_rows,
    provenance_items,
    variant_texts,
)
from service.saturation import Region, effect_map
from service.scoring import Scores
from service.tables import flag_columns, number_columns

COLUMNS = ("contig", "pos", "ref", "alt", *VARIANT_COLUMNS)
"""What stands before what is said of the targets."""

_BEFORE = b"\t".join([b"%b", b"%d", b"%b", b"%b", *[b"%b"] * len(VARIANT_COLUMNS)])
_FLAG = b"\t%b"


def region_tsv(
    region: Region, scores: Scores, targets: Sequence[str], *, provenance: Mapping[str, Any]
) -> bytes:
    """Return a table, named and written as `varsigma score` does.

    Args:
      region: of L bases.
      scores: of its V changes, in the order of `Region.variants`.
      targets: T names, in the order of the scores.
      provenance: what made them; it stands in comments before the names of the columns.

    Returns:
      One row per change, pos 1-based; none at N.
    """
    columns = number_columns(targets)
    before = _BEFORE + _FLAG * len(targets)
    comments = "".join(
        f"# {name}={value}\n" for name, value in provenance_items(_made(region, provenance))
    )
    names = "\t".join((*COLUMNS, *flag_columns(targets), *columns))
    head = f"{comments}{names}\n".encode()
    template_of = RowTemplates([b"\t"] * len(columns), before=before, after=b"\n").template

    def rows() -> Iterator[bytes]:
        every = zip(
            region.variants(), variant_texts(scores), known_rows(scores.effects), strict=True
        )
        for change, texts, (mask, known) in every:
            place = change.contig.encode(), change.pos, change.ref.encode(), change.alt.encode()
            yield template_of(mask) % (*place, *texts, *known)

    return head + b"".join(rows())


def region_json(
    region: Region, scores: Scores, targets: Sequence[str], *, provenance: Mapping[str, Any]
) -> bytes:
    """Return a `SaturationResponse`; the arguments are those of `region_tsv`."""
    head = encoded({"provenance": dict(provenance)} | region_head(region))
    return with_map(head, effect_map(region, scores), targets, scores.calibrated) + b"\n"


def _made(region: Region, provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    end = region.start + len(region.codes)
    return {**provenance, "region": f"{region.contig}:{region.start + 1}-{end}"}
