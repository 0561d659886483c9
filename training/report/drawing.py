"""What several figures share: the baseline's band, arms as points, labels that never overlap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import isotonic_regression

from training.report.campaign import Arm, Campaign, Cell
from training.report.style import BAND, FAINT, INK, look_of

PANEL_WIDTH = 4.8
"""Inches. Ten-point text in a picture of this width is still legible on a phone."""

_BLANK = 0.8
"""Height of a panel that only says that there is nothing yet."""

_FEWEST = 3
"""Seeds that make a band: with two, t is 12.7 and the band hides the figure."""

_LONGEST = 24
"""Characters of a name on one line."""


@dataclass(frozen=True)
class Panel:
    """One set of axes of a figure.

    Attributes:
      slug: names it inside the figure.
      draw: fills the axes.
      height: inches.
      is_blank: whether there is nothing to draw yet; a word then takes a line, not a page.
    """

    slug: str
    draw: Callable[[Axes, Campaign], None]
    height: float = 4.4
    is_blank: Callable[[Campaign], bool] = lambda _campaign: False

    def height_of(self, campaign: Campaign) -> float:
        """Inches that it takes."""
        return _BLANK if self.is_blank(campaign) else self.height

    def figure(self, campaign: Campaign) -> Figure:
        """The panel by itself, as it stands in the page."""
        figure = Figure(figsize=(PANEL_WIDTH, self.height_of(campaign)), layout="constrained")
        self.draw(figure.subplots(), campaign)
        return figure


@dataclass(frozen=True)
class Plate:
    """One numbered figure.

    Attributes:
      number: its place among the figures.
      slug: name of its files.
      title: what it shows.
      panels: left to right, then down.
      caption: how to read it, with the counts of this campaign.
      alt: what it shows, for those who do not see it.
      columns: panels side by side.
      rc: settings of matplotlib that only this one needs.
    """

    number: int
    slug: str
    title: str
    panels: tuple[Panel, ...]
    caption: Callable[[Campaign], str]
    alt: Callable[[Campaign], str]
    columns: int = 2
    rc: Mapping[str, str] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Name of its files without the ending."""
        return f"{self.number}_{self.slug}"

    def figure(self, campaign: Campaign) -> Figure:
        """All panels on one sheet."""
        rows = -(-len(self.panels) // self.columns)
        lines = [self.panels[row * self.columns :][: self.columns] for row in range(rows)]
        heights = [max(panel.height_of(campaign) for panel in line) for line in lines]
        figure = Figure(
            figsize=(PANEL_WIDTH * self.columns, sum(heights) + 0.4), layout="constrained"
        )
        figure.suptitle(f"{self.number}. {self.title}", x=0.01, ha="left", fontweight="bold")
        sheets = figure.subfigures(rows, self.columns, squeeze=False, height_ratios=heights)
        for panel, sheet in zip(self.panels, sheets.flat, strict=False):
            panel.draw(sheet.subplots(), campaign)
        return figure


class Band(NamedTuple):
    """Mean of the baseline's runs, and where 95 % of further single runs would fall."""

    mean: float
    low: float
    high: float
    n: int


class Label(NamedTuple):
    """A text that belongs to the point (x, y)."""

    x: float
    y: float
    text: str
    colour: str


def baseline_band(campaign: Campaign, cell: Cell) -> Band | None:
    """Prediction interval for one more run, Student's t: mean +- t s sqrt(1 + 1/n); NaN if n < 3.

    None without a baseline.
    """
    arm = campaign.baseline
    values = campaign.values(cell, arm=arm.name) if arm else np.empty(0)
    if values.size == 0:
        return None
    mean, n = float(values.mean()), values.size
    if n < _FEWEST:
        return Band(mean, np.nan, np.nan, n)
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / n)
    return Band(mean, mean - half, mean + half, n)


def draw_band(axes: Axes, band: Band | None, *, along: str = "y", colour: str = INK) -> None:
    """Baseline of a figure: a dashed line at its mean in the band of its single runs."""
    if band is None:
        return
    line, span = (axes.axhline, axes.axhspan) if along == "y" else (axes.axvline, axes.axvspan)
    if np.isfinite(band.low):
        span(band.low, band.high, color=BAND, alpha=0.55, lw=0, zorder=0)
    line(band.mean, color=colour, ls="--", lw=1.1, zorder=1)


