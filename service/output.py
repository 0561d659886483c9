"""Bytes -> a file that appears whole or not at all; `-` is standard output."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pysam

from service.errors import ValidationError
from service.source import STANDARD

_BUFFER = 1 << 20


class OutputFormat(StrEnum):
    """How scores are written; `.gz` is BGZF, so that tabix can index it."""

    VCF = "vcf"
    VCF_GZ = "vcf.gz"
    TSV = "tsv"
    TSV_GZ = "tsv.gz"

    @property
    def is_compressed(self) -> bool:
        """Whether the bytes are BGZF."""
        return self.value.endswith(".gz")

    @property
    def is_table(self) -> bool:
        """Whether it is a TSV."""
        return self.value.startswith("tsv")


def output_format(path: str, stated: str | None = None) -> OutputFormat:
    """Return the stated format, or the one that the name of the output asks for.

    Raises:
      ValidationError: neither says which.

    >>> output_format("cohort.vcf.bgz").value
    'vcf.gz'
    """
    if stated is None and path == STANDARD:
        return OutputFormat.VCF
    known = [member.value for member in OutputFormat]
    name = stated or Path(path).name.lower().replace(".bgz", ".gz")
    for value in sorted(known, key=len, reverse=True):
        if name == value or (stated is None and name.endswith(f".{value}")):
            return OutputFormat(value)
    asked = f"--format {stated}" if stated else f"--output {path}"
    raise ValidationError(
        f"{asked}: the format is unknown; end the name in .{', .'.join(known)}, or say --format"
    )


class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class Output:
    """Where scores go. A file is written beside its name, as PATH.partial, and renamed when whole.

    A device, a pipe or standard output is written directly. Use as a context manager: leaving it
    by an exception keeps PATH.partial and notes that on the exception.

    Raises:
      ValidationError: PATH is a folder, cannot be written, or is one of `inputs`.
    """

    def __init__(self, path: str, *, is_compressed: bool, inputs: tuple[str, ...] = ()) -> None:
        """Create PATH.partial, or open what is no regular file."""
        self.name = "standard output" if path == STANDARD else path
        self._path = None if path == STANDARD else Path(path).resolve()
        if self._path and self._path.is_dir():
            raise ValidationError(f"--output {path} is a folder; give a file name")
        is_direct = self._path is None or (self._path.exists() and not self._path.is_file())
        self.partial = (
            None
            if is_direct or not self._path
            else self._path.with_name(f"{self._path.name}.partial")
        )
        for taken in inputs:
            for ours in (self._path, self.partial):
                if ours and ours.exists() and taken != STANDARD and _is_same(ours, taken):
                    raise ValidationError(
                        f"--output {path} would overwrite the input {taken}; give another name"
                    )
        target = str(self.partial or self._path or STANDARD)
        try:
            self._stream = self._create(target, is_compressed=is_compressed)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ValidationError(f"--output {path} cannot be written: {reason}") from error
        self.n_written = 0

    @staticmethod
    def _create(target: str, *, is_compressed: bool) -> _Writable:
        if is_compressed:
            if target != STANDARD:
                Path(target).open("ab").close()  # pysam says less of why it cannot
            return pysam.BGZFile(target, "wb", None)
        return sys.stdout.buffer if target == STANDARD else Path(target).open("wb", _BUFFER)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._stream.write(data)
        self.n_written += len(data)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file: rename it if all went well, else keep what there is."""
        try:
            self._finish()
        except OSError:
            if error is None:
                raise
        if self.partial is None or self._path is None:
            return
        if error is None:
            with self.partial.open("rb") as written:
                os.fsync(written.fileno())
            self.partial.replace(self._path)
        elif self.n_written:
            error.add_note(f"what was computed is in {self.partial}")
        else:
            self.partial.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._stream is sys.stdout.buffer:
            self._stream.flush()
        else:
            self._stream.close()


def _is_same(ours: Path, taken: str) -> bool:
    return Path(taken).exists() and ours.samefile(taken)
