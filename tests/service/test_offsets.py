"""Where the shards of a text begin: the same whether it is plain or packed, whatever the blocks."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import offsets
from service.bgzf import END, Block, Packer
from service.errors import InputFileError
from service.offsets import opened, survey

SHORT_LINES = st.lists(
    st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), min_size=1
)


def expected_starts(text: bytes, first: int, step: int) -> list[int]:
    """The rule, said simply: the first line start at or after each multiple."""
    starts = [i + 1 for i, byte in enumerate(text) if byte == ord("\n") and i + 1 < len(text)]
    multiples = range(first, len(text), step)
    found = [next((start for start in starts if start >= k), None) for k in multiples]
    return sorted({start for start in found if start is not None})


def packed(text: bytes, size: int) -> bytes:
    """BGZF with blocks of `size` bytes."""
    packer = Packer(1)
    pieces = (text[first : first + size] for first in range(0, len(text), size))
    return b"".join(packer.add(piece) + packer.finish() for piece in pieces) + END


@given(
    lines=SHORT_LINES,
    has_last_end=st.booleans(),
    step=st.integers(1, 100),
    size=st.integers(1, 90),
)
@settings(max_examples=150)
def test_starts_follow_the_rule_and_reading_goes_on_from_them(lines, has_last_end, step, size):
    head = b"#CHROM\n"
    text = head + b"\n".join(lines) + (b"\n" if has_last_end else b"")
    right = expected_starts(text, len(head), step)
    with TemporaryDirectory() as folder:
        path = Path(folder, "in")
        for is_bgzf in (False, True):
            content = packed(text, size) if is_bgzf else text
            path.write_bytes(content)
            found = survey(path, "in", is_bgzf=is_bgzf, first=len(head), step=step)
            assert [start for start, _ in found.starts] == right
            assert found.n_text == len(text)
            assert found.has_last_end is text.endswith(b"\n")
            assert found.sha256 == hashlib.sha256(content).hexdigest()
            for start, at in found.starts:
                with opened(path, "in", at, is_bgzf=is_bgzf) as file:
                    assert file.read() == text[start:]


@pytest.mark.parametrize("piece", [1, 2, 3, 10, 1000])
def test_a_line_may_end_anywhere_in_a_piece_that_is_read(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(offsets, "_PIECE", piece)
    text = b"#CHROM\n" + b"".join(b"x" * length + b"\n" for length in range(30))
    path = tmp_path / "in"
    path.write_bytes(text)
    found = survey(path, "in", is_bgzf=False, first=7, step=20)
    assert [start for start, _ in found.starts] == expected_starts(text, 7, 20)


def test_only_blocks_that_are_looked_into_are_unpacked(tmp_path, monkeypatch):
    text = b"#CHROM\n" + b"line\n" * 20_000
    path = tmp_path / "in"
    path.write_bytes(packed(text, 1000))
    unpacked = []
    text_of = Block.text
    monkeypatch.setattr(
        "service.bgzf.Block.text", lambda block: unpacked.append(block.offset) or text_of(block)
    )
    found = survey(path, "in", is_bgzf=True, first=7, step=20_000)
    assert len(found.starts) == 5
    assert len(set(unpacked)) < 15, "not all 101"


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "in"
    path.write_bytes(b"#CHROM\n" + b"line\n" * 100)
    pieces = offsets._pieces

    def grow(*args, **named):
        yield from pieces(*args, **named)
        path.write_bytes(b"#CHROM\n" + b"line\n" * 101)

    monkeypatch.setattr(offsets, "_pieces", grow)
    with pytest.raises(InputFileError, match="in changes while it is read; wait until"):
        survey(path, "in", is_bgzf=False, first=7, step=20)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with (
        pytest.raises(InputFileError, match="in cannot be read: No such file"),
        opened(tmp_path / "gone", "in", is_bgzf=False),
    ):
        pass
