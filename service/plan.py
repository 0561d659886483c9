"""An input -> the plan of a run: its shards, and all that decides the bytes of the output.

A work folder holds `plan.json`, `spool.vcf.gz` where the input has no offsets, and `shards/`.
"""

import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

from service.contigs import check_contigs, contig_lengths, contig_of
from service.durable import sync_folder, write_file
from service.errors import InputFileError, ValidationError
from service.folder import PLAN, SHARDS, SPOOL, Frozen, OtherRunError, work_folder
from service.identity import Identity, Stamp
from service.job import SHARD_BYTES, Job
from service.offsets import opened, survey
from service.records import Header, check_last_line, read_header
from service.scoring import Scorer
from service.source import MAX_LINE, Packing, Source
from service.spool import other_run, spool

PLAN_VERSION = 1


class Shard(Frozen):
    """A run of whole lines.

    Attributes:
      index: 0-based.
      start: offset of its first byte in the unpacked text.
      end: offset after its last byte.
      at: where to begin to read: the same offset in a plain file, a BGZF virtual offset.
    """

    index: int
    start: int
    end: int
    at: int

    @property
    def n_bytes(self) -> int:
        """Bytes of its text."""
        return self.end - self.start


class Plan(Frozen):
    """What is to be done, the same for all workers; `plan.json` in the work folder.

    Attributes:
      version: of this layout.
      name: what messages call the input.
      text: what workers read: the input, or the spool.
      is_bgzf: whether that is BGZF, not plain text.
      header_end: offset of the first record in the unpacked text.
      n_header_lines: lines before it.
      reference: the FASTA.
      contigs: bases of its contigs, those of known length.
      identity: what decides the bytes of the output.
      fingerprint: of the identity.
      job: what was asked.
      output: absolute path of the output.
      shards: all of them, in order.
    """

    version: int = PLAN_VERSION
    name: str
    text: Stamp
    is_bgzf: bool
    header_end: int
    n_header_lines: int
    reference: Stamp
    contigs: dict[str, int]
    identity: Identity
    fingerprint: str
    job: Job
    output: Path
    shards: tuple[Shard, ...]

    @property
    def provenance(self) -> dict[str, Any]:
        """What makes the scores."""
        return self.identity.provenance

    def header_text(self) -> bytes:
        """Return the text before the first record.

        Raises:
          InputFileError: the input cannot be read.
        """
        with opened(self.text.path, self.name, is_bgzf=self.is_bgzf) as text:
            return text.read(self.header_end)

    def lines(self, shard: Shard) -> Iterator[bytes]:
        """Yield the lines of a shard with their ends.

        Raises:
          InputFileError: the text ends early, or a block of it is corrupt.
        """
        with opened(self.text.path, self.name, shard.at, is_bgzf=self.is_bgzf) as text:
            left = shard.n_bytes
            while left:
                line = text.readline(min(left, MAX_LINE))
                left -= len(line)
                if not line.endswith(b"\n") and (left or not line):
                    raise InputFileError(
                        f"{self.name}: a line in bytes {shard.start} to {shard.end} of its text is"
                        f" longer than {MAX_LINE} bytes, or the file has become shorter"
                    )
                yield line


