"""Assay table -> arrays a trainer can cut batches from.

`table (one row per sequence and assay) -> codes (n, 230), activity (n, A), variance (n, A)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from training.assays import ASSAY_BY_NAME, ASSAYS, WINDOW, Assay, window_codes
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.losses import Batch
from training.samplers import Sampler


@dataclass(frozen=True, slots=True)
class Scale:
    """Location and spread of each assay's training activities: the standardised scale.

    Attributes:
      mean: (A,) log2 units.
      sd: (A,) log2 units.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledSequences:
    """n distinct constructs with the labels of A assays, on the standardised scale.

    Attributes:
      assays: the A assays, in column order.
      codes: (n, 230) uint8 base codes of the construct.
      reverse_codes: the same with the insert reverse-complemented between its flanks.
      activity: (n, A) float32, NaN where not measured.
      variance: (n, A) float32 shrunk replicate variance, NaN where not measured.
      replicated: (A,) True for assays with replicates.
    """

    assays: tuple[Assay, ...]
    codes: NDArray[np.uint8]
    reverse_codes: NDArray[np.uint8]
    activity: NDArray[np.float32]
    variance: NDArray[np.float32]
    replicated: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of constructs n."""
        return len(self.codes)

    def batch(self, rows: NDArray[np.int64], reverse: NDArray[np.bool_]) -> Batch:
        """The rows as one batch; those marked `reverse` in the other orientation."""
        codes = np.where(reverse[:, None], self.reverse_codes[rows], self.codes[rows])
        return Batch(
            codes=torch.from_numpy(codes),
            activity=torch.from_numpy(self.activity[rows]),
            variance=torch.from_numpy(self.variance[rows]),
            replicated=torch.from_numpy(self.replicated),
        )


def assays_of(table: pd.DataFrame) -> tuple[Assay, ...]:
    """The known assays that a table holds, in the declared order.

    Raises:
      ValueError: the table names an assay that `training.assays` does not declare.
    """
    present = set(table["assay"].unique())
    if unknown := sorted(present - ASSAY_BY_NAME.keys()):
        raise ValueError(f"undeclared assays {unknown}; add them to training/assays.py")
    return tuple(assay for assay in ASSAYS if assay.name in present)


def training_scale(table: pd.DataFrame, assays: Sequence[Assay]) -> Scale:
    """Mean and SD of each assay's activities in the training folds."""
    train = table[~table["fold"].isin([TEST_FOLD, VALIDATION_FOLD])]
    grouped = train.groupby("assay")["activity"].agg(["mean", "std"])
    grouped = grouped.loc[[assay.name for assay in assays]]
    return Scale(grouped["mean"].to_numpy(np.float64), grouped["std"].to_numpy(np.float64))


def labelled_sequences(
    table: pd.DataFrame, assays: Sequence[Assay], scale: Scale
) -> LabelledSequences:
    """Pivot a table (or some of its folds) into constructs with label vectors.

    One construct is a sequence between its flanks: an insert measured by two assays with the
    same flanks is one row with two labels.

    Args:
      table: rows of the assay table; `(sequence, assay)` is unique.
      assays: columns wanted, in order.
      scale: of the training folds, whichever folds `table` holds.
    """
    order = {assay.name: column for column, assay in enumerate(assays)}
    table = table[table["assay"].isin(order)]
    flanks = table["assay"].map(lambda name: "-".join(ASSAY_BY_NAME[name].flanks))
    key = table["sequence"] + ":" + flanks
    row, construct = pd.factorize(key, sort=True)
    column = table["assay"].map(order).to_numpy()
    shape = (len(construct), len(assays))
    activity = np.full(shape, np.nan, dtype=np.float32)
    variance = np.full(shape, np.nan, dtype=np.float32)
    sd = scale.sd[column]
    activity[row, column] = (table["activity"].to_numpy() - scale.mean[column]) / sd
    variance[row, column] = table["variance_shrunk"].to_numpy() / sd**2
    first = table.groupby(row).first()
    oriented = []
    for reverse in (False, True):
        codes = np.empty((len(construct), WINDOW), dtype=np.uint8)
        for flank, rows in first.groupby(first["assay"].map(lambda a: ASSAY_BY_NAME[a].flanks)):
            codes[rows.index.to_numpy()] = window_codes(
                rows["sequence"].tolist(), flank, reverse=reverse
            )
        oriented.append(codes)
    replicated = (
        table.groupby("assay")["noise_sd"]
        .count()
        .reindex([assay.name for assay in assays], fill_value=0)
    )
    return LabelledSequences(
        assays=tuple(assays),
        codes=oriented[0],
        reverse_codes=oriented[1],
        activity=activity,
        variance=variance,
        replicated=(replicated > 0).to_numpy(copy=True),  # torch wants it writable
    )


class EpochBatches(IterableDataset[Batch]):
    """Batches of one epoch after another; each epoch depends on (seed, epoch) alone.

    That is what lets a resumed run see the very batches an undisturbed one would have seen.
    """

    def __init__(
        self, data: LabelledSequences, sampler: Sampler, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.data, self.sampler, self.batch_size, self.seed = data, sampler, batch_size, seed
        self.epoch = 0

    def __len__(self) -> int:
        """Batches an epoch; a last one of fewer than `batch_size` rows is left out."""
        return len(self.data) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        """The batches of `self.epoch`, reverse-complemented with probability 1/2 each row."""
        rng = np.random.default_rng([self.seed, self.epoch])
        order = self.sampler.epoch(len(self.data), self.epoch, rng)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self.data.batch(rows, rng.random(len(rows)) < 0.5)
