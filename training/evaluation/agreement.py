"""Predicted against measured effects, element by element: scores -> correlations with resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.errors import Status
from service.scoring import Scorer
from training.evaluation.challenge import ELEMENTS, GROUPS, head_of, variants_of
from training.evaluation.metrics import (
    Counts,
    Difference,
    Estimate,
    Floats,
    Statistic,
    bootstrap,
    correlation,
    difference,
    estimate,
    resample,
)

HIGH_CONFIDENCE = 0.1
"""The published rule: the table's Confidence column, not the size of the effect."""
NOMINAL = (0.5, 0.8, 0.9, 0.95)
"""Nominal coverages of the effect interval that are checked."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A correlation on the scored variants (NaN if undefined) and in each resample (B,)."""

    value: float
    draws: Floats

    @property
    def estimate(self) -> Estimate:
        """Value and interval."""
        return estimate(self.value, self.draws)

    def minus(self, other: Sample) -> Difference:
        """Paired difference to a sample on the same resamples."""
        return difference(self.value, other.value, self.draws, other.draws)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One model in one window against the measured effects.

    Attributes:
      counts: {element: (variants, variants scored)}.
      statuses: {status: variants}.
      samples: {(element or group, subset, statistic): its sample}; the subsets are all, high and
        low confidence; a group is the unweighted mean over its elements.
      coverage: {(group, nominal): share of variants inside the interval, mean over elements}.
      calibrated: whether the model's intervals are.
    """

    counts: Mapping[str, tuple[int, int]]
    statuses: Mapping[str, int]
    samples: Mapping[tuple[str, str, Statistic], Sample]
    coverage: Mapping[tuple[str, float], float]
    calibrated: bool

    def means(self) -> dict[str, float]:
        """Spearman and Pearson of each group over all its variants."""
        return {
            f"{group}, {statistic}": self.samples[group, "all", statistic].value
            for group in GROUPS
            for statistic in Statistic
        }


def compare(
    scorer: Scorer, targets: Sequence[str], table: pd.DataFrame, *, draws: int, seed: int
) -> Agreement:
    """Score the variants of a CAGI5 table and correlate them with its values.

    Args:
      scorer: model and reference.
      targets: names of the model's targets, in its order.
      table: columns element, contig, pos, ref, alt, value, confidence; all 15 elements.
      draws: resamples of positions within each locus.
      seed: two models compared with one seed are paired.

    Raises:
      ValueError: an element or a needed target is missing.
    """
    elements = table["element"].to_numpy(str)
    if missing := sorted(set(ELEMENTS) - set(elements)):
        raise ValueError(f"the CAGI5 table has no variant of {', '.join(missing)}")
    if absent := sorted({head_of(element) for element in ELEMENTS} - set(targets)):
        raise ValueError(f"CAGI5 needs the targets {absent}; the model has {list(targets)}")
    scores = scorer.score(variants_of(table))
    scored = np.array([status == Status.OK for status in scores.status])
    head = np.array([targets.index(head_of(element)) for element in elements])
    rows = np.arange(len(table))
    effect = np.asarray(scores.effects.effect, np.float64)[rows, head]
    sd = np.asarray(scores.effects.sd, np.float64)[rows, head]
    statuses, times = np.unique([str(status) for status in scores.status], return_counts=True)
    return Agreement(
        counts={
            element: (int(member.sum()), int((member & scored).sum()))
            for element in ELEMENTS
            for member in (elements == element,)
        },
        statuses=dict(zip(statuses.tolist(), times.tolist(), strict=True)),
        samples=_samples(table, effect, scored, position_counts(table, draws, seed)),
        coverage=_coverage(table, effect, sd, scored),
        calibrated=scores.calibrated,
    )


def position_counts(table: pd.DataFrame, draws: int, seed: int) -> Counts:
    """Resamples (B, n) of the positions within each locus; the two TERT sets are one locus."""
    locus = table["element"].str.partition("-")[0].to_numpy(str)
    position = table["pos"].to_numpy()
    counts = np.zeros((draws, len(table)), np.int16)
    for number, name in enumerate(sorted(set(locus))):
        rows = np.flatnonzero(locus == name)
        counts[:, rows] = resample(position[rows], draws, np.random.default_rng([seed, number]))
    return counts


def _samples(
    table: pd.DataFrame, effect: Floats, scored: NDArray[np.bool_], counts: Counts
) -> dict[tuple[str, str, Statistic], Sample]:
    value = table["value"].to_numpy(np.float64)
    high = table["confidence"].to_numpy(np.float64) >= HIGH_CONFIDENCE
    elements = table["element"].to_numpy(str)
    found: dict[tuple[str, str, Statistic], Sample] = {}
    for subset, chosen in {"all": scored, "high": scored & high, "low": scored & ~high}.items():
        for statistic in Statistic:
            for element in ELEMENTS:
                rows = np.flatnonzero(chosen & (elements == element))
                x, y = effect[rows], value[rows]
                drawn = bootstrap(x, y, counts[:, rows], statistic)
                found[element, subset, statistic] = Sample(correlation(x, y, statistic), drawn)
            for group, members in GROUPS.items():
                parts = [found[member, subset, statistic] for member in members]
                found[group, subset, statistic] = Sample(
                    float(np.mean([part.value for part in parts])),
                    np.mean([part.draws for part in parts], axis=0),
                )
    return found


def _coverage(
    table: pd.DataFrame, effect: Floats, sd: Floats, scored: NDArray[np.bool_]
) -> dict[tuple[str, float], float]:
    deviation = np.abs(table["value"].to_numpy(np.float64) - effect) / sd
    elements = table["element"].to_numpy(str)
    found = {}
    for nominal in NOMINAL:
        inside = deviation <= NormalDist().inv_cdf(0.5 + nominal / 2)
        share = {e: float(inside[scored & (elements == e)].mean()) for e in ELEMENTS}
        for group, members in GROUPS.items():
            found[group, nominal] = float(np.mean([share[member] for member in members]))
    return found
