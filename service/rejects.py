"""The report of what was not scored: `lines + scores -> rows`, with line numbers and reasons."""

from collections.abc import Sequence

from service.errors import Status
from service.fields import STATUS_TEXT
from service.records import Passed, Record
from service.scoring import Scores
from service.tables import (
    COPIED_COLUMNS,
    MALFORMED,
    copied_columns,
    malformed_columns,
    one_line_each,
)
from service.tally import Tally

COLUMNS = ("line", *COPIED_COLUMNS, "alt_index", "status", "reason")

_REASON = {status: status.reason.encode() for status in Status}


class RejectsEncoder:
    """Writes one row per ALT that has no score and one per malformed line, as TSV.

    line and pos are 1-based, alt_index is 1 for the first ALT and 0 for a malformed line.
    """

    def header(self, tally: Tally) -> bytes:
        """Return the counts of what follows as `# status=count` comments, and the column names."""
        counts = {status.value: tally.counts[status] for status in Status if status != Status.OK}
        counts[MALFORMED] = tally.n_malformed
        comments = "".join(f"# {name}={count}\n" for name, count in counts.items() if count)
        return (comments + "\t".join(COLUMNS) + "\n").encode()

    def lines(self, lines: Sequence[Record | Passed], scores: Scores) -> bytes:
        """Return the rows of a chunk; each line has its own number.

        Args:
          lines: with N ALTs together.
          scores: of those N.
        """
        statuses = scores.status
        scored = Status.OK
        is_rejected = [status is not scored for status in statuses]
        encoded: list[bytes] = []
        first = 0
        for line in lines:
            if isinstance(line, Passed):
                if line.problem is not None:
                    encoded.append(_malformed(line))
                continue
            last = first + len(line.variants)
            if True in is_rejected[first:last]:
                encoded += _rejected(line, statuses[first:last])
            first = last
        return one_line_each(b"".join(encoded))


def _rejected(record: Record, statuses: Sequence[Status]) -> list[bytes]:
    copied, alts = copied_columns(record)
    return [
        b"%d\t%b\t%b\t%d\t%b\t%b\n"
        % (record.number, copied, alt, index, STATUS_TEXT[status], _REASON[status])
        for index, (alt, status) in enumerate(zip(alts, statuses, strict=True), 1)
        if status is not Status.OK
    ]


def _malformed(line: Passed) -> bytes:
    columns = b"\t".join(malformed_columns(line))
    return f"{line.number}\t".encode() + columns + f"\t0\t{MALFORMED}\t{line.problem}\n".encode()


def shift_lines(rows: bytes, by: int) -> bytes:
    """Return rows with `by` added to their line numbers: those of a shard in the whole file."""
    shifted: list[bytes] = []
    for row in rows.splitlines(keepends=True):
        number, tab, rest = row.partition(b"\t")
        shifted.append(b"%d%b%b" % (int(number) + by, tab, rest))
    return b"".join(shifted)
