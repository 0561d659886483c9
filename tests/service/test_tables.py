"""TSV: one row per ALT that the usual readers take, and no input line goes missing."""

import io

import pandas as pd

from service.errors import Status
from service.fields import EFFECT_FIELDS
from service.tables import FIXED_COLUMNS, TsvEncoder
from service.vcf import Passed, Record, VcfReader, parse_line

NAMES = [field.name for field in EFFECT_FIELDS]
PROVENANCE = {"model": "toy", "assembly": None, "calibrated_targets": []}


def encoder() -> TsvEncoder:
    return TsvEncoder(("K562", "HepG2"), provenance=PROVENANCE)


def row(value: str) -> list[str]:
    return [value] * 2 * len(NAMES)


def table(body: bytes) -> pd.DataFrame:
    header = encoder().header(VcfReader([b"#CHROM\n"], "in.vcf"))
    return pd.read_csv(io.BytesIO(header + body), sep="\t", comment="#", na_values=".")


def record(line: bytes) -> Record:
    parsed = parse_line(line, 1)
    assert isinstance(parsed, Record)
    return parsed


def test_one_row_per_alt_in_order():
    line = record(b"chr1\t7\trs1\tA\tC,<DEL>,G\t9\tPASS\tDP=3\tGT\t0/1\r\n")
    statuses = [Status.OK, Status.SYMBOLIC_ALT, Status.MODEL_NAN]
    frame = table(encoder().record(line, statuses, [row("0.5"), row("."), row(".")]))
    assert list(frame.columns) == [
        *FIXED_COLUMNS,
        *(f"{target}_{name}" for target in ("K562", "HepG2") for name in NAMES),
    ]
    assert frame["alt"].tolist() == ["C", "<DEL>", "G"]
    assert frame["alt_index"].tolist() == [1, 2, 3]
    assert frame["status"].tolist() == ["ok", "symbolic_alt", "model_nan"]
    assert (frame[["contig", "pos", "id", "ref"]] == ["chr1", 7, "rs1", "A"]).all(axis=None)
    assert frame["HepG2_sd"].fillna(-1).tolist() == [0.5, -1, -1]


def test_a_record_without_alt_has_a_row():
    frame = table(
        encoder().record(record(b"1\t7\t.\tA\t.\t.\t.\t.\n"), [Status.NO_ALT], [row(".")])
    )
    assert frame["status"].tolist() == ["no_alt"]


def test_a_malformed_line_has_a_row_and_a_blank_one_none():
    lines = [b"chr1\t7\t.\n", b"hello world\n", b"chr1\tx\t.\tA\tC\t.\t.\t.\r\n", b"\n"]
    body = b"".join(
        encoder().passed(parsed)
        for parsed in (parse_line(line, 1) for line in lines)
        if isinstance(parsed, Passed)
    )
    frame = table(body)
    assert frame["contig"].tolist() == ["chr1", "hello world", "chr1"]
    assert frame["alt"].fillna("?").tolist() == ["?", "?", "C"]
    assert set(frame["status"]) == {"malformed_record"}
    assert set(frame["alt_index"]) == {0}


def test_the_comments_say_what_made_it():
    header = encoder().header(VcfReader([b"#CHROM\n"], "in.vcf")).decode()
    comments = [line for line in header.splitlines() if line.startswith("#")]
    assert comments == ["# model=toy", "# assembly=unspecified", "# calibrated_targets=none"]
