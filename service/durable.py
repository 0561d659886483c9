"""Bytes -> a file on disk that is there whole or not at all, also after a power cut."""

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from service.errors import InputFileError, ServiceError

TEMPORARY: Final = ".tmp"
"""How the names of files end that are not whole yet."""

_BUFFER = 1 << 20


class NewFile:
    """A file that gets its name, in place of an older one, when its block is left without error.

    Attributes:
      path: the name that it will have.
      n_bytes: written so far.

    Raises:
      ServiceError: it cannot be written; the disk is full, say.
    """

    def __init__(self, path: Path) -> None:
        """Create the file under a temporary name that no other process has, on any machine."""
        self.path = path
        self.n_bytes = 0
        self._temporary = path.with_name(f"{path.name}.{uuid4().hex}{TEMPORARY}")
        self._digest = hashlib.sha256()
        try:
            self._stream = self._temporary.open("xb", _BUFFER)
        except OSError as error:
            raise _unwritable(path, error) from error

    def write(self, data: bytes) -> None:
        """Append bytes."""
        try:
            self._stream.write(data)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._digest.update(data)
        self.n_bytes += len(data)

    @property
    def sha256(self) -> str:
        """Digest of what was written so far."""
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Name the file if all went well, else remove it."""
        try:
            if error is None:
                self._stream.flush()
                os.fsync(self._stream.fileno())
                self._stream.close()
                self._temporary.replace(self.path)
        except OSError as failure:
            raise _unwritable(self.path, failure) from failure
        finally:
            self._remove()

    def _remove(self) -> None:
        with suppress(OSError):  # what could not be written once cannot be flushed now
            self._stream.close()
        self._temporary.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Put content into a file's place; `sync_folder` makes the name as durable as the bytes.

    Raises:
      ServiceError: it cannot be written.
    """
    with NewFile(path) as file:
        file.write(content)


def file_sha256(path: Path) -> str:
    """Return the digest of a file's bytes.

    Raises:
      InputFileError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}") from error


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable that something else wrote."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems do this by themselves and refuse to be told.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> ServiceError:
    reason = error.strerror or str(error)
    return ServiceError(
        f"{path} cannot be written: {reason}; put that right and run the same command again"
    )
