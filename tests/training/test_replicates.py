from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets.replicates import align_replicates, shrink_variance, summarise_replicates


def noisy_replicates(n: int, replicates: int, noise: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 2, (n, 1)) + generator.normal(0, noise, (n, replicates))


def measured(variance: np.ndarray, *, freedom: float, seed: int = 0) -> np.ndarray:
    chi = np.random.default_rng(seed).chisquare(freedom, len(variance))
    return np.sqrt(variance * chi / freedom)


def table_of(noise_sd: np.ndarray, activity: np.ndarray, n_replicates: int, assay: str = "a"):
    columns = {"assay": assay, "activity": activity, "noise_sd": noise_sd}
    return pd.DataFrame(columns).assign(n_replicates=n_replicates, n_barcodes=np.nan)


# --- alignment ---------------------------------------------------------------------------------


@given(
    slopes=st.lists(st.floats(0.2, 5), min_size=2, max_size=6),
    offsets=st.lists(st.floats(-5, 5), min_size=6, max_size=6),
    missing=st.floats(0, 0.4),
)
def test_affine_distortions_of_one_signal_become_one_scale(slopes, offsets, missing):
    signal = np.random.default_rng(1).normal(0, 2, 400)
    values = np.outer(signal, slopes) + offsets[: len(slopes)]
    values[np.random.default_rng(2).random(values.shape) < missing] = np.nan
    aligned = align_replicates(values)
    np.testing.assert_array_equal(np.isnan(aligned), np.isnan(values))
    summary = summarise_replicates(aligned)
    assert summary["noise_sd"].max() < 1e-6
    # The consensus keeps the mean log slope, so it stays in log2 units.
    seen = summary["activity"].notna()
    slope, _ = np.polyfit(signal[seen], summary["activity"][seen], 1)
    assert slope == pytest.approx(np.exp(np.log(slopes).mean()), rel=1e-6)


def test_noise_survives_alignment_and_distortion_does_not():
    values = noisy_replicates(4000, 4, 0.5)
    distorted = values * [0.8, 1.0, 1.25, 1.0] + [-0.7, 0.3, 0.8, -0.4]
    truth = summarise_replicates(values)["noise_sd"].median()
    naive = summarise_replicates(distorted)["noise_sd"].median()
    aligned = summarise_replicates(align_replicates(distorted))["noise_sd"].median()
    assert aligned == pytest.approx(truth, rel=0.03)
    assert naive > 1.3 * truth


def test_rows_missing_from_the_low_end_do_not_shift_a_replicate():
    values = noisy_replicates(4000, 3, 0.2)
    censored = values.copy()
    censored[:, 0][values[:, 0] < 0] = np.nan
    aligned = align_replicates(censored)
    shift = np.nanmedian(aligned[:, 0] - aligned[:, 1:].mean(axis=1))
    assert abs(shift) < 0.05


def test_outliers_do_not_set_the_scale():
    values = noisy_replicates(2000, 3, 0.3)
    spoiled = values.copy()
    spoiled[:40, 1] += 50
    slope, offset = np.polyfit(
        align_replicates(values)[40:, 1], align_replicates(spoiled)[40:, 1], 1
    )
    assert slope == pytest.approx(1, abs=0.03)  # by SD it would be 0.4
    assert offset == pytest.approx(0, abs=0.1)


def test_one_replicate_is_left_as_it_is():
    values = np.array([[1.0], [np.nan], [3.0]])
    np.testing.assert_array_equal(align_replicates(values), values)


def test_summary_counts_what_is_there():
    summary = summarise_replicates(
        np.array([[1, 3, np.nan], [2, np.nan, np.nan], [np.nan] * 3, [1, 2, 3]])
    )
    np.testing.assert_array_equal(summary["activity"], [2, 2, np.nan, 2])
    np.testing.assert_allclose(summary["noise_sd"], [np.sqrt(2), np.nan, np.nan, 1])
    assert summary["n_replicates"].tolist() == [2, 1, 0, 3]


# --- shrinkage ---------------------------------------------------------------------------------


def test_shrunk_variances_are_nearer_the_truth_than_measured_ones():
    generator = np.random.default_rng(3)
    activity = generator.normal(0, 1, 5000)
    prior = 8.0
    truth = 0.1 * np.exp(0.8 * activity) * prior / generator.chisquare(prior, 5000)
    table = table_of(measured(truth, freedom=3), activity, 4)
    shrunk = shrink_variance(table)
    ideal = (prior * 0.1 * np.exp(0.8 * activity) + 3 * table["noise_sd"] ** 2) / (prior + 3)

    def error(estimate):
        return np.mean((np.log(estimate) - np.log(truth)) ** 2)

    assert error(shrunk) < 0.5 * error(table["noise_sd"] ** 2)
    assert error(shrunk) < 1.03 * error(ideal)  # the prior is found from the data


def test_more_replicates_are_shrunk_less():
    activity = np.random.default_rng(4).normal(0, 1, 3000)
    truth = 0.2 * 6 / np.random.default_rng(5).chisquare(6, 3000)

    def kept(n_replicates):
        table = table_of(measured(truth, freedom=n_replicates - 1), activity, n_replicates)
        raw = np.log(table["noise_sd"] ** 2)
        return np.log(shrink_variance(table)).std() / raw.std()

    assert kept(3) < kept(6) < kept(12) < 1


def test_variances_that_differ_by_chance_alone_all_get_the_trend():
    activity = np.random.default_rng(6).normal(0, 1, 2000)
    table = table_of(measured(np.full(2000, 0.25), freedom=2), activity, 3)
    shrunk = shrink_variance(table)
    assert shrunk.median() == pytest.approx(0.25, rel=0.1)
    assert shrunk.std() < 0.1 * (table["noise_sd"] ** 2).std()


def test_trend_follows_the_barcode_count_where_it_is_known():
    generator = np.random.default_rng(7)
    barcodes = generator.integers(2, 60, 3000).astype(float)
    activity = generator.normal(0, 1, 3000)
    table = table_of(measured(2 / barcodes, freedom=2), activity, 3)
    blind = shrink_variance(table)
    informed = shrink_variance(table.assign(n_barcodes=barcodes))
    truth = np.log(2 / barcodes)
    assert np.corrcoef(np.log(informed), truth)[0, 1] > np.corrcoef(np.log(blind), truth)[0, 1]
    assert np.corrcoef(np.log(informed), truth)[0, 1] > 0.95


def test_nothing_is_imputed_and_assays_do_not_mix():
    activity = np.random.default_rng(8).normal(0, 1, 600)
    quiet = table_of(measured(np.full(600, 0.01), freedom=3), activity, 4, "quiet")
    loud = table_of(measured(np.full(600, 4.0), freedom=3), activity, 4, "loud")
    unknown = table_of(np.full(600, np.nan), activity, 0, "unknown")
    quiet.loc[5, "noise_sd"] = np.nan
    quiet.loc[7, "noise_sd"] = 0.0
    table = pd.concat([quiet, unknown, loud]).sample(frac=1, random_state=0)
    table.index = pd.RangeIndex(1000, 1000 + len(table))
    shrunk = shrink_variance(table)
    pd.testing.assert_series_equal(shrunk.isna(), table["noise_sd"].isna(), check_names=False)
    assert (shrunk.dropna() > 0).all()
    medians = shrunk.groupby(table["assay"]).median()
    assert medians["quiet"] == pytest.approx(0.01, rel=0.2)
    assert medians["loud"] == pytest.approx(4.0, rel=0.2)
