"""VCF text: what is read, and that nothing else of a line changes."""

import re

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import DecodingError, InputFileError, ModelContractError, Status
from service.fields import EFFECT_FIELDS
from service.records import (
    Header,
    Passed,
    Record,
    VcfReader,
    check_last_line,
    parse_line,
    parse_lines,
    read_header,
)
from service.vcf import VcfEncoder, info_key
from tests.service.made_scores import NAMES, make_record, make_scores

COLUMNS = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LINE = b"chr1\t7\trs1\tA\tC,<DEL>\t9.5\tPASS\tDP=3\tGT\t0/1\n"


def encoder(*targets: str) -> VcfEncoder:
    provenance = {"model": "toy", "assembly": None, "note": 'a "quoted" \\ text', "use": "research"}
    return VcfEncoder(targets or ("K562",), coverage=0.9, provenance=provenance)


def encoded(line: Record | Passed, *statuses: Status, targets: tuple[str, ...] = ()) -> bytes:
    """One line with the value 1.5 for all numbers of its ALTs."""
    return encoder(*targets).lines([line], make_scores(statuses, n_targets=len(targets) or 1))


def info_of(line: bytes) -> dict[str, str]:
    parts = line.rstrip(b"\r\n").split(b"\t")[7].decode().split(";")
    return dict(part.split("=", 1) if "=" in part else (part, "") for part in parts)


def test_a_record_has_one_variant_per_alt_in_order() -> None:
    record = make_record(LINE, 12)
    assert [str(variant) for variant in record.variants] == ["chr1:7:A>C", "chr1:7:A><DEL>"]
    assert record.number == 12
    assert record.line == LINE
    assert record.line[record.start : record.end] == b"DP=3"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"chr1\t7\t.\tA\tC\n", "5 of the 8 tab-separated columns"),
        (b"chr1 7 . A C . . .\n", "1 of the 8 tab-separated columns"),
        (b"chr1\tx\t.\tA\tC\t.\t.\t.\n", "POS 'x'"),
        (b"chr1\t-1\t.\tA\tC\t.\t.\t.\n", "POS '-1'"),
        (b"chr1\t1.0\t.\tA\tC\t.\t.\t.\n", "POS '1.0'"),
        (b"chr1\t1_0\t.\tA\tC\t.\t.\t.\n", "POS '1_0'"),
        (b"chr1\t\t.\tA\tC\t.\t.\t.\n", "POS ''"),
        (b"chr1\t2147483648\t.\tA\tC\t.\t.\t.\n", "POS '2147483648'"),
        (b"chr1\t" + b"9" * 5000 + b"\t.\tA\tC\t.\t.\t.\n", "POS"),
        (b"chr1\t7\t.\t\tC\t.\t.\t.\n", "REF is empty"),
        (b"chr1\t7\t.\tA\t\t.\t.\t.\n", "ALT is empty"),
        (b"##contig=<ID=chr1>\n", "a header line after #CHROM"),
        (COLUMNS, "a header line after #CHROM"),
        (b"\xff\xfe\x00\n", "1 of the 8"),
    ],
)
def test_a_malformed_line_is_named_and_passes_through(line: bytes, problem: str) -> None:
    passed = parse_line(line, 3)
    assert isinstance(passed, Passed)
    assert passed.problem is not None
    assert problem in passed.problem
    assert len(passed.problem) < 100, "one short line, whatever came in"
    assert encoded(passed) == line


@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
def test_a_blank_line_is_no_problem(line: bytes) -> None:
    passed = parse_line(line, 3)
    assert passed == Passed(3, line, None)
    assert encoded(passed) == line


@pytest.mark.parametrize("pos", [b"0", b"007", b"2147483647"])
def test_every_position_that_vcf_allows_is_read(pos: bytes) -> None:
    record = make_record(LINE.replace(b"\t7\t", b"\t" + pos + b"\t"))
    assert record.variants[0].pos == int(pos)


def test_alleles_that_are_no_text_are_read_and_kept() -> None:
    line = b"chr1\t7\t.\tA\t\xe9\t.\t.\t.\n"
    out = encoded(parse_line(line, 3), Status.NON_ACGTN)
    assert out.startswith(b"chr1\t7\t.\tA\t\xe9\t.\t.\tVARSIGMA_STATUS=non_acgtn;")


