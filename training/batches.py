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

from service.sequence import UNKNOWN
from training.assays import ASSAY_BY_NAME, ASSAYS, WINDOW, Assay, window_codes
from training.augment import Augment
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.losses.base import Batch
from training.samplers.base import Labels, Sampler


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
      inserts: (n, 2) where the insert starts and ends in both, 0-based half-open.
      activity: (n, A) float32, NaN where not measured.
      variance: (n, A) float32 shrunk replicate variance, NaN where not measured.
      typical: (A,) float32 median variance of the assay in the training folds, NaN where no
        replicates tell.
      sd: (A,) float32 log2 units in one standardised unit.
      replicated: (A,) True for assays with replicates.
    """

    assays: tuple[Assay, ...]
    codes: NDArray[np.uint8]
    reverse_codes: NDArray[np.uint8]
    inserts: NDArray[np.int64]
    activity: NDArray[np.float32]
    variance: NDArray[np.float32]
    typical: NDArray[np.float32]
    sd: NDArray[np.float32]
    replicated: NDArray[np.bool_]

    @property
    def noise(self) -> NDArray[np.float32]:
        """(n, A) variance over what is typical of its assay, NaN where not measured."""
        return _relative(self.variance, self.typical)

    def __len__(self) -> int:
        """Number of constructs n."""
        return len(self.codes)

    def oriented(self, rows: NDArray[np.int64], reverse: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """(m, 230) codes of m rows, those marked `reverse` in the other orientation."""
        return np.where(reverse[:, None], self.reverse_codes[rows], self.codes[rows])

    def batch(
        self,
        rows: NDArray[np.int64],
        reverse: NDArray[np.bool_],
        progress: float = 0.0,
        codes: NDArray[np.uint8] | None = None,
    ) -> Batch:
        """The rows as one batch; with these codes, or those of the constructs so `oriented`."""
        return Batch(
            codes=torch.from_numpy(self.oriented(rows, reverse) if codes is None else codes),
            activity=torch.from_numpy(self.activity[rows]),
            variance=torch.from_numpy(self.variance[rows]),
            noise=torch.from_numpy(_relative(self.variance[rows], self.typical)),
            sd=torch.from_numpy(self.sd),
            replicated=torch.from_numpy(self.replicated),
            progress=torch.tensor(progress, dtype=torch.float32),
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


def _relative(variance: NDArray[np.float32], typical: NDArray[np.float32]) -> NDArray[np.float32]:
    # Where half of an assay's variances are 0, none is typical: NaN or infinite, no warning.
    with np.errstate(divide="ignore", invalid="ignore"):
        relative: NDArray[np.float32] = variance / typical
    return relative


def typical_variance(variance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of each assay's known variances: (n, A) -> (A,), NaN where none is known."""
    known = ~np.isnan(variance)
    return np.array(
        [np.median(v[k]) if k.any() else np.nan for v, k in zip(variance.T, known.T, strict=True)],
        dtype=np.float32,
    )


def training_scale(table: pd.DataFrame, assays: Sequence[Assay]) -> Scale:
    """Mean and SD of each assay's activities in the training folds."""
    train = table[~table["fold"].isin([TEST_FOLD, VALIDATION_FOLD])]
    grouped = train.groupby("assay")["activity"].agg(["mean", "std"])
    grouped = grouped.loc[[assay.name for assay in assays]]
    return Scale(grouped["mean"].to_numpy(np.float64), grouped["std"].to_numpy(np.float64))


def construct_index(table: pd.DataFrame) -> tuple[NDArray[np.int64], int]:
    """Number the distinct constructs of a table: (each row's construct, how many there are)."""
    flanks = table["assay"].map(lambda name: "-".join(ASSAY_BY_NAME[name].flanks))
    row, construct = pd.factorize(table["sequence"] + ":" + flanks, sort=True)
    return row.astype(np.int64), len(construct)


def insert_spans(lengths: Sequence[int], flanks: tuple[str, str]) -> NDArray[np.int64]:
    """Where inserts stand in the window: n lengths -> (n, 2) start and end, 0-based half-open."""
    distinct, number = np.unique(np.asarray(lengths, dtype=np.int64), return_inverse=True)
    # Seen in a construct of nothing but its insert: `window_codes` alone decides where that lies.
    left, right = ("N" * len(flank) for flank in flanks)
    is_insert = window_codes(["A" * int(n) for n in distinct], (left, right)) != UNKNOWN
    start = is_insert.argmax(axis=1)
    spans: NDArray[np.int64] = np.stack([start, start + distinct], axis=1)[number]
    return spans


