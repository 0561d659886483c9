"""The scored rows of a list -> interval plots, a page high each, drawn by matplotlib.

Both distributions of each effect: a thick line for the true effect, a thin one for a repeat of the
assay.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from service.report.words import short_name
from service.triage import Tier
from service.triage_list import Call, Row, TriageList

MARKERS = {Tier.LOWERS: "v", Tier.RAISES: "^", Tier.UNKNOWN: "o"}
DASHES = ("solid", "dashed", "dotted", "dashdot")
"""Of the thin lines, by target: a second way to tell targets apart, besides colour and order."""

WIDTH = 4.8
"""Inches. Text of 9.5 points in a picture of this width is legible on a phone."""
_DRAWN = ("effect", "lower", "upper", "repeat_lower", "repeat_upper")
_ROWS = 30
_MARGIN, _ROW, _TARGET = 0.75, 0.2, 0.14

# Colours while drawing -> colours of the page, which are others in the dark.
_INK, _FAINT, _BAND, _PAPER = "#1b1b1b", "#5c5c5c", "#eceff3", "#fefefe"
_TARGETS = ("#0b5c93", "#a8420a", "#0f6b4f", "#7a3e93")
_COLOURS = {
    _INK: "var(--ink)", _FAINT: "var(--faint)", _BAND: "var(--band)", _PAPER: "var(--paper)",
    **{colour: f"var(--target-{number})" for number, colour in enumerate(_TARGETS)},
}  # fmt: skip
_RC = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "varsigma",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One part of the plot, as SVG that may stand in HTML, under a policy without inline styles."""

    svg: Markup


def look_of(t: int) -> tuple[str, str]:
    """Colour and dashes of the target of this number."""
    return _TARGETS[t % len(_TARGETS)], DASHES[t % len(DASHES)]


def panels(found: TriageList) -> Iterator[Panel]:
    """Draw the scored rows of a list by rank, so many in a panel as a printed page has room for."""
    rows = [row for row in found.rows if row.rank is not None]
    limits = _limits(rows, found.options.threshold)
    n_each = max(_ROWS * 2 // (1 + len(found.targets)), 5)
    n_panels = max(-(-len(rows) // n_each), 1)
    # As even as can be: a last panel of one row would look like something of its own.
    bounds = [len(rows) * number // n_panels for number in range(n_panels + 1)]
    for first, end in pairwise(bounds):
        part = rows[first:end]
        if not part:
            continue
        label = (
            f"Interval plot of ranks {part[0].rank} to {part[-1].rank} on"
            f" {', '.join(found.targets)}: the numbers of the table of ranks."
        )
        yield Panel(_inline(_drawn(part, found, limits), prefix=f"i{first}", label=label))


def _limits(rows: Sequence[Row], threshold: float) -> tuple[float, float]:
    """The same for all panels, with all that is drawn inside."""
    ends = [-2 * threshold, 2 * threshold, -0.05, 0.05]
    for row in rows:
        for call in row.calls.values():
            for name in _DRAWN:
                value = call.numbers[name]
                ends += [] if value is None else [value]
    low, high = min(ends), max(ends)
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def _drawn(rows: Sequence[Row], found: TriageList, limits: tuple[float, float]) -> str:
    n_targets = len(found.targets)
    height = _MARGIN + len(rows) * (_ROW + _TARGET * (n_targets - 1))
    # A name may have letters that the font lacks: the page is shown in the reader's own.
    with style.context(["default", _RC]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes(
            (1.78 / WIDTH, 0.45 / height, (WIDTH - 1.86) / WIDTH, 1 - 0.5 / height)
        )
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        _frame(axes, rows, found.options.threshold, limits)
        step = _TARGET / (_ROW + _TARGET * (n_targets - 1))
        for t, target in enumerate(found.targets):
            offset = step * (t - (n_targets - 1) / 2)
            _target(axes, [row.calls[target] for row in rows], offset, t)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _frame(axes: Axes, rows: Sequence[Row], threshold: float, limits: tuple[float, float]) -> None:
    axes.set(xlim=limits, ylim=(len(rows) - 0.4, -0.6), xlabel="effect, log2(RNA/DNA)")
    axes.axvspan(-threshold, threshold, color=_BAND, lw=0, zorder=0)
    for edge in {-threshold, threshold} - {0}:
        axes.axvline(edge, color=_FAINT, lw=0.7, ls=(0, (2, 2)), zorder=1)
    axes.axvline(0, color=_INK, lw=0.9, zorder=1)
    axes.locator_params(axis="x", nbins=5)
    axes.set_yticks(range(len(rows)), [short_name(row) for row in rows])
    axes.tick_params(axis="y", length=0)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)  # an ID may have dollar signs


def _target(axes: Axes, calls: Sequence[Call], offset: float, t: int) -> None:
    colour, dashes = look_of(t)
    numbers = np.array(
        [
            [np.nan if one.numbers[name] is None else one.numbers[name] for name in _DRAWN]
            for one in calls
        ],
        np.float64,
    )
    y = np.arange(len(calls)) + offset
    for low, high, width, kind in ((3, 4, 0.9, dashes), (1, 2, 3.2, "solid")):
        known = np.isfinite(numbers[:, [low, high]]).all(axis=1)
        ends = numbers[known, low], numbers[known, high]
        axes.hlines(y[known], *ends, color=colour, lw=width, ls=kind, zorder=2)
    # Ticks at the ends of a repeat, which is often no wider than the true effect.
    tips = numbers[:, 3:].ravel()
    axes.plot(tips, np.repeat(y, 2), "|", ms=7, mew=0.9, color=colour, zorder=3)
    for tier, marker in MARKERS.items():
        chosen = np.array([one.tier is tier for one in calls]) & np.isfinite(numbers[:, 0])
        axes.plot(
            numbers[chosen, 0], y[chosen], marker, ms=6.5, mew=0.9,
            mec=colour if tier is Tier.UNKNOWN else _PAPER,
            mfc=_PAPER if tier is Tier.UNKNOWN else colour, zorder=4,
        )  # fmt: skip


def _inline(svg: str, *, prefix: str, label: str) -> Markup:
    """SVG of matplotlib -> an element of HTML without names of namespaces, styles or idle ids.

    Args:
      svg: as matplotlib wrote it.
      prefix: goes before the ids, which must differ from those of other pictures.
      label: what a screen reader says.
    """
    root = ET.fromstring(svg)
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    used = {
        word.partition("#")[2].rstrip(")")
        for node in root.iter()
        for name, word in node.attrib.items()
        if name.endswith("href") or word.startswith("url(#")
    }
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
        node.attrib = dict(_attributes(node, used, prefix))
        node.tail = None
        if node.text and not node.text.strip():
            node.text = None
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    return Markup(ET.tostring(root, encoding="unicode"))  # text in it is escaped by the writer


def _attributes(node: ET.Element, used: set[str], prefix: str) -> Iterator[tuple[str, str]]:
    for name, word in node.attrib.items():
        local = name.rpartition("}")[2]
        if local == "style":
            yield from _declarations(word)
        elif local == "id":
            if word in used:
                yield "id", f"{prefix}-{word}"
        elif local == "d":
            yield "d", " ".join(word.split())
        elif not word.startswith("rotate(-0 "):
            yield local, word.replace("#", f"#{prefix}-") if "#" in word else word


def _declarations(text: str) -> Iterator[tuple[str, str]]:
    """Attributes that say what a style says; the page chooses the font."""
    for one in text.split(";"):
        name, _, value = (part.strip() for part in one.partition(":"))
        if name and name != "font-family":
            yield name, _COLOURS.get(value, value)
