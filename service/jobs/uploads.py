"""Bytes that arrive -> a file on disk with its digest, or nothing at all; and what it may hold."""

import errno
import gzip
import hashlib
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

from service.bgzf import MAGIC
from service.errors import DecodingError, DiskFullError, InputFileError, ServiceError
from service.jobs.folder import INPUT
from service.jobs.locks import PRIVATE, take
from service.records import read_header
from service.source import MAX_LINE, Packing, Source

NAME = "the upload"
"""What messages call the file; its own name is never used, nor asked for."""

# What is looked at before a job is made of it; whole headers are a few kB.
_HEAD_BYTES = 1 << 16
_TEXT_BYTES = 1 << 20
_PIECE = 1 << 20
_TRIES = 3
# Of one record of a BCF: its text may be five times as long, and is in memory several times. One of
# 100,000 samples has a few MB.
_RECORD_BYTES = MAX_LINE // 4
_BCF_MAGIC = b"BCF\2\2"
# Bytes about the variant, bytes about its samples; in the first, at 20, fields and samples.
_RECORD = struct.Struct("<II20xI")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_full(error: BaseException | None) -> bool:
    """Say whether an error, or what it came from, is a disk, a quota or a file that is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__
    return False


class Upload:
    """A file that is arriving, in a folder that becomes the job's. Use as a context manager.

    Attributes:
      folder: of random name; gone at the end of the block, unless it was moved away.
      n_bytes: written so far.

    Raises:
      DiskFullError: there is no space.
    """

    def __init__(self, parent: Path) -> None:
        """Make the folder and the file, and hold a lock that says that somebody writes it."""
        self.n_bytes = 0
        # A request that is given up closes its file while a thread may be at work on it.
        self._lock = threading.Lock()
        self._is_closed = False
        self._digest = hashlib.sha256()
        for left in reversed(range(_TRIES)):
            self.folder = parent / token_hex(16)
            try:
                self.folder.mkdir(0o700)
                self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
            except FileNotFoundError:  # swept away between the two
                if not left:
                    raise
                continue
            except OSError as error:
                shutil.rmtree(self.folder, ignore_errors=True)
                raise _unwritable(error) from error
            if take(self._handle):
                return
            os.close(self._handle)  # being swept away
        raise ServiceError("the upload cannot be stored; try again")

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / INPUT

    @property
    def sha256(self) -> str:
        """Digest of what was written so far."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
          DiskFullError: there is no space for them.
        """
        view = memoryview(data)
        with self.busy(), stored():
            while view:
                view = view[os.write(self._handle, view) :]
        self._digest.update(data)
        self.n_bytes += len(data)

    def sync(self) -> None:
        """Make the bytes durable.

        Raises:
          DiskFullError: there is no space for them.
        """
        with self.busy(), stored():
            os.fsync(self._handle)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keep it from being closed during a block.

        Raises:
          ServiceError: it is closed.
        """
        with self._lock:
            if self._is_closed:
                raise ServiceError("the upload was given up")
            yield

    def close(self) -> None:
        """Remove what is left of it."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                shutil.rmtree(self.folder, ignore_errors=True)
                os.close(self._handle)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what is left of it."""
        self.close()


def sweep(parent: Path, *, is_old: float) -> None:
    """Remove uploads that nobody writes any more.

    Args:
      parent: where they lie.
      is_old: seconds since the epoch; an older folder without a file in it is litter.
    """
    for folder in list(parent.iterdir()):
        with suppress(FileNotFoundError):
            try:
                handle = os.open(folder / INPUT, os.O_RDWR)
            except FileNotFoundError:
                if folder.stat().st_mtime < is_old:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                if take(handle):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def check_head(path: Path) -> None:
    """Refuse at once what is no VCF; the rest of it is looked at when the job runs.

    At most `_TEXT_BYTES` are unpacked, whatever the file holds.

    Raises:
      DecodingError: it is no VCF.
      InputFileError: it is empty, or truncated.
    """
    with Source(str(path), NAME) as source:
        packing = source.packing
    if packing is Packing.BCF:
        return
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    text = _unpacked(head) if head.startswith(MAGIC) else head
    lines = text.splitlines(keepends=True)
    is_longer = path.stat().st_size > len(head) or len(text) >= _TEXT_BYTES
    has_columns = any(line.startswith(b"#CHROM") for line in lines)
    if lines and is_longer and not has_columns and all(line.startswith(b"#") for line in lines):
        return  # a header beyond what is looked at
    try:
        read_header(lines, NAME)
    except DecodingError as error:
        raise DecodingError(f"{error.message}{_what_it_is(text)}") from None