def labelled_sequences(
    table: pd.DataFrame,
    assays: Sequence[Assay],
    scale: Scale,
    typical: NDArray[np.float32] | None = None,
) -> LabelledSequences:
    """Pivot a table (or some of its folds) into constructs with label vectors.

    One construct is a sequence between its flanks: an insert measured by two assays with the
    same flanks is one row with two labels.

    Args:
      table: rows of the assay table; `(sequence, assay)` is unique.
      assays: columns wanted, in order.
      scale: of the training folds, whichever folds `table` holds.
      typical: (A,) median variances of the training folds on the standardised scale; None takes
        those of `table`.
    """
    order = {assay.name: column for column, assay in enumerate(assays)}
    table = table[table["assay"].isin(order)]
    row, n_constructs = construct_index(table)
    column = table["assay"].map(order).to_numpy()
    shape = (n_constructs, len(assays))
    activity = np.full(shape, np.nan, dtype=np.float32)
    variance = np.full(shape, np.nan, dtype=np.float32)
    sd = scale.sd[column]
    activity[row, column] = (table["activity"].to_numpy() - scale.mean[column]) / sd
    variance[row, column] = table["variance_shrunk"].to_numpy() / sd**2
    first = table.groupby(row).first()
    oriented = []
    inserts = np.empty((n_constructs, 2), dtype=np.int64)
    for reverse in (False, True):
        codes = np.empty((n_constructs, WINDOW), dtype=np.uint8)
        for flank, rows in first.groupby(first["assay"].map(lambda a: ASSAY_BY_NAME[a].flanks)):
            at, sequences = rows.index.to_numpy(), rows["sequence"].tolist()
            codes[at] = window_codes(sequences, flank, reverse=reverse)
            inserts[at] = insert_spans([len(sequence) for sequence in sequences], flank)
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
        inserts=inserts,
        activity=activity,
        variance=variance,
        typical=typical_variance(variance) if typical is None else typical,
        sd=scale.sd.astype(np.float32),
        replicated=(replicated > 0).to_numpy(copy=True),  # torch wants it writable
    )


class EpochBatches(IterableDataset[Batch]):
    """Batches of one epoch after another; each epoch depends on (seed, epoch) alone.

    That is what lets a resumed run see the very batches an undisturbed one would have seen.

    Args:
      data: rows to draw from.
      sampler: which of them make an epoch.
      batch_size: rows a batch.
      seed: of order, orientation and augmentation.
      epochs: of the whole run, which `progress` is a share of.
      augments: what each epoch is augmented with; epochs beyond them are not.

    Raises:
      ValueError: the rows are fewer than a batch.
    """

    def __init__(
        self,
        data: LabelledSequences,
        sampler: Sampler,
        batch_size: int,
        seed: int,
        epochs: int = 1,
        *,
        augments: Sequence[Augment | None] = (),
    ) -> None:
        super().__init__()
        if len(data) < batch_size:
            raise ValueError(
                f"{len(data)} training sequences are fewer than a batch of {batch_size}: give the "
                "recipe a smaller batch_size"
            )
        self.data, self.sampler, self.batch_size, self.seed = data, sampler, batch_size, seed
        self.epochs, self.epoch = epochs, 0
        self.augments = tuple(augments)
        self.labels = Labels(data.activity, data.noise)

    def __len__(self) -> int:
        """Batches an epoch; a last one of fewer than `batch_size` rows is left out."""
        return len(self.data) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        """The batches of `self.epoch`, reverse-complemented with probability 1/2 each row."""
        rng = np.random.default_rng([self.seed, self.epoch])
        # A generator of its own: with and without changes, the same rows come the same way round.
        changes = np.random.default_rng([self.seed, self.epoch, 1])
        augment = self.augments[self.epoch] if self.epoch < len(self.augments) else None
        progress = self.epoch / self.epochs
        order = self.sampler.epoch(
            self.labels, batch_size=self.batch_size, progress=progress, rng=rng
        )
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            rows = order[start : start + self.batch_size]
            reverse = rng.random(len(rows)) < 0.5
            codes = None
            if augment:
                inserts = self.data.inserts[rows]
                codes = augment.apply(self.data.oriented(rows, reverse), inserts, changes)
            yield self.data.batch(rows, reverse, progress, codes)
