"""One recipe, one seed -> one member.

`recipe + seed + table -> averaged weights`. Lightning runs the loop; this module adds what the
study lacked: gradient clipping, averaged weights as the one stopping rule for every arm, an
error instead of a NaN, and epochs that depend on (seed, epoch) alone, so that a run that was
interrupted and resumed ends with the same weights as an undisturbed one.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.utils.data import DataLoader

from training.architectures.network import NetworkModule
from training.assays import Assay
from training.batches import (
    EpochBatches,
    LabelledSequences,
    Scale,
    assays_of,
    labelled_sequences,
    training_scale,
)
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.datasets.table import table_digest
from training.losses import Batch
from training.members import Member, predict_constructs, save_member
from training.recipe import Cycle, Recipe

CHECKPOINT = "last.ckpt"


class DivergedError(RuntimeError):
    """The loss became NaN or infinite: the run is a failure, not a result."""


class _Module(lightning.LightningModule):
    """The network with its loss and optimiser, as Lightning wants it."""

    def __init__(
        self, recipe: Recipe, cycle: Cycle, assays: tuple[Assay, ...], steps_per_epoch: int
    ) -> None:
        super().__init__()
        self.recipe, self.cycle = recipe, cycle
        self.steps = cycle.epochs * steps_per_epoch
        self.network: NetworkModule = recipe.architecture.build(assays)

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        prediction = self.network(batch.codes)
        terms = self.recipe.loss.terms(prediction, batch) | prediction.aux_losses
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            values = {name: value.item() for name, value in terms.items()}
            raise DivergedError(f"the loss is not finite at step {self.global_step}: {values}")
        self.log_dict(terms, on_step=False, on_epoch=True, batch_size=len(batch.codes))
        self.log("loss", loss, prog_bar=True, batch_size=len(batch.codes))
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        cycle = self.cycle
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=cycle.lr, weight_decay=self.recipe.optim.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, cycle.lr, total_steps=self.steps, pct_start=cycle.warmup
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class _EpochSeed(Callback):
    """Make batches and dropout of an epoch a function of (seed, epoch)."""

    def __init__(self, batches: EpochBatches, first_epoch: int) -> None:
        self.batches, self.first_epoch = batches, first_epoch

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        epoch = self.first_epoch + trainer.current_epoch
        self.batches.epoch = epoch
        sequence = np.random.SeedSequence([self.batches.seed, epoch])
        torch.manual_seed(int(sequence.generate_state(1)[0]))


class _History(Callback):
    """After each epoch: validation correlation of the averaged weights, one JSON line."""

    def __init__(self, path: Path, averaging: EMAWeightAveraging, data: LabelledSequences) -> None:
        self.path, self.averaging, self.data = path, averaging, data

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        average = self.averaging._average_model  # the callback offers no public way to it
        if average is None:
            raise RuntimeError("weight averaging has not started")
        network = cast(NetworkModule, average.module.network)
        mu, _ = predict_constructs(network, self.data.codes)
        row: dict[str, float | int] = {"epoch": trainer.current_epoch}
        row |= {name: float(value) for name, value in trainer.callback_metrics.items()}
        for column, assay in enumerate(self.data.assays):
            y = self.data.activity[:, column]
            seen = ~np.isnan(y)
            if seen.sum() > 2:
                row[f"pearson_{assay.name}"] = float(np.corrcoef(mu[seen, column], y[seen])[0, 1])
        with self.path.open("a") as lines:
            lines.write(json.dumps(row) + "\n")


def _residual_sd(member_network: NetworkModule, data: LabelledSequences) -> list[float]:
    """SD of the validation residuals of each assay, standardised scale."""
    mu, _ = predict_constructs(member_network, data.codes)
    return [float(value) for value in np.sqrt(np.nanmean((mu - data.activity) ** 2, axis=0))]


def split(
    table: pd.DataFrame,
) -> tuple[LabelledSequences, LabelledSequences, Scale]:
    """Training and validation constructs of a table, on the training scale."""
    assays = assays_of(table)
    scale = training_scale(table, assays)
    held_out = table["fold"].isin([TEST_FOLD, VALIDATION_FOLD])
    train = labelled_sequences(table[~held_out], assays, scale)
    validation = labelled_sequences(table[table["fold"] == VALIDATION_FOLD], assays, scale)
    return train, validation, scale


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's tips and its quarrels with its own dependencies off the terminal."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            ".*LeafSpec.* is deprecated",
            "Your `IterableDataset` has `__len__` defined",
            "The number of training batches .* is smaller than the logging interval",
            "Experiment logs directory .* exists and is not empty",
            "Checkpoint directory .* exists and is not empty",
        ):
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            logger.setLevel(level)


def _finished(checkpoint: Path) -> tuple[int, dict[str, torch.Tensor]]:
    """Epochs that a checkpoint holds (0 without one) and its averaged weights."""
    if not checkpoint.exists():
        return 0, {}
    # Our own file, written by this trainer: it holds optimiser state, not only tensors.
    held = torch.load(checkpoint, weights_only=False)
    return int(held["epoch"]) + 1, held["state_dict"]


def _fit(
    module: _Module,
    batches: EpochBatches,
    validation: LabelledSequences,
    folder: Path,
    *,
    first_epoch: int,
    until: int,
    progress: bool,
) -> None:
    """Run, or go on with, one cycle up to `until` epochs of it; the result is its checkpoint."""
    checkpoint = folder / CHECKPOINT
    optim = module.recipe.optim
    averaging = EMAWeightAveraging(decay=optim.ema)
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=until,
        gradient_clip_val=optim.clip,
        deterministic=True,
        callbacks=[
            averaging,
            _EpochSeed(batches, first_epoch),
            _History(folder / "history.jsonl", averaging, validation),
            ModelCheckpoint(folder, filename=checkpoint.stem, enable_version_counter=False),
        ],
        logger=CSVLogger(folder, name="", version=""),
        enable_progress_bar=progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(
        module,
        # A generator of its own: creating the iterator would otherwise draw from the global one,
        # at another moment in a resumed run.
        DataLoader(batches, batch_size=None, generator=torch.Generator()),
        ckpt_path=str(checkpoint) if checkpoint.exists() else None,
        weights_only=False,
    )


def _run_cycles(
    recipe: Recipe,
    batches: EpochBatches,
    validation: LabelledSequences,
    folder: Path,
    *,
    epochs_left: int,
    progress: bool,
) -> NetworkModule | None:
    """Run the cycles that are not finished; return the averaged weights of the last.

    None if `epochs_left` ended before the cycles did.
    """
    weights: dict[str, torch.Tensor] = {}
    first_epoch = 0
    for number, cycle in enumerate(recipe.optim.cycles):
        place = folder / f"cycle{number}"
        module = _Module(recipe, cycle, batches.data.assays, len(batches))
        if weights:
            module.load_state_dict(weights)
        finished, _ = _finished(place / CHECKPOINT)
        until = min(cycle.epochs, finished + epochs_left)
        if finished < until:
            place.mkdir(exist_ok=True)
            _fit(
                module,
                batches,
                validation,
                place,
                first_epoch=first_epoch,
                until=until,
                progress=progress,
            )
        if until < cycle.epochs:
            return None
        epochs_left -= until - finished
        first_epoch += cycle.epochs
        # Always by way of the file, so that a resumed run starts the next cycle from the same bits.
        _, weights = _finished(place / CHECKPOINT)
    module.load_state_dict(weights)
    return module.network.eval()


def train_member(
    recipe: Recipe,
    seed: int,
    table: pd.DataFrame,
    folder: Path,
    *,
    threads: int = 1,
    progress: bool = True,
    stop_after: int | None = None,
) -> Path | None:
    """Train one member, resuming from the last finished epoch if the folder holds one.

    Args:
      recipe: what to train.
      seed: of initial weights, order, orientation and dropout. One seed gives one bit-identical
        run on the CPU at a given number of threads.
      table: the assay table with `fold` and `variance_shrunk`.
      folder: of this run: one folder per cycle with `history.jsonl` and `last.ckpt`, and at the
        end `member.safetensors`.
      threads: of torch; two runs of one thread each outpace one run of two.
      progress: show a progress bar.
      stop_after: end after this many epochs of this call, as if interrupted.

    Returns:
      The member's file, or None when `stop_after` ended the call first.

    Raises:
      DivergedError: the loss became NaN or infinite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "member.safetensors"
    if path.exists():
        return path
    torch.set_num_threads(threads)
    with _quiet():
        lightning.seed_everything(seed, verbose=False)
        train, validation, scale = split(table)
        batches = EpochBatches(train, recipe.sampler, recipe.optim.batch_size, seed)
        network = _run_cycles(
            recipe,
            batches,
            validation,
            folder,
            epochs_left=recipe.optim.epochs if stop_after is None else stop_after,
            progress=progress,
        )
    if network is None:
        return None
    member = Member(
        recipe=recipe.name,
        fingerprint=recipe.fingerprint,
        seed=seed,
        data_digest=table_digest(table),
        assays=train.assays,
        scale=scale,
        residual_sd=tuple(_residual_sd(network, validation)),
        network=network,
    )
    save_member(member, path)
    return path
