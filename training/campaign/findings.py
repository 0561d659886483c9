"""What the arms show, as JSON: means, differences, curves under injected noise, the verdict.

`arms -> {"seed_sd", "arms", "injection", "verdict"}`. Arms of five seeds, one for each family,
are evidence; all others are exploratory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from training.campaign.arms import Arm, Belief, Comparison, Pooled, compare, mean_of
from training.campaign.metrics import ALONE, CAGI5, MEAN, TEST, Measure, Samples
from training.campaign.scoring import is_headline
from training.datasets.cagi5 import GROUPS
from training.evaluation.metrics import LEVEL

Json = dict[str, Any]
PRIMARY = Measure(CAGI5, "spearman", "K562-matched (4)")
"""What the verdict rests on: the study's headline."""
CERTAIN = 0.05
"""Family-wise error of the verdict."""
POWER = 0.8
"""Share of repetitions in which a difference that "can be seen" would be."""
_UNCOMPARED = {"scale", "offset", "rmse_raw"}
_OF_FLOOR = ("pearson", "spearman", "spearman_high", "spearman_low", "spearman_pooled")
_CURVES = (
    *(Measure(TEST, metric, MEAN) for metric in ("pearson", "spearman", "r_noise")),
    *(
        Measure(CAGI5, f"{metric}{subset}", group)
        for group in GROUPS
        for metric in ("spearman", "pearson")
        for subset in ("", "_high", "_low")
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The arms of one level of injected noise, and what they are compared by.

    Attributes:
      baseline: the arm to beat.
      others: all other arms.
      pooled: SD over seeds.
      representatives: {family: arm that stands for it}.
      seed: of the draws over seeds.
    """

    baseline: Arm
    others: tuple[Arm, ...]
    pooled: Pooled
    representatives: Mapping[str, str]
    seed: int

    def mean(self, arm: Arm, measure: Measure) -> Belief:
        """Mean over the arm's seeds."""
        return mean_of(arm, measure, self.pooled, seed=self.seed)

    def compare(self, measure: Measure) -> dict[str, Comparison]:
        """Every other arm with the baseline."""
        return compare(
            self.others,
            self.baseline,
            measure,
            representatives=self.representatives.values(),
            pooled=self.pooled,
            seed=self.seed,
        )


def findings(
    arms: Sequence[Arm],
    *,
    baseline: str,
    representatives: Mapping[str, str],
    aliases: Mapping[str, Sequence[str]],
    seed: int,
    floor: tuple[str, Samples] | None = None,
) -> Json:
    """All that the arms show.

    Args:
      arms: of every level of injected noise.
      baseline: name of the arm to beat.
      representatives: {family: arm that stands for it}.
      aliases: {arm: published ids}.
      seed: of the draws over seeds.
      floor: name and samples of what every network should pass.

    Raises:
      ValueError: the baseline is not among the arms, or no arm has two seeds.
    """
    contests = _contests(arms, baseline, representatives, seed)
    if 0.0 not in contests:
        raise ValueError(f"no run of the baseline {baseline} is finished")
    clean = contests[0.0]
    measures = [
        measure
        for measure in _measures(arms)
        if measure.split not in ALONE and measure.metric not in _UNCOMPARED
    ]
    comparisons = {measure: clean.compare(measure) for measure in measures}
    return {
        "baseline": {"arm": baseline, "seeds": list(clean.baseline.seeds)},
        "seed_sd": [
            m._asdict() | {"value": clean.pooled.sd[m], "freedom": clean.pooled.freedom}
            for m in measures
            if m in clean.pooled.sd
        ],
        "arms": [
            _arm(arm, clean, comparisons, aliases.get(arm.name, ()))
            for arm in (clean.baseline, *clean.others)
        ],
        "injection": list(_curves(contests)),
        "verdict": verdict(clean, comparisons),
        "floor": None if floor is None else _floor(*floor, clean),
    }


def _contests(
    arms: Sequence[Arm], baseline: str, representatives: Mapping[str, str], seed: int
) -> dict[float, Contest]:
    """One contest for each level at which the baseline ran."""
    found: dict[float, Contest] = {}
    pooled = Pooled.of(arm for arm in arms if not arm.level)
    for level in sorted({arm.level for arm in arms}):
        here = [arm for arm in arms if arm.level == level]
        first = next((arm for arm in here if arm.name == baseline), None)
        if first is not None:
            # Noisier labels make seeds differ more: each level has its own spread, once it can.
            is_known = any(len(arm.seeds) > 1 for arm in here)
            found[level] = Contest(
                baseline=first,
                others=tuple(arm for arm in here if arm is not first),
                pooled=Pooled.of(here) if is_known else pooled,
                representatives=representatives,
                seed=seed,
            )
    return found


def _measures(arms: Iterable[Arm]) -> list[Measure]:
    """Every measure that an arm has, in their order."""
    return list(dict.fromkeys(measure for arm in arms for measure in arm.values))


def _arm(
    arm: Arm,
    contest: Contest,
    comparisons: Mapping[Measure, Mapping[str, Comparison]],
    aliases: Sequence[str],
) -> Json:
    """One arm; of an exploratory one only what `is_headline` says."""
    is_shown = arm is contest.baseline or arm.name in contest.representatives.values()
    shown = [m for m in comparisons if m in arm.values and (is_shown or is_headline(m))]
    differences = {m: comparisons[m][arm.name] for m in shown if arm.name in comparisons[m]}
    return {
        "arm": arm.name,
        "family": arm.family,
        "aliases": list(aliases),
        "representative": arm.name in contest.representatives.values(),
        "exploratory": arm.is_exploratory,
        "seeds": list(arm.seeds),
        "means": [
            m._asdict() | {"seed_sd": _seed_sd(arm, m)} | _value(contest.mean(arm, m))
            for m in shown
        ],
        "differences": [m._asdict() | _compared(c) for m, c in differences.items()],
    }


def _floor(name: str, samples: Samples, contest: Contest) -> Json:
    """The floor, which has no seed, and the baseline minus it on the same resamples."""
    shown = [m for m in samples if m.split in (TEST, CAGI5) and m.metric in _OF_FLOOR]
    means, differences = [], []
    for measure in shown:
        ours = Belief(samples[measure].value, samples[measure].draws)
        means.append(measure._asdict() | _value(ours))
        if measure in contest.baseline.values:
            gap = contest.mean(contest.baseline, measure).minus(ours)
            differences.append(measure._asdict() | _value(gap) | {"p_above": gap.p_above})
    return {"name": name, "means": means, "baseline_minus_floor": differences}


def _seed_sd(arm: Arm, measure: Measure) -> float:
    values = arm.values[measure]
    return float(np.std(values, ddof=1)) if values.size > 1 else np.nan


def _value(belief: Belief, name: str = "value", prefix: str = "ci") -> Json:
    low, high = belief.interval
    return {name: belief.value, f"{prefix}_low": low, f"{prefix}_high": high}


def _compared(found: Comparison) -> Json:
    return _value(found.difference) | {
        "p_above": found.difference.p_above,
        "p_value": found.p_value,
        "p_max_t": found.p_max_t,
        "p_holm": found.p_holm,
    }


def _curves(contests: Mapping[float, Contest]) -> Iterator[Json]:
    """Baseline and every arm that ran with injected noise, from no noise on."""
    noisy = {a.name for level, c in contests.items() if level for a in (c.baseline, *c.others)}
    for measure in _CURVES:
        for level, contest in contests.items():
            compared = contest.compare(measure)
            for arm in (contest.baseline, *contest.others):
                if arm.name not in noisy or measure not in arm.values:
                    continue
                row = {"arm": arm.name, "family": arm.family, "level": level}
                row |= {"seeds": list(arm.seeds)} | measure._asdict()
                row |= _value(contest.mean(arm, measure))
                if arm.name in compared:
                    gain = compared[arm.name].difference
                    row |= _value(gain, "difference", "difference")
                    row["p_above"] = gain.p_above
                else:
                    names = ("difference", "difference_low", "difference_high", "p_above")
                    row |= dict.fromkeys(names)
                yield row


def verdict(contest: Contest, comparisons: Mapping[Measure, Mapping[str, Comparison]]) -> Json:
    """Does a family's representative beat the baseline on CAGI5, by how much, how surely, where.

    Args:
      contest: without injected noise.
      comparisons: {measure: {arm: comparison}}, `PRIMARY` among the measures.

    Returns:
      measure; representatives: all that were declared, and how many; beats: whether one is above
      the baseline with a Holm-corrected two-sided p below 0.05; best: the one with the largest
      difference; ready: whether all representatives and the baseline have five seeds; visible: see
      `visible`, null before there is a representative; wins: measures of CAGI5 at which the 95 %
      interval of one representative leaves out 0, in either direction.
    """
    names = {arm.name: arm for arm in contest.others}
    chosen = [names[n] for n in contest.representatives.values() if n in names]
    primary = comparisons.get(PRIMARY, {})
    found = [(arm, primary[arm.name]) for arm in chosen if arm.name in primary]
    best = max(found, key=lambda pair: pair[1].difference.value, default=None)
    return {
        "measure": PRIMARY._asdict(),
        "declared": len(contest.representatives),
        "representatives": [*contest.representatives.values()],
        "visible": visible([c.difference for _, c in found], len(contest.representatives)),
        "beats": any(c.difference.value > 0 and c.p_holm < CERTAIN for _, c in found),
        "best": None if best is None else _named(*best),
        "ready": len(found) == len(contest.representatives)
        and not any(arm.is_exploratory for arm in (contest.baseline, *(arm for arm, _ in found))),
        "wins": [
            measure._asdict() | _named(arm, compared[arm.name])
            for measure, compared in comparisons.items()
            if measure.split == CAGI5 and not measure.metric.endswith(("_gap", "_pooled"))
            for arm in chosen
            if arm.name in compared and _leaves_out_0(compared[arm.name].difference)
        ],
    }


def visible(differences: Sequence[Belief], declared: int) -> Json | None:
    """What differences a comparison of this many seeds and variants could see at all.

    Args:
      differences: arms minus baseline, in the verdict's measure.
      declared: how many of them Holm's correction counts.

    Returns:
      half_width: the median over arms of half the 95 % interval: an observed difference below it
      cannot be told from 0; smallest: the true difference that would pass Holm's strictest step in
      `POWER` of repetitions, from normal quantiles and that half width. None without a difference.
    """
    halves = [(high - low) / 2 for low, high in (d.interval for d in differences)]
    if not halves:
        return None
    half = float(np.median(halves))
    in_sds = norm.isf(CERTAIN / 2 / declared) + norm.ppf(POWER)
    return {"half_width": half, "smallest": float(half / norm.ppf((1 + LEVEL) / 2) * in_sds)}


def _named(arm: Arm, found: Comparison) -> Json:
    low, high = found.difference.interval
    return {
        "arm": arm.name,
        "family": arm.family,
        "difference": found.difference.value,
        "ci_low": low,
        "ci_high": high,
        "p_above": found.difference.p_above,
        "p_holm": found.p_holm,
        "p_max_t": found.p_max_t,
    }


def _leaves_out_0(difference: Belief) -> bool:
    low, high = difference.interval
    return low > 0 or high < 0
