"""An input file -> its lines, from plain text, gzip or bgzip; `-` is standard input."""

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self, cast

from service.errors import InputFileError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STANDARD = "-"

_GZIP_MAGIC = b"\x1f\x8b"
# SAM specification 4.1.2: the empty block that ends every complete BGZF file.
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_BUFFER = 1 << 20
# A line of 100,000 samples has a few MB; more than this is no text file.
_MAX_LINE = 1 << 28


class _Readable(Protocol):
    def readinto(self, buffer: "WriteableBuffer", /) -> int | None: ...
    def close(self) -> None: ...


class _Meter(io.RawIOBase):
    """A stream that counts what is read and remembers the last bytes."""

    def __init__(self, stream: "_Readable") -> None:
        self._stream = stream
        self.position = 0
        self.tail = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        size = self._stream.readinto(view) or 0
        self.position += size
        self.tail = (self.tail + view[max(0, size - len(_BGZF_END)) : size].tobytes())[
            -len(_BGZF_END) :
        ]
        return size


class Source:
    """An input file, opened and recognised; its lines come with their line ends.

    Attributes:
      name: what messages call it.
      size: bytes on disk, or None for a stream.

    Raises:
      InputFileError: missing, a folder, not readable, empty, or a BGZF file without its end.
    """

    def __init__(self, path: str) -> None:
        """Open a path, `-` for standard input, and look at its first bytes."""
        self.name = "standard input" if path == STANDARD else path
        self.size: int | None = None
        stdin = cast(_Readable, sys.stdin.buffer)
        self._stream = stdin if path == STANDARD else self._open(path)
        try:
            self._meter = _Meter(self._stream)
            self._text, self._is_bgzf = self._recognise()
            if self._is_bgzf and self.size is not None:
                self._refuse_without_end(path)
        except BaseException:
            self.close()
            raise

    def _recognise(self) -> tuple[BinaryIO, bool]:
        """Lines of the text, and whether they are packed as BGZF."""
        raw = io.BufferedReader(cast(io.RawIOBase, self._meter), _BUFFER)
        head = raw.peek(18)[:18]
        if not head:
            raise InputFileError(f"{self.name} is empty; a VCF has at least a #CHROM line")
        if not head.startswith(_GZIP_MAGIC):
            return raw, False
        is_bgzf = head[3:4] == b"\x04" and head[12:14] == b"BC"
        # No second buffer around it: one would lose what it had read when the data end early.
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb")), is_bgzf

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._stream is not sys.stdin.buffer:
            self._stream.close()

    def __enter__(self) -> Self:
        """Return itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def _open(self, path: str) -> io.FileIO:
        try:
            stream = io.FileIO(path)
        except IsADirectoryError:
            raise InputFileError(f"{path} is a folder; give a VCF file") from None
        except FileNotFoundError:
            raise InputFileError(f"{path}: no such file; check the name") from None
        except OSError as error:
            raise InputFileError(f"{path} cannot be read: {error.strerror}") from error
        if Path(path).is_file():
            self.size = os.fstat(stream.fileno()).st_size
        return stream

    def _refuse_without_end(self, path: str) -> None:
        # Known before the work starts: nobody should learn of it after a night.
        with Path(path).open("rb") as stream:
            stream.seek(-min(len(_BGZF_END), self.size or 0), os.SEEK_END)
            if stream.read() != _BGZF_END:
                raise self._truncated("has no BGZF end-of-file block")

    def _truncated(self, what: str) -> InputFileError:
        return InputFileError(
            f"{self.name} {what}: it is truncated; copy it again, or if it is known to be complete,"
            " repack it (gzip -dc | bgzip)"
        )

    @property
    def position(self) -> int:
        """Bytes read from disk so far."""
        return self._meter.position

    def __iter__(self) -> Iterator[bytes]:
        """Yield each line, its line end included.

        Raises:
          InputFileError: the compressed data ends early or is corrupt, or a line has no end.
        """
        number = 0
        try:
            while line := self._text.readline(_MAX_LINE):
                number += 1
                if len(line) == _MAX_LINE and not line.endswith(b"\n"):
                    raise InputFileError(
                        f"{self.name}: line {number} is longer than {_MAX_LINE} bytes; not a VCF"
                    )
                yield line
        except EOFError:
            raise self._truncated(
                f"ends in the middle of a gzip block after line {number}"
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InputFileError(
                f"{self.name}: corrupt gzip data after line {number} ({error}); copy it again"
            ) from error
        except OSError as error:
            raise InputFileError(f"{self.name} cannot be read: {error.strerror}") from error
        if self._is_bgzf and self._meter.tail != _BGZF_END:
            raise self._truncated("has no BGZF end-of-file block")
