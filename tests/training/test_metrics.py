"""Correlations and their bootstrap: exact against plain recomputation, honest on known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from training.evaluation.metrics import (
    Estimate,
    Statistic,
    attainable,
    bootstrap,
    bootstrap_partial,
    correlate,
    difference,
    estimate,
    partial_spearman,
    pearson,
    resample,
    spearman,
    split_half,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=4, max_size=25))
def test_bootstrap_is_the_statistic_of_the_repeated_rows(pairs):
    # Small whole numbers, so that most values are tied; ranks of ties are where shortcuts go wrong.
    x, y = np.array(pairs, float).T
    counts = resample(np.arange(len(pairs)) // 2, 20, rng())
    for statistic, plain in (
        (Statistic.PEARSON, stats.pearsonr),
        (Statistic.SPEARMAN, stats.spearmanr),
    ):
        drawn = bootstrap(x, y, counts, statistic)
        for row, found in zip(counts, drawn, strict=True):
            repeated_x, repeated_y = np.repeat(x, row), np.repeat(y, row)
            if np.ptp(repeated_x) == 0 or np.ptp(repeated_y) == 0:
                assert np.isnan(found)
            else:
                expected = plain(repeated_x, repeated_y).statistic
                assert found == pytest.approx(expected, abs=1e-9)


def test_bootstrap_does_not_depend_on_how_draws_are_chunked(monkeypatch):
    x, y = rng().normal(size=(2, 50))
    counts = resample(np.arange(50), 30, rng())
    whole = bootstrap(x, y, counts, Statistic.SPEARMAN)
    monkeypatch.setattr("training.evaluation.metrics._CHUNK", 120)
    np.testing.assert_array_equal(bootstrap(x, y, counts, Statistic.SPEARMAN), whole)


def test_resampling_takes_whole_groups_and_as_many_as_there_are():
    groups = np.array(["a", "b", "a", "c", "b", "a"])
    counts = resample(groups, 200, rng())
    assert counts.shape == (200, 6)
    assert (counts[:, groups == "a"] == counts[:, [0]]).all()
    assert (counts[:, groups == "b"] == counts[:, [1]]).all()
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert counts[:, 0].std() > 0.5
    np.testing.assert_array_equal(counts, resample(groups, 200, rng()))


def test_rows_of_one_position_are_not_independent_evidence():
    # Each row five times: the same data, so the grouped interval must not shrink.
    x = rng(1).normal(size=60)
    y = x + rng(2).normal(size=60)
    position = np.repeat(np.arange(60), 5)
    wide, (x5, y5) = resample(position, 500, rng()), (np.repeat(x, 5), np.repeat(y, 5))
    narrow = resample(np.arange(300), 500, rng())
    single = resample(np.arange(60), 500, rng())

    def width(found: Estimate) -> float:
        return found.high - found.low

    by_position = width(correlate(x5, y5, wide, Statistic.SPEARMAN))
    assert by_position == pytest.approx(width(correlate(x, y, single, Statistic.SPEARMAN)), rel=0.2)
    assert width(correlate(x5, y5, narrow, Statistic.SPEARMAN)) < 0.6 * by_position


@pytest.mark.parametrize("statistic", Statistic)
def test_intervals_cover_the_true_correlation(statistic):
    true = 0.5 if statistic is Statistic.PEARSON else 6 / np.pi * np.arcsin(0.25)
    chol = np.linalg.cholesky([[1, 0.5], [0.5, 1]])
    covered = 0
    for seed in range(200):
        source = rng(seed)
        x, y = chol @ source.normal(size=(2, 100))
        found = correlate(x, y, resample(np.arange(100), 200, source), statistic)
        assert found.low <= found.value <= found.high
        covered += found.low <= true <= found.high
    assert 0.89 <= covered / 200 <= 0.985


def test_a_constant_has_no_correlation_and_no_warning():
    x, constant = rng().normal(size=30), np.full(30, 0.1)
    counts = resample(np.arange(30), 20, rng())
    for statistic in Statistic:
        found = correlate(x, constant, counts, statistic)
        assert np.isnan([found.value, found.low, found.high]).all()
        assert str(found) == "-"
    assert np.isnan(pearson([1, 2], [1, 2]))


def test_undefined_draws_are_left_out_of_the_interval():
    found = estimate(0.5, np.array([0.4, np.nan, 0.6]))
    assert (found.low, found.high) == pytest.approx((0.405, 0.595))
    assert str(found) == "0.500 [0.405, 0.595]"


def test_a_difference_is_paired():
    y = rng(0).normal(size=300)
    worse = y + 1.0 * rng(1).normal(size=300)
    better = y + 0.9 * (worse - y)
    counts = resample(np.arange(300), 500, rng())
    drawn = [bootstrap(p, y, counts, Statistic.PEARSON) for p in (better, worse)]
    gain = difference(pearson(better, y), pearson(worse, y), *drawn)
    # Unpaired the two intervals overlap widely; paired there is no doubt.
    assert gain.estimate.low > 0
    assert gain.p_not_above == 0
    loss = difference(pearson(worse, y), pearson(better, y), *drawn[::-1])
    assert loss.p_not_above == 1
    assert loss.estimate.value == pytest.approx(-gain.estimate.value)
    none = difference(0.3, 0.3, drawn[0], drawn[0] - 1e-16)
    assert (none.estimate.value, none.estimate.low, none.estimate.high) == (0, 0, 0)
    assert none.p_not_above == 1


def test_partial_correlation_kills_a_pure_effect_of_the_covariate():
    activity = rng(0).normal(size=2000)
    sigma = np.exp(activity) + 0.1 * rng(1).normal(size=2000)
    noise = activity + 0.3 * rng(2).normal(size=2000)
    assert spearman(sigma, noise) > 0.8
    assert abs(partial_spearman(sigma, noise, activity)) < 0.06
    own = rng(3).normal(size=2000)
    assert partial_spearman(sigma + own, noise + own, activity) > 0.5
    assert np.isnan(partial_spearman(activity, noise, activity))


def test_partial_bootstrap_is_centred_on_the_partial_correlation():
    x, y, z = rng(0).normal(size=(3, 200))
    y, x = y + z + x, x + z
    once = np.ones((1, 200), np.int16)
    assert bootstrap_partial(x, y, z, once)[0] == pytest.approx(partial_spearman(x, y, z))
    drawn = bootstrap_partial(x, y, z, resample(np.arange(200), 300, rng()))
    assert abs(drawn.mean() - partial_spearman(x, y, z)) < 0.02


def replicates(sd: np.ndarray, width: int) -> np.ndarray:
    return sd[:, None] * rng(5).normal(size=(sd.size, width))


def test_split_half_tells_real_spread_of_noise_from_chance():
    sd = np.exp(rng(0).normal(size=800))
    counts = resample(np.arange(800), 50, rng())
    assert split_half(replicates(sd, 12), counts, rng()).value > 0.7
    alike = split_half(replicates(np.ones(800), 12), counts, rng())
    assert alike.low < 0 < alike.high


def test_split_half_needs_four_replicates_and_passes_over_gaps():
    sd = np.exp(rng(0).normal(size=400))
    counts = resample(np.arange(400), 20, rng())
    assert np.isnan(split_half(replicates(sd, 3), counts, rng()).value)
    values = replicates(sd, 8)
    values[:50, :6] = np.nan
    assert split_half(values, counts, rng()).value > 0.5


def test_a_perfect_sigma_reaches_what_is_attainable():
    sd = np.exp(0.5 * rng(0).normal(size=4000))
    counts = np.ones((1, 4000), np.int16)
    for width in (4, 8, 12):
        values = replicates(sd, width)
        bound = attainable(split_half(values, counts, rng()).value, width)
        assert spearman(sd, values.std(axis=1, ddof=1)) == pytest.approx(bound, abs=0.06)
    assert np.isnan(attainable(np.nan, 3))
    assert attainable(-0.1, 8) == 0


def test_a_resample_without_a_row_of_a_subset_is_undefined():
    found = bootstrap([1.0, 2, 3], [1.0, 3, 2], np.zeros((2, 3), np.int16), Statistic.SPEARMAN)
    assert np.isnan(found).all()
