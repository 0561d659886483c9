"""Records -> one long table of metrics, and the arms that are compared.

Each run's look at the challenge labels is a line in the committed log. A failed run has no
predictions and never gets here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from training.campaign.arms import Arm
from training.campaign.labels import HeldOut, Variants, variants
from training.campaign.metrics import (
    ALONE,
    CAGI5,
    MEAN,
    Measure,
    Samples,
    challenge_metrics,
    held_out_metrics,
)
from training.campaign.records import Record, RecordError
from training.datasets.cagi5 import GROUPS, K562_MATCHED
from training.datasets.sources import file_digest
from training.evaluation.challenge import Run, load_challenge

COLUMNS = (
    "run",
    "family",
    "seed",
    "arm",
    "suite",
    "level",
    "split",
    "metric",
    "element",
    "value",
    "ci_low",
    "ci_high",
)
RUN = "run"
"""Split and element of what is true of a run and not of its predictions."""
_LOGGED = tuple(
    Measure(CAGI5, metric, group) for group in GROUPS for metric in ("spearman", "pearson")
)
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """All finished runs, scored.

    Attributes:
      table: one row per run and metric, columns `COLUMNS`; NaN where undefined.
      arms: each recipe at each level of noise, by name and level.
    """

    table: pd.DataFrame
    arms: tuple[Arm, ...]


def score(
    records: Sequence[Record],
    held_out: HeldOut,
    *,
    digest: str,
    data_dir: Path,
    draws: int,
    seed: int,
    log: Path,
    purpose: str,
    progress: Progress = lambda message: None,
) -> Scored:
    """Score runs on the test fold and on the CAGI5 challenge set.

    Args:
      records: of finished runs.
      held_out: labels of the campaign's table.
      digest: of that table.
      data_dir: folder that holds cagi5/.
      draws: bootstrap resamples of positions.
      seed: of the resamples.
      log: that each run's look at the challenge labels is appended to.
      purpose: as it stands in the log.
      progress: called with one line per run.

    Raises:
      RecordError: a run learnt from another table, or two records are of one run.
    """
    rows: list[tuple[str | int | float, ...]] = []
    arms: list[Arm] = []
    ready: Variants | None = None
    done = 0
    for of_arm in _by_arm(records):
        runs: dict[int, Samples] = {}
        for record in of_arm:
            if record.run["table_digest"] != digest:
                raise RecordError(f"{record.name}: learnt from another table: train it again")
            done += 1
            progress(f"{done} of {len(records)}: {record.name}")
            predictions = record.predictions()
            look = Run(
                model=f"campaign/{record.folder.parents[1].name}/{record.name}",
                model_sha256=file_digest(record.folder / "predictions.npz"),
                purpose=purpose,
            )
            with load_challenge(data_dir, look, log=log) as table:
                if ready is None:
                    ready = variants(table, draws=draws, seed=seed)
                samples = held_out_metrics(predictions, held_out)
                samples |= challenge_metrics(predictions, ready)
                look.means |= {f"{m.element}, {m.metric}": samples[m].value for m in _LOGGED}
            rows += _rows(record, samples)
            runs[record.run["seed"]] = samples
        first = of_arm[0].run
        if len(runs) != len(of_arm):
            raise RecordError(f"{first['recipe']}: two records of one seed")
        arms.append(Arm.of(first["recipe"], first["family"], float(first["level"]), runs))
    return Scored(table=pd.DataFrame(rows, columns=[*COLUMNS]), arms=tuple(arms))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write the long table as TSV; an undefined number is an empty cell."""
    table.to_csv(path, sep="\t", index=False, float_format="%.5g", lineterminator="\n")


def is_headline(measure: Measure) -> bool:
    """Whether a measure is a mean over assays or elements, or one of the study's four elements."""
    return measure.element in {MEAN, *GROUPS, *K562_MATCHED}


def _by_arm(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Records of each recipe and level, by seed."""
    keyed: dict[tuple[str, float], list[Record]] = {}
    for record in records:
        keyed.setdefault((record.run["recipe"], float(record.run["level"])), []).append(record)
    for key in sorted(keyed):
        yield sorted(keyed[key], key=lambda record: int(record.run["seed"]))


def _rows(record: Record, samples: Samples) -> Iterator[tuple[str | int | float, ...]]:
    """One run's rows; of a strand alone and of noisier labels only what is_headline says."""
    run = record.run
    level = float(run["level"])
    key = (record.name, run["family"], run["seed"], run["recipe"], run["suite"], level)
    for name, value in _facts(record).items():
        yield (*key, RUN, name, RUN, value, np.nan, np.nan)
    for measure, sample in samples.items():
        if (level or measure.split in ALONE) and not is_headline(measure):
            continue
        found = sample.estimate
        yield (*key, *measure, found.value, found.low, found.high)


def _facts(record: Record) -> dict[str, float]:
    """Size, time, and what the history says of the epochs before the last, which is kept."""
    run, history = record.run, record.history()
    validation = np.array([line["pearson"] for line in history])
    # A run whose output is constant correlates with nothing: it has no best epoch.
    seen = np.flatnonzero(np.isfinite(validation))
    best = seen[validation[seen].argmax()] if seen.size else None
    return {
        "epochs": float(run["epochs"]),
        "seconds": float(run["seconds"]),
        "parameters": float(run["n_parameters"]),
        "best_epoch": np.nan if best is None else float(best) + 1,
        "best_validation": np.nan if best is None else float(validation[best]),
        "last_validation": float(validation[-1]),
    }
