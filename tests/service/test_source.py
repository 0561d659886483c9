"""Input files: every packing gives the same lines, every broken file gives one clear error."""

import gzip
import io
import subprocess
import sys
import threading
from pathlib import Path

import pysam
import pytest

from service.errors import InputFileError
from service.source import Packing, Source
from tests.service.cohort import write_packed

LINES = [f"line {number} {'x' * 90}\n".encode() for number in range(5000)]
CONTENT = b"".join(LINES)
END_BLOCK = 28


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> Source:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return Source("-")


def lines_of(path: Path) -> list[bytes]:
    with Source(str(path)) as source:
        return list(source)


@pytest.mark.parametrize("packing", ["plain", "gzip", "bgzip"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_every_packing_gives_the_same_lines(tmp_path, monkeypatch, packing, is_stream):
    path = write_packed(tmp_path / "in", CONTENT, packing)
    source = stdin(monkeypatch, path.read_bytes()) if is_stream else Source(str(path))
    with source:
        assert list(source) == LINES
    assert source.position == path.stat().st_size
    assert source.size == (None if is_stream else path.stat().st_size)


@pytest.mark.parametrize(
    ("packing", "kind"),
    [("plain", Packing.PLAIN), ("gzip", Packing.GZIP), ("bgzip", Packing.BGZF)],
)
def test_the_packing_is_known_by_the_first_bytes(tmp_path, packing, kind):
    with Source(str(write_packed(tmp_path / "in", CONTENT, packing))) as source:
        assert source.packing is kind
        assert kind.has_offsets is (packing != "gzip")


@pytest.fixture
def bcf(tmp_path) -> Path:
    path = tmp_path / "in.bcf"
    header = pysam.VariantHeader()
    header.add_line("##contig=<ID=1>")
    with pysam.VariantFile(str(path), "wb", header=header) as file:
        for start in range(3000):
            file.write(file.new_record("1", start, alleles=("A", "C")))
    return path


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("is_stream", [True, False])
def test_bcf_is_read_as_text(bcf, monkeypatch, is_packed, is_stream):
    if not is_packed:
        bcf.write_bytes(gzip.decompress(bcf.read_bytes()))
    source = stdin(monkeypatch, bcf.read_bytes()) if is_stream else Source(str(bcf))
    with source:
        lines = list(source)
        assert source.packing is Packing.BCF
    assert lines[0] == b"##fileformat=VCFv4.2\n"
    assert lines[-1] == b"1\t3000\t.\tA\tC\t.\t.\t.\n"
    assert len(lines) == 3000 + 4
    assert source.position == bcf.stat().st_size


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("cut", [1, 27, END_BLOCK, 1000, 5000])
def test_cut_bcf_is_truncated(bcf, monkeypatch, capfd, is_packed, is_stream, cut):
    content = bcf.read_bytes() if is_packed else gzip.decompress(bcf.read_bytes())
    bcf.write_bytes(content[:-cut])
    lines = []

    def read() -> None:
        with stdin(monkeypatch, content[:-cut]) if is_stream else Source(str(bcf)) as source:
            lines.extend(source)

    with pytest.raises(InputFileError, match="truncated"):
        read()
    assert len(lines) < 3004 or (is_packed and cut <= END_BLOCK)
    assert capfd.readouterr().err == "", "htslib says nothing of its own"


def test_damaged_bcf_is_named(bcf):
    raw = bytearray(bcf.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    bcf.write_bytes(raw)
    with pytest.raises(InputFileError, match=r"in.bcf: damaged or truncated BCF after line \d+;"):
        lines_of(bcf)


def test_bcf_that_is_not_read_to_its_end_leaves_no_thread(bcf):
    bcf.write_bytes(gzip.decompress(bcf.read_bytes()))
    before = threading.active_count()
    with Source(str(bcf)) as source:
        lines = iter(source)
        next(lines)
        lines.close()
    assert threading.active_count() == before


def test_damaged_bcf_on_a_stream_that_stays_open_ends(bcf):
    raw = bytearray(bcf.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    code = "from service.source import Source\nfor line in Source('-'): pass"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(raw)
        process.stdin.flush()  # and it is not closed
        try:
            assert process.wait(60) == 1
        finally:
            process.kill()
        text = process.stderr.read().decode()
    assert "standard input: damaged or truncated BCF" in text
    assert "Fatal Python error" not in text


def test_messages_may_call_an_input_something_else(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(InputFileError, match=r"^the cohort is empty"):
        Source(str(tmp_path / "empty"), "the cohort")


def test_a_last_line_without_end_and_crlf_are_kept(tmp_path):
    path = write_packed(tmp_path / "in", b"a\r\nb", "plain")
    assert lines_of(path) == [b"a\r\n", b"b"]


def test_gzip_of_several_members_is_one_text(tmp_path):
    path = tmp_path / "in.gz"
    path.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n"))
    assert lines_of(path) == [b"a\n", b"b\n"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.touch(), "is empty"),
    ],
)
def test_what_is_no_file_with_content_is_refused(tmp_path, make, message):
    path = tmp_path / "in.vcf"
    make(path)
    with pytest.raises(InputFileError, match=message) as error:
        Source(str(path))
    assert str(path) in error.value.message


def test_a_name_that_no_system_can_open_is_refused():
    with pytest.raises(InputFileError, match="cannot be read: File name too long"):
        Source("x" * 5000)


def test_a_disk_that_fails_is_named(tmp_path, monkeypatch):
    class Failing(io.BytesIO):
        def readinto(self, buffer):
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().readinto(memoryview(buffer)[:200])

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Failing(CONTENT)))
    with pytest.raises(InputFileError, match="standard input cannot be read: Input/output error"):
        list(Source("-"))


def test_empty_standard_input_is_refused(monkeypatch):
    with pytest.raises(InputFileError, match="standard input is empty"):
        stdin(monkeypatch, b"")


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("cut", [1, 8, 100, 2000])
def test_cut_gzip_gives_its_lines_then_the_error(tmp_path, monkeypatch, cut, is_stream):
    content = gzip.compress(CONTENT)[:-cut]
    path = tmp_path / "in.gz"
    path.write_bytes(content)
    source = stdin(monkeypatch, content) if is_stream else Source(str(path))
    lines = []
    with source, pytest.raises(InputFileError, match="truncated"):
        lines.extend(source)
    assert lines == LINES[: len(lines)]
    assert len(lines) > 0.8 * len(LINES), "no buffer swallows what came before the cut"


def test_cut_bgzip_is_refused_before_the_work_starts(tmp_path):
    path = write_packed(tmp_path / "in.gz", CONTENT, "bgzip")
    whole = path.read_bytes()
    for cut in (1, END_BLOCK, END_BLOCK + 1, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:-cut])
        with pytest.raises(InputFileError, match="no BGZF end-of-file block: it is truncated"):
            Source(str(path))


