"""`varsigma-train noise`: from a folder of tables to a report in the card."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from tests.toy_models import SumModel, write_model
from tests.training.test_pair_noise_cagi5 import write_twins
from tests.training.toy_cagi5 import write_cagi5
from training import folder as folder_module
from training.card import read_card
from training.datasets.sources import SUMS, DataError
from training.datasets.table import table_digest
from training.evaluation.pair_noise_data import POOLS, REFERENCE, VARIANT
from training.evaluation.pair_noise_report import SEEN, UNSEEN
from training.evaluation.pair_noise_tables import CORRELATION, DIFFERENCE, SPREAD, TWICE
from training.evaluation.report import Report
from training.pair_noise_command import KEY, noise

LOCI = 90
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(noise)


@pytest.fixture
def mirror(tmp_path):
    """Pools of pairs with half of their noise shared, and elements measured twice."""
    mirror = write_cagi5(tmp_path / "mirror")
    write_twins(mirror)
    rng = np.random.default_rng(0)
    names = [f"{kind}__x__chr1:1..2,+__{locus}.1.{kind == VARIANT:d}.0"
             for kind in (REFERENCE, VARIANT) for locus in range(LOCI)]  # fmt: skip
    tiles = ["".join(row) for row in rng.choice(list("ACGT"), (2 * LOCI, 114))]
    for pool in POOLS:
        shared = np.tile(rng.normal(size=(LOCI, 6)), (2, 1))
        values = np.tile(rng.normal(0, 2, LOCI), 2)[:, None] + shared
        table = pd.DataFrame(values + rng.normal(size=values.shape)).add_prefix("rna_")
        table.insert(0, "unique_id", names)
        table.insert(1, "element", tiles)
        (mirror / pool.path).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(mirror / pool.path, sep="\t", index=False)
    files = sorted(path for path in mirror.rglob("*") if path.is_file())
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    lines = (f"{d}  {p.relative_to(mirror)}\n" for d, p in zip(digests, files, strict=True))
    (mirror / SUMS).write_text("".join(lines))
    return mirror


@pytest.fixture
def arguments(mirror, tmp_path, monkeypatch):
    """A table of these pools, a third of it held out, and a model that learnt from it."""
    rows = [
        pd.read_csv(mirror / pool.path, sep="\t").assign(assay=pool.assays[0]) for pool in POOLS
    ]
    table = pd.concat(rows, ignore_index=True).rename(columns={"element": "sequence"})
    table["fold"] = np.arange(len(table)) % LOCI % 3
    table = table[["sequence", "assay", "fold"]].assign(
        activity=0.0, noise_sd=1.0, variance_shrunk=1.0
    )
    path = tmp_path / "assays.parquet"
    table.to_parquet(path, index=False)
    digest = {"data_digest": table_digest(table)}
    write_model(tmp_path / "models", SumModel(20), metadata=digest, card=digest)

    def predictor_of(model_dir):
        assert model_dir == tmp_path / "models" / "sum"
        return lambda rows: (
            np.zeros((len(rows), 1)),
            rows["sequence"].str.count("G").to_numpy(float)[:, None] / 20,
        )

    monkeypatch.setattr(folder_module, "predictor_of", predictor_of)
    options = {"--data": mirror, "--table": path, "--models": tmp_path / "models", "--draws": 100}
    return ["sum", *(str(word) for option in options.items() for word in option)]


def test_the_report_is_printed_and_enters_the_card(arguments, tmp_path):
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    report = Report.from_json(read_card(tmp_path / "models" / "sum").metrics[KEY])
    assert str(report) in result.output
    titles = [table.title for table in report.tables]
    assert titles == [CORRELATION, DIFFERENCE, SPREAD, TWICE]
    correlation, difference, spread, twice = report.tables
    assert correlation.cell("HepG2, one scale", "rho").value == pytest.approx(0.5, abs=0.15)
    assert correlation.cell("HepG2, one scale", "loci") == LOCI
    same = difference.cell("HepG2, all", "rho")
    assert same == correlation.cell("HepG2, one scale", "rho")
    assert spread.cell(f"K562, {UNSEEN}", "n") == LOCI // 3
    assert spread.cell(f"K562, {SEEN}", "n") == LOCI
    assert [row[0].partition(" (")[0] for row in twice.rows[::2]] == [
        "TERT-GBM and TERT-HEK293T",
        "PKLR-24h and PKLR-48h",
    ]
    for table in report.tables:
        assert not any("|" in str(cell) for row in (table.columns, *table.rows) for cell in row)


def test_a_look_leaves_the_card_alone(arguments, tmp_path):
    card = tmp_path / "models" / "sum" / "card.json"
    before = card.read_bytes()
    result = CliRunner().invoke(app, [*arguments, "--no-save"], catch_exceptions=False)
    assert "Noise of a difference: sum" in result.output
    assert card.read_bytes() == before


def test_without_tables_the_option_is_named(arguments, monkeypatch):
    monkeypatch.delenv("VARSIGMA_DATA", raising=False)
    with pytest.raises(DataError, match="VARSIGMA_DATA"):
        CliRunner().invoke(app, ["sum"], catch_exceptions=False)


def test_a_table_that_the_model_did_not_learn_from_is_refused(arguments, tmp_path):
    path = tmp_path / "assays.parquet"
    pd.read_parquet(path).assign(activity=1.0).to_parquet(path, index=False)
    with pytest.raises(DataError, match="trained on another table"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
