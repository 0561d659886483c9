"""Measured effects -> the distribution of a true effect given what a model says.

The likelihood is of measured effects: the distribution of the true effect widened by the standard
error of each measurement. So a noisy measurement does not pass for an effect that the model missed,
and what is fitted is the distribution of the effect itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from scipy.special import logsumexp
from scipy.stats import norm

from service.calibration import Shape
from service.effects import Effects
from service.mixture import Mixture
from training.evaluation.metrics import Floats

NOMINAL = (0.05, *(n / 10 for n in range(1, 9)), 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
"""Central probabilities whose levels are stored."""
_RIDGE = 1e-3
"""On what weight and SDs owe to one SD of a feature, so that none drifts along a flat valley."""
_TOLERANCE = 1e-8
"""Relative, of the mean log-likelihood: far below what one measurement of 10,000 adds to it."""
_FEATURES = [0, 1, 1]
"""Feature that each dependence is on: weight on effect and spread, SDs on spread."""
_STARTS = ((1.0, 2.0, 0.2, 1.0, -1.0), (0.3, 3.0, 0.1, 2.0, -2.0), (1.0, 1.0, 0.3, 3.0, 0.0))
"""Slopes, SDs in units of the typical deviation, and log-odds of the wide component."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a model says of n measured effects, and what was measured; log2 units.

    Attributes:
      effect: (n,) predicted effect.
      epistemic: (n,) SD over the members; all NaN where there is one member.
      occlusion: (n,) predicted effect of hiding what lies around; all NaN where nobody asked.
      value: (n,) measured effect.
      error: (n,) standard error of the measurement.
      locus: (n,) where each was measured; the two TERT sets are one locus.
    """

    effect: Floats
    epistemic: Floats
    occlusion: Floats
    value: Floats
    error: Floats
    locus: NDArray[np.str_]

    def where(self, rows: NDArray[np.bool_]) -> Self:
        """The rows marked."""
        return type(self)(*(getattr(self, name)[rows] for name in self.__slots__))

    @property
    def loci(self) -> list[str]:
        """Names of the loci, sorted."""
        return sorted(set(self.locus.tolist()))

    @property
    def weight(self) -> Floats:
        """(n,) of each measurement in a fit: every locus the same, however many it has."""
        _, locus, size = np.unique(self.locus, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / size[locus] / len(size), np.float64)

    def measured(self, shape: Shape) -> Mixture:
        """Distribution of each measurement: of the true effect, and of the error on top."""
        return self.true(shape).widened(self.error)

    def true(self, shape: Shape) -> Mixture:
        """Distribution of each true effect."""
        return shape.distribution(self.effect, self.epistemic, self.occlusion)

    def blind(self) -> Self:
        """The measurements alone: as a model would have it that says nothing of any variant."""
        nothing = np.zeros(len(self.value))
        unknown = nothing * np.nan
        return replace(self, effect=nothing, epistemic=unknown, occlusion=unknown)

    def score(self, shape: Shape) -> Floats:
        """(n,) central probability at which each measurement is at the edge of the interval."""
        return np.abs(2 * self.measured(shape).cdf(self.value) - 1)


def fit_shape(evidence: Evidence, start: Shape | None = None, *, about_zero: bool = False) -> Shape:
    """Maximise the likelihood of the measurements, every locus with the same weight.

    Args:
      evidence: n measured effects.
      start: where to look first, and only there if that converges; None looks from several places.
      about_zero: whether both components have their mean at 0 where no effect is predicted.

    Raises:
      RuntimeError: the optimiser converges from no start.
    """
    problem = _Problem.of(evidence, start, 0 if about_zero else 2)
    found = [problem.search(problem.inverse(start))] if start is not None else []
    if not any(result.success for result in found):
        found += [problem.search(x) for x in problem.starts()]
    converged = [result for result in found if result.success]
    if not converged:
        raise RuntimeError(f"the calibration did not converge: {found[0].message}")
    return problem.shape_of(min(converged, key=lambda result: float(result.fun)).x)


@dataclass(frozen=True, slots=True)
class _Problem:
    """The likelihood as a function of one vector x, within the bounds of `search`.

    x (5 + n_dependences + reads_occlusion + n_centres,), in this order: log slopes of both
    components; log of the narrow SD, and of what the wide one has more; log-odds of the wide one;
    what weight and SDs owe to one SD of a feature; share of the effect of hiding; centres. SDs and
    log-odds are those of a variant whose features are average.

    Attributes:
      evidence: n measured effects.
      floors: of the sizes of effect and epistemic SD, log2 units.
      spread: (n,) log of the epistemic SD; 0 without members.
      feature_mean: (2,) of log size and spread.
      feature_sd: (2,) of the same.
      n_dependences: of weight and SDs on features, of three.
      reads_occlusion: whether anything was hidden.
      n_centres: 2, or 0 where both components lie about zero.
      typical: root mean square of the measured effects, log2 units.
    """

    evidence: Evidence
    floors: tuple[float, float]
    spread: Floats
    feature_mean: Floats
    feature_sd: Floats
    n_dependences: int
    reads_occlusion: bool
    n_centres: int
    typical: float

    @classmethod
    def of(cls, evidence: Evidence, start: Shape | None, n_centres: int) -> Self:
        has_members = _has(evidence)
        floors = (
            max(float(np.median(np.abs(evidence.effect))) / 2, 1e-6),
            max(float(np.nanmedian(evidence.epistemic)) / 4, 1e-6) if has_members else 1.0,
        )
        if start is not None:
            floors = (start.effect_floor, start.spread_floor)
        weight, size = evidence.weight, np.log(np.abs(evidence.effect) + floors[0])
        spread = np.log(evidence.epistemic + floors[1]) if has_members else np.zeros(len(size))
        return cls(
            evidence=evidence,
            floors=floors,
            spread=spread,
            feature_mean=np.array([weight @ size, weight @ spread]),
            feature_sd=np.array([float(np.std(x)) or 1.0 for x in (size, spread)]),
            # A model that says nothing has no feature, one without members one of three.
            n_dependences=0 if np.ptp(size) == 0 else 3 if has_members else 1,
            reads_occlusion=bool(np.isfinite(evidence.occlusion).any()),
            n_centres=n_centres,
            typical=max(float(np.sqrt(weight @ np.square(evidence.value))), 1e-6),
        )

    def starts(self) -> list[Floats]:
        rest = np.zeros(self.n_dependences + self.reads_occlusion + self.n_centres)
        return [
            np.array([*np.log([a, b, c * self.typical, d * self.typical]), odds, *rest])
            for a, b, c, d, odds in _STARTS
        ]

    def shape_of(self, x: Floats) -> Shape:
        slopes, sds, odds = np.exp(x[:2]), np.exp(x[2:4]), x[4]
        n, dependence, mean = self.n_dependences, np.zeros(3), self.feature_mean
        dependence[:n] = x[5 : 5 + n] / self.feature_sd[_FEATURES[:n]]
        centres = x[len(x) - self.n_centres :] if self.n_centres else np.zeros(2)
        return Shape(
            small_slope=float(slopes[0]),
            large_slope=float(slopes[1]),
            small_sd=float(sds[0] * np.exp(-dependence[2] * mean[1])),
            # The wide one is at least as wide, so that the two cannot change places.
            large_sd=float((sds[0] + sds[1]) * np.exp(-dependence[2] * mean[1])),
            intercept=float(odds - dependence[:2] @ mean),
            by_effect=float(dependence[0]),
            by_spread=float(dependence[1]),
            sd_by_spread=float(dependence[2]),
            effect_floor=self.floors[0],
            spread_floor=self.floors[1],
            by_occlusion=float(x[5 + n]) if self.reads_occlusion else 0.0,
            small_centre=float(centres[0]),
            large_centre=float(centres[1]),
        )

    def inverse(self, shape: Shape) -> Floats:
        dependence = np.array([shape.by_effect, shape.by_spread, shape.sd_by_spread])
        factor = np.exp(dependence[2] * self.feature_mean[1])
        narrow, wide = shape.small_sd * factor, (shape.large_sd - shape.small_sd) * factor
        return np.concatenate(
            [
                np.log(np.maximum([shape.small_slope, shape.large_slope], 1e-4)),
                np.log([narrow, max(wide, 1e-6)]),
                [shape.intercept + dependence[:2] @ self.feature_mean],
                (dependence * self.feature_sd[_FEATURES])[: self.n_dependences],
                [shape.by_occlusion] * self.reads_occlusion,
                [shape.small_centre, shape.large_centre][: self.n_centres],
            ]
        )

    def loss(self, x: Floats) -> tuple[float, Floats]:
        """Negative log-likelihood and ridge, and their derivative by each element of x."""
        evidence, weight, shape = self.evidence, self.evidence.weight, self.shape_of(x)
        occlusion = np.nan_to_num(evidence.occlusion)
        effect = shape.corrected(evidence.effect, evidence.occlusion)
        true = evidence.true(shape)
        measured = true.widened(evidence.error)
        z = (evidence.value - measured.mean) / measured.sd
        with np.errstate(divide="ignore"):  # a weight of 0 has a logarithm of its own
            log_weight = np.log(np.stack([1 - measured.weight, measured.weight]))
        log_part = log_weight + norm.logpdf(z) - np.log(measured.sd)
        log_density = logsumexp(log_part, axis=0)
        # Probability that a measurement is of each component, times its weight in the fit.
        belongs = weight * np.exp(log_part - log_density)
        # Derivatives of the log-likelihood of each measurement, by the log-odds, and by the mean
        # and the log SD of the true effect in each component.
        to_odds = belongs[1] - weight * measured.weight
        to_mean = belongs * z / measured.sd
        to_log_sd = belongs * (z**2 - 1) * (true.sd / measured.sd) ** 2
        slopes = np.array([shape.small_slope, shape.large_slope])
        size = np.abs(effect) + self.floors[0]
        to_effect = slopes @ to_mean + to_odds * shape.by_effect * np.sign(effect) / size
        features = np.stack([np.log(size), self.spread, self.spread])
        features -= self.feature_mean[_FEATURES, None]
        to_dependence = np.stack([to_odds, to_odds, to_log_sd.sum(axis=0)]) * features
        narrow, to_sd = shape.small_sd / shape.large_sd, to_log_sd.sum(axis=1)
        gain = np.concatenate(
            [
                slopes * (to_mean @ effect),
                [to_sd[0] + narrow * to_sd[1], (1 - narrow) * to_sd[1]],
                [to_odds.sum()],
                (to_dependence.sum(axis=1) / self.feature_sd[_FEATURES])[: self.n_dependences],
                [to_effect @ occlusion] * self.reads_occlusion,
                to_mean.sum(axis=1)[: self.n_centres],
            ]
        )
        ridged = np.zeros(len(x))
        ridged[5 : 5 + self.n_dependences] = x[5 : 5 + self.n_dependences]
        value = float(-weight @ log_density + _RIDGE * ridged @ ridged)
        return value, np.asarray(2 * _RIDGE * ridged - gain, np.float64)

    def value(self, x: Floats) -> float:
        return self.loss(x)[0]

    def search(self, x: Floats) -> OptimizeResult:
        bounds = (
            [(-9.0, 5.0)] * 4
            + [(-12.0, 12.0)] * (1 + self.n_dependences)
            # Beyond the whole effect of hiding, either way, it would be no share of it.
            + [(-2.0, 2.0)] * self.reads_occlusion
            # Farther off, a centre would be an effect of its own.
            + [(-3.0 * self.typical, 3.0 * self.typical)] * self.n_centres
        )
        found = minimize(
            self.loss,
            x,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": _TOLERANCE},
        )
        if found.success:
            return found
        # The slope jumps where an effect changes its sign, at which a search along it may stop
        # short: differences look across.
        return minimize(
            self.value,
            np.asarray(found.x, np.float64),
            jac="3-point",
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": _TOLERANCE},
        )


def fit_without_each(evidence: Evidence) -> dict[str, Shape]:
    """{locus: shape fitted to all the others}."""
    return {locus: fit_shape(evidence.where(evidence.locus != locus)) for locus in evidence.loci}


def unseen_scores(evidence: Evidence, shapes: dict[str, Shape]) -> Floats:
    """(n,) scores under the shape that was fitted without the measurement's locus."""
    scores = np.empty(len(evidence.value))
    for locus, shape in shapes.items():
        here = evidence.locus == locus
        scores[here] = evidence.where(here).score(shape)
    return scores


