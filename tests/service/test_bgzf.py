"""BGZF as htslib reads and writes it; damage is found, and the message says where."""

import gzip
import io
import random

import pysam
import pytest
from Bio import bgzf as biopython
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bgzf import END, Packer, is_bgzf, read_blocks, text_from
from service.errors import InputFileError

LINES = [f"line {number} {number * number}\n".encode() for number in range(30_000)]
TEXT = b"".join(LINES)


def pack(text: bytes, size: int | None = None, level: int = 4) -> bytes:
    """Pack in one piece or in pieces, and end the file."""
    packer = Packer(level)
    size = size or max(len(text), 1)
    parts = [packer.add(text[first : first + size]) for first in range(0, len(text), size)]
    return b"".join((*parts, packer.finish(), END))


def read(packed: bytes, virtual: int = 0) -> bytes:
    return text_from(io.BytesIO(packed), "in.gz", virtual).read()


@pytest.mark.parametrize("level", [1, 4, 9])
def test_htslib_and_gzip_read_what_is_packed(tmp_path, level):
    path = tmp_path / "out.gz"
    path.write_bytes(pack(TEXT, level=level))
    assert gzip.decompress(path.read_bytes()) == TEXT
    with pysam.BGZFile(str(path), "rb") as file:
        assert file.read() == TEXT
    with biopython.BgzfReader(str(path), "rb") as file:
        assert list(file) == LINES
    assert path.stat().st_size < len(TEXT) / 2


@given(text=st.binary(max_size=300), times=st.integers(0, 2000), size=st.integers(1, 200_000))
@settings(max_examples=60)
def test_the_blocks_do_not_depend_on_the_pieces(text, times, size):
    whole = pack(text * times)
    assert pack(text * times, size) == whole
    assert read(whole) == gzip.decompress(whole) == text * times


def test_text_that_does_not_shrink_still_fits_into_blocks():
    noise = random.Random(1).randbytes(1 << 18)
    assert gzip.decompress(pack(noise)) == noise


def test_packed_parts_are_one_file_where_no_end_block_stands_between():
    parts = []
    for first in range(0, len(LINES), 7000):
        packer = Packer()
        parts.append(packer.add(b"".join(LINES[first : first + 7000])) + packer.finish())
    whole = b"".join(parts) + END
    assert read(whole) == TEXT
    assert [block.n_text for block in read_blocks(io.BytesIO(whole), "")].count(0) == 1
    assert Packer().finish() == b"", "an empty part adds nothing"


def test_a_file_of_any_program_is_read_from_any_of_its_bytes(tmp_path):
    files = {"own": pack(TEXT)}
    for name, writer in {"htslib": pysam.BGZFile, "biopython": biopython.BgzfWriter}.items():
        with writer(str(tmp_path / name), "wb") as file:
            file.write(TEXT)
        files[name] = (tmp_path / name).read_bytes()
    for name, packed in files.items():
        assert is_bgzf(packed[:18])
        position = 0
        for block in read_blocks(io.BytesIO(packed), name):
            assert block.text() == TEXT[position : position + block.n_text]
            assert packed[block.offset : block.end] == block.raw
            for index in {0, 1, block.n_text // 2, block.n_text} & set(range(block.n_text + 1)):
                assert read(packed, block.address(index)) == TEXT[position + index :]
            position += block.n_text
        assert position == len(TEXT)


def test_a_block_of_65536_bytes_has_an_address_after_its_last():
    packed = biopython._bgzf_header  # Biopython's blocks are the largest that there can be
    with io.BytesIO() as file:
        writer = biopython.BgzfWriter(fileobj=file)
        writer.write(b"x" * (1 << 16) + b"y")
        writer.flush()
        packed = file.getvalue()
    first = next(read_blocks(io.BytesIO(packed), ""))
    assert first.n_text == 1 << 16
    assert read(packed, first.address(first.n_text)) == b"y"
    assert read(packed, first.address(first.n_text - 1)) == b"xy"


def test_fields_of_others_in_a_block_header_are_skipped():
    block = pack(b"text\n")[: -len(END)]
    other = b"XY\x03\x00abc"
    size = int.from_bytes(block[16:18], "little") + len(other)
    head = block[:10] + (6 + len(other)).to_bytes(2, "little")
    mixed = head + other + b"BC\x02\x00" + size.to_bytes(2, "little") + block[18:]
    assert read(mixed + END) == b"text\n"


def test_a_corrupt_block_is_named_by_its_place_and_those_before_it_are_read():
    packed = bytearray(pack(TEXT))
    blocks = list(read_blocks(io.BytesIO(bytes(packed)), ""))
    victim = blocks[3]
    packed[victim.offset + len(victim.raw) // 2] ^= 0xFF
    seen = []
    with pytest.raises(InputFileError, match="copy the file again") as error:
        seen.extend(text_from(io.BytesIO(bytes(packed)), "in.gz"))
    assert f"in.gz: corrupt BGZF block at byte {victim.offset} (" in error.value.message
    assert seen == LINES[: len(seen)]
    n_before = sum(block.n_text for block in blocks[:3])
    assert n_before - 100 < len(b"".join(seen)) <= n_before


@given(place=st.integers(0), flip=st.integers(1, 255))
@settings(max_examples=300)
def test_no_flipped_byte_gives_another_text(place, flip):
    packed = bytearray(pack(TEXT[:2000], 500) if place % 2 else pack(b"a\n"))
    packed[place % len(packed)] ^= flip
    right = TEXT[:2000] if place % 2 else b"a\n"
    try:
        text = read(bytes(packed))
    except InputFileError:
        return
    assert text == right, "only bytes that mean nothing, such as the time, may change unseen"


@pytest.mark.parametrize("cut", [1, 5, 11, 14, 17, 20])
def test_a_block_that_is_cut_off_is_truncation(cut):
    packed = pack(TEXT)[: -len(END)]
    last = list(read_blocks(io.BytesIO(packed), ""))[-1]
    for short in (packed[:-cut], packed[: last.offset + cut]):
        with pytest.raises(InputFileError, match=r"truncated|corrupt") as error:
            read(short)
        assert f"block at byte {last.offset}" in error.value.message


def test_plain_gzip_behind_a_block_is_refused():
    with pytest.raises(InputFileError, match="it does not state its size"):
        read(pack(b"a\n")[: -len(END)] + gzip.compress(b"b\n"))
    with pytest.raises(InputFileError, match="no block begins here"):
        read(pack(b"a\n") + b"plain text behind the end\n")
    assert not is_bgzf(gzip.compress(b"b\n")[:18])
