"""Sigma against measured noise: alone, given activity, against the lookup and the ceiling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.evaluation.metrics import Estimate, resample, split_half
from training.evaluation.sigma import LOOKUPS, Lookup, evaluate_sigma, replicate_values

SIZE, WIDTH = 1500, 10


@pytest.fixture(scope="module")
def noisy() -> tuple[pd.DataFrame, dict[str, pd.DataFrame], np.ndarray]:
    """One assay whose noise grows with activity and with something else, half and half."""
    rng = np.random.default_rng(0)
    activity, own = rng.normal(size=(2, SIZE))
    true = np.exp(0.5 * activity + 0.5 * own)
    replicates = activity[:, None] + true[:, None] * rng.normal(size=(SIZE, WIDTH))
    inserts = ["".join(row) for row in rng.choice(list("ACGT"), (SIZE, 20))]
    table = pd.DataFrame(
        {
            "sequence": inserts,
            "assay": "mattioli2018_pool1_HepG2",
            "activity": activity,
            "noise_sd": replicates.std(axis=1, ddof=1),
            "n_replicates": WIDTH,
            "cluster": np.arange(SIZE) // 2,
            "fold": np.arange(SIZE) // 2 % 5,
            "true": true,
        }
    )
    joint = table.head(100).assign(assay="joint_K562", noise_sd=np.nan)
    values = {"mattioli2018_pool1_HepG2": pd.DataFrame(replicates, index=inserts)}
    return pd.concat([table, joint], ignore_index=True), values, true


def cells(noisy, predictor) -> dict[str, object]:
    table, values, _ = noisy
    report = evaluate_sigma("toy", predictor, table=table, replicates=values, draws=100)
    found = report.table("Sigma against the measured SD")
    (row,) = found.rows
    return dict(zip(found.columns, row, strict=True))


def truth(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    log_var = np.log(rows["true"].to_numpy() ** 2)[:, None]
    return rows["activity"].to_numpy()[:, None], np.hstack([log_var, log_var])


def test_a_perfect_sigma_beats_the_lookup_and_reaches_the_ceiling(noisy):
    found = cells(noisy, truth)
    assert found["n"] == 300
    assert found["sigma"].value > 0.9
    assert found["sigma"].value == pytest.approx(found["attainable"], abs=0.04)
    for folds in LOOKUPS:
        looked_up, gain = found[f"SD looked up ({folds})"], found[f"difference ({folds})"]
        assert 0.5 < looked_up.value < 0.8
        assert gain.value == pytest.approx(found["sigma"].value - looked_up.value)
        assert gain.low > 0.1
        assert found[f"P(difference <= 0) ({folds})"] == 0
    assert found["sigma, given measured activity"].value > 0.7
    assert found["split-half ceiling"].value > 0.7


def test_a_sigma_that_only_follows_activity_explains_nothing_beyond_it(noisy):
    def follower(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        activity = rows["activity"].to_numpy()
        jitter = np.random.default_rng(1).normal(0, 0.3, len(rows))
        return activity[:, None], (activity + jitter)[:, None]

    found = cells(noisy, follower)
    assert found["sigma"].value > 0.45
    assert abs(found["sigma, given measured activity"].value) < 0.15
    assert abs(found["sigma, given predicted activity"].value) < 0.15
    assert all(found[f"difference ({folds})"].value < 0.05 for folds in LOOKUPS)


def test_the_measurement_itself_correlates_fully(noisy):
    def copy(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        return rows["activity"].to_numpy()[:, None], 2 * np.log(rows["noise_sd"].to_numpy())[
            :, None
        ]

    assert cells(noisy, copy)["sigma"].value == pytest.approx(1)


def test_a_model_without_sigma_still_has_the_lookup(noisy):
    found = cells(noisy, lambda rows: (rows["activity"].to_numpy()[:, None], None))
    assert found["sigma"] is None
    for folds in LOOKUPS:
        assert found[f"difference ({folds})"] is None
        assert isinstance(found[f"SD looked up ({folds})"], Estimate)


def test_assays_are_never_pooled_and_unmeasured_noise_is_left_out(noisy):
    table, values, _ = noisy
    seen = []

    def watch(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        seen.append(set(rows["assay"]))
        assert rows["noise_sd"].notna().all()
        return truth(rows)

    twin = table[table["noise_sd"].notna()].assign(assay="mattioli2018_pool1_K562")
    values = values | {"mattioli2018_pool1_K562": next(iter(values.values())) * 3}
    report = evaluate_sigma(
        "toy", watch, table=pd.concat([table, twin]), replicates=values, draws=10
    )
    assert seen == [{"mattioli2018_pool1_HepG2"}, {"mattioli2018_pool1_K562"}]
    assert [row[0] for row in report.tables[0].rows] == [
        "mattioli2018_pool1_HepG2",
        "mattioli2018_pool1_K562",
    ]


def test_each_lookup_learns_from_its_own_folds(noisy):
    table, values, _ = noisy
    before = cells(noisy, truth)
    for fold, changed in ((1, "validation"), (2, "training"), (4, "training")):
        spoilt = table.assign(
            noise_sd=table["noise_sd"].mask(table["fold"] == fold, 1 / table["true"])
        )
        spoilt["noise_sd"] = spoilt["noise_sd"].where(table["noise_sd"].notna())
        after = cells((spoilt, values, None), truth)
        for folds in LOOKUPS:
            column = f"SD looked up ({folds})"
            assert (after[column] != before[column]) == (folds == changed)


def test_predictions_that_were_fitted_misplace_the_bins_of_the_training_lookup_alone(noisy):
    def overfitted(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Knows the training rows by heart, in another order than the unseen ones."""
        mu, log_var = truth(rows)
        seen = ~rows["fold"].isin([0, 1]).to_numpy()
        return np.where(seen[:, None], -mu, mu), log_var

    honest, found = cells(noisy, truth), cells(noisy, overfitted)
    assert found["SD looked up (validation)"] == honest["SD looked up (validation)"]
    assert found["SD looked up (training)"].value < 0


