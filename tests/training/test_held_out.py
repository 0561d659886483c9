"""Held-out sequences: the exported model against the 6-mer floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from service.sequence import encode, reverse_complement
from tests.toy_models import SumModel, write_model
from tests.training.toy_table import toy_table
from training.evaluation.held_out import evaluate
from training.evaluation.metrics import pearson, spearman


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    found = toy_table(n=200)
    return found.assign(cluster=found.groupby("sequence").ngroup())


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    flat = tuple(np.ones(200))
    write_model(folder, SumModel(200, base_weights=(0, 1, 4, 0, 0), position_weights=flat))
    write_model(folder, SumModel(200, members=1, targets=("HeLa",)), name="other")
    write_model(folder, SumModel(30), name="short")
    return folder


def test_both_strands_and_all_members_predict_the_test_fold(table, models_dir):
    report = evaluate(["sum"], models_dir=models_dir, table=table, draws=100, threads=1)["sum"]
    found = report.table("Joint library, test fold")
    assert [row[0] for row in found.rows] == ["K562", "HepG2"]
    rows = table[(table["assay"] == "joint_HepG2") & (table["fold"] == 0)]
    codes = np.stack([encode(sequence) for sequence in rows["sequence"]])
    model = SumModel(200, base_weights=(0, 1, 4, 0, 0), position_weights=tuple(np.ones(200)))
    mu = (model.mu(codes) + model.mu(reverse_complement(codes)))[:, :, 1].mean(axis=1)
    cell = found.cell("HepG2", "pearson")
    assert cell.value == pytest.approx(pearson(mu, rows["activity"]), abs=1e-5)
    assert found.cell("HepG2", "spearman").value == pytest.approx(
        spearman(mu, rows["activity"]), abs=1e-5
    )
    assert found.cell("HepG2", "n") == 20
    # Members differ in scale alone.
    assert found.cell("HepG2", "pearson, one member (mean)") == pytest.approx(cell.value, abs=1e-5)
    assert found.cell("HepG2", "pearson, one member (SD)") == pytest.approx(0, abs=1e-5)
    floor, gain = found.cell("HepG2", "pearson, 6-mer ridge"), found.cell("HepG2", "difference")
    assert gain.value == pytest.approx(cell.value - floor.value)
    assert gain.low < gain.value < gain.high
    assert found.cell("HepG2", "6-mer ridge penalty") > 0


def test_models_that_cannot_be_compared_are_refused(table, models_dir):
    with pytest.raises(ValueError, match=r"other: no assay of the table measures \['HeLa'\]"):
        evaluate(["other"], models_dir=models_dir, table=table, draws=10, threads=1)
    with pytest.raises(ValueError, match=r"takes inserts of 30 bases, got some of \[200\]"):
        evaluate(["short"], models_dir=models_dir, table=table, draws=10, threads=1)
