"""VCF text: what is read, and that nothing else of a line changes."""

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import DecodingError, InputFileError, ModelContractError, Status
from service.fields import EFFECT_FIELDS
from service.vcf import Passed, Record, VcfEncoder, VcfReader, info_key, parse_line

COLUMNS = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LINE = b"chr1\t7\trs1\tA\tC,<DEL>\t9.5\tPASS\tDP=3\tGT\t0/1\n"


def encoder(*targets: str) -> VcfEncoder:
    provenance = {"model": "toy", "assembly": None, "note": 'a "quoted" \\ text', "use": "research"}
    return VcfEncoder(targets or ("K562",), coverage=0.9, provenance=provenance)


def row(value: str = "1.5", n_targets: int = 1) -> list[str]:
    return [value] * len(EFFECT_FIELDS) * n_targets


def info_of(line: bytes) -> dict[str, str]:
    parts = line.rstrip(b"\r\n").split(b"\t")[7].decode().split(";")
    return dict(part.split("=", 1) if "=" in part else (part, "") for part in parts)


def test_a_record_has_one_variant_per_alt_in_order() -> None:
    record = parse_line(LINE, 12)
    assert isinstance(record, Record)
    assert [str(variant) for variant in record.variants] == ["chr1:7:A>C", "chr1:7:A><DEL>"]
    assert record.number == 12
    assert record.fields[8] == b"GT\t0/1", "samples are one piece, never split"


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
    assert encoder().passed(passed) == line


@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
def test_a_blank_line_is_no_problem(line: bytes) -> None:
    assert parse_line(line, 3) == Passed(3, line, None)


def test_alleles_that_are_no_text_are_read_and_kept() -> None:
    line = b"chr1\t7\t.\tA\t\xe9\t.\t.\t.\n"
    record = parse_line(line, 3)
    assert isinstance(record, Record)
    out = encoder().record(record, [Status.NON_ACGTN], [row(".")])
    assert out.startswith(b"chr1\t7\t.\tA\t\xe9\t.\t.\tVARSIGMA_STATUS=non_acgtn;")


def test_info_gets_one_value_per_alt() -> None:
    record = parse_line(LINE, 1)
    out = encoder("K562", "Hep-G2").record(
        record, [Status.OK, Status.SYMBOLIC_ALT], [row("1.5", 2), row(".", 2)]
    )
    info = info_of(out)
    assert info["DP"] == "3"
    assert info["VARSIGMA_STATUS"] == "ok,symbolic_alt"
    names = [f"VARSIGMA_{t}_{f.name.upper()}" for t in ("K562", "HEP_G2") for f in EFFECT_FIELDS]
    assert list(info) == ["DP", "VARSIGMA_STATUS", *names]
    assert {info[name] for name in names} == {"1.5,."}


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
    ],
)
def test_info_is_appended_to_and_an_earlier_run_is_replaced(info: bytes, kept: bytes) -> None:
    record = parse_line(b"\t".join((b"1\t7\t.\tA\tC\t.\t.", info)) + b"\n", 1)
    out = encoder().record(record, [Status.OK], [row()])
    assert out.split(b"\t")[7].startswith(kept + b"VARSIGMA_STATUS=ok;VARSIGMA_K562_EFFECT=1.5;")


FIELD = st.binary(min_size=1, max_size=8).map(lambda raw: raw.translate(None, b"\t\n\r") or b".")


@given(
    columns=st.tuples(*[FIELD] * 4),
    alts=st.lists(st.sampled_from([b"A", b"<DEL>", b"*", b"."]), min_size=1, max_size=4),
    info=FIELD.filter(lambda raw: b"VARSIGMA_" not in raw),
    pos=st.integers(0, 2**31 - 1),
    samples=st.lists(FIELD, max_size=5),
    eol=st.sampled_from([b"\n", b"\r\n", b""]),
)
def test_every_other_byte_of_a_line_survives(columns, alts, info, pos, samples, eol) -> None:
    contig, ref, identifier, quality = columns
    contig = contig.replace(b"#", b"c")
    before = [contig, str(pos).encode(), identifier, ref, b",".join(alts), quality, b"PASS"]
    line = b"\t".join([*before, info, *samples]) + eol
    record = parse_line(line, 1)
    assert isinstance(record, Record)
    assert len(record.variants) == len(alts)
    out = encoder().record(record, [Status.OK] * len(alts), [row()] * len(alts))
    after = out.removesuffix(eol).split(b"\t")
    assert out.endswith(eol)
    assert after[:7] == before
    assert after[8:] == samples
    head, ours, _ = after[7].partition(b"VARSIGMA_STATUS=")
    assert ours
    assert head in ([b""] if info == b"." else [info + b";", info])


