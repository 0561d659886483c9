"""The loop around a network: steps, schedule, averaged weights, epochs that can be resumed.

`recipe + batches -> averaged weights`. Lightning runs it; every cycle of a recipe has a folder
with its checkpoint and its history.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.utils.data import DataLoader

from training.architectures.network import NetworkModule
from training.assays import Assay
from training.batches import EpochBatches, LabelledSequences
from training.callbacks import EpochSeed, History
from training.losses.base import Batch
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
        recipe.architecture.initialise(self.network)

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        prediction = self.network(batch.codes).in_single_precision()
        # Lightning rounds whatever is computed in a step, products in a loss as well.
        with torch.autocast(self.device.type, enabled=False):
            terms = self.recipe.loss.terms(prediction, batch) | prediction.aux_losses
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            values = {name: value.item() for name, value in terms.items()}
            raise DivergedError(f"the loss is not finite at step {self.global_step}: {values}")
        self.log_dict(terms, on_step=False, on_epoch=True, batch_size=len(batch.codes))
        self.log(
            "loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch.codes)
        )
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


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's tips and its quarrels with its own dependencies off the terminal."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            ".*LeafSpec.* is deprecated",
            "Your `IterableDataset` has `__len__` defined",
            "The number of training batches .* is smaller than the logging interval",
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
        precision=optim.precision,
        deterministic=True,
        callbacks=[
            averaging,
            EpochSeed(batches, first_epoch),
            History(folder / "history.jsonl", averaging, validation),
            ModelCheckpoint(folder, filename=checkpoint.stem, enable_version_counter=False),
        ],
        logger=False,  # History writes what there is to say
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


def run_cycles(
    recipe: Recipe,
    batches: EpochBatches,
    validation: LabelledSequences,
    folders: Sequence[Path],
    *,
    epochs_left: int,
    progress: bool,
    trunk: Mapping[str, torch.Tensor] | None = None,
) -> NetworkModule | None:
    """Run the cycles that are not finished, each in its folder; return the last averaged weights.

    None if `epochs_left` ended before the cycles did. With `trunk`, the state of another network's
    trunk, the first cycle starts from that.
    """
    weights = {f"network.trunk.{name}": value for name, value in (trunk or {}).items()}
    first_epoch = 0
    for number, (cycle, place) in enumerate(zip(recipe.optim.cycles, folders, strict=True)):
        trained = recipe.start if number == 0 and recipe.start else recipe
        torch.manual_seed(batches.seed)  # the same trunk whatever the heads
        module = _Module(trained, cycle, batches.data.assays, len(batches))
        if weights:
            _take_over(module, weights)
        finished, _ = _finished(place / CHECKPOINT)
        until = min(cycle.epochs, finished + epochs_left)
        if finished < until:
            place.mkdir(parents=True, exist_ok=True)
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
    fresh = {name: value.clone() for name, value in module.network.state_dict().items()}
    module.load_state_dict(weights)
    check_indices(fresh, module.network.state_dict())
    return module.network.eval()


def _take_over(module: _Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Load weights of an earlier cycle or of another's trunk; heads these lack stay fresh.

    Raises:
      RuntimeError: anything else is missing, or something has no place.
    """
    missing, unexpected = module.load_state_dict(weights, strict=False)
    if unexpected or any(not name.startswith("network.heads.") for name in missing):
        raise RuntimeError(f"weights do not fit: missing {missing}, without a place {unexpected}")


def check_indices(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> None:
    """Averaging passes through floating point and truncates: an index must have survived it.

    Raises:
      RuntimeError: an integer buffer other than a batch counter has changed.
    """
    for name, value in before.items():
        counts = name.endswith("num_batches_tracked")
        if not (value.is_floating_point() or counts or torch.equal(value, after[name])):
            raise RuntimeError(f"weight averaging changed the indices {name}; choose another ema")