def test_info_gets_one_value_per_alt() -> None:
    out = encoded(parse_line(LINE, 1), Status.OK, Status.SYMBOLIC_ALT, targets=("K562", "Hep-G2"))
    info = info_of(out)
    assert info["DP"] == "3"
    assert info["VARSIGMA_STATUS"] == "ok,symbolic_alt"
    assert info["VARSIGMA_NORM"] == "1:A:C,."
    names = [f"VARSIGMA_{t}_{f.name.upper()}" for t in ("K562", "HEP_G2") for f in EFFECT_FIELDS]
    once = ["VARSIGMA_STATUS", "VARSIGMA_NORM", "VARSIGMA_NOVELTY", "VARSIGMA_NOVEL_AS"]
    flags = ["VARSIGMA_K562_CALIBRATED", "VARSIGMA_HEP_G2_CALIBRATED"]
    assert list(info) == ["DP", *once, *flags, *names]
    assert {info[name] for name in flags} == {"false,."}
    assert {info[name] for name in names} == {"1.5,."}


def test_each_alt_of_a_chunk_gets_its_own_numbers() -> None:
    lines = [
        b"1\t7\t.\tA\tC\t.\t.\tDP=1\n",
        b"bad\n",
        b"1\t8\t.\tA\tC,*,G\t.\t.\tDP=2\n",
        b"\n",
        b"1\t9\t.\tA\t<DEL>\t.\t.\tDP=3\n",
        b"1\t10\t.\tA\tT\t.\t.\tDP=4\n",
    ]
    statuses = [
        Status.OK, Status.OK, Status.STAR_ALT, Status.OK, Status.SYMBOLIC_ALT, Status.OK
    ]  # fmt: skip
    p = [0.25, 1e-7, np.nan, 0.00123456789, np.nan, 1]
    scores = make_scores(statuses, [1, 2, np.nan, 3, np.nan, 4], novelty=p)
    scores.effects.epistemic[:] = np.nan
    scores.effects.sd[3] = np.nan
    out = encoder().lines(list(parse_lines(lines, 1)), scores).splitlines(keepends=True)
    assert [out[1], out[3]] == [lines[1], lines[3]]
    records = [info_of(out[row]) for row in (0, 2, 4, 5)]
    assert [info["VARSIGMA_STATUS"] for info in records] == [
        "ok",
        "ok,star_alt,ok",
        "symbolic_alt",
        "ok",
    ]
    assert [info["VARSIGMA_NORM"] for info in records] == ["1:A:C", "2:A:C,.,4:A:C", ".", "6:A:C"]
    assert [info["VARSIGMA_NOVELTY"] for info in records] == [
        "0.25",
        "1e-07,.,0.00123457",
        ".",
        "1",
    ]
    assert [info["VARSIGMA_NOVEL_AS"] for info in records] == [
        ".",
        "low_gc,.,low_gc",
        ".",
        ".",
    ]
    for name in NAMES:
        expected = ["1", "2,.,3", ".", "4"]
        if name == "epistemic":
            expected = [".", ".,.,.", ".", "."]
        if name == "sd":
            expected[1] = "2,.,."
        assert [info[f"VARSIGMA_K562_{name.upper()}"] for info in records] == expected, name


def test_a_chunk_without_records_passes_through() -> None:
    lines = [b"bad\n", b"\n"]
    assert encoder().lines(list(parse_lines(lines, 1)), make_scores([])) == b"".join(lines)


@pytest.mark.parametrize(
    ("info", "kept"),
    [
        (b".", b""),
        (b"", b""),
        (b"DP=3", b"DP=3;"),
        (b"DP=3;", b"DP=3;"),
        (b"A;B=VARSIGMA_X", b"A;B=VARSIGMA_X;"),
        (b"VARSIGMA_STATUS=ok;VARSIGMA_OLD_EFFECT=1", b""),
        (b"A=1;VARSIGMA_STATUS=ok;B=2", b"A=1;B=2;"),
        (b"VARSIGMA_STATUS=ok;VARSIGMA_NORM=7:A:C;B=nan;C=.,nan", b"B=nan;C=.,nan;"),
    ],
)
def test_info_is_appended_to_and_an_earlier_run_is_replaced(info: bytes, kept: bytes) -> None:
    for samples in (b"", b"\tGT\t0/1"):
        line = b"1\t7\t.\tA\tC\t.\t.\t" + info + samples + b"\n"
        out = encoded(parse_line(line, 1), Status.OK).split(b"\t")
        assert out[7].startswith(
            kept
            + b"VARSIGMA_STATUS=ok;VARSIGMA_NORM=1:A:C;VARSIGMA_NOVELTY=0.25;VARSIGMA_NOVEL_AS=.;"
            + b"VARSIGMA_K562_CALIBRATED=false;VARSIGMA_K562_EFFECT=1.5;"
        )
        assert out[7].count(b"VARSIGMA_STATUS=") == 1 + kept.count(b"VARSIGMA_STATUS=")
        assert out[7].count(b"VARSIGMA_NORM=") == 1


