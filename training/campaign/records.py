"""The record of a run: the folder that is committed.

`run -> results/PRESET/RECIPE/SEED/{run.json, history.jsonl, predictions.npz, metrics.json}`.
No measured label is in it. A run that failed leaves `run.json` alone, with its traceback, and
counts as no result.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.campaign.predict import Predictions

FILES = ("run.json", "history.jsonl", "predictions.npz", "metrics.json")
# Half precision where its 11 bits are finer than what is said with the numbers.
_STORED_AS = {"test_mu": np.float32, "validation_mu": np.float32}


class RecordError(ValueError):
    """A record that is incomplete or of another run."""


@dataclass(frozen=True, slots=True)
class Record:
    """One run that left a record.

    Attributes:
      folder: where.
      run: `run.json`: recipe, seed, suite, level, data, environment, status.
    """

    folder: Path
    run: dict[str, Any]

    @property
    def name(self) -> str:
        """`RECIPE/SEED[-noiseLEVEL]`."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def status(self) -> Literal["finished", "failed"]:
        """A failed run is no result."""
        return "finished" if self.run["status"] == "finished" else "failed"

    def predictions(self) -> Predictions:
        """What the run predicted, all float32."""
        with np.load(self.folder / "predictions.npz", allow_pickle=False) as held:
            arrays: dict[str, NDArray[np.float32] | None] = {
                name: held[name].astype(np.float32) if name in held else None
                for name in Predictions.__dataclass_fields__
            }
        return Predictions(**arrays)  # type: ignore[arg-type] # None only where it may be

    def history(self) -> list[dict[str, float]]:
        """One line of losses and validation correlations per epoch."""
        text = (self.folder / "history.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]


def write_record(
    folder: Path,
    run: Mapping[str, Any],
    *,
    history: Iterable[Mapping[str, float]] = (),
    predictions: Predictions | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write a record by rename, so that a folder that exists is whole; an older one goes.

    Args:
      folder: RESULTS/PRESET/RECIPE/SEED[-noiseLEVEL].
      run: facts, among them `status`.
      history: one mapping per epoch.
      predictions: what it predicted; None if it failed.
      metrics: held-out accuracy.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    (partial / "run.json").write_text(json.dumps(run, indent=1) + "\n")
    if predictions is not None:
        arrays = {name: getattr(predictions, name) for name in Predictions.__dataclass_fields__}
        np.savez_compressed(
            partial / "predictions.npz",
            **{
                name: values.astype(_STORED_AS.get(name, np.float16))
                for name, values in arrays.items()
                if values is not None
            },
        )
        lines = (json.dumps(_rounded(line)) + "\n" for line in history)
        (partial / "history.jsonl").write_text("".join(lines))
        (partial / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def _rounded(line: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in line.items()}


def read_record(folder: Path) -> Record | None:
    """The record of a run, or None where there is none yet.

    Raises:
      RecordError: it says that it is finished and lacks a file.
    """
    if not (folder / "run.json").is_file():
        return None
    record = Record(folder, json.loads((folder / "run.json").read_text()))
    missing = [name for name in FILES if not (folder / name).is_file()]
    if record.status == "finished" and missing:
        raise RecordError(f"{folder}: finished, but without {', '.join(missing)}: remove it")
    return record


def read_records(results: Path) -> list[Record]:
    """Every record below `results/PRESET`, failed ones among them, by name."""
    folders = sorted(path.parent for path in results.glob("*/*/run.json"))
    records = [read_record(folder) for folder in folders if not folder.name.startswith(".")]
    return [record for record in records if record is not None]
