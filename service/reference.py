"""An indexed FASTA -> base codes by contig and coordinate; contigs under all their spellings."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np
from pyfaidx import Faidx

from service.assemblies import LENGTHS, UCSC_HG19_CHRM_LENGTH, canonical_name
from service.durable import file_sha256
from service.errors import InputFileError, ValidationError
from service.fasta import READ_ERRORS, open_fasta
from service.sequence import UNKNOWN, Codes, encode

# Sequence is read and encoded in blocks: sorted variants stay in one block, a random one costs
# about a millisecond, and memory stays under 8 MiB whatever the genome.
_BLOCK = 2**18
_BLOCKS_HELD = 32
_SLICE = re.compile(r"(?P<contig>.+):(?P<first>\d[\d,]*)-(?P<last>\d[\d,]*)")


@dataclass(frozen=True, slots=True)
class _Segment:
    """Known bases [start, end) of a contig, 0-based.

    Attributes:
      record: name in the FASTA.
      origin: 0-based coordinate of the record's first base on the contig.
      is_slice: the record's name says where on the contig it lies.
    """

    record: str
    contig: str
    origin: int
    start: int
    end: int
    is_slice: bool


class Reference:
    """The genome that variants lie on. Threads may share it; a forked process must open its own.

    Attributes:
      name: file name of the FASTA.
      assembly: GRCh37, GRCh38, or None where the caller did not state it.
    """

    def __init__(
        self,
        faidx: Faidx,
        *,
        path: Path,
        assembly: str | None,
        sha256: str | None = None,
    ) -> None:
        """Place the records of an open FASTA; `Reference.open` is the usual way in."""
        self.name = name = path.name
        self._path = path
        self._sha256 = sha256
        self.assembly = assembly
        self._faidx = faidx
        self._block = lru_cache(maxsize=_BLOCKS_HELD)(partial(_read_block, faidx, Lock(), name))
        self._segments: dict[str, list[_Segment]] = {}
        self._starts: dict[str, list[int]] = {}
        for segment in sorted(_segments(faidx), key=lambda segment: segment.start):
            if assembly is not None:
                _check_assembly(segment, assembly, name)
            self._place(segment)
        if not self._segments:
            raise InputFileError(f"the reference FASTA {name} holds no sequence")
        self._aliases = self._canonical_contigs()

    @classmethod
    def open(
        cls, path: Path | str, assembly: str | None = None, *, sha256: str | None = None
    ) -> Self:
        """Open a FASTA, plain or bgzipped, and index it where it has no index yet.

        Records named like `chr1:101-200` (1-based, inclusive: what `samtools faidx` writes) are
        placed at their coordinates on chr1.

        Args:
          path: the file.
          assembly: GRCh37 or GRCh38; lengths of the chromosomes must then agree with it.
          sha256: digest of the file where the caller knows it, which spares reading all of it.

        Raises:
          InputFileError: the file is missing, not FASTA, of another assembly, or has slices that
            contradict each other.
          ValidationError: an assembly of another name.
        """
        if assembly is not None and assembly not in LENGTHS:
            raise ValidationError(f"the assembly must be {' or '.join(LENGTHS)}, got {assembly!r}")
        path = Path(path)
        faidx = open_fasta(path)
        try:
            return cls(faidx, path=path, assembly=assembly, sha256=sha256)
        except BaseException:
            faidx.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._faidx.close()

    def __enter__(self) -> Self:
        """Return the reference, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    @property
    def sha256(self) -> str:
        """Digest of the FASTA as it lies on disk, read on first use.

        Raises:
          InputFileError: the file cannot be read any more.
        """
        if self._sha256 is None:
            self._sha256 = file_sha256(self._path)
        return self._sha256

    @cached_property
    def contigs(self) -> tuple[str, ...]:
        """Contig names as the FASTA spells them, in the order of their first record."""
        return tuple(dict.fromkeys(segment.contig for segment in _segments(self._faidx)))

    def resolve(self, contig: str) -> str | None:
        """Return the FASTA's name of a contig (chr1, 1, NC_000001.10 ...), None if it has none."""
        if contig in self._starts:
            return contig
        return self._aliases.get(canonical_name(contig, self.assembly))

    def length(self, contig: str) -> int | None:
        """Return the bases of a contig of the FASTA, None where it holds only slices of it."""
        last = self._segments[contig][-1]
        return None if last.is_slice else last.end

    def covers(self, contig: str, start: int, end: int) -> bool:
        """Say whether all of [start, end), 0-based, is known sequence of a contig of the FASTA."""
        index = bisect_right(self._starts[contig], start) - 1
        if index < 0:
            return False
        for segment in self._segments[contig][index:]:
            if not segment.start <= start < segment.end:
                return False
            start = segment.end
            if start >= end:
                return True
        return False

    def codes(self, contig: str, start: int, end: int) -> Codes:
        """Return the (end - start,) base codes of [start, end), 0-based, N where unknown, to read.

        Args:
          contig: a name that the FASTA uses (see `resolve`).
          start: may be negative.
          end: may lie beyond the end of the contig.

        Raises:
          InputFileError: the file is truncated or has letters that are no bases.
        """
        index = max(bisect_right(self._starts[contig], start) - 1, 0)
        segments = self._segments[contig]
        segment = segments[index]
        if segment.start <= start < end <= segment.end:
            return self._fetch(segment.record, start - segment.origin, end - segment.origin)
        codes = np.full(end - start, UNKNOWN, np.uint8)
        for segment in segments[index:]:
            if segment.start >= end:
                break
            low, high = max(start, segment.start), min(end, segment.end)
            if low < high:
                codes[low - start : high - start] = self._fetch(
                    segment.record, low - segment.origin, high - segment.origin
                )
        return codes

    def _fetch(self, record: str, start: int, end: int) -> Codes:
        """Bases [start, end) of a record, which must hold them."""
        first, last = start // _BLOCK, (end - 1) // _BLOCK
        blocks = [self._block(record, index) for index in range(first, last + 1)]
        joined = blocks[0] if first == last else np.concatenate(blocks)
        return joined[start - first * _BLOCK : end - first * _BLOCK]

    def _place(self, segment: _Segment) -> None:
        """Add what a record tells beyond the earlier ones, which it must not contradict."""
        known = self._segments.setdefault(segment.contig, [])
        seen = known[-1].end if known else 0
        shared_end = min(segment.end, seen)
        if segment.start < shared_end:
            again = self._fetch(segment.record, 0, shared_end - segment.origin)
            if again.tobytes() != self.codes(segment.contig, segment.start, shared_end).tobytes():
                raise InputFileError(
                    f"{self.name}: {segment.record} overlaps other records of {segment.contig} and"
                    " differs from them; keep one of them"
                )
        if segment.end > seen:
            known.append(replace(segment, start=max(segment.start, seen)))
            self._starts.setdefault(segment.contig, []).append(known[-1].start)

    def _canonical_contigs(self) -> dict[str, str]:
        """Contigs by canonical name, where that names one of them only."""
        names = {contig: canonical_name(contig) for contig in self._segments}
        count = Counter(names.values())
        return {
            name: contig
            for contig, name in names.items()
            if count[name] == 1
            and not (name == "MT" and self.length(contig) == UCSC_HG19_CHRM_LENGTH)
        }


