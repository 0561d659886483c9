"""A table of measured effects -> what was measured of, or next to, a variant."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.assemblies import canonical_name
from service.durable import file_sha256
from service.errors import InputFileError, ValidationError
from service.measured import Measurement, read_measurements
from service.placement import Nearby, justify
from service.reference import Reference
from service.sequence import UNKNOWN, decode
from service.variants import Edit, Variant, trim

DEFAULT_WITHIN: Final = 10
"""Bases on either side in which a measurement counts as near."""

MISMATCH_SHARE: Final = 0.1
"""Rows that may differ, of those whose REF the reference knows; constructs carry other alleles, but
rarely."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the table says of a variant.

    Attributes:
      is_exact: this very change was measured.
      distance: bases between the change and the measured one, 0 where they touch; of an indel in a
        repeat, from wherever it may be placed.
      measurements: at least one; the strongest first. Those of this change, of every element that
        has it; else all at the nearest measured position, or at both if two are equally near.
    """

    is_exact: bool
    distance: int
    measurements: tuple[Measurement, ...]

    @property
    def strongest(self) -> Measurement:
        """The one of the largest effect."""
        return self.measurements[0]


@dataclass(frozen=True, slots=True)
class _Contig:
    """Measurements of one contig, (M,), by their first base.

    Attributes:
      first: (M,) 0-based first base that a change touches.
      last: (M,) the last one, inclusive.
      longest: the largest last - first.
    """

    rows: list[Measurement]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    longest: int


_Key: TypeAlias = tuple[str, Edit, str]


class Evidence:
    """A table of measured effects, in memory. Nothing changes it; threads may share it.

    Attributes:
      n_measured: rows that have a value.
      n_missing: rows whose value is missing; they are no evidence of anything.
      n_compared: measured rows whose REF has bases, all of which the reference knows.
      n_mismatched: those of them whose REF is not the reference's, because the assayed sequence
        carried another allele there: near a variant, but never the measurement of one.
      described: these counts, and the table's name and SHA-256 where it is a file: provenance.
    """

    def __init__(
        self,
        rows: Iterable[Measurement],
        reference: Reference | None = None,
        *,
        mismatch_share: float = MISMATCH_SHARE,
    ) -> None:
        """Sort rows; `Evidence.open` is the usual way in.

        Raises:
          InputFileError: so many rows differ from the reference that it must be another genome.
        """
        self._reference = reference
        self._assembly = None if reference is None else reference.assembly
        self._exact: dict[_Key, list[Measurement]] = defaultdict(list)
        by_contig: dict[str, list[tuple[int, int, Measurement]]] = defaultdict(list)
        self.n_measured = self.n_missing = self.n_compared = 0
        mismatched: list[Measurement] = []
        for row in rows:
            if row.value is None:
                self.n_missing += 1
                continue
            self.n_measured += 1
            variant = Variant(row.contig, row.pos, row.ref, row.alt)
            known = self._found(variant)
            self.n_compared += bool(known)
            key = self._key(variant)
            if known in {None, row.ref}:
                self._exact[key].append(row)
            else:
                mismatched.append(row)
            by_contig[key[0]].append((*_touched(key[1]), row))
        self.n_mismatched = len(mismatched)
        self.described: dict[str, str | int] = {
            "measured": self.n_measured,
            "missing": self.n_missing,
            "compared": self.n_compared,
            "mismatched": self.n_mismatched,
        }
        if self.n_mismatched > mismatch_share * self.n_compared:
            raise _wrong_genome(mismatched, self.n_compared, reference)
        self._contigs = {name: _sorted(found) for name, found in by_contig.items()}
        for same in self._exact.values():
            same.sort(key=_by_strength)

    @classmethod
    def open(
        cls,
        path: Path | str,
        reference: Reference | None = None,
        *,
        mismatch_share: float = MISMATCH_SHARE,
    ) -> Self:
        """Read a table with a header, separated by tabs, plain or gzip.

        Args:
          path: the file. Columns `chrom`, `pos` (1-based), `ref`, `alt` and `value`; besides, where
            there are some, `element`, `se`, `p_value` and `confidence`. Others are left alone. The
            tables of CAGI5 and of Kircher et al. 2019 are of this form. `-` is an allele without
            bases; a value that is empty, `.` or NA was not measured.
          reference: the genome of the variants. With it, each REF is compared, and an indel in a
            repeat is found wherever the table places it; without it, only where both are aligned
            alike.
          mismatch_share: largest share of rows whose REF may differ from the reference, of those
            that lie where it is known.

        Raises:
          InputFileError: the file cannot be read, lacks a column, or a line is no measurement, or
            is of another genome; the message names the line and what would do.
        """
        found = cls(read_measurements(path), reference, mismatch_share=mismatch_share)
        found.described |= {"file": Path(path).name, "sha256": file_sha256(Path(path))}
        if not found.n_measured:
            raise InputFileError(
                f"{Path(path).name} has no measured value; give a table that has some"
            )
        return found

    def near(self, variant: Variant, within: int = DEFAULT_WITHIN) -> Finding | None:
        """Look up what was measured of a variant, or else next to it.

        Args:
          variant: pos is 1-based; contig under any of its names.
          within: bases; at 0 only what the change itself touches is near.

        Returns:
          None where nothing was measured within so many bases.

        Raises:
          ValidationError: `within` is negative.
          InputFileError: the reference cannot be read.
        """
        if within < 0:
            raise ValidationError(f"a distance must be at least 0 bases, got {within}")
        key = self._key(variant)
        if exact := self._exact.get(key):
            return Finding(True, 0, tuple(exact))
        contig = self._contigs.get(key[0])
        if contig is None:
            return None
        first, last = _touched(key[1])
        low = np.searchsorted(contig.first, first - within - contig.longest)
        high = np.searchsorted(contig.first, last + within, "right")
        if low == high:
            return None
        gap = np.maximum(contig.first[low:high] - last, first - contig.last[low:high])
        distance = max(int(gap.min()), 0)
        if distance > within:
            return None
        nearest = np.flatnonzero(gap <= distance) + low
        rows = sorted((contig.rows[index] for index in nearest.tolist()), key=_by_strength)
        return Finding(False, distance, tuple(rows))

    def _key(self, variant: Variant) -> _Key:
        """What all spellings of a change have in common: contig, edit and deleted bases.

        An indel that the reference knows has its justified form, where that says which bases go.
        """
        known = None if self._reference is None else self._reference.resolve(variant.contig)
        name = known or canonical_name(variant.contig, self._assembly)
        edit, ref = trim(variant), variant.ref.upper()
        deleted = ref[edit.start - variant.start : edit.end - variant.start]
        if bool(deleted) != bool(edit.inserted) and self._found(variant) == ref:
            assert self._reference is not None  # it has REF
            contig = self._reference.resolve(variant.contig)
            assert contig is not None
            bases = Nearby(self._reference, contig, edit.start, edit.end)
            return name, justify(bases, edit), ""
        return name, edit, deleted

    def _found(self, variant: Variant) -> str | None:
        """The reference's bases at REF; None where it does not know each of them."""
        if self._reference is None:
            return None
        contig = self._reference.resolve(variant.contig)
        if contig is None or not self._reference.covers(contig, variant.start, variant.end):
            return None
        if not variant.ref:
            return ""
        codes = self._reference.codes(contig, variant.start, variant.end)
        return None if (codes == UNKNOWN).any() else decode(codes)


