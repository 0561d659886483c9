"""The distribution of an effect: each part by hand, and the properties that hold for any model."""

import math
from statistics import NormalDist, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.effects import Calibration, Effects, TargetScales, effect_distribution, total_sd
from service.errors import ModelContractError, ValidationError
from tests.toy_models import CALIBRATION

NAMES = tuple(Effects.__dataclass_fields__)


def outputs(rng, n=3, passes=2, members=3, targets=2):
    shape = (n, passes, 2, members, targets)
    return rng.normal(size=shape).astype("f4"), rng.uniform(0.1, 2, shape).astype("f4")


def scales_of(**values):
    return TargetScales(**{name: np.asarray(value, float) for name, value in values.items()})


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


def test_scales_by_hand():
    mu = np.zeros((1, 2, 2, 2, 2), "f4")
    mu[0, :, 1, 0] = 3  # member effects 3 and 0, no spread over passes
    sigma = np.ones_like(mu)
    scales = scales_of(noise_scale=[0.5, 2.0], epistemic_scale=3.0, floor=[0.1, 0.0])
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
    certain = scales_of(noise_scale=0.0, epistemic_scale=1.0, floor=0.0)
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


@given(seeds)
def test_the_total_is_the_one_formula_that_is_fitted(rng):
    mu, sigma = outputs(rng)
    scales = scales_of(noise_scale=[0.3, 1.0], epistemic_scale=[2.0, 0.0], floor=[0.05, 0.5])
    raw = effect_distribution(mu, sigma, 0.9, None)
    spread = np.sqrt(raw.epistemic**2 + raw.representation**2)
    served = effect_distribution(mu, sigma, 0.9, scales)
    assert np.array_equal(
        served.sd, total_sd(np.hypot(raw.epistemic, raw.representation), raw.aleatoric, scales)
    )
    by_hand = scales.floor**2 + (scales.epistemic_scale * spread) ** 2
    np.testing.assert_allclose(served.sd, np.sqrt(by_hand + served.aleatoric**2))


class TestCalibrationOnTheCard:
    TARGETS = ("K562", "HepG2", "WTC11")

    def read(self, **changes):
        return Calibration.from_card(CALIBRATION | changes, self.TARGETS)

    def test_is_read_and_what_else_it_says_is_left_alone(self):
        calibration = self.read(fitted_by="somebody", floor=0)
        assert (calibration.noise_scale, calibration.epistemic_scale) == (2.0, 0.5)
        assert (calibration.floor, calibration.targets) == (0.0, ("K562",))
        assert Calibration.from_card(None, self.TARGETS) is None

    @pytest.mark.parametrize(
        "broken",
        [
            {"noise_scale": -1},
            {"noise_scale": None},
            {"noise_scale": "much"},
            {"noise_scale": True},
            {"floor": math.nan},
            {"floor": math.inf},
            {"epistemic_scale": [1.0, 2.0]},
            {"targets": []},
            {"targets": "K562"},
            {"targets": ["K562", 5]},
            {"targets": ["K562", "HeLa"]},
            {"strands": 3},
            {"shifts": 0},
            {"shifts": []},
            {"shifts": [0.5]},
            {"version": 2},
        ],
    )
    def test_must_be_what_the_service_reads(self, broken):
        with pytest.raises(ModelContractError, match=rf"^calibration\.{next(iter(broken))}"):
            self.read(**broken)

    @pytest.mark.parametrize("missing", list(CALIBRATION))
    def test_must_be_complete(self, missing):
        block = {key: value for key, value in CALIBRATION.items() if key != missing}
        with pytest.raises(ModelContractError, match=rf"calibration\.{missing}: .*required"):
            Calibration.from_card(block, self.TARGETS)

    @pytest.mark.parametrize("block", ["calibrated", [], 1, True])
    def test_must_be_an_object(self, block):
        with pytest.raises(ModelContractError, match=r"^calibration: "):
            Calibration.from_card(block, self.TARGETS)

    @pytest.mark.parametrize(
        ("strands", "shifts", "applies"),
        [
            (2, (0,), (True, True, False)),
            (1, (0,), (False, False, False)),
            (2, (0, 5), (False, False, False)),
            (2, (5,), (False, False, False)),
        ],
    )
    def test_applies_to_its_targets_and_its_passes_only(self, strands, shifts, applies):
        calibration = self.read(targets=["HepG2", "K562"])
        assert calibration.applies_to(self.TARGETS, strands, shifts) == applies
        scales = calibration.scales(applies)
        for values, fitted, neutral in (
            (scales.noise_scale, 2.0, 1.0),
            (scales.epistemic_scale, 0.5, 1.0),
            (scales.floor, 0.25, 0.0),
        ):
            assert values.tolist() == [fitted if is_fitted else neutral for is_fitted in applies]


@given(seeds)
def test_rows_can_be_put_into_their_places(rng):
    part = effect_distribution(*outputs(rng), 0.9, None)
    whole = Effects.missing(5, 2)
    whole.put(np.array([4, 0, 2]), part)
    for name in NAMES:
        assert np.array_equal(getattr(whole, name)[[4, 0, 2]], getattr(part, name))
        assert np.isnan(getattr(whole, name)[[1, 3]]).all()


def test_a_coverage_as_near_to_one_as_floats_go_has_an_interval():
    rng = np.random.default_rng(0)
    # 0.5 + coverage / 2 used to round to 1, whose quantile is infinite.
    found = effect_distribution(*outputs(rng), 1 - 2**-53, None)
    assert np.isfinite(found.lower).all()
    assert (found.lower < found.effect).all()
