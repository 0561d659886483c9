"""Tiers: the error rate is that of the list, and no call is made of what is not known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ValidationError
from service.mixture import Mixture
from service.triage import TIERS, Losses, Tier, triage

LOWERS, RAISES, NO_EFFECT, UNKNOWN = range(4)


def made(seed, n=4000):
    """Distributions, and true effects drawn from them."""
    rng = np.random.default_rng(seed)
    effect = rng.normal(0, 0.5, n)
    means = np.stack([0.2 * effect, 1.5 * effect])
    mixture = Mixture(rng.random(n), means, np.stack([np.full(n, 0.04), rng.uniform(0.05, 0.6, n)]))
    wide = (rng.random(n) < mixture.weight).astype(int)
    rows = np.arange(n)
    return mixture, rng.normal(mixture.mean[wide, rows], mixture.sd[wide, rows])


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3])
def test_the_share_of_wrong_calls_is_what_was_asked_for(rate, threshold):
    mixture, true = made(0)
    found = triage(mixture, error_rate=rate, threshold=threshold)
    down, up = found.tier == LOWERS, found.tier == RAISES
    wrong = np.sum(true[down] >= -threshold) + np.sum(true[up] <= threshold)
    n = down.sum() + up.sum()
    assert n > 50
    said = found.error[down | up].mean()
    assert said <= rate
    assert found.error[found.tier != UNKNOWN].max() < 0.5
    assert wrong / n == pytest.approx(said, abs=4 * np.sqrt(rate / n))
    if (found.error[down | up] < 0.45).all():
        assert said == pytest.approx(rate, abs=0.01), "what is allowed is used up"
    quiet = found.tier == NO_EFFECT
    if threshold == 0:
        assert not quiet.any(), "no effect is exactly 0"
    elif quiet.any():
        assert found.error[quiet].mean() <= rate
        missed = np.mean(np.abs(true[quiet]) > threshold)
        assert missed == pytest.approx(
            found.error[quiet].mean(), abs=4 * np.sqrt(rate / quiet.sum())
        )


@given(st.integers(0, 10_000), st.floats(0.01, 0.4), st.floats(0, 0.5))
def test_mirroring_swaps_the_directions(seed, rate, threshold):
    mixture, _ = made(seed, 50)
    mirrored = Mixture(mixture.weight, -mixture.mean, mixture.sd)
    one = triage(mixture, error_rate=rate, threshold=threshold)
    two = triage(mirrored, error_rate=rate, threshold=threshold)
    swapped = np.array([RAISES, LOWERS, NO_EFFECT, UNKNOWN])[one.tier]
    assert np.array_equal(two.tier, swapped)
    assert np.array_equal(one.raises, two.lowers)
    np.testing.assert_allclose(one.lowers + one.raises + one.negligible, 1, atol=1e-9)


@given(st.integers(0, 10_000), st.floats(0.01, 0.4))
def test_a_looser_rate_makes_more_calls_and_a_sure_variant_goes_first(seed, rate):
    mixture, _ = made(seed, 60)
    strict = triage(mixture, error_rate=rate)
    loose = triage(mixture, error_rate=rate + 0.1)
    effects = (strict.tier <= RAISES), (loose.tier <= RAISES)
    assert not (effects[0] & ~effects[1]).any()
    assert sorted(loose.rank) == list(range(1, 61))
    calls = loose.tier != UNKNOWN
    by_rank = np.argsort(loose.rank)
    assert not (np.diff(calls[by_rank].astype(int)) > 0).any(), "calls before the rest"
    loss = loose.loss[by_rank]
    n = calls.sum()
    assert (np.diff(loss[:n]) >= 0).all()
    assert (np.diff(loss[n:]) >= 0).all()
    assert np.isnan(loose.error[~calls]).all()


def test_sure_calls_make_no_room_for_calls_against_the_odds():
    # 100 that surely raise, and 20 that are almost surely negligible and else raise.
    mean = np.stack([np.repeat([2.0, 0.0], [100, 20]), np.repeat([2.0, 1.0], [100, 20])])
    weight = np.repeat([0.0, 0.08], [100, 20])
    found = triage(Mixture(weight, mean, np.full((2, 120), 0.02)), error_rate=0.15)
    assert (found.tier[:100] == RAISES).all()
    assert (found.tier[100:] == NO_EFFECT).all()


def test_of_what_has_no_distribution_nobody_can_tell_and_it_spoils_nothing():
    mixture, _ = made(1, 40)
    gaps = np.arange(40) % 3 == 0
    holed = Mixture(
        mixture.weight, np.where(gaps, np.nan, mixture.mean), np.where(gaps, np.nan, mixture.sd)
    )
    found = triage(holed, error_rate=0.2)
    assert (found.tier[gaps] == UNKNOWN).all()
    assert (found.rank[gaps] > 40 - gaps.sum()).all()
    alone = triage(mixture.rows(~gaps), error_rate=0.2)
    assert np.array_equal(found.tier[~gaps], alone.tier)
    nobody = triage(mixture.rows(np.zeros(40, bool)), error_rate=0.2)
    assert len(nobody.tier) == 0


def test_one_variant_written_twice_is_called_twice_or_not_at_all():
    # The place in the input decided which of the two was called.
    mixture, _ = made(2, 60)
    both = Mixture(*(np.concatenate([x, x], axis=-1) for x in vars(mixture).values()))
    order = np.random.default_rng(0).permutation(120)
    mixed = Mixture(both.weight[order], both.mean[:, order], both.sd[:, order])
    for rate in np.linspace(0.02, 0.4, 40):
        found = triage(both, error_rate=rate).tier
        assert np.array_equal(found[:60], found[60:])
        assert np.array_equal(triage(mixed, error_rate=rate).tier, found[order])


def test_losses_by_hand():
    # Surely up, surely nothing, and a coin.
    mixture = Mixture.normal(np.array([1.0, 0.0, 0.0]), np.array([0.1, 0.01, 5.0]))
    found = triage(
        mixture, error_rate=0.1, losses=Losses(wrong_direction=5.0, false_call=2.0, missed=3.0)
    )
    assert [TIERS[k] for k in found.tier] == [Tier.RAISES, Tier.NO_EFFECT, Tier.UNKNOWN]
    assert found.loss[:2] == pytest.approx([0, 0], abs=1e-6)
    up, small = found.raises[2], found.negligible[2]
    assert found.loss[2] == pytest.approx(min(5 * up + 2 * small, 3 * 2 * up))
    assert found.rank[2] == 3


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, np.nan])
def test_a_rate_is_a_probability(rate):
    with pytest.raises(ValidationError, match="error rate must lie between 0 and 1"):
        triage(made(0, 3)[0], error_rate=rate)


@pytest.mark.parametrize("threshold", [-0.1, np.nan, np.inf])
def test_a_threshold_is_a_size(threshold):
    with pytest.raises(ValidationError, match="threshold must be at least 0"):
        triage(made(0, 3)[0], error_rate=0.1, threshold=threshold)
