"""The floor under every network: ridge regression on the counts of 6-mers of the insert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array
from sklearn.linear_model import Ridge

from service.sequence import encode
from training.evaluation.metrics import Floats, pearson

K = 6
KmerCounts: TypeAlias = csr_array[np.float64, tuple[int, int]]
ALPHAS = (30.0, 100.0, 300.0, 1000.0, 3000.0)
"""Penalties tried first."""
LIMITS = 1e-3, 1e7
"""Penalties beyond which the grid is not extended."""


def kmer_counts(sequences: Sequence[str], k: int = K) -> KmerCounts:
    """Count k-mers of the plus strand: (n, 4**k); k-mers that hold an N are not counted."""
    size = 4**k
    columns, rows = [], []
    for row, sequence in enumerate(sequences):
        codes = encode(sequence).astype(np.int64)
        if codes.size < k:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(codes, k)
        known = windows[(windows < 4).all(axis=1)]
        columns.append(known @ (4 ** np.arange(k - 1, -1, -1)))
        rows.append(np.full(len(known), row))
    if not rows:
        return csr_array((len(sequences), size))
    cells = np.concatenate(rows), np.concatenate(columns)
    # Building from coordinates adds up the repeats of a k-mer.
    return csr_array((np.ones(cells[0].size), cells), shape=(len(sequences), size))


def fit_floor(
    train: tuple[KmerCounts, Floats],
    validation: tuple[KmerCounts, Floats],
    *,
    alphas: Sequence[float] = ALPHAS,
) -> tuple[Ridge, float]:
    """Fit ridge regression of activity on 6-mer counts; the penalty is chosen on validation.

    Args:
      train: counts (n, 4**k) and activities (n,), log2(RNA/DNA).
      validation: held out; the penalty with the highest Pearson correlation there wins.
      alphas: penalties tried, ascending; while the best is the first or last, the grid goes on by
        its own step.

    Returns:
      The regression fitted on `train` with the best penalty, and that penalty.
    """
    grid = [*alphas]
    fits = {alpha: _fit(alpha, train, validation) for alpha in grid}
    while True:
        best = max(grid, key=lambda alpha: fits[alpha][0])
        if len(grid) > 1 and best == grid[0]:
            following = best * grid[0] / grid[1]
            grid.insert(0, following)
        elif len(grid) > 1 and best == grid[-1]:
            following = best * grid[-1] / grid[-2]
            grid.append(following)
        else:
            return fits[best][1], best
        if not LIMITS[0] <= following <= LIMITS[1]:
            return fits[best][1], best
        fits[following] = _fit(following, train, validation)


def _fit(
    alpha: float, train: tuple[KmerCounts, Floats], validation: tuple[KmerCounts, Floats]
) -> tuple[float, Ridge]:
    """Correlation on validation (-inf if undefined) and the regression."""
    model = Ridge(alpha=alpha, solver="sparse_cg", tol=1e-4).fit(*train)
    score = pearson(model.predict(validation[0]), validation[1])
    return -np.inf if np.isnan(score) else score, model
