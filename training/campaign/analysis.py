"""The campaign's answer: records -> metrics.tsv and analysis.json beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.campaign.data import campaign_table
from training.campaign.findings import Json, findings
from training.campaign.labels import held_out
from training.campaign.plan import SUITES, plan
from training.campaign.reach import batches, ceilings, pair_weights
from training.campaign.records import Record, RecordError, read_records
from training.campaign.scoring import Progress, score, write_table
from training.datasets.table import load_table, table_digest
from training.evaluation.challenge import CHALLENGE_LOG, code_version
from training.evaluation.sigma import replicate_values
from training.trainer import split
from training.zoo import BASELINE, REPRESENTATIVES, Preset, campaign, forms

METRICS, ANALYSIS = "metrics.tsv", "analysis.json"
DRAWS, SEED = 2000, 0
_DIGITS = 5


def analyse(
    preset: Preset,
    *,
    records: Path,
    table: Path,
    data_dir: Path,
    draws: int = DRAWS,
    seed: int = SEED,
    log: Path = CHALLENGE_LOG,
    progress: Progress = lambda message: None,
) -> tuple[Path, Path]:
    """Score every finished run and compare the arms.

    Args:
      preset: which campaign.
      records: folder of its records; both files are written into it.
      table: assay table that the runs learnt from.
      data_dir: folder that holds cagi5/ and mpra/.
      draws: bootstrap resamples.
      seed: of all resamples.
      log: that each run's look at the challenge labels is appended to.
      progress: called with one line per step.

    Returns:
      The long table and the analysis.

    Raises:
      RecordError: there is no finished run, or one learnt from another table.
    """
    found = read_records(records)
    finished = [record for record in found if record.status == "finished"]
    if not finished:
        raise RecordError(f"{records}: no finished run; `varsigma-train campaign` makes them")
    frame = campaign_table(load_table(table))
    digest = table_digest(frame)
    scored = score(
        finished,
        held_out(frame, draws=draws, seed=seed),
        digest=digest,
        data_dir=data_dir,
        draws=draws,
        seed=seed,
        log=log,
        purpose=f"campaign --analyse: draws {draws}, seed {seed}",
        progress=progress,
    )
    progress("comparing arms")
    recipes = campaign(preset) | forms(preset)
    shown = findings(
        scored.arms,
        baseline=BASELINE,
        representatives=REPRESENTATIVES,
        aliases={name: recipe.aliases for name, recipe in recipes.items()},
        seed=seed,
    )
    progress("reading replicates")
    training_rows = split(frame)[0]
    replicates = replicate_values(data_dir)
    analysis = {
        "preset": preset.name,
        "draws": draws,
        "seed": seed,
        "table_digest": digest,
        "code": code_version(),
        "counts": _counts(found, preset),
        **shown,
        "noise_ceiling": ceilings(frame, replicates, draws=draws, seed=seed),
        "pair_weights": pair_weights(recipes.values(), training_rows, seed=seed),
        "batches": batches(recipes.values(), training_rows, seed=seed),
    }
    places = records / METRICS, records / ANALYSIS
    write_table(scored.table, places[0])
    places[1].write_text(to_text(analysis))
    return places


def _counts(found: Sequence[Record], preset: Preset) -> Json:
    """{suite: [finished, planned]}, and how many failed."""
    planned = plan(preset)
    finished = {record.name for record in found if record.status == "finished"}
    counts: Json = {}
    for suite in SUITES:
        names = {run.name for run in planned if run.suite == suite}
        counts[suite] = [len(names & finished), len(names)]
    return counts | {"failed": len(found) - len(finished)}


def to_text(analysis: Mapping[str, Any]) -> str:
    """JSON with one entry of a list per line, numbers to five digits, null for undefined ones."""
    lines = []
    for name, value in analysis.items():
        if isinstance(value, list) and value:
            entries = ",\n  ".join(_dump(entry) for entry in value)
            text = f"[\n  {entries}\n ]"
        else:
            text = _dump(value)
        lines.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _dump(value: object) -> str:
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
    return value
