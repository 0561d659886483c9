"""What one run is worth: its predictions and the labels -> samples by measure.

`Predictions, HeldOut, Variants -> {Measure: Sample}`. Definitions stand beside the functions; all
quantities of the test fold are on each assay's standardised scale.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from training.campaign.calibration import Affine, Width
from training.campaign.labels import POOLED, SUBSETS, AssayRows, HeldOut, Variants
from training.campaign.predict import Predictions
from training.campaign.resamples import Weights, partial
from training.datasets.cagi5 import ELEMENTS, GROUPS
from training.evaluation.agreement import Sample, mean_sample
from training.evaluation.metrics import Floats
from training.evaluation.predictions import NOMINAL

TEST, CAGI5 = "test", "challenge"
ALONE = ("challenge_plus", "challenge_minus", "challenge_cell")
MEAN = "mean"
_QUANTILES = norm.ppf(0.5 + np.array(NOMINAL) / 2)


class Measure(NamedTuple):
    """What a number is about.

    Attributes:
      split: `test`, `challenge` (all assays, both strands averaged), `challenge_plus` or
        `challenge_minus` (one strand), or `challenge_cell` (the assays of the cell type alone).
      metric: see the functions below.
      element: an assay or `mean` (test); an element of CAGI5 or a group of them (challenge).
    """

    split: str
    metric: str
    element: str


Samples = dict[Measure, Sample]


def held_out_metrics(predictions: Predictions, labels: HeldOut) -> Samples:
    """Metrics of the test fold, each assay and their unweighted mean.

    Raises:
      ValueError: the predictions are of other rows, or not finite.
    """
    _require(labels.sizes[0], predictions.test_mu, predictions.test_log_var)
    _require(labels.sizes[1], predictions.validation_mu, predictions.validation_log_var)
    by_assay = {assay: _assay_metrics(predictions, labels, assay) for assay in labels.assays}
    found: Samples = {}
    for metric in next(iter(by_assay.values())):
        parts = [by_assay[assay][metric] for assay in labels.assays]
        found[Measure(TEST, metric, MEAN)] = mean_sample(parts)
        for assay, part in zip(labels.assays, parts, strict=True):
            found[Measure(TEST, metric, assay)] = part
    return found


def challenge_metrics(predictions: Predictions, variants: Variants) -> Samples:
    """Correlations of effects with measured ones: all assays and both strands, and parts of them.

    `spearman`, `pearson`, each also `_high`, `_low` (confidence) and `_gap` (high minus low); a
    strand alone, and the assays of the cell type alone, have the first two only. A group is the
    unweighted mean over its elements; `_pooled` ranks the variants of all of them in one list.

    Raises:
      ValueError: the effects are of other variants, or not finite.
    """
    plus, minus, cell = (
        np.asarray(effect, np.float64)
        for effect in (predictions.cagi5_plus, predictions.cagi5_minus, predictions.cagi5_cell)
    )
    _require(variants.size, plus, minus, cell)
    both = (plus + minus) / 2
    found = _effects(CAGI5, both, variants, SUBSETS)
    for group in POOLED:
        labels, rows = variants.labels[group, "all"], variants.rows[group, "all"]
        found[Measure(CAGI5, "spearman_pooled", group)] = labels.spearman(both[rows])
        found[Measure(CAGI5, "pearson_pooled", group)] = labels.pearson(both[rows])
    for split, effect in zip(ALONE, (plus, minus, cell), strict=True):
        found |= _effects(split, effect, variants, SUBSETS[:1])
    return found


def _effects(split: str, effect: Floats, variants: Variants, subsets: tuple[str, ...]) -> Samples:
    found: Samples = {}
    for name in ("spearman", "pearson"):
        by_subset: dict[str, dict[str, Sample]] = {}
        for subset in subsets:
            of_element = {}
            for element in ELEMENTS:
                labels, rows = variants.labels[element, subset], variants.rows[element, subset]
                correlate = labels.spearman if name == "spearman" else labels.pearson
                of_element[element] = correlate(effect[rows])
            groups = {
                group: mean_sample([of_element[member] for member in members])
                for group, members in GROUPS.items()
            }
            by_subset[subset] = of_element | groups
            metric = name if subset == "all" else f"{name}_{subset}"
            found |= {Measure(split, metric, e): s for e, s in by_subset[subset].items()}
        if {"high", "low"} <= by_subset.keys():
            found |= {
                Measure(split, f"{name}_gap", element): _minus(high, by_subset["low"][element])
                for element, high in by_subset["high"].items()
            }
    return found


def _assay_metrics(predictions: Predictions, labels: HeldOut, assay: str) -> dict[str, Sample]:
    rows, (seen, y_seen) = labels.test[assay], labels.validation[assay]
    y, mu = rows.activity.values, predictions.test_mu[rows.rows].astype(np.float64)
    mu_seen = predictions.validation_mu[seen].astype(np.float64)
    affine = Affine.fit(mu_seen, y_seen)
    head = _of(predictions.test_log_var, rows.rows)
    head_seen = _of(predictions.validation_log_var, seen)
    residual, residual_seen = y - affine(mu), y_seen - affine(mu_seen)
    constant = Width.fit(residual_seen, None)
    width = constant if head_seen is None else Width.fit(residual_seen, head_seen)
    weights, draws = rows.activity.weights, labels.draws
    found = {
        "pearson": rows.activity.pearson(mu),
        "spearman": rows.activity.spearman(mu),
        "scale": _fixed(affine.scale, draws),
        "offset": _fixed(affine.offset, draws),
        "rmse": _root(weights.mean(residual**2)),
        "rmse_raw": _root(weights.mean((y - mu) ** 2)),
        **_noise_metrics(mu, residual, rows),
        **_interval_metrics(residual, width(head, y.size), weights),
        "nll_constant": weights.mean(_nll(residual, constant(None, y.size))),
    }
    return found | _head_metrics(y - mu, head, rows)


def _noise_metrics(mu: Floats, residual: Floats, rows: AssayRows) -> dict[str, Sample]:
    """How errors go with noise.

    `r_noise`: Pearson(|y - f|, n), f calibrated, n the raw SD of one replicate; `r_noise_raw`: f
    as it is; `r_noise_partial`: partial Spearman of the former two given y. `spearman_quiet` and
    `spearman_noisy`: f and y in the quietest and the noisiest fifth; `spearman_noise_gap`: their
    difference.
    """
    error, y = np.abs(residual), rows.activity.values
    (quiet, quiet_labels), (noisy, noisy_labels) = rows.quiet, rows.noisy
    low, high = quiet_labels.spearman(mu[quiet]), noisy_labels.spearman(mu[noisy])
    return {
        "r_noise": rows.noise.pearson(error),
        "r_noise_raw": rows.noise.pearson(np.abs(y - mu)),
        "r_noise_partial": _given_activity(error, rows),
        "spearman_quiet": low,
        "spearman_noisy": high,
        "spearman_noise_gap": _minus(low, high),
    }


def _interval_metrics(
    residual: Floats, sd: Floats, weights: Weights, suffix: str = ""
) -> dict[str, Sample]:
    """Gaussian negative log-likelihood, and the share inside central intervals by level.

    In nats, of an activity in SDs of its assay: a density has a unit.
    """
    found = {f"nll{suffix}": weights.mean(_nll(residual, sd))}
    deviation = np.abs(residual) / sd
    for nominal, quantile in zip(NOMINAL, _QUANTILES, strict=True):
        inside = (deviation <= quantile).astype(np.float64)
        found[f"coverage{round(100 * nominal)}{suffix}"] = weights.mean(inside)
    return found


def _head_metrics(residual: Floats, log_var: Floats | None, rows: AssayRows) -> dict[str, Sample]:
    """The variance head against the measured SD n, and as it is; nothing without a head.

    `sigma_spearman`: Spearman(sigma, n); `sigma_log_pearson`: Pearson of the logarithms;
    `sigma_given_activity`: partial Spearman given y. `nll_raw` and `coverage.._raw`: mean and
    sigma as the network says.
    """
    if log_var is None:
        return {}
    sigma = np.exp(log_var / 2)
    return {
        "sigma_spearman": rows.noise.spearman(sigma),
        "sigma_log_pearson": rows.log_noise.pearson(log_var / 2),
        "sigma_given_activity": _given_activity(sigma, rows),
        **_interval_metrics(residual, sigma, rows.noise.weights, "_raw"),
    }


def _given_activity(x: Floats, rows: AssayRows) -> Sample:
    """Partial Spearman correlation of x and the measured SD, given measured activity."""
    return partial(rows.noise.spearman(x), rows.activity.spearman(x), rows.noise_and_activity)


def _nll(residual: Floats, sd: Floats) -> Floats:
    """Gaussian negative log-likelihood of each residual."""
    likelihood: Floats = np.log(sd) + (residual / sd) ** 2 / 2 + np.log(2 * np.pi) / 2
    return likelihood


def _of(values: NDArray[np.float32] | None, rows: NDArray[np.int64]) -> Floats | None:
    return None if values is None else values[rows].astype(np.float64)


def _require(size: int, *predictions: NDArray[np.floating] | None) -> None:
    for values in predictions:
        if values is not None and (values.shape != (size,) or not np.isfinite(values).all()):
            raise ValueError(f"{size} finite predictions are needed; got shape {values.shape}")


def _root(sample: Sample) -> Sample:
    return Sample(float(np.sqrt(sample.value)), np.sqrt(sample.draws))


def _minus(first: Sample, second: Sample) -> Sample:
    return Sample(first.value - second.value, first.draws - second.draws)


def _fixed(value: float, draws: int) -> Sample:
    """A number without an interval: it does not depend on the test rows."""
    return Sample(value, np.full(draws, np.nan))
