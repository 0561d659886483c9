"""The report's first paragraph: does a noise-resistant strategy beat MSE on CAGI5 here?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.metrics import LEVEL
from training.report.campaign import Arm, Campaign, Cell, challenge
from training.report.claims import (
    PUBLISHED_GAIN,
    SEED_SD,
    SINGLE_SEED_NOISE,
    TWO_SINGLE_RUNS,
)
from training.report.statements import interval, number, p_text, relative, share, signed, spread
from training.zoo import PRESETS
from training.zoo import campaign as zoo_of

MEASURE = challenge("spearman")
_KEYS = ("split", "metric", "element")
_CLASSES = {
    "spearman": "",
    "spearman_high": " (high confidence)",
    "spearman_low": " (low confidence)",
}
ALPHA = 0.05
_NAMED = 5
"""Cells that the paragraph names; the table has all."""


@dataclass(frozen=True)
class Verdict:
    """The answer and what it rests on.

    Attributes:
      answer: `Yes`: a representative is above the baseline after Holm's correction; `No`: the
        interval of each ends below the published gain; `Not shown`: neither; `Not decided yet`:
        seeds are missing.
      sentences: size, probability, and where; in reading order.
    """

    answer: str
    sentences: tuple[str, ...]


def verdict(campaign: Campaign) -> Verdict:
    """Answer from the representatives and the baseline alone; single-seed arms never count."""
    found = campaign.analysis["verdict"]
    arms = [arm for arm in campaign.representatives if MEASURE in arm.gains]
    if campaign.baseline is None or not arms:
        return Verdict(
            "Not decided yet",
            ("No representative and baseline have finished, so there is nothing to compare.",),
        )
    best = _best(campaign, arms, campaign.baseline.means[MEASURE].value)
    shared = (best, _released(campaign, arms), _visible(found["visible"]))
    if not found["ready"]:
        return Verdict(
            "Not decided yet", (_missing(campaign, arms), *shared, _exploratory(campaign))
        )
    said = (
        _outcome(campaign.baseline, arms),
        *_networks(campaign, arms),
        *shared,
        _where(found["wins"], arms),
        _exploratory(campaign),
    )
    return Verdict(_answer(arms, is_beaten=found["beats"]), said)


def _answer(arms: Sequence[Arm], *, is_beaten: bool) -> str:
    if is_beaten:
        return "Yes"
    return "No" if all(arm.gains[MEASURE].high < PUBLISHED_GAIN for arm in arms) else "Not shown"


def _missing(campaign: Campaign, arms: Sequence[Arm]) -> str:
    """Which seeds are there, which failed, and which arms are waited for."""
    baseline = len(campaign.baseline.seeds) if campaign.baseline else 0
    seeds = ", ".join(f"{arm.name} {len(arm.seeds)}" for arm in arms)
    chosen = campaign.analysis["verdict"]["representatives"]
    waited = [name for name in chosen if name not in {arm.name for arm in arms}]
    broken = [
        f"{row['run']} ({row['error'] or 'no reason recorded'})"
        for row in campaign.analysis["failures"]
        if not row["level"] and row["arm"] in (campaign.analysis["baseline"]["arm"], *chosen)
    ]
    undefined = [
        arm.name for arm in campaign.arms if arm.name in waited
    ]  # it finished, and its output correlates with nothing
    return (
        f"{campaign.count('main')} runs have finished; seeds so far: baseline {baseline}, {seeds}"
        + (f"; no finished and defined run yet of {', '.join(waited)}" if waited else "")
        + (f"; undefined in {', '.join(undefined)}" if undefined else "")
        + (f"; failed: {', '.join(broken)}" if broken else "")
        + ". All need five seeds before there is a verdict."
    )


def _visible(found: Mapping[str, float] | None) -> str:
    """What the design could see, beside what was published."""
    if found is None or found["half_width"] is None:
        return "What difference could be seen is unknown: no interval is defined."
    return (
        f"This comparison can see little: an observed difference below "
        f"{number(found['half_width'])} (half of a typical 95 % interval here) cannot be told from "
        f"0, and a true one would have to be about {number(found['smallest'])} to pass Holm's "
        f"correction in 80 % of repetitions; the published gain is {PUBLISHED_GAIN:.4f}."
    )


def _released(campaign: Campaign, arms: Sequence[Arm]) -> str:
    """The same difference on other variants of the same elements, which may be looked at freely."""
    arm = max(arms, key=lambda one: one.gains[MEASURE].value)
    base = campaign.analysis["baseline"]["arm"]
    ours, theirs = (campaign.released(name, "all_assays") for name in (arm.name, base))
    missing = [name for name, said in ((arm.name, ours), (base, theirs)) if not said.size]
    if missing:
        verb = "has" if len(missing) == 1 else "have"
        return f"On the release set {' and '.join(missing)} {verb} not been scored."
    return (
        f"On the release set, other variants of the same elements, the difference of {arm.name} is "
        f"{signed(float(ours.mean() - theirs.mean()))} ({spread(ours)} against {spread(theirs)}, "
        f"{ours.size} and {theirs.size} seeds; no interval over positions)."
    )


def _outcome(baseline: Arm, arms: Sequence[Arm]) -> str:
    base = baseline.means[MEASURE]
    better = [arm for arm in arms if arm.gains[MEASURE].value > 0 and _is_clear(arm)]
    worse = [arm for arm in arms if arm.gains[MEASURE].value < 0 and _is_clear(arm)]
    return (
        f"The baseline's mean Spearman over the K562-matched four is {number(base.value)} "
        f"(seed SD {number(base.seed_sd)}, {len(baseline.seeds)} seeds). Of "
        f"{len(arms)} representatives, one of each family, {_names(better)} above it and "
        f"{_names(worse)} below it (Holm-corrected p < {ALPHA})."
    )


def _networks(campaign: Campaign, arms: Sequence[Arm]) -> list[str]:
    """Which arms above the baseline differ from it in the network alone, and what is left then."""
    zoo = zoo_of(PRESETS[campaign.preset])
    base = zoo[campaign.analysis["baseline"]["arm"]]
    alike = [
        arm
        for arm in arms
        if (zoo[arm.name].loss, zoo[arm.name].sampler) == (base.loss, base.sampler)
    ]
    above = [arm for arm in alike if arm.gains[MEASURE].value > 0 and _is_clear(arm)]
    if not above:
        return []
    others = [arm for arm in arms if arm not in alike]
    best = max(others, key=lambda arm: arm.gains[MEASURE].value, default=None)
    size = Cell("run", "parameters", "run")
    sizes = [campaign.values(size, arm=name) for name in (above[0].name, base.name)]
    known = all(len(values) for values in sizes)
    counted = f" ({sizes[0][0]:,.0f} parameters against {sizes[1][0]:,.0f})" if known else ""
    left = ""
    if best is not None:
        gain = best.gains[MEASURE]
        left = (
            f" Of the {len(others)} that treat labels or batches otherwise than the baseline the "
            f"largest difference is that of {best.name}: {signed(gain.value)} "
            f"[{signed(gain.low)}, {signed(gain.high)}]."
        )
    names = ", ".join(arm.name for arm in above)
    return [
        f"But {names} has the baseline's loss and sampler: what differs is the network{counted}, "
        f"so this is a gain of architecture, not of a treatment of noise.{left}"
    ]


def _names(arms: Sequence[Arm]) -> str:
    if not arms:
        return "none is"
    verb = "is" if len(arms) == 1 else "are"
    return f"{len(arms)} ({', '.join(arm.name for arm in arms)}) {verb}"


def _is_clear(arm: Arm) -> bool:
    return arm.gains[MEASURE].p_holm < ALPHA


def _best(campaign: Campaign, arms: Sequence[Arm], base: float) -> str:
    arm = max(arms, key=lambda one: one.gains[MEASURE].value)
    gain = arm.gains[MEASURE]
    return (
        f"The largest difference is that of {arm.name}: {signed(gain.value)} "
        f"({relative(gain.value, base)}), 95 % interval over seeds and variants "
        f"{interval(gain.low, gain.high)}, probability of being above the "
        f"baseline {share(gain.p_above)} (not corrected for having picked the largest), p "
        f"{p_text(gain.p_holm)} after Holm over the {campaign.analysis['verdict']['declared']} "
        f"declared representatives, {p_text(gain.p_max_t)} after correcting for the best of the "
        f"{len(campaign.others)} arms that have finished"
        f"{'; exploratory, with ' + str(len(arm.seeds)) + ' seeds' if arm.is_exploratory else ''}."
    )


def _where(wins: Sequence[Mapping[str, Any]], arms: Sequence[Arm]) -> str:
    """Cells whose own interval excludes 0: elements and confidence classes, Spearman only."""
    kept = [win for win in wins if win["split"] == MEASURE.split and win["metric"] in _CLASSES]
    compared = sum(
        cell.split == "challenge" and cell.metric in _CLASSES for arm in arms for cell in arm.gains
    )
    if not kept:
        return (
            "On no element and in no confidence class does an interval of a representative's "
            "difference exclude 0."
        )
    order = sorted(kept, key=lambda win: -abs(win["difference"]))
    up = [_cell(win) for win in order if win["difference"] > 0]
    down = [_cell(win) for win in order if win["difference"] < 0]
    parts = [
        f"{word} the baseline {_some(cells)}" for word, cells in (("above", up), ("below", down))
    ]
    return (
        f"By element and confidence class {len(kept)} of {compared} intervals exclude 0 (chance "
        f"alone: about {(1 - LEVEL) * compared:.0f}, were they independent; but means of elements "
        "are counted beside the elements, and the two TERT sets are one locus): "
        f"{'; '.join(parts)}."
    )


def _some(cells: Sequence[str]) -> str:
    if not cells:
        return "nowhere"
    more = f" and {len(cells) - _NAMED} more" if len(cells) > _NAMED else ""
    return f"{len(cells)} ({', '.join(cells[:_NAMED])}{more})"


def _cell(win: Mapping[str, Any]) -> str:
    return f"{win['arm']} on {win['element']}{_CLASSES[win['metric']]} {signed(win['difference'])}"


def _exploratory(campaign: Campaign) -> str:
    single = sum(arm.is_exploratory for arm in campaign.others)
    ours = next(
        (r["value"] for r in campaign.analysis["seed_sd"] if Cell(*map(r.get, _KEYS)) == MEASURE),
        None,
    )
    here = (
        ""
        if ours is None
        else f"; here the pooled SD is {number(ours)}, and two single runs of one arm differ by up "
        f"to {number(TWO_SINGLE_RUNS * ours)} in 95 % of cases"
    )
    return (
        f"Arms with fewer seeds, {single} so far, are exploratory: a difference below "
        f"{SINGLE_SEED_NOISE} between two single runs is within the published seed noise "
        f"(SD {SEED_SD:.3f}){here}."
    )
