"""Tables of results: one value that prints, enters a model card and comes back from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.evaluation.metrics import Estimate

Cell = str | int | float | Estimate | None
Json = str | int | float | Mapping[str, float | None] | None
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns and rows; the first cell of a row is its label."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        """Refuse a row that does not fit the columns."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.title}: a row of {len(row)} cells under {len(self.columns)} columns"
                )

    def cell(self, label: str, column: str) -> Cell:
        """Value under `column` in the row whose first cell is `label`."""
        at = self.columns.index(column)
        for row in self.rows:
            if row[0] == label:
                return row[at]
        raise KeyError(f"{self.title} has no row {label!r}")

    def to_markdown(self) -> str:
        """Markdown table with aligned columns, readable in a terminal as it is."""
        body = [self.columns, *(tuple(map(show, row)) for row in self.rows)]
        widths = [max(len(row[i]) for row in body) for i in range(len(self.columns))]
        lines = [_line(row, widths) for row in body]
        lines.insert(1, _line(["-" * width for width in widths], widths))
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Report:
    """What one evaluation found: tables, and notes on how to read them."""

    title: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()

    def table(self, title: str) -> Table:
        """The table of that title."""
        for table in self.tables:
            if table.title == title:
                return table
        raise KeyError(f"{self.title} has no table {title!r}")

    def to_markdown(self, level: int = 2) -> str:
        """Markdown text with the title as a heading of the given level."""
        parts = [f"{'#' * level} {self.title}"]
        for table in self.tables:
            parts += [f"{'#' * (level + 1)} {table.title}", table.to_markdown()]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts) + "\n"

    def __str__(self) -> str:
        """Return Markdown, which reads well in a terminal too."""
        return self.to_markdown()

    def to_json(self) -> dict[str, Any]:
        """JSON value for a model card; undefined numbers become null."""
        return {
            "title": self.title,
            "tables": [
                {
                    "title": table.title,
                    "columns": list(table.columns),
                    "rows": [[_pack(cell) for cell in row] for row in table.rows],
                }
                for table in self.tables
            ],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Report":
        """Inverse of `to_json`."""
        tables = tuple(
            Table(
                title=table["title"],
                columns=tuple(table["columns"]),
                rows=tuple(tuple(_unpack(cell) for cell in row) for row in table["rows"]),
            )
            for table in value["tables"]
        )
        return cls(value["title"], tables, tuple(value["notes"]))


def show(cell: Cell) -> str:
    """Text of one cell: three decimals for a float, `-` for what is undefined."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return "-"
    if isinstance(cell, float):
        return f"{cell:z.3f}"
    return str(cell)


def rows_of(rows: Iterable[Sequence[Cell]]) -> tuple[tuple[Cell, ...], ...]:
    """Freeze rows gathered in lists."""
    return tuple(tuple(row) for row in rows)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _pack(cell: Cell) -> Json:
    if isinstance(cell, Estimate):
        return {name: _number(getattr(cell, name)) for name in ("value", "low", "high")}
    return _number(cell) if isinstance(cell, float) else cell


def _number(value: float) -> float | None:
    return round(float(value), _DIGITS) if np.isfinite(value) else None


def _unpack(cell: Json) -> Cell:
    if isinstance(cell, Mapping):
        values = (cell[name] for name in ("value", "low", "high"))
        return Estimate(*(np.nan if value is None else value for value in values))
    return cell