def test_small_folds_get_fewer_bins():
    values = np.arange(1000.0)
    sizes = {n: Lookup.fit(values[:n], values[:n]).sd.size for n in (10, 60, 150, 500, 1000)}
    assert sizes == {10: 1, 60: 2, 150: 6, 500: 20, 1000: 20}


def test_the_measured_sd_of_a_test_row_is_the_raw_one(noisy):
    table, values, true = noisy
    shrunk = table.assign(variance_shrunk=np.random.default_rng(2).exponential(size=len(table)))
    assert cells((shrunk, values, true), truth) == cells(noisy, truth)
    altered = table.assign(noise_sd=table["noise_sd"].where(table["fold"] != 0, 1 / table["true"]))
    altered["noise_sd"] = altered["noise_sd"].where(table["noise_sd"].notna())
    assert cells((altered, values, true), truth)["sigma"].high < -0.9


@pytest.mark.parametrize("folder", ["training/evaluation", "training/report"])
def test_no_evaluation_reads_shrunk_variances(folder):
    modules = sorted((Path(__file__).parents[2] / folder).rglob("*.py"))
    assert modules
    assert not [path.name for path in modules if "variance_shrunk" in path.read_text()]


def test_noise_without_its_replicates_is_refused(noisy):
    table, _, _ = noisy
    with pytest.raises(ValueError, match="no replicates of mattioli2018_pool1_HepG2"):
        cells((table, {}, None), truth)


def test_lookup_averages_within_quantile_bins():
    found = Lookup.fit(np.arange(8.0), np.array([1.0, 3, 5, 7, 2, 2, 4, 4]), bins=4)
    np.testing.assert_allclose(found(np.array([-9.0, 1, 3, 5, 7, 99])), [2, 2, 6, 2, 4, 4])
    constant = Lookup.fit(np.zeros(5), np.arange(5.0), bins=4)
    np.testing.assert_allclose(constant(np.array([-1.0, 0, 1])), [2, 2, 2])


@pytest.mark.data
@pytest.mark.slow
def test_replicates_on_one_scale_give_the_measured_sd_and_its_known_reliability(data_dir):
    values = replicate_values(data_dir)
    assert {name: frame.shape[1] for name, frame in values.items()} == {
        "mattioli2018_pool1_K562": 4,
        "mattioli2018_pool1_HepG2": 12,
        "mattioli2018_pool1_HeLa": 4,
        "mattioli2018_pool2_K562": 4,
        "mattioli2018_pool2_HepG2": 8,
        "mattioli2019_HUES64": 3,
        "inoue2017_HepG2": 3,
    }
    assert all(frame.index.is_unique for frame in values.values())
    reliability = {}
    for name, frame in values.items():
        counts = resample(np.arange(len(frame)), 1, np.random.default_rng(0))
        found = split_half(frame.to_numpy(), counts, np.random.default_rng(0), splits=3)
        reliability[name] = found.value
    assert all(0.6 < reliability[f"mattioli2018_pool{n}_HepG2"] < 0.85 for n in (1, 2))
    assert all(0.1 < reliability[f"mattioli2018_pool{n}_K562"] < 0.3 for n in (1, 2))
    assert 0.1 < reliability["mattioli2018_pool1_HeLa"] < 0.3
