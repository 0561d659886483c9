"""An input file -> its lines, from plain text, gzip, bgzip or BCF; `-` is standard input."""

import gzip
import io
import os
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self, cast

import pysam
from pysam.version import __htslib_version__

from service.bgzf import END, MAGIC, is_bgzf
from service.errors import InputFileError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STANDARD = "-"

_BCF_MAGIC = b"BCF\x02"
_BUFFER = 1 << 20
# Of a thread that waits for input, once there is an error that must not wait.
_PATIENCE_SECONDS = 1.0
# A line of 100,000 samples has a few MB; more than this is no text file.
MAX_LINE = 1 << 28


class Packing(Enum):
    """How the text of an input is stored; any of them may be a file or a stream."""

    PLAIN = "plain text"
    GZIP = "gzip"
    BGZF = "BGZF"
    BCF = "BCF"

    @property
    def has_offsets(self) -> bool:
        """Whether reading a file of this kind can begin in its middle."""
        return self in {Packing.PLAIN, Packing.BGZF}


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
        self.tail = (self.tail + view[max(0, size - len(END)) : size].tobytes())[-len(END) :]
        return size


class Source:
    """An input file, opened and recognised; its lines come with their line ends.

    Attributes:
      name: what messages call it.
      size: bytes on disk, or None for a stream.
      packing: what its first bytes say.

    Raises:
      InputFileError: missing, a folder, not readable, empty, or a BGZF file without its end.
    """

    def __init__(self, path: str, name: str | None = None) -> None:
        """Open a path, `-` for standard input, and look at its first bytes.

        `name` is what messages call it, by default the path.
        """
        self.name = name or ("standard input" if path == STANDARD else path)
        self.size: int | None = None
        self._number = 0
        self._is_ours = path != STANDARD
        self._stream = self._open(path) if self._is_ours else _standard_input()
        try:
            self._meter = _Meter(self._stream)
            self._raw = io.BufferedReader(cast(io.RawIOBase, self._meter), _BUFFER)
            self.packing, self._has_end_block = self._recognise()
            if self._has_end_block and self.size is not None:
                self._refuse_without_end(path)
        except BaseException:
            self.close()
            raise

    def _recognise(self) -> tuple[Packing, bool]:
        """How the text is packed, and whether the last bytes must be the end block of BGZF."""
        head = self._raw.peek(18)
        if not head:
            raise InputFileError(f"{self.name} is empty; a VCF has at least a #CHROM line")
        if head.startswith(_BCF_MAGIC):
            return Packing.BCF, False
        if not head.startswith(MAGIC):
            return Packing.PLAIN, False
        with suppress(zlib.error):
            inside = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, len(_BCF_MAGIC))
            if inside == _BCF_MAGIC:
                return Packing.BCF, is_bgzf(head[:18])
        return (Packing.BGZF, True) if is_bgzf(head[:18]) else (Packing.GZIP, False)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._is_ours:
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
            stream.seek(-min(len(END), self.size or 0), os.SEEK_END)
            if stream.read() != END:
                raise self._truncated("has no BGZF end-of-file block")

    def _truncated(self, what: str) -> InputFileError:
        remedy = (
            "repack it (bcftools view)"
            if self.packing is Packing.BCF
            else "repack it (gzip -dc | bgzip)"
        )
        return InputFileError(
            f"{self.name} {what}: it is truncated; copy it again, or if it is known to be complete,"
            f" {remedy}"
        )

    @property
    def reader(self) -> str | None:
        """The library, with its version, that decides what text a BCF becomes; else None."""
        return f"htslib {__htslib_version__}" if self.packing is Packing.BCF else None

    @property
    def position(self) -> int:
        """Bytes read from disk so far."""
        return self._meter.position

    def __iter__(self) -> Iterator[bytes]:
        """Yield each line, its line end included.

        Raises:
          InputFileError: the data end early or are corrupt, or a line has no end.
        """
        with self._explained():
            lines = self._records() if self.packing is Packing.BCF else self._lines()
            for line in lines:
                self._number += 1
                yield line
        if self._has_end_block and self._meter.tail != END:
            raise self._truncated("has no BGZF end-of-file block")

    def _lines(self) -> Iterator[bytes]:
        text: BinaryIO = self._raw
        if self.packing is not Packing.PLAIN:
            # No second buffer around it: one would lose what it had read when the data end early.
            text = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw, mode="rb"))
        while line := text.readline(MAX_LINE):
            if len(line) == MAX_LINE and not line.endswith(b"\n"):
                raise InputFileError(
                    f"{self.name}: line {self._number + 1} is longer than {MAX_LINE} bytes; not a"
                    " VCF"
                )
            yield line

    def _records(self) -> Iterator[bytes]:
        """Lines of a BCF as htslib prints them, the header first."""
        with _piped(self._raw) as pipe, quiet_htslib():
            try:
                with pysam.VariantFile(pipe) as records:
                    yield from str(records.header).encode().splitlines(keepends=True)
                    for record in records:
                        yield str(record).encode()
            # A TypeError is what pysam runs into when it wants to name an input that has no name.
            except (ValueError, OSError, TypeError) as error:
                raise InputFileError(
                    f"{self.name}: damaged or truncated BCF after line {self._number}; copy it"
                    " again"
                ) from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of what goes wrong in reading where that was and what to do."""
        try:
            yield
        except EOFError:
            raise self._truncated(
                f"ends in the middle of a gzip block after line {self._number}"
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InputFileError(
                f"{self.name}: corrupt gzip data after line {self._number} ({error}); copy it again"
            ) from error
        except OSError as error:
            raise InputFileError(f"{self.name} cannot be read: {error.strerror}") from error


@contextmanager
def _piped(raw: "io.BufferedReader[io.RawIOBase]") -> Iterator[BinaryIO]:
    """Give the rest of a stream a file descriptor, which is what htslib reads from.

    Raises:
      OSError: the stream could not be read.
    """
    reading, writing = os.pipe()
    problems: list[OSError] = []

    def feed() -> None:
        try:
            with open(writing, "wb", buffering=0) as pipe:  # noqa: PTH123  (a descriptor)
                while piece := raw.read1(_BUFFER):
                    view = memoryview(piece)
                    while view:
                        view = view[pipe.write(view) :]
        except BrokenPipeError:
            pass
        except OSError as error:
            problems.append(error)

    thread = threading.Thread(target=feed, name="bcf", daemon=True)
    thread.start()
    try:
        with open(reading, "rb", buffering=0) as pipe:  # noqa: PTH123  (a descriptor)
            yield cast(BinaryIO, pipe)
    except BaseException:
        thread.join(_PATIENCE_SECONDS)  # more input may never come
        raise
    thread.join()
    if problems:
        raise problems[0]


@contextmanager
def quiet_htslib() -> Iterator[None]:
    """Keep htslib's own words from the terminal: every failure is one line of ours."""
    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)


def _standard_input() -> _Readable:
    if sys.stdin is None:
        raise InputFileError("standard input is closed; give the name of a VCF")
    # Below its buffer, which would be locked at the end of the process by a read that waits.
    return cast(_Readable, getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))