FIELD = st.binary(min_size=1, max_size=8).map(lambda raw: raw.translate(None, b"\t\n\r") or b".")


@given(
    columns=st.tuples(*[FIELD] * 4),
    alts=st.lists(st.sampled_from([b"A", b"<DEL>", b"*", b"."]), min_size=1, max_size=4),
    info=FIELD.filter(lambda raw: b"VARSIGMA_" not in raw),
    pos=st.integers(0, 2**31 - 1),
    samples=st.one_of(st.lists(FIELD, max_size=5), st.just([b"GT", *[b"0/1:35:99"] * 300])),
    eol=st.sampled_from([b"\n", b"\r\n", b""]),
)
def test_every_other_byte_of_a_line_survives(columns, alts, info, pos, samples, eol) -> None:
    contig, ref, identifier, quality = columns
    contig = contig.replace(b"#", b"c")
    before = [contig, str(pos).encode(), identifier, ref, b",".join(alts), quality, b"PASS"]
    line = b"\t".join([*before, info, *samples]) + eol
    record = make_record(line)
    assert len(record.variants) == len(alts)
    out = encoded(record, *[Status.OK] * len(alts))
    after = out.removesuffix(eol).split(b"\t")
    assert out.endswith(eol)
    assert after[:7] == before
    assert after[8:] == samples
    head, ours, _ = after[7].partition(b"VARSIGMA_STATUS=")
    assert ours
    assert head in ([b""] if info == b"." else [info + b";", info])


@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b""])
def test_a_record_that_ends_with_info_keeps_its_line_end(eol) -> None:
    line = b"chr1\t7\t.\tA\tC\t.\tPASS\tDP=3" + eol
    out = encoded(make_record(line), Status.OK)
    assert out.startswith(b"chr1\t7\t.\tA\tC\t.\tPASS\tDP=3;VARSIGMA_STATUS=ok;")
    assert out.endswith(eol)
    assert b"\r" not in out.removesuffix(eol)


def read(*lines: bytes) -> Header:
    return read_header(lines, "in.vcf")


def test_the_header_grows_before_the_column_line_in_its_own_line_ends() -> None:
    for eol in (b"\n", b"\r\n"):
        top = b"##fileformat=VCFv4.2" + eol
        columns = COLUMNS.replace(b"\n", eol)
        out = encoder().header(read(top, columns), {})
        lines = out.splitlines(keepends=True)
        assert lines[0] == top
        assert lines[-1] == columns
        assert all(line.endswith(eol) for line in lines)
        assert all(line.startswith((b"##varsigma=<ID=", b"##INFO=<ID=")) for line in lines[1:-1])
        assert b'##varsigma=<ID=assembly,Value="unspecified">' in out
        assert b"the 90% interval" in out


def test_pysam_reads_header_and_values(tmp_path) -> None:
    header = read(b"##fileformat=VCFv4.3\n", b"##contig=<ID=1>\n", COLUMNS)
    codec = encoder("K562")
    record = parse_line(b"1\t7\t.\tA\tC,G\t.\t.\tDP\n", 4)
    body = codec.lines([record], make_scores([Status.OK, Status.MODEL_NAN], [0.25, np.nan]))
    path = tmp_path / "out.vcf"
    path.write_bytes(codec.header(header, {}) + body)
    with pysam.VariantFile(str(path)) as vcf:
        assert dict(vcf.header.info["VARSIGMA_K562_SD"].record)["Number"] == "A"
        [found] = list(vcf)
        assert found.info["VARSIGMA_K562_EFFECT"] == (0.25, None)
        assert found.info["VARSIGMA_STATUS"] == ("ok", "model_nan")
        assert found.info["VARSIGMA_NORM"] == ("1:A:C", ".")
        assert found.info["VARSIGMA_NOVELTY"] == (0.25, None)
        assert found.info["VARSIGMA_NOVEL_AS"] == (".", ".")
        assert vcf.header.info["VARSIGMA_NOVELTY"].type == "Float"
        assert "tandem_repeat, low_gc" in vcf.header.info["VARSIGMA_NOVEL_AS"].description


