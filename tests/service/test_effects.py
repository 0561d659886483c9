"""The distribution of an effect: each part by hand, and the properties that hold for any model."""

import math
from statistics import NormalDist, stdev
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.effects import Calibration, Effects, effect_distribution
from service.errors import ModelContractError, ValidationError

NAMES = tuple(Effects.__dataclass_fields__)


def outputs(rng, n=3, passes=2, members=3, targets=2):
    shape = (n, passes, 2, members, targets)
    return rng.normal(size=shape).astype("f4"), rng.uniform(0.1, 2, shape).astype("f4")


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
    sd = math.sqrt(variance + stdev([2, 3]) ** 2)
    assert effects.sd == pytest.approx(sd)
    normal = NormalDist(2.5, sd)
    assert effects.lower == pytest.approx(normal.inv_cdf(0.05))
    assert effects.upper == pytest.approx(normal.inv_cdf(0.95))
    assert effects.p_sign == pytest.approx(1 - normal.cdf(0))
    assert all(getattr(effects, name).shape == (1, 1) for name in NAMES)


def test_calibration_by_hand():
    mu = np.zeros((1, 2, 2, 2, 2), "f4")
    mu[0, :, 1, 0] = 3  # member effects 3 and 0, no spread over passes
    sigma = np.ones_like(mu)
    scales = Calibration(noise_scale=(0.5, 2.0), epistemic_scale=3.0, floor=(0.1, 0.0))
    effects = effect_distribution(mu, sigma, 0.5, scales)
    assert effects.aleatoric == pytest.approx(np.array([[0.5, 2.0]]) * math.sqrt(2))
    model = 9 * stdev([3, 0]) ** 2
    expected = [math.sqrt(0.01 + model + 0.5), math.sqrt(model + 8)]
    assert effects.sd == pytest.approx(np.array([expected]))
    assert effects.epistemic == pytest.approx(stdev([3, 0])), "the spread itself is not scaled"


@given(seeds)
def test_swapping_the_alleles_negates_the_effect_and_keeps_the_rest(rng):
    mu, sigma = outputs(rng)
    one = effect_distribution(mu, sigma, 0.8, None)
    two = effect_distribution(mu[:, :, ::-1], sigma[:, :, ::-1], 0.8, None)
    assert two.effect == pytest.approx(-one.effect)
    assert two.lower == pytest.approx(-one.upper)
    for name in ("epistemic", "representation", "aleatoric", "sd", "p_sign"):
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
    assert (effects.sd > 0).all()


@given(seeds)
def test_order_of_members_and_of_passes_does_not_matter(rng):
    mu, sigma = outputs(rng)
    one = effect_distribution(mu, sigma, 0.9, None)
    shuffled = rng.permutation(3)
    two = effect_distribution(mu[:, ::-1, :, shuffled], sigma[:, ::-1, :, shuffled], 0.9, None)
    for name in NAMES:
        assert getattr(two, name) == pytest.approx(getattr(one, name), abs=1e-6), name


@given(seeds, st.floats(0.01, 0.98))
def test_the_interval_holds_the_effect_and_widens_with_coverage(rng, coverage):
    narrow = effect_distribution(*(parts := outputs(rng)), coverage, None)
    wide = effect_distribution(*parts, coverage + 0.01, None)
    assert (wide.lower < narrow.lower).all()
    assert (narrow.lower < narrow.effect).all()
    assert (narrow.effect < narrow.upper).all()
    assert (narrow.upper < wide.upper).all()


def test_a_spread_that_members_share_is_not_epistemic():
    # Members that disagree about activity but agree about the difference.
    mu = np.zeros((1, 1, 2, 3, 1), "f4")
    mu[0, 0, :, :, 0] = [[0, 5, 10], [1, 6, 11]]
    effects = effect_distribution(mu, np.ones_like(mu), 0.9, None)
    assert effects.effect == 1
    assert effects.epistemic == 0


@given(seeds)
def test_one_member_and_one_pass_have_no_spread_to_report(rng):
    mu, sigma = outputs(rng, passes=1, members=1)
    effects = effect_distribution(mu, sigma, 0.9, None)
    assert np.isnan(effects.epistemic).all()
    assert np.isnan(effects.representation).all()
    assert effects.sd == pytest.approx(effects.aleatoric), "nothing is added for what is unknown"


def test_a_certain_effect_has_its_sign():
    mu = np.zeros((1, 1, 2, 1, 2), "f4")
    mu[0, 0, 1, 0, 0] = 1
    certain = Calibration(noise_scale=0.0, epistemic_scale=1.0, floor=0.0)
    effects = effect_distribution(mu, np.ones_like(mu), 0.9, certain)
    assert effects.sd.tolist() == [[0, 0]]
    assert effects.p_sign.tolist() == [[1.0, 0.5]]


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


class TestCalibrationOnTheCard:
    GOOD: ClassVar = {"noise_scale": 0.7, "epistemic_scale": [1.0, 2.0], "floor": 0}

    def test_is_read(self):
        assert Calibration.from_card(self.GOOD | {"fitted_on": "release"}, 2) == Calibration(
            noise_scale=0.7, epistemic_scale=(1.0, 2.0), floor=0.0
        )
        assert Calibration.from_card(None, 2) is None

    @pytest.mark.parametrize(
        "broken",
        [
            {"noise_scale": -1},
            {"noise_scale": None},
            {"noise_scale": "much"},
            {"floor": math.nan},
            {"epistemic_scale": [1.0, 2.0, 3.0]},
            {"epistemic_scale": [[1.0, 2.0]]},
            {"epistemic_scale": [1.0, [2.0]]},
        ],
    )
    def test_must_be_numbers_for_the_targets(self, broken):
        with pytest.raises(ModelContractError, match=next(iter(broken))):
            Calibration.from_card(self.GOOD | broken, 2)

    @pytest.mark.parametrize("missing", list(GOOD))
    def test_must_be_complete(self, missing):
        block = {key: value for key, value in self.GOOD.items() if key != missing}
        with pytest.raises(ModelContractError, match=missing):
            Calibration.from_card(block, 2)

    def test_must_be_an_object(self):
        with pytest.raises(ModelContractError):
            Calibration.from_card("calibrated", 2)


@given(seeds)
def test_rows_can_be_put_into_their_places(rng):
    part = effect_distribution(*outputs(rng), 0.9, None)
    whole = Effects.missing(5, 2)
    whole.put(np.array([4, 0, 2]), part)
    for name in NAMES:
        assert np.array_equal(getattr(whole, name)[[4, 0, 2]], getattr(part, name))
        assert np.isnan(getattr(whole, name)[[1, 3]]).all()
