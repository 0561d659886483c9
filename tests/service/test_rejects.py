"""The rejects report: a row and a reason for every ALT without a score and every malformed line."""

import csv
from io import StringIO

from service.errors import Status
from service.records import parse_lines
from service.rejects import COLUMNS, RejectsEncoder, shift_lines
from service.tally import Tally
from tests.service.made_scores import make_scores

LINES = [
    b"chr1\t7\trs1\tA\tC\t9\tPASS\tDP=3\tGT\t0/1\r\n",
    b"chr1\t8\trs2\tA\tC,<DEL>,G\t9\tPASS\tDP=3\tGT\t0/1\r\n",
    b"\r\n",
    b"chr1\tx\t.\tA\tC\t.\t.\t.\r\n",
    b"too short\n",
    b"chrU\t9\tid\rof two\tA\tT\t9\tPASS\tDP=3\n",
]
STATUSES = [Status.OK, Status.OK, Status.SYMBOLIC_ALT, Status.REF_MISMATCH, Status.UNKNOWN_CONTIG]


def rows_of(rows: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(rows.decode()), COLUMNS, delimiter="\t"))


def rejected(first_number: int = 1) -> bytes:
    return RejectsEncoder().lines(list(parse_lines(LINES, first_number)), make_scores(STATUSES))


def test_every_alt_without_a_score_and_every_malformed_line_has_a_row() -> None:
    rows = rows_of(rejected())
    found = [(row["line"], row["pos"], row["alt"], row["alt_index"], row["status"]) for row in rows]
    assert found == [
        ("2", "8", "<DEL>", "2", "symbolic_alt"),
        ("2", "8", "G", "3", "ref_mismatch"),
        ("4", "x", "C", "0", "malformed_record"),
        ("5", ".", ".", "0", "malformed_record"),
        ("6", "9", "T", "1", "unknown_contig"),
    ]
    assert [row["id"] for row in rows] == ["rs2", "rs2", ".", ".", "id of two"]
    assert [row["contig"] for row in rows] == ["chr1", "chr1", "chr1", "too short", "chrU"]
    assert rows[0]["reason"] == Status.SYMBOLIC_ALT.reason
    assert rows[2]["reason"].startswith("POS 'x' is no integer")
    assert "1 of the 8" in rows[3]["reason"]


def test_a_chunk_in_which_all_is_scored_has_no_rows() -> None:
    lines = list(parse_lines(LINES[:1], 1))
    assert RejectsEncoder().lines(lines, make_scores([Status.OK])) == b""


def test_line_numbers_of_a_shard_become_those_of_the_file() -> None:
    assert shift_lines(rejected(1), 40) == rejected(41)
    assert shift_lines(b"", 40) == b""
    assert [row["line"] for row in rows_of(shift_lines(rejected(), 998))][-1] == "1004"


def test_the_header_counts_what_follows() -> None:
    tally = Tally()
    tally.add_chunk(list(parse_lines(LINES, 1)), make_scores(STATUSES))
    *comments, names = RejectsEncoder().header(tally).decode().splitlines()
    assert comments == [
        "# unknown_contig=1", "# ref_mismatch=1", "# symbolic_alt=1", "# malformed_record=2"
    ]  # fmt: skip
    assert tuple(names.split("\t")) == COLUMNS
    counts = [int(comment.rpartition("=")[2]) for comment in comments]
    assert sum(counts) == rejected().count(b"\n")
