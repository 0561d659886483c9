"""What happens around an epoch: the random state it starts from, and the line it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging

from training.architectures.network import NetworkModule
from training.batches import EpochBatches, LabelledSequences
from training.members import predict_constructs


class EpochSeed(Callback):
    """Make batches and dropout of an epoch a function of (seed, epoch)."""

    def __init__(self, batches: EpochBatches, first_epoch: int) -> None:
        self.batches, self.first_epoch = batches, first_epoch

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Set the epoch of the batches and the seed of dropout."""
        epoch = self.first_epoch + trainer.current_epoch
        self.batches.epoch = epoch
        sequence = np.random.SeedSequence([self.batches.seed, epoch])
        torch.manual_seed(int(sequence.generate_state(1)[0]))


class History(Callback):
    """After each epoch: validation correlation of the averaged weights, one JSON line."""

    def __init__(self, path: Path, averaging: EMAWeightAveraging, data: LabelledSequences) -> None:
        self.path, self.averaging, self.data = path, averaging, data

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Append the line."""
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
