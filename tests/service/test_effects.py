"""The distribution of an effect: each part by hand, and the properties that hold for any model."""

import math
from statistics import NormalDist, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.calibration import Calibration, Shape
from service.effects import Effects, effect_distribution
from service.errors import ValidationError
from tests.toy_models import CALIBRATION

NAMES = tuple(Effects.__dataclass_fields__)


def outputs(rng, n=3, passes=2, members=3, targets=2):
    shape = (n, passes, 2, members, targets)
    return rng.normal(size=shape).astype("f4"), rng.uniform(0.1, 2, shape).astype("f4")


def calibrated(*targets):
    calibration = Calibration.from_card(CALIBRATION, ("K562",))
    return calibration.applied(("K562", "HepG2")[: len(targets)], targets)


seeds = st.integers(0, 10_000).map(np.random.default_rng)


def test_every_part_by_hand():
    # One variant, two passes, two members, one target; (pass, allele, member).
    mu = np.array([[[1, 2], [4, 4]], [[0, 0], [1, 4]]], "f4")[None, ..., None]
    sigma = np.array([[[1, 1], [2, 1]], [[1, 2], [1, 3]]], "f4")[None, ..., None]
    effects = effect_distribution(mu, sigma, 0.9, None)
    # alt - ref: pass 0 gives 3, 2; pass 1 gives 1, 4.
    assert effects.effect == 2.5
    assert effects.epistemic == pytest.approx(stdev([2, 3])), "over members, mean of passes"
    assert effects.representation == pytest.approx(stdev([2.5, 2.5])), "over passes"
    variance = ((1 + 4) + (1 + 1) + (1 + 1) + (4 + 9)) / 4
    assert effects.aleatoric == pytest.approx(math.sqrt(variance))
    # The true effect: members and passes. A repeat: sigma of both alleles on top.
    for sd, lower, upper, spread in (
        (effects.sd, effects.lower, effects.upper, stdev([2, 3])),
        (
            effects.repeat_sd,
            effects.repeat_lower,
            effects.repeat_upper,
            math.sqrt(variance + stdev([2, 3]) ** 2),
        ),
    ):
        normal = NormalDist(2.5, spread)
        assert sd == pytest.approx(spread)
        assert lower == pytest.approx(normal.inv_cdf(0.05))
        assert upper == pytest.approx(normal.inv_cdf(0.95))
    assert effects.expected == 2.5
    assert effects.p_sign == pytest.approx(NormalDist(2.5, stdev([2, 3])).cdf(5))
    assert all(getattr(effects, name).shape == (1, 1) for name in NAMES)


applications = st.sampled_from([None, calibrated(True, False), calibrated(True, True)])


@given(seeds, applications)
def test_swapping_the_alleles_negates_the_effect_and_keeps_the_rest_of_what_lies_about_zero(
    rng, applied
):
    mu, sigma = outputs(rng)
    one = effect_distribution(mu, sigma, 0.8, applied)
    two = effect_distribution(mu[:, :, ::-1], sigma[:, :, ::-1], 0.8, applied)
    assert two.effect == pytest.approx(-one.effect)
    assert two.lower == pytest.approx(-one.upper)
    assert two.repeat_lower == pytest.approx(-one.repeat_upper)
    assert two.expected == pytest.approx(-one.expected)
    for name in ("epistemic", "representation", "aleatoric", "sd", "repeat_sd", "p_sign"):
        assert getattr(two, name) == pytest.approx(getattr(one, name)), name


@given(seeds)
def test_equal_alleles_have_no_effect_whatever_the_members_say(rng):
    mu, sigma = outputs(rng)
    mu[:, :, 1] = mu[:, :, 0]
    effects = effect_distribution(mu, sigma, 0.9, None)
    assert (effects.effect == 0).all()
    assert (effects.epistemic == 0).all()
    assert (effects.representation == 0).all()
    assert (effects.p_sign == 0.5).all()
    assert (effects.sd == 0).all(), "nothing disagrees"
    assert (effects.repeat_sd > 0).all(), "but measurements would"
    fitted = effect_distribution(mu, sigma, 0.9, calibrated(True, True))
    assert (fitted.p_sign == 0.5).all()
    assert (fitted.sd > 0).all(), "members may agree and be wrong together"


