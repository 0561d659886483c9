"""Many variants -> every window that the model has to see, once: `variants -> Windows`.

Single-base changes, nearly all of a genome's variants, are cut together with array operations
from one stretch of the contig; the others one by one. Both give what `variant_windows` gives.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from service.effects import ALT, HIDDEN, REF
from service.errors import Status
from service.reference import Reference
from service.sequence import BASES, Codes, encode, reverse_complement
from service.variants import Variant
from service.windows import (
    Anchoring,
    Pass,
    change_windows,
    check_variant,
    normalised,
    occlude,
    pair_windows,
    variant_index,
)

NOT_NORMALISED = "."

_Rows: TypeAlias = NDArray[np.intp]

# Single-base changes further apart than this are cut from stretches of their own: reading on
# would cost more than beginning anew.
_MAX_GAP = 1 << 14
_CODE = {letter: int(encode(letter)[0]) for base in BASES for letter in (base, base.lower())}


@dataclass(frozen=True, slots=True)
class Group:
    """Variants that are shown in the same number of ways, with as many windows each.

    Attributes:
      rows: (n,) places of the variants in the list that was cut.
      index: (n, Q, 2 or 3) places of their windows in `Windows.sequences`; axis 2 is ref, alt, and
        ref with hidden bases where a single-base change was asked for with them.
    """

    rows: _Rows
    index: _Rows


@dataclass(frozen=True, slots=True)
class Windows:
    """What a list of N variants needs of the model.

    Attributes:
      status: N statuses; OK for those that are in a group.
      normalised: N normal forms `pos:ref:alt`, pos 1-based; `.` where the status is not OK.
      sequences: (S, W) codes; those that variants share are there once.
      groups: the variants by number of ways, Q, and of windows.
    """

    status: list[Status]
    normalised: list[str]
    sequences: Codes
    groups: tuple[Group, ...]


class _Sequences:
    """Grows the array of sequences."""

    def __init__(self, width: int) -> None:
        self._parts: list[Codes] = [np.empty((0, width), np.uint8)]
        self._seen: dict[bytes, int] = {}
        self._n = 0

    def add(self, block: Codes) -> int:
        """Append (n, W) codes that are new; return the place of the first."""
        first = self._n
        self._parts.append(block)
        self._n += len(block)
        return first

    def place(self, sequence: Codes) -> int:
        """Return the place of one sequence, which is appended where it has none."""
        key = sequence.tobytes()
        place = self._seen.get(key)
        if place is None:
            place = self._seen[key] = self.add(sequence[None])
        return place

    def array(self) -> Codes:
        """Return (S, W) codes."""
        return np.concatenate(self._parts)


def cut_variants(
    reference: Reference,
    variants: Sequence[Variant],
    width: int,
    passes: tuple[Pass, ...],
    anchorings: tuple[Anchoring, ...],
    *,
    n_occluded: int = 0,
) -> Windows:
    """Check variants and cut their windows.

    Args:
      reference: the genome.
      variants: N of them, pos 1-based.
      width: W, bases in a window.
      passes: P strands and shifts.
      anchorings: K of them, for changes of length.
      n_occluded: bases hidden in a third window of single-base changes, see `occlude`; 0 cuts none.

    Returns:
      Q is P for a change that keeps the length, else P x K, in the order of `change_windows`.
    """
    return _Cutter(reference, variants, width, passes, anchorings, n_occluded=n_occluded).windows()


class _Cutter:
    """One list of variants on its way to windows; the arguments are those of `cut_variants`."""

    def __init__(
        self,
        reference: Reference,
        variants: Sequence[Variant],
        width: int,
        passes: tuple[Pass, ...],
        anchorings: tuple[Anchoring, ...],
        *,
        n_occluded: int,
    ) -> None:
        self._reference = reference
        self._variants = variants
        self._width = width
        self._passes = passes
        self._anchorings = anchorings
        self._n_occluded = n_occluded
        self._status = [Status.OK] * len(variants)
        self._forms = [NOT_NORMALISED] * len(variants)
        self._sequences = _Sequences(width)

    def windows(self) -> Windows:
        """Cut them all."""
        single: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
        others: list[int] = []
        contigs: dict[str, str | None] = {}
        for row, variant in enumerate(self._variants):
            ref, alt = _CODE.get(variant.ref), _CODE.get(variant.alt)
            if ref is None or alt is None:
                others.append(row)
                continue
            if variant.contig not in contigs:
                contigs[variant.contig] = self._reference.resolve(variant.contig)
            contig = contigs[variant.contig]
            if contig is None:
                self._status[row] = Status.UNKNOWN_CONTIG
            else:
                single[contig].append((row, variant.start, ref, alt))
        groups = self._cut_one_by_one(others)
        for contig, changes in single.items():
            groups += [self._cut_together(contig, part) for part in _stretches(np.array(changes))]
        return Windows(self._status, self._forms, self._sequences.array(), _joined(groups))

    def _cut_one_by_one(self, rows: Sequence[int]) -> list[Group]:
        by_ways: dict[tuple[int, ...], tuple[list[int], list[list[int]]]] = {}
        for row in rows:
            change = check_variant(self._reference, self._variants[row], self._width)
            if isinstance(change, Status):
                self._status[row] = change
                continue
            self._forms[row] = normalised(change)
            windows = change_windows(change, self._width, self._passes, self._anchorings)
            if self._n_occluded and change.replaces_one_base:
                windows = self._with_hidden(windows)
            kept, places = by_ways.setdefault(windows.shape[:2], ([], []))
            kept.append(row)
            places.append([self._sequences.place(window) for way in windows for window in way])
        return [
            Group(np.array(kept), np.array(places).reshape(-1, *ways))
            for ways, (kept, places) in by_ways.items()
        ]

    def _with_hidden(self, windows: Codes) -> Codes:
        """(P, 2, W) windows of a single-base change -> (P, 3, W): see `occlude`."""
        hidden = [
            occlude(ref, variant_index(self._width, way), self._n_occluded)
            for ref, way in zip(windows[:, :1], self._passes, strict=True)
        ]
        return np.concatenate([windows, np.stack(hidden)], axis=1)

    def _cut_together(self, contig: str, changes: NDArray[np.int64]) -> Group:
        """Cut single-base changes of one stretch: (n, 4) row, start, ref, alt, sorted by start."""
        changes = self._inside(contig, changes)
        origin = int(changes[0, 1]) - self._width if len(changes) else 0
        end = int(changes[-1, 1]) + 1 + self._width if len(changes) else self._width
        codes = self._reference.codes(contig, origin, end)
        matches = codes[changes[:, 1] - origin] == changes[:, 2]
        for row in changes[~matches, 0].tolist():
            self._status[row] = Status.REF_MISMATCH
        rows, starts, refs, alts = changes[matches].T
        for row in rows.tolist():
            variant = self._variants[row]
            self._forms[row] = f"{variant.pos}:{variant.ref.upper()}:{variant.alt.upper()}"
        every = sliding_window_view(codes, self._width)
        alleles = alts.astype(np.uint8)[:, None]
        sites, site = np.unique(starts, return_inverse=True)
        index = np.empty((len(rows), len(self._passes), HIDDEN + bool(self._n_occluded)), np.intp)
        for reverse in (False, True):
            ways = [number for number, way in enumerate(self._passes) if way.reverse is reverse]
            places = [variant_index(self._width, self._passes[number]) for number in ways]
            before = np.array([self._width - 1 - one if reverse else one for one in places], int)
            # The ALTs of a site share their REF window, and a shift of the window around one site
            # is the window around another: each is there once.
            firsts, first = np.unique(sites[:, None] - origin - before, return_inverse=True)
            first = first.reshape(len(sites), len(ways))
            ref_windows = every[firsts]
            if reverse:
                ref_windows = reverse_complement(ref_windows)
            index[:, ways, REF] = self._sequences.add(ref_windows) + first[site]
            for column, (number, place) in enumerate(zip(ways, places, strict=True)):
                alt_windows = ref_windows[first[:, column]][site]
                alt_windows[:, [place]] = reverse_complement(alleles) if reverse else alleles
                index[:, number, ALT] = self._sequences.add(alt_windows) + np.arange(len(rows))
                if self._n_occluded:
                    hidden = occlude(ref_windows[first[:, column]], place, self._n_occluded)
                    index[:, number, HIDDEN] = self._sequences.add(hidden) + site
        # An ALT equal to its REF is the same sequence, and its effect exactly zero.
        same = refs == alts
        index[same, :, ALT:] = index[same, :, :ALT]
        return Group(rows.astype(np.intp), index)

    def _inside(self, contig: str, changes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those that lie in known sequence; the others get their status."""
        covers = self._reference.covers
        if covers(contig, int(changes[0, 1]), int(changes[-1, 1]) + 1):
            return changes
        inside = np.array([covers(contig, start, start + 1) for start in changes[:, 1].tolist()])
        for row in changes[~inside, 0].tolist():
            self._status[row] = Status.WINDOW_OFF_CONTIG
        kept: NDArray[np.int64] = changes[inside]
        return kept


