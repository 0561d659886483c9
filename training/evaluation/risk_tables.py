"""Does it pay to leave out the least certain: risk against coverage, and the half that is kept.

Large predicted effects are both more certain and better ranked, so what certainty adds is looked
for among effects of like size, or held against a choice by size alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from training.datasets.cagi5 import ELEMENTS, GROUPS
from training.evaluation.agreement import Sample, mean_sample, sample
from training.evaluation.metrics import Counts, Floats, Statistic
from training.evaluation.report import Cell, Table, rows_of

if TYPE_CHECKING:
    from training.evaluation.uncertainty import Judged

RISK = (
    "Area under the risk-coverage curve of |error| within tenths of |expected|, over that of a "
    "random order: all variants by the SDs that the fits without each locus gave, all by the rank "
    "of that SD in its locus, and each element alone (mean of all 15)"
)
RISK_BY_ELEMENT = "The same area, element by element"
HALVES = "Spearman of the half kept"
GAINS = "Spearman of the half kept, minus that of the half of larger |expected|"
NOTES = (
    "Area: mean over all coverages of the mean |error| of the most certain; below 1, certainty "
    "tells of the error beyond what |expected| does. Fits without a locus are narrower where that "
    "locus is loud, so one order of all their SDs also compares fits, wrongly; a user has one fit, "
    "as each element alone has.",
    "Halves: chosen within each element, by the whole set; resamples do not choose anew.",
)
PARTS = 10
_BY_SIZE = "larger |expected|"


def risk(judged: Judged, counts: Floats) -> tuple[Table, Table]:
    """Areas under the risk-coverage curve, over all variants and element by element.

    Args:
      judged: n measured effects.
      counts: (B, n) resamples.
    """
    size, locus = np.abs(judged.expected), judged.evidence.locus
    error = np.abs(judged.evidence.value - judged.expected)
    tenths = list(_tenths(np.arange(len(size)), size))
    of_element = {
        element: list(_tenths(np.flatnonzero(judged.element == element), size))
        for element in ELEMENTS
    }
    # One member has no spread to order by.
    orders = {
        label: order
        for label, order in (
            ("predicted SD", judged.true.total_sd),
            ("epistemic SD", judged.evidence.epistemic),
        )
        if np.isfinite(order).all()
    }
    rows: list[list[Cell]] = []
    elements: dict[str, list[Cell]] = {element: [element] for element in ELEMENTS}
    for label, order in orders.items():
        own = np.empty(len(order))
        for at in tenths:
            own[at] = _rank_within(order[at], locus[at])
        alone = {
            element: relative_area(error, order, counts, parts)
            for element, parts in of_element.items()
        }
        for element, found in alone.items():
            elements[element].append(found.estimate)
        mixed, ranked = (relative_area(error, by, counts, tenths) for by in (order, own))
        each = mean_sample(list(alone.values()))
        rows.append([label, mixed.estimate, ranked.estimate, each.estimate])
    columns = ("most certain first by", "all, by SD", "all, by rank in its locus", "elements alone")
    by_element = Table(RISK_BY_ELEMENT, ("element", *orders), rows_of(elements.values()))
    return Table(RISK, columns, rows_of(rows)), by_element


def relative_area(
    error: Floats, uncertain: Floats, counts: Floats, parts: Sequence[NDArray[np.int64]]
) -> Sample:
    """Area under the risk-coverage curve over that of a random order, mean over parts.

    In a resample each row is held against the rows before it, as often as they were drawn.

    Args:
      error: (n,) at least 0.
      uncertain: (n,) the least certain last.
      counts: (B, n) resamples.
      parts: rows of each part; a part without rows, or without any error, is left out.
    """
    values, draws = [], []
    for at in parts:
        if not len(at):
            continue
        ordered = at[np.argsort(uncertain[at], kind="stable")]
        values.append(_relative(error[ordered], np.ones((1, len(ordered)))))
        draws.append(_relative(error[ordered], counts[:, ordered]))
    if not values:
        return Sample(np.nan, np.full(len(counts), np.nan))
    return Sample(float(_known_mean(values)[0]), _known_mean(draws))


def _relative(error: Floats, weights: Floats) -> Floats:
    """Area (B,) of rows, the most certain first, that count (B, n) times, over the mean error."""
    lost = weights * error
    summed = np.cumsum(lost, axis=1)
    total = summed[:, -1].copy()
    # Once in its own mean, however often it was drawn: else resamples are nearer 1 than the set.
    summed += error - lost
    kept = np.cumsum(weights, axis=1) + (1 - weights)
    curve = np.einsum("bn,bn->b", weights, summed / np.maximum(kept, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        # Both means are over the same number of rows, which cancels.
        return np.asarray(np.where(total > 0, curve / total, np.nan))


def _known_mean(parts: Sequence[Floats]) -> Floats:
    stacked = np.stack(parts)
    known = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, stacked, 0).sum(axis=0) / known.sum(axis=0))


def halves(judged: Judged, counts: Counts) -> tuple[Table, Table]:
    """Spearman of the half kept by each choice, and what it gains over a choice by |expected|.

    Args:
      judged: n measured effects.
      counts: (B, n) resamples.
    """
    certain = judged.true.above_zero()
    ways: dict[str, Floats | None] = {
        "everything": None,
        _BY_SIZE: np.abs(judged.expected),
        "larger p_sign": np.maximum(certain, 1 - certain),
        "smaller SD": -judged.true.total_sd,
        "smaller SD for its |expected|": -_residual(judged),
    }
    found = {label: _groups_kept(judged, order, counts) for label, order in ways.items()}
    rows: list[list[Cell]] = [
        [label, *(part.estimate for part in parts)] for label, parts in found.items()
    ]
    gains: list[list[Cell]] = [
        [
            label,
            *(a.minus(b).estimate for a, b in zip(parts, found[_BY_SIZE], strict=True)),
        ]
        for label, parts in found.items()
        if label != _BY_SIZE
    ]
    columns = ("half", *GROUPS)
    return Table(HALVES, columns, rows_of(rows)), Table(GAINS, columns, rows_of(gains))


def _groups_kept(judged: Judged, order: Floats | None, counts: Counts) -> list[Sample]:
    """Mean Spearman of each group of elements, of the half of each that comes first in an order."""
    found = {}
    for element in ELEMENTS:
        at = np.flatnonzero(judged.element == element)
        kept = at if order is None else at[np.argsort(-order[at])[: len(at) // 2]]
        expected, value = judged.expected[kept], judged.evidence.value[kept]
        found[element] = sample(expected, value, counts[:, kept], Statistic.SPEARMAN)
    return [mean_sample([found[element] for element in group]) for group in GROUPS.values()]


def _residual(judged: Judged) -> Floats:
    """Rank of the SD minus what the rank of |expected| alone explains of it."""
    size, sd = stats.rankdata(np.abs(judged.expected)), stats.rankdata(judged.true.total_sd)
    fit = stats.linregress(size, sd)
    return np.asarray(sd - fit.slope * size - fit.intercept)


def ranked_parts(values: Floats, parts: int) -> NDArray[np.int64]:
    """Which of so many equal parts each value (n,) is in, the smallest first."""
    return np.asarray((stats.rankdata(values, "ordinal") - 1) * parts // len(values), np.int64)


def _tenths(rows: NDArray[np.int64], size: Floats) -> Iterator[NDArray[np.int64]]:
    part = ranked_parts(size[rows], PARTS)
    for k in range(PARTS):
        yield rows[part == k]


def _rank_within(values: Floats, groups: NDArray[np.str_]) -> Floats:
    """Mid-rank (n,) of each value among those of its group, from 0 to 1."""
    ranks = np.empty(len(values))
    for name in np.unique(groups):
        at = groups == name
        ranks[at] = (stats.rankdata(values[at]) - 0.5) / at.sum()
    return ranks