def test_where_components_do_not_lie_about_zero_little_predicted_is_a_small_loss():
    shape = CALIBRATION["shape"] | {"small_centre": 0.01, "large_centre": -1.5}
    mu, sigma = outputs(np.random.default_rng(0))
    mu[:, :, 1] = mu[:, :, 0]
    calibration = Calibration.from_card(CALIBRATION | {"shape": shape}, ["K562", "HepG2"])
    found = effect_distribution(mu, sigma, 0.8, calibration.applied(["K562", "HepG2"], [True] * 2))
    true = calibration.shape.distribution(found.effect, found.epistemic, found.occlusion)
    assert (found.effect == 0).all()
    assert (found.expected < 0).all()
    np.testing.assert_allclose(found.p_sign, true.cdf(np.zeros_like(found.effect)))
    assert (found.p_sign < 0.5).all(), "a small gain is likelier than a large loss"
    # Half of the probability outside is below, and the wide component lies there.
    wide = effect_distribution(mu, sigma, 0.99, calibration.applied(["K562", "HepG2"], [True] * 2))
    assert (-wide.lower > wide.upper).all()
    # One sequence twice is no change: nothing is expected of it, calibrated or not.
    twice = np.array([True, False, True])
    same = effect_distribution(
        mu, sigma, 0.8, calibration.applied(["K562", "HepG2"], [True] * 2), twice
    )
    for name in ("expected", "sd", "lower", "upper"):
        assert (getattr(same, name)[twice] == 0).all()
        np.testing.assert_array_equal(getattr(same, name)[1], getattr(found, name)[1])
    assert (same.p_sign[twice] == 0.5).all()


@given(seeds)
def test_order_of_members_and_of_passes_does_not_matter(rng):
    mu, sigma = outputs(rng)
    one = effect_distribution(mu, sigma, 0.9, None)
    shuffled = rng.permutation(3)
    two = effect_distribution(mu[:, ::-1, :, shuffled], sigma[:, ::-1, :, shuffled], 0.9, None)
    for name in NAMES:
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), atol=1e-6, err_msg=name)


@given(seeds, st.floats(0.01, 0.98), applications)
def test_intervals_widen_with_coverage_and_a_repeat_is_wider(rng, coverage, applied):
    narrow = effect_distribution(*(parts := outputs(rng)), coverage, applied)
    wide = effect_distribution(*parts, coverage + 0.01, applied)
    for prefix in ("", "repeat_"):
        lower, upper = f"{prefix}lower", f"{prefix}upper"
        assert (getattr(wide, lower) < getattr(narrow, lower)).all()
        assert (getattr(narrow, lower) < getattr(narrow, upper)).all()
        assert (getattr(narrow, upper) < getattr(wide, upper)).all()
    assert (narrow.repeat_sd > narrow.sd).all()


@given(seeds, st.floats(0.05, 0.95))
def test_a_calibrated_target_has_the_fitted_distribution_and_its_level(rng, coverage):
    mu, sigma = outputs(rng)
    raw = effect_distribution(mu, sigma, coverage, None)
    found = effect_distribution(mu, sigma, coverage, applied := calibrated(True, False))
    calibration = applied.calibration
    true = calibration.shape.distribution(
        raw.effect[:, 0], raw.epistemic[:, 0], raw.occlusion[:, 0]
    )
    repeat = true.widened(calibration.assay_sd)
    for mixture, prefix in ((true, ""), (repeat, "repeat_")):
        inside = mixture.cdf(getattr(found, f"{prefix}upper")[:, 0]) - mixture.cdf(
            getattr(found, f"{prefix}lower")[:, 0]
        )
        np.testing.assert_allclose(inside, 1 - calibration.miss(coverage), atol=1e-9)
        np.testing.assert_allclose(getattr(found, f"{prefix}sd")[:, 0], mixture.total_sd)
    np.testing.assert_allclose(found.expected[:, 0], true.expectation)
    above = true.above_zero()
    np.testing.assert_allclose(found.p_sign[:, 0], np.where(raw.effect[:, 0] > 0, above, 1 - above))
    assert (found.p_sign >= 0.5).all()
    for name in NAMES:
        one, two = getattr(found, name)[:, 1], getattr(raw, name)[:, 1]
        np.testing.assert_array_equal(one, two, err_msg="left alone")


def test_errors_that_both_alleles_share_cancel():
    mu = np.zeros((1, 1, 2, 1, 2), "f4")
    sigma = np.full_like(mu, 1.0)
    sigma[0, 0, 1] = 3.0
    found = effect_distribution(mu, sigma, 0.9, calibrated(True, False))
    assert found.aleatoric.tolist()[0] == pytest.approx(
        [math.sqrt(10 - 2 * 0.2 * 3), math.sqrt(10)]
    )