def _what_it_is(text: bytes) -> str:
    """Say what was sent in place of a VCF, where its beginning shows it, and what to do."""
    remedy = "send the file itself as the body: curl --data-binary @FILE"
    start = text.lstrip()[:1]
    if text.startswith(b"--") and b"content-disposition:" in text.lower():
        return f"; it is a form (multipart, curl -F): {remedy}"
    if text.startswith(b"##fileformat=VCF") and b"#CHROM" in text:
        return f"; it has lost its line ends (curl -d): {remedy}"
    if start in {b"{", b"["}:
        return f"; it looks like JSON: {remedy}"
    if start == b"<":
        return f"; it looks like HTML or XML: {remedy}"
    return ""


def _unpacked(head: bytes) -> bytes:
    """The text in the first bytes of a gzip file, of one or many members."""
    text = b""
    try:
        while head and len(text) < _TEXT_BYTES:
            unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
            text += unpacker.decompress(head, _TEXT_BYTES - len(text))
            head = unpacker.unused_data
    except zlib.error as error:
        if not text:
            raise InputFileError(f"{NAME}: corrupt gzip data ({error}); copy it again") from error
    return text


def check_unpacked(path: Path, limit: int) -> None:
    """Refuse a file whose text would be longer than a limit; nothing is written meanwhile.

    Raises:
      InputFileError: it is longer, or cannot be unpacked, or a record of a BCF is too long.
    """
    with Source(str(path), NAME) as source:
        packing = source.packing
        n_bytes = source.size or 0
        if packing is Packing.BCF:
            _check_bcf(path)
            n_bytes = _sum(map(len, source), limit)
    if packing in {Packing.GZIP, Packing.BGZF}:
        n_bytes = _gzip_bytes(path, limit)
    if n_bytes > limit:
        raise InputFileError(
            f"{NAME} unpacks to more than {limit} bytes; split it", detail={"limit": limit}
        )


def _check_bcf(path: Path) -> None:
    """Refuse a BCF before htslib sees it, if a record of it would become an endless line.

    Raises:
      InputFileError: the header or a record is too long, or the file is corrupt.
    """
    with path.open("rb") as file:
        is_packed = file.read(len(MAGIC)) == MAGIC
    try:
        with gzip.open(path) if is_packed else path.open("rb") as file:
            file.read(len(_BCF_MAGIC))
            n_bytes, n_values = int.from_bytes(file.read(4), "little"), 0
            while n_bytes + n_values <= _RECORD_BYTES:
                for at in range(0, n_bytes, _PIECE):
                    file.read(min(_PIECE, n_bytes - at))
                head = file.read(_RECORD.size)
                if len(head) < _RECORD.size:
                    return  # its end, or the reader will say where it is cut off
                n_shared, n_samples, fields = _RECORD.unpack(head)
                n_bytes = n_shared + n_samples - (_RECORD.size - 8)
                # A sample without a value has its dot in the text, and no byte here.
                n_values = (fields >> 24) * (fields & 0xFFFFFF)
    except EOFError:
        return
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _corrupt(error) from error
    raise InputFileError(
        f"{NAME}: the header or a record is longer than {_RECORD_BYTES} bytes; is it damaged?",
        detail={"limit": _RECORD_BYTES},
    )


def _corrupt(error: Exception) -> InputFileError:
    return InputFileError(f"{NAME}: corrupt gzip data ({error}); copy it again")


def _sum(sizes: Iterable[int], limit: int) -> int:
    total = 0
    for size in sizes:
        total += size
        if total > limit:
            break
    return total


def _gzip_bytes(path: Path, limit: int) -> int:
    try:
        with gzip.open(path) as file:
            return _sum(iter(lambda: len(file.read(_PIECE)), 0), limit)
    except EOFError:
        return 0  # truncated: the scorer says so, and where
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _corrupt(error) from error


@contextmanager
def stored() -> Iterator[None]:
    """Say of what cannot be written why, without naming it.

    Raises:
      DiskFullError: there is no space.
      ServiceError: it fails otherwise.
    """
    try:
        yield
    except OSError as error:
        raise _unwritable(error) from error
    except ServiceError as error:
        if isinstance(error.__cause__, OSError):
            raise _unwritable(error.__cause__) from error
        raise


def _unwritable(error: OSError) -> ServiceError:
    if is_full(error):
        return DiskFullError(
            "there is no space for the upload; try again later, or ask who runs it"
        )
    return ServiceError("the upload cannot be stored; ask who runs the service")
