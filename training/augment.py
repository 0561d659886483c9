"""Changes of a construct that keep its label: what a sequence might have become.

`codes (n, 230), inserts (n, 2) -> codes (n, 230)`. An augmentation is a frozen dataclass, part of
a recipe; a new one is one class here and the recipe lines that use it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.sequence import BASES, UNKNOWN, Codes
from training.assays import checked_offsets

N_BASES = BASES.index("N")
Positions = NDArray[np.int64]
OFFSETS = (-1, 0, 1, 2)
"""One for each way in which groups of four positions can lie over a construct."""


def inside(inserts: Positions, width: int) -> NDArray[np.bool_]:
    """Which positions of `width` belong to the inserts: [start, end) (n, 2) -> (n, width)."""
    at = np.arange(width)
    marked: NDArray[np.bool_] = (at >= inserts[:, :1]) & (at < inserts[:, 1:])
    return marked


def move(codes: Codes, offset: int) -> Codes:
    """Constructs (n, L) `offset` bases to the right: N enters, and what leaves the window is lost.

    >>> codes = np.array([[0, 1, 2]], np.uint8)
    >>> move(codes, 1).tolist(), move(codes, -2).tolist()
    ([[4, 0, 1]], [[2, 4, 4]])
    """
    moved = np.full_like(codes, UNKNOWN)
    width = codes.shape[1]
    moved[:, max(offset, 0) : width + min(offset, 0)] = codes[
        :, max(-offset, 0) : width - max(offset, 0)
    ]
    return moved


def move_each(codes: Codes, offsets: Positions) -> Codes:
    """`move` of constructs (n, L), each by an offset of its own (n,)."""
    moved = np.empty_like(codes)
    for offset in np.unique(offsets).tolist():
        moved[offsets == offset] = move(codes[offsets == offset], offset)
    return moved


def substitute(codes: Codes, where: NDArray[np.bool_], rng: np.random.Generator) -> Codes:
    """Put another base in place of each one marked; each of the three is as likely.

    An N stays an N.

    Args:
      codes: (n, L) base codes.
      where: (n, L) positions meant.
      rng: chooses the base.
    """
    step = rng.integers(1, N_BASES, codes.shape, dtype=np.uint8)
    return np.where(where & (codes < N_BASES), (codes + step) % N_BASES, codes)


@dataclass(frozen=True)
class Augment:
    """Base of all augmentations.

    Attributes:
      cycles: of the recipe in which it is on, counted from 0. In the others the network sees the
        sequences as they were measured.
    """

    cycles: tuple[int, ...] = (0,)

    def apply(self, codes: Codes, inserts: Positions, rng: np.random.Generator) -> Codes:
        """Change the rows of one batch, anew in every epoch.

        Args:
          codes: (n, L) base codes of constructs.
          inserts: (n, 2) where each insert starts and ends, 0-based half-open.
          rng: seeded by (seed, epoch), so that an epoch can be drawn again.

        Returns:
          (n, L) codes of which the labels still hold; where constructs move, `inserts` may no
          longer be where their inserts are.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Jitter(Augment):
    """Whole constructs a few bases to the left or right in the trunk's window.

    A trunk that pools pairs of positions twice sees a construct in four ways, by where in a group
    of four its first base falls (Zhang, ICML 2019, "Making convolutional networks shift-invariant
    again"). So it meets each of them in training.

    Attributes:
      offsets: of which each row gets one, all as likely; see `move`.

    Raises:
      ValueError: of `training.assays.checked_offsets`.
    """

    cycles: tuple[int, ...] = (0, 1)
    offsets: tuple[int, ...] = OFFSETS

    def __post_init__(self) -> None:
        """Refuse offsets that lose bases of an insert."""
        checked_offsets(self.offsets)

    def apply(self, codes: Codes, inserts: Positions, rng: np.random.Generator) -> Codes:
        """Move the rows of one batch; see the base class."""
        del inserts
        return move_each(codes, rng.choice(self.offsets, len(codes)))


