"""Lanes: every run ends once, whatever becomes of its process.

Lanes know no more of a run than its name; those here load no torch, and so start in no time.
"""

import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from training.campaign.lanes import MAX_LOSSES, run_in_lanes


@dataclass(frozen=True)
class Named:
    """Stands for a planned run."""

    name: str


RUNS = [Named(f"arm{number}/42") for number in range(6)]


def start(folder):
    return partial(work, folder)


def work(folder, run):
    """Leave a trace; the second run raises, the third dies always, the fourth the first time."""
    number = [other.name for other in RUNS].index(run.name)
    trace = Path(folder) / str(number)
    with trace.open("a") as handle:
        handle.write(f"{os.getpid()}\n")
    if number == 1:
        raise ValueError("as planned")
    if number == 2 or (number == 3 and len(trace.read_text().splitlines()) == 1):
        os.kill(os.getpid(), signal.SIGKILL)


def test_every_run_has_one_outcome(tmp_path):
    outcomes = {o.run.name: o.error for o in run_in_lanes(RUNS, partial(start, tmp_path), 2)}
    assert sorted(outcomes) == sorted(run.name for run in RUNS)
    errors = [outcomes[run.name] for run in RUNS]
    assert [error is None for error in errors] == [True, False, False, True, True, True]
    assert "ValueError: as planned" in errors[1]
    assert "exit code -9" in errors[2]
    attempts = [len((tmp_path / str(n)).read_text().splitlines()) for n in range(6)]
    assert attempts == [1, 1, MAX_LOSSES, 2, 1, 1]


def test_leaving_the_iteration_ends_the_lanes_at_once(tmp_path):
    begun = time.monotonic()
    outcomes = run_in_lanes(RUNS[:2], partial(mixed, tmp_path), 2)
    next(outcomes)
    outcomes.close()
    assert time.monotonic() - begun < 50
    for path in tmp_path.iterdir():
        assert not Path(f"/proc/{path.name}").exists()


def mixed(folder):
    (Path(folder) / str(os.getpid())).touch()
    return first_at_once


def first_at_once(run):
    if run.name != RUNS[0].name:
        time.sleep(60)
