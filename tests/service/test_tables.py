"""TSV: one row per ALT that the usual readers take, and no input line goes missing."""

import io

import numpy as np
import pandas as pd

from service.encoders import encoder_for
from service.errors import Status
from service.output import OutputFormat
from service.records import Passed, Record, parse_line, parse_lines, read_header
from service.scoring import Scores
from service.tables import FIXED_COLUMNS, TsvEncoder
from service.vcf import VcfEncoder
from tests.service.made_scores import NAMES, make_record, make_scores

PROVENANCE = {"model": "toy", "assembly": None, "calibrated_targets": []}
HEADER = read_header([b"#CHROM\n"], "in.vcf")


def encoder() -> TsvEncoder:
    return TsvEncoder(("K562", "HepG2"), provenance=PROVENANCE)


def table(lines: list[Record | Passed], scores: Scores) -> pd.DataFrame:
    text = encoder().header(HEADER, {}) + encoder().lines(lines, scores)
    return pd.read_csv(io.BytesIO(text), sep="\t", comment="#", na_values=".")


def test_one_row_per_alt_in_order():
    line = make_record(b"chr1\t7\trs1\tA\tC,<DEL>,G\t9\tPASS\tDP=3\tGT\t0/1\r\n")
    statuses = [Status.OK, Status.SYMBOLIC_ALT, Status.MODEL_NAN]
    scores = make_scores(statuses, [0.5, np.nan, np.nan], n_targets=2)
    frame = table([line], scores)
    assert list(frame.columns) == [
        *FIXED_COLUMNS,
        *("K562_calibrated", "HepG2_calibrated"),
        *(f"{target}_{name}" for target in ("K562", "HepG2") for name in NAMES),
    ]
    assert frame["alt"].tolist() == ["C", "<DEL>", "G"]
    assert frame["K562_calibrated"].fillna("?").tolist() == [False, "?", "?"]
    assert frame["alt_index"].tolist() == [1, 2, 3]
    assert frame["status"].tolist() == ["ok", "symbolic_alt", "model_nan"]
    assert frame["normalised"].fillna("?").tolist() == ["1:A:C", "?", "?"]
    assert (frame[["contig", "pos", "id", "ref"]] == ["chr1", 7, "rs1", "A"]).all(axis=None)
    assert frame["novelty"].fillna(-1).tolist() == [0.25, -1, -1]
    assert frame["HepG2_sd"].fillna(-1).tolist() == [0.5, -1, -1]


def test_the_numbers_of_a_chunk_stay_with_their_alts():
    lines = [b"1\t7\t.\tA\tC,G\t.\t.\t.\n", b"bad\n", b"\n", b"1\t9\t.\tA\tT\t.\t.\t.\n"]
    scores = make_scores([Status.OK] * 3, [1, 2, 3], n_targets=2, novelty=[0.25, 0.0005, 0.01])
    frame = table(list(parse_lines(lines, 1)), scores)
    assert frame["K562_effect"].fillna(-1).tolist() == [1, 2, -1, 3]
    assert frame["novelty"].fillna(-1).tolist() == [0.25, 0.0005, -1, 0.01]
    assert frame["novel_as"].fillna(".").tolist() == [".", "low_gc", ".", "."]
    assert frame["HepG2_aleatoric"].fillna(-1).tolist() == [1, 2, -1, 3]


def test_each_row_says_of_each_target_whether_it_is_calibrated():
    line = make_record(b"chr1\t7\t.\tAG\tCG,A,CT\t.\t.\t.\n")
    scores = make_scores([Status.OK] * 3, n_targets=2, calibrated=(False, True))
    scores.normalised[:] = ["7:A:C", "7:AG:A", "7:AG:CT"]
    frame = table([line], scores)
    assert frame["K562_calibrated"].tolist() == [False, False, False]
    assert frame["HepG2_calibrated"].tolist() == [True, False, False]
    assert frame["HepG2_sd"].notna().all()


def test_a_record_without_alt_has_a_row():
    line = make_record(b"1\t7\t.\tA\t.\t.\t.\t.\n")
    assert table([line], make_scores([Status.NO_ALT], n_targets=2))["status"].tolist() == ["no_alt"]


def test_a_malformed_line_has_a_row_and_a_blank_one_none():
    lines = [b"chr1\t7\t.\n", b"hello world\n", b"chr1\tx\t.\tA\tC\t.\t.\t.\r\n", b"\n"]
    frame = table(list(parse_lines(lines, 1)), make_scores([], n_targets=2))
    assert frame["contig"].tolist() == ["chr1", "hello world", "chr1"]
    assert frame["alt"].fillna("?").tolist() == ["?", "?", "C"]
    assert set(frame["status"]) == {"malformed_record"}
    assert set(frame["alt_index"]) == {0}


def test_a_carriage_return_inside_a_column_does_not_end_the_row():
    lines = [parse_line(b"1\t7\ta\rb\tA\tC\t.\t.\t.\r\n", 1), parse_line(b"x\ry\t7\n", 2)]
    frame = table(lines, make_scores([Status.OK], n_targets=2))
    assert frame["id"].fillna(".").tolist() == ["a b", "."]
    assert frame["contig"].tolist() == ["1", "x y"]


def test_the_comments_say_what_made_it():
    header = encoder().header(HEADER, {}).decode()
    comments = [line for line in header.splitlines() if line.startswith("#")]
    assert comments == ["# model=toy", "# assembly=unspecified", "# calibrated_targets=none"]


def test_a_format_has_its_encoder():
    provenance = PROVENANCE | {"targets": ["K562"], "options": {"coverage": 0.75}}
    kinds = {style: type(encoder_for(style, provenance)) for style in OutputFormat}
    assert {style for style, kind in kinds.items() if kind is VcfEncoder} == {"vcf", "vcf.gz"}
    assert {style for style, kind in kinds.items() if kind is TsvEncoder} == {
        "tsv", "tsv.gz", "parquet"
    }  # fmt: skip
    assert b"the 75% interval" in encoder_for(OutputFormat.VCF, provenance).header(HEADER, {})
