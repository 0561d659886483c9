"""Stored entries and measurements -> the reports on every lever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from training.ablation.entries import SETS, read_entry, require_alike
from training.ablation.evidence import (
    OWN_HEAD,
    Samples,
    Variants,
    fold_samples,
    folds_of,
    readings,
    variant_samples,
)
from training.ablation.rows import Row, find_row, lay_out
from training.ablation.tables import REPORTED, challenge_report, choice_report
from training.datasets.table import table_digest
from training.evaluation.challenge import (
    CHALLENGE_LOG,
    Run,
    cagi5_variants,
    load_challenge,
    load_release,
)
from training.evaluation.report import Report

CHOICE_FILE, CHALLENGE_FILE = "choice", "challenge"
Progress = Callable[[str], None]


def levers(
    names: Sequence[str],
    *,
    results: Path,
    combined: Mapping[str, Sequence[str]],
    baseline: str,
    table: pd.DataFrame,
    data_dir: Path,
    chosen: str | None = None,
    is_challenge: bool = False,
    draws: int = 1000,
    seed: int = 0,
    log: Path = CHALLENGE_LOG,
    progress: Progress = lambda message: None,
) -> dict[str, Report]:
    """Compare stored entries; a look at the challenge labels is one run in the log.

    Args:
      names: of the entries; the baseline and what is combined are read as well.
      results: folder that they lie in.
      combined: {name: entries whose members it puts together}.
      baseline: entry that the others are compared with.
      table: assay table that all learnt from.
      data_dir: folder that holds cagi5/.
      chosen: row that is to be served: its label, or the name of an entry or a combination.
      is_challenge: whether to look at the challenge labels too.
      draws: bootstrap resamples.
      seed: of the resamples.
      log: file that a look at the challenge labels is appended to.
      progress: called with one line per row.

    Returns:
      {name of its files: report}: `choice`, and `challenge` where it was asked for.

    Raises:
      DataError: an entry is missing, damaged, or not of this table and these CAGI5 files; or there
        is no row like the chosen one.
    """
    parts = [part for some in combined.values() for part in some]
    entries = [read_entry(name, results) for name in dict.fromkeys((baseline, *names, *parts))]
    facts: dict[str, str] = {split: cagi5_variants(data_dir, split)[1] for split in SETS}
    require_alike(entries, {"data_digest": table_digest(table), **facts})
    rows = lay_out(entries, combined, baseline)
    served = None if chosen is None else find_row(rows, chosen)
    found: dict[str, Samples] = {}
    by_reading: dict[str, dict[str, Samples]] = {}
    validation = folds_of(entries[0], table, "validation", draws, seed)
    release = Variants.of(load_release(data_dir), draws, seed)
    for row in rows:
        progress(f"{row.label}: validation fold, release set")
        own = variant_samples(row, "release", release)
        found[row.label] = {**fold_samples(row, "validation", validation), **own}
        if row.is_whole:
            by_reading[row.label] = _by_reading(row, "release", release)
    reports = {
        CHOICE_FILE: choice_report(
            rows, found, by_reading, baseline=baseline, draws=draws, chosen=served
        )
    }
    if is_challenge:
        test = folds_of(entries[0], table, "test", draws, seed)
        told = {row.label: fold_samples(row, "test", test) for row in rows}
        read: dict[str, dict[str, Samples]] = {}
        digests = "".join(sorted(entry.sha256 for entry in entries))
        run = Run(
            model=f"levers: {', '.join(entry.name for entry in entries)}",
            model_sha256=hashlib.sha256(digests.encode()).hexdigest(),
            purpose=f"ablation table: {len(rows)} rows, whole ensembles read in "
            f"{len(readings(entries[0].targets))} ways, draws {draws}, seed {seed}; combined: "
            + (
                "; ".join(f"{name} of {', '.join(parts)}" for name, parts in combined.items())
                or "-"
            ),
        )
        with load_challenge(data_dir, run, log=log) as labels:
            challenge = Variants.of(labels, draws, seed)
            for row in rows:
                progress(f"{row.label}: challenge set")
                told[row.label] |= variant_samples(row, "challenge", challenge)
                run.means |= _logged(row.label, told[row.label])
                if row.is_whole:
                    read[row.label] = _by_reading(row, "challenge", challenge)
                    for way, samples in read[row.label].items():
                        if way != OWN_HEAD:  # as logged above
                            run.means |= _logged(f"{row.label}: {way}", samples)
        reports[CHALLENGE_FILE] = challenge_report(
            rows, told, read, baseline=baseline, draws=draws, chosen=served
        )
    return reports


def _by_reading(row: Row, data: str, measured: Variants) -> dict[str, Samples]:
    """Samples of every way to read the heads."""
    ways = readings(row.parts[0][0].targets)
    return {name: variant_samples(row, data, measured, reading=way) for name, way in ways.items()}


def _logged(label: str, samples: Samples) -> dict[str, float]:
    return {f"{label}, {k.part}, {k.statistic}": samples[k].value for k in REPORTED}


def write_reports(reports: Mapping[str, Report], folder: Path) -> list[Path]:
    """Write each report as Markdown and as JSON; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, report in reports.items():
        value = json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        for suffix, text in (("md", report.to_markdown(1)), ("json", value)):
            path = folder / f"{name}.{suffix}"
            partial = folder / f"{path.name}.partial"
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
            written.append(path)
    return written
