"""A map -> the shapes of its picture: a sequence logo above a heatmap, for the template to write.

Hundreds of these stand in one page, so they are no figures of a plotting library: a page's one set
of letters (`service.report.letters`) is stretched, and a cell is one short path. Measured for 41
bases, this takes 2 ms and 20 kB, a figure of matplotlib 100 ms and 64 kB, one of logomaker 270 ms
and 68 kB; and its colours are those of the page, in the dark and in print.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from service.report.maps import VariantMap
from service.report.words import NOTHING, signed
from service.saturation import ALTS
from service.sequence import UNKNOWN

COLUMN, ROW = 10, 12
"""Size of a cell, in units of the picture."""
LEFT, TOP = 42, 14
LOGO = 66
"""Height of the logo."""
LETTERS = 14
"""Height of the line of reference bases between logo and heatmap."""
BOTTOM = 16

_FULL_SHARE = 0.99
_LEAST_LETTER = 0.4  # units; nobody sees a smaller one


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter of a logo: `base` in a box of width 1, moved and stretched."""

    base: str
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One change in a heatmap.

    Attributes:
      x: of its left edge.
      y: of its upper edge.
      kind: `down`, `up`, `none` (the reference's own base) or `unknown`.
      strength: 0 to 1, share of the effect at which a colour is full.
      sign: `+` or `-` where the effect is beyond the threshold, else empty.
      title: what it is, in words.
    """

    x: int
    y: int
    kind: str
    strength: str = ""
    sign: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the template needs of one map; lengths in units of the picture.

    Attributes:
      width: of all.
      height: of all.
      label: the picture in a sentence.
      letters: of the logo.
      zero: y of the logo's line.
      ticks: (y, text) beside the logo.
      bases: reference bases.
      columns: x of the middle of each position.
      cells: of the heatmap.
      mark: (x, width) of what the variant replaces; of an insertion a line between two bases.
      own: (x, y) of the variant's own change, if it is a single-base one.
      first: **1-based** position of the first base, as text.
      last: of the last one.
      numbers: (position, base, four texts ACGT) for each base: the table beside the picture.
    """

    width: int
    height: int
    label: str
    letters: tuple[Letter, ...]
    zero: float
    ticks: tuple[tuple[float, str], ...]
    bases: str
    columns: tuple[int, ...]
    cells: tuple[Cell, ...]
    mark: tuple[float, float]
    own: tuple[int, int] | None
    first: str
    last: str
    numbers: tuple[tuple[str, str, tuple[str, ...]], ...]


def full_colour(maps: Iterable[VariantMap], threshold: float) -> float:
    """Effect, log2 units, from which on colours are full: the same for all maps of a page.

    It is the size that all but 1 % of the changes stay below, rounded up to a tenth; at least
    twice the threshold, so that maps in which nothing happens look like it.
    """
    sizes = [np.abs(one.effect[np.isfinite(one.effect)]) for one in maps]
    every = np.concatenate([*sizes, [0.0]])
    return math.ceil(10 * max(2 * threshold, float(np.quantile(every, _FULL_SHARE)), 0.1)) / 10


def picture(one: VariantMap, *, target: str, threshold: float, full: float) -> Picture:
    """Lay one map out.

    Args:
      one: the map.
      target: name of its target.
      threshold: smallest effect that matters, log2 units.
      full: effect at which colours are full.
    """
    region, n = one.region, len(one.effect)
    heights = np.nan_to_num(one.heights)
    high, low = max(float(heights.max()), 0.0), min(float(heights.min()), 0.0)
    # Where nothing happens, letters stay small: they fill the picture from the threshold on.
    scale = LOGO / max(high - low, threshold, 1e-6)
    spare = (LOGO - scale * (high - low)) / 2
    zero = TOP + spare + scale * high
    mark = LEFT + COLUMN * one.places.start, COLUMN * len(one.places)
    own = one.own
    top = TOP + LOGO + LETTERS
    return Picture(
        width=LEFT + COLUMN * n + 8,
        height=top + ROW * len(ALTS) + BOTTOM,
        label=_label(one, target),
        letters=tuple(_letters(region.sequence, heights * scale, zero)),
        zero=round(zero, 1),
        ticks=tuple(_ticks(high, low, zero, scale)),
        bases=region.sequence,
        columns=tuple(range(LEFT + COLUMN // 2, LEFT + COLUMN * n, COLUMN)),
        cells=tuple(_cells(one, threshold, full, top)),
        mark=mark,
        own=own and (LEFT + COLUMN * own[0], top + ROW * own[1]),
        first=_position(region.start),
        last=_position(region.start + n - 1),
        numbers=tuple(_numbers(one)),
    )


def _letters(sequence: str, heights: np.ndarray, zero: float) -> Iterator[Letter]:
    for place, (base, height) in enumerate(zip(sequence, heights.tolist(), strict=True)):
        if base in ALTS and abs(height) >= _LEAST_LETTER:
            yield Letter(base, LEFT + COLUMN * place + 0.4, round(zero, 1), round(height, 2))


def _ticks(high: float, low: float, zero: float, scale: float) -> Iterator[tuple[float, str]]:
    yield round(zero, 1), "0"
    for value in (high, low):
        # Beside the zero there is no room for two.
        if abs(value) * scale > 9:
            yield round(zero - scale * value, 1), signed(value)


def _cells(one: VariantMap, threshold: float, full: float, top: int) -> Iterator[Cell]:
    region = one.region
    for place, (base, code) in enumerate(zip(region.sequence, region.codes.tolist(), strict=True)):
        where = f"{_position(region.start + place)} {base}"
        for column, alt in enumerate(ALTS):
            x, y = LEFT + COLUMN * place, top + ROW * column
            value = float(one.effect[place, column])
            if code == column:
                yield Cell(x, y, "none")
            elif code == UNKNOWN or not math.isfinite(value):
                yield Cell(x, y, "unknown", title=f"{where}>{alt} not known")
            else:
                sign = ("-" if value < 0 else "+") if abs(value) >= max(threshold, 1e-9) else ""
                strength = f"{min(abs(value) / full, 1):.2f}"
                kind = "down" if value < 0 else "up"
                yield Cell(x, y, kind, strength, sign, f"{where}>{alt} {signed(value)}")


def _label(one: VariantMap, target: str) -> str:
    region = one.region
    first, last = _position(region.start), _position(region.start + len(one.effect) - 1)
    text = f"Saturation map on {target}, {region.contig}:{first} to {last}."
    if not np.isfinite(one.effect).any():
        return f"{text} No change in it has a score."
    ends = []
    for name, at in (("Lowest", np.nanargmin(one.effect)), ("highest", np.nanargmax(one.effect))):
        place, column = divmod(int(at), len(ALTS))
        change = f"{region.start + place + 1:,} {region.sequence[place]} to {ALTS[column]}"
        ends.append(f"{name} effect {signed(one.effect[place, column])} at {change}")
    return f"{text} {'; '.join(ends)}."


def _numbers(one: VariantMap) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    region = one.region
    for place, base in enumerate(region.sequence):
        texts = (
            "" if base == alt else signed(value)
            for alt, value in zip(ALTS, one.effect[place].tolist(), strict=True)
        )
        yield _position(region.start + place), base, tuple(texts)


def _position(start: int) -> str:
    """**1-based** position of a 0-based place; a dash before the beginning of the contig."""
    return f"{start + 1:,}" if start >= 0 else NOTHING
