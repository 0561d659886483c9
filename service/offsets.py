"""Offsets in an unpacked text: where lines begin, and reading on from one of them.

`plain text | BGZF -> line starts`, in one pass that unpacks only the blocks it must look into.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from service.bgzf import read_blocks, text_from
from service.errors import InputFileError

_PIECE = 1 << 22
_BUFFER = 1 << 20


class Piece(Protocol):
    """Some of a text that can be looked into."""

    @property
    def n_text(self) -> int:
        """Bytes of its text."""
        ...

    def text(self) -> bytes:
        """Return its text."""
        ...

    def address(self, index: int) -> int:
        """Return where reading must begin to begin with a byte of its text, or after them."""
        ...


@dataclass(frozen=True, slots=True)
class _Plain:
    """A piece of a plain file, from a byte offset on."""

    offset: int
    content: bytes

    @property
    def n_text(self) -> int:
        return len(self.content)

    def text(self) -> bytes:
        return self.content

    def address(self, index: int) -> int:
        return self.offset + index


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over a file finds.

    Attributes:
      sha256: of the bytes of the file.
      stat: of the file, the same before and after.
      starts: (offset in the text, address) of each shard's first line.
      n_text: bytes of the text.
      has_last_end: whether the last line has a line end.
    """

    sha256: str
    stat: os.stat_result
    starts: tuple[tuple[int, int], ...]
    n_text: int
    has_last_end: bool


def survey(path: Path, name: str, *, is_bgzf: bool, first: int, step: int) -> Survey:
    """Read a file once: its digest, and where the shards of its text begin.

    A shard begins with the first line that starts at or after `first` + k * `step`.

    Args:
      path: the file.
      name: what messages call it.
      is_bgzf: whether it is BGZF, not plain text.
      first: offset of the first record in the text.
      step: bytes of text in a shard, about.

    Raises:
      InputFileError: it cannot be read, is no BGZF throughout, or changes meanwhile.
    """
    digest = hashlib.sha256()
    starts: list[tuple[int, int]] = []
    target, position = first, 0
    last: Piece | None = None
    with _explained(name), path.open("rb", _BUFFER) as file:
        before = os.fstat(file.fileno())
        for raw, piece in _pieces(file, name, is_bgzf=is_bgzf):
            digest.update(raw)
            text = b""
            while (index := target - 1 - position) < piece.n_text:
                text = text or piece.text()
                found = text.find(b"\n", max(index, 0))
                if found < 0:
                    break
                start = position + found + 1
                starts.append((start, piece.address(found + 1)))
                target = first + ((start - first) // step + 1) * step
            position += piece.n_text
            last = piece if piece.n_text else last
        after = os.fstat(file.fileno())
        has_last_end = last is None or last.text().endswith(b"\n")
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputFileError(f"{name} changes while it is read; wait until it is whole")
    if starts and starts[-1][0] == position:
        starts.pop()
    return Survey(digest.hexdigest(), after, tuple(starts), position, has_last_end)


@contextmanager
def opened(path: Path, name: str, at: int = 0, *, is_bgzf: bool) -> Iterator[BinaryIO]:
    """Open a text at an address, for reading from there on.

    Raises:
      InputFileError: it cannot be read; inside the block, also that a BGZF block is corrupt.
    """
    with _explained(name), path.open("rb") as file:
        if is_bgzf:
            yield text_from(file, name, at)
        else:
            file.seek(at)
            yield file


def _pieces(file: BinaryIO, name: str, *, is_bgzf: bool) -> Iterator[tuple[bytes, Piece]]:
    """Yield all bytes of a file and the text that is in them."""
    if is_bgzf:
        for block in read_blocks(file, name):
            yield block.raw, block
        return
    offset = 0
    while content := file.read(_PIECE):
        yield content, _Plain(offset, content)
        offset += len(content)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputFileError(f"{name} cannot be read: {error.strerror or error}") from error
