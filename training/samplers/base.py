"""What every sampler shares: the labels it looks at and how weighted rows are drawn.

`labels of n rows, progress, rng -> row indices of one epoch, in order`. A sampler is a frozen
dataclass; a new one is one class here or beside it and the recipe lines that use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labels:
    """What a sampler may know of n training rows and A assays.

    Attributes:
      activity: (n, A) float32 standardised activities, NaN where not measured.
      noise: (n, A) float32 replicate variance over its assay's training median (1 is typical),
        NaN where unknown.
    """

    activity: NDArray[np.float32]
    noise: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of rows n."""
        return len(self.activity)

    @cached_property
    def row_activity(self) -> NDArray[np.float64]:
        """(n,) mean standardised activity over the assays that measured the row."""
        return _row_mean(self.activity, absent=0.0)

    @cached_property
    def row_noise(self) -> NDArray[np.float64]:
        """(n,) mean relative noise over the assays that know it; 1, typical, where none does."""
        return _row_mean(self.noise, absent=1.0)


def _row_mean(values: NDArray[np.float32], absent: float) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), absent)


@dataclass(frozen=True)
class Sampler:
    """Base of all samplers."""

    makes_pairs: ClassVar[bool] = False
    """Whether rows 2i and 2i + 1 of every batch are a mined pair."""

    def epoch(
        self, labels: Labels, *, batch_size: int, progress: float, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Row indices of one epoch, in order.

        Args:
          labels: of the n training rows.
          batch_size: rows that go into one step together, cut from the front.
          progress: share of the run's epochs that are over, in [0, 1).
          rng: seeded by (seed, epoch), so that an epoch can be drawn again.

        Returns:
          n indices; a row may come several times or not at all.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Shuffled(Sampler):
    """Every training row once, shuffled anew each epoch."""

    def epoch(
        self, labels: Labels, *, batch_size: int, progress: float, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """A permutation of the rows."""
        return rng.permutation(len(labels))


def systematic(
    weights: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
    strata: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """`count` indices, index i in expectation count * p_i times with p = weights / sum.

    Systematic sampling (Madow, Annals of Mathematical Statistics 1949): the weights are laid end
    to end in random order and met by evenly spaced ticks, so every index comes floor or ceil of
    its expectation. Equal weights therefore go through all rows before any comes twice, where
    independent draws would miss a third of them.

    Args:
      weights: (n,) not negative, some positive.
      count: indices wanted.
      rng: source of the random order and of the first tick.
      strata: (n,) stratum of each index; they are laid out stratum by stratum, so that any evenly
        spaced part of the result holds each stratum in proportion, to one index.

    Returns:
      (count,) indices in the order of the layout.
    """
    order = rng.permutation(len(weights))
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    ends = np.cumsum(weights[order])
    ticks = (np.arange(count) + rng.random()) * (ends[-1] / max(count, 1))
    # Rounding can push the last tick to the very end.
    hits = np.minimum(np.searchsorted(ends, ticks, side="right"), len(weights) - 1)
    drawn: NDArray[np.int64] = order[hits]
    return drawn
