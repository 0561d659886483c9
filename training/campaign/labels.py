"""What predictions are compared with: measured values and their resamples, made once for all runs.

`campaign table, CAGI5 table -> HeldOut, Variants`. Every run is judged on the same resamples, so
that any two of them are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.batches import assays_of, training_scale
from training.campaign.data import held_out_rows
from training.campaign.resamples import Labels, Weights
from training.datasets.cagi5 import ELEMENTS, GROUPS
from training.evaluation.agreement import HIGH_CONFIDENCE, Sample, position_counts
from training.evaluation.metrics import Counts, Floats, resample

SUBSETS = ("all", "high", "low")
"""Variants of an element: all, confidence >= 0.1, confidence < 0.1."""
POOLED = ("K562-matched (4)", "all (15)")
"""Groups whose variants are also ranked in one list, beside the mean over their elements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssayRows:
    """The test rows of one assay, ready for predictions of them.

    Attributes:
      rows: (n,) places among the rows of the test fold.
      activity: resamples of the measured activities.
      noise: resamples of the measured SDs.
      log_noise: resamples of their logarithms; an SD below a hundredth of the median counts as
        that, since two replicates that agree by chance would outweigh all others.
      noise_and_activity: rank correlation of the two.
      quiet: places within `rows` of the quietest fifth, and their activities.
      noisy: the same of the noisiest fifth.
    """

    rows: NDArray[np.int64]
    activity: Labels
    noise: Labels
    log_noise: Labels
    noise_and_activity: Sample
    quiet: tuple[NDArray[np.int64], Labels]
    noisy: tuple[NDArray[np.int64], Labels]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Test and validation fold of the campaign's table.

    Attributes:
      assays: names of the assays.
      validation: {assay: (places among the rows of the validation fold, their activities)}, for
        scale, offset and width of predictions; never for a metric.
      test: {assay: its test rows}.
      sizes: rows of the test and of the validation fold.
      draws: resamples of homology clusters behind every interval.
    """

    assays: tuple[str, ...]
    validation: Mapping[str, tuple[NDArray[np.int64], Floats]]
    test: Mapping[str, AssayRows]
    sizes: tuple[int, int]
    draws: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """The variants of CAGI5, ready for predicted effects.

    Attributes:
      size: number V of variants.
      rows: {(element, subset): places among all V variants}; also of the groups `POOLED`, all
        variants.
      labels: {(element, subset): their measured effects}.
      draws: resamples of positions behind every interval.
    """

    size: int
    rows: Mapping[tuple[str, str], NDArray[np.int64]]
    labels: Mapping[tuple[str, str], Labels]
    draws: int


def held_out(table: pd.DataFrame, *, draws: int, seed: int) -> HeldOut:
    """Prepare test and validation fold, standardised as the networks saw them.

    Args:
      table: of the campaign: every row has a measured SD.
      draws: resamples of homology clusters.
      seed: of the resamples.

    Raises:
      ValueError: an assay has fewer than 15 rows in the test fold.
    """
    assays = assays_of(table)
    scale = training_scale(table, assays)
    test, validation = (held_out_rows(table, split) for split in ("test", "validation"))
    # One draw for all assays: many measured the same sequences, and a mean over assays that were
    # resampled apart would seem surer than it is.
    counts = resample(test["cluster"], draws, np.random.default_rng(seed))
    ready: dict[str, AssayRows] = {}
    seen: dict[str, tuple[NDArray[np.int64], Floats]] = {}
    for number, assay in enumerate(assays):
        mean, sd = scale.mean[number], scale.sd[number]
        rows = np.flatnonzero(validation["assay"] == assay.name)
        activity = validation["activity"].to_numpy(np.float64)[rows]
        seen[assay.name] = rows, (activity - mean) / sd
        rows = np.flatnonzero(test["assay"] == assay.name)
        if rows.size < 15:
            raise ValueError(f"{assay.name}: {rows.size} test rows; at least 15 are needed")
        part = test.iloc[rows]
        ready[assay.name] = _assay_rows(
            rows,
            activity=(part["activity"].to_numpy(np.float64) - mean) / sd,
            noise=part["noise_sd"].to_numpy(np.float64) / sd,
            counts=counts[:, rows],
        )
    return HeldOut(
        assays=tuple(assay.name for assay in assays),
        validation=seen,
        test=ready,
        sizes=(len(test), len(validation)),
        draws=draws,
    )


def fold_sizes(table: pd.DataFrame) -> list[dict[str, str | int]]:
    """Rows, homology clusters and the largest cluster's rows of each assay's held-out folds.

    A fold of which one cluster is a quarter says less than its rows suggest: what is fitted on it,
    or measured on it, is a quarter about one sequence and its relatives.

    Args:
      table: of the campaign.

    Returns:
      Rows with assay, and `test` and `validation` rows, clusters and largest cluster.
    """
    found = []
    for assay in assays_of(table):
        row: dict[str, str | int] = {"assay": assay.name}
        for split in ("test", "validation"):
            part = held_out_rows(table, split)
            sizes = part.loc[part["assay"] == assay.name, "cluster"].value_counts()
            row[f"{split}_rows"] = int(sizes.sum())
            row[f"{split}_clusters"] = len(sizes)
            row[f"{split}_largest_cluster"] = int(sizes.max()) if len(sizes) else 0
        found.append(row)
    return found


def _assay_rows(
    rows: NDArray[np.int64], *, activity: Floats, noise: Floats, counts: Counts
) -> AssayRows:
    order, fifth = np.argsort(noise, kind="stable"), rows.size // 5
    parts = [np.sort(part) for part in (order[:fifth], order[-fifth:])]
    quiet, noisy = ((part, Labels(activity[part], Weights(counts[:, part]))) for part in parts)
    weights = Weights(counts)
    noises = Labels(noise, weights)
    return AssayRows(
        rows=rows,
        activity=Labels(activity, weights),
        noise=noises,
        log_noise=Labels(np.log(np.maximum(noise, 0.01 * np.median(noise))), weights),
        noise_and_activity=noises.spearman(activity),
        quiet=quiet,
        noisy=noisy,
    )


def variants(table: pd.DataFrame, *, draws: int, seed: int) -> Variants:
    """Prepare the variants of CAGI5.

    Args:
      table: columns element, pos, value, confidence, as `load_challenge` gives them.
      draws: resamples of positions within each locus.
      seed: of the resamples.
    """
    counts = position_counts(table, draws, seed)
    elements = table["element"].to_numpy(str)
    values = table["value"].to_numpy(np.float64)
    high = table["confidence"].to_numpy(np.float64) >= HIGH_CONFIDENCE
    chosen = {"all": np.ones_like(high), "high": high, "low": ~high}
    rows = {
        (element, subset): np.flatnonzero(chosen[subset] & (elements == element))
        for element in ELEMENTS
        for subset in SUBSETS
    }
    rows |= {(g, "all"): np.flatnonzero(np.isin(elements, GROUPS[g])) for g in POOLED}
    return Variants(
        size=len(table),
        rows=rows,
        labels={key: Labels(values[of], Weights(counts[:, of])) for key, of in rows.items()},
        draws=draws,
    )
