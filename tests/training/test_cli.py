"""`varsigma-train`: failures are one line, commands do what they print."""

import sys

import pytest
from typer.testing import CliRunner

from tests.toy_models import SumModel, write_model
from tests.training.small_recipe import SMALL
from tests.training.toy_table import toy_table
from training import cli
from training.zoo import ZOO

runner = CliRunner()


def run(monkeypatch, capsys, *arguments):
    """Exit code, stdout and stderr of the console script."""
    monkeypatch.setattr(sys, "argv", ["varsigma-train", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "mse", "--table", "absent.parquet"], "varsigma-train data"),
        (["export", "mse", "--runs", "absent"], "varsigma-train train mse"),
        (["validate", "mse", "--data", "absent"], "VARSIGMA_DATA"),
        (["validate", "mse", "--data", ".", "--models", "nowhere"], "nowhere"),
        (["data", "--mirror", "absent"], "absent"),
    ],
)
def test_a_failure_is_one_line_that_names_the_remedy(
    monkeypatch, capsys, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(monkeypatch, capsys, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_an_unknown_recipe_is_answered_with_the_known_ones(monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, "train", "resnet")
    assert code == 2
    assert "resnet" in err
    assert "mse" in err


def test_recipes_lists_the_zoo():
    listed = runner.invoke(cli.app, ["recipes"]).output
    for recipe in ZOO.values():
        (line,) = [row for row in listed.splitlines() if f" {recipe.name} " in row]
        assert recipe.fingerprint in line


def test_from_a_table_to_a_model_folder(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(ZOO, "small", SMALL)
    monkeypatch.chdir(tmp_path)
    toy_table(40).to_parquet("assays.parquet")
    (tmp_path / "assays.json").write_text('{"files": []}')
    table = ["--table", "assays.parquet"]
    assert run(monkeypatch, capsys, "train", "small", "--seed", "1", *table)[0] == 0
    code, _, err = run(monkeypatch, capsys, "export", "small", *table, "--models", "models")
    assert code == 1  # the recipe has two seeds
    assert "small/2" in err
    assert run(monkeypatch, capsys, "train", "small", *table)[0] == 0
    code, out, err = run(monkeypatch, capsys, "export", "small", *table, "--models", "models")
    assert (code, err) == (0, "")
    assert "models/small" in out
    assert (tmp_path / "models" / "small" / "card.json").exists()


@pytest.mark.parametrize("command", ["evaluate", "sigma"])
def test_a_table_that_a_model_did_not_learn_from_is_refused_at_once(
    monkeypatch, capsys, tmp_path, command
):
    monkeypatch.chdir(tmp_path)
    folder = write_model(tmp_path / "models", SumModel(200))
    before = (folder / "card.json").read_bytes()
    toy_table(20).to_parquet("assays.parquet")
    arguments = ["sum", "--table", "assays.parquet", "--models", "models"]
    code, out, err = run(monkeypatch, capsys, command, *arguments)
    assert (code, out) == (1, "")
    assert "sum: trained on another table (toy-data, this one is" in err
    assert "rebuild it or train again" in err
    assert (folder / "card.json").read_bytes() == before
