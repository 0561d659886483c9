"""Facts that stand beside the rows of a triaged list: what was measured, how a size speaks.

`TriageList + evidence | likelihood ratios -> TriageList` with `more` filled in. They are shown, and
change no tier and no rank.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from service.errors import ValidationError
from service.evidence import DEFAULT_WITHIN, Evidence
from service.likelihood import LikelihoodRatios
from service.registry import Model
from service.scoring import ScoringOptions
from service.triage_list import Row, TriageList
from service.variants import Variant, is_single

EVIDENCE_FACTS: Final = (
    "measured_is_exact",
    "measured_distance",
    "measured_n",
    "measured_value",
    "measured_se",
    "measured_p_value",
    "measured_element",
    "measured_as",
)
_STATED: Final = {
    "version", "effect", "none", "confidence", "targets", "strands", "shifts", "score_max",
}  # fmt: skip
"""What a list says of the table of ratios: what they are about, and of what there is none."""
RATIO_FACTS: Final = ("likelihood_ratio", "likelihood_ratio_lower", "likelihood_ratio_upper")


def with_evidence(
    found: TriageList, evidence: Evidence, *, within: int = DEFAULT_WITHIN
) -> TriageList:
    """Put beside each scored row what a table says of its change, or of the nearest position.

    Args:
      found: the list.
      evidence: measured effects, in their own units.
      within: bases; what was measured farther away says nothing.

    Returns:
      The list, each row with `EVIDENCE_FACTS`, of the strongest measurement: whether it is of this
      very change, the bases between them, how many were measured there, value, standard error,
      p-value, element, and the change that was measured as `contig:pos:ref:alt`, pos 1-based; all
      None where nothing was measured so near, or the row has no score.

    Raises:
      ValidationError: `within` is negative.
    """
    nothing = dict.fromkeys(EVIDENCE_FACTS)
    made = {**evidence.described, "within": within}
    found = replace(found, provenance={**found.provenance, "evidence": made})
    return _with(found, ({**nothing, **_measured(row, evidence, within)} for row in found.rows))


def with_likelihood_ratios(found: TriageList, model: Model, options: ScoringOptions) -> TriageList:
    """Put beside each row how strongly its size speaks for a measured effect, and the bounds.

    Args:
      found: the list.
      model: whose scores they are.
      options: that they were scored with.

    Returns:
      The list, each row with `RATIO_FACTS` on the deciding target; None where the table of the card
      says nothing.

    Raises:
      ValidationError: the card has no such table.
    """
    table = ratios_of(model)
    effect = [row.call.numbers["effect"] if row.call else None for row in found.rows]
    ratios = table.ratios(
        np.array(effect, np.float64)[:, None],
        (found.target,),
        strands=options.strands,
        shifts=options.shifts,
        is_snv=np.array([is_single(row.normalised or "") for row in found.rows], bool),
    )
    columns = np.column_stack([ratios.ratio, ratios.lower, ratios.upper]).tolist()
    rows = (
        {
            name: value if np.isfinite(value) else None
            for name, value in zip(RATIO_FACTS, row, strict=True)
        }
        for row in columns
    )
    made = {"digest": model.likelihood_sha256, **table.model_dump(mode="json", include=_STATED)}
    return _with(replace(found, provenance={**found.provenance, "likelihood_ratios": made}), rows)


def remarks(found: TriageList) -> Iterator[str]:
    """Yield a line for each kind of facts: how many of the scored rows have them.

    A table of another place, or of other names, says nothing: nobody should have to search all rows
    to see it.
    """
    scored = [row.more for row in found.rows if row.call]
    if evidence := found.provenance.get("evidence"):
        n_exact, n_near = (
            sum(facts["measured_is_exact"] is kind for facts in scored) for kind in (True, False)
        )
        yield (
            f"{n_exact:,} of {len(scored):,} scored ALTs were measured themselves, of {n_near:,}"
            f" others something within {evidence['within']:,} bases"
        )
    if table := found.provenance.get("likelihood_ratios"):
        bounds = [
            (facts["likelihood_ratio_lower"], facts["likelihood_ratio_upper"])
            for facts in scored
            if facts["likelihood_ratio"] is not None
        ]
        n_silent = sum(low <= 1 <= high for low, high in bounds)
        yield (
            f"{len(bounds):,} of {len(scored):,} scored ALTs have a likelihood ratio, {n_silent:,}"
            " of them one that cannot be told from 1; it is about what an assay finds, not about"
            f" disease, for single-base changes on {', '.join(table['targets'])} with strands"
            f" {table['strands']} and shifts {','.join(map(str, table['shifts']))}, up to a size of"
            f" {table['score_max']:.3g}"
        )


def ratios_of(model: Model) -> LikelihoodRatios:
    """Return the table of a model's card.

    Raises:
      ValidationError: it has none.
    """
    if model.likelihood_ratios is None:
        raise ValidationError(
            f"the card of {model.info.name} has no likelihood ratios; do not ask for them, or fit"
            " them with `varsigma-train likelihood`",
            detail={"field": "likelihood_ratios"},
        )
    return model.likelihood_ratios


def _with(found: TriageList, facts: Iterator[Mapping[str, Any]]) -> TriageList:
    rows = zip(found.rows, facts, strict=True)
    return replace(found, rows=tuple(replace(row, more={**row.more, **more}) for row, more in rows))


def _measured(row: Row, evidence: Evidence, within: int) -> Mapping[str, Any]:
    given = row.given
    if row.call is None or given.contig is None or given.pos is None:
        return {}
    near = evidence.near(Variant(given.contig, given.pos, given.ref, given.alt), within)
    if near is None:
        return {}
    best = near.strongest
    values = (
        near.is_exact,
        near.distance,
        len(near.measurements),
        best.value,
        best.se,
        best.p_value,
        best.element,
        f"{best.contig}:{best.pos}:{best.ref or '-'}:{best.alt or '-'}",
    )
    return dict(zip(EVIDENCE_FACTS, values, strict=True))