def test_a_spread_that_members_share_is_not_epistemic():
    # Members that disagree about activity but agree about the difference.
    mu = np.zeros((1, 1, 2, 3, 1), "f4")
    mu[0, 0, :, :, 0] = [[0, 5, 10], [1, 6, 11]]
    effects = effect_distribution(mu, np.ones_like(mu), 0.9, None)
    assert effects.effect == 1
    assert effects.epistemic == 0


@given(seeds)
def test_what_hiding_does_moves_what_is_expected_and_nothing_else_that_is_said(rng):
    mu, sigma = outputs(rng)
    hidden, noise = outputs(rng)
    shown = np.concatenate([mu, hidden[:, :, :1]], axis=2)
    of_shown = np.concatenate([sigma, noise[:, :, :1]], axis=2)
    raw = effect_distribution(mu, sigma, 0.9, None)
    found = effect_distribution(shown, of_shown, 0.9, None)
    for name in NAMES:
        if name != "occlusion":
            np.testing.assert_array_equal(getattr(found, name), getattr(raw, name), err_msg=name)
    occlusion = (hidden[:, :, 0].astype(float) - mu[:, :, 0]).mean(axis=(1, 2))
    np.testing.assert_allclose(found.occlusion, occlusion)
    shape = CALIBRATION["shape"] | {"by_occlusion": 3.0}
    block = CALIBRATION | {"shape": shape, "n_occluded": 7}
    applied = Calibration.from_card(block, ("K562",)).applied(("K562", "HepG2"), (True, False))
    fitted = effect_distribution(shown, of_shown, 0.9, applied)
    moved = raw.effect[:, 0] + 3 * occlusion[:, 0]
    nothing = np.full(len(moved), np.nan)
    true = Shape(**CALIBRATION["shape"]).distribution(moved, raw.epistemic[:, 0], nothing)
    np.testing.assert_allclose(fitted.expected[:, 0], true.expectation)
    above = true.above_zero()
    np.testing.assert_allclose(fitted.p_sign[:, 0], np.where(moved > 0, above, 1 - above))
    np.testing.assert_array_equal(fitted.effect, raw.effect)
    assert np.isnan(fitted.occlusion[:, 1]).all(), "nothing reads it for this target"
    np.testing.assert_array_equal(fitted.expected[:, 1], raw.expected[:, 1])


@given(seeds)
def test_one_member_and_one_pass_have_no_spread_to_report(rng):
    mu, sigma = outputs(rng, passes=1, members=1)
    effects = effect_distribution(mu, sigma, 0.9, None)
    assert np.isnan(effects.epistemic).all()
    assert np.isnan(effects.representation).all()
    for name in ("sd", "lower", "upper", "p_sign"):
        assert np.isnan(getattr(effects, name)).all(), "nothing tells how far the effect is off"
    assert effects.repeat_sd == pytest.approx(effects.aleatoric), "what is known of a repeat"
    assert np.isfinite(effects.repeat_lower).all()
    fitted = effect_distribution(mu, sigma, 0.9, calibrated(True, True))
    assert np.isfinite(fitted.sd).all()


def test_small_differences_of_large_numbers_survive():
    mu = np.full((1, 2, 2, 1, 1), 10.0, "f4")
    mu[:, :, 1] = np.nextafter(np.float32(10), np.float32(11))
    effects = effect_distribution(mu, np.ones_like(mu), 0.9, None)
    assert effects.effect.dtype == np.float64
    assert effects.effect == np.float64(mu[0, 0, 1, 0, 0]) - 10


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, 90.0, math.nan])
def test_coverage_is_a_probability(coverage):
    with pytest.raises(ValidationError, match="coverage must lie between 0 and 1"):
        effect_distribution(*outputs(np.random.default_rng(0)), coverage, None)


@given(seeds)
def test_rows_can_be_put_into_their_places(rng):
    part = effect_distribution(*outputs(rng), 0.9, None)
    whole = Effects.missing(5, 2)
    whole.put(np.array([4, 0, 2]), part)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(whole, name)[[4, 0, 2]], getattr(part, name))
        assert np.isnan(getattr(whole, name)[[1, 3]]).all()


def test_a_coverage_as_near_to_one_as_floats_go_has_an_interval():
    rng = np.random.default_rng(0)
    # 0.5 + coverage / 2 used to round to 1, whose quantile is infinite.
    for applied in (None, calibrated(True, True)):
        found = effect_distribution(*outputs(rng), 1 - 2**-53, applied)
        assert np.isfinite(found.lower).all()
        assert (found.lower < found.effect).all()
