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
    """Variants that are shown in the same number of ways.

    Attributes:
      rows: (n,) places of the variants in the list that was cut.
      index: (n, Q, 2) places of their windows in `Windows.sequences`; axis 2 is ref, alt.
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
      groups: the variants by number of ways, Q.
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
) -> Windows:
    """Check variants and cut their windows.

    Args:
      reference: the genome.
      variants: N of them, pos 1-based.
      width: W, bases in a window.
      passes: P strands and shifts.
      anchorings: K of them, for changes of length.

    Returns:
      Q is P for a change that keeps the length, else P x K, in the order of `change_windows`.
    """
    status = [Status.OK] * len(variants)
    forms = [NOT_NORMALISED] * len(variants)
    sequences = _Sequences(width)
    single: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    others: dict[int, tuple[list[int], list[list[int]]]] = {}
    contigs: dict[str, str | None] = {}
    for row, variant in enumerate(variants):
        ref, alt = _CODE.get(variant.ref), _CODE.get(variant.alt)
        if ref is not None and alt is not None:
            if variant.contig not in contigs:
                contigs[variant.contig] = reference.resolve(variant.contig)
            contig = contigs[variant.contig]
            if contig is None:
                status[row] = Status.UNKNOWN_CONTIG
            else:
                single[contig].append((row, variant.start, ref, alt))
            continue
        change = check_variant(reference, variant, width)
        if isinstance(change, Status):
            status[row] = change
            continue
        forms[row] = normalised(reference, change)
        windows = change_windows(reference, change, width, passes, anchorings)
        rows, places = others.setdefault(len(windows), ([], []))
        rows.append(row)
        places.append([sequences.place(window) for pair in windows for window in pair])
    groups = [
        Group(np.array(rows), np.array(places).reshape(-1, n_ways, 2))
        for n_ways, (rows, places) in others.items()
    ]
    for contig, changes in single.items():
        for part in _stretches(np.array(changes)):
            groups.append(_cut_single(reference, contig, part, passes, sequences, status, width))
    for group in groups[len(others) :]:
        for row in group.rows.tolist():
            variant = variants[row]
            forms[row] = f"{variant.pos}:{variant.ref.upper()}:{variant.alt.upper()}"
    return Windows(status, forms, sequences.array(), _joined(groups))


def cut_pairs(
    pairs: Sequence[tuple[str, str]], width: int, passes: tuple[Pass, ...]
) -> Windows:
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


def _cut_single(
    reference: Reference,
    contig: str,
    changes: NDArray[np.int64],
    passes: tuple[Pass, ...],
    sequences: _Sequences,
    status: list[Status],
    width: int,
) -> Group:
    """Cut the windows of single-base changes, (n, 4) row, start, ref, alt, sorted by start."""
    low, high = int(changes[0, 1]), int(changes[-1, 1]) + 1
    if not reference.covers(contig, low, high):
        inside = np.array(
            [reference.covers(contig, start, start + 1) for start in changes[:, 1].tolist()]
        )
        for row in changes[~inside, 0].tolist():
            status[row] = Status.WINDOW_OFF_CONTIG
        changes = changes[inside]
        if not len(changes):
            return Group(np.empty(0, np.intp), np.empty((0, len(passes), 2), np.intp))
        low, high = int(changes[0, 1]), int(changes[-1, 1]) + 1
    origin = low - width
    codes = reference.codes(contig, origin, high + width)
    matches = codes[changes[:, 1] - origin] == changes[:, 2]
    for row in changes[~matches, 0].tolist():
        status[row] = Status.REF_MISMATCH
    rows, starts, refs, alts = changes[matches].T
    sites, site = np.unique(starts, return_inverse=True)
    every = sliding_window_view(codes, width)
    index = np.empty((len(rows), len(passes), 2), np.intp)
    for number, way in enumerate(passes):
        place = variant_index(width, way)
        ref_windows = every[sites - origin - (width - 1 - place if way.reverse else place)]
        if way.reverse:
            ref_windows = reverse_complement(ref_windows)
        alt_windows = ref_windows[site]
        alt_windows[:, place] = reverse_complement(alts.astype(np.uint8)[:, None])[:, 0] if (
            way.reverse
        ) else alts
        index[:, number, 0] = sequences.add(ref_windows) + site
        index[:, number, 1] = sequences.add(alt_windows) + np.arange(len(rows))
    # An ALT equal to its REF is the same sequence, and its effect exactly zero.
    same = refs == alts
    index[same, :, 1] = index[same, :, 0]
    return Group(rows.astype(np.intp), index)


def _joined(groups: Sequence[Group]) -> tuple[Group, ...]:
    """One group for each number of ways, those without variants left out."""
    by_ways: dict[int, list[Group]] = defaultdict(list)
    for group in groups:
        if len(group.rows):
            by_ways[group.index.shape[1]].append(group)
    return tuple(
        Group(
            np.concatenate([group.rows for group in same]),
            np.concatenate([group.index for group in same]),
        )
        for same in by_ways.values()
    )
