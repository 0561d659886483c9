"""What a sampler makes of the rows: the composition of its batches, for tests and the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from training.samplers.base import Labels
from training.samplers.hard_pairs import gap_and_noise


@dataclass(frozen=True, slots=True)
class Composition:
    """Of one epoch's whole batches.

    Attributes:
      top: share of draws from the tenth of the rows with the highest activity; 0.1 if shuffled.
      bottom: the same of the lowest.
      noisy: share of draws from the noisiest fifth of the rows; 0.2 if shuffled.
      bond: Spearman correlation of activity and noise over the draws.
      distinct: share of the rows that are drawn at all.
      top_spread: SD over batches of the share `top`.
      pair_gap: median over rows 2i and 2i + 1, where they share an assay, of their mean
        |difference of activity| in SDs of the assay.
      pair_noise: median relative noise of the same pairs.
    """

    top: float
    bottom: float
    noisy: float
    bond: float
    distinct: float
    top_spread: float
    pair_gap: float
    pair_noise: float


def composition(labels: Labels, rows: NDArray[np.int64], batch_size: int) -> Composition:
    """Composition of an epoch.

    Args:
      labels: of the n training rows.
      rows: what a sampler's `epoch` returned.
      batch_size: an even number, at most n.
    """
    rows = rows[: len(rows) // batch_size * batch_size]
    activity, noise = labels.row_activity, labels.row_noise
    top = (activity > np.quantile(activity, 0.9))[rows]
    gap, pair_noise = gap_and_noise(labels, rows.reshape(-1, 2))
    shared = ~np.isnan(gap)
    return Composition(
        top=float(top.mean()),
        bottom=float((activity < np.quantile(activity, 0.1))[rows].mean()),
        noisy=float((noise > np.quantile(noise, 0.8))[rows].mean()),
        bond=float(spearmanr(activity[rows], noise[rows]).statistic),
        distinct=len(np.unique(rows)) / len(labels),
        top_spread=float(top.reshape(-1, batch_size).mean(axis=1).std()),
        pair_gap=float(np.median(gap[shared])),
        pair_noise=float(np.median(pair_noise[shared])),
    )
