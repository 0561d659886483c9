"""`varsigma-train novelty` and `background`: from a table to entries that the service reads."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from service.variants import Variant
from tests.genomes import write_fasta
from tests.toy_models import SumModel, write_model
from tests.training.structured import structured_table
from tests.training.toy_cagi5 import write_cagi5
from training import cli
from training.card import read_card
from training.datasets.sources import DataError
from training.datasets.table import table_digest
from training.doubt_command import background, novelty
from training.evaluation.background import SIZES, UNIFORMITY
from training.evaluation.novelty_accuracy import ACCURACY
from training.evaluation.novelty_tables import BY_LENGTH, CAGI5, FALSE_FLAGS, TOLD_APART
from training.evaluation.report import Report

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(novelty)
app.command()(background)
WEIGHTS = (0.0, 0.25, 0.75, 0.125, 0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, a mirror, and two models that learnt from the table, one with both entries."""
    folder = tmp_path_factory.mktemp("doubt")
    table = structured_table(1000)
    table.to_parquet(folder / "assays.parquet", index=False)
    write_cagi5(folder / "mirror")
    digest = {"data_digest": table_digest(table)}
    for name in ("one", "two"):
        model = SumModel(200, base_weights=WEIGHTS, members=2)
        write_model(folder / "models", model, name=name, metadata=digest, card=digest)
    said = run(folder, "novelty", "one", "--draws", "20", "--data", folder / "mirror")
    (folder / "novelty.txt").write_text(said)
    (folder / "background.txt").write_text(run(folder, "background", "one", "--variants", "150"))
    return folder


def run(folder, *arguments, table="assays.parquet"):
    words = [*arguments, "--table", folder / table, "--models", folder / "models"]
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("key", "titles"),
    [
        ("novelty", [TOLD_APART, FALSE_FLAGS, BY_LENGTH, CAGI5, ACCURACY]),
        ("background", [SIZES, UNIFORMITY]),
    ],
)
def test_entry_and_report_enter_the_card_and_its_page(folder, key, titles):
    card, page = read_card(folder / "models/one"), (folder / "models/one/README.md").read_text()
    report = Report.from_json(card.metrics[key])
    assert [table.title for table in report.tables] == titles
    assert len(set(report.notes)) == len(report.notes)
    said = (folder / f"{key}.txt").read_text()
    assert all(f"## {text}\n" in said for text in (report.title, *titles))
    assert str(report).strip() in page
    for table in report.tables:
        assert not any("|" in str(cell) for row in (table.columns, *table.rows) for cell in row)
    assert f"| {key}.data " in page
    assert f" {getattr(card, key)['n']} " in page
    assert len(page) < 30_000, "the page has the facts, not the numbers"


def test_the_service_reads_what_was_written(folder, tmp_path):
    model = Registry(folder / "models").load("one", threads=1)
    rng = np.random.default_rng(0)
    contig = "".join(rng.choice(list("ACGT"), 400)) + "AC" * 100
    fasta = write_fasta(tmp_path / "genome.fa", {"1": contig})
    # To the complement would cancel between the strands.
    changes = [
        Variant("1", pos, contig[pos - 1], "A" if contig[pos - 1] in "CG" else "G")
        for pos in (201, 501)
    ]
    with Reference.open(fasta) as reference:
        scores = Scorer(model, reference).score(changes)
    assert (scores.novelty < 0.01).all(), "the source remembers three bases, this one none"
    assert scores.novel_as[1] == "tandem_repeat"
    assert (np.abs(scores.effects.quantile) > 0).all()
    assert (np.abs(scores.effects.quantile) < 1).all()


def test_a_second_run_writes_the_same_entries(folder):
    before = json.loads((folder / "models/one/card.json").read_text())
    run(folder, "background", "one", "--variants", "150")
    run(folder, "novelty", "one", "--draws", "20", "--data", folder / "mirror")
    assert json.loads((folder / "models/one/card.json").read_text()) == before


@pytest.mark.parametrize(
    "command", [["novelty", "--draws", "20"], ["background", "--variants", "150"]]
)
def test_a_look_leaves_the_card_alone(folder, command, monkeypatch):
    monkeypatch.setenv("VARSIGMA_DATA", str(folder / "mirror"))
    path = folder / "models/two/card.json"
    before = path.read_bytes()
    assert f"{command[0].title()}: two" in run(folder, *command, "two", "--no-save")
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", ["novelty", "background"])
def test_a_table_that_the_model_did_not_learn_from_is_refused(folder, command, monkeypatch):
    monkeypatch.setenv("VARSIGMA_DATA", str(folder / "mirror"))
    other = pd.read_parquet(folder / "assays.parquet").assign(activity=1.0)
    other.to_parquet(folder / "other.parquet", index=False)
    with pytest.raises(DataError, match="trained on another table"):
        run(folder, command, "two", table="other.parquet")


def test_without_measured_tables_the_option_is_named(folder, monkeypatch):
    monkeypatch.delenv("VARSIGMA_DATA", raising=False)
    with pytest.raises(DataError, match="VARSIGMA_DATA"):
        run(folder, "novelty", "two")


def test_the_commands_are_those_of_the_program():
    listed = typer.main.get_command(cli.app).commands
    assert {"novelty", "background"} <= listed.keys()