def test_each_declaration_says_whether_its_target_is_calibrated() -> None:
    provenance = {"calibrated_targets": ["K562"]}
    codec = VcfEncoder(("K562", "WTC11"), coverage=0.9, provenance=provenance)
    lines = codec.header(read(COLUMNS), {}).decode().splitlines()
    for field in EFFECT_FIELDS:
        fitted = "; calibrated for single-base changes; "
        for target, state in (("K562", fitted), ("WTC11", "; uncalibrated; ")):
            [line] = [text for text in lines if f"<ID={info_key(target, field.name)}," in text]
            assert (state in line) is field.is_scaled, line
            assert f'; assay target {target}"' in line


def test_a_longer_change_is_not_calibrated_beside_a_single_one_that_is() -> None:
    scores = make_scores([Status.OK] * 4, n_targets=2, calibrated=(True, False))
    scores.normalised[:] = ["7:A:C", "7:A:AC", "7:AG:CT", "7:A:A"]
    codec = VcfEncoder(("K562", "WTC11"), coverage=0.9, provenance={})
    line = make_record(b"chr1\t7\t.\tAG\tCG,ACG,CT,AG\t.\t.\t.\n")
    info = info_of(codec.lines([line], scores))
    assert info["VARSIGMA_K562_CALIBRATED"] == "true,false,false,false"
    assert info["VARSIGMA_WTC11_CALIBRATED"] == "false,false,false,false"
    assert info["VARSIGMA_K562_SD"] == "1.5,1.5,1.5,1.5", "the numbers stay"
    declared = codec.header(read(COLUMNS), {}).decode()
    assert "<ID=VARSIGMA_K562_CALIBRATED,Number=A,Type=String," in declared


def test_declarations_of_an_earlier_run_are_replaced() -> None:
    contigs = {"1": 1000}
    once = encoder("K562").header(read(b"##fileformat=VCFv4.3\n", COLUMNS), contigs)
    header = read(*once.splitlines(keepends=True))
    assert header.is_rescored
    assert header.n_lines == once.count(b"\n")
    assert encoder("K562").header(header, contigs) == once
    other = encoder("HepG2").header(header, contigs)
    assert b"K562" not in other
    assert not read(COLUMNS).is_rescored


def test_contigs_are_declared_where_the_input_declares_none() -> None:
    contigs = {"chr1": 4000, "chr2": 2500}
    out = encoder().header(read(b"##fileformat=VCFv4.3\r\n", COLUMNS), contigs)
    assert out.splitlines()[1:3] == [
        b"##contig=<ID=chr1,length=4000>", b"##contig=<ID=chr2,length=2500>"
    ]  # fmt: skip
    for own in (b"##contig=<ID=1>\n", b"##contig=<length=7>\n"):
        out = encoder().header(read(b"##fileformat=VCFv4.3\n", own, COLUMNS), contigs)
        assert out.count(b"##contig") == 1


def test_lengths_of_declared_contigs_are_read() -> None:
    header = read(
        b"##fileformat=VCFv4.3\n",
        b"##contig=<ID=1,length=249250621,assembly=b37>\r\n",
        b'##contig=<ID=HLA-A*01:01,Description="a, length=5 \\" >",length=12>\n',
        b"##contig=<ID=chrUn,assembly=b37>\n",
        b"##contig=<ID=odd,length=x>\n",
        b"##contig=<ID=long,length=" + b"9" * 5000 + b">\n",
        b"##contig=<>\n",
        COLUMNS,
    )
    assert header.contigs == {
        "1": 249250621,
        "HLA-A*01:01": 12,
        "chrUn": None,
        "odd": None,
        "long": None,
    }
    assert len(header.lines) == 7


def test_a_byte_order_mark_is_refused_with_a_remedy() -> None:
    with pytest.raises(DecodingError, match=r"in\.vcf begins with a UTF-8 byte order mark"):
        read(b"\xef\xbb\xbf##fileformat=VCFv4.3\n", COLUMNS)


def test_the_header_takes_no_line_of_the_records() -> None:
    lines = iter([b"##fileformat=VCFv4.3\n", COLUMNS, LINE])
    header = read_header(lines, "in.vcf")
    assert (header.lines, header.columns, header.n_lines) == (
        (b"##fileformat=VCFv4.3\n",), COLUMNS, 2
    )  # fmt: skip
    [record] = parse_lines(lines, header.n_lines + 1)
    assert record == parse_line(LINE, 3)


