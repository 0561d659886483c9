"""Which training rows make an epoch, and in which order.

A sampler is a frozen dataclass; a new one is one class here and the recipe lines that use it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sampler:
    """Base of all samplers."""

    def epoch(self, n_rows: int, epoch: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Row indices of one epoch, in order; `rng` is seeded by (seed, epoch)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Shuffled(Sampler):
    """Every training row once, shuffled anew each epoch."""

    def epoch(self, n_rows: int, epoch: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """A permutation of the rows."""
        return rng.permutation(n_rows)
