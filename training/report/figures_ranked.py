"""Figures 2 and 5: the best arms, by confidence class and by element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from training.report.campaign import FOUR, MATCHED, Arm, Campaign, challenge
from training.report.drawing import (
    Panel,
    Plate,
    baseline_band,
    draw_band,
    nothing,
    spread,
    wrapped,
)
from training.report.figures_scatter import counts
from training.report.style import CLASSES, INK, look_of

TOP_BY_CLASS, TOP_BY_ELEMENT = 10, 15
_APART = 0.12
"""Least distance of two names of classes, in widths of the axes."""
_SHIFT = {"_high": -0.22, "": 0.0, "_low": 0.22}
"""Places of the classes in a row: where classes are alike, their bars would hide each other."""
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
CHOSEN = "The best were chosen on the very variants shown, so their order is exploratory. "


def best_arms(campaign: Campaign, statistic: str, top: int) -> list[Arm]:
    """The baseline, then the `top` arms by their mean over the four elements."""
    ranked = campaign.ranked(challenge(statistic), campaign.others)[:top]
    return [*([campaign.baseline] if campaign.baseline else []), *ranked]


def name_of(arm: Arm) -> str:
    """Name of an arm with its number of seeds."""
    return wrapped(arm.name) + f" ({len(arm.seeds)})"


def by_class(statistic: str, top: int, *, height: float, title: str = "") -> Panel:
    """Panel of the best arms: three points each, with the interval over seeds and variants."""

    def draw(axes: Axes, campaign: Campaign) -> None:
        arms = best_arms(campaign, statistic, top)
        if not arms:
            nothing(axes)
            return
        heads: list[tuple[float, str, str]] = []
        for suffix, (label, colour, marker) in CLASSES.items():
            cell = challenge(statistic + suffix)
            band = baseline_band(campaign, cell)
            if band and suffix:  # three bands over each other would be mud
                band = band._replace(low=np.nan, high=np.nan)
            draw_band(axes, band, along="x", colour=colour)
            means = [arm.mean(cell) for arm in arms]
            values = np.array([mean.value for mean in means])
            ends = np.array([(mean.low, mean.high) for mean in means])
            rows = np.arange(len(arms)) + _SHIFT[suffix]
            axes.hlines(rows, ends[:, 0], ends[:, 1], color=colour, lw=1.3, zorder=2)
            axes.plot(values, rows, marker, color=colour, ms=6, mec="white", mew=0.5, zorder=3)
            if np.isfinite(values[0]):
                heads.append((float(values[0]), label, colour))
        _name_classes(axes, sorted(heads))
        _name_rows(axes, arms)
        axes.set_ylim(len(arms) - 0.5, -1.35)
        axes.set_xlabel(f"{statistic.capitalize()}, mean of four")
        axes.set_title(title or f"Best {len(arms) - 1} by {statistic.capitalize()}")

    return Panel(statistic, draw, height)


def _name_classes(axes: Axes, heads: Sequence[tuple[float, str, str]]) -> None:
    """Names of the classes over their points of the first row, apart where these are close."""
    left, right = axes.get_xlim()
    axes.set_xlim(left, right)
    if not heads:
        return
    places = spread([(x - left) / (right - left) for x, _, _ in heads], _APART)
    for place, (_, label, colour) in zip(places, heads, strict=True):
        x = left + place * (right - left)
        axes.text(x, -0.75, label, color=colour, ha="center", fontsize=9.5, bbox=_PAPER)


def _name_rows(axes: Axes, arms: Sequence[Arm]) -> None:
    names = [name_of(arm) for arm in arms]
    axes.set_yticks(range(len(arms)), names, fontsize=8.5, linespacing=1.05)
    for tick, arm in zip(axes.get_yticklabels(), arms, strict=True):
        tick.set_color(look_of(arm.family).colour)
    axes.tick_params(axis="y", length=0)


def _by_element(statistic: str) -> Panel:
    columns = (*FOUR, MATCHED)

    def draw(axes: Axes, campaign: Campaign) -> None:
        arms = best_arms(campaign, statistic, TOP_BY_ELEMENT)
        if not arms:
            nothing(axes)
            return
        cells = [challenge(statistic, element) for element in columns]
        grid = np.array([[arm.mean(cell).value for cell in cells] for arm in arms])
        # Not imshow, which would put a bitmap into the SVG.
        down, across = (np.arange(size + 1) - 0.5 for size in grid.shape)
        axes.pcolormesh(across, down, grid, cmap="cividis", edgecolors="white", linewidth=0.5)
        axes.invert_yaxis()
        middle = (np.nanmin(grid) + np.nanmax(grid)) / 2
        for (row, column), value in np.ndenumerate(grid):
            ink = "white" if value < middle else INK
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=ink, fontsize=8)
        if campaign.baseline:
            axes.axhline(0.5, color="white", lw=3)
        axes.axvline(len(FOUR) - 0.5, color="white", lw=3)
        axes.set_xticks(range(len(columns)), [*FOUR, "mean"], fontsize=9)
        axes.tick_params(length=0)
        axes.xaxis.tick_top()
        for side in axes.spines.values():
            side.set_visible(False)
        _name_rows(axes, arms)
        shown = sum(arm is not campaign.baseline for arm in arms)
        axes.set_title(f"{statistic.capitalize()}, best {shown}")

    return Panel(statistic, draw, 5.2)


BY_CONFIDENCE = Plate(
    2,
    "confidence",
    "The best arms by confidence class",
    (
        by_class("spearman", TOP_BY_CLASS, height=5.0),
        by_class("pearson", TOP_BY_CLASS, height=5.0),
    ),
    caption=lambda campaign: (
        f"{counts(campaign)}High confidence: the set's own column is at least 0.1. In brackets: "
        "seeds. Bars: 95 % intervals over seeds and variants. Dashed lines: the baseline's mean in "
        "each class; grey band: where 95 % of further single baseline runs would fall, all "
        f"variants. {CHOSEN}"
    ),
    alt=lambda campaign: (
        f"Dot plots of the baseline and the {TOP_BY_CLASS} best arms: correlation on all, high- "
        "and low-confidence variants; Spearman left, Pearson right."
    ),
)
BY_ELEMENT = Plate(
    5,
    "elements",
    "Each element, best arms",
    (_by_element("spearman"), _by_element("pearson")),
    caption=lambda campaign: (
        f"{counts(campaign)}First row: the baseline. Numbers are means over the seeds in brackets. "
        f"{CHOSEN}Colours span all values of a panel, dark to light."
    ),
    alt=lambda campaign: (
        f"Heat maps of the baseline and the {TOP_BY_ELEMENT} best arms by element "
        f"({', '.join(FOUR)}) and their mean; every cell shows its number."
    ),
)
