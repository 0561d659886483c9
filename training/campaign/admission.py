"""Which records count: one of a planned run, of its recipe as it is today, or none at all.

`records + plan -> the records, or an error that names what does not belong`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.campaign.plan import Run
from training.campaign.records import Record, RecordError


def admit(records: Iterable[Record], planned: Iterable[Run]) -> list[Record]:
    """Let through the records of planned runs.

    An analysis counts what it is given, so a record that `--status` would not count must not reach
    it: one of a recipe that has changed, of a run that is in no plan, or under another run's name.

    Raises:
      RecordError: names every record that does not belong, and why.
    """
    runs = {run.name: run for run in planned}
    admitted, wrong = [], []
    for record in records:
        run = runs.get(record.name)
        if run is None:
            wrong.append(f"{record.name} is in no plan")
        elif _identity(record.run) != (run.recipe.name, run.seed, run.level):
            wrong.append(f"{record.name} says that it is of another run")
        elif record.run.get("fingerprint") != run.recipe.fingerprint:
            wrong.append(
                f"{record.name} is of {record.run.get('fingerprint')}, its recipe is now "
                f"{run.recipe.fingerprint}"
            )
        else:
            admitted.append(record)
    if wrong:
        raise RecordError(f"remove these records or restore their recipes: {'; '.join(wrong)}")
    return admitted


def require_whole(finished: Sequence[Record], failed: Sequence[Record], planned: int) -> None:
    """Refuse a campaign with runs left to do: challenge labels are not for choosing what to run.

    Raises:
      RecordError: not every planned run has a record.
    """
    if left := planned - len(finished) - len(failed):
        raise RecordError(
            f"{left} of {planned} planned runs have no record yet. The challenge set is for "
            "reporting, so it is looked at when all are done; --partial looks all the same, and "
            "the log says so"
        )


def environments(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Code versions and thread counts of runs, and how many runs each has; the commonest first."""
    found = Counter(_environment(record.run.get("environment", {})) for record in records)
    return [
        {"code": code, "threads": threads, "runs": runs}
        for (code, threads), runs in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]


def failures(failed: Iterable[Record]) -> list[dict[str, Any]]:
    """What each failed run was of, and the last line of its traceback."""
    return [
        {
            "run": record.name,
            "arm": record.run["recipe"],
            "seed": record.run["seed"],
            "level": record.run["level"],
            "error": (record.run.get("traceback", "").strip().splitlines() or [""])[-1],
        }
        for record in failed
    ]


def _environment(facts: Mapping[str, Any]) -> tuple[str, int]:
    return str(facts.get("code", "unknown")), int(facts.get("threads", 0))


def _identity(facts: Mapping[str, Any]) -> tuple[str, int, float]:
    return facts["recipe"], int(facts["seed"]), float(facts["level"])
