"""Is what the novelty score flags predicted worse: model and test fold -> one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from service.novelty import LEVEL, Novelty
from service.registry import Model
from service.sequence import reverse_complement
from training.assays import ASSAY_BY_NAME
from training.datasets.homology import TEST_FOLD
from training.evaluation.metrics import Statistic, correlate, resample
from training.evaluation.novelty_tables import windows_of
from training.evaluation.report import Cell, Report, Table, rows_of

ACCURACY = "Accuracy by novelty"
FEWEST = 20
"""Inserts that a correlation is given for, at least."""


def accuracy_by_novelty(
    model: Model,
    novelty: Novelty,
    *,
    table: pd.DataFrame,
    draws: int = 500,
    seed: int = 0,
) -> Report:
    """Correlate predicted with measured activity, of the test fold's ordinary and novel inserts.

    Each assay of a served cell type is compared with the target of that cell type, both strands and
    all members averaged; which scale the assay has does not matter to a rank.

    Args:
      model: its targets are names of cell types.
      novelty: fitted on the training folds of `table`.
      table: assay table, with `cluster`.
      draws: bootstrap resamples of homology clusters.
      seed: of the resamples.
    """
    targets = model.info.targets
    rows: list[Sequence[Cell]] = []
    for name, of_assay in table[table["fold"] == TEST_FOLD].groupby("assay", sort=False):
        cell_type = ASSAY_BY_NAME[str(name)].cell_type
        if cell_type not in targets:
            continue
        codes, clusters = windows_of(of_assay)
        strands = codes, np.ascontiguousarray(reverse_complement(codes))
        mu = np.mean([model.run(strand)[0] for strand in strands], axis=(0, 2))
        predicted = mu[:, targets.index(cell_type)].astype(np.float64)
        measured = of_assay["activity"].to_numpy(np.float64)
        is_novel = novelty.score(codes).is_novel()
        row: list[Cell] = [str(name), cell_type]
        for chosen in (~is_novel, is_novel):
            row += [int(chosen.sum()), None]
            if chosen.sum() >= FEWEST:
                counts = resample(clusters[chosen], draws, np.random.default_rng(seed))
                pair = predicted[chosen], measured[chosen]
                row[-1] = correlate(*pair, counts, Statistic.SPEARMAN)
        rows.append(row)
    columns = ("assay", "target", "n ordinary", "spearman, ordinary", "n novel", "spearman, novel")
    notes = (
        f"Novel: p < {LEVEL:g}. Test fold; both strands and all members averaged.",
        "The replicated assays are episomal plasmids with shorter inserts; random and scrambled "
        "ones are many of those that are novel.",
        f"[low, high]: 95 % bootstrap over homology clusters ({draws} draws).",
    )
    found = Table(ACCURACY, columns, rows_of(rows))
    return Report(f"Novelty and accuracy: {model.info.name}", (found,), notes)
