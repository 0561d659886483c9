"""A table of measured variant effects -> its rows, each checked."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Self, TypeAlias

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from service.errors import InputFileError
from service.variants import MAX_POS

_MISSING = frozenset({"", ".", "NA", "NaN", "nan"})
_GAPS = frozenset({"-", "."})
# Names that tables give to a column, in lower case.
_COLUMNS: Final = {
    "contig": ("chrom", "#chrom", "contig"),
    "pos": ("pos",),
    "ref": ("ref",),
    "alt": ("alt",),
    "value": ("value",),
    "element": ("element",),
    "se": ("se",),
    "p_value": ("p_value",),
    "confidence": ("confidence",),
}
_REQUIRED = ("contig", "pos", "ref", "alt", "value")
_REMEDIES: Final = {
    "contig": "name the chromosome",
    "pos": "write the 1-based position as a whole number",
    "ref": "write bases of A, C, G and T, or - for none",
    "alt": "write bases of A, C, G and T, or - for none",
}
_GZIP = b"\x1f\x8b"


def _none_if_missing(text: object) -> object:
    return None if text in _MISSING else text


def _bases(text: str) -> str:
    return "" if text in _GAPS else text.upper()


_Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
_Allele: TypeAlias = Annotated[
    str, Field(pattern=r"^(?:[ACGTNacgtn]+|[-.])\z"), AfterValidator(_bases)
]


class Measurement(BaseModel):
    """One row of the table.

    Attributes:
      line: 1-based line of the file.
      contig: as the table spells it.
      pos: **1-based** position of the first base of ref.
      ref: upper case; empty for an insertion before pos.
      alt: upper case; empty for a deletion.
      value: measured effect, in the units of the table (CAGI5: log2); None where it has none.
      element: what was assayed.
      se: standard error of the value.
      p_value: that the effect is zero.
      confidence: the column of CAGI5; larger is surer.
    """

    model_config = ConfigDict(frozen=True)

    line: int
    contig: Annotated[str, Field(min_length=1)]
    pos: Annotated[int, Field(ge=1, le=MAX_POS)]
    ref: _Allele
    alt: _Allele
    value: Annotated[_Number | None, BeforeValidator(_none_if_missing)]
    element: Annotated[str | None, BeforeValidator(_none_if_missing)] = None
    se: Annotated[Annotated[_Number, Field(ge=0)] | None, BeforeValidator(_none_if_missing)] = None
    p_value: Annotated[
        Annotated[_Number, Field(ge=0, le=1)] | None, BeforeValidator(_none_if_missing)
    ] = None
    confidence: Annotated[_Number | None, BeforeValidator(_none_if_missing)] = None

    @model_validator(mode="after")
    def _is_change(self) -> Self:
        if not (self.ref or self.alt):
            raise ValueError("neither ref nor alt has bases")
        return self

    @property
    def strength(self) -> float:
        """Size of the effect, whatever its direction."""
        return abs(self.value or 0.0)


def read_measurements(path: Path | str) -> Iterator[Measurement]:
    """Read a table with a header, separated by tabs, plain or gzip: see `Evidence.open`.

    Raises:
      InputFileError: the file cannot be read, lacks a column, or a line is no measurement; the
        message names the line and what would do.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == _GZIP
        with (gzip.open if is_gzip else open)(path, "rt", encoding="utf-8-sig") as file:
            yield from _rows(file, path.name)
    except UnicodeDecodeError as error:
        raise InputFileError(
            f"{path.name} is not UTF-8 text; give a table of tab-separated text, or its .gz"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise InputFileError(
            f"{path.name} cannot be read: {why}; check the path, and that the file is whole"
        ) from error


def _rows(lines: Iterable[str], name: str) -> Iterator[Measurement]:
    """Read the lines of a table."""
    numbered = enumerate((line.rstrip("\r\n").split("\t") for line in lines), 1)
    _, header = next(numbered, (1, [""]))
    places = _places(header, name)
    for number, cells in numbered:
        if cells == [""]:
            continue
        if len(cells) != len(header):
            raise InputFileError(
                f"line {number} of {name} has {len(cells)} columns, its header {len(header)};"
                " separate them by tabs, and write NA for what is missing",
                detail={"line": number},
            )
        stated = {column: cells[place].strip() for column, place in places.items()}
        try:
            row = Measurement.model_validate({"line": number, **stated})
        except pydantic.ValidationError as error:
            problem = error.errors(include_url=False)[0]
            column = str(problem["loc"][0]) if problem["loc"] else "alt"
            raise InputFileError(
                f"line {number} of {name}: {header[places[column]]} is {stated[column][:40]!r}:"
                f" {problem['msg']}; {_REMEDIES.get(column, 'write a number, or NA')}",
                detail={"line": number, "column": header[places[column]]},
            ) from None
        yield row


def _places(header: list[str], name: str) -> dict[str, int]:
    """Find the columns."""
    given = [cell.strip().lower() for cell in header]
    places: dict[str, int] = {}
    for column, names in _COLUMNS.items():
        found = [index for index, cell in enumerate(given) if cell in names]
        if len(found) > 1:
            raise InputFileError(
                f"line 1 of {name} names {names[0]} {len(found)} times; keep one of the columns",
                detail={"line": 1},
            )
        if found:
            places[column] = found[0]
    lacking = [_COLUMNS[column][0] for column in _REQUIRED if column not in places]
    if lacking:
        raise InputFileError(
            f"line 1 of {name} lacks {', '.join(lacking)}; the first line names the columns,"
            " separated by tabs: chrom, pos, ref, alt, value and, where there are, element, se,"
            " p_value, confidence",
            detail={"line": 1},
        )
    return places
