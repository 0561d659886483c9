"""Stratified epochs: every batch holds its share of each activity bin and noise stratum."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.samplers.base import Labels, Sampler, systematic

STAGES = ((0.0, 0.6), (1 / 8, 1.0), (1 / 4, 2.0), (3 / 8, 4.0))
"""Curriculum: from this share of the run on, this multiple of `n_quantiles`; with 5 of them the
study's 3, 5, 10 and 20 bins from epochs 0, 10, 20 and 30 of 80."""

MAX_REPEATS = 8.0
"""Most expected draws of a row per epoch, before noise weights. The study capped a bin at 2, which
would leave the later stages of the curriculum alike."""


@dataclass(frozen=True)
class QuantileStratified(Sampler):
    """Equal draws from activity bins and, within them, from noise strata; in every batch.

    The study cut activity into bins of equal mass and drew equally from each, which is an
    ordinary bootstrap. Here bin k of Q ends at the quantile (1 - cos(pi k / Q)) / 2: bins narrow
    towards both ends, more so the finer they are, and rows of the tails are drawn more often
    while the middle keeps 2 / pi of its share (10 bins: the outermost 2.4 % of the rows fill 10 %
    of a batch). Noise strata have equal mass over all rows: equal draws from each within every
    activity bin loosen the bond between activity and noise, as far as rows may be repeated.

    Attributes:
      n_quantiles: activity bins.
      noise_strata: strata of relative noise; 1: none.
      noise_weight: w. Within an activity bin a stratum's share, and within a stratum a row's
        probability, is (1 - w) / m + w q / sum q with q = 1 / (1 + noise), m things to share.
      curriculum: bins get finer, and the tails come more often, as in `STAGES`.

    Raises:
      ValueError: there is no bin, no stratum, or w is not in [0, 1].
    """

    n_quantiles: int = 10
    noise_strata: int = 3
    noise_weight: float = 0.0
    curriculum: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.n_quantiles < 1 or self.noise_strata < 1 or not 0 <= self.noise_weight <= 1:
            raise ValueError(f"bins and strata of at least 1 and a weight in [0, 1], not {self}")

    def n_bins(self, progress: float) -> int:
        """Activity bins at this share of the run."""
        if not self.curriculum:
            return self.n_quantiles
        stage = bisect_right([start for start, _ in STAGES], progress) - 1
        return max(1, round(self.n_quantiles * STAGES[stage][1]))

    def row_weights(
        self, labels: Labels, progress: float
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(n,) expected draws of each row in an epoch, and the cell (bin x stratum) it lies in."""
        n_bins = self.n_bins(progress)
        levels = (1 - np.cos(np.pi * np.arange(1, n_bins) / n_bins)) / 2
        activity_bin = _cut(labels.row_activity, levels)
        strata = _cut(labels.row_noise, np.arange(1, self.noise_strata) / self.noise_strata)
        cell = activity_bin * self.noise_strata + strata
        quiet = 1 / (1 + labels.row_noise)

        n_cells = n_bins * self.noise_strata
        size = np.bincount(cell, minlength=n_cells)
        mean_quiet = np.bincount(cell, quiet, n_cells) / np.maximum(size, 1)
        sizes, quiets = (x.reshape(n_bins, -1) for x in (size, mean_quiet))
        per_bin = fill(np.ones(n_bins), MAX_REPEATS * sizes.sum(axis=1), len(labels))
        draws = np.concatenate(
            [
                fill(self._shares(quiets[b]) * (sizes[b] > 0), MAX_REPEATS * sizes[b], per_bin[b])
                for b in range(n_bins)
            ]
        )
        within = (1 - self.noise_weight) + self.noise_weight * quiet / mean_quiet[cell]
        return draws[cell] / size[cell] * within, cell

    def _shares(self, quiet: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares of the strata of one activity bin from their mean quietness."""
        total = quiet.sum() or 1.0
        w = self.noise_weight
        return (1 - w) / self.noise_strata + w * quiet / total

    def epoch(
        self, labels: Labels, *, batch_size: int, progress: float, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Whole batches first, each with its share of every cell; then what is left of n rows."""
        weights, cell = self.row_weights(labels, progress)
        n_batches = len(labels) // batch_size
        drawn = systematic(weights, n_batches * batch_size, rng, cell)
        # Every n_batches-th draw goes into the same batch: an even cut through all cells.
        batches = drawn.reshape(batch_size, n_batches).T
        rest = systematic(weights, len(labels) - drawn.size, rng, cell)
        mixed = rng.permuted(rng.permutation(batches), axis=1)
        return np.concatenate([mixed.ravel(), rest])


def _cut(values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) bin of each value between quantiles of all values at these levels."""
    return np.searchsorted(np.quantile(values, levels), values).astype(np.int64)


def fill(
    shares: NDArray[np.float64], caps: NDArray[np.float64], total: float
) -> NDArray[np.float64]:
    """Divide `total` in proportion to `shares`, none above its cap; what caps cut off is shared on.

    Args:
      shares: (m,) not negative.
      caps: (m,) that sum to `total` or more.
      total: to divide.
    """
    amounts = np.zeros_like(shares)
    for _ in shares:  # each round caps at least one more, or is the last
        room = caps - amounts
        # What rounding leaves of a cap is no room.
        open_shares = np.where(room > 1e-12 * caps, shares, 0.0)
        left = total - amounts.sum()
        if left <= 0 or not open_shares.any():
            break
        amounts += np.minimum(room, left * (open_shares / open_shares.sum()))
    return amounts
