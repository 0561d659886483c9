"""Does sigma mean something: predicted against measured replicate SD, one assay at a time.

Assays are never pooled: one constant per assay would already correlate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.datasets.replicates import align_replicates
from training.datasets.sources import locate
from training.datasets.table import read_libraries
from training.evaluation.metrics import (
    Counts,
    Estimate,
    Floats,
    Statistic,
    attainable,
    bootstrap,
    bootstrap_partial,
    difference,
    estimate,
    partial_spearman,
    resample,
    spearman,
    split_half,
)
from training.evaluation.report import Cell, Report, Table, rows_of

AssayPredictor = Callable[[pd.DataFrame], tuple[NDArray[np.floating], NDArray[np.floating] | None]]
"""Rows (n) of one assay -> mu (n, M) and log_var (n, M), or None, in the assay's log2 units."""

BINS, ROWS_PER_BIN = 20, 25
"""At most so many bins of a lookup, of at least about so many rows."""
LOOKUPS = ("validation", "training")
"""Folds that a lookup is fitted on, each reported, in the order of the columns."""
COLUMNS = (
    "assay",
    "n",
    "replicates",
    "sigma",
    *(
        column
        for folds in LOOKUPS
        for column in (
            f"SD looked up ({folds})",
            f"difference ({folds})",
            f"P(difference <= 0) ({folds})",
        )
    ),
    "sigma, given measured activity",
    "sigma, given predicted activity",
    "split-half ceiling",
    "attainable",
)


