"""Correlations and their bootstrap by group: arrays -> estimates with 95 % intervals.

Rows that stand or fall together (the up to three variants of one position, the sequences of one
homology cluster) are resampled together. A resample is a vector of counts, so that one matrix of
counts serves every statistic of a table, and two models resampled with the same matrix are paired.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
Counts = NDArray[np.int16]

LEVEL = 0.95
"""Coverage of every interval reported by this package."""

_CHUNK = 2_000_000
"""Cells of a (draws, rows) block held at a time: 16 MB per float64 temporary."""


class Statistic(StrEnum):
    """The correlations reported for every comparison."""

    SPEARMAN = "spearman"
    PEARSON = "pearson"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic on the full data with the bounds of its 95 % percentile bootstrap interval.

    All three are NaN where the statistic does not exist (a constant input, fewer than 3 rows).
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return `value [low, high]` to three decimals, `-` if undefined."""
        if np.isnan(self.value):
            return "-"
        if np.isnan(self.low):
            return f"{self.value:z.3f}"
        return f"{self.value:z.3f} [{self.low:z.3f}, {self.high:z.3f}]"


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of two statistics: its estimate and the share of draws at or below 0."""

    estimate: Estimate
    p_not_above: float


def estimate(value: float, draws: Floats) -> Estimate:
    """Join a statistic and its bootstrap draws (B,); undefined draws are left out."""
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or defined.size == 0:
        return Estimate(value, np.nan, np.nan)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return Estimate(float(value), float(low), float(high))


def difference(value: float, other: float, draws: Floats, other_draws: Floats) -> Difference:
    """Paired difference `value - other`; both draws (B,) come from the same resamples."""
    # Two ways to the same number differ in the last bits: that is no difference.
    paired = np.round(draws - other_draws, 9)
    defined = paired[~np.isnan(paired)]
    share = float(np.mean(defined <= 0)) if defined.size else np.nan
    return Difference(estimate(value - other, paired), share)


def correlation(x: ArrayLike, y: ArrayLike, statistic: Statistic) -> float:
    """Pearson or Spearman correlation of two (n,) arrays; NaN if undefined."""
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if first.size < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    if statistic is Statistic.SPEARMAN:
        first, second = stats.rankdata(first), stats.rankdata(second)
    return float(stats.pearsonr(first, second).statistic)


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson correlation of two (n,) arrays; NaN if one is constant or n < 3."""
    return correlation(x, y, Statistic.PEARSON)


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman correlation of two (n,) arrays; NaN if one is constant or n < 3."""
    return correlation(x, y, Statistic.SPEARMAN)


def partial_spearman(x: ArrayLike, y: ArrayLike, given: ArrayLike) -> float:
    """Spearman correlation of x and y with the ranks of `given` held fixed, all (n,)."""
    return float(
        partial_correlation(
            np.asarray(spearman(x, y)),
            np.asarray(spearman(x, given)),
            np.asarray(spearman(y, given)),
        )
    )


def partial_correlation(xy: Floats, xz: Floats, yz: Floats) -> Floats:
    """First-order partial correlation from three pairwise ones."""
    left = (1 - xz**2) * (1 - yz**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        # A covariate that equals x or y leaves nothing to explain.
        return np.where(left > 1e-12, (xy - xz * yz) / np.sqrt(left), np.nan)


def resample(groups: ArrayLike, draws: int, rng: np.random.Generator) -> Counts:
    """Draw bootstrap counts of rows, whole groups at a time.

    Args:
      groups: (n,) label of each row's group (position, cluster).
      draws: number B of resamples.
      rng: source of randomness.

    Returns:
      (B, n) how often each row appears in each resample; rows of one group have equal counts.
    """
    labels, member = np.unique(np.asarray(groups), return_inverse=True)
    size = labels.size
    counts = rng.multinomial(size, np.full(size, 1 / size), size=draws)
    return counts.astype(np.int16)[:, member]


def bootstrap(x: ArrayLike, y: ArrayLike, counts: Counts, statistic: Statistic) -> Floats:
    """Correlation of x and y (n,) in each resample of `counts` (B, n): (B,), NaN if undefined.

    Equals the plain statistic of the rows repeated as often as they are counted, ties included.
    """
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    blocks = []
    for weights in _chunks(counts):
        if statistic is Statistic.SPEARMAN:
            pair = weighted_ranks(first, weights), weighted_ranks(second, weights)
        else:
            pair = first[None, :], second[None, :]
        blocks.append(_weighted_pearson(*pair, weights))
    return np.concatenate(blocks)


def bootstrap_partial(x: ArrayLike, y: ArrayLike, given: ArrayLike, counts: Counts) -> Floats:
    """Partial Spearman correlation of x and y given a covariate in each resample: (B,)."""
    pairs = combinations((x, y, given), 2)
    xy, xz, yz = (bootstrap(a, b, counts, Statistic.SPEARMAN) for a, b in pairs)
    return partial_correlation(xy, xz, yz)


def correlate(x: ArrayLike, y: ArrayLike, counts: Counts, statistic: Statistic) -> Estimate:
    """Correlation of x and y (n,) with its interval over the resamples `counts` (B, n)."""
    return estimate(correlation(x, y, statistic), bootstrap(x, y, counts, statistic))


def split_half(
    replicates: Floats, counts: Counts, rng: np.random.Generator, *, splits: int = 20
) -> Estimate:
    """Reliability of a replicate SD: Spearman between the SDs of two halves of the replicates.

    Args:
      replicates: (n, R) per-replicate values on one scale, NaN where one is missing. Rows without
        two values in either half are left out of that split.
      counts: (B, n) resamples of the rows.
      rng: chooses the halves.
      splits: random halvings averaged.

    Returns:
      Mean over the splits; NaN with fewer than 4 replicates (half an SD needs two).
    """
    width = replicates.shape[1]
    if width < 4:
        return Estimate(np.nan, np.nan, np.nan)
    values, draws = [], []
    for _ in range(splits):
        order = rng.permutation(width)
        halves = replicates[:, order[: width // 2]], replicates[:, order[width // 2 :]]
        usable = np.all([np.isfinite(half).sum(axis=1) >= 2 for half in halves], axis=0)
        first, second = (np.nanstd(half[usable], axis=1, ddof=1) for half in halves)
        values.append(spearman(first, second))
        draws.append(bootstrap(first, second, counts[:, usable], Statistic.SPEARMAN))
    return estimate(float(np.mean(values)), np.mean(draws, axis=0))


def attainable(split_half: float, replicates: int) -> float:
    """Correlation with the measured SD that a perfect predictor can expect, about.

    The SD of all R replicates has (R - 1) / (R / 2 - 1) times the degrees of freedom of a half's,
    so Spearman-Brown by that factor gives its reliability; a perfect predictor correlates with a
    measurement by the square root of that. Simulated: within 0.02 from 8 replicates, 0.05 too low
    with 4.
    """
    if np.isnan(split_half):
        return np.nan
    gain = (replicates - 1) / (replicates / 2 - 1)
    return float(np.sqrt(max(0.0, gain * split_half / (1 + (gain - 1) * split_half))))


def _chunks(counts: Counts) -> Iterator[Floats]:
    step = max(1, _CHUNK // max(1, counts.shape[1]))
    for start in range(0, counts.shape[0], step):
        yield counts[start : start + step].astype(np.float64)


def weighted_ranks(x: Floats, weights: Floats) -> Floats:
    """Mid-ranks (B, n) of x (n,) in samples where row i appears weights[b, i] times."""
    _, first, level = np.unique(x, return_index=True, return_inverse=True)
    starts = np.concatenate(([0], np.cumsum(np.bincount(level))[:-1]))
    by_value = np.take(weights, np.argsort(level, kind="stable"), axis=1)
    tied = by_value if first.size == x.size else np.add.reduceat(by_value, starts, axis=1)
    # The average of ranks c + 1 .. c + t of t tied rows after c smaller ones.
    ranks = np.cumsum(tied, axis=1) - (tied - 1) / 2
    return np.take(ranks, level, axis=1)


def _weighted_pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Pearson correlation (B,) of x and y, each (1 or B, n), under counts (B, n)."""
    # A resample may miss every row of a subset; its variance is then 0 and the result undefined.
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    dx = x - (weights * x).sum(axis=1, keepdims=True) / total
    dy = y - (weights * y).sum(axis=1, keepdims=True) / total
    var_x, var_y = (weights * dx * dx).sum(axis=1), (weights * dy * dy).sum(axis=1)
    scale = total[:, 0] * np.square(np.abs(x).max()), total[:, 0] * np.square(np.abs(y).max())
    constant = (var_x <= 1e-14 * scale[0]) | (var_y <= 1e-14 * scale[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (weights * dx * dy).sum(axis=1) / np.sqrt(var_x * var_y)
    return np.where(constant, np.nan, found)