def _read_block(faidx: Faidx, lock: Lock, name: str, record: str, index: int) -> Codes:
    """Read and encode one block of a record; the lock guards the file's position."""
    start = index * _BLOCK
    end = min(start + _BLOCK, faidx.index[record].rlen)
    try:
        with lock:
            text = faidx.fetch(record, start + 1, end)
        codes = encode(text, ambiguous_as_n=True)
    except (ValidationError, *READ_ERRORS) as error:
        raise InputFileError(f"cannot read {record} of {name}: {error}") from error
    if len(codes) != end - start:
        raise InputFileError(
            f"{name} ends inside {record}: it is truncated, or its .fai is of another file"
        )
    return codes


def _segments(faidx: Faidx) -> Iterator[_Segment]:
    """Read the records of an index as pieces of contigs."""
    for record, entry in faidx.index.items():
        match = _SLICE.fullmatch(record)
        first = int(match["first"].replace(",", "")) if match else 1
        last = int(match["last"].replace(",", "")) if match else entry.rlen
        # A name of another kind that looks like a slice, or a slice that samtools cut at the
        # contig's end: only a record that fits its coordinates is one.
        is_slice = match is not None and 0 < first <= first + entry.rlen - 1 <= last
        contig = match["contig"] if match and is_slice else record
        start = first - 1 if is_slice else 0
        if entry.rlen:
            yield _Segment(record, contig, start, start, start + entry.rlen, is_slice)


def _check_assembly(segment: _Segment, assembly: str, name: str) -> None:
    """Refuse a chromosome whose length contradicts the assembly that was stated."""
    chromosome = canonical_name(segment.contig)
    expected = LENGTHS[assembly].get(chromosome)
    if expected is None or segment.end == expected:
        return
    # Under half a chromosome is an excerpt (an example, a test); human assemblies differ by a few
    # per cent only, so a length between is another assembly or a truncated file.
    if segment.end < expected / 2 or (segment.is_slice and segment.end < expected):
        return
    fits = [other for other, lengths in LENGTHS.items() if lengths.get(chromosome) == segment.end]
    remedy = f"use assembly {fits[0]}" if fits else "check that the file is whole"
    raise InputFileError(
        f"{segment.contig} of {name} ends at {segment.end:,}, but is {expected:,} bases long in"
        f" {assembly}: {remedy}, or give a FASTA of {assembly}",
        detail={"contig": segment.contig, "length": segment.end, "expected": expected},
    )
