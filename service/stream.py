"""Lines -> scores in one pass, for a pipe, a device or standard output."""

import os
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Self, TypeAlias

from service.bgzf import END, Packer
from service.contigs import check_contigs, contig_lengths, contig_of
from service.durable import NewFile
from service.encoders import encoder_for
from service.errors import ValidationError
from service.output import OutputFormat
from service.records import VcfReader
from service.rejects import RejectsEncoder
from service.scoring import Scorer, Scores
from service.source import STANDARD, Source
from service.stages import Chunk, chunks, scored
from service.summary import Summary
from service.tally import Tally, check_assembly

# Called with what is done, in bytes and ALTs, and with all bytes, None where that is not known.
OnProgress: TypeAlias = Callable[[int, int, int | None], None]

_PIECE = 1 << 20
_STDOUT = 1  # file descriptor


def ignore(position: int, n_alts: int, size: int | None) -> None:
    """Show no progress."""


def is_standard_output(path: str) -> bool:
    """Say whether an output is standard output, under whatever name, /dev/stdout for one."""
    if path == STANDARD:
        return True
    try:
        return os.path.samestat(Path(path).stat(), os.fstat(_STDOUT))
    except OSError:  # there is no such file, or standard output is closed
        return False


class Output:
    """Where one pass writes: standard output, a pipe or a device. Use as a context manager.

    What is written in BGZF ends with its end block only where nothing failed, so that a reader
    knows.

    Raises:
      ValidationError: it cannot be written.
    """

    def __init__(self, path: str, *, is_compressed: bool) -> None:
        """Open it."""
        self._packer = Packer() if is_compressed else None
        if is_standard_output(path):
            if sys.stdout is None:
                raise ValidationError("standard output is closed; give --output a file")
            # Under PYTHONUNBUFFERED sys.stdout.buffer has no buffer, and nobody would notice a
            # short write.
            self._stream: BinaryIO = os.fdopen(sys.stdout.fileno(), "wb", _PIECE, closefd=False)
            return
        try:
            self._stream = Path(path).open("wb", _PIECE)  # noqa: SIM115  (closed by the context)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ValidationError(f"--output {path} cannot be written: {reason}") from error

    def write(self, data: bytes) -> None:
        """Append bytes, and hand them on: somebody may be reading along."""
        self._stream.write(self._packer.add(data) if self._packer else data)
        self._stream.flush()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Hand on what is left."""
        try:
            self._finish(is_whole=error is None)
        except OSError:
            if error is None:  # else it would hide the first failure
                raise

    def _finish(self, *, is_whole: bool) -> None:
        try:
            if self._packer:
                self._stream.write(self._packer.finish() + (END if is_whole else b""))
        finally:
            self._stream.close()


def score_stream(
    source: Source,
    output: Output,
    scorer: Scorer,
    *,
    style: OutputFormat,
    rejects: Path | None = None,
    mismatch_share: float = 1.0,
    on_progress: OnProgress = ignore,
) -> Summary:
    """Score every ALT of a VCF in one pass and in flat memory; nothing of it can be resumed.

    Args:
      source: the VCF.
      output: where the scores go, entered by the caller.
      scorer: model, reference and options.
      style: any format but Parquet.
      rejects: file for the ALTs that were not scored.
      mismatch_share: share of REF mismatches at which the assembly is taken to be wrong; 1 never.
      on_progress: called first with zeros, then after each chunk.

    Raises:
      DecodingError: the input is no VCF.
      InputFileError: it is truncated, or of another assembly by its header.
      WrongAssemblyError: by its REFs.
    """
    started = time.perf_counter()
    reference = scorer.reference
    if reference is None:
        raise ValidationError("variants need a reference FASTA")
    provenance = scorer.provenance()
    reader = VcfReader(source, source.name)
    if mismatch_share < 1:
        check_contigs(reader.header, reference, source.name)
    encoder, tally = encoder_for(style, provenance), Tally()
    lines_left = iter(reader)
    first = next(lines_left, None)
    like = contig_of(first.line) if first else None
    output.write(encoder.header(reader.header, contig_lengths(reference, like=like)))
    on_progress(source.position, 0, source.size)
    with _Rejects(rejects) as rejected:
        all_lines = chain([first] if first else [], lines_left)
        for lines, scores in scored(chunks(all_lines), scorer):
            tally.add_chunk(lines, scores)
            output.write(encoder.lines(lines, scores))
            rejected.add(lines, scores)
            check_assembly(tally, mismatch_share)
            on_progress(source.position, tally.n_alts, source.size)
        rejected.finish(tally)
    return Summary(
        provenance=provenance,
        tally=tally,
        is_rescored=reader.header.is_rescored,
        seconds=time.perf_counter() - started,
    )


class _Rejects:
    """The report of one pass: its counts come first, so the rows wait in a temporary file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._encoder = RejectsEncoder()
        self._rows = TemporaryFile()  # noqa: SIM115  (closed by the context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def add(self, lines: Chunk, scores: Scores) -> None:
        """Take a chunk."""
        if self._path is not None:
            self._rows.write(self._encoder.lines(lines, scores))

    def finish(self, tally: Tally) -> None:
        """Write the file."""
        if self._path is None:
            return
        self._rows.seek(0)
        with NewFile(self._path) as file:
            file.write(self._encoder.header(tally))
            while piece := self._rows.read(_PIECE):
                file.write(piece)
