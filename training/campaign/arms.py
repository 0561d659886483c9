"""Arms against the baseline: runs -> arm means -> differences that allow for seeds and variants.

Two things make an arm's mean uncertain. Which positions and sequences were measured: all runs are
judged on the same bootstrap resamples, so this part is paired. And which seeds were drawn: with
five of them a bootstrap over seeds would be too narrow, so each arm's mean gets Student's t times
its standard error, as in the Behrens-Fisher problem. What seeds do to single variants shows in
the resamples already and is counted once: seeds and positions are crossed random effects. An arm
of fewer seeds borrows the SD pooled over all arms, and is exploratory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from training.campaign.metrics import Measure, Samples
from training.evaluation.metrics import LEVEL, Floats

ENOUGH = 5
"""Seeds from which an arm's own SD is used and its difference is evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """All seeds of one recipe at one level of injected noise.

    Attributes:
      name: of the recipe.
      family: of the recipe.
      level: of the noise; 0 for none.
      seeds: S of them.
      values: {measure: (S,) values}.
      draws: {measure: (B,) mean over the seeds in each resample}.
      within: {measure: variance over resamples of how far one run is from the arm's mean}: what
        seeds do to single variants, which is in the spread over seeds and in the resamples too.
        NaN with one seed.
    """

    name: str
    family: str
    level: float
    seeds: tuple[int, ...]
    values: Mapping[Measure, Floats]
    draws: Mapping[Measure, Floats]
    within: Mapping[Measure, float]

    @classmethod
    def of(cls, name: str, family: str, level: float, runs: Mapping[int, Samples]) -> Arm:
        """Gather the runs {seed: samples} of one arm; a measure that one lacks is left out."""
        shared = [m for m in next(iter(runs.values())) if all(m in run for run in runs.values())]
        values: dict[Measure, Floats] = {}
        draws: dict[Measure, Floats] = {}
        within: dict[Measure, float] = {}
        for measure in shared:
            samples = [run[measure] for run in runs.values()]
            values[measure] = np.array([sample.value for sample in samples])
            of_runs = np.stack([sample.draws for sample in samples])
            draws[measure] = of_runs.mean(axis=0)
            if len(runs) > 1:
                apart = (of_runs - draws[measure]).var(axis=1).sum() / (len(runs) - 1)
                within[measure] = float(apart)
            else:
                within[measure] = np.nan
        return cls(
            name=name,
            family=family,
            level=level,
            seeds=tuple(runs),
            values=values,
            draws=draws,
            within=within,
        )

    @property
    def is_exploratory(self) -> bool:
        """Whether it has too few seeds to be evidence."""
        return len(self.seeds) < ENOUGH


@dataclass(frozen=True, slots=True)
class Pooled:
    """SD over seeds within arms, pooled.

    Attributes:
      sd: {measure: SD of one run about its arm's mean}.
      within: {measure: the part of its square that resamples show already}; see `Arm`.
      freedom: degrees of freedom behind it.
    """

    sd: Mapping[Measure, float]
    within: Mapping[Measure, float]
    freedom: int

    @classmethod
    def of(cls, arms: Iterable[Arm]) -> Pooled:
        """Pool over the arms of at least two seeds; undefined values are left out.

        Raises:
          ValueError: no arm has two seeds.
        """
        several = [arm for arm in arms if len(arm.seeds) > 1]
        if not several:
            raise ValueError("no arm has two finished seeds: the spread over seeds is unknown")
        parts: dict[Measure, list[tuple[float, float, int]]] = {}
        for arm in several:
            freedom = len(arm.seeds) - 1
            for measure, values in arm.values.items():
                if np.isfinite(values).all():
                    part = float(np.var(values, ddof=1)), arm.within[measure], freedom
                    parts.setdefault(measure, []).append(part)
        pooled = {
            measure: np.average([p[:2] for p in of], axis=0, weights=[p[2] for p in of])
            for measure, of in parts.items()
        }
        return cls(
            sd={measure: float(np.sqrt(variance)) for measure, (variance, _) in pooled.items()},
            within={measure: float(within) for measure, (_, within) in pooled.items()},
            freedom=sum(len(arm.seeds) - 1 for arm in several),
        )


@dataclass(frozen=True)
class Belief:
    """A number with draws (B,) that spread as it might have come out otherwise."""

    value: float
    draws: Floats

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Bounds of the 95 % interval; NaN if undefined."""
        if np.isnan(self.value) or np.isnan(self.draws).any():
            return np.nan, np.nan
        low, high = np.quantile(self.draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    @property
    def p_above(self) -> float:
        """Probability that it is above 0."""
        return float(np.mean(self.draws > 0)) if self.is_defined else np.nan

    @property
    def is_defined(self) -> bool:
        """Whether value and draws exist."""
        return bool(np.isfinite(self.value) and np.isfinite(self.draws).all())

    def minus(self, other: Belief) -> Belief:
        """Difference; resamples are shared, so it is paired."""
        return Belief(self.value - other.value, self.draws - other.draws)


def mean_of(arm: Arm, measure: Measure, pooled: Pooled, *, seed: int) -> Belief:
    """Mean over an arm's seeds, with draws over seeds and resamples.

    Args:
      arm: of any number of seeds.
      measure: one that it has.
      pooled: SD for an arm of few seeds.
      seed: of the draws over seeds; they depend on it and on the arm alone, so that one arm has
        one luck in all comparisons and no arm shares another's.
    """
    values, count = arm.values[measure], len(arm.seeds)
    if arm.is_exploratory:
        spread, within = pooled.sd.get(measure, np.nan), pooled.within.get(measure, np.nan)
        freedom = pooled.freedom
    else:
        spread, within = float(np.std(values, ddof=1)), arm.within[measure]
        freedom = count - 1
    draws = arm.draws[measure]
    luck = _luck(f"{arm.name}@{arm.level:g}", freedom, draws.size, seed)
    own = np.sqrt(np.maximum(spread**2 - np.nan_to_num(within), 0.0) / count)
    return Belief(float(values.mean()), draws + luck * own)


@lru_cache(maxsize=256)
def _luck(arm: str, freedom: int, draws: int, seed: int) -> Floats:
    """How far an arm's seeds may have missed its mean, in standard errors: (B,)."""
    return np.random.default_rng([seed, zlib.crc32(arm.encode())]).standard_t(freedom, draws)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How one arm differs from the baseline in one measure.

    Attributes:
      difference: arm minus baseline.
      p_value: two-sided, for this arm alone.
      p_max_t: two-sided, corrected for having looked at all arms.
      p_holm: two-sided, Holm over the representatives; NaN for other arms.
    """

    difference: Belief
    p_value: float
    p_max_t: float
    p_holm: float


def compare(
    arms: Sequence[Arm],
    baseline: Arm,
    measure: Measure,
    *,
    representatives: Iterable[str],
    pooled: Pooled,
    seed: int,
) -> dict[str, Comparison]:
    """Compare arms with the baseline in one measure.

    Args:
      arms: without the baseline, all at its level of noise; one that lacks the measure, or for
        which it is undefined, is left out.
      baseline: arm to beat.
      measure: what is compared.
      representatives: names of the arms that Holm's correction counts, whether or not they have
        finished: what was declared is what is paid for.
      pooled: SD over seeds for arms of few.
      seed: of the draws over seeds.

    Returns:
      {arm: comparison}.
    """
    if measure not in baseline.values:
        return {}
    ours = mean_of(baseline, measure, pooled, seed=seed)
    found: dict[str, Belief] = {}
    for arm in arms:
        if measure in arm.values:
            difference = mean_of(arm, measure, pooled, seed=seed).minus(ours)
            if difference.is_defined:
                found[arm.name] = difference
    if not found:
        return {}
    statistics, null = _studentised(list(found.values()))
    p_values = (1 + (null >= statistics[:, None]).sum(axis=1)) / (1 + null.shape[1])
    declared = set(representatives)
    chosen = [i for i, name in enumerate(found) if name in declared]
    holm = np.full(len(found), np.nan)
    if chosen:
        holm[chosen] = holm_adjusted(p_values[chosen], len(declared))
    parts = zip(found.items(), p_values, step_down(statistics, null), holm, strict=True)
    return {
        name: Comparison(difference=d, p_value=float(p), p_max_t=float(m), p_holm=float(h))
        for (name, d), p, m, h in parts
    }


def _studentised(differences: Sequence[Belief]) -> tuple[Floats, Floats]:
    """|difference| over its SD, (K,), and the same of the draws about their own mean, (K, B)."""
    draws = np.stack([difference.draws for difference in differences])
    spread = draws.std(axis=1)
    # Two arms of equal predictions differ by 0 for certain: no evidence, not infinite evidence.
    spread = np.where(spread > 0, spread, np.inf)
    values = np.array([difference.value for difference in differences])
    centred = draws - draws.mean(axis=1, keepdims=True)
    return np.abs(values) / spread, np.abs(centred) / spread[:, None]


def holm_adjusted(p_values: Floats, declared: int | None = None) -> Floats:
    """P values (K,) after Holm's correction (Scandinavian Journal of Statistics 1979).

    (statsmodels has it too, and collects garbage at each call: seconds, with a campaign in memory.)

    Args:
      p_values: of the hypotheses tested so far.
      declared: how many there will be, K if None; those to come count as the least striking, and
        the correction can only become milder.
    """
    order = np.argsort(p_values, kind="stable")
    count = order.size if declared is None else declared
    scaled = p_values[order] * (count - np.arange(order.size))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return adjusted


def step_down(statistics: Floats, null: Floats) -> Floats:
    """P values corrected for the best of many, by the step-down maximum of statistics.

    The draws of all arms share resamples and baseline, so the correction knows how alike they
    are. Romano and Wolf 2005 (10.1198/016214504000000539); 2016 (10.1016/j.spl.2016.02.012).

    Args:
      statistics: (K,) larger is more striking.
      null: (K, B) the same where nothing is to be found.

    Returns:
      (K,) corrected p values.
    """
    order = np.argsort(-statistics, kind="stable")
    # Largest of the statistics that are at most as striking, in each draw.
    largest = np.maximum.accumulate(null[order][::-1], axis=0)[::-1]
    exceeded = (1 + (largest >= statistics[order, None]).sum(axis=1)) / (1 + null.shape[1])
    corrected: NDArray[np.float64] = np.empty_like(statistics)
    corrected[order] = np.maximum.accumulate(exceeded)
    return corrected
