"""The fitted distribution: a known one comes back, and unseen loci get the promised share."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from service.calibration import Shape
from service.mixture import crps
from training.evaluation import shape as module
from training.evaluation.shape import (
    NOMINAL,
    Evidence,
    conformal_levels,
    expected_without_each,
    fit_shape,
    fit_without_each,
    unseen_scores,
)

TRUTH = Shape(
    small_slope=0.4,
    large_slope=2.0,
    small_sd=0.1,
    large_sd=0.7,
    intercept=1.0,
    by_effect=0.8,
    by_spread=0.0,
    sd_by_spread=0.0,
    effect_floor=0.02,
    spread_floor=0.01,
)
HIDES = TRUTH.model_copy(update={"by_occlusion": 0.4})
LOPSIDED = HIDES.model_copy(update={"small_centre": 0.03, "large_centre": -0.4})


def simulated(seed=0, n=4000, error=0.05, loci=8, members=True, shape=TRUTH):
    rng = np.random.default_rng(seed)
    effect = rng.normal(0, 0.1, n)
    spread = rng.gamma(2.0, 0.02, n) if members else np.full(n, np.nan)
    occlusion = np.full(n, np.nan)
    if shape.by_occlusion:
        occlusion = 0.5 * effect + rng.normal(0, 0.1, n)
    mixture = shape.distribution(effect, spread, occlusion)
    wide = (rng.random(n) < mixture.weight).astype(int)
    rows = np.arange(n)
    true = rng.normal(mixture.mean[wide, rows], mixture.sd[wide, rows])
    errors = rng.uniform(0.5, 1.5, n) * error
    locus = np.array([f"locus{k % loci}" for k in range(n)])
    return Evidence(effect, spread, occlusion, true + rng.normal(0, errors), errors, locus)


@pytest.mark.parametrize("members", [True, False])
def test_a_known_distribution_comes_back(members):
    evidence = simulated(members=members)
    found = fit_shape(evidence)
    assert found.large_slope == pytest.approx(TRUTH.large_slope, rel=0.25)
    said, truth = (evidence.true(s) for s in (found, TRUTH))
    np.testing.assert_allclose(said.weight, truth.weight, atol=0.06)
    np.testing.assert_allclose(said.sd.mean(axis=1), truth.sd.mean(axis=1), rtol=0.1)
    if not members:
        assert found.by_spread == found.sd_by_spread == 0
    assert found.by_occlusion == 0, "nobody asked"


@pytest.mark.parametrize("members", [True, False])
def test_what_hiding_tells_comes_back_and_makes_the_distribution_better(members):
    evidence = simulated(members=members, shape=HIDES)
    found = fit_shape(evidence)
    assert found.by_occlusion == pytest.approx(HIDES.by_occlusion, abs=0.05)
    assert found.large_slope == pytest.approx(HIDES.large_slope, rel=0.25)
    again = fit_shape(evidence, found)
    assert again.by_occlusion == pytest.approx(found.by_occlusion, abs=0.02), "a start is one"
    unread = replace(evidence, occlusion=np.full(len(evidence.value), np.nan))
    without = crps(evidence.value, unread.measured(fit_shape(unread))).mean()
    assert crps(evidence.value, evidence.measured(found)).mean() < 0.995 * without
    useless = np.random.default_rng(1).permutation(evidence.occlusion)
    assert abs(fit_shape(replace(evidence, occlusion=useless)).by_occlusion) < 0.1
    blind = fit_shape(evidence.blind())
    assert blind.by_occlusion == 0, "measurements alone say nothing of a model"


@pytest.mark.parametrize("members", [True, False])
def test_where_effects_lie_that_nobody_foresaw_comes_back_and_both_tails_hold(members):
    evidence = simulated(members=members, shape=LOPSIDED, n=8000)
    found = fit_shape(evidence)
    assert found.large_centre == pytest.approx(LOPSIDED.large_centre, abs=0.08)
    assert found.small_centre == pytest.approx(LOPSIDED.small_centre, abs=0.01)
    assert found.by_occlusion == pytest.approx(LOPSIDED.by_occlusion, abs=0.05)
    again = fit_shape(evidence, found)
    assert again.large_centre == pytest.approx(found.large_centre, abs=0.02), "a start is one"
    even = fit_shape(evidence, about_zero=True)
    assert even.small_centre == even.large_centre == 0
    tails = [evidence.measured(shape).cdf(evidence.value) for shape in (found, even)]
    # Losses that a distribution about zero did not expect, and gains that did not come.
    for share in ((tails[0] < 0.05).mean(), (tails[0] > 0.95).mean()):
        assert share == pytest.approx(0.05, abs=0.012)
    assert (tails[1] < 0.05).mean() > 0.065
    assert (tails[1] > 0.95).mean() < 0.045
    if members:
        assert abs(fit_shape(simulated()).large_centre) < 0.08, "none where there is none"


@pytest.mark.parametrize("far", [0, 1])
@pytest.mark.parametrize("about_zero", [True, False])
@pytest.mark.parametrize("kind", ["members", "one member", "no model"])
def test_the_slope_of_the_likelihood_is_its_slope(monkeypatch, kind, about_zero, far):
    evidence = simulated(n=400, members=kind == "members", shape=LOPSIDED)
    if kind == "no model":
        evidence = evidence.blind()
    found = []

    def search(loss, x, **_):
        rng = np.random.default_rng(0)
        for _ in range(3):
            # Far off as well, where measurements are all but impossible under either component.
            at = x + rng.normal(0, 0.1, len(x)) - np.repeat([0, 4, 0], [2, 2, len(x) - 4]) * far
            found.append((loss(at)[1], approx_fprime(at, lambda y: loss(y)[0], 1e-6)))
        return SimpleNamespace(success=True, fun=0.0, x=x)

    monkeypatch.setattr(module, "minimize", search)
    fit_shape(evidence, about_zero=about_zero)
    assert len(found) == 9  # three starts
    for slope, wanted in found:
        np.testing.assert_allclose(slope, wanted, atol=1e-4 * (2 + np.abs(wanted).max()))


def test_what_is_expected_is_of_the_fit_without_the_locus():
    evidence = simulated(n=60, loci=3, shape=HIDES)
    effects = SimpleNamespace(
        effect=evidence.effect, epistemic=evidence.epistemic, occlusion=evidence.occlusion
    )
    effects.effect[7] = np.nan
    shapes = {
        name: HIDES.model_copy(update={"large_slope": slope, "small_slope": slope})
        for name, slope in zip(evidence.loci, (1.0, 2.0, 3.0), strict=True)
    }
    found = expected_without_each(effects, evidence.locus, shapes)
    slope = np.array([shapes[name].large_slope for name in evidence.locus])
    wanted = slope * (evidence.effect + HIDES.by_occlusion * evidence.occlusion)
    np.testing.assert_allclose(found, wanted)
    assert np.isnan(found).tolist() == [row == 7 for row in range(60)]
    with pytest.raises(KeyError):
        expected_without_each(effects, evidence.locus, {"locus0": HIDES})


def test_a_noisy_measurement_is_not_taken_for_an_effect():
    # The same truth, measured badly: the distribution of the true effect stays as narrow.
    noisy = fit_shape(simulated(error=0.3, n=16_000))
    assert noisy.small_sd == pytest.approx(TRUTH.small_sd, rel=0.35)
    blind = simulated(error=0.3)
    blind = replace(blind, error=np.full_like(blind.error, 1e-3))
    assert fit_shape(blind).small_sd > 2 * TRUTH.small_sd


def test_loci_that_a_fit_has_not_seen_get_the_share_they_were_promised():
    evidence = simulated(loci=6)
    seen = evidence.where(evidence.locus != "locus0")
    other = evidence.where(evidence.locus == "locus0")
    scores = unseen_scores(seen, fit_without_each(seen))
    levels = conformal_levels(scores, seen.weight)
    inside = other.score(fit_shape(seen))[:, None] <= np.array(levels)
    np.testing.assert_allclose(inside.mean(axis=0), NOMINAL, atol=0.06)


def test_levels_mend_a_distribution_of_the_wrong_width():
    evidence = simulated()
    narrow = TRUTH.model_copy(update={"small_sd": 0.05, "large_sd": 0.35})
    score = evidence.score(narrow)
    half = np.arange(len(score)) % 2 == 0
    assert np.mean(score[~half] <= 0.9) < 0.82
    levels = conformal_levels(score[half], evidence.weight[half], (0.5, 0.9))
    np.testing.assert_allclose(np.mean(score[~half, None] <= levels, axis=0), [0.5, 0.9], atol=0.03)


def test_levels_rise_even_where_scores_tie():
    levels = conformal_levels(
        np.array([0.0, 0.5, 0.5, 1.0]), np.ones(4), (0.1, 0.4, 0.6, 0.9, 0.99)
    )
    assert all(0 < low < high < 1 for low, high in pairwise(levels))


def test_every_locus_weighs_the_same_however_many_variants_it_has():
    evidence = simulated(n=800)
    big = np.repeat(np.flatnonzero(evidence.locus == "locus0"), 30)
    rows = np.concatenate([np.arange(800), big])
    often = Evidence(*(getattr(evidence, name)[rows] for name in Evidence.__slots__))
    once, again = fit_shape(evidence), fit_shape(often)
    score = [crps(evidence.value, evidence.measured(s)).mean() for s in (once, again)]
    assert score[1] == pytest.approx(score[0], rel=0.01)
    assert once.small_sd == pytest.approx(again.small_sd, rel=0.1)


def test_without_a_model_one_shape_fits_all_and_says_less():
    evidence = simulated()
    blind = evidence.blind()
    shape = fit_shape(blind, about_zero=True)
    said = blind.measured(shape)
    assert np.ptp(said.weight) < 1e-6
    assert (said.mean == 0).all()
    assert np.mean(np.abs(2 * said.cdf(blind.value) - 1) <= 0.9) == pytest.approx(0.9, abs=0.02)
    ours = crps(evidence.value, evidence.measured(fit_shape(evidence))).mean()
    assert ours < 0.97 * crps(blind.value, said).mean()


def test_a_start_that_does_not_converge_is_passed_over_and_none_is_an_error(monkeypatch):
    evidence = simulated(n=200)
    good = np.array([*np.log([0.5, 2.0, 0.1, 0.6]), -1.0, *np.zeros(5)])
    # The best value comes from a search that was cut short, by either way of it: it is no result.
    short, *results = [
        SimpleNamespace(success=False, fun=-9.0, x=good * 0, message="cut short"),
        SimpleNamespace(success=True, fun=-2.0, x=good),
        SimpleNamespace(success=True, fun=-1.0, x=good * 0),
    ]
    answers = iter([short, short, *results, *[short] * 6])
    monkeypatch.setattr(module, "minimize", lambda *_, **__: next(answers))
    assert fit_shape(evidence).small_slope == pytest.approx(0.5)
    with pytest.raises(RuntimeError, match="did not converge: cut short"):
        fit_shape(evidence)
