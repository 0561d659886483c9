"""The runner: killed and resumed it ends with the same weights; failures are recorded as such."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.training.campaign.tiny import TINY, places, two_runs
from training.architectures.heads import MeanHeads
from training.campaign import runner
from training.campaign.lanes import Outcome
from training.campaign.plan import plan, select
from training.campaign.records import RecordError, read_record
from training.campaign.runner import pending, run_campaign, start
from training.campaign.status import status
from training.datasets.sources import DataError
from training.losses.regression import MaskedMSE
from training.recipe import Recipe

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    here = places(tmp_path_factory.mktemp("undisturbed"))
    do = start(here)
    for run in two_runs():
        do(run)
    return here


def kill_when(folder, condition):
    """Run the campaign in a process group of its own and kill its parent at a moment."""
    command = [sys.executable, "-m", "tests.training.campaign.tiny", folder]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        while process.poll() is None and not condition():
            time.sleep(0.02)
        is_killed = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        for _ in range(1000):  # the lanes notice that they are orphans
            if not alive(process.pid):
                return is_killed
            time.sleep(0.02)
        raise AssertionError("lanes outlived the campaign")
    finally:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_campaign_killed_at_random_ends_with_the_same_weights(tmp_path, undisturbed):
    here = places(tmp_path)
    moment, kills = random.Random(), 0
    for _ in range(2):
        held = set(here.runs.glob("*/*/cycle0/last.ckpt"))
        wait = moment.uniform(0, 1.5)

        def has_moved_on(held=held, wait=wait):
            if set(here.runs.glob("*/*/cycle0/last.ckpt")) == held:
                return False
            time.sleep(wait)
            return True

        kills += kill_when(tmp_path, has_moved_on)
    assert kills, "the campaign ended before it could be killed"
    do = start(here)
    for run in pending(two_runs(), here.records):
        do(run)
    assert pending(two_runs(), here.records) == []
    for run in two_runs():
        ours, theirs = (
            load_file(place.runs / run.name / "member.safetensors") for place in (here, undisturbed)
        )
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
        record, undisturbed_record = (
            read_record(place.records / run.name) for place in (here, undisturbed)
        )
        np.testing.assert_array_equal(
            record.predictions().cagi5, undisturbed_record.predictions().cagi5
        )
        assert [line["epoch"] for line in record.history()] == [0, 1, 2, 3]


def test_a_record_says_what_was_run_and_no_label(undisturbed):
    curriculum, noisy = two_runs()
    record = read_record(undisturbed.records / curriculum.name)
    assert record.run["status"] == "finished"
    assert (record.run["suite"], record.run["alias"], record.run["seed"]) == ("main", "QC1", 42)
    assert record.run["spec"]["sampler"] == [
        "QuantileStratified",
        dataclasses.asdict(curriculum.recipe.sampler),
    ]
    assert record.run["epochs"] == 4
    assert record.run["environment"]["threads"] == 1
    assert record.run["seconds"] > 0
    metrics = json.loads((record.folder / "metrics.json").read_text())
    assert metrics["test_pearson"].keys() == {*record.run["assays"], "mean"}
    assert -1 <= metrics["validation_spearman"]["mean"] <= 1
    injected = read_record(undisturbed.records / noisy.name).run
    assert (injected["level"], injected["suite"], injected["alias"]) == (1.0, "injection", None)
    with np.load(record.folder / "predictions.npz") as held:
        effects = ["cagi5_cell", "cagi5_minus", "cagi5_plus"]
        assert sorted(held) == [*effects, "test_mu", "validation_mu"]
    assert not list(undisturbed.runs.rglob("*.ckpt"))  # members suffice


def test_injected_noise_is_another_run_with_other_weights(undisturbed, tmp_path):
    noisy = two_runs()[1]
    clean = dataclasses.replace(noisy, level=0.0, suite="main")
    here = dataclasses.replace(undisturbed, runs=tmp_path / "runs", records=tmp_path / "records")
    start(here)(clean)
    ours = load_file(here.runs / clean.name / "member.safetensors")
    theirs = load_file(undisturbed.runs / noisy.name / "member.safetensors")
    assert not np.array_equal(ours["heads.mean.weight"], theirs["heads.mean.weight"])


@dataclasses.dataclass(frozen=True)
class Diverging(MaskedMSE):
    """A loss that is NaN from the first step on."""

    def terms(self, prediction, batch):
        return {
            name: term * float("nan") for name, term in super().terms(prediction, batch).items()
        }


def test_a_failed_run_is_recorded_and_does_not_count(tmp_path):
    here = places(tmp_path)
    good = select(plan(TINY), ["main"], ["quantile/42"])[0]
    recipe = Recipe("broken", TINY.network(MeanHeads()), Diverging(), optim=TINY.optim)
    bad = dataclasses.replace(good, recipe=recipe)
    seen = []
    run_campaign([bad, good], here, n_lanes=1, on_done=lambda o, left, s: seen.append((o, left)))
    assert [(outcome.run.name, left) for outcome, left in seen] == [
        ("broken/42", 1),
        ("quantile/42", 0),
    ]
    record = read_record(here.records / bad.name)
    assert record.status == "failed"
    assert "DivergedError" in record.run["traceback"]
    lines = status([bad, good], here.records)
    assert lines[0].startswith("failed: broken/42: ")
    assert lines[-1] == "1 of 2 finished"
    assert pending([bad, good], here.records) == []
    assert pending([bad, good], here.records, is_retrying=True) == [bad]


def test_a_record_of_a_changed_recipe_is_refused_and_does_not_count(undisturbed):
    run = two_runs()[0]
    optim = dataclasses.replace(TINY.optim, ema=0.5)
    changed = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, optim=optim))
    with pytest.raises(RecordError, match="remove the record or restore the recipe"):
        pending([changed], undisturbed.records)
    assert status([changed], undisturbed.records)[-1] == "0 of 1 finished"
    assert status([run], undisturbed.records)[-1] == "1 of 1 finished"


def test_one_campaign_at_a_time(tmp_path, monkeypatch):
    here = places(tmp_path)
    monkeypatch.setattr(runner, "run_in_lanes", lambda runs, start, n: iter([Outcome(runs[0])]))

    def again(outcome, left, seconds):
        with pytest.raises(RecordError, match="another campaign"):
            run_campaign(two_runs(), here)
        seen.append(outcome.run)

    seen = []
    for _ in range(2):
        run_campaign(two_runs(), here, on_done=again)
    assert seen == [two_runs()[0]] * 2, "one after the other, there may be many"


@pytest.mark.parametrize("missing", ["table", "data"])
def test_a_missing_file_ends_the_campaign_and_fails_no_run(tmp_path, missing):
    # Lane after lane used to end with it, and every run was recorded as failed.
    here = places(tmp_path)
    broken = dataclasses.replace(here, **{missing: tmp_path / "absent"})
    with pytest.raises((DataError, FileNotFoundError), match="absent"):
        run_campaign(two_runs(), broken, n_lanes=1)
    assert not here.records.exists()
