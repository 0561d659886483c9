"""The quick bootstrap gives the plain one's numbers, ties and gaps included."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from training.campaign.resamples import Labels, Weights, partial
from training.evaluation.metrics import (
    Statistic,
    bootstrap,
    bootstrap_partial,
    correlation,
    resample,
)


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    y = rng.normal(size=300)
    x = y + rng.normal(size=300)
    return {
        "continuous": (x, y),
        "far from 0": (1e3 + x, y - 50),
        "tied predictions": (np.round(x), y),
        "tied labels": (x, np.round(y)),
        "both tied": (np.round(x), np.round(2 * y) / 2),
        "half of them 0": (np.where(x > 0, x, 0), y),
        "heavy tails": (x**7, y**5),
    }


@pytest.mark.parametrize("statistic", Statistic)
@pytest.mark.parametrize("case", cases())
def test_equals_the_plain_bootstrap(case, statistic):
    x, y = cases()[case]
    counts = resample(np.arange(300) // 3, 200, np.random.default_rng(1))
    labels = Labels(y, Weights(counts))
    found = labels.spearman(x) if statistic is Statistic.SPEARMAN else labels.pearson(x)
    assert found.value == pytest.approx(correlation(x, y, statistic))
    np.testing.assert_allclose(found.draws, bootstrap(x, y, counts, statistic), atol=2e-5)


def test_a_draw_is_the_correlation_of_the_repeated_rows():
    x, y = cases()["both tied"]
    counts = resample(np.arange(300) // 3, 5, np.random.default_rng(1))
    found = Labels(y, Weights(counts)).spearman(x)
    for row, draw in zip(counts, found.draws, strict=True):
        expected = stats.spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic
        assert draw == pytest.approx(expected, abs=2e-5)


def test_thousands_of_rows_keep_five_digits():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 6000)) + 0.5 * rng.normal(size=6000)
    counts = resample(np.arange(6000), 10, rng)
    found = Labels(y, Weights(counts)).spearman(x)
    expected = bootstrap(x, y, counts, Statistic.SPEARMAN)
    np.testing.assert_allclose(found.draws, expected, atol=2e-5)


def test_partial_correlation_is_the_plain_one():
    x, y = cases()["continuous"]
    z = y + np.random.default_rng(5).normal(size=300)
    counts = resample(np.arange(300), 50, np.random.default_rng(1))
    weights = Weights(counts)
    against_y, against_z = Labels(y, weights), Labels(z, weights)
    found = partial(against_y.spearman(x), against_z.spearman(x), against_z.spearman(y))
    np.testing.assert_allclose(found.draws, bootstrap_partial(x, y, z, counts), atol=1e-4)


def test_means_are_of_the_repeated_rows():
    x, _ = cases()["continuous"]
    counts = resample(np.arange(300) // 3, 20, np.random.default_rng(1))
    found = Weights(counts).mean(x)
    assert found.value == pytest.approx(x.mean())
    np.testing.assert_allclose(
        found.draws, [np.repeat(x, row).mean() for row in counts], rtol=1e-4, atol=1e-6
    )


def test_what_does_not_exist_is_nan_and_never_0():
    x, y = cases()["continuous"]
    counts = resample(np.arange(300), 20, np.random.default_rng(1))
    labels = Labels(y, Weights(counts))
    for found in (labels.spearman(np.full(300, 0.1)), labels.pearson(np.full(300, 0.1))):
        assert np.isnan(found.value)
        assert np.isnan(found.draws).all()
    # Resamples without a row, and with one value only.
    few = Labels(y, Weights(np.zeros((2, 300), np.int16)))
    assert np.isnan(few.spearman(x).draws).all()
    assert np.isnan(few.pearson(x).draws).all()
    one = np.zeros((1, 300), np.int16)
    one[0, 7] = 4
    assert np.isnan(Labels(y, Weights(one)).spearman(x).draws).all()
    assert np.isnan(Labels(y, Weights(one)).pearson(x).draws).all()
