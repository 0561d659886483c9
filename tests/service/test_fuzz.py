"""Whatever a line holds, it comes out: a few thousand odd lines, and that a lost one would show.

`python -m tests.fuzz_vcf` sends as many as one likes.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Status
from tests.commands import Broken
from tests.fuzz_vcf import (
    MALFORMED,
    Files,
    Mutator,
    Stages,
    check_outputs,
    corpus,
    score_and_check,
)

GOOD = corpus(300)
MET = {*Status} - {Status.MODEL_NAN} | {MALFORMED}

_column = st.one_of(
    st.sampled_from([b"", b".", b"chr1", b"MT", b"5", b"0", b"A", b"C,*", b"<DEL>", b"G]chr1:2]"]),
    st.binary(max_size=12),
    st.lists(st.sampled_from([b"A", b"acg", b"N", b"", b".", b"*"]), max_size=4).map(b",".join),
)
_lines = st.one_of(
    st.binary(max_size=60),
    st.lists(_column, min_size=6, max_size=11).map(b"\t".join),
    st.builds(
        lambda line, place, column: b"\t".join(
            column if number == place else old for number, old in enumerate(line.split(b"\t"))
        ),
        st.sampled_from(GOOD),
        st.integers(0, 9),
        _column,
    ),
).map(lambda line: line.replace(b"\n", b"\r") + b"\n")


@pytest.fixture(scope="module")
def stages(tmp_path_factory) -> Stages:
    return Stages.open(tmp_path_factory.mktemp("fuzz"))


def test_mutated_records_come_out_and_meet_every_status(stages):
    mutator = Mutator(GOOD, seed=7)
    assert score_and_check(stages, [mutator.line() for _ in range(5000)]).keys() >= MET


@settings(max_examples=200)
@given(st.lists(_lines, max_size=20))
def test_any_line_comes_out(stages, lines):
    score_and_check(stages, lines)


def test_mutated_records_come_out_of_the_command(tmp_path):
    mutator = Mutator(GOOD, seed=8)
    assert score_and_check(Files(tmp_path), [mutator.line() for _ in range(3000)]).keys() >= MET


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"rs7\t", b"rs8\t"),
        (b"DP=3;VARSIGMA", b"DP=4;VARSIGMA"),
        (b"DP=3;VARSIGMA", b"VARSIGMA"),
        (b"\tGT\t0/1\n", b"\tGT\t0/1\n\n"),
        (b"\tGT\t0/1\n", b"\tGT\t0|1\n"),
        (b"no record\n", b""),
        (b"no record\n", b"no record\r\n"),
        (b"=ok,star_alt", b"=ok"),
        (b"=ok,star_alt", b"=star_alt,ok"),
        (b",.;", b";"),
    ],
)
def test_a_byte_that_changed_would_show(stages, old, new):
    chrom, pos, _, ref, *_ = next(line for line in GOOD if b"\t*\t" in line).split(b"\t")
    alts = b"ACGT".replace(ref, b"")[:1] + b",*"
    columns = (chrom, pos, b"rs7", ref, alts, b".", b".", b"DP=3", b"GT", b"0/1\n")
    lines = [b"\t".join(columns), b"no record\n"]
    vcf, tsv, rejects = stages(lines)
    assert check_outputs(lines, (vcf, tsv, rejects)) == {"ok": 1, "star_alt": 1, MALFORMED: 1}
    assert old in vcf
    with pytest.raises(Broken):
        check_outputs(lines, (vcf.replace(old, new), tsv, rejects))


@pytest.mark.parametrize("table", [1, 2])
def test_a_row_that_is_missing_or_anothers_would_show(stages, table):
    lines = [line + b"\n" for line in GOOD[:100]]
    outputs = stages(lines)
    rows = outputs[table].splitlines(keepends=True)
    for wrong in (rows[1:], [*rows, rows[0]], [rows[1], rows[0], *rows[2:]]):
        changed = list(outputs)
        changed[table] = b"".join(wrong)
        with pytest.raises(Broken):
            check_outputs(lines, tuple(changed))


def test_the_line_that_is_to_blame_is_named(stages):
    def score(lines):
        if b"chr1\tbad\n" in lines:
            raise ZeroDivisionError
        return stages(lines)

    lines = [line + b"\n" for line in GOOD[:50]]
    assert score_and_check(score, lines)
    with pytest.raises(Broken, match=r"ZeroDivisionError.*bad"):
        score_and_check(score, [*lines, b"chr1\tbad\n", *lines])
