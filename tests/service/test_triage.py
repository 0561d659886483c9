"""Tiers: the error rate is that of the list, and no call is made of what is not known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ValidationError
from service.mixture import Mixture
from service.triage import TIERS, Losses, Tier, surest_calls, triage

LOWERS, RAISES, UNKNOWN = range(3)


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
    # Also what is never called has the probability that is said.
    for said, came_true in (
        (found.lowers, true < -threshold),
        (found.raises, true > threshold),
        (found.negligible, np.abs(true) <= threshold),
    ):
        assert np.mean(came_true) == pytest.approx(said.mean(), abs=2 / np.sqrt(len(true)))
    # Those that are most surely negligible too, chosen as a call would be.
    small = surest_calls(1 - found.negligible, rate)
    expected = (1 - found.negligible[small]).mean() if len(small) else 0.0
    against = (np.abs(true[small]) > threshold).mean() if len(small) else 0.0
    assert against == pytest.approx(expected, abs=4 * np.sqrt(rate / max(len(small), 1)))
    if threshold == 0:
        assert not found.negligible.any(), "no effect is exactly 0"


_ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(st.tuples(st.floats(0, 1), _ANY, _ANY, _ANY, _ANY), max_size=8),
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.floats(0, 1e300),
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_input_whatever_gets_another_tier_than_the_three(rows, rate, threshold):
    assert [tier.value for tier in TIERS] == ["likely_lowers", "likely_raises", "cannot_tell"]
    weight, *rest = np.array(rows).reshape(-1, 5).T
    # SDs are above 0, or NaN where nothing is known.
    mixture = Mixture(weight, np.stack(rest[:2]), np.abs(np.stack(rest[2:])) + 1e-300)
    found = triage(mixture, error_rate=rate, threshold=threshold)
    assert set(found.tier.tolist()) <= {LOWERS, RAISES, UNKNOWN}
    called = found.tier != UNKNOWN
    likelier = np.where(found.tier == LOWERS, found.lowers, found.raises)[called]
    assert (likelier > 0.5).all(), "never against the odds, and never of what is not known"
    assert np.array_equal(found.error[called], 1 - likelier)
    assert np.isnan(found.error[~called]).all()
    assert sorted(found.rank) == list(range(1, len(rows) + 1))


@given(st.lists(st.floats(0, 1) | st.just(np.nan), max_size=20), st.floats(0.01, 0.99))
def test_the_surest_calls_are_as_many_as_the_rate_allows(wrong, rate):
    wrong = np.array(wrong, float)
    chosen = surest_calls(wrong, rate)
    assert len(set(chosen.tolist())) == len(chosen)
    made = wrong[chosen]
    assert (made < 0.5).all()
    left = np.delete(wrong, chosen)
    left = left[left < 0.5]
    if len(made):
        assert made.mean() <= rate + 1e-12
        assert (left > made.max()).all(), "the surest, and ties together"
    if len(left):
        more = np.concatenate([made, left[left == left.min()]])
        assert more.mean() > rate - 1e-12, "what is allowed is used up"


@given(st.integers(0, 10_000), st.floats(0.01, 0.4), st.floats(0, 0.5))
def test_mirroring_swaps_the_directions(seed, rate, threshold):
    mixture, _ = made(seed, 50)
    mirrored = Mixture(mixture.weight, -mixture.mean, mixture.sd)
    one = triage(mixture, error_rate=rate, threshold=threshold)
    two = triage(mirrored, error_rate=rate, threshold=threshold)
    swapped = np.array([RAISES, LOWERS, UNKNOWN])[one.tier]
    assert np.array_equal(two.tier, swapped)
    assert np.array_equal(one.raises, two.lowers)
    assert np.array_equal(one.error, two.error, equal_nan=True)
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
    assert (found.tier[100:] == UNKNOWN).all()
    assert (found.negligible[100:] > 0.9).all()


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
    # Surely up, surely nothing, a coin, and what leans one way.
    mixture = Mixture.normal(np.array([1.0, 0.0, 0.0, -0.2]), np.array([0.1, 0.01, 5.0, 0.2]))
    found = triage(mixture, error_rate=0.1, losses=Losses(wrong_direction=5.0, false_call=4.0))
    assert [TIERS[k] for k in found.tier] == [Tier.RAISES, *3 * [Tier.UNKNOWN]]
    assert found.loss[:2] == pytest.approx([0, 4], abs=1e-6)
    for k, other in ((2, found.raises[2]), (3, found.raises[3])):
        assert found.loss[k] == pytest.approx(5 * other + 4 * found.negligible[k])
    # Whoever reads on after the calls meets what may have an effect first.
    assert found.rank.tolist() == [1, 4, 3, 2]


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, np.nan])
def test_a_rate_is_a_probability(rate):
    with pytest.raises(ValidationError, match="error rate must lie between 0 and 1"):
        triage(made(0, 3)[0], error_rate=rate)


@pytest.mark.parametrize("threshold", [-0.1, np.nan, np.inf])
def test_a_threshold_is_a_size(threshold):
    with pytest.raises(ValidationError, match="threshold must be at least 0"):
        triage(made(0, 3)[0], error_rate=0.1, threshold=threshold)
