"""A mixture of two normals: quantiles undo the cdf, moments and scores are those of its draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from service.mixture import Mixture, crps

numbers = st.floats(-3, 3, allow_nan=False)
widths = st.floats(0.01, 5)


@st.composite
def mixtures(draw, shape=(4,)):
    def array(elements, size):
        return np.array(draw(st.lists(elements, min_size=size, max_size=size)))

    n = int(np.prod(shape))
    return Mixture(
        array(st.floats(0, 1), n).reshape(shape),
        array(numbers, 2 * n).reshape(2, *shape),
        array(widths, 2 * n).reshape(2, *shape),
    )


@given(mixtures(), st.floats(1e-6, 0.49))
def test_quantiles_undo_the_cdf(mixture, tail):
    lower, upper = mixture.tails(np.full(4, tail))
    np.testing.assert_allclose(mixture.cdf(lower), tail, atol=1e-9)
    np.testing.assert_allclose(mixture.cdf(upper), 1 - tail, atol=1e-9)
    assert (lower <= upper).all()


@given(mixtures(), st.floats(1e-6, 0.49))
def test_mirroring_swaps_the_tails(mixture, tail):
    mirrored = Mixture(mixture.weight, -mixture.mean, mixture.sd)
    lower, upper = mixture.tails(np.full(4, tail))
    np.testing.assert_allclose(mirrored.tails(np.full(4, tail)), (-upper, -lower))
    np.testing.assert_allclose(mirrored.above_zero(), 1 - mixture.above_zero(), atol=1e-12)


def test_moments_density_and_score_are_those_of_its_draws():
    mixture = Mixture(np.array([0.3]), np.array([[0.5], [-1.0]]), np.array([[0.2], [2.0]]))
    rng = np.random.default_rng(0)
    wide = rng.random(400_000) < 0.3
    draws = np.where(wide, rng.normal(-1.0, 2.0, wide.size), rng.normal(0.5, 0.2, wide.size))
    assert mixture.expectation == pytest.approx(draws.mean(), abs=0.01)
    assert mixture.total_sd == pytest.approx(draws.std(), rel=0.01)
    assert mixture.above_zero() == pytest.approx((draws > 0).mean(), abs=0.005)
    value = np.array([0.4])
    half = len(draws) // 2
    spread = np.abs(draws[:half] - draws[half:]).mean()
    assert crps(value, mixture) == pytest.approx(np.abs(draws - 0.4).mean() - spread / 2, abs=0.01)
    area, _ = integrate.quad(
        lambda x: float(mixture.density(np.array([x]))[0]), -30, 0.4, points=[-1, 0, 0.4]
    )
    assert mixture.cdf(value) == pytest.approx(area, abs=1e-6)


def test_one_normal_is_itself():
    mean, sd = np.array([0.5, -2.0]), np.array([0.1, 3.0])
    mixture, normal = Mixture.normal(mean, sd), stats.norm(mean, sd)
    np.testing.assert_allclose(mixture.tails(np.full(2, 0.05)), normal.ppf([[0.05], [0.95]]))
    np.testing.assert_allclose(mixture.total_sd, sd)
    np.testing.assert_allclose(mixture.widened(4.0).total_sd, np.hypot(sd, 4.0))
    # A normal's score in closed form: Gneiting and Raftery, JASA 2007, eq. 21.
    z = (1.0 - mean) / sd
    by_hand = sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    np.testing.assert_allclose(crps(np.array([1.0, 1.0]), mixture), by_hand)


def test_the_true_distribution_scores_best():
    rng = np.random.default_rng(1)
    n = 20_000
    truth = Mixture(np.full(n, 0.2), np.zeros((2, n)), np.array([[0.1], [1.0]]) * np.ones(n))
    value = np.where(rng.random(n) < 0.2, rng.normal(0, 1.0, n), rng.normal(0, 0.1, n))
    best = crps(value, truth).mean()
    for other in (Mixture.normal(np.zeros(n), np.full(n, value.std())), truth.widened(0.2)):
        assert crps(value, other).mean() > best * 1.01


def test_what_is_unknown_stays_unknown_and_a_point_is_a_point():
    mixture = Mixture.normal(np.array([1.0, 1.0]), np.array([np.nan, 0.0]))
    with np.errstate(invalid="ignore", divide="ignore"):
        lower, upper = mixture.tails(np.full(2, 0.05))
    assert np.isnan(lower[0])
    assert np.isnan(upper[0])
    assert lower[1] == upper[1] == 1.0