def nothing(axes: Axes, text: str = "no finished run yet") -> None:
    """Say that there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=FAINT, transform=axes.transAxes)


def scatter_arms(axes: Axes, campaign: Campaign, x: Cell, y: Cell) -> list[Arm]:
    """Arms as mean +- SD of their seeds, single seeds as small points; returns those drawn."""
    drawn = [arm for arm in campaign.arms if x in arm.means and y in arm.means]
    runs = campaign.runs
    for arm in drawn:
        look = look_of(arm.family)
        across, up = arm.means[x], arm.means[y]
        is_bold = arm.is_representative or arm is campaign.baseline
        if len(arm.seeds) > 1:
            single = runs[runs["arm"] == arm.name]
            axes.plot(single[x], single[y], ".", color=look.colour, ms=4, mew=0, alpha=0.45)
        axes.errorbar(
            across.value,
            up.value,
            xerr=None if np.isnan(across.seed_sd) else across.seed_sd,
            yerr=None if np.isnan(up.seed_sd) else up.seed_sd,
            fmt=look.marker,
            color=look.colour,
            ms=9 if is_bold else 6,
            mec=INK if is_bold else "white",
            mew=0.9 if is_bold else 0.5,
            ecolor=to_rgba(look.colour, 0.8 if is_bold else 0.3),
            elinewidth=1.0 if is_bold else 0.8,
            zorder=4 if is_bold else 3,
        )
    return drawn


def family_labels(campaign: Campaign, drawn: Sequence[Arm], x: Cell, y: Cell) -> list[Label]:
    """One label per family, at its representative, or at its best arm on `y` without one."""
    labels = []
    for family in dict.fromkeys(arm.family for arm in drawn):
        members = [arm for arm in drawn if arm.family == family]
        chosen = [arm for arm in members if arm.is_representative] or members
        arm = campaign.ranked(y, chosen)[0]
        look = look_of(family)
        labels.append(Label(arm.means[x].value, arm.means[y].value, look.label, look.colour))
    return labels


def side_labels(axes: Axes, labels: Sequence[Label], *, gap: float = 0.068) -> None:
    """Write labels in a column to the right of the axes, with lines to their points.

    Args:
      axes: with final limits, which this freezes.
      labels: in any order.
      gap: least distance of two labels, in axes heights.
    """
    axes.locator_params(axis="x", nbins=5)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    axes.set(xlim=(left, right), ylim=(low, high))
    if not labels:
        return
    if any("\n" in wrapped(label.text) for label in labels):
        gap *= 1.45
    order = sorted(labels, key=lambda label: (label.y, label.text))
    edge = right + 0.03 * (right - left)
    for label, place in zip(
        order, spread([(label.y - low) / (high - low) for label in order], gap), strict=True
    ):
        at = low + place * (high - low)
        axes.plot(
            [label.x, edge], [label.y, at], color=label.colour, lw=0.6, alpha=0.6, clip_on=False
        )
        axes.text(
            edge + 0.02 * (right - left),
            at,
            wrapped(label.text),
            va="center",
            fontsize=9,
            linespacing=1.05,
            color=label.colour,
        )


def wrapped(name: str) -> str:
    r"""A long name on two lines, broken where its architecture or loss ends.

    >>> wrapped("factorized_full.noise_gated.quantile")
    'factorized_full.\nnoise_gated.quantile'
    """
    if len(name) <= _LONGEST or "." not in name:
        return name
    head, _, tail = name.partition(".")
    return f"{head}.\n{tail}"


def spread(wanted: Sequence[float], gap: float) -> NDArray[np.float64]:
    """Move sorted places as little as needed (least squares) until neighbours are `gap` apart.

    Then shifted into [0, 1] where they fit.

    >>> spread([0.5, 0.5, 0.9], 0.1).round(2).tolist()
    [0.45, 0.55, 0.9]
    """
    steps = gap * np.arange(len(wanted), dtype=np.float64)
    placed: NDArray[np.float64] = isotonic_regression(np.asarray(wanted) - steps).x + steps
    if placed[-1] > 1:
        placed = np.minimum(placed, 1 - (steps[-1] - steps))
    if placed[0] < 0:
        placed = np.maximum(placed, steps)
    return placed


def swarm(values: NDArray[np.float64], *, width: float = 0.32) -> NDArray[np.float64]:
    """Offsets (n,) across the line of a strip so that near values stand apart; no chance in it."""
    steps = np.array([0.0, 0.5, -0.5, 1.0, -1.0]) * width
    offsets = np.empty(values.size)
    offsets[np.argsort(values, kind="stable")] = steps[np.arange(values.size) % steps.size]
    return offsets
