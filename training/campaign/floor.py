"""The floor under the campaign's networks: 6-mer ridge regression on the same rows.

`campaign table, CAGI5 sequences -> Predictions`, in the form in which a run leaves them, so that
the floor is judged on the same rows, resamples and variants as every arm.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from service.sequence import decode
from training.assays import Assay
from training.batches import Scale, assays_of, training_scale
from training.campaign.data import HELD_OUT, held_out_rows
from training.campaign.labels import HeldOut, variants
from training.campaign.metrics import CAGI5, Samples, challenge_metrics, held_out_metrics
from training.campaign.predict import Predictions, calibration_slopes, oriented, read_variants
from training.datasets.cagi5 import GROUPS
from training.evaluation.challenge import Run, load_challenge
from training.evaluation.metrics import Floats
from training.evaluation.ridge import fit_floor, kmer_counts

Floats32 = NDArray[np.float32]
NAME = "6-mer ridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """One regression per assay, and what it predicts.

    Attributes:
      penalties: {assay: the penalty that did best on the validation fold}.
      digest: of all coefficients.
      predictions: standardised, as a run's.
    """

    penalties: dict[str, float]
    digest: str
    predictions: Predictions


def fit(table: pd.DataFrame, data_dir: Path) -> Floor:
    """Fit on the training folds, choose the penalty on validation, predict what a run predicts.

    Args:
      table: of the campaign.
      data_dir: folder that holds cagi5/.
    """
    assays = assays_of(table)
    scale = training_scale(table, assays)
    rows = {split: held_out_rows(table, split) for split in HELD_OUT}
    mu = {split: np.empty(len(part), np.float32) for split, part in rows.items()}
    training = table[~table["fold"].isin(HELD_OUT.values())]
    penalties: dict[str, float] = {}
    models: list[Ridge] = []
    slopes = []
    for number, assay in enumerate(assays):
        parts = [part[part["assay"] == assay.name] for part in (training, rows["validation"])]
        counted = [
            (kmer_counts(part["sequence"].tolist()), _standard(part, scale, number))
            for part in parts
        ]
        model, penalties[assay.name] = fit_floor(counted[0], counted[1])
        models.append(model)
        for split, part in rows.items():
            chosen = (part["assay"] == assay.name).to_numpy()
            counts = kmer_counts(part.loc[chosen, "sequence"].tolist())
            mu[split][chosen] = model.predict(counts)
        predicted = model.predict(counted[1][0]).astype(np.float32)
        slope = calibration_slopes(predicted[:, None], counted[1][1].astype(np.float32)[:, None])
        slopes.append(float(slope[0]))
    plus, minus, cell = _effects(models, slopes, assays, scale, data_dir)
    digest = hashlib.sha256(np.stack([model.coef_ for model in models]).tobytes()).hexdigest()
    return Floor(
        penalties=penalties,
        digest=digest,
        predictions=Predictions(
            test_mu=mu["test"],
            test_log_var=None,
            validation_mu=mu["validation"],
            validation_log_var=None,
            cagi5_plus=plus,
            cagi5_minus=minus,
            cagi5_cell=cell,
        ),
    )


def judge(
    floor: Floor,
    held_out: HeldOut,
    *,
    preset: str,
    data_dir: Path,
    draws: int,
    seed: int,
    log: Path,
    purpose: str,
) -> Samples:
    """Score the floor as the runs are scored; its look at the challenge labels is logged as well.

    Args:
      floor: of the same table as `held_out`.
      held_out: labels of the campaign's table.
      preset: of the campaign, for the log.
      data_dir: folder that holds cagi5/.
      draws: bootstrap resamples of positions.
      seed: of the resamples.
      log: of looks at challenge labels.
      purpose: as it stands in the log.
    """
    look = Run(model=f"campaign/{preset}/{NAME}", model_sha256=floor.digest, purpose=purpose)
    with load_challenge(data_dir, look, log=log) as table:
        samples = held_out_metrics(floor.predictions, held_out)
        samples |= challenge_metrics(floor.predictions, variants(table, draws=draws, seed=seed))
        look.means |= {
            f"{m.element}, {m.metric}": s.value
            for m, s in samples.items()
            if m.split == CAGI5 and m.element in GROUPS and m.metric in ("spearman", "pearson")
        }
    return samples


def _standard(part: pd.DataFrame, scale: Scale, number: int) -> Floats:
    activity = part["activity"].to_numpy(np.float64)
    standard: Floats = (activity - scale.mean[number]) / scale.sd[number]
    return standard


def _effects(
    models: list[Ridge],
    slopes: list[float],
    assays: tuple[Assay, ...],
    scale: Scale,
    data_dir: Path,
) -> tuple[Floats32, Floats32, Floats32]:
    """Effects (n,) as `predict.cagi5_effects` makes them of a network's outputs."""
    cut = read_variants(data_dir)
    weights = np.stack([slope * model.coef_ for slope, model in zip(slopes, models, strict=True)])
    changes = []
    for is_minus in (False, True):
        reference, alternative = (
            kmer_counts([decode(codes) for codes in oriented(windows, is_minus=is_minus)])
            @ weights.T
            for windows in (cut.reference, cut.alternative)
        )
        changes.append(alternative - reference[cut.slice_of])
    plus, minus = changes
    both = (plus + minus) / 2 * scale.sd
    cell_types = np.array([assay.cell_type for assay in assays])
    cell = np.empty(len(both))
    for cell_type in np.unique(cut.heads):
        of_cell = cut.heads == cell_type
        cell[of_cell] = both[of_cell][:, cell_types == cell_type].mean(axis=1)
    return (
        plus.mean(axis=1).astype(np.float32),
        minus.mean(axis=1).astype(np.float32),
        cell.astype(np.float32),
    )