def read(*lines: bytes) -> VcfReader:
    return VcfReader(lines, "in.vcf")


def test_the_header_grows_before_the_column_line_in_its_own_line_ends() -> None:
    for eol in (b"\n", b"\r\n"):
        top = b"##fileformat=VCFv4.2" + eol
        columns = COLUMNS.replace(b"\n", eol)
        out = encoder().header(read(top, columns))
        lines = out.splitlines(keepends=True)
        assert lines[0] == top
        assert lines[-1] == columns
        assert all(line.endswith(eol) for line in lines)
        assert all(line.startswith((b"##varsigma=<ID=", b"##INFO=<ID=")) for line in lines[1:-1])
        assert b'##varsigma=<ID=assembly,Value="unspecified">' in out
        assert b"the 90% interval" in out


def test_pysam_reads_header_and_values(tmp_path) -> None:
    reader = read(b"##fileformat=VCFv4.3\n", b"##contig=<ID=1>\n", COLUMNS)
    codec = encoder("K562")
    record = parse_line(b"1\t7\t.\tA\tC,G\t.\t.\tDP\n", 4)
    body = codec.record(record, [Status.OK, Status.MODEL_NAN], [row("0.25"), row(".")])
    path = tmp_path / "out.vcf"
    path.write_bytes(codec.header(reader) + body)
    with pysam.VariantFile(str(path)) as vcf:
        assert dict(vcf.header.info["VARSIGMA_K562_SD"].record)["Number"] == "A"
        [found] = list(vcf)
        assert found.info["VARSIGMA_K562_EFFECT"] == (0.25, None)
        assert found.info["VARSIGMA_STATUS"] == ("ok", "model_nan")


def test_each_declaration_says_whether_its_target_is_calibrated() -> None:
    provenance = {"calibrated_targets": ["K562"]}
    codec = VcfEncoder(("K562", "WTC11"), coverage=0.9, provenance=provenance)
    lines = codec.header(read(COLUMNS)).decode().splitlines()
    for field in EFFECT_FIELDS:
        for target, state in (("K562", "; calibrated; "), ("WTC11", "; uncalibrated; ")):
            [line] = [text for text in lines if f"<ID={info_key(target, field.name)}," in text]
            assert (state in line) is field.is_scaled, line
            assert f'; assay target {target}"' in line


def test_declarations_of_an_earlier_run_are_replaced() -> None:
    once = encoder("K562").header(read(b"##fileformat=VCFv4.3\n", COLUMNS))
    reader = VcfReader(once.splitlines(keepends=True), "in.vcf")
    assert reader.is_rescored
    assert encoder("K562").header(reader) == once
    other = encoder("HepG2").header(reader)
    assert b"K562" not in other
    assert not read(COLUMNS).is_rescored


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


def test_bcf_is_refused_with_a_remedy() -> None:
    with pytest.raises(DecodingError, match="bcftools view"):
        read(b"BCF\x02\x02\x00...")


def test_lines_are_numbered_through_the_file() -> None:
    lines = list(read(b"##fileformat=VCFv4.3\n", COLUMNS, LINE, b"\n", b"bad\n"))
    assert [line.number for line in lines] == [3, 4, 5]


@pytest.mark.parametrize(
    "last",
    [b"chr1\t8\trs", b"chr1\t8\t.\tA\tC\t.\tPASS\tDP=3", b"chr1\t8\t.\tA\tC\t.\tPASS\tDP=3\tGT"],
)
def test_a_last_line_that_lacks_columns_and_its_end_is_a_truncated_file(last: bytes) -> None:
    columns = COLUMNS.replace(b"\n", b"\tFORMAT\ta\n")
    reader = iter(read(columns, LINE, last))
    assert isinstance(next(reader), Record)
    with pytest.raises(InputFileError, match=r"in\.vcf is truncated: line 3"):
        next(reader)


def test_a_last_line_that_only_lacks_its_end_is_read() -> None:
    [record] = read(COLUMNS.replace(b"\n", b"\tFORMAT\ta\n"), LINE.rstrip(b"\n"))
    assert isinstance(record, Record)
    assert encoder().record(record, [Status.OK] * 2, [row()] * 2).endswith(b"\tGT\t0/1")


def test_targets_that_would_share_a_field_are_refused() -> None:
    assert info_key("K-562", "sd") == info_key("k_562", "sd")
    with pytest.raises(ModelContractError, match="K-562"):
        encoder("K-562", "k_562")
