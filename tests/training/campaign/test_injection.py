"""Injected noise has the size it says, is told of, and is the same for every recipe."""

import numpy as np
import pytest

from tests.training.toy_table import toy_table
from training.campaign.data import campaign_table
from training.campaign.injection import LEVELS, SPREAD, Injection
from training.trainer import split


@pytest.fixture(scope="module")
def train():
    return split(campaign_table(toy_table(3000)))[0]


@pytest.mark.parametrize("level", LEVELS)
def test_noise_has_the_stated_size_and_joins_the_variance(train, level):
    noisy = Injection(level).apply(train, seed=1)
    seen = ~np.isnan(train.activity)
    noise = (noisy.activity - train.activity)[seen].astype(float)
    variance = (noisy.variance - train.variance)[seen].astype(float)
    assert noise.std() == pytest.approx(level, rel=0.06)
    assert noise.mean() == pytest.approx(0, abs=0.05 * level)
    assert variance.mean() == pytest.approx(level**2, rel=0.12)
    standard = noise / np.sqrt(variance)  # each label's own noise has the SD that it is told
    assert standard.std() == pytest.approx(1, rel=0.05)
    quiet = variance < np.median(variance)
    assert standard[quiet].std() == pytest.approx(1, rel=0.06)
    assert noise[quiet].std() < 0.5 * noise[~quiet].std()
    assert np.log(variance).std() == pytest.approx(2 * SPREAD, rel=0.05)


def test_what_losses_read_is_relative_to_the_noisier_labels(train):
    noisy = Injection(1.0).apply(train, seed=1)
    assert np.nanmedian(noisy.noise, axis=0) == pytest.approx(1, rel=1e-3)
    assert np.isnan(noisy.activity).tolist() == np.isnan(train.activity).tolist()
    np.testing.assert_array_equal(noisy.codes, train.codes)


def test_noise_is_a_function_of_seed_and_level(train):
    def labels(level, seed):
        return Injection(level).apply(train, seed).activity

    np.testing.assert_array_equal(labels(1.0, 1), labels(1.0, 1))
    others = [labels(1.0, 2), labels(2.0, 1), train.activity]
    assert all(np.nanmax(np.abs(other - labels(1.0, 1))) > 0.1 for other in others)
    doubled = (labels(2.0, 1) - train.activity) / (labels(1.0, 1) - train.activity)
    assert np.nanstd(doubled) > 0.1  # levels are drawn apart: none is another one, stretched


def test_the_name_tells_the_level():
    assert [Injection(level).variation.name for level in LEVELS] == ["noise0.5", "noise1", "noise2"]
