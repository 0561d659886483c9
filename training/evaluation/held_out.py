"""Held-out sequences of the served assays: exported model and 6-mer floor -> one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from service.registry import Model, Registry
from service.sequence import encode, reverse_complement
from service.session import Device
from training.assays import ASSAYS, inserts_of
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.evaluation.metrics import (
    Counts,
    Floats,
    Statistic,
    bootstrap,
    correlate,
    correlation,
    difference,
    pearson,
    resample,
)
from training.evaluation.report import Cell, Report, Table, rows_of
from training.evaluation.ridge import fit_floor, kmer_counts

_BATCH = 512


def evaluate(
    model_names: Sequence[str],
    *,
    models_dir: Path,
    table: pd.DataFrame,
    device: Device = "cpu",
    threads: int | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Report]:
    """Predict the test fold of every served assay with each model and with the 6-mer floor.

    Args:
      model_names: models of `models_dir`.
      models_dir: folder of model folders.
      table: assay table; the floor learns from its training folds and chooses its penalty on the
        validation fold.
      device: where the models run.
      threads: of one operator on the CPU, None for one per core.
      draws: bootstrap resamples of homology clusters.
      seed: of the resamples.

    Returns:
      {model: report}, in the order given.

    Raises:
      ValueError: no assay of the table is a target of a model.
    """
    registry = Registry(models_dir)
    floors = _floors(table, draws, seed)
    library = inserts_of(table["assay"].unique())
    return {
        name: _report(registry.load(name, device, threads), name, library, floors, draws)
        for name in model_names
    }


def predict_inserts(model: Model, sequences: Sequence[str]) -> Floats:
    """Predict activities of inserts as long as the model's window, both strands averaged.

    Returns:
      (n, M, T) log2(RNA/DNA) per member and target.

    Raises:
      ValueError: an insert of another length.
    """
    width = model.info.window
    if odd := {len(sequence) for sequence in sequences} - {width}:
        raise ValueError(f"the model takes inserts of {width} bases, got some of {sorted(odd)}")
    codes = np.stack([encode(sequence) for sequence in sequences])
    parts = []
    for start in range(0, len(codes), _BATCH):
        batch = codes[start : start + _BATCH]
        strands = batch, np.ascontiguousarray(reverse_complement(batch))
        mu = [model.run(strand)[0] for strand in strands]
        parts.append(np.mean(mu, axis=0, dtype=np.float64))
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Floor:
    """One assay's n test rows, what the 6-mer ridge predicts for them, and B resamples.

    `alpha` is the ridge's penalty.
    """

    alpha: float
    sequences: list[str]
    activity: Floats
    predicted: Floats
    counts: Counts


def _floors(table: pd.DataFrame, draws: int, seed: int) -> dict[str, _Floor]:
    """Fit the floor of every served assay in the table: {target: its floor}."""
    served = {assay.name: assay.served for assay in ASSAYS if assay.served is not None}
    rows = table[table["assay"].isin(served) & table["activity"].notna()]
    index, sequences = pd.factorize(rows["sequence"])
    counted = kmer_counts(sequences.tolist())
    found = {}
    for name, of_assay in rows.assign(counted=index).groupby("assay", observed=True):
        folds = of_assay["fold"].to_numpy()
        at, activity = of_assay["counted"].to_numpy(), of_assay["activity"].to_numpy(np.float64)
        test, validation = folds == TEST_FOLD, folds == VALIDATION_FOLD
        train = ~(test | validation)
        ridge, alpha = fit_floor(
            (counted[at[train]], activity[train]), (counted[at[validation]], activity[validation])
        )
        clusters = of_assay["cluster"].to_numpy()[test]
        found[served[str(name)]] = _Floor(
            alpha=alpha,
            sequences=of_assay["sequence"][test].tolist(),
            activity=activity[test],
            predicted=np.asarray(ridge.predict(counted[at[test]]), np.float64),
            counts=resample(clusters, draws, np.random.default_rng(seed)),
        )
    return found


def _report(model: Model, name: str, library: str, floors: dict[str, _Floor], draws: int) -> Report:
    measured = [target for target in model.info.targets if target in floors]
    if not measured:
        raise ValueError(f"{name}: no assay of the table measures {list(model.info.targets)}")
    sequences = list(dict.fromkeys(s for target in measured for s in floors[target].sequences))
    at = {sequence: row for row, sequence in enumerate(sequences)}
    predicted = predict_inserts(model, sequences)
    rows: list[Sequence[Cell]] = []
    for target in measured:
        floor, column = floors[target], model.info.targets.index(target)
        members = predicted[[at[sequence] for sequence in floor.sequences], :, column]
        rows.append([target, len(floor.sequences), *_row(members, floor)])
    columns = (
        "target",
        "n",
        "pearson",
        "pearson, 6-mer ridge",
        "difference",
        "P(difference <= 0)",
        "spearman",
        "spearman, 6-mer ridge",
        "pearson, one member (mean)",
        "pearson, one member (SD)",
        "6-mer ridge penalty",
    )
    notes = (
        f"Test fold (0) of {library}, whose sequences share no 40-mer with a "
        "training sequence of any assay; both strands and all members averaged.",
        "6-mer ridge: ridge regression on the counts of 6-mers, fitted on the training folds, "
        "penalty chosen on the validation fold (1), on a grid that goes on while its best is at "
        "an end.",
        f"[low, high]: 95 % bootstrap over homology clusters ({draws} draws), paired for the "
        "difference.",
    )
    title = library.removeprefix("the lentiMPRA ")
    found = Table(f"{title[:1].upper()}{title[1:]}, test fold", columns, rows_of(rows))
    return Report(f"Held-out sequences: {name}", (found,), notes)


def _row(members: Floats, floor: _Floor) -> list[Cell]:
    """Cells of one target from its members' predictions (n, M)."""
    y, counts, predicted = floor.activity, floor.counts, members.mean(axis=1)
    kind = Statistic.PEARSON
    gain = difference(
        correlation(predicted, y, kind),
        correlation(floor.predicted, y, kind),
        bootstrap(predicted, y, counts, kind),
        bootstrap(floor.predicted, y, counts, kind),
    )
    alone = [pearson(members[:, member], y) for member in range(members.shape[1])]
    return [
        correlate(predicted, y, counts, kind),
        correlate(floor.predicted, y, counts, kind),
        gain.estimate,
        gain.p_not_above,
        correlate(predicted, y, counts, Statistic.SPEARMAN),
        correlate(floor.predicted, y, counts, Statistic.SPEARMAN),
        float(np.mean(alone)),
        float(np.std(alone, ddof=1)) if len(alone) > 1 else None,
        floor.alpha,
    ]
