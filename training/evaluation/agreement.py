"""Predicted against measured effects, element by element: scores -> correlations with resamples.

A model says two things of the size of an effect: `effect`, alt - ref of what it predicts, and
`expected`, the mean of the distribution that a calibration makes of all that it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.calibration import Shape
from service.scoring import Scorer
from training.datasets.cagi5 import ELEMENTS, GROUPS, locus_of
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
from training.evaluation.predictions import predict
from training.evaluation.shape import expected_without_each

Said: TypeAlias = Literal["effect", "expected"]
"""Which of the two is compared."""
HIGH_CONFIDENCE = 0.1
"""The published rule: the table's Confidence column, not the size of the effect."""


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
    """

    counts: Mapping[str, tuple[int, int]]
    statuses: Mapping[str, int]
    samples: Mapping[tuple[str, str, Statistic], Sample]

    def means(self) -> dict[str, float]:
        """Spearman and Pearson of each group over all its variants."""
        return {
            f"{group}, {statistic}": self.samples[group, "all", statistic].value
            for group in GROUPS
            for statistic in Statistic
        }


def compare(
    scorer: Scorer,
    targets: Sequence[str],
    table: pd.DataFrame,
    *,
    draws: int,
    seed: int,
    shapes: Mapping[str, Shape] | None = None,
) -> dict[Said, Agreement]:
    """Score the variants of a CAGI5 table and correlate them with its values.

    Args:
      scorer: model and reference.
      targets: names of the model's targets, in its order.
      table: columns element, contig, pos, ref, alt, value, confidence; all 15 elements.
      draws: resamples of positions within each locus.
      seed: two models compared with one seed are paired.
      shapes: {locus: distribution fitted without it}; None for none.

    Returns:
      Of `effect`, and with `shapes` of `expected` as well.

    Raises:
      ValueError: an element or a needed target is missing.
    """
    elements = table["element"].to_numpy(str)
    if missing := sorted(set(ELEMENTS) - set(elements)):
        raise ValueError(f"the CAGI5 table has no variant of {', '.join(missing)}")
    predicted = predict(scorer, targets, table)
    scored = predicted.scored
    effect = np.asarray(predicted.effects.effect, np.float64)
    said: dict[Said, Floats] = {"effect": effect}
    if shapes is not None:
        locus = table["element"].map(locus_of).to_numpy(str)
        said["expected"] = expected_without_each(predicted.effects, locus, shapes)
    statuses, times = np.unique([str(status) for status in predicted.status], return_counts=True)
    resamples = position_counts(table, draws, seed)
    return {
        name: Agreement(
            counts={
                element: (int(member.sum()), int((member & scored).sum()))
                for element in ELEMENTS
                for member in (elements == element,)
            },
            statuses=dict(zip(statuses.tolist(), times.tolist(), strict=True)),
            samples=_samples(table, values, scored, resamples),
        )
        for name, values in said.items()
    }


def position_counts(table: pd.DataFrame, draws: int, seed: int) -> Counts:
    """Resamples (B, n) of the positions within each locus; the two TERT sets are one locus."""
    locus = table["element"].map(locus_of).to_numpy(str)
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
                found[element, subset, statistic] = sample(
                    effect[rows], value[rows], counts[:, rows], statistic
                )
            for group, members in GROUPS.items():
                parts = [found[member, subset, statistic] for member in members]
                found[group, subset, statistic] = mean_sample(parts)
    return found


def sample(effect: Floats, value: Floats, counts: Counts, statistic: Statistic) -> Sample:
    """Correlate predicted and measured effects (n,), as they are and in each resample (B, n)."""
    drawn = bootstrap(effect, value, counts, statistic)
    return Sample(correlation(effect, value, statistic), drawn)


def mean_sample(parts: Sequence[Sample]) -> Sample:
    """Unweighted mean; undefined where one of them is."""
    return Sample(
        float(np.mean([part.value for part in parts])),
        np.mean([part.draws for part in parts], axis=0),
    )