def cut_pairs(pairs: Sequence[tuple[str, str]], width: int, passes: tuple[Pass, ...]) -> Windows:
    """Place pairs of sequences, ref and alt, in windows: see `pair_windows`."""
    status = [Status.OK] * len(pairs)
    sequences = _Sequences(width)
    rows: list[int] = []
    places: list[list[int]] = []
    for row, pair in enumerate(pairs):
        windows = pair_windows(*pair, width, passes)
        if isinstance(windows, Status):
            status[row] = windows
            continue
        rows.append(row)
        places.append([sequences.place(window) for both in windows for window in both])
    index = np.array(places, np.intp).reshape(-1, len(passes), 2)
    forms = [NOT_NORMALISED] * len(pairs)
    return Windows(status, forms, sequences.array(), _joined([Group(np.array(rows), index)]))


def _stretches(changes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Sort (n, 4) row, start, ref, alt by start and split them where the gap is wide."""
    ordered = changes[np.argsort(changes[:, 1], kind="stable")]
    yield from np.split(ordered, np.flatnonzero(np.diff(ordered[:, 1]) > _MAX_GAP) + 1)


def _joined(groups: Sequence[Group]) -> tuple[Group, ...]:
    """One group for each number of ways and of windows, those without variants left out."""
    by_ways: dict[tuple[int, ...], list[Group]] = defaultdict(list)
    for group in groups:
        if len(group.rows):
            by_ways[group.index.shape[1:]].append(group)
    return tuple(
        Group(
            np.concatenate([group.rows for group in same]),
            np.concatenate([group.index for group in same]),
        )
        for same in by_ways.values()
    )