@dataclass(frozen=True)
class MaskedJitter(Jitter):
    """`Jitter` of constructs of which some have a stretch of the insert hidden.

    Scoring hides the bases around a variant to see what the site does (`service.windows.occlude`);
    here a network meets gaps, anywhere in an insert, under the label of the whole sequence, so that
    those of scoring look like its training data. A one-dimensional cutout (DeVries and Taylor,
    2017, arXiv:1708.04552).

    Attributes:
      share: probability with which a row has a gap.
      longest: of gaps, in bases; each length from 1 on is as likely, and each place in the insert.
        A shorter insert is hidden whole at most.
    """

    share: float = 0.5
    longest: int = 11

    def apply(self, codes: Codes, inserts: Positions, rng: np.random.Generator) -> Codes:
        """Hide, then move the rows of one batch; see the base class."""
        length = np.diff(inserts, axis=1)
        size = np.minimum(rng.integers(1, self.longest + 1, length.shape), length)
        start = rng.integers(0, length - size + 1)
        gap = inserts[:, :1] + np.concatenate([start, start + size], axis=1)
        met = rng.random(length.shape) < self.share
        hidden = np.where(met & inside(gap, codes.shape[1]), np.uint8(UNKNOWN), codes)
        return super().apply(hidden, inserts, rng)


@dataclass(frozen=True)
class EvoAug(Augment):
    """Mutations, translocations, deletions and insertions under the label of the sequence.

    Adapters and the N around a short construct are never touched. A row meets each kind of change
    with probability `share`, in the order of the attributes. The length of an insert stays what it
    is. Source: Lee et al., Genome Biology 2023 (EvoAug), with the sizes of its package; training
    ends with a cycle without, as there.

    Attributes:
      share: probability with which a row meets each kind.
      shift: largest roll of the insert, to either side: bases that leave at one end enter at the
        other.
      delete: longest stretch cut out, of 0 to `delete` bases; random bases fill up both ends.
      insert: longest stretch of random bases put in, of 0 to `insert`; both ends are cut.
      mutate: share of the bases that become another base.
      mask: share of the bases that become N.
    """

    share: float = 0.5
    shift: int = 20
    delete: int = 20
    insert: int = 20
    mutate: float = 0.05
    mask: float = 0.0

    def apply(self, codes: Codes, inserts: Positions, rng: np.random.Generator) -> Codes:
        """Change the rows of one batch; see the base class."""
        marked = inside(inserts, codes.shape[1])
        start, length = inserts[:, :1], np.diff(inserts, axis=1)
        # Positions within the insert, and what stood there; a negative one is a random base.
        column = np.arange(codes.shape[1]) - start
        for most, rearranged in (
            (self.shift, _shifted),
            (self.delete, _deleted),
            (self.insert, _inserted),
        ):
            source = rearranged(column, length, np.minimum(most, length), rng)
            source = np.where(self._met(codes, rng), source, column)
            moved = np.take_along_axis(codes, np.where(marked, start + source, 0), axis=1)
            drawn = rng.integers(0, N_BASES, codes.shape, dtype=np.uint8)
            codes = np.where(marked, np.where(source < 0, drawn, moved), codes)
        hit = self._met(codes, rng) & (rng.random(codes.shape) < self.mutate)
        codes = substitute(codes, marked & hit, rng)
        hit = self._met(codes, rng) & (rng.random(codes.shape) < self.mask)
        return np.where(marked & hit, np.uint8(UNKNOWN), codes)

    def _met(self, codes: Codes, rng: np.random.Generator) -> NDArray[np.bool_]:
        """(n, 1) rows that meet one kind of change."""
        met: NDArray[np.bool_] = rng.random((len(codes), 1)) < self.share
        return met


def _shifted(
    column: Positions, length: Positions, most: Positions, rng: np.random.Generator
) -> Positions:
    """(n, L) position that each one shows after a roll by at most `most`."""
    return (column - rng.integers(-most, most + 1)) % length


def _deleted(
    column: Positions, length: Positions, most: Positions, rng: np.random.Generator
) -> Positions:
    """(n, L) position that each one shows after a deletion; negative where filled up."""
    size = rng.integers(0, most + 1)
    at = rng.integers(0, length - size + 1)
    kept = column - size // 2  # position among the bases that are left
    source = kept + np.where(kept >= at, size, 0)
    return np.where((kept < 0) | (source >= length), -1, source)


def _inserted(
    column: Positions, length: Positions, most: Positions, rng: np.random.Generator
) -> Positions:
    """(n, L) position that each one shows after an insertion; negative where it is new."""
    size = rng.integers(0, most + 1)
    at = rng.integers(0, length + 1)
    extended = column + size // 2  # position in the sequence before its ends are cut
    is_new = (extended >= at) & (extended < at + size)
    return np.where(is_new, -1, extended - np.where(extended >= at + size, size, 0))
