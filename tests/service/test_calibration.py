"""The calibration of a card: read strictly, applied to its targets and passes only."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.calibration import Calibration, Shape
from service.errors import ModelContractError
from tests.toy_models import CALIBRATION

TARGETS = ("K562", "HepG2", "WTC11")
SHAPE = CALIBRATION["shape"]


def read(**changes):
    return Calibration.from_card(CALIBRATION | changes, TARGETS)


def test_is_read_and_what_else_it_says_is_left_alone():
    calibration = read(fitted_by="somebody")
    assert calibration.shape.large_sd == 0.8
    assert (calibration.assay_sd, calibration.targets) == (0.05, ("K562",))
    assert Calibration.from_card(None, TARGETS) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"shape": SHAPE | {"small_sd": 0.0}},
        {"shape": SHAPE | {"small_slope": -1.0}},
        {"shape": SHAPE | {"by_effect": math.nan}},
        {"shape": SHAPE | {"intercept": "low"}},
        {"shape": SHAPE | {"effect_floor": True}},
        {"shape": {}},
        {"shape": None},
        {"nominal": []},
        {"nominal": [0.9, 0.5]},
        {"nominal": [0.5, 1.0]},
        {"level": [0.5]},
        {"level": [0.5, 0.5]},
        {"level": [0.0, 0.5]},
        {"noise_correlation": {"K562": 1.5}},
        {"assay_sd": 0.0},
        {"assay_sd": math.inf},
        {"assay": None},
        {"targets": []},
        {"targets": "K562"},
        {"targets": ["K562", 5]},
        {"targets": ["K562", "HeLa"]},
        {"strands": 3},
        {"shifts": 0},
        {"shifts": []},
        {"shifts": [0.5]},
        {"version": 1},
    ],
)
def test_must_be_what_the_service_reads(broken):
    with pytest.raises(ModelContractError, match=rf"^calibration\.{next(iter(broken))}"):
        read(**broken)


def test_an_entry_of_another_version_is_told_what_to_do():
    with pytest.raises(ModelContractError, match=r"reads 2: .*varsigma-train calibrate"):
        Calibration.from_card({"version": 1, "noise_scale": 1.0}, TARGETS)


@pytest.mark.parametrize("missing", list(CALIBRATION))
def test_must_be_complete(missing):
    block = {key: value for key, value in CALIBRATION.items() if key != missing}
    with pytest.raises(ModelContractError, match=rf"calibration\.{missing}: .*required"):
        Calibration.from_card(block, TARGETS)


@pytest.mark.parametrize("block", ["calibrated", [], 1, True])
def test_must_be_an_object(block):
    with pytest.raises(ModelContractError, match=r"^calibration: "):
        Calibration.from_card(block, TARGETS)


@pytest.mark.parametrize(
    ("strands", "shifts", "applies"),
    [
        (2, (0,), (True, True, False)),
        (1, (0,), (False, False, False)),
        (2, (0, 5), (False, False, False)),
        (2, (5,), (False, False, False)),
    ],
)
def test_applies_to_its_targets_and_its_passes_only(strands, shifts, applies):
    assert read(targets=["HepG2", "K562"]).applies_to(TARGETS, strands, shifts) == applies


def test_the_distribution_by_hand():
    effect, spread = np.array([-0.08, 0.0]), np.array([0.04, np.nan])
    found = Shape(**SHAPE).distribution(effect, spread, np.full(2, np.nan))
    odds = -1 + 0.5 * math.log(0.1) + 0.25 * math.log(0.05)
    factor = 0.05**0.125
    assert found.weight[0] == pytest.approx(1 / (1 + math.exp(-odds)))
    assert found.mean[:, 0] == pytest.approx([-0.04, -0.16])
    assert found.sd[:, 0] == pytest.approx([0.1 * factor, 0.8 * factor])
    # Without members to disagree, nothing follows from their spread.
    assert found.weight[1] == pytest.approx(1 / (1 + math.exp(1 - 0.5 * math.log(0.02))))
    assert found.sd[:, 1] == pytest.approx([0.1, 0.8])
    # Where nothing is predicted the components lie at their centres, and nothing else changes.
    lopsided = Shape(**SHAPE | {"small_centre": 0.01, "large_centre": -0.2})
    aside = lopsided.distribution(effect, spread, np.full(2, np.nan))
    np.testing.assert_allclose(aside.mean - found.mean, [[0.01, 0.01], [-0.2, -0.2]])
    np.testing.assert_array_equal(aside.weight, found.weight)
    np.testing.assert_array_equal(aside.sd, found.sd)
    # What hiding does moves the effect that all else follows from; where nothing was hidden, none.
    hides = Shape(**SHAPE | {"by_occlusion": 0.5})
    moved = hides.distribution(effect - 0.3, spread, np.array([0.6, 0.6]))
    still = hides.distribution(effect, spread, np.full(2, np.nan))
    for name in ("weight", "mean", "sd"):
        np.testing.assert_allclose(getattr(moved, name), getattr(found, name))
        np.testing.assert_array_equal(getattr(still, name), getattr(found, name))


@pytest.mark.parametrize(
    ("by_occlusion", "n_occluded"), [(0.4, 0), (0.4, 6), (0.0, 7), (0.4, -7), (0.4, 7.0)]
)
def test_bases_are_hidden_where_that_is_read_and_nowhere_else(by_occlusion, n_occluded):
    shape = SHAPE | {"by_occlusion": by_occlusion}
    with pytest.raises(ModelContractError, match="n_occluded"):
        read(shape=shape, n_occluded=n_occluded)
    with pytest.raises(ModelContractError, match="n_occluded"):
        read(shape=SHAPE | {"by_occlusion": 0.4})  # does not say how many
    assert read(shape=SHAPE | {"by_occlusion": 0.4}, n_occluded=7).n_occluded == 7
    assert read().n_occluded == 0


def test_levels_are_met_where_stored_and_reach_nothing_and_everything():
    calibration = read()
    assert calibration.miss(0.5) == pytest.approx(0.6)
    assert calibration.miss(0.9) == pytest.approx(0.05)
    assert calibration.miss(0.7) == pytest.approx((0.6 + 0.05) / 2)
    assert calibration.miss(0.95) == pytest.approx(0.025)
    assert 0 < calibration.miss(1 - 2**-53) < 1e-15


@given(st.floats(1e-6, 1 - 1e-6), st.floats(1e-6, 1 - 1e-6))
def test_more_coverage_leaves_less_outside(one, other):
    calibration = read()
    low, high = sorted((one, other))
    assert calibration.miss(high) <= calibration.miss(low) + 1e-15
    assert 0 < calibration.miss(one) < 1
