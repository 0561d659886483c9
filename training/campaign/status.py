"""How far a campaign is: planned runs + records -> lines; the last says `73 of 73 finished`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.campaign.plan import Run, Suite
from training.campaign.records import read_record

_TITLES: dict[Suite, str] = {
    "baseline": "baseline seeds",
    "seeds": "further seeds of representatives",
    "forms": "other forms of strategies",
    "injection": "runs with injected noise",
}


def status(runs: Sequence[Run], records: Path) -> list[str]:
    """Count what finished; a failed run, or one of a recipe that has changed since, is none.

    Args:
      runs: the whole plan.
      records: folder of records.
    """
    finished: dict[str, int] = dict.fromkeys([run.suite for run in runs], 0)
    planned = finished.copy()
    lines = []
    for run in runs:
        planned[run.suite] += 1
        record = read_record(records / run.name)
        if record is None:
            continue
        if record.status == "failed":
            lines.append(f"failed: {run.name}: {record.run['traceback'].strip().splitlines()[-1]}")
        elif record.run["fingerprint"] != run.recipe.fingerprint:
            lines.append(f"stale: {run.name}: its recipe has changed")
        else:
            finished[run.suite] += 1
    lines += [
        f"{title}: {finished[suite]} of {planned[suite]} finished"
        for suite, title in _TITLES.items()
        if suite in planned
    ]
    return [*lines, f"{finished['main']} of {planned['main']} finished"]