def expected_without_each(
    effects: Effects, locus: NDArray[np.str_], shapes: Mapping[str, Shape]
) -> Floats:
    """(n,) mean of the true effect, log2 units, under the shape fitted without a variant's locus.

    Args:
      effects: each attribute (n,): what a model says of the variants, NaN where it says nothing.
      locus: (n,) where they are.
      shapes: by locus.

    Raises:
      KeyError: a locus has no shape.
    """
    expected = np.full(len(locus), np.nan)
    for name in np.unique(locus).tolist():
        here = locus == name
        said = (part[here] for part in (effects.effect, effects.epistemic, effects.occlusion))
        expected[here] = shapes[name].distribution(*said).expectation
    return expected


def levels_without_each(
    evidence: Evidence, shapes: dict[str, Shape], nominal: Sequence[float] = NOMINAL
) -> dict[str, tuple[float, ...]]:
    """{locus: levels that the others give, each scored without itself and without that locus}."""
    scores: dict[str, dict[str, Floats]] = {locus: {} for locus in shapes}
    for one, other in combinations(shapes, 2):
        # One fit without both serves either.
        kept = evidence.where((evidence.locus != one) & (evidence.locus != other))
        shape = fit_shape(kept, shapes[one])
        scores[one][other] = evidence.where(evidence.locus == other).score(shape)
        scores[other][one] = evidence.where(evidence.locus == one).score(shape)
    found = {}
    for locus, others in scores.items():
        weight = np.concatenate([np.full(len(part), 1 / len(part)) for part in others.values()])
        found[locus] = conformal_levels(np.concatenate([*others.values()]), weight, nominal)
    return found


