"""The published constants are what was published."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from training.datasets.cagi5 import ELEMENTS
from training.evaluation.published import BESIDE, PUBLISHED


@pytest.mark.data
def test_published_constants_are_the_published_ones(data_dir):
    design = data_dir.parent / "design"
    zoo = pd.read_csv(design / "published_zoo.tsv", sep="\t", index_col="id")
    for name, row in (("MSE, 1 network", zoo.loc["B1_Feb"]), ("DH7, 1 network", zoo.loc["DH7"])):
        (ours,) = (published for published in PUBLISHED if published.name == name)
        assert ours.spearman == {e: row[f"{e}_all_spearman"] for e in ours.spearman}
        assert len(ours.spearman) == 4
        assert ours.mean_spearman == row["cagi5_all_spearman"]
        assert ours.high_spearman == row["cagi5_high_spearman"]
        assert ours.low_spearman == row["cagi5_low_spearman"]
        assert ours.mean_pearson == row["cagi5_all_pearson"]
    text = (design / "cagi5_protocol.md").read_text()
    labels = {
        "MSE v4, 9 networks": "MSE baseline (v4, 9 models)",
        "RankNet v4, 9 networks": "combined RankNet a=0.3",
        "Heteroscedastic v2, 3 networks": "Bet 1 (heteroscedastic v2, 3 seeds)",
    }
    for name, label in labels.items():
        (ours,) = (published for published in PUBLISHED if published.name == name)
        cells = re.search(rf"^\| {re.escape(label)} \|(.*)\|$", text, re.M).group(1).split("|")
        four = [ours.spearman[element] for element in ("GP1BB", "HBB", "HBG1", "PKLR")]
        means = [ours.mean_spearman, ours.high_spearman, ours.low_spearman, ours.all_elements]
        assert [float(cell) for cell in cells] == [*four, *means, ours.mean_pearson]
    others = re.search(r"Other elements \(MSE v4\): (.*)\.$", text, re.M).group(1)
    (v4,) = (published for published in BESIDE if published.name.startswith("MSE v4"))
    for pair in others.split(", "):
        element, value = pair.split()
        assert v4.spearman[element] == float(value)


def test_published_means_are_the_means_of_their_elements():
    for row in PUBLISHED:
        four = [row.spearman[element] for element in ("GP1BB", "HBB", "HBG1", "PKLR")]
        assert row.mean_spearman == pytest.approx(np.mean(four), abs=1e-4)
        assert set(row.spearman) in ({"GP1BB", "HBB", "HBG1", "PKLR"}, set(ELEMENTS))
    (v4,) = (row for row in PUBLISHED if row.name.startswith("MSE v4"))
    assert v4.all_elements == pytest.approx(np.mean([*v4.spearman.values()]), abs=1e-4)
