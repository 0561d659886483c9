"""Formats of outputs, and the index of one."""

import gzip
from pathlib import Path

import pysam
import pytest

from service.errors import InputFileError, ValidationError
from service.output import OutputFormat, index, output_format


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("path", "stated", "found"),
    [
        ("a.vcf", None, "vcf"),
        ("a.VCF.gz", None, "vcf.gz"),
        ("a.b.vcf.bgz", None, "vcf.gz"),
        ("a.tsv", None, "tsv"),
        ("a.tsv.gz", None, "tsv.gz"),
        ("-", None, "vcf"),
        ("-", "tsv.gz", "tsv.gz"),
        ("a.txt", "tsv", "tsv"),
        ("a.vcf.bgz", "vcf.gz", "vcf.gz"),
        ("a.gz", "vcf.gz", "vcf.gz"),
        ("a.parquet", None, "parquet"),
        ("a.pq", "parquet", "parquet"),
    ],
)
def test_the_name_or_the_option_says_the_format(path, stated, found):
    assert output_format(path, stated) == found


@pytest.mark.parametrize(("path", "stated"), [("a.txt", None), ("vcfgz", None), ("a.vcf", "bcf")])
def test_an_unknown_format_is_refused_with_the_known_ones(path, stated):
    with pytest.raises(ValidationError, match=r"vcf, \.?vcf\.gz, \.?tsv, \.?tsv\.gz, \.?parquet"):
        output_format(path, stated)


@pytest.mark.parametrize(
    ("path", "stated"),
    [("a.vcf.gz", "tsv"), ("a.vcf", "vcf.gz"), ("a.vcf.gz", "vcf"), ("a.parquet", "tsv.gz")],
)
def test_a_name_that_contradicts_the_format_is_refused(path, stated):
    with pytest.raises(ValidationError, match=f"{path} is named as .* --format says {stated}"):
        output_format(path, stated)


def test_parquet_needs_a_file():
    with pytest.raises(ValidationError, match="standard output"):
        output_format("-", "parquet")


def test_formats_know_their_packing():
    styles = ["vcf", "vcf.gz", "tsv", "tsv.gz", "parquet"]
    assert [style.value for style in OutputFormat] == styles
    assert [style.is_compressed for style in OutputFormat] == [False, True, False, True, False]
    assert [style.is_table for style in OutputFormat] == [False, False, True, True, True]


TOP = (
    b"##fileformat=VCFv4.3\n##contig=<ID=1>\n##contig=<ID=2>\n"
    b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)


def write_vcf(path: Path, *places: tuple[str, int]) -> Path:
    lines = (f"{contig}\t{pos}\t.\tA\tC\t.\t.\t.\n".encode() for contig, pos in places)
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(TOP + b"".join(lines))
    return path


@pytest.mark.parametrize("kind", ["tbi", "csi"])
@pytest.mark.parametrize("name", ["out.vcf.gz", "out.vcf.gz.partial"])
def test_an_index_finds_the_records_of_a_region(tmp_path, kind, name):
    path = write_vcf(tmp_path / name, ("1", 7), ("1", 7), ("1", 900), ("2", 5))
    before = path.read_bytes()
    made = index(path, kind)
    assert made == tmp_path / f"{name}.{kind}"
    assert files(tmp_path) == [name, f"{name}.{kind}"]
    assert path.read_bytes() == before
    with pysam.TabixFile(str(path), index=str(made)) as file:
        assert [row.split("\t")[1] for row in file.fetch("1", 6, 8)] == ["7", "7"]
        assert [row.split("\t")[1] for row in file.fetch("2")] == ["5"]


def test_an_index_replaces_an_older_one(tmp_path):
    path = write_vcf(tmp_path / "out.vcf.gz", ("1", 7))
    index(path, "tbi")
    write_vcf(path, ("2", 7))
    index(path, "tbi")
    with pysam.TabixFile(str(path)) as file:
        assert file.contigs == ["2"]


def test_an_empty_line_that_keeps_a_file_from_being_indexed_is_named(tmp_path):
    path = write_vcf(tmp_path / "out.vcf.gz", ("1", 7), ("1", 9))
    head, last = gzip.decompress(path.read_bytes()).rsplit(b"1\t9", 1)
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(head + b"\n1\t9" + last)
    with pytest.raises(InputFileError, match="an empty line after the record at 1:7; take it out"):
        index(path, "tbi")


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        (
            [("1", 900), ("1", 7)],
            "record at 1:7 is not in order, it comes after 1:900; sort the input: bcftools sort",
        ),
        ([("1", 7), ("2", 9), ("1", 8)], "record at 1:8 is not in order, it comes after 2:9;"),
        (
            [("1", 7), ("1", 600_000_000)],
            "the record at 1:600000000 lies beyond what a .tbi can hold; use --index csi",
        ),
    ],
)
def test_what_cannot_be_indexed_is_named(tmp_path, capfd, places, problem):
    path = write_vcf(tmp_path / "out.vcf.gz", *places)
    (tmp_path / "out.vcf.gz.tbi").write_bytes(b"of an older file")
    with pytest.raises(InputFileError, match=problem):
        index(path, "tbi")
    assert files(tmp_path) == ["out.vcf.gz"]
    assert capfd.readouterr().err == ""


def test_a_csi_holds_what_a_tbi_cannot(tmp_path):
    path = write_vcf(tmp_path / "out.vcf.gz", ("1", 600_000_000))
    with pysam.TabixFile(str(path), index=str(index(path, "csi"))) as file:
        assert len(list(file.fetch("1", 599_999_999, 600_000_000))) == 1


def test_a_malformed_line_keeps_a_file_from_being_indexed(tmp_path):
    path = tmp_path / "out.vcf.gz"
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(TOP + b"1\t7\t.\tA\tC\t.\t.\t.\nbad\n")
    with pytest.raises(InputFileError, match="line that begins 'bad' is malformed"):
        index(path, "tbi")
