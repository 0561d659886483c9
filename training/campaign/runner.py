"""The runner: planned runs -> records, in lanes, as often interrupted as need be.

`run -> train_member -> predictions -> record`. What is recorded is not run again; what was begun
goes on from its last finished epoch.
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from training.architectures.heads import Heads
from training.architectures.trunks import Trunk
from training.callbacks import read_history
from training.campaign.data import HELD_OUT, campaign_table, held_out_rows
from training.campaign.lanes import Outcome, Work, run_in_lanes
from training.campaign.plan import Run
from training.campaign.predict import Predictions, predict, read_variants
from training.campaign.records import RecordError, read_record, write_record
from training.datasets.table import load_table, table_digest
from training.evaluation.challenge import code_version
from training.evaluation.metrics import pearson, spearman
from training.losses.base import Loss
from training.members import Member, load_member
from training.recipe import Optim
from training.samplers import Sampler
from training.trainer import run_folder, train_member


@dataclass(frozen=True)
class Places:
    """Where a campaign reads and writes.

    Attributes:
      table: the assay table.
      data: folder that holds cagi5/.
      runs: folder of checkpoints and members, RUNS/RECIPE/SEED; not committed.
      records: folder of records, RECORDS/RECIPE/SEED; committed.
      threads: of torch, in each lane.
    """

    table: Path
    data: Path
    runs: Path
    records: Path
    threads: int = 1


def pending(runs: Sequence[Run], records: Path, *, is_retrying: bool = False) -> list[Run]:
    """Runs without a record; with `is_retrying` also those that failed.

    Raises:
      RecordError: a record is of another recipe than its name says today.
    """
    left = []
    for run in runs:
        record = read_record(records / run.name)
        if record is not None and record.run["fingerprint"] != run.recipe.fingerprint:
            raise RecordError(
                f"{record.folder} is of {record.run['fingerprint']}, but {run.recipe.name} is now "
                f"{run.recipe.fingerprint}: remove the record or restore the recipe"
            )
        if record is None or (is_retrying and record.status == "failed"):
            left.append(run)
    return left


def run_campaign(
    runs: Sequence[Run],
    places: Places,
    *,
    n_lanes: int = 2,
    on_done: Callable[[Outcome, int, float], None] = lambda outcome, left, seconds: None,
) -> None:
    """Do runs and record each; a failed one is recorded as failed, and the others go on.

    Args:
      runs: to do, see `pending`.
      places: where.
      n_lanes: worker processes.
      on_done: called with each outcome, how many runs are left, and the seconds since the start.

    Raises:
      RecordError: another process runs this campaign.
      DataError: the table or a file of CAGI5 is missing or altered.
    """
    begun = time.monotonic()
    # A missing file would otherwise end lane after lane, and be recorded as a failure of each run.
    start(places)
    read_variants(places.data)
    with _alone(places.runs):
        outcomes = run_in_lanes(runs, partial(start, places), min(n_lanes, len(runs)))
        for number, outcome in enumerate(outcomes, start=1):
            if outcome.error is not None:
                facts = {"status": "failed", "traceback": outcome.error}
                write_record(places.records / outcome.run.name, _identity(outcome.run) | facts)
            on_done(outcome, len(runs) - number, time.monotonic() - begun)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder of runs; two campaigns in it would write into the same checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "campaign.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(f"another campaign is running in {folder}") from None
        yield


def start(places: Places) -> Work:
    """Read what all runs share; returns what does one of them."""
    table = campaign_table(load_table(places.table))
    return partial(execute, places=places, table=table, digest=table_digest(table))


def execute(run: Run, *, places: Places, table: pd.DataFrame, digest: str) -> None:
    """Train, predict and record one run.

    Args:
      run: which.
      places: where.
      table: `campaign_table`.
      digest: of it.
    """
    # Also where training is over: the last bits of a prediction depend on it.
    torch.set_num_threads(places.threads)
    begun = time.monotonic()
    variation = run.injection.variation if run.injection else None
    path = train_member(
        run.recipe,
        run.seed,
        table,
        places.runs,
        threads=places.threads,
        progress=False,
        variation=variation,
    )
    assert path is not None  # no stop was asked for
    member = load_member(path, {run.recipe.name: run.recipe})
    folder = run_folder(places.runs, run.recipe, run.seed, variation)
    history = _history(folder)
    trained = time.monotonic()
    predictions, slopes = predict(member, table, read_variants(places.data))
    predicted = time.monotonic()
    facts = {
        "status": "finished",
        "table_digest": digest,
        "assays": [assay.name for assay in member.assays],
        "mean": _rounded(member.scale.mean),
        "sd": _rounded(member.scale.sd),
        "slopes": _rounded(slopes),
        "n_parameters": sum(p.numel() for p in member.network.parameters()),
        "epochs": len(history),
        "seconds": round(sum(line["seconds"] for line in history) + predicted - trained, 1),
        "seconds_predicting": round(predicted - trained, 1),
        "seconds_last_call": round(predicted - begun, 1),
        "environment": _environment(places.threads),
    }
    write_record(
        places.records / run.name,
        _identity(run) | facts,
        history=history,
        predictions=predictions,
        metrics=_accuracy(predictions, table, member),
    )
    for checkpoint in folder.glob("cycle*/*.ckpt"):
        checkpoint.unlink()  # the member is kept; hundreds of optimiser states need not be


def _identity(run: Run) -> dict[str, Any]:
    """Which run a record is of, and all of its recipe."""
    recipe = run.recipe
    parts: dict[str, Trunk | Heads | Loss | Sampler | Optim] = {
        "trunk": recipe.architecture.trunk,
        "heads": recipe.architecture.heads,
        "loss": recipe.loss,
        "sampler": recipe.sampler,
        "optim": recipe.optim,
    }
    aliases = dict(zip(map(str, recipe.seeds), recipe.aliases, strict=False))
    return {
        "recipe": recipe.name,
        "fingerprint": recipe.fingerprint,
        "family": recipe.family,
        "alias": aliases.get(str(run.seed)) if not run.level else None,
        "seed": run.seed,
        "suite": run.suite,
        "level": run.level,
        "spec": {name: [type(part).__name__, asdict(part)] for name, part in parts.items()},
    }


def _history(folder: Path) -> list[dict[str, float]]:
    """Epochs of all cycles, numbered through, with the mean validation correlation of each."""
    lines: list[dict[str, float]] = []
    for cycle in sorted(folder.glob("cycle*")):
        for line in read_history(cycle / "history.jsonl"):
            of_assays = [value for name, value in line.items() if name.startswith("pearson_")]
            lines.append(line | {"epoch": len(lines), "pearson": float(np.mean(of_assays))})
    return lines


def _accuracy(predictions: Predictions, table: pd.DataFrame, member: Member) -> dict[str, Any]:
    """Correlations of both held-out folds, per assay and their mean."""
    found: dict[str, Any] = {}
    for split in HELD_OUT:
        rows = held_out_rows(table, split)
        mu = getattr(predictions, f"{split}_mu")
        for name, statistic in {"pearson": pearson, "spearman": spearman}.items():
            values = {}
            for assay in member.assays:
                of_assay = (rows["assay"] == assay.name).to_numpy()
                activity = rows["activity"].to_numpy()[of_assay]
                values[assay.name] = round(float(statistic(mu[of_assay], activity)), 5)
            found[f"{split}_{name}"] = values | {
                "mean": round(float(np.mean([*values.values()])), 5)
            }
    return found


def _environment(threads: int) -> dict[str, Any]:
    packages = ("torch", "lightning", "numpy", "pandas", "scipy")
    cpuinfo = Path("/proc/cpuinfo")
    lines: list[str] = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "code": code_version(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
    }


def _rounded(values: NDArray[np.floating[Any]]) -> list[float]:
    return [float(f"{value:.7g}") for value in values]
