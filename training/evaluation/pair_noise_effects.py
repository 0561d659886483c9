"""The predicted SD of a measured effect against how far replicates of that effect differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from training.datasets.homology import TEST_FOLD
from training.datasets.replicates import summarise_replicates
from training.evaluation.metrics import (
    Counts,
    Estimate,
    Floats,
    Statistic,
    attainable,
    bootstrap,
    correlate,
    correlation,
    estimate,
    partial_correlation,
    resample,
    split_half,
)
from training.evaluation.pair_noise_data import Pairs
from training.evaluation.sigma import AssayPredictor

_Pairwise = dict[tuple[int, int], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadAgreement:
    """The predicted SD of a difference against its SD over replicates, on one set of pairs.

    Attributes:
      pairs: whose difference two replicates or more measured.
      loci: of these pairs.
      replicates: that the assay has.
      sigma: Spearman correlation of predicted and measured SD; None if no noise is predicted.
      given_effect: partial Spearman given |mean measured effect|.
      given_activity: partial Spearman given that and the mean measured activity of the pair.
      split_half: Spearman between the SDs of two halves of the replicates.
      attainable: about what a perfect prediction would reach, see `metrics.attainable`.
      width: root mean square of the predicted SD over that of the measured one.
    """

    pairs: int
    loci: int
    replicates: int
    sigma: Estimate | None
    given_effect: Estimate | None
    given_activity: Estimate | None
    split_half: Estimate
    attainable: float
    width: Estimate | None


def held_out(pairs: Pairs, table: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say which pairs have both alleles in the assay table, and which of them in its test fold.

    Args:
      pairs: n pairs of one assay.
      table: assay table; sequences that overlap a CAGI5 element were left out of it.

    Returns:
      `(known, tested)`, both (n,).
    """
    fold = table[table["assay"] == pairs.assay].set_index("sequence")["fold"]
    folds = [
        fold.reindex(side).to_numpy(np.float64) for side in (pairs.ref_sequence, pairs.alt_sequence)
    ]
    ref, alt = folds
    return np.isfinite(ref) & np.isfinite(alt), (ref == TEST_FOLD) & (alt == TEST_FOLD)


def predict_spread(predictor: AssayPredictor, pairs: Pairs, rho: float) -> Floats | None:
    """SD of one measurement of each difference, as a model sees it.

    Args:
      predictor: mu and log_var of its members on rows of one assay.
      pairs: n pairs.
      rho: correlation of the noise of both alleles.

    Returns:
      (n,) root mean square over members of sqrt(s_ref^2 + s_alt^2 - 2 rho s_ref s_alt); None if the
      model predicts no noise.
    """
    unique, place = np.unique([pairs.ref_sequence, pairs.alt_sequence], return_inverse=True)
    _, log_var = predictor(pd.DataFrame({"sequence": unique, "assay": pairs.assay}))
    if log_var is None:
        return None
    sd = np.exp(np.asarray(log_var, np.float64) / 2)
    ref, alt = sd[place.reshape(2, -1)]
    return np.asarray(np.sqrt((ref**2 + alt**2 - 2 * rho * ref * alt).mean(axis=1)))


def compare_spread(
    pairs: Pairs, predicted: Floats | None, *, draws: int, rng: np.random.Generator
) -> SpreadAgreement:
    """Compare predicted SDs (n,) of differences with their SDs over replicates.

    Args:
      pairs: n pairs, replicates on the scale that the model learnt.
      predicted: of the same pairs, None if the model predicts no noise.
      draws: bootstrap resamples of loci.
      rng: of the resamples and of the replicate halves.
    """
    difference = pairs.alt - pairs.ref
    summary = summarise_replicates(difference)
    rows = (summary["n_replicates"] >= 2).to_numpy()
    measured = summary["noise_sd"].to_numpy(np.float64)[rows]
    effect = np.abs(summary["activity"].to_numpy(np.float64)[rows])
    level = summarise_replicates((pairs.alt + pairs.ref) / 2)["activity"].to_numpy(np.float64)
    counts = resample(pairs.locus[rows], draws, rng)
    reliability = split_half(difference[rows], counts, rng)
    sigma = given_effect = given_activity = width = None
    if predicted is not None:
        sd = predicted[rows]
        sigma = correlate(sd, measured, counts, Statistic.SPEARMAN)
        given_effect = partial(sd, measured, [effect], counts)
        given_activity = partial(sd, measured, [effect, level[rows]], counts)
        drawn = np.sqrt((counts @ sd**2) / (counts @ measured**2))
        width = estimate(float(np.sqrt((sd**2).sum() / (measured**2).sum())), drawn)
    return SpreadAgreement(
        pairs=int(rows.sum()),
        loci=np.unique(pairs.locus[rows]).size,
        replicates=difference.shape[1],
        sigma=sigma,
        given_effect=given_effect,
        given_activity=given_activity,
        split_half=reliability,
        attainable=attainable(reliability.value, difference.shape[1]),
        width=width,
    )


def partial(x: ArrayLike, y: ArrayLike, given: Sequence[ArrayLike], counts: Counts) -> Estimate:
    """Spearman correlation of x and y with the ranks of all of `given` held fixed.

    Args:
      x: (n,).
      y: (n,).
      given: covariates, each (n,).
      counts: (B, n) resamples of the rows.
    """
    columns = dict(enumerate((x, y, *given)))
    values: _Pairwise = {}
    drawn: _Pairwise = {}
    for i, j in combinations(columns, 2):
        first, second = columns[i], columns[j]
        values[i, j] = np.asarray(correlation(first, second, Statistic.SPEARMAN))
        drawn[i, j] = bootstrap(first, second, counts, Statistic.SPEARMAN)
    covariates = range(2, len(columns))
    return estimate(float(_partial(values, 0, 1, covariates)), _partial(drawn, 0, 1, covariates))


def _partial(pairwise: _Pairwise, i: int, j: int, given: Sequence[int]) -> Floats:
    """Take one covariate out after another: the recursion of partial correlations."""
    if not given:
        return pairwise[min(i, j), max(i, j)]
    rest, last = given[:-1], given[-1]
    return partial_correlation(
        *(_partial(pairwise, a, b, rest) for a, b in ((i, j), (i, last), (j, last)))
    )
