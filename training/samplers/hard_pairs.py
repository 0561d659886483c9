"""Hard pairs: rows of nearly equal activity and low noise, side by side in the batch.

`labels -> candidate pairs -> gap and noise of each -> rows 2i and 2i + 1 of every batch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from training.samplers.base import Labels, Sampler, systematic


@dataclass(frozen=True)
class HardNegative(Sampler):
    """Pairs drawn with probability proportional to exp(q / T), q = -(gap + noise).

    Over the assays that measured both rows, gap is the mean |difference of activity| in SDs of
    the assay and noise the mean relative variance of the two: close enough to be hard, quiet
    enough for their order to mean something. Two random rows have a gap of 0.8 and a noise of
    1.5 (medians of the replicated assays), so T = 1 favours what is harder than that by factors
    of up to ten. The study drew single rows near the median activity, at T = 1 throughout.

    Attributes:
      temperature: T; towards 0 only the hardest candidates are drawn, at infinity any.
      candidates: random partners that every row brings into an epoch's draw.

    Raises:
      ValueError: a temperature that is not positive.
    """

    makes_pairs: ClassVar[bool] = True

    temperature: float = 1.0
    candidates: int = 16

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if not self.temperature > 0:
            raise ValueError(f"a temperature above 0, not {self.temperature}")

    def mine(
        self, labels: Labels, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Candidate pairs (C, 2) that share an assay and differ, and the probability of each (C,).

        Raises:
          ValueError: no two rows share an assay and differ in it.
        """
        pairs = _partners(labels, self.candidates, rng)
        gap, noise = gap_and_noise(labels, pairs)
        # Equal labels have no order to learn; a row is no partner of its own either.
        pairs, quality = pairs[gap > 0], -(gap + noise)[gap > 0]
        if not len(pairs):
            raise ValueError("no two rows share an assay and differ in it: there are no pairs")
        weights = np.exp((quality - quality.max()) / self.temperature)
        return pairs, weights / weights.sum()

    def epoch(
        self, labels: Labels, *, batch_size: int, progress: float, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Mined pairs one after another; with an odd n a single row at the end.

        Raises:
          ValueError: an odd batch size would tear pairs apart; or there are none.
        """
        if batch_size % 2:
            raise ValueError(f"pairs need an even batch size, not {batch_size}")
        pairs, probability = self.mine(labels, rng)
        picks = systematic(probability, len(labels) // 2, rng)
        rows = pairs[rng.permutation(picks)].ravel()
        return np.concatenate([rows, rng.integers(len(labels), size=len(labels) % 2)])


def _partners(labels: Labels, per_row: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n * per_row, 2): each row with random rows of one of its assays, itself taken at random."""
    measured = ~np.isnan(labels.activity)
    first = np.repeat(np.flatnonzero(measured.any(axis=1)), per_row)
    assay = np.where(measured[first], rng.random((len(first), measured.shape[1])), -1).argmax(
        axis=1
    )
    _, rows = np.nonzero(measured.T)  # the rows of the first assay, then those of the second, ...
    count = measured.sum(axis=0)
    start = np.cumsum(count) - count
    place = start[assay] + (rng.random(len(first)) * count[assay]).astype(np.int64)
    return np.stack([first, rows[place]], axis=1)


def gap_and_noise(
    labels: Labels, pairs: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(C,) mean |difference of activity| and mean relative noise over the assays a pair shares.

    Unknown noise counts as typical, 1; a pair that shares no assay has a gap of NaN.
    """
    shared, gap, noise = (np.zeros(len(pairs)) for _ in range(3))
    # Assays one by one: (C, A) arrays of all candidates would take gigabytes on a large table.
    for activity, variance in zip(labels.activity.T, labels.noise.T, strict=True):
        difference = np.abs(activity[pairs[:, 0]] - activity[pairs[:, 1]])
        both = ~np.isnan(difference)
        shared += both
        gap += np.where(both, difference, 0)
        noise += np.where(both, np.nan_to_num(variance, nan=1.0)[pairs].mean(axis=1), 0)
    shared[shared == 0] = np.nan
    return gap / shared, noise / shared
