"""The release set: what each stored network makes of the CAGI5 variants that are free to read.

`members + release labels -> release.tsv`. Two readings of a variant, all assays and the assays of
its cell type, side by side: arms are compared by the first, a choice made here. The variants are
other ones of the same elements as the challenge set's, so a difference that luck brought there has
no reason to come again here. Weights are not committed, so the file keeps what they said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from training.campaign.plan import Run
from training.campaign.predict import Floats, cagi5_effects, variants_of
from training.campaign.records import RecordError, read_record
from training.datasets.cagi5 import ELEMENTS, GROUPS
from training.datasets.sources import file_digest
from training.evaluation.challenge import load_release
from training.evaluation.metrics import spearman
from training.members import load_member

RELEASE_TABLE = "release.tsv"
READINGS = ("all_assays", "cell_type")
COLUMNS = ("run", "arm", "seed", "level", "member", "element", *READINGS)
PRIMARY = next(iter(GROUPS))
"""The study's four elements."""


def score_release(
    planned: Iterable[Run],
    *,
    records: Path,
    runs: Path,
    data_dir: Path,
    progress: Callable[[str], None] = lambda message: None,
) -> Path:
    """Score every finished run whose member is stored and is not in the table yet.

    Args:
      planned: the whole plan.
      records: folder of records; the table is written into it, anew after each run.
      runs: folder of members, RUNS/RECIPE/SEED.
      data_dir: folder that holds cagi5/.
      progress: called with one line per run.

    Returns:
      The table: columns `COLUMNS`, Spearman by element and mean over each group of elements.

    Raises:
      RecordError: a record is stale; no member is stored and there is no table.
    """
    place = records / RELEASE_TABLE
    finished = _finished(planned, records)
    stored = read_release(place)
    known = {run.name: part for run in finished if len(part := stored[stored["run"] == run.name])}
    labels = load_release(data_dir)
    variants = variants_of(labels, data_dir)
    for run, slopes in finished.items():
        path = runs / run.name / "member.safetensors"
        if not path.is_file():
            continue  # what it said before stands
        digest = file_digest(path)[:12]
        if run.name in known and (known[run.name]["member"] == digest).all():
            continue
        member = load_member(path, {run.recipe.name: run.recipe})
        plus, minus, cell = cagi5_effects(member, variants, slopes)
        both: Floats = ((plus + minus) / 2).astype(np.float32)
        found = _by_element(dict(zip(READINGS, (both, cell), strict=True)), labels)
        known[run.name] = found.assign(
            run=run.name, arm=run.recipe.name, seed=run.seed, level=run.level, member=digest
        )[[*COLUMNS]]
        _write([known[run.name] for run in finished if run.name in known], place)
        progress(f"{run.name}: {found[READINGS[0]].iloc[len(ELEMENTS)]:.3f} over {PRIMARY}")
    if not known:
        raise RecordError(f"{runs}: no member of a finished run, so nothing to score")
    _write([known[run.name] for run in finished if run.name in known], place)
    return place


def _finished(planned: Iterable[Run], records: Path) -> dict[Run, Floats]:
    """Finished runs, and the slopes by which their assays were weighed."""
    found: dict[Run, Floats] = {}
    for run in planned:
        record = read_record(records / run.name)
        if record is not None and record.status == "finished":
            if record.run["fingerprint"] != run.recipe.fingerprint:
                raise RecordError(f"{record.name} is stale: its recipe has changed")
            found[run] = np.array(record.run["slopes"], np.float32)
    return found


def _write(parts: list[pd.DataFrame], path: Path) -> None:
    partial = path.with_suffix(".partial")
    table = pd.concat(parts, ignore_index=True)
    table.to_csv(partial, sep="\t", index=False, float_format="%.5g", lineterminator="\n")
    partial.rename(path)


def read_release(path: Path) -> pd.DataFrame:
    """The table as it was written; no rows where there is none."""
    if not path.is_file():
        return pd.DataFrame(columns=[*COLUMNS])
    return pd.read_csv(path, sep="\t", dtype={"member": str}, keep_default_na=False, na_values=[""])


def _by_element(effects: Mapping[str, Floats], labels: pd.DataFrame) -> pd.DataFrame:
    """Spearman of each reading on each element, then its mean over each group."""
    elements, values = labels["element"].to_numpy(str), labels["value"].to_numpy(np.float64)
    columns = {}
    for name, effect in effects.items():
        of = {e: spearman(effect[elements == e], values[elements == e]) for e in ELEMENTS}
        means = [np.mean([of[e] for e in members]) for members in GROUPS.values()]
        columns[name] = [*of.values(), *means]
    return pd.DataFrame({"element": [*ELEMENTS, *GROUPS]} | columns)
