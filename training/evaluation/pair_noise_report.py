"""Measured pairs and models -> one report each on the noise of a difference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from service.registry import Registry
from training.evaluation.pair_noise import check_difference, noise_correlation
from training.evaluation.pair_noise_cagi5 import (
    compare_twins,
    load_release_twins,
    on_one_scale,
    predict_aleatoric,
)
from training.evaluation.pair_noise_data import ALIGNED, read_pairs
from training.evaluation.pair_noise_effects import compare_spread, held_out, predict_spread
from training.evaluation.pair_noise_tables import layout
from training.evaluation.report import Report
from training.evaluation.sigma import AssayPredictor

AS_MEASURED, ONE_SCALE = "as measured", "one scale"
UNSEEN, SEEN = "test fold", "all folds, seen in training"


def evaluate_noise(
    predictors: Mapping[str, AssayPredictor],
    *,
    models_dir: Path,
    data_dir: Path,
    table: pd.DataFrame,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Report]:
    """Estimate the correlation of both alleles' noise, and judge each model's SD of an effect.

    Args:
      predictors: {model: what its members say of the rows of any assay}.
      models_dir: folder of these models, as the service loads them.
      data_dir: folder of the measured tables, mpra/ and cagi5/; of the latter only rows in release
        blocks are read.
      table: assay table that the models learnt from.
      draws: bootstrap resamples.
      seed: of everything random.

    Returns:
      {model: report}, in the order given; the parts that no model enters are the same in each.

    Raises:
      DataError: a file is missing or altered.
    """
    pairs = read_pairs(data_dir)
    correlations = {
        (of_assay[ALIGNED].cell_type, correction): noise_correlation(
            found, draws=draws, rng=np.random.default_rng([seed, 0])
        )
        for of_assay in pairs.values()
        for correction, found in of_assay.items()
    }
    aligned = [of_assay[ALIGNED] for of_assay in pairs.values()]
    differences = {
        found.cell_type: check_difference(found, draws=draws, rng=np.random.default_rng([seed, 0]))
        for found in aligned
    }
    twins = {
        (twin, scale): rows
        for twin, measured in load_release_twins(data_dir).items()
        for scale, rows in ((AS_MEASURED, measured), (ONE_SCALE, on_one_scale(measured)))
    }
    registry = Registry(models_dir)
    reports = {}
    for name, predictor in predictors.items():
        spreads = {}
        for found in aligned:
            known, tested = held_out(found, table)
            rho = correlations[found.cell_type, ALIGNED].rho.value
            kept = found.where(known)
            predicted = predict_spread(predictor, kept, rho)
            for label, rows in ((UNSEEN, tested[known]), (SEEN, np.ones(known.sum(), bool))):
                spreads[found.cell_type, label] = compare_spread(
                    kept.where(rows),
                    None if predicted is None else predicted[rows],
                    draws=draws,
                    rng=np.random.default_rng([seed, 2]),
                )
        model = registry.load(name, "cpu", with_entries=False)
        twice = {
            key: compare_twins(
                rows,
                predict_aleatoric(model, data_dir, rows),
                draws=draws,
                rng=np.random.default_rng([seed, 3]),
            )
            for key, rows in twins.items()
        }
        reports[name] = layout(
            name,
            correlations=correlations,
            differences=differences,
            spreads=spreads,
            twins=twice,
            draws=draws,
        )
    return reports
