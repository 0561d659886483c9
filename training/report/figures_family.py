"""Figures 3 and 4: runs by family, noise correlation and CAGI5 accuracy."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from training.report.campaign import Campaign, Cell, challenge, held_out
from training.report.drawing import (
    Panel,
    Plate,
    baseline_band,
    draw_band,
    family_labels,
    nothing,
    scatter_arms,
    side_labels,
    swarm,
)
from training.report.figures_scatter import BAND_TEXT, counts
from training.report.style import FAINT, INK, look_of

CALIBRATED, RAW = held_out("r_noise"), held_out("r_noise_raw")
RUNS_TEXT = (
    "Shown: runs of the study's plan and the baseline's seeds; extra seeds are left out, as they "
    "would give one arm more weight. "
)


def _rows(
    campaign: Campaign, cell: Cell
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    families = ("baseline", *campaign.families)
    found = {family: campaign.values(cell, family=family) for family in families}
    return {family: values for family, values in found.items() if values.size}


def _name_rows(axes: Axes, rows: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> None:
    labels = [f"{look_of(family).label} ({values.size})" for family, values in rows.items()]
    axes.set_yticks(range(len(rows)), labels, fontsize=9)
    for tick, family in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_color(look_of(family).colour)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=6)


def boxes(cell: Cell, label: str, *, title: str, height: float = 4.4) -> Panel:
    """Panel of box plots by family (quartiles; whiskers to 1.5 IQR), every run a point."""

    def draw(axes: Axes, campaign: Campaign) -> None:
        rows = _rows(campaign, cell)
        if not rows:
            nothing(axes)
            return
        draw_band(axes, baseline_band(campaign, cell), along="x")
        for row, (family, values) in enumerate(rows.items()):
            look = look_of(family)
            if values.size > 2:
                axes.boxplot(
                    values,
                    positions=[row],
                    orientation="horizontal",
                    widths=0.62,
                    showfliers=False,
                    manage_ticks=False,
                    boxprops={"color": look.colour},
                    whiskerprops={"color": look.colour},
                    capprops={"color": look.colour},
                    medianprops={"color": INK, "lw": 1.6},
                )
            axes.plot(
                values, row + swarm(values, width=0.2), look.marker, color=look.colour, ms=4.5,
                mew=0, alpha=0.7,
            )  # fmt: skip
        _name_rows(axes, rows)
        axes.set_xlabel(label)
        axes.set_title(f"{title}, {sum(v.size for v in rows.values())} runs")

    return Panel(cell.metric, draw, height)


def _strip(axes: Axes, campaign: Campaign) -> None:
    rows, raw = _rows(campaign, CALIBRATED), _rows(campaign, RAW)
    if not rows:
        nothing(axes)
        return
    axes.axvline(0, color=FAINT, lw=0.8)
    draw_band(axes, baseline_band(campaign, CALIBRATED), along="x")
    for row, (family, values) in enumerate(rows.items()):
        look = look_of(family)
        before = raw.get(family, np.empty(0))
        axes.plot(before, np.full(before.size, row + 0.27), "|", color=look.colour, ms=7, mew=1)
        axes.plot(
            values, row - 0.12 + swarm(values, width=0.16), look.marker, color=look.colour, ms=5,
            mew=0, alpha=0.8,
        )  # fmt: skip
    _name_rows(axes, rows)
    axes.set_xlabel("correlation of |error| with replicate SD")
    axes.set_title("Points: calibrated; ticks: raw output")


def _against_cagi5(axes: Axes, campaign: Campaign) -> None:
    x, y = CALIBRATED, challenge("spearman")
    drawn = scatter_arms(axes, campaign, x, y)
    if not drawn:
        nothing(axes)
        return
    draw_band(axes, baseline_band(campaign, y))
    draw_band(axes, baseline_band(campaign, x), along="x")
    axes.set(
        xlabel="noise correlation, calibrated",
        ylabel="CAGI5 Spearman, mean of four",
        title=f"Against CAGI5, {len(drawn)} arms",
    )
    side_labels(axes, family_labels(campaign, drawn, x, y))


NOISE = Plate(
    3,
    "noise",
    "Noise correlation of the errors on held-out sequences",
    (Panel("families", _strip), Panel("cagi5", _against_cagi5)),
    caption=lambda campaign: (
        f"{counts(campaign)}Pearson correlation of |error| with the replicate SD, mean of the "
        "assays; errors after fitting scale and offset on the validation fold. The ticks are the "
        "same number from raw outputs, which means nothing for a ranking loss: its scale is free. "
        f"{RUNS_TEXT}{BAND_TEXT}"
    ),
    alt=lambda campaign: (
        f"Left, a strip of points for each of {len(campaign.families)} families and the baseline: "
        "noise correlation of each run. Right, a scatter plot of noise correlation and CAGI5 "
        "Spearman by arm."
    ),
)
BY_FAMILY = Plate(
    4,
    "families",
    "CAGI5 accuracy by family",
    (
        boxes(challenge("spearman"), "CAGI5 Spearman, mean of four", title="Spearman"),
        boxes(challenge("pearson"), "CAGI5 Pearson, mean of four", title="Pearson"),
    ),
    caption=lambda campaign: (
        f"{counts(campaign)}Box: quartiles, line: median, whiskers: to the last run within 1.5 "
        f"interquartile ranges; every run is a point, its number in brackets. {RUNS_TEXT}"
        f"{BAND_TEXT}"
    ),
    alt=lambda campaign: (
        f"Box plots of the CAGI5 Spearman and Pearson correlation of single runs, one row for the "
        f"baseline and each of {len(campaign.families)} families."
    ),
)
