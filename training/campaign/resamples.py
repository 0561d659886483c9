"""Bootstrap draws of many predictions against one set of labels: exact, and quick enough for a zoo.

The same numbers as `training.evaluation.metrics.bootstrap` gives, ties included. There each
prediction is paired with labels that are ranked again; here the labels' ranks in every resample
are found once, and one pass over the rows in the order of a prediction gives its Spearman
correlation in all resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.evaluation.agreement import Sample
from training.evaluation.metrics import (
    Counts,
    Floats,
    Statistic,
    correlation,
    partial_correlation,
    weighted_ranks,
)

Floats32 = NDArray[np.float32]
_CONSTANT = 1e-6
"""Variance, as a share of the whole sample's, below which a resample is taken for constant."""


class Weights:
    """How often each of n rows occurs in each of B resamples.

    Attributes:
      counts: (B, n), rows of a resample that stand or fall together have equal counts.
      half: (n, B) float32, half of that: a row's mid-rank lies half its weight above the rest.
      total: (B,) rows of each resample.
      repeats: (B,) sum of w^3 - w over the rows, what repetition takes from the spread of ranks.
    """

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.half: Floats32 = np.ascontiguousarray(counts.T).astype(np.float32) / np.float32(2)
        weights = counts.astype(np.float64)
        self.total: Floats = weights.sum(axis=1)
        self.repeats: Floats = _excess(weights).sum(axis=1)

    def mean(self, values: Floats) -> Sample:
        """Mean of values (n,), and in each resample; undefined without a row."""
        if not values.size:
            return undefined(self.total.size)
        return Sample(float(values.mean()), self._sums(values[None])[0] / self._rows)

    def moments(self, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
        """Variances of x and of y and their covariance in each resample, each (B,).

        Args:
          x: (n,) centred and scaled.
          y: (n,) centred and scaled.
        """
        sums = self._sums(np.stack([x, y, x * x, y * y, x * y])) / self._rows
        means = sums[:2]
        return sums[2] - means[0] ** 2, sums[3] - means[1] ** 2, sums[4] - means[0] * means[1]

    @property
    def _rows(self) -> Floats:
        return np.where(self.total > 0, self.total, np.nan)

    def _sums(self, columns: Floats) -> Floats:
        """Weighted sums (k, B) of columns (k, n)."""
        return 2.0 * (columns.astype(np.float32) @ self.half).astype(np.float64)


class Labels:
    """Measured values of n rows under B resamples, ready for any prediction of them.

    Attributes:
      values: (n,) measured values.
      weights: the resamples; several sets of labels of the same rows share them.
    """

    def __init__(self, values: Floats, weights: Weights) -> None:
        self.values, self.weights = np.asarray(values, np.float64), weights
        ranks = weighted_ranks(self.values, weights.counts.astype(np.float64)).T
        centred = ranks - (weights.total + 1) / 2
        weighted = 2 * weights.half * centred
        self._spread: Floats = (weighted * centred).sum(axis=0)
        # Within +-1/2 of a weight, so that sums over thousands of rows keep 5 digits in float32.
        self._ranks = (weighted / np.maximum(weights.total, 1)).astype(np.float32)

    def spearman(self, x: Floats) -> Sample:
        """Spearman correlation with x (n,), and in each resample."""
        value = correlation(x, self.values, Statistic.SPEARMAN)
        if np.isnan(value):
            return undefined(self.weights.total.size)
        half, ranks = self.weights.half, self._ranks
        below, total = np.zeros((2, half.shape[1]), np.float32)
        repeats = self.weights.repeats.copy()
        for rows in _levels(x):
            if rows.size == 1:
                weight, against = half[rows[0]], ranks[rows[0]]
            else:
                weight, against = half[rows].sum(axis=0), ranks[rows].sum(axis=0)
                members = 2 * half[rows].astype(np.float64)
                repeats += _excess(members.sum(axis=0)) - _excess(members).sum(axis=0)
            # The rank of a level is what lies below it and half of what lies in it.
            below += weight
            total += below * against
            below += weight
        spread = (_excess(self.weights.total) - repeats) / 12
        shared = total.astype(np.float64) * self.weights.total
        return Sample(value, _ratio(shared, spread, self._spread, self.weights.total**3))

    def pearson(self, x: Floats) -> Sample:
        """Pearson correlation with x (n,), and in each resample."""
        value = correlation(x, self.values, Statistic.PEARSON)
        if np.isnan(value):
            return undefined(self.weights.total.size)
        var_x, var_y, shared = self.weights.moments(_standard(x), _standard(self.values))
        return Sample(value, _ratio(shared, var_x, var_y, np.ones_like(shared)))


def partial(xy: Sample, xz: Sample, yz: Sample) -> Sample:
    """First-order partial correlation of x and y given z, from three correlations."""
    value = partial_correlation(*(np.asarray(sample.value) for sample in (xy, xz, yz)))
    return Sample(float(value), partial_correlation(xy.draws, xz.draws, yz.draws))


def undefined(draws: int) -> Sample:
    """What does not exist: NaN, and NaN in each resample."""
    return Sample(np.nan, np.full(draws, np.nan))


def _excess(weights: Floats) -> Floats:
    """What ties of so many rows take from twelve times the squared spread of ranks."""
    return weights * weights * weights - weights  # a power takes ten times as long


def _levels(x: Floats) -> Iterator[NDArray[np.int64]]:
    """Rows of x (n,) in ascending order, tied ones together."""
    order = np.argsort(x, kind="stable")
    cuts = [0, *(np.flatnonzero(np.diff(x[order])) + 1).tolist(), x.size]
    for first, after in pairwise(cuts):
        yield order[first:after]


def _standard(x: Floats) -> Floats:
    standard: Floats = (x - x.mean()) / x.std()
    return standard


def _ratio(shared: Floats, var_x: Floats, var_y: Floats, whole: Floats) -> Floats:
    """Correlations (B,) from sums; undefined where one side is constant, `whole` sets the scale."""
    least = _CONSTANT * whole
    with np.errstate(invalid="ignore", divide="ignore"):
        found = shared / np.sqrt(var_x * var_y)
    return np.where((var_x > least) & (var_y > least), found, np.nan)