@pytest.mark.parametrize(
    "lines",
    [
        (b"hello\n", COLUMNS),
        (b"##fileformat=VCFv4.3\n", LINE),
        (b"##fileformat=VCFv4.3\n",),
        (),
    ],
)
def test_no_column_line_is_no_vcf(lines) -> None:
    with pytest.raises(DecodingError, match=r"in\.vcf is not a VCF, or is cut off"):
        read(*lines)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_unicode_is_named_with_a_remedy_that_helps(encoding) -> None:
    text = "##fileformat=VCFv4.3\n#CHROM\tPOS\n"
    content = text.encode(encoding)
    with pytest.raises(DecodingError, match=r"convert it: iconv -f \S+ -t UTF-8") as caught:
        read(*content.splitlines(keepends=True))
    (named,) = re.findall(r"iconv -f (\S+)", str(caught.value))
    assert content.decode(named) == text


def test_lines_that_end_with_a_carriage_return_alone_are_named() -> None:
    with pytest.raises(DecodingError, match="carriage return alone; convert it: tr"):
        read(b"##fileformat=VCFv4.3\r#CHROM\tPOS\r1\t7\r")


@pytest.mark.parametrize("line", ["##source=Universität\n", "1\t7\t.\tA\tC\t.\t.\tN=Müller\n"])
def test_text_of_another_encoding_lacks_a_header(line) -> None:
    with pytest.raises(DecodingError, match="put the header of the file"):
        read(line.encode("latin-1"))


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ((b"\x89PNG\r\n", b"\x1a\n"), 1),
        ((b"\x1f\x8b\x08\x00",), 1),
        ((b"##fileformat=VCFv4.3\n", b"1\t\x00\n"), 2),
        ((b"##fileformat=VCFv4.3\n", b"##\x00"), 2),
    ],
)
def test_what_is_no_text_is_not_said_to_lack_a_line(lines, number) -> None:
    with pytest.raises(DecodingError, match=rf"not a VCF: its line {number} is not text;"):
        read(*lines)


def test_a_header_of_another_encoding_is_taken_as_it_is() -> None:
    line = "##source=Universität\n".encode("latin-1")
    assert read(line, COLUMNS).lines == (line,)


def test_text_that_is_cut_off_inside_a_character_is_text() -> None:
    with pytest.raises(DecodingError, match="no #CHROM"):
        read("ä".encode()[:1])


def test_bcf_is_refused_with_a_remedy() -> None:
    with pytest.raises(DecodingError, match="bcftools view"):
        read(b"BCF\x02\x02\x00...")


def test_lines_are_numbered_through_the_file() -> None:
    lines = VcfReader([b"##fileformat=VCFv4.3\n", COLUMNS, LINE, b"\n", b"bad\n"], "in.vcf")
    assert [line.number for line in lines] == [3, 4, 5]


WITH_SAMPLES = COLUMNS.replace(b"\n", b"\tFORMAT\ta\n")


@pytest.mark.parametrize(
    "last",
    [b"chr1\t8\trs", b"chr1\t8\t.\tA\tC\t.\tPASS\tDP=3", b"chr1\t8\t.\tA\tC\t.\tPASS\tDP=3\tGT"],
)
def test_a_last_line_that_lacks_columns_and_its_end_is_a_truncated_file(last: bytes) -> None:
    reader = iter(VcfReader([WITH_SAMPLES, LINE, last], "in.vcf"))
    assert isinstance(next(reader), Record)
    with pytest.raises(InputFileError, match=r"in\.vcf is truncated: line 3"):
        next(reader)
    with pytest.raises(InputFileError, match=r"in\.vcf is truncated: line 3"):
        check_last_line(last, 3, read(WITH_SAMPLES), "in.vcf")
    with pytest.raises(InputFileError, match=r"in\.vcf is truncated: the last line is cut off"):
        check_last_line(last, None, read(WITH_SAMPLES), "in.vcf")
    check_last_line(last + b"\n", 3, read(WITH_SAMPLES), "in.vcf")


def test_a_last_line_that_only_lacks_its_end_is_read() -> None:
    [record] = VcfReader([WITH_SAMPLES, LINE.rstrip(b"\n")], "in.vcf")
    assert encoded(record, Status.OK, Status.OK).endswith(b"\tGT\t0/1")


def test_targets_that_would_share_a_field_are_refused() -> None:
    assert info_key("K-562", "sd") == info_key("k_562", "sd")
    with pytest.raises(ModelContractError, match="K-562"):
        encoder("K-562", "k_562")
