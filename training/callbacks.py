"""What happens around an epoch: the random state it starts from, and the line it leaves."""

from __future__ import annotations

import json
import time
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
    """After each epoch, one JSON line: losses, validation correlation of the averages, seconds."""

    def __init__(self, path: Path, averaging: EMAWeightAveraging, data: LabelledSequences) -> None:
        self.path, self.averaging, self.data = path, averaging, data
        self.begun = 0.0

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Note the time."""
        self.begun = time.monotonic()

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
        row["seconds"] = round(time.monotonic() - self.begun, 2)
        # Rewritten whole: a run killed between this line and its checkpoint repeats the epoch.
        earlier = read_history(self.path)[: trainer.current_epoch]
        partial = self.path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in [*earlier, row]))
        partial.rename(self.path)


def read_history(path: Path) -> list[dict[str, float]]:
    """What `History` wrote of each epoch of a cycle; empty before the first."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]
