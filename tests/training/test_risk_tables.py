"""Risk against coverage: areas by hand, what orders are worth, and fits that must not be mixed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from service.mixture import Mixture
from training.datasets.cagi5 import ELEMENTS, GROUPS, locus_of
from training.evaluation.agreement import position_counts
from training.evaluation.risk_tables import GAINS, HALVES, halves, relative_area, risk
from training.evaluation.shape import Evidence

LOUD = "HBB"


def made(seed=0, *, n=3000, spread=None, sd=None, noise=None):
    """What the tables read of a judged set, and its resamples; errors are `noise` times normal."""
    rng = np.random.default_rng(seed)
    element = np.array([ELEMENTS[k % len(ELEMENTS)] for k in range(n)])
    locus = np.array([locus_of(name) for name in element])
    position = np.arange(n) // 45
    effect = rng.normal(0, 0.3, n)
    scale = rng.uniform(0.5, 2, n) if noise is None else noise(locus, rng)
    sd = scale if sd is None else sd(locus, scale)
    value = effect + rng.normal(0, 1, n) * scale
    epistemic, nothing = sd if spread is None else spread, np.full(n, np.nan)
    # What is judged is what was expected: the bare effect is not to be read.
    evidence = Evidence(nothing, epistemic, nothing, value, np.ones(n), locus)
    true = Mixture.normal(effect, sd)
    judged = SimpleNamespace(element=element, evidence=evidence, true=true, expected=effect)
    counts = position_counts(pd.DataFrame({"element": element, "pos": position}), 60, seed)
    return judged, counts


def by_hand(error, uncertain, counts):
    """Mean over the rows drawn of the mean error of it and the more certain ones, over the mean."""
    error, uncertain = (np.repeat(x, counts) for x in (error, uncertain))
    curve = [
        np.mean([*error[uncertain < at], own]) for at, own in zip(uncertain, error, strict=True)
    ]
    return np.mean(curve) / error.mean()


def test_areas_are_those_of_the_rows_that_were_drawn():
    rng = np.random.default_rng(0)
    error, uncertain = rng.exponential(size=60), rng.normal(size=60)
    counts = rng.poisson(1, (5, 60)).astype(float)
    parts = [np.arange(0, 25), np.arange(25, 60), np.arange(0)]
    found = relative_area(error, uncertain, counts, parts)
    assert found.value == pytest.approx(
        np.mean([by_hand(error[at], uncertain[at], 1) for at in parts[:2]])
    )
    expected = [
        np.mean([by_hand(error[at], uncertain[at], draw[at].astype(int)) for at in parts[:2]])
        for draw in counts
    ]
    np.testing.assert_allclose(found.draws, expected)


def test_a_part_that_a_resample_misses_is_left_out_of_it():
    error, uncertain = np.array([1.0, 3.0, 2.0, 2.0]), np.arange(4.0)
    counts = np.array([[1.0, 1, 0, 0], [0, 0, 0, 0]])
    found = relative_area(error, uncertain, counts, [np.arange(2), np.arange(2, 4)])
    assert found.draws[0] == pytest.approx((1 + 2) / 2 / 2)
    assert np.isnan(found.draws[1])
    assert np.isnan(relative_area(error, uncertain, counts, []).value)


def test_an_order_that_tells_of_errors_pays_and_a_random_one_does_not():
    telling, counts = made()
    silent, _ = made(sd=lambda _, scale: np.random.default_rng(1).permutation(scale))
    for judged, pays in ((telling, True), (silent, False)):
        whole, elements = risk(judged, counts)
        for row in (*whole.rows, *elements.rows):
            assert all(cell.low < cell.value < cell.high for cell in row[1:])
        for cell in whole.rows[0][1:]:
            assert (cell.high < 0.93) if pays else (0.93 < cell.value < 1.07)
        assert [row[0] for row in elements.rows] == list(ELEMENTS)
        alone = np.mean([row[1].value for row in elements.rows])
        assert whole.cell("predicted SD", "elements alone").value == pytest.approx(alone)


def test_fits_that_are_narrow_where_a_locus_is_loud_are_not_held_against_the_model():
    def noise(locus, rng):
        return np.where(locus == LOUD, 10, 1) * rng.uniform(0.5, 2, len(locus))

    def narrower(locus, scale):
        return np.where(locus == LOUD, 0.01, 1) * scale

    whole, _ = risk(*made(noise=noise, sd=narrower))
    assert whole.cell("predicted SD", "all, by SD").low > 1.1, "the bad number is shown"
    assert whole.cell("predicted SD", "all, by rank in its locus").value < 1
    assert whole.cell("predicted SD", "elements alone").high < 0.95


def test_one_member_has_no_spread_to_order_by():
    whole, elements = risk(*made(spread=np.full(3000, np.nan)))
    assert [row[0] for row in whole.rows] == ["predicted SD"]
    assert elements.columns == ("element", "predicted SD")


def test_halves_are_paired():
    judged, counts = made()
    kept, gains = halves(judged, counts)
    assert (kept.title, gains.title) == (HALVES, GAINS)
    for group in GROUPS:
        by_effect = kept.cell("larger |expected|", group)
        # SDs of this set say nothing of |expected|: p_sign sees both, SD alone the error.
        for label in ("everything", "larger p_sign", "smaller SD"):
            whole, gain = kept.cell(label, group), gains.cell(label, group)
            assert gain.value == pytest.approx(whole.value - by_effect.value)
            assert gain.low < gain.value < gain.high
        # Of the same variants: an interval of the difference that is narrower than were they not.
        p_sign, gain = kept.cell("larger p_sign", group), gains.cell("larger p_sign", group)
        apart = np.hypot(p_sign.high - p_sign.low, by_effect.high - by_effect.low)
        assert gain.high - gain.low < apart
    assert gains.cell("smaller SD", "all (15)").low > -0.2
    # Here the SD tells of the noise: the more certain half agrees better with its measurements.
    everything = kept.cell("everything", "all (15)").value
    for label in ("smaller SD", "smaller SD for its |expected|"):
        assert kept.cell(label, "all (15)").low > everything