def make_plan(
    vcf: str,
    output: Path,
    job: Job,
    scorer: Scorer,
    *,
    folder: Path,
    shard_bytes: int = SHARD_BYTES,
) -> Plan:
    """Plan a run, or the rest of one that was begun in the same folder.

    The shards depend on the text alone, not on how it is packed: one begins with the first line
    that starts at or after a multiple of `shard_bytes`, counted from the first record.

    Args:
      vcf: path of the input, `-` for standard input.
      output: the file that the run will write.
      job: what is asked.
      scorer: the job's, opened.
      folder: of the run; the caller holds its lock.
      shard_bytes: bytes of text in a shard.

    Raises:
      DecodingError: the input is no VCF.
      InputFileError: the input is truncated, or its contigs are not the reference's.
      OtherRunError: the folder holds a run that would give another output.
    """
    folder = folder.absolute()
    earlier = begun(folder)
    reference = scorer.reference
    if reference is None:
        raise ValidationError("variants need a reference FASTA; give --reference")
    with Source(vcf) as source:
        name, input_reader = source.name, source.reader
        path, input_sha256 = Path(vcf).absolute(), None
        if source.size is None or not source.packing.has_offsets:
            expected = earlier.identity.input_sha256 if earlier else None
            path, input_sha256 = folder / SPOOL, spool(source, folder, expected=expected)
    with Source(str(path), name) as source:
        header, header_end, contig = _read_start(source)
        is_bgzf = source.packing is Packing.BGZF
    if job.mismatch_share < 1:
        check_contigs(header, reference, name)
    found = survey(path, name, is_bgzf=is_bgzf, first=header_end, step=shard_bytes)
    text = Stamp(
        path=path, sha256=found.sha256, size=found.stat.st_size, mtime_ns=found.stat.st_mtime_ns
    )
    ends = (*(start for start, _ in found.starts[1:]), found.n_text)
    identity = Identity.of(
        scorer,
        job,
        input_sha256=input_sha256 or text.sha256,
        input_reader=input_reader,
        shard_bytes=shard_bytes,
    )
    if earlier is not None and earlier.identity != identity:
        raise other_run(folder, earlier.identity.differences(identity))
    plan = Plan(
        name=name,
        text=text,
        is_bgzf=is_bgzf,
        header_end=header_end,
        n_header_lines=header.n_lines,
        reference=Stamp.of(job.reference.absolute(), reference.sha256),
        contigs=contig_lengths(reference, like=contig),
        identity=identity,
        fingerprint=identity.fingerprint,
        job=job,
        output=output.absolute(),
        shards=tuple(
            Shard(index=index, start=start, end=end, at=at)
            for index, ((start, at), end) in enumerate(zip(found.starts, ends, strict=False))
        ),
    )
    if not found.has_last_end and plan.shards:
        _check_last_line(plan, header)
    if earlier is None:  # shards of what is no run: left behind when a folder was removed
        shutil.rmtree(folder / SHARDS, ignore_errors=True)
    (folder / SHARDS).mkdir(exist_ok=True)
    write_file(folder / PLAN, plan.model_dump_json(indent=1).encode())
    sync_folder(folder)
    return plan


def begun(folder: Path) -> Plan | None:
    """Return the plan of a work folder, None where nothing was planned yet.

    Raises:
      ValidationError: as `load_plan`.
    """
    return load_plan(folder) if (folder / PLAN).exists() else None


def load_plan(folder: Path) -> Plan:
    """Read the plan of a work folder.

    Raises:
      ValidationError: there is none.
      OtherRunError: it is of another version, or its folder was moved, so that its output might be
        a file of something else by now.
    """
    path = folder / PLAN
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValidationError(
            f"{path} cannot be read: {error.strerror}; give the work folder of a run that was"
            " planned, OUT.varsigma"
        ) from error
    try:
        plan = Plan.model_validate_json(content)
    except pydantic.ValidationError as error:
        raise _foreign(path) from error
    if plan.version != PLAN_VERSION or plan.fingerprint != plan.identity.fingerprint:
        raise _foreign(path)
    if work_folder(plan.output).resolve() != folder.resolve():
        raise OtherRunError(
            f"{folder} was moved: its run writes {plan.output}; move it back to"
            f" {work_folder(plan.output)}, or plan again"
        )
    return plan


def _read_start(source: Source) -> tuple[Header, int, str | None]:
    """Return the header, the offset after it, and the contig of the first record."""
    n_bytes = 0

    def counted() -> Iterator[bytes]:
        nonlocal n_bytes
        for line in source:
            n_bytes += len(line)
            yield line

    lines = counted()
    header = read_header(lines, source.name)
    header_end = n_bytes
    return header, header_end, contig_of(next(lines, b""))


def _check_last_line(plan: Plan, header: Header) -> None:
    """Refuse an input whose last line, which has no line end, is cut off."""
    [last] = deque(plan.lines(plan.shards[-1]), maxlen=1)
    check_last_line(last, None, header, plan.name)


def _foreign(path: Path) -> OtherRunError:
    return OtherRunError(
        f"{path} is damaged, or of another version of varsigma: finish that run with the version"
        f" that began it, or delete {path.parent} to begin anew"
    )
