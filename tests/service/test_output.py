"""Outputs: whole under their name or not at all, never over an input."""

import gzip
import os
from pathlib import Path

import pytest

from service.errors import ValidationError
from service.output import Output, OutputFormat, output_format


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("is_compressed", [False, True])
def test_the_file_appears_when_it_is_whole(tmp_path, is_compressed):
    path = tmp_path / "out.vcf"
    path.write_bytes(b"old")
    with Output(str(path), is_compressed=is_compressed) as output:
        output.write(b"new\n")
        assert path.read_bytes() == b"old"
        assert files(tmp_path) == ["out.vcf", "out.vcf.partial"]
    raw = path.read_bytes()
    assert (gzip.decompress(raw) if is_compressed else raw) == b"new\n"
    assert files(tmp_path) == ["out.vcf"]
    if is_compressed:
        assert raw.endswith(bytes.fromhex("1b0003000000000000000000")), "the BGZF end block"


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_failure_keeps_what_was_written_and_says_where(tmp_path, is_compressed):
    path = tmp_path / "out.vcf"
    with (
        pytest.raises(RuntimeError) as error,
        Output(str(path), is_compressed=is_compressed) as output,
    ):
        output.write(b"half\n")
        raise RuntimeError
    assert files(tmp_path) == ["out.vcf.partial"]
    raw = (tmp_path / "out.vcf.partial").read_bytes()
    assert (gzip.decompress(raw) if is_compressed else raw) == b"half\n"
    assert str(tmp_path / "out.vcf.partial") in error.value.__notes__[0]


def test_a_failure_before_the_first_byte_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), Output(str(tmp_path / "o.vcf"), is_compressed=False):
        raise RuntimeError
    assert files(tmp_path) == []


def test_a_link_keeps_pointing_at_the_file(tmp_path):
    (tmp_path / "data").mkdir()
    link = tmp_path / "out.vcf"
    link.symlink_to(tmp_path / "data" / "real.vcf")
    with Output(str(link), is_compressed=False) as output:
        output.write(b"x")
    assert link.is_symlink()
    assert files(tmp_path / "data") == ["real.vcf"]


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_device_is_written_to_not_replaced(tmp_path, is_compressed):
    pipe = tmp_path / "pipe.vcf"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with Output(str(pipe), is_compressed=is_compressed) as output:
        output.write(b"through\n")
    raw = os.read(reader, 1000)
    os.close(reader)
    assert (gzip.decompress(raw) if is_compressed else raw) == b"through\n"
    assert files(tmp_path) == ["pipe.vcf"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_full_disk_is_an_error_not_a_short_file(is_compressed):
    with pytest.raises(OSError), Output("/dev/full", is_compressed=is_compressed) as output:
        output.write(b"x" * 3_000_000)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_where_nothing_can_be_written_is_said_before_the_work(tmp_path, is_compressed):
    with pytest.raises(ValidationError, match=r"cannot be written: No such file or directory"):
        Output(str(tmp_path / "no" / "out.vcf"), is_compressed=is_compressed)
    with pytest.raises(ValidationError, match="is a folder"):
        Output(str(tmp_path), is_compressed=is_compressed)


def test_an_input_is_never_overwritten(tmp_path):
    taken = tmp_path / "in.vcf"
    taken.write_bytes(b"precious")
    (tmp_path / "link.vcf").symlink_to(taken)
    (tmp_path / "out.vcf.partial").hardlink_to(taken)
    for name in ("in.vcf", "link.vcf", "./in.vcf", "out.vcf"):
        with pytest.raises(ValidationError, match="would overwrite the input"):
            Output(str(tmp_path / name), is_compressed=False, inputs=("-", str(taken)))
    assert taken.read_bytes() == b"precious"


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
        ("a.vcf", "tsv", "tsv"),
    ],
)
def test_the_name_or_the_option_says_the_format(path, stated, found):
    assert output_format(path, stated) == found


@pytest.mark.parametrize(("path", "stated"), [("a.txt", None), ("vcfgz", None), ("a.vcf", "bcf")])
def test_an_unknown_format_is_refused_with_the_known_ones(path, stated):
    with pytest.raises(ValidationError, match=r"\.vcf, \.vcf\.gz, \.tsv, \.tsv\.gz"):
        output_format(path, stated)


def test_formats_know_their_packing():
    assert [style.is_compressed for style in OutputFormat] == [False, True, False, True]
    assert [style.is_table for style in OutputFormat] == [False, False, True, True]
