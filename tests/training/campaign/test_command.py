"""`varsigma-train campaign`: what it says and refuses; a terminated one stops at once."""

import os
import signal
import threading
import time

import pytest
from typer.testing import CliRunner

from tests.training.campaign.tiny import TINY, places
from training import cli
from training.campaign import analysis, runner
from training.campaign.plan import plan
from training.campaign.records import write_record
from training.evaluation.challenge import CHALLENGE_LOG
from training.zoo import CPU, PRESETS, ZOO, campaign

terminal = CliRunner()


@pytest.fixture(autouse=True)
def presets(monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def call(here, *arguments):
    options = ["--preset", "tiny", "--table", here.table, "--data", here.data]
    options += ["--runs", here.runs, "--records", here.records]
    return terminal.invoke(cli.app, ["campaign", *map(str, options), *map(str, arguments)])


@pytest.mark.slow
def test_it_runs_what_was_chosen_and_says_how_far_it_is(tmp_path):
    here = places(tmp_path)
    result = call(here, "--only", "quantile/42", "--lanes", "1")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "0 of 1 runs are recorded; 1 to do"
    assert lines[1] == "1 of 1: quantile/42 finished; about 0 h 0 min left"
    assert lines[-1] == "1 of 73 finished"
    assert (here.records / "tiny" / "quantile" / "42" / "run.json").is_file()
    again = call(here, "--only", "quantile/42")
    assert again.output.splitlines()[0] == "1 of 1 runs are recorded; 0 to do"


def test_status_counts_every_suite_and_ends_with_the_study(tmp_path):
    here = places(tmp_path)
    records = here.records / "tiny"
    for run in plan(TINY):
        facts = {"status": "failed", "traceback": "x\nboom", "fingerprint": run.recipe.fingerprint}
        if run.name == "rank_stability/42":
            write_record(records / run.name, facts)
        elif run.suite != "injection":
            folder = records / run.name
            write_record(folder, facts | {"status": "finished"})
            for name in ("history.jsonl", "predictions.npz", "metrics.json"):
                (folder / name).touch()
    result = call(here, "--status")
    assert result.output.splitlines() == [
        "failed: rank_stability/42: boom",
        "baseline seeds: 5 of 5 finished",
        "further seeds of representatives: 16 of 16 finished",
        "other forms of strategies: 15 of 15 finished",
        "runs with injected noise: 0 of 54 finished",
        "72 of 73 finished",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "bogus"], "bogus"),
        (["--preset", "tpu"], "tpu"),
        (["--only", "resnet*"], "resnet*"),
        (["--data", "absent"], "VARSIGMA_DATA"),
    ],
)
def test_a_wrong_wish_is_refused(tmp_path, arguments, message):
    result = call(places(tmp_path), *arguments)
    assert result.exit_code != 0
    assert message in result.output + str(result.exception)


def test_analysing_goes_to_the_log_that_was_named_and_waits_for_all_runs(tmp_path, monkeypatch):
    seen = []

    def analyse(preset, **arguments):
        seen.append(arguments)
        return (tmp_path / "metrics.tsv",)

    monkeypatch.setattr(analysis, "analyse", analyse)
    here = places(tmp_path)
    assert "metrics.tsv" in call(here, "--analyse").output
    call(here, "--analyse", "--partial", "--log", tmp_path / "looks.jsonl")
    assert [arguments["is_partial"] for arguments in seen] == [False, True]
    assert [arguments["log"] for arguments in seen] == [CHALLENGE_LOG, tmp_path / "looks.jsonl"]


@pytest.mark.slow
def test_the_release_set_is_scored_by_itself(tmp_path):
    here = places(tmp_path)
    call(here, "--only", "quantile/42", "--lanes", "1")
    result = call(here, "--release")
    assert result.exit_code == 0, result.output
    place = here.records / "tiny" / "release.tsv"
    assert f"wrote {place}" in result.output.replace("\n", "")
    assert place.read_text().startswith("run\tarm\tseed\tlevel\tmember\telement\tall_assays")


def test_termination_stops_it_at_once_and_records_nothing(tmp_path, monkeypatch):
    here = places(tmp_path)
    monkeypatch.setattr(runner, "start", forever)

    def terminate():
        while not (here.runs / "tiny" / "campaign.lock").exists():
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate).start()
    result = call(here, "--only", "quantile/*")
    assert result.exit_code == 130
    assert "goes on from the last finished epochs" in result.output
    assert not list(here.records.rglob("run.json"))


def forever(places):
    return wait


def wait(run):
    time.sleep(600)


def test_the_zoo_is_listed_with_the_published_ids():
    served = terminal.invoke(cli.app, ["recipes"]).output
    assert all(recipe.fingerprint in served for recipe in ZOO.values())
    listed = terminal.invoke(cli.app, ["recipes", "--preset", "cpu"]).output
    for recipe in campaign(CPU).values():
        assert recipe.fingerprint in listed
        assert " ".join(recipe.aliases) in listed
