"""An input -> the plan of a run: its shards, and all that decides the bytes of the output.

A work folder holds `plan.json`, `spool.vcf.gz` where the input has no offsets, and `shards/`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import pydantic

from service.assemblies import LENGTHS, canonical_name
from service.durable import sync_folder, write_file
from service.errors import InputFileError, ValidationError
from service.identity import Frozen, Identity, Stamp
from service.job import Job
from service.offsets import opened, survey
from service.reference import Reference
from service.scoring import Scorer
from service.source import MAX_LINE, Packing, Source
from service.spool import SPOOL, other_run, spool
from service.vcf import Header, check_last_line, read_header

PLAN_VERSION = 1
# Two minutes of work for one core and models/dh7; a genome of five million variants has 250.
SHARD_BYTES = 4 << 20

_PLAN = "plan.json"
SHARDS = "shards"


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


def work_folder(output: Path) -> Path:
    """Return the folder of the unfinished run that writes an output."""
    return output.with_name(f"{output.name}.varsigma")


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a work folder, and make it where there is none.

    Raises:
      ValidationError: it cannot be made, or another process holds it.
    """
    try:
        folder.mkdir(exist_ok=True)
        held = filelock.FileLock(folder / "lock", timeout=0)
        held.acquire()
    except filelock.Timeout as error:
        raise ValidationError(
            f"another run is writing {folder.name.removesuffix('.varsigma')} (it holds {folder});"
            " wait for it or end it"
        ) from error
    except OSError as error:
        raise ValidationError(f"{folder} cannot be made or locked: {error.strerror}") from error
    try:
        yield
    finally:
        held.release()


def discard(folder: Path) -> None:
    """Remove a work folder.

    The plan goes first: a folder that is only half removed is then no unfinished run.
    """
    (folder / _PLAN).unlink(missing_ok=True)
    sync_folder(folder)
    shutil.rmtree(folder, ignore_errors=True)


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
      ValidationError: the folder holds a run that would give another output.
    """
    folder = folder.absolute()
    earlier = begun(folder)
    reference = scorer.reference
    if reference is None:
        raise ValidationError("variants need a reference FASTA; give --reference")
    with Source(vcf) as source:
        name = source.name
        path, input_sha256 = Path(vcf).absolute(), None
        if source.size is None or not source.packing.has_offsets:
            expected = earlier.identity.input_sha256 if earlier else None
            path, input_sha256 = folder / SPOOL, spool(source, folder, expected=expected)
    with Source(str(path)) as source:
        source.name = name
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
        scorer, job, input_sha256=input_sha256 or text.sha256, shard_bytes=shard_bytes
    )
    if earlier is not None and (differences := earlier.identity.differences(identity)):
        raise other_run(folder, differences)
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
    write_file(folder / _PLAN, plan.model_dump_json(indent=1).encode())
    sync_folder(folder)
    return plan


def begun(folder: Path) -> Plan | None:
    """Return the plan of a work folder, None where nothing was planned yet.

    Raises:
      ValidationError: it is of another version.
    """
    return load_plan(folder) if (folder / _PLAN).exists() else None


def load_plan(folder: Path) -> Plan:
    """Read the plan of a work folder.

    Raises:
      ValidationError: there is none, or one of another version.
    """
    path = folder / _PLAN
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
    return plan


def check_contigs(header: Header, reference: Reference, name: str) -> None:
    """Compare the contig lengths that a VCF declares with the reference, before the work starts.

    Args:
      header: of the VCF.
      reference: its length of a contig counts; where it holds only slices of it, the length in the
        assembly that was stated.
      name: what messages call the VCF.

    Raises:
      InputFileError: a length differs.
    """
    for contig, declared in header.contigs.items():
        known = reference.resolve(contig)
        if declared is None or known is None:
            continue
        length, where = reference.length(known), reference.name
        if length is None and reference.assembly is not None:
            length = LENGTHS[reference.assembly].get(canonical_name(contig))
            where = reference.assembly
        # A FASTA of less than half is an excerpt; assemblies differ by a few per cent.
        if length is None or length == declared or length < declared / 2:
            continue
        raise InputFileError(
            f"{contig} has {declared:,} bases in the header of {name}, {length:,} in {where}: wrong"
            " assembly? Check --reference; --mismatch-share 1 scores regardless",
            detail={"contig": contig, "declared": declared, "length": length},
        )


def contig_lengths(reference: Reference, *, like: str | None = None) -> dict[str, int]:
    """Return bases of the reference's contigs, those of known length, for the header of an output.

    Args:
      reference: the genome.
      like: a contig name of the VCF, if there is one: the names are spelt with or without `chr` as
        it is.
    """
    known = None if like is None else reference.resolve(like)
    if like is None or known is None or like == known:
        spelt = {contig: contig for contig in reference.contigs}
    elif like.startswith("chr") and canonical_name(like) == canonical_name(known):
        spelt = {contig: _with_chr(contig) for contig in reference.contigs}
    elif like == canonical_name(known):
        spelt = {contig: canonical_name(contig) for contig in reference.contigs}
    else:
        return {}
    lengths = {name: reference.length(contig) for contig, name in spelt.items()}
    return {name: length for name, length in lengths.items() if length is not None}


def _with_chr(contig: str) -> str:
    name = canonical_name(contig)
    return "chrM" if name == "MT" else f"chr{name}"


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
    first = next(lines, b"").partition(b"\t")[0].decode("utf-8", "replace")
    return header, header_end, first or None


def _check_last_line(plan: Plan, header: Header) -> None:
    """Refuse an input whose last line, which has no line end, is cut off."""
    *_, last = plan.lines(plan.shards[-1])
    try:
        check_last_line(last, 0, header, plan.name)
    except InputFileError as error:
        raise InputFileError(
            f"{plan.name} is truncated: its last line is cut off; copy the file again"
        ) from error


def _foreign(path: Path) -> ValidationError:
    return ValidationError(
        f"{path} is damaged, or of another version of varsigma: finish that run with the version"
        f" that began it, or delete {path.parent} to begin anew"
    )
