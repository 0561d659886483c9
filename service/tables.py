"""TSV text: `records + scores -> bytes`, one row per ALT, for R, pandas and spreadsheets."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import Status
from service.fields import EFFECT_FIELDS, MISSING, provenance_items
from service.vcf import Passed, Record, VcfReader

FIXED_COLUMNS = ("contig", "pos", "id", "ref", "alt", "alt_index", "status")
MALFORMED = "malformed_record"

_N_COPIED = 5  # contig pos id ref alt, the first five columns of a VCF


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
        self._columns = [f"{target}_{field.name}" for target in targets for field in EFFECT_FIELDS]

    def header(self, reader: VcfReader) -> bytes:
        """Return the comments and the line of column names."""
        comments = "".join(
            f"# {key}={value}\n" for key, value in provenance_items(self._provenance)
        )
        names = "\t".join((*FIXED_COLUMNS, *self._columns))
        return f"{comments}{names}\n".encode()

    def record(
        self, record: Record, statuses: Sequence[Status], rows: Sequence[Sequence[str]]
    ) -> bytes:
        """Return one line per ALT.

        Args:
          record: A ALTs.
          statuses: A of them.
          rows: A rows of T x 8 texts.
        """
        *copied, _ = record.fields[:_N_COPIED]
        return b"".join(
            b"\t".join((*copied, alt, "\t".join((str(index), status.value, *row)).encode() + b"\n"))
            for index, (alt, status, row) in enumerate(
                zip(record.fields[_N_COPIED - 1].split(b","), statuses, rows, strict=True), 1
            )
        )

    def passed(self, line: Passed) -> bytes:
        """Return one row for a malformed record, nothing for a blank line."""
        if line.problem is None:
            return b""
        copied = line.line.rstrip(b"\r\n").split(b"\t")[:_N_COPIED]
        missing = MISSING.encode()
        copied += [missing] * (_N_COPIED - len(copied))
        return (
            b"\t".join((*copied, b"0", MALFORMED.encode(), *([missing] * len(self._columns))))
            + b"\n"
        )
