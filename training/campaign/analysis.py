"""The campaign's answer: records -> metrics.tsv and analysis.json beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.campaign import floor
from training.campaign.admission import admit, environments, failures, require_whole
from training.campaign.data import campaign_table
from training.campaign.findings import Json, findings
from training.campaign.labels import fold_sizes, held_out
from training.campaign.plan import SUITES, Run, plan
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
    is_partial: bool = False,
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
      is_partial: also while runs are still to be done; the log says how many were.
      progress: called with one line per step.

    Returns:
      The long table and the analysis.

    Raises:
      RecordError: there is no finished run; one learnt from another table; a record is stale or of
        no planned run; or, unless `is_partial`, a planned run has no record yet.
    """
    planned = plan(preset)
    found = admit(read_records(records), planned)
    finished = [record for record in found if record.status == "finished"]
    failed = [record for record in found if record.status == "failed"]
    if not finished:
        raise RecordError(f"{records}: no finished run; `varsigma-train campaign` makes them")
    if not is_partial:
        require_whole(finished, failed, len(planned))
    count = f"{len(finished)} of {len(planned)} runs finished, {len(failed)} failed"
    progress(count)
    of_runs = environments(finished)
    if len(of_runs) > 1:
        progress(f"not one environment: {of_runs}")
    frame = campaign_table(load_table(table))
    digest = table_digest(frame)
    labels = held_out(frame, draws=draws, seed=seed)
    purpose = f"campaign --analyse: {count}; draws {draws}, seed {seed}"
    scored = score(
        finished,
        labels,
        digest=digest,
        data_dir=data_dir,
        draws=draws,
        seed=seed,
        log=log,
        purpose=purpose,
        progress=progress,
    )
    progress(f"fitting the floor, {floor.NAME}")
    regression = floor.fit(frame, data_dir)
    of_floor = floor.judge(
        regression,
        labels,
        preset=preset.name,
        data_dir=data_dir,
        draws=draws,
        seed=seed,
        log=log,
        purpose=purpose,
    )
    progress("comparing arms")
    recipes = campaign(preset) | forms(preset)
    shown = findings(
        scored.arms,
        baseline=BASELINE,
        representatives=REPRESENTATIVES,
        aliases={name: recipe.aliases for name, recipe in recipes.items()},
        seed=seed,
        floor=(floor.NAME, of_floor),
    )
    shown["floor"] |= {"penalties": regression.penalties}
    progress("reading replicates")
    training_rows = split(frame)[0]
    replicates = replicate_values(data_dir)
    analysis = {
        "preset": preset.name,
        "draws": draws,
        "seed": seed,
        "table_digest": digest,
        "code": code_version(),
        "environments": of_runs,
        "counts": _counts(found, planned),
        "failures": failures(failed),
        "folds": fold_sizes(frame),
        **shown,
        "noise_ceiling": ceilings(frame, replicates, draws=draws, seed=seed),
        "pair_weights": pair_weights(recipes.values(), training_rows, seed=seed),
        "batches": batches(recipes.values(), training_rows, seed=seed),
    }
    places = records / METRICS, records / ANALYSIS
    write_table(scored.table, places[0])
    places[1].write_text(to_text(analysis))
    return places


def _counts(found: Sequence[Record], planned: Sequence[Run]) -> Json:
    """{suite: [finished, planned]}, and how many failed."""
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
