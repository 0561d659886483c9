"""How every figure looks, and how it is written: the same bytes from the same numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib import style as sheets
from matplotlib.figure import Figure

INK, FAINT, BAND = "#1b1b1b", "#6b6b6b", "#d9d9d9"


@dataclass(frozen=True)
class Family:
    """How a family of strategies is named and marked.

    Attributes:
      label: in text.
      colour: near Okabe and Ito's palette (2008), which any colour vision tells apart; its light
        colours are darker here, as names are written in them.
      marker: a second way to tell the families apart.
    """

    label: str
    colour: str
    marker: str


FAMILIES: Mapping[str, Family] = {
    "baseline": Family("MSE baseline", "#000000", "X"),
    "rank_stability": Family("Rank stability", "#0072B2", "o"),
    "distributional": Family("Distributional", "#AA4499", "s"),
    "noise_gated": Family("Noise gated", "#009E73", "^"),
    "contrastive": Family("Contrastive", "#C98A00", "D"),
    "quantile": Family("Quantile", "#3A9BDC", "v"),
    "hard_negative": Family("Hard negative", "#D55E00", "P"),
    "factorized": Family("Factorized", "#7A6A00", "h"),
}
CLASSES: Mapping[str, tuple[str, str, str]] = {
    "": ("all", "#0072B2", "o"),
    "_high": ("high", "#009E73", "^"),
    "_low": ("low", "#D55E00", "v"),
}
"""Suffix of a metric -> label, colour and marker of its confidence class."""

_RC = {
    # comes with matplotlib, so that a picture is the same on every machine
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "varsigma",
    "savefig.dpi": 160,
}


def rank_of(family: str) -> tuple[int, str]:
    """Sort key: the order of `FAMILIES`, unknown ones after them by name."""
    names = list(FAMILIES)
    return (names.index(family) if family in FAMILIES else len(names), family)


def look_of(family: str) -> Family:
    """How a family is drawn; one that has no place yet is grey."""
    return FAMILIES.get(family, Family(family.replace("_", " ").capitalize(), "#777777", "."))


def style(**changes: Any) -> Any:  # noqa: ANN401 (matplotlib's own signature)
    """Context in which figures are drawn: defaults of matplotlib, then ours, then `changes`."""
    return sheets.context(["default", {**_RC, **changes}])


def to_png(figure: Figure) -> bytes:
    """PNG without a date or a version in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure) -> str:
    """SVG without a date or a version in it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def inline(svg: str, *, prefix: str, label: str) -> str:
    """SVG to stand inside HTML: no prolog, no metadata, ids that no other picture has.

    Args:
      svg: as `to_svg` wrote it.
      prefix: goes before every id that something refers to; other ids are dropped.
      label: what a screen reader says; must be escaped for an attribute.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    used = set(re.findall(r"(?:href=\"|url\()#([^\")]+)", body))

    def renamed(found: re.Match[str]) -> str:
        return f' id="{prefix}-{found[1]}"' if found[1] in used else ""

    body = re.sub(r"\sid=\"([^\"]+)\"", renamed, body)
    body = body.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    body = re.sub(r"(href=\"|url\()#", rf"\g<1>#{prefix}-", body)
    return body.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()