def test_bgzip_from_a_stream_is_known_to_be_cut_at_its_end(tmp_path, monkeypatch):
    # A cut between two blocks leaves valid gzip: only the missing last block tells.
    whole = write_packed(tmp_path / "in.gz", CONTENT, "bgzip").read_bytes()
    lines = []
    with pytest.raises(InputFileError, match="no BGZF end-of-file block"):
        lines.extend(stdin(monkeypatch, whole[:-END_BLOCK]))
    assert lines == LINES


def test_corrupt_gzip_is_named(tmp_path):
    raw = bytearray(gzip.compress(CONTENT))
    raw[len(raw) // 2] ^= 0xFF
    path = tmp_path / "in.gz"
    path.write_bytes(raw)
    with pytest.raises(InputFileError, match=r"corrupt|truncated"):
        lines_of(path)


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("service.source.MAX_LINE", 1000)
    path = write_packed(tmp_path / "in", b"x" * 5000, "plain")
    with pytest.raises(InputFileError, match="line 1 is longer than 1000 bytes"):
        lines_of(path)


def test_files_that_htslib_writes_are_recognised(tmp_path):
    path = tmp_path / "in.vcf.gz"
    header = pysam.VariantHeader()
    header.add_line("##contig=<ID=1>")
    with pysam.VariantFile(str(path), "wz", header=header) as vcf:
        vcf.write(vcf.new_record(contig="1", start=6, alleles=("A", "C")))
    assert lines_of(path)[-1].startswith(b"1\t7\t")
