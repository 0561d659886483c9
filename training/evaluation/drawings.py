"""Reliability of a card's distributions as text: tables of a report -> charts that any page shows.

Each line is a row of a table: `|` is what should be, `o` what was found, `-` its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.metrics import Estimate
from training.evaluation.report import Cell, Report, Table

COVERAGE = "Coverage, one locus left out"
INTERVALS = "Reliability of the intervals, all elements"
SIGNS = "Sign of the measurement"
PIT = "Probability integral transform (0.1 in each if the distribution holds)"
_WIDTH = 61


@dataclass(frozen=True, slots=True)
class Mark:
    """One line of a chart.

    Attributes:
      label: what it is of.
      said: what should be; NaN where nothing can be said, of no rows.
      found: what was found, with or without an interval.
    """

    label: str
    said: float
    found: Estimate


def drawings(report: Report) -> str:
    """Draw the reliability of intervals and signs, and the PIT, of a report that has their tables.

    Tables that are not there, as in reports of other kinds, are left out; without any, nothing is
    drawn.
    """
    tables = {table.title: table for table in report.tables}
    parts = [
        f"{title} (`|` said, `o` found, `-` 95 % interval where the card has one):"
        f"\n\n```\n{chart(marks, from_zero=title.endswith('(PIT)'))}\n```"
        for title, marks in _charts(tables)
        if marks
    ]
    return "\n\n".join(parts)


def chart(marks: Sequence[Mark], *, from_zero: bool = False) -> str:
    """Return a chart of one or more marks on one scale, its ends below.

    Args:
      marks: a line each.
      from_zero: whether the scale begins at 0, and not at the smallest value.
    """
    ends = [0.0] if from_zero else []
    ends += [x for mark in marks for x in _known(mark)]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    span = (high - low) or 1.0

    def place(x: float) -> int:
        return round((x - low) / span * (_WIDTH - 1))

    width = max(len(mark.label) for mark in marks)
    lines = []
    for mark in marks:
        cells = [" "] * _WIDTH
        if not np.isnan(mark.found.low):
            first, last = place(mark.found.low), place(mark.found.high)
            cells[first : last + 1] = "-" * (last + 1 - first)
        if not np.isnan(mark.said):
            cells[place(mark.said)] = "|"
        if not np.isnan(mark.found.value):
            cells[place(mark.found.value)] = "o"
        lines.append(f"{mark.label:<{width}}  {''.join(cells)}".rstrip())
    axis = f"{low:<{_WIDTH // 2}.3f}{high:>{_WIDTH - _WIDTH // 2}.3f}"
    return "\n".join([*lines, f"{'':<{width}}  {axis}"])


def _charts(tables: dict[str, Table]) -> Iterator[tuple[str, list[Mark]]]:
    """Yield title and marks of what can be drawn, however old the card."""
    if table := tables.get(INTERVALS):
        column = table.columns.index("calibrated")
        marks = [
            Mark(str(row[0]), float(str(row[0]).rstrip("%")) / 100, _estimate(row[column]))
            for row in table.rows
        ]
        yield "Share of measurements inside each interval", marks
    elif table := tables.get(COVERAGE):
        levels = [name for name in table.columns if name.startswith("inside ")]
        found = {level.removeprefix("inside "): table.cell("all", level) for level in levels}
        marks = [
            Mark(level, float(level.rstrip("%")) / 100, _estimate(cell))
            for level, cell in found.items()
        ]
        yield "Share of measurements inside each interval", marks
    if table := tables.get(SIGNS):
        said = table.columns.index("predicted share with its error")
        share = table.columns.index("share")
        marks = [
            Mark(str(row[0]), _estimate(row[said]).value, _estimate(row[share]))
            for row in table.rows
        ]
        yield "Share of measurements with the predicted sign, by p_sign", marks
    if table := tables.get(PIT):
        column = table.columns.index("calibrated")
        even = 1 / len(table.rows)
        marks = [Mark(str(row[0]), even, _estimate(row[column])) for row in table.rows]
        yield "Share of measurements by the cdf at them (PIT)", marks


def _estimate(cell: Cell) -> Estimate:
    if isinstance(cell, Estimate):
        return cell
    return Estimate(float(cell) if isinstance(cell, int | float) else np.nan, np.nan, np.nan)


def _known(mark: Mark) -> Iterator[float]:
    every = mark.said, mark.found.value, mark.found.low, mark.found.high
    yield from (x for x in every if not np.isnan(x))
