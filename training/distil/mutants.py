"""Mutated copies of constructs: sequences whose labels cost no experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from service.sequence import Codes
from training.assays import UNMOVED, checked_offsets
from training.augment import N_BASES, inside, move_each, substitute
from training.samplers.base import Shuffled


@dataclass(frozen=True)
class Mutants(Shuffled):
    """Every training construct once, shuffled anew each epoch, each followed by a mutated copy.

    A copy has 1 to `most` substitutions at random places of its insert, k of them with a
    probability proportional to 1 / k: as many copies with one as with two or three, or four to
    seven.

    Attributes:
      most: substitutions in a copy.
      offsets: of which each pair gets one, all as likely: by how many bases the student sees it
        moved to the right.

    Raises:
      ValueError: of `training.assays.checked_offsets`.
    """

    makes_pairs: ClassVar[bool] = True

    most: int = 20
    offsets: tuple[int, ...] = UNMOVED

    def __post_init__(self) -> None:
        """Refuse offsets that lose bases of an insert."""
        checked_offsets(self.offsets)

    def copies(self, codes: Codes, inserts: NDArray[np.int64], rng: np.random.Generator) -> Codes:
        """Mutate each construct, anew in every epoch.

        Args:
          codes: (n, L) base codes.
          inserts: (n, 2) where each insert starts and ends, 0-based half-open.
          rng: seeded by (seed, epoch).

        Returns:
          (n, L) codes; an N, and what stands outside the insert, is as it was.
        """
        numbers = np.arange(1, self.most + 1)
        weight = 1 / numbers
        wanted = rng.choice(numbers, len(codes), p=weight / weight.sum())
        usable = inside(inserts, codes.shape[1]) & (codes < N_BASES)
        # The usable places in random order, and of them the first that many.
        order = np.where(usable, rng.random(codes.shape), np.inf).argsort(axis=1)
        rank = order.argsort(axis=1)
        return substitute(codes, usable & (rank < wanted[:, None]), rng)

    def placed(self, pairs: tuple[Codes, Codes], rng: np.random.Generator) -> tuple[Codes, Codes]:
        """Move constructs and copies, (n, L) codes each, both of a pair by the same offset."""
        drawn = rng.choice(self.offsets, len(pairs[0]))
        constructs, copies = (move_each(codes, drawn) for codes in pairs)
        return constructs, copies
