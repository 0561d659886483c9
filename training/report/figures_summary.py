"""Figure 8 and the injection curves: the campaign on one sheet, and where noise hurts."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from training.report.campaign import FOUR, MATCHED, Arm, Campaign, challenge
from training.report.drawing import (
    Label,
    Panel,
    Plate,
    baseline_band,
    draw_band,
    nothing,
    side_labels,
)
from training.report.figures_family import CALIBRATED, boxes
from training.report.figures_ranked import CHOSEN, by_class
from training.report.figures_scatter import counts
from training.report.style import FAINT, look_of

PUBLISHED_BEST = "DH7"
_RANKING, _TOP, _BINS = "rank_stability", 5, 15


def fixed_model(campaign: Campaign) -> Arm | None:
    """The one arm of panel D: the published best model, never our best; None until it finished."""
    return campaign.published_as(PUBLISHED_BEST)


def _histogram(axes: Axes, campaign: Campaign) -> None:
    values = campaign.values(CALIBRATED)
    if not values.size:
        nothing(axes)
        return
    axes.hist(values, bins=_BINS, color="#b8c9d6", edgecolor="white")
    axes.axvline(0, color=FAINT, lw=0.8)
    draw_band(axes, baseline_band(campaign, CALIBRATED), along="x")
    top = axes.get_ylim()[1] * 1.25
    axes.set_ylim(0, top)
    axes.locator_params(axis="y", integer=True)
    arms = [campaign.baseline, *(arm for arm in campaign.arms if arm.name == _RANKING)]
    marked = [arm for arm in arms if arm is not None and CALIBRATED in arm.means]
    # The left one's name to the left of its line, the right one's to the right.
    marked.sort(key=lambda arm: arm.means[CALIBRATED].value)
    for side, arm in zip(("right", "left"), marked, strict=False):
        at, colour = arm.means[CALIBRATED].value, look_of(arm.family).colour
        axes.axvline(at, color=colour, ls="--", lw=1.2)
        axes.annotate(
            arm.name,
            (at, top),
            xytext=(-4 if side == "right" else 4, -2),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            ha=side,
            va="top",
        )
    axes.set(
        xlabel="noise correlation, calibrated",
        ylabel="runs",
        title=f"C  Noise correlation, {values.size} runs",
    )


def _elements(axes: Axes, campaign: Campaign) -> None:
    arm, baseline = fixed_model(campaign), campaign.baseline
    if arm is None or baseline is None:
        nothing(axes, f"{PUBLISHED_BEST if baseline else 'the baseline'} has not finished")
        return
    for shift, one in ((-0.17, baseline), (0.17, arm)):
        look = look_of(one.family)
        means = [one.mean(challenge("spearman", element)) for element in FOUR]
        rows = np.arange(len(FOUR)) + shift
        axes.hlines(
            rows, [m.low for m in means], [m.high for m in means], color=look.colour, lw=1.6
        )
        axes.plot([m.value for m in means], rows, look.marker, color=look.colour, ms=7)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right)
    beside = right + 0.02 * (right - left)
    for row, element in enumerate(FOUR):
        gain = arm.gains.get(challenge("spearman", element))
        if gain:
            text = f"{gain.value:+.3f}\n[{gain.low:+.3f}, {gain.high:+.3f}]"
            axes.text(beside, row, text, va="center", fontsize=8.5)
    axes.set_yticks(range(len(FOUR)), FOUR)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(FOUR) - 0.5, -0.85)
    axes.set_xlabel("CAGI5 Spearman")
    colour = look_of(arm.family).colour
    axes.set_title(
        f"D  {arm.name} ({len(arm.seeds)}) against {baseline.name} ({len(baseline.seeds)})",
        color=colour,
    )
    axes.text(beside, -0.62, "difference", fontsize=8.5, color=FAINT)


SUMMARY = Plate(
    8,
    "summary",
    "Summary",
    (
        boxes(challenge("spearman"), "CAGI5 Spearman, mean of four", title="A  By family"),
        by_class("spearman", _TOP, height=4.4, title=f"B  Best {_TOP} by confidence"),
        Panel("noise_histogram", _histogram, 4.0),
        Panel("fixed_model", _elements, 4.0),
    ),
    caption=lambda campaign: (
        f"{counts(campaign)}A, B, C as in figures 4, 2, 3. {CHOSEN}D: the baseline (black) and one "
        f"model that was fixed beforehand, the published best ({PUBLISHED_BEST}), with 95 % "
        "intervals over seeds and variants; at the right their difference."
    ),
    alt=lambda campaign: (
        "Four panels: CAGI5 accuracy by family, the best five arms by confidence class, a "
        "histogram of noise correlations, and the published best model against the baseline on "
        f"{', '.join(FOUR)}."
    ),
)


def _curves(split: str, what: str, axis: str, *, value: str, low: str, high: str) -> Panel:
    def is_blank(campaign: Campaign) -> bool:
        rows = campaign.injection(split)
        return not any(row["level"] and row[value] is not None for row in rows)

    def draw(axes: Axes, campaign: Campaign) -> None:
        rows = [row for row in campaign.injection(split) if row[value] is not None]
        arms = list(dict.fromkeys((row["arm"], row["family"]) for row in rows))
        if is_blank(campaign):
            nothing(axes, f"{what}\nno finished run with injected noise yet")
            return
        labels, families = [], [family for _, family in arms]
        chosen = {arm.name for arm in campaign.representatives}
        for place, (name, family) in enumerate(arms):
            look = look_of(family)
            mine = sorted((r for r in rows if r["arm"] == name), key=lambda row: row["level"])
            # Side by side, so that no interval hides another.
            levels = np.array([row["level"] for row in mine]) + 0.018 * (place - len(arms) / 2)
            ends = np.array([(row[low], row[high]) for row in mine], np.float64)
            heights = np.array([row[value] for row in mine], np.float64)
            axes.vlines(levels, ends[:, 0], ends[:, 1], color=look.colour, lw=0.9, alpha=0.6)
            # A further form of a loss shares the colour of its family's representative.
            line = ":" if families.count(family) > 1 and name not in chosen else "-"
            axes.plot(levels, heights, look.marker, ls=line, color=look.colour, ms=5, lw=1.2)
            labels.append(Label(levels[-1], heights[-1], name, look.colour))
        if value == "difference":
            axes.axhline(0, color=FAINT, lw=1, ls="--")
        axes.set(xlabel="injected noise, SD in units of the activity's", ylabel=axis)
        axes.set_xticks(sorted({row["level"] for row in rows}))
        axes.set_title(f"{what}, {len(arms)} arms")
        side_labels(axes, labels)

    return Panel(f"{split}_{value}", draw, 4.4, is_blank)


_ABSOLUTE = {"value": "value", "low": "ci_low", "high": "ci_high"}
_DIFFERENCE = {"value": "difference", "low": "difference_low", "high": "difference_high"}
INJECTION = Plate(
    9,
    "injection",
    "Accuracy against noise injected into the training labels",
    (
        _curves("test", "Test", "Spearman, mean of assays", **_ABSOLUTE),
        _curves("challenge", "CAGI5", "Spearman, mean of four", **_ABSOLUTE),
        _curves("test", "Test, against the baseline", "difference in Spearman", **_DIFFERENCE),
        _curves(
            "challenge", "CAGI5, against the baseline", "difference in Spearman", **_DIFFERENCE
        ),
    ),
    caption=lambda campaign: (
        f"{campaign.count('injection')} runs with injected noise (dotted: a further form of a "
        "family's loss). Every training label got normal noise of known variance, of a size drawn "
        "for each label; losses and samplers were told of it, test labels stay clean. Bars: 95 % "
        "intervals. Lower row: difference to the baseline at the same level. "
        f"CAGI5: mean over the {MATCHED.split(' ')[0]} four. This figure has no "
        "published counterpart."
    ),
    alt=lambda campaign: (
        "Curves of test and CAGI5 Spearman against the level of injected noise for the baseline "
        "and the representative arms, and of their differences to the baseline."
    ),
)