def _by_strength(row: Measurement) -> tuple[float, int, int]:
    return -row.strength, row.pos, row.line


def _touched(edit: Edit) -> tuple[int, int]:
    """The first and last base, 0-based, that a change alters; of an insertion, both neighbours."""
    return (edit.start, edit.end - 1) if edit.end > edit.start else (edit.start - 1, edit.start)


def _sorted(found: list[tuple[int, int, Measurement]]) -> _Contig:
    found.sort(key=lambda one: (one[0], one[2].line))
    first, last = (np.array([one[side] for one in found], np.int64) for side in (0, 1))
    return _Contig([row for *_, row in found], first, last, int((last - first).max()))


def _wrong_genome(
    rows: list[Measurement], n_compared: int, reference: Reference | None
) -> InputFileError:
    first = rows[0]
    assert reference is not None  # something was compared
    assembly = f", which is {reference.assembly}" if reference.assembly else ""
    return InputFileError(
        f"{len(rows):,} of {n_compared:,} measured rows in known sequence have another REF than"
        f" {reference.name}"
        f"{assembly}, the first in line {first.line}: {first.ref} at {first.contig}:{first.pos};"
        " give a table in the coordinates of the reference's assembly",
        detail={"line": first.line, "mismatched": len(rows), "compared": n_compared},
    )