@dataclass(frozen=True, slots=True)
class Lookup:
    """SD by bin of predicted activity: what a model without a sigma can offer.

    Attributes:
      edges: (K - 1,) inner edges of the bins, log2.
      sd: (K,) mean measured SD of each bin.
    """

    edges: Floats
    sd: Floats

    @classmethod
    def fit(cls, activity: Floats, noise_sd: Floats, bins: int | None = None) -> Lookup:
        """Cut predicted activities (n,) at their quantiles and average the measured SDs.

        Without `bins`: 20, or as many as hold 25 rows each.
        """
        bins = bins or min(BINS, max(1, activity.size // ROWS_PER_BIN))
        edges = np.unique(np.quantile(activity, np.linspace(0, 1, bins + 1)[1:-1]))
        held = np.searchsorted(edges, activity, side="right")
        times = np.bincount(held, minlength=edges.size + 1)
        sums = np.bincount(held, weights=noise_sd, minlength=edges.size + 1)
        return cls(edges, np.where(times > 0, sums / np.maximum(times, 1), noise_sd.mean()))

    def __call__(self, activity: Floats) -> Floats:
        """SD (n,) for predicted activities (n,)."""
        return self.sd[np.searchsorted(self.edges, activity, side="right")]


def replicate_values(mirror: Path | None) -> dict[str, pd.DataFrame]:
    """Read the replicates of every replicated assay again, on one scale.

    Args:
      mirror: folder of the published files, None to download them.

    Returns:
      {assay: frame indexed by sequence, one column per replicate (log2), NaN where missing}.
    """
    found = {}
    for library in read_libraries(lambda source: locate(source, mirror).path):
        if library.has_replicates:
            aligned = pd.DataFrame(align_replicates(library.values), index=library.sequences)
            found[library.name] = aligned.groupby(level=0, sort=False).mean()
    return found


def evaluate_sigma(
    name: str,
    predictor: AssayPredictor,
    *,
    table: pd.DataFrame,
    replicates: Mapping[str, pd.DataFrame],
    draws: int = 1000,
    seed: int = 0,
) -> Report:
    """Compare sigma with the measured SD of one replicate on the test fold of each assay.

    Args:
      name: of the model, for the title.
      predictor: the model's members on rows of one assay; log_var None if it predicts no noise.
      table: assay table; rows without a measured SD are left out.
      replicates: {assay: per-replicate values by sequence}, for the ceiling; every assay with a
        measured SD.
      draws: bootstrap resamples of homology clusters.
      seed: of the resamples and of the replicate halves.

    Raises:
      ValueError: the replicates of an assay are missing.
    """
    rows: list[Sequence[Cell]] = []
    measured = table[table["noise_sd"].notna() & table["activity"].notna()]
    if missing := sorted(set(measured["assay"]) - set(replicates)):
        raise ValueError(f"no replicates of {', '.join(missing)}, whose noise is in the table")
    for number, (assay, of_assay) in enumerate(measured.groupby("assay", observed=True)):
        rng = np.random.default_rng([seed, number])
        values = replicates[str(assay)]
        rows.append([str(assay), *_row(predictor, of_assay, values, draws, rng)])
    notes = (
        "Spearman correlation with the measured SD of one replicate on the test fold (0), each "
        "assay alone; sigma is the root mean square over members.",
        "SD looked up: the mean measured SD of quantile bins of this model's predicted activity, "
        f"at most {BINS} and of {ROWS_PER_BIN} rows or more. Fitted on the validation fold (1), "
        "whose predictions are as unseen as those of the test fold; and on the training folds, "
        "which are larger but whose predictions the model has fitted.",
        "given activity: partial Spearman correlation; noise depends on activity.",
        "split-half ceiling: Spearman between the SDs of two halves of the replicates (mean of 20 "
        "splits; needs 4 replicates). attainable: about what a perfect sigma would reach, from the "
        "ceiling by Spearman-Brown.",
        f"[low, high]: 95 % bootstrap over homology clusters ({draws} draws), paired for the "
        "difference.",
    )
    found = Table("Sigma against the measured SD", COLUMNS, rows_of(rows))
    return Report(f"Predicted noise: {name}", (found,), notes)


def _row(
    predictor: AssayPredictor,
    rows: pd.DataFrame,
    values: pd.DataFrame,
    draws: int,
    rng: np.random.Generator,
) -> list[Cell]:
    """Cells of one assay after its name."""
    mu, log_var = predictor(rows)
    predicted = np.asarray(mu, np.float64).mean(axis=1)
    noise = rows["noise_sd"].to_numpy(np.float64)
    fold = rows["fold"].to_numpy()
    test, validation = fold == TEST_FOLD, fold == VALIDATION_FOLD
    looked_up = [
        Lookup.fit(predicted[seen], noise[seen])(predicted[test])
        for seen in (validation, ~(test | validation))
    ]
    counts = resample(rows["cluster"].to_numpy()[test], draws, rng)
    halves = values.reindex(rows["sequence"][test]).to_numpy(np.float64)
    reliability = split_half(halves, counts, rng)
    sigma = None
    if log_var is not None:
        sigma = np.sqrt(np.exp(np.asarray(log_var, np.float64)[test]).mean(axis=1))
    activity = rows["activity"].to_numpy(np.float64)[test]
    return [
        int(test.sum()),
        int(rows["n_replicates"].max()),
        *_against(noise[test], sigma, looked_up, counts),
        *(_given(noise[test], sigma, given, counts) for given in (activity, predicted[test])),
        reliability,
        attainable(reliability.value, halves.shape[1]),
    ]


def _against(
    noise: Floats, sigma: Floats | None, looked_up: Sequence[Floats], counts: Counts
) -> list[Cell]:
    """Sigma; then each looked-up SD, the difference to it and its P."""
    ours = None if sigma is None else _sample(sigma, noise, counts)
    cells: list[Cell] = [None if ours is None else estimate(*ours)]
    for sd in looked_up:
        floor = _sample(sd, noise, counts)
        cells.append(estimate(*floor))
        if ours is None:
            cells += [None, None]
        else:
            gain = difference(ours[0], floor[0], ours[1], floor[1])
            cells += [gain.estimate, gain.p_not_above]
    return cells


def _sample(sd: Floats, noise: Floats, counts: Counts) -> tuple[float, Floats]:
    """Spearman correlation with the measured SD, and its draws."""
    return spearman(sd, noise), bootstrap(sd, noise, counts, Statistic.SPEARMAN)


def _given(
    noise: Floats, sigma: Floats | None, covariate: Floats, counts: Counts
) -> Estimate | None:
    if sigma is None:
        return None
    drawn = bootstrap_partial(sigma, noise, covariate, counts)
    return estimate(partial_spearman(sigma, noise, covariate), drawn)
