"""Calibration: known scales come back, intervals hold on unseen loci, and fools are not fitted."""

import numpy as np
import pytest

from service.effects import Calibration, effect_distribution
from training.evaluation.calibrate import NOMINAL, Parts, Scales, coverage, fit_scales


def simulated(scales: Scales, seed: int = 0, n: int = 4000) -> Parts:
    rng = np.random.default_rng(seed)
    empty = np.zeros(n)
    locus = np.array([f"locus{i % 8}" for i in range(n)])
    parts = Parts(empty, rng.gamma(2.0, 0.1, n), rng.gamma(4.0, 0.2, n), locus)
    return Parts(rng.normal(0, parts.sd(scales)), parts.spread, parts.noise, locus)


@pytest.mark.parametrize(
    "truth",
    [
        Scales(noise_scale=0.3, epistemic_scale=2.0, floor=0.05),
        Scales(noise_scale=0.05, epistemic_scale=1.0, floor=0.3),
    ],
)
def test_known_scales_give_the_known_widths(truth):
    # Single scales trade against each other; the widths they make together are what is used.
    parts = simulated(truth)
    np.testing.assert_allclose(parts.sd(fit_scales(parts)), parts.sd(truth), rtol=0.2)


def test_coverage_is_nominal_on_loci_the_fit_has_not_seen():
    parts = simulated(Scales(noise_scale=0.2, epistemic_scale=1.5, floor=0.1))
    seen = parts.locus < "locus5"
    covered = coverage(parts.where(~seen), fit_scales(parts.where(seen)))
    np.testing.assert_allclose(covered, NOMINAL, atol=0.04)


def test_every_locus_weighs_the_same_however_many_variants_it_has():
    parts = simulated(Scales(noise_scale=0.0, epistemic_scale=0.0, floor=0.2), n=800)
    big = np.repeat(np.flatnonzero(parts.locus == "locus0"), 50)
    rows = np.concatenate([np.arange(800), big])
    repeated = Parts(*(getattr(parts, name)[rows] for name in Parts.__slots__))
    once, often = fit_scales(parts), fit_scales(repeated)
    np.testing.assert_allclose(parts.sd(once), parts.sd(often), rtol=0.01)


def test_the_service_applies_the_formula_that_was_fitted():
    rng = np.random.default_rng(1)
    scales = Scales(noise_scale=0.3, epistemic_scale=2.0, floor=0.05)
    mu = rng.normal(size=(5, 2, 2, 3, 1))
    sigma = rng.gamma(4.0, 0.2, size=mu.shape)
    raw = effect_distribution(mu, sigma, 0.9, None)
    calibration = Calibration(scales.noise_scale, scales.epistemic_scale, scales.floor)
    served = effect_distribution(mu, sigma, 0.9, calibration)
    spread = np.hypot(raw.epistemic, raw.representation)[:, 0]
    parts = Parts(np.zeros(5), spread, raw.aleatoric[:, 0], np.array(["x"] * 5))
    np.testing.assert_allclose(served.sd[:, 0], parts.sd(scales), rtol=1e-10)
