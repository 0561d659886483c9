"""TSV text: `lines + scores -> bytes`, one row per ALT, for R, pandas and spreadsheets."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.fields import (
    CALIBRATED,
    EFFECT_FIELDS,
    MISSING,
    VARIANT_COLUMNS,
    RowTemplates,
    known_rows,
    provenance_items,
    variant_texts,
)
from service.records import Header, Passed, Record
from service.scoring import Scores

COPIED_COLUMNS = ("contig", "pos", "id", "ref", "alt")  # the first five of a VCF
FIXED_COLUMNS = (*COPIED_COLUMNS, "alt_index", *VARIANT_COLUMNS)
MALFORMED = "malformed_record"

_N_COPIED = len(COPIED_COLUMNS)
_MISSING = MISSING.encode()
# contig, pos, id and ref in one; alt, alt_index; what is said once
_BEFORE = b"\t".join([b"%b", b"%b", b"%d", *[b"%b"] * len(VARIANT_COLUMNS)])
_FLAG = b"\t%b"


def flag_columns(targets: Sequence[str]) -> list[str]:
    """Return the names of the T columns that say what is calibrated, after the fixed columns."""
    return [f"{target}_{CALIBRATED}" for target in targets]


def number_columns(targets: Sequence[str]) -> list[str]:
    """Return the names of the T x F columns of numbers, which come last."""
    return [f"{target}_{field.name}" for target in targets for field in EFFECT_FIELDS]


class TsvEncoder:
    """Writes scores as rows, pos 1-based and alt_index 1 for the first ALT, under `#` comments.

    A malformed record gets one row with as many of its own columns as it has, alt_index 0 and
    the status malformed_record, so that no input line goes missing.

    Args:
      targets: T names, in the order of the scores.
      provenance: what made the scores; goes into the comments.
    """

    def __init__(self, targets: Sequence[str], *, provenance: Mapping[str, Any]) -> None:
        """Name the columns."""
        self._provenance = provenance
        heads = [b"\t"] * len(number_columns(targets))
        self._columns = [*flag_columns(targets), *number_columns(targets)]
        self._rows = RowTemplates(heads, before=_BEFORE + _FLAG * len(targets), after=b"\n")

    def header(self, header: Header, contigs: Mapping[str, int]) -> bytes:
        """Return the comments and the line of column names."""
        comments = "".join(
            f"# {key}={value}\n" for key, value in provenance_items(self._provenance)
        )
        names = "\t".join((*FIXED_COLUMNS, *self._columns))
        return f"{comments}{names}\n".encode()

    def lines(self, lines: Sequence[Record | Passed], scores: Scores) -> bytes:
        """Return one row per ALT, one for a malformed record, and nothing for a blank line.

        Args:
          lines: with N ALTs together.
          scores: of those N.
        """
        rows = known_rows(scores.effects)
        texts = variant_texts(scores)
        template_of = self._rows.template
        encoded: list[bytes] = []
        row = 0
        for line in lines:
            if isinstance(line, Passed):
                encoded.append(self._malformed(line))
                continue
            copied, alts = copied_columns(line)
            for index, alt in enumerate(alts, 1):
                mask, known = rows[row]
                fixed = (copied, alt, index, *texts[row])
                encoded.append(template_of(mask) % (*fixed, *known))
                row += 1
        return one_line_each(b"".join(encoded))

    def _malformed(self, line: Passed) -> bytes:
        if line.problem is None:
            return b""
        # Beside its status there is nothing to say of it.
        empty = [_MISSING] * (len(VARIANT_COLUMNS) - 1 + len(self._columns))
        return b"\t".join((*malformed_columns(line), b"0", MALFORMED.encode(), *empty)) + b"\n"


def copied_columns(record: Record) -> tuple[bytes, list[bytes]]:
    """Return the first four columns of a record as they stand in its line, and its ALTs."""
    *copied, alts = record.line.split(b"\t", _N_COPIED)[:_N_COPIED]
    return b"\t".join(copied), alts.split(b",")


def malformed_columns(line: Passed) -> list[bytes]:
    """Return the first five columns of a malformed line, `.` for those that it does not have."""
    copied = line.line.rstrip(b"\r\n").split(b"\t")[:_N_COPIED]
    return copied + [_MISSING] * (_N_COPIED - len(copied))


def one_line_each(rows: bytes) -> bytes:
    """Return rows without the carriage returns that a VCF may have inside a column.

    Readers of tables would take them for the end of a row.
    """
    return rows if rows.find(b"\r") < 0 else rows.replace(b"\r", b" ")
