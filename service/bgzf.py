"""BGZF: gzip in blocks of at most 64 KiB, so that reading may begin at any of them.

Three things that Biopython's `bgzf` and pysam's do not do: blocks are skipped unread, so that a
plan surveys a file by its block headers; `text -> blocks` can leave out the block that ends a file,
so that packed parts joined together are one file; `blocks -> text` checks every block and names the
bad one. SAM specification, section 4.1.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from service.errors import InputFileError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAGIC: Final = b"\x1f\x8b"
# The empty block that ends every complete file.
END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

_FIXED = 12  # bytes of a header before its extra field
_HEADER = struct.Struct("<4BI2BH2s2H")  # of a block whose extra field is BSIZE alone
_TRAILER = struct.Struct("<2I")  # CRC-32 and length of the text
_TEXT_IN_BLOCK = 0xFF00  # what bgzip puts into one: it fits even where deflate gains nothing
# Scored records, 870 bytes each: level 6 packs 44 MB/s, 4 92 MB/s into 9 % more, 1 165 into 33 %.
LEVEL: Final = 4
_BUFFER = 1 << 17
_GZIP = 16 + zlib.MAX_WBITS  # a whole gzip member: zlib then checks its CRC


def is_bgzf(head: bytes) -> bool:
    """Say whether the first bytes of a file, 18 or more, begin a BGZF block."""
    return head.startswith(MAGIC) and head[3:4] == b"\x04" and b"BC\x02\x00" in head[12:]


@dataclass(frozen=True, slots=True)
class Block:
    """One block, packed.

    Attributes:
      name: what messages call the file.
      offset: where the block begins in the file.
      raw: all its bytes.
    """

    name: str
    offset: int
    raw: bytes

    @property
    def end(self) -> int:
        """Where the next block begins in the file."""
        return self.offset + len(self.raw)

    @property
    def n_text(self) -> int:
        """Bytes of its text, as it states them."""
        return int.from_bytes(self.raw[-4:], "little")

    def address(self, index: int) -> int:
        """Return the virtual offset of a byte of its text, or of the byte after them."""
        return self.offset << 16 | index if index < self.n_text else self.end << 16

    def text(self) -> bytes:
        """Return its text.

        Raises:
          InputFileError: the block is corrupt.
        """
        try:
            text = zlib.decompress(self.raw, _GZIP)
        except zlib.error as error:
            raise corrupt(self.name, self.offset, str(error)) from error
        if len(text) != self.n_text:
            raise corrupt(self.name, self.offset, "its length does not agree")
        return text


def corrupt(name: str, offset: int, problem: str) -> InputFileError:
    """Return the error for a block that cannot be what was written."""
    return InputFileError(
        f"{name}: corrupt BGZF block at byte {offset} ({problem}); copy the file again",
        detail={"offset": offset},
    )


def read_blocks(stream: BinaryIO, name: str, offset: int = 0) -> Iterator[Block]:
    """Yield the blocks of a file from a position on, without unpacking them.

    Args:
      stream: at that position.
      name: what messages call the file.
      offset: the position, the start of a block.

    Raises:
      InputFileError: what is there is no block, or not a whole one.
    """
    while head := stream.read(_FIXED):
        if not head.startswith(MAGIC) or len(head) < _FIXED:
            raise corrupt(name, offset, "no block begins here")
        n_extra = int.from_bytes(head[10:12], "little")
        extra = stream.read(n_extra)
        size = _block_size(extra)
        start = _FIXED + n_extra
        if size is None or size < start + _TRAILER.size:
            raise corrupt(name, offset, "it does not state its size")
        raw = b"".join((head, extra, stream.read(size - start)))
        if len(raw) < size:
            raise InputFileError(
                f"{name} ends in the middle of the BGZF block at byte {offset}: it is truncated;"
                " copy it again",
                detail={"offset": offset},
            )
        yield Block(name, offset, raw)
        offset += size


def _block_size(extra: bytes) -> int | None:
    """Bytes of a block, from the sub-field BC of its header."""
    at = 0
    while at + 4 <= len(extra):
        n_field = int.from_bytes(extra[at + 2 : at + 4], "little")
        if extra[at : at + 4] == b"BC\x02\x00" and at + 6 <= len(extra):
            return int.from_bytes(extra[at + 4 : at + 6], "little") + 1
        at += 4 + n_field
    return None


class BgzfText(io.RawIOBase):
    """The text of a file from a virtual offset on; wrap it in `io.BufferedReader`.

    Args:
      stream: the file; the caller closes it.
      name: what messages call it.
      virtual: offset of a block, times 65,536, plus the offset in its text.

    Raises:
      InputFileError: on reading, that a block is corrupt or cut off.
    """

    def __init__(self, stream: BinaryIO, name: str, virtual: int = 0) -> None:
        """Go there."""
        offset, self._skip = virtual >> 16, virtual & 0xFFFF
        stream.seek(offset)
        self._blocks = read_blocks(stream, name, offset)
        self._text = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Put the next bytes of the text into a buffer and return how many there are."""
        while not self._text:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._text = memoryview(block.text())[self._skip :]
            self._skip = 0
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._text))
        view[:size] = self._text[:size]
        self._text = self._text[size:]
        return size


def text_from(stream: BinaryIO, name: str, virtual: int = 0) -> io.BufferedReader:
    """Return the text of an open file from a virtual offset on."""
    return io.BufferedReader(BgzfText(stream, name, virtual), _BUFFER)


class Packer:
    """Packs a stream of text into blocks.

    Args:
      level: of zlib, 1 fast to 9 small.

    >>> packer = Packer()
    >>> packed = packer.add(b"one") + packer.add(b"two") + packer.finish() + END
    >>> zlib.decompress(packed, 31)
    b'onetwo'
    """

    def __init__(self, level: int = LEVEL) -> None:
        """Begin a new block."""
        self._level = level
        self._rest = b""

    def add(self, text: bytes) -> bytes:
        """Take text and return the blocks that it fills."""
        text = self._rest + text
        whole = len(text) // _TEXT_IN_BLOCK * _TEXT_IN_BLOCK
        self._rest = text[whole:]
        return b"".join(
            _packed(text[first : first + _TEXT_IN_BLOCK], self._level)
            for first in range(0, whole, _TEXT_IN_BLOCK)
        )

    def finish(self) -> bytes:
        """Return the last block, which may be short; without `END` the file may go on."""
        rest, self._rest = self._rest, b""
        return _packed(rest, self._level) if rest else b""


def _packed(text: bytes, level: int) -> bytes:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = deflate.compress(text) + deflate.flush()
    size = _HEADER.size + len(data) + _TRAILER.size
    header = _HEADER.pack(*MAGIC, 8, 4, 0, 0, 255, 6, b"BC", 2, size - 1)
    return b"".join((header, data, _TRAILER.pack(zlib.crc32(text), len(text))))