def conformal_levels(
    scores: Floats, weight: Floats, nominal: Sequence[float] = NOMINAL
) -> tuple[float, ...]:
    """What to ask of a distribution so that its interval holds the nominal share.

    The quantiles of the scores of measurements that the fit had not seen, each locus with the same
    weight: cross-conformal prediction (Vovk, Annals of Mathematics and Artificial Intelligence
    2015) with loci as folds. Without a guarantee: there are too few loci for one that holds of a
    new locus, and the variants of one locus are not exchangeable with those of another.

    Args:
      scores: (n,) central probability at which each measurement is at the edge of the interval.
      weight: (n,) of each.
      nominal: shares wanted, rising.

    Returns:
      Levels, rising, between 0 and 1.
    """
    order = np.argsort(scores)
    reached = np.cumsum(weight[order]) / weight.sum()
    places = np.minimum(np.searchsorted(reached, nominal), len(scores) - 1)
    levels = np.clip(scores[order][places], 1e-6, 1 - 1e-6)
    # Strictly rising, as the card wants it, though two nominal shares may meet at one score.
    steps = np.arange(len(levels)) * 1e-9
    return tuple(float(level) for level in np.maximum.accumulate(levels) + steps - steps[-1])


def _has(evidence: Evidence) -> bool:
    return bool(np.isfinite(evidence.epistemic).all())
