"""Scores of a list -> a tier, a rank and the reasons for each input: one result for every door.

scores -> distributions of the true effects -> calls at an error rate -> `TriageList`
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.cutting import NOT_NORMALISED
from service.errors import Status, ValidationError
from service.fields import EFFECT_FIELDS, numbers
from service.mixture import Mixture
from service.novelty import ORDINARY
from service.scoring import Scorer, Scores
from service.tables import MALFORMED
from service.triage import TIERS, Triage, triage
from service.triage_list import Call, Given, Row, TriageList, TriageOptions
from service.variants import Variant, is_single, trim
from service.windows import Pass, variant_index

NOT_SINGLE = "the calibration was fitted on single-base changes, and this is none"
_NAMES = tuple(one.name for one in EFFECT_FIELDS)


def chosen_targets(scorer: Scorer, options: TriageOptions) -> tuple[str, ...]:
    """Return the targets to show, the deciding one first.

    Without a choice it is the first calibrated one; where the calibration holds for none, because
    of other strands say, the first that the card's calibration names, and without one the first.

    Raises:
      ValidationError: the model has no such target.
    """
    every = scorer.model.info.targets
    calibration = scorer.model.calibration
    named = set(calibration.targets) if calibration else set()
    fitted = (
        tuple(compress(every, scorer.calibrated))
        or tuple(target for target in every if target in named)
        or every
    )
    if options.target is not None and options.target not in every:
        raise ValidationError(
            f"{scorer.model.info.name} has no target {options.target!r}; it has {', '.join(every)}",
            detail={"field": "target", "available": list(every)},
        )
    first = options.target or fitted[0]
    return (first, *(target for target in fitted if target != first and options.compares))


def ranked(
    given: Sequence[Given],
    scores: Scores,
    scorer: Scorer,
    options: TriageOptions,
    *,
    provenance: Mapping[str, Any],
) -> TriageList:
    """Triage a list.

    The error rate is that of all calls of an effect on one target together, and of all calls of
    none together. A change that the calibration was not fitted for (an indel, several bases), like
    one without a score, is none of the list that the rate is kept over.

    Args:
      given: the inputs; those without a `problem`, N of them, have scores.
      scores: of those N, in their order, by this scorer.
      scorer: model, reference and options.
      options: what is asked of the triage.
      provenance: what made the scores; the options are added.

    Raises:
      ValidationError: the model has no such target, or an option is out of range.
    """
    targets = chosen_targets(scorer, options)
    why = {target: _no_calls(scorer, target, scores.calibrated) for target in targets}
    singles = np.array([is_single(form) for form in scores.normalised], bool)
    columns = [scorer.model.info.targets.index(target) for target in targets]
    found = _triaged(scorer.true_effects(scores), columns, singles, options)
    table = numbers(scores.effects)[:, columns].tolist()
    scored = _Scored(scores, scorer, targets, why, found, table, singles)
    rows, ranks = [], _ranks(scores, found[0])
    place = iter(range(len(scores.status)))
    for index, one in enumerate(given):
        if one.problem is not None:
            rows.append(Row(index=index, given=one, status=MALFORMED, reason=one.problem))
        else:
            number = next(place)
            rows.append(scored.row(index, one, number, ranks[number]))
    rows.sort(key=lambda row: (row.rank is None, row.rank or 0))
    made = {"targets": list(targets)} | {
        name: value for name, value in asdict(options).items() if name not in {"target", "compares"}
    }
    return TriageList(
        options=options,
        targets=targets,
        no_calls={target: text for target, text in why.items() if text},
        rows=tuple(rows),
        provenance={**provenance, "triage": made},
    )


def _triaged(
    true: Mixture, columns: Sequence[int], is_known: NDArray[np.bool_], options: TriageOptions
) -> list[Triage]:
    """Triage of each chosen column of (N, T) distributions, of the rows that count."""
    missing = np.where(is_known, 0.0, np.nan)
    return [
        triage(
            Mixture(true.weight[:, t], true.mean[:, :, t] + missing, true.sd[:, :, t] + missing),
            error_rate=options.error_rate,
            threshold=options.threshold,
            losses=options.losses,
        )
        for t in columns
    ]


def _ranks(scores: Scores, found: Triage) -> list[int | None]:
    """1-based ranks of those with a score, None for the others."""
    is_scored = np.array([status is Status.OK for status in scores.status], bool)
    order = np.lexsort((found.rank, ~is_scored))
    ranks = np.empty(len(order), np.intp)
    ranks[order] = np.arange(1, len(order) + 1)
    return [rank if ok else None for rank, ok in zip(ranks.tolist(), is_scored, strict=True)]


@dataclass(frozen=True, slots=True)
class _Scored:
    """N scored inputs, on their way to rows."""

    scores: Scores
    scorer: Scorer
    targets: tuple[str, ...]
    why: Mapping[str, str | None]
    found: Sequence[Triage]
    table: Sequence[Sequence[Sequence[float]]]
    is_single: NDArray[np.bool_]

    def row(self, index: int, given: Given, number: int, rank: int | None) -> Row:
        """Make the row of input `index`, the scores of which are those of this number."""
        scores = self.scores
        status, form = scores.status[number], scores.normalised[number]
        if status is not Status.OK:
            reason = given.reason or status.reason
            return Row(index=index, given=given, status=status.value, reason=reason)
        aspect = str(scores.novel_as[number])
        return Row(
            index=index,
            given=given,
            rank=rank,
            status=status.value,
            normalised=None if form == NOT_NORMALISED else form,
            window_index=tuple(_window_index(given, self.scorer)),
            novelty=_known(scores.novelty[number]),
            novel_as=None if aspect == ORDINARY else aspect,
            calls={target: self._call(t, number) for t, target in enumerate(self.targets)},
        )

    def _call(self, t: int, number: int) -> Call:
        found = self.found[t]
        no_call = self.why[self.targets[t]]
        if no_call is None and not self.is_single[number]:
            no_call = NOT_SINGLE
        values = zip(_NAMES, self.table[number][t], strict=True)
        return Call(
            tier=TIERS[found.tier[number]],
            p_lowers=_known(found.lowers[number]),
            p_raises=_known(found.raises[number]),
            p_negligible=_known(found.negligible[number]),
            p_wrong=_known(found.error[number]),
            expected_loss=_known(found.loss[number]),
            no_call=no_call,
            numbers={name: _known(value) for name, value in values},
            calibrated=no_call is None,
        )


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _no_calls(scorer: Scorer, target: str, calibrated: Sequence[bool]) -> str | None:
    """Why nothing can be called on a target, None where it can."""
    info, calibration, options = scorer.model.info, scorer.model.calibration, scorer.options
    if calibrated[info.targets.index(target)]:
        return None
    if calibration is None:
        return f"the card of {info.name} has no calibration by measured variant effects"
    if target not in calibration.targets:
        names = ", ".join(calibration.targets)
        return f"measured variant effects calibrate {names}, not {target}"
    if scorer.reference is None or scorer.calibrated[info.targets.index(target)]:
        return "pairs of sequences are never calibrated: they have no place in a genome"
    asked, fitted = (
        f"strands {one.strands} and shifts {','.join(map(str, one.shifts))}"
        for one in (options, calibration)
    )
    return f"the calibration holds for {fitted}, and these scores were made with {asked}"


def _window_index(given: Given, scorer: Scorer) -> Iterator[int]:
    width = scorer.model.info.window
    first = 0
    if given.contig is None:
        if given.ref.upper() == given.alt.upper():
            return
        # As `pair_windows` places them: the longer one in the middle.
        n_left = (width - max(len(given.ref), len(given.alt))) // 2
        first = n_left + trim(Variant("", 1, given.ref, given.alt)).start - width // 2
    for shift in scorer.options.shifts:
        index = variant_index(width, Pass(reverse=False, shift=shift)) + first
        if 0 <= index < width:
            yield index
