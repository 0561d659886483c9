"""One recipe, one seed -> one member.

`recipe + seed + table -> averaged weights`. Lightning runs the loop; around it stands what the
study lacked: gradient clipping, averaged weights as the one stopping rule for every arm, an
error instead of a NaN, and epochs that depend on (seed, epoch) alone, so that a run that was
interrupted and resumed ends with the same weights as an undisturbed one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch

from training.architectures.network import NetworkModule
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
from training.distil.places import MEMBER, RUN
from training.fitting import quiet, run_cycles
from training.members import Member, predict_constructs, save_member
from training.recipe import Recipe


class RunError(ValueError):
    """A folder holds a run of another recipe, table, seed or number of threads."""


@dataclass(frozen=True)
class Variation:
    """Training labels that differ from the table's.

    Attributes:
      name: ends the name of the run's folder, and is part of what the folder's run is.
      change: training rows and seed -> the rows to train on.
    """

    name: str
    change: Callable[[LabelledSequences, int], LabelledSequences]


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
    validation_rows = table[table["fold"] == VALIDATION_FOLD]
    validation = labelled_sequences(validation_rows, assays, scale, train.typical)
    return train, validation, scale


def claim(folder: Path, run: Mapping[str, str | int | list[int]]) -> None:
    """Note what a new folder's run is, or make sure that it is the one meant.

    Raises:
      RunError: it is another, or nobody knows which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUN
    if not path.exists():
        if any(folder.iterdir()):
            raise RunError(f"{folder} holds something, but no {RUN} says of which run: remove it")
        path.write_text(json.dumps(run, indent=1) + "\n")
        return
    held = json.loads(path.read_text())
    if changed := [name for name in run if held.get(name) != run[name]]:
        was = ", ".join(f"{name} {held.get(name)} is now {run[name]}" for name in changed)
        raise RunError(f"{folder} holds another run ({was}): remove it or name another folder")


def run_folder(runs: Path, recipe: Recipe, seed: int, variation: Variation | None = None) -> Path:
    """Folder of one run: `RUNS/RECIPE/SEED`, with the variation's name at its end."""
    return runs / recipe.name / f"{seed}{'-' + variation.name if variation else ''}"


def train_member(
    recipe: Recipe,
    seed: int,
    table: pd.DataFrame,
    runs: Path,
    *,
    threads: int = 1,
    progress: bool = True,
    stop_after: int | None = None,
    variation: Variation | None = None,
) -> Path | None:
    """Train one member, resuming from the last finished epoch if its folder holds one.

    Args:
      recipe: what to train.
      seed: of initial weights, order, orientation and dropout. One seed gives one bit-identical
        run on the CPU at a given number of threads.
      table: the assay table with `fold` and `variance_shrunk`.
      runs: folder of all runs. That of this one, `run_folder`, gets a folder per cycle with
        `history.jsonl` and `last.ckpt`, and at the end `member.safetensors`; the first cycle of a
        recipe with a `start` lies in the run of that recipe, and is trained there if need be.
      threads: of torch; part of what makes a run bit-identical.
      progress: show a progress bar.
      stop_after: end after this many epochs of this call, as if interrupted.
      variation: other training labels than the table's.

    Returns:
      The member's file, or None when `stop_after` ended the call first.

    Raises:
      DivergedError: the loss became NaN or infinite.
      RunError: the folder holds another run, or the recipe learns from members.
    """
    if recipe.architecture.needs_teacher:
        raise RunError(f"{recipe.name} learns from members: `varsigma-train distil TEACHER`")
    digest = table_digest(table)
    for claimed in [recipe, *filter(None, [recipe.start])]:
        run = {"fingerprint": claimed.fingerprint, "data_digest": digest}
        run |= {"variation": variation.name} if variation else {}
        claim(run_folder(runs, claimed, seed, variation), {**run, "seed": seed, "threads": threads})
    folder = run_folder(runs, recipe, seed, variation)
    folders = [folder / f"cycle{number}" for number in range(len(recipe.optim.cycles))]
    if recipe.start:
        folders[0] = run_folder(runs, recipe.start, seed, variation) / "cycle0"
    path = folder / MEMBER
    if path.exists():
        return path
    torch.set_num_threads(threads)
    with quiet():
        lightning.seed_everything(seed, verbose=False)
        train, validation, scale = split(table)
        if variation:
            train = variation.change(train, seed)
        optim = recipe.optim
        batches = EpochBatches(
            train,
            recipe.sampler,
            optim.batch_size,
            seed,
            optim.epochs,
            augments=recipe.augments,
        )
        network = run_cycles(
            recipe,
            batches,
            validation,
            folders,
            epochs_left=optim.epochs if stop_after is None else stop_after,
            progress=progress,
        )
    if network is None:
        return None
    member = Member(
        recipe=recipe.name,
        fingerprint=recipe.fingerprint,
        seed=seed,
        data_digest=digest,
        assays=train.assays,
        scale=scale,
        residual_sd=tuple(_residual_sd(network, validation)),
        network=network,
    )
    save_member(member, path)
    return path
