"""Figures 1 and 6: arms as points, one measure against another."""

from __future__ import annotations

from matplotlib.axes import Axes

from training.report.campaign import MATCHED, Campaign, Cell, challenge, held_out
from training.report.drawing import (
    Label,
    Panel,
    Plate,
    baseline_band,
    draw_band,
    family_labels,
    nothing,
    scatter_arms,
    side_labels,
)
from training.report.style import look_of

TOP_LABELLED = 5
_HOW = (
    "Large points with a black edge are the representative of each family and the baseline, "
    "small ones the other arms; bars are the SD over seeds, dots single seeds. "
)
BAND_TEXT = (
    "Dashed line and grey band: mean of the baseline's seeds, and where 95 % of further single "
    "baseline runs would fall."
)


def _test_against_cagi5(statistic: str) -> Panel:
    x, y = held_out(statistic), challenge(statistic)

    def draw(axes: Axes, campaign: Campaign) -> None:
        drawn = scatter_arms(axes, campaign, x, y)
        if not drawn:
            nothing(axes)
            return
        draw_band(axes, baseline_band(campaign, y))
        axes.set(
            xlabel=f"test {statistic.capitalize()}, mean of the assays",
            ylabel=f"CAGI5 {statistic.capitalize()}, mean of four",
            title=f"{statistic.capitalize()}, {len(drawn)} arms",
        )
        side_labels(axes, family_labels(campaign, drawn, x, y))

    return Panel(statistic, draw)


def _gap(statistic: str) -> Panel:
    x, y = challenge(f"{statistic}_gap"), challenge(statistic)

    def draw(axes: Axes, campaign: Campaign) -> None:
        drawn = scatter_arms(axes, campaign, x, y)
        if not drawn:
            nothing(axes)
            return
        draw_band(axes, baseline_band(campaign, y))
        draw_band(axes, baseline_band(campaign, x), along="x")
        axes.set(
            xlabel=f"gap: {statistic.capitalize()} high - low confidence",
            ylabel=f"CAGI5 {statistic.capitalize()}, all variants",
            title=f"{statistic.capitalize()}, {len(drawn)} arms",
        )
        side_labels(axes, _best_labels(campaign, x, y))

    return Panel(statistic, draw, 4.8)


def _best_labels(campaign: Campaign, x: Cell, y: Cell) -> list[Label]:
    ranked = [arm for arm in campaign.ranked(y) if x in arm.means]
    shown = [arm for arm in ranked if arm is not campaign.baseline][:TOP_LABELLED]
    shown += [arm for arm in ranked if arm is campaign.baseline]
    return [
        Label(arm.means[x].value, arm.means[y].value, arm.name, look_of(arm.family).colour)
        for arm in shown
    ]


def counts(campaign: Campaign) -> str:
    """How many runs a figure rests on: arms, distinct runs, extra seeds, seeds of the baseline."""
    forms = campaign.count("forms")
    more = f" and {forms} runs of further forms of the losses" if forms.finished else ""
    return (
        f"Arms: {len(campaign.others)}, from {campaign.count('main')} distinct runs,"
        f" {campaign.count('seeds')} extra seeds{more}; baseline: {campaign.count('baseline')} "
        "seeds. "
    )


TEST_AGAINST_CAGI5 = Plate(
    1,
    "test_against_cagi5",
    "Held-out sequences against CAGI5 variants",
    (_test_against_cagi5("spearman"), _test_against_cagi5("pearson")),
    caption=lambda campaign: (
        f"{counts(campaign)}CAGI5: unweighted mean over the {MATCHED.split(' ')[0]} four. "
        f"{_HOW}{BAND_TEXT}"
    ),
    alt=lambda campaign: (
        f"Two scatter plots of {len(campaign.arms)} arms: correlation on the test fold across, "
        "on the CAGI5 variants up; Spearman left, Pearson right."
    ),
)
GAP = Plate(
    6,
    "gap",
    "Gap between high- and low-confidence variants",
    (_gap("spearman"), _gap("pearson")),
    caption=lambda campaign: (
        f"{counts(campaign)}The {TOP_LABELLED} best arms and the baseline are named. {_HOW}"
        f"{BAND_TEXT}"
    ),
    alt=lambda campaign: (
        f"Scatter plots of {len(campaign.arms)} arms: difference between the correlation on high- "
        "and on low-confidence variants across, correlation on all variants up."
    ),
)
