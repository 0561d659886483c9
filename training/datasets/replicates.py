"""From replicates to a label and its noise: raw -> one scale -> mean, SD, shrunk variance.

Replicates of one assay differ in depth and transfection, hence in offset and slope: an SD taken
before they are aligned measures the protocol and not the noise.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.optimize import brentq
from scipy.special import polygamma, psi

Floats = NDArray[np.float64]
_MIN_SHARED = 20


def align_replicates(values: Floats) -> Floats:
    """Bring the replicates of one assay to one location and scale.

    Replicate k is taken as `offset_k + slope_k * consensus + noise`. Each pair of replicates is
    compared on the rows that both measured, since rows are rarely missing at random: the ratio of
    their interquartile ranges estimates the ratio of slopes, the median difference that of offsets;
    least squares over all pairs, weighted by shared rows, reconciles them. Slopes have a geometric
    mean of 1 and offsets a mean of 0, so the consensus stays in log2 units. Replicates that share
    fewer than 20 rows are not compared.

    Args:
      values: (N, R) log2 ratios, NaN where a replicate is missing.

    Returns:
      (N, R) aligned values, NaN where `values` is.
    """
    n_replicates = values.shape[1]
    pairs = [
        (j, k, shared)
        for j, k in combinations(range(n_replicates), 2)
        if (shared := np.flatnonzero(np.isfinite(values[:, [j, k]]).all(axis=1))).size
        >= _MIN_SHARED
    ]
    if not pairs:
        return values.copy()
    weights = np.sqrt([float(shared.size) for _, _, shared in pairs])
    ratios = [np.log(_iqr(values[s, j]) / _iqr(values[s, k])) for j, k, s in pairs]
    scaled = values / np.exp(_reconcile(pairs, ratios, weights, n_replicates))
    differences = [float(np.median(scaled[s, j] - scaled[s, k])) for j, k, s in pairs]
    aligned: Floats = scaled - _reconcile(pairs, differences, weights, n_replicates)
    return aligned


def _iqr(values: Floats) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return max(float(high - low), 1e-9)


def _reconcile(
    pairs: list[tuple[int, int, NDArray[np.int64]]],
    differences: list[float],
    weights: Floats,
    n_replicates: int,
) -> Floats:
    """Solve x_j - x_k = difference in weighted least squares with mean(x) = 0."""
    design = np.zeros((len(pairs), n_replicates))
    for row, (j, k, _) in enumerate(pairs):
        design[row, j], design[row, k] = 1.0, -1.0
    # The minimum-norm solution is the one with mean zero within each connected set of replicates.
    return np.asarray(
        np.linalg.lstsq(design * weights[:, None], weights * np.array(differences), rcond=None)[0]
    )


def summarise_replicates(values: Floats) -> pd.DataFrame:
    """Give mean, SD of one replicate (ddof 1) and count of aligned replicates.

    Args:
      values: (N, R) aligned log2 ratios, NaN where missing.

    Returns:
      N rows: `activity` (NaN without any replicate), `noise_sd` (NaN with fewer than two) and
      `n_replicates`.
    """
    count = np.isfinite(values).sum(axis=1)
    mean = np.nansum(values, axis=1) / np.where(count > 0, count, np.nan)
    squares = np.nansum((values - mean[:, None]) ** 2, axis=1)
    noise = np.sqrt(squares / np.where(count > 1, count - 1, np.nan))
    return pd.DataFrame({"activity": mean, "noise_sd": noise, "n_replicates": count})


def shrink_variance(table: pd.DataFrame) -> pd.Series[np.float64]:
    """Shrink each measured variance towards its assay's trend (empirical Bayes, as in limma-trend).

    Within an assay `noise_sd**2` with d = n_replicates - 1 degrees of freedom is taken as
    s0^2 * F(d, d0): log s0^2 is a cubic spline in activity, plus one in log barcode count where it
    is known; d0, found from the spread of log variances about the trend, says how many degrees of
    freedom the trend is worth. The result is (d0 * s0^2 + d * s^2) / (d0 + d).
    Smyth 2004 (10.2202/1544-6115.1027), Phipson et al. 2016 (10.1214/16-AOAS920).

    Trend and d0 are fitted on all rows given: a handful of global parameters per assay. Where these
    are the rows of all folds, as in the table of the shipped models, that is the one way by which
    held-out SDs, though no held-out activity, enter training targets; `campaign_table` gives the
    training folds alone. Metrics are taken against `noise_sd`, which is not shrunk.

    Args:
      table: columns assay, activity, noise_sd, n_replicates, n_barcodes.

    Returns:
      Variances (log2^2) on the index of `table`; NaN where `noise_sd` is NaN: never imputed.
    """
    shrunk = pd.Series(np.nan, index=table.index, dtype=np.float64, name="variance_shrunk")
    for _, rows in table[table["noise_sd"].notna()].groupby("assay", observed=True):
        variance = rows["noise_sd"].to_numpy(np.float64) ** 2
        freedom = rows["n_replicates"].to_numpy(np.float64) - 1.0
        covariates = [rows["activity"].to_numpy(np.float64)]
        if rows["n_barcodes"].notna().all():
            covariates.append(np.log(rows["n_barcodes"].to_numpy(np.float64)))
        shrunk.loc[rows.index] = _moderate(variance, freedom, covariates)
    return shrunk


def _moderate(variance: Floats, freedom: Floats, covariates: list[Floats]) -> Floats:
    """Posterior variances of one assay; see `shrink_variance`."""
    variance = np.maximum(variance, 1e-5 * np.median(variance))
    logs = np.log(variance) - psi(freedom / 2) + np.log(freedom / 2)
    design = np.hstack([np.ones((len(logs), 1)), *(_spline(covariate) for covariate in covariates)])
    trend = design @ np.linalg.lstsq(design, logs, rcond=None)[0]
    spare = max(len(logs) - np.linalg.matrix_rank(design), 1)
    excess = float(((logs - trend) ** 2).sum() / spare - polygamma(1, freedom / 2).mean())
    if excess <= polygamma(1, 5e5):  # no more spread than chance: the trend is all there is
        return np.asarray(np.exp(trend))
    prior = 2 * brentq(lambda half: float(polygamma(1, half)) - excess, 1e-6, 5e5)
    centre = np.exp(trend + psi(prior / 2) - np.log(prior / 2))
    return np.asarray((prior * centre + freedom * variance) / (prior + freedom))


def _spline(values: Floats, pieces: int = 4) -> Floats:
    """Cubic B-spline columns with knots at quantiles, less one for the intercept; (N, C)."""
    knots = np.unique(np.quantile(values, np.linspace(0, 1, pieces + 1)))
    if len(knots) < 2:
        return np.empty((len(values), 0))
    padded = np.concatenate([[knots[0]] * 3, knots, [knots[-1]] * 3])
    return np.asarray(BSpline.design_matrix(values, padded, 3).toarray())[:, 1:]
