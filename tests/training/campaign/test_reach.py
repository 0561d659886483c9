"""Noise gets where a strategy says it does; the rows show it where it does and where not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.training.campaign.tiny import TINY
from tests.training.toy_table import toy_table
from training.campaign.data import campaign_table
from training.campaign.reach import batches, ceilings, pair_weights
from training.samplers.quantile import STAGES
from training.trainer import split
from training.zoo import campaign, forms

RECIPES = campaign(TINY) | forms(TINY)


@pytest.fixture(scope="module")
def data():
    table = campaign_table(toy_table(200))
    return split(table)[0]


def test_relative_weights_differ_and_absolute_ones_hardly(data):
    rows = {(r["scale"], r["noise_k"]): r for r in pair_weights(RECIPES.values(), data, seed=0)}
    assert {k for _, k in rows} == {0.5, 1.0, 1.5, 2.0, 2.5}
    assert len(rows) == 10
    for row in rows.values():
        assert row["low"] <= row["median"] <= row["high"]
        assert row["n_pairs"] > 0
    assert rows["relative", 1.0]["sd"] > 2 * rows["absolute", 1.0]["sd"]
    assert rows["relative", 2.0]["sd"] > rows["relative", 0.5]["sd"]


def test_each_sampler_is_shown_beside_a_shuffle(data):
    rows = pd.DataFrame(batches(RECIPES.values(), data, seed=0))
    samplers = {repr(recipe.sampler) for recipe in RECIPES.values()} - {"Shuffled()"}
    assert set(rows["sampler"]) == samplers
    by_noise = rows[(rows["arm"] == "quantile_noise") & (rows["statistic"] == "noisy")]
    assert (by_noise["value"] < by_noise["shuffled"]).all()
    # Every stage of the curriculum is looked at: the finer the bins, the more of the tails.
    stages = rows[(rows["arm"] == "quantile_curriculum") & (rows["statistic"] == "top")]
    assert len(set(stages["progress"])) == len(STAGES)
    assert stages.sort_values("progress")["value"].iloc[0] < stages["value"].max() - 0.05
    hard = rows[(rows["arm"] == "hard_negative") & (rows["statistic"] == "pair_gap")]
    assert (hard["value"] < 0.7 * hard["shuffled"]).all()


def test_the_ceiling_tells_real_noise_from_chance():
    table = campaign_table(toy_table(400)).assign(cluster=lambda frame: np.arange(len(frame)))
    rng = np.random.default_rng(0)
    spread = {"mattioli2018_pool1_K562": 1.0, "mattioli2018_pool1_HepG2": 0.0}
    chosen = table[table["assay"].isin(spread)].copy()
    chosen["fold"] = 0
    replicates = {}
    for assay, part in chosen.groupby("assay"):
        sd = np.exp(spread[str(assay)] * rng.normal(size=len(part)))
        values = sd[:, None] * rng.normal(size=(len(part), 8))
        replicates[str(assay)] = pd.DataFrame(values, index=part["sequence"])
    rows = {row["assay"]: row for row in ceilings(chosen, replicates, draws=30, seed=0)}
    real, chance = rows["mattioli2018_pool1_K562"], rows["mattioli2018_pool1_HepG2"]
    assert real["split_half"] > 0.5
    assert real["attainable"] > real["split_half"]
    assert chance["ci_low"] < 0.1
    assert real["n"] == 400
    assert real["replicates"] == 8
