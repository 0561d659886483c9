"""CAGI5 elements measured twice: how far the two effects of a variant differ, and who foresaw it.

Neither pair of experiments is a pair of replicates: TERT was measured in two cell types, PKLR at
two times after transfection. They stand in for replicates because no others are published, and what
truly differs between cells or times counts as noise here. Values are read of rows in release blocks
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from service.reference import Reference
from service.registry import Model
from service.scoring import Scorer
from training.datasets.cagi5 import reference_path
from training.datasets.deletions import MIN_BARCODES
from training.datasets.replicates import align_replicates
from training.evaluation.calibrate import OPTIONS
from training.evaluation.challenge import load_release_measurements
from training.evaluation.metrics import (
    Estimate,
    Floats,
    Statistic,
    correlate,
    estimate,
    resample,
    spearman,
)
from training.evaluation.pair_noise_effects import partial
from training.evaluation.predictions import predict

KEY = ["contig", "pos", "ref", "alt"]
_SIMULATIONS = 200


@dataclass(frozen=True, slots=True)
class Twins:
    """Two experiments on one element.

    Attributes:
      first: element as the table of measurements names it.
      second: the other.
      apart: what they differ in.
    """

    first: str
    second: str
    apart: str


TWINS = (
    Twins("TERT-GBM", "TERT-HEK293T", "two cell types"),
    Twins("PKLR-24h", "PKLR-48h", "two time points"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinAgreement:
    """|difference of two measured effects| against what should foretell it, on n variants.

    All are Spearman correlations; given: with log of the smaller barcode count and |mean measured
    effect| held fixed.

    Attributes:
      variants: SNVs in release blocks with enough barcodes in both experiments.
      positions: of these, which are resampled.
      aleatoric: of the predicted aleatoric SD of the effect.
      aleatoric_given: partial.
      barcodes: of minus the log of the smaller barcode count.
      error: of the measured standard error of the difference, the two experiments' in quadrature.
      error_given: partial.
      attainable: mean of simulations in which that standard error is exactly the SD of normal
        differences: what even the true SD could reach against one difference each.
      excess: root mean square of the differences over that of their standard errors; replicates
        would have 1, cells or times that differ have more.
    """

    variants: int
    positions: int
    aleatoric: Estimate
    aleatoric_given: Estimate
    barcodes: Estimate
    error: Estimate
    error_given: Estimate
    attainable: float
    excess: Estimate


def load_release_twins(data_dir: Path) -> dict[Twins, pd.DataFrame]:
    """Read the SNVs in release blocks that both experiments of each of `TWINS` measured.

    Which rows lie in a release block is found from elements and positions; the values of other rows
    are skipped by the parser.

    Args:
      data_dir: folder that holds cagi5/.

    Returns:
      {twins: rows with element (the first's), `KEY` (pos 1-based) and, with suffixes _1 and _2,
      barcodes, value (log2 effect) and se (of the value)}, both with 10 barcodes or more.
    """
    table = load_release_measurements(data_dir)
    table = table[table["barcodes"] >= MIN_BARCODES]
    found = {}
    for twins in TWINS:
        first = table[table["element"] == twins.first]
        second = table[table["element"] == twins.second].drop(columns="element")
        found[twins] = first.merge(second, on=KEY, suffixes=("_1", "_2"), validate="1:1")
    return found


def predict_aleatoric(model: Model, data_dir: Path, table: pd.DataFrame) -> Floats:
    """Uncalibrated aleatoric SD (n,) of the effects of a table, NaN where not scored.

    Args:
      model: loaded without its calibration, which would set the correlation of both alleles.
      data_dir: folder that holds cagi5/.
      table: columns element and `KEY`.
    """
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        scorer = Scorer(model, reference, OPTIONS)
        predicted = predict(scorer, model.info.targets, table)
    return np.asarray(predicted.effects.aleatoric, np.float64)


def on_one_scale(table: pd.DataFrame) -> pd.DataFrame:
    """Align the second experiment's values and errors with the first's, as replicates are.

    A cell type or a time that scales every effect would otherwise count as noise of the large ones.
    """
    values = table[["value_1", "value_2"]].to_numpy(np.float64)
    aligned = align_replicates(values)
    slope = np.std(values, axis=0) / np.std(aligned, axis=0)
    return table.assign(
        value_1=aligned[:, 0],
        value_2=aligned[:, 1],
        se_1=table["se_1"] / slope[0],
        se_2=table["se_2"] / slope[1],
    )


def compare_twins(
    table: pd.DataFrame, aleatoric: Floats, *, draws: int, rng: np.random.Generator
) -> TwinAgreement:
    """Compare predicted SDs (n,) with the absolute differences of the two effects.

    Args:
      table: of `load_release_twins`.
      aleatoric: (n,) predicted, NaN where not scored.
      draws: bootstrap resamples of positions.
      rng: of the resamples and simulations.
    """
    rows = np.isfinite(aleatoric)
    table, sd = table[rows], aleatoric[rows]
    columns = {
        name: table[[f"{name}_1", f"{name}_2"]].to_numpy(np.float64)
        for name in ("value", "barcodes", "se")
    }
    difference = np.abs(columns["value"][:, 0] - columns["value"][:, 1])
    effect = np.abs(columns["value"].mean(axis=1))
    depth = np.log(columns["barcodes"].min(axis=1))
    error = np.hypot(columns["se"][:, 0], columns["se"][:, 1])
    counts = resample(table["pos"].to_numpy(), draws, rng)
    excess = np.sqrt((counts @ difference**2) / (counts @ error**2))
    simulated = np.abs(rng.normal(size=(_SIMULATIONS, len(error)))) * error
    return TwinAgreement(
        variants=len(table),
        positions=table["pos"].nunique(),
        aleatoric=correlate(sd, difference, counts, Statistic.SPEARMAN),
        aleatoric_given=partial(sd, difference, [depth, effect], counts),
        barcodes=correlate(-depth, difference, counts, Statistic.SPEARMAN),
        error=correlate(error, difference, counts, Statistic.SPEARMAN),
        error_given=partial(error, difference, [depth, effect], counts),
        attainable=float(np.mean([spearman(error, drawn) for drawn in simulated])),
        excess=estimate(float(np.sqrt((difference**2).sum() / (error**2).sum())), excess),
    )
