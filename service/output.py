"""Bytes -> a file that appears whole or not at all; `-` is standard output."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import pysam

from service.errors import InputFileError, ValidationError
from service.source import STANDARD

_BUFFER = 1 << 20
_TBI_END = 1 << 29  # https://samtools.github.io/hts-specs/tabix.pdf: 512 Mbp


class OutputFormat(StrEnum):
    """How scores are written; `.gz` is BGZF, so that tabix can index it."""

    VCF = "vcf"
    VCF_GZ = "vcf.gz"
    TSV = "tsv"
    TSV_GZ = "tsv.gz"
    PARQUET = "parquet"

    @property
    def is_compressed(self) -> bool:
        """Whether the bytes are BGZF."""
        return self.value.endswith(".gz")

    @property
    def is_table(self) -> bool:
        """Whether it has one row per ALT; Parquet is made from the rows of a TSV."""
        return not self.value.startswith("vcf")


def output_format(path: str, stated: str | None = None) -> OutputFormat:
    """Return the stated format, or the one that the name of the output asks for.

    Raises:
      ValidationError: neither says which, they contradict each other, or a Parquet file would go
        to standard output.

    >>> output_format("cohort.vcf.bgz").value
    'vcf.gz'
    """
    named = _named_format(path)
    known = [member.value for member in OutputFormat]
    if stated is not None and stated not in known:
        raise ValidationError(f"--format {stated} is unknown; choose {', '.join(known)}")
    if stated is not None and named is not None and named != stated:
        raise ValidationError(
            f"--output {path} is named as {named.value}, but --format says {stated}; change one"
        )
    if stated is not None:
        style = OutputFormat(stated)
    elif named is not None:
        style = named
    elif path == STANDARD:
        style = OutputFormat.VCF
    else:
        raise ValidationError(
            f"--output {path}: the format is unknown; end the name in .{', .'.join(known)}, or say"
            " --format"
        )
    if style is OutputFormat.PARQUET and path == STANDARD:
        raise ValidationError("Parquet cannot go to standard output; give --output a file name")
    return style


def _named_format(path: str) -> OutputFormat | None:
    """The format that the end of a name stands for, if it does for any."""
    name = Path(path).name.lower()
    if name.endswith(".bgz"):
        name = name.removesuffix(".bgz") + ".gz"
    return next((member for member in OutputFormat if name.endswith(f".{member.value}")), None)


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


def index(path: Path, kind: Literal["tbi", "csi"]) -> Path:
    """Index a bgzipped VCF by position and return the index, PATH.tbi or PATH.csi.

    Raises:
      InputFileError: the records are not sorted, one is malformed, or one lies beyond what a .tbi
        can hold.
    """
    target = Path(f"{path}.{kind}")
    verbosity = pysam.set_verbosity(0)  # htslib would write to standard error itself
    try:
        pysam.tabix_index(str(path), preset="vcf", force=True, csi=kind == "csi", index=str(target))
    except (OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        raise InputFileError(f"{path.name} cannot be indexed: {_obstacle(path)}") from error
    finally:
        pysam.set_verbosity(verbosity)
    return target


def _obstacle(path: Path) -> str:
    """What in a VCF keeps it from being indexed; read only after indexing failed."""
    seen: set[bytes] = set()
    contig, last = b"", 0
    with pysam.BGZFile(str(path), "rb", None) as lines:
        for number, line in enumerate(lines, 1):
            fields = line.split(b"\t", 2)
            if line.startswith(b"#"):
                continue
            if len(fields) < 3 or not fields[1].isdigit():
                return f"line {number} is malformed; mend it in the input, or leave --index out"
            pos = int(fields[1])
            if (fields[0] != contig and fields[0] in seen) or (fields[0] == contig and pos < last):
                return f"line {number} is not in order; sort the input: bcftools sort"
            if pos > _TBI_END:
                return f"line {number} lies beyond what a .tbi can hold; use --index csi"
            contig, last = fields[0], pos
            seen.add(contig)
    return "htslib could not write the index; is the disk full?"
