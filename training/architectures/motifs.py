"""A compact trunk whose first convolution starts from known binding motifs.

`JASPAR profiles -> kernels (K, 4, width)`: one representative of each of the largest families, on
both strands. The weights train on afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.architectures.trunks import Compact

Floats = NDArray[np.float64]
BACKGROUND = 0.25
PSEUDOCOUNT = 1.0
"""Sites of background composition added to each profile; the smallest profiles have ten."""


def frequencies(counts: Floats) -> Floats:
    """(4, L) counted bases A C G T -> (4, L) frequencies, with `PSEUDOCOUNT`."""
    shares: Floats = (counts + PSEUDOCOUNT * BACKGROUND) / (counts.sum(axis=0) + PSEUDOCOUNT)
    return shares


def information(shares: Floats) -> Floats:
    """(4, L) frequencies -> (L,) bits: relative entropy to the background."""
    bits: Floats = (shares * np.log2(shares / BACKGROUND)).sum(axis=0)
    return bits


def fitted(shares: Floats, width: int) -> Floats:
    """Trim frequencies to their most informative `width` columns, or pad with background.

    Columns of background are put on both sides, one more on the right if need be.
    """
    length = shares.shape[1]
    if length > width:
        total = np.convolve(information(shares), np.ones(width), mode="valid")
        start = int(total.argmax())
        return shares[:, start : start + width]
    left = (width - length) // 2
    padding = ((0, 0), (left, width - length - left))
    return np.pad(shares, padding, constant_values=BACKGROUND)


def similarity(profiles: Floats) -> Floats:
    """How alike profiles are: (n, 4, W) frequencies -> (n, n), 1 on the diagonal.

    The cosine of two matrices of frequencies minus background, at the offset and on the strand
    where it is largest (the overhang counts as background).
    """
    n, _, width = profiles.shape
    excess = profiles - BACKGROUND
    excess /= np.linalg.norm(excess, axis=(1, 2), keepdims=True)
    best = np.full((n, n), -1.0)
    for strand in (excess, excess[:, ::-1, ::-1]):
        padded = np.pad(strand, ((0, 0), (0, 0), (width - 1, width - 1)))
        for offset in range(2 * width - 1):
            moved = padded[:, :, offset : offset + width].reshape(n, -1)
            np.maximum(best, excess.reshape(n, -1) @ moved.T, out=best)
    return best.round(6)  # what is chosen must not hang on the last bits of a product


def representatives(alike: NDArray[np.bool_], weights: Floats) -> list[int]:
    """Choose, again and again, the profile to which most of those still left are alike.

    Greedy cover: each choice stands for a cluster, and clusters come by size, so that a family of
    transcription factors with one motif gets one representative. No two chosen are alike.

    Args:
      alike: (n, n) symmetric, True on the diagonal.
      weights: (n,) decide between clusters of equal size: the larger first.

    Returns:
      Indices in the order of choice; every profile is alike to one of them.
    """
    left = np.ones(len(alike), dtype=bool)
    chosen = []
    while left.any():
        size = np.where(left, (alike & left).sum(axis=1), 0)
        best = int(np.lexsort((-weights, -size))[0])
        chosen.append(best)
        left &= ~alike[best]
    return chosen


def kernels(profiles: Sequence[Floats], n: int, width: int) -> Floats:
    """Profiles (4, width) -> n kernels: log-odds of each and of its reverse complement in turn.

    Log-odds against the background, each column centred on its mean over the four bases; a column
    of background is 0. Every kernel is scaled to the mean square that PyTorch's default
    initialisation of a convolution has, 1 / (3 * 4 * width) (He et al., ICCV 2015, a = sqrt 5).

    Returns:
      (m, 4, width) with m <= n: fewer where there are too few profiles.
    """
    log_odds = np.log2(np.stack(profiles[: -(-n // 2)]) / BACKGROUND)
    log_odds -= log_odds.mean(axis=1, keepdims=True)
    both = np.stack([log_odds, log_odds[:, ::-1, ::-1]], axis=1).reshape(-1, 4, width)[:n]
    square = (both**2).mean(axis=(1, 2), keepdims=True)
    scaled: Floats = both / np.sqrt(square * 3 * 4 * width)
    return scaled


@cache
def jaspar_profiles(release: str, width: int, threshold: float) -> tuple[Floats, ...]:
    """Representatives of the vertebrate CORE profiles, (4, width) frequencies, by cluster size.

    Source: JASPAR (Rauluseviciute et al., Nucleic Acids Research 2024), as the package pyjaspar
    carries it; the newest version of each profile.

    Args:
      release: of JASPAR.
      width: columns wanted.
      threshold: `similarity` from which on two profiles are alike.
    """
    from pyjaspar import jaspardb  # noqa: PLC0415 (a member loads without it)

    database = jaspardb(release=release)
    motifs = database.fetch_motifs(collection="CORE", tax_group=["vertebrates"])
    motifs.sort(key=lambda motif: motif.matrix_id)
    counts = [np.array([motif.counts[base] for base in "ACGT"], np.float64) for motif in motifs]
    profiles = np.stack([fitted(frequencies(table), width) for table in counts])
    bits = np.array([information(profile).sum() for profile in profiles])
    chosen = representatives(similarity(profiles) >= threshold, bits)
    return tuple(profiles[index] for index in chosen)


@dataclass(frozen=True)
class MotifCompact(Compact):
    """The compact trunk, its first convolution started from JASPAR's vertebrate profiles.

    Two kernels, one for each strand, for every cluster of profiles, the largest clusters first.
    Biases, and kernels beyond the last cluster, start as in any convolution.

    Attributes:
      release: of JASPAR.
      threshold: cosine of two profiles from which on they are one cluster.
    """

    release: str = "JASPAR2024"
    threshold: float = 0.8

    @property
    def origin(self) -> str:
        """What cards say the first convolution starts from."""
        return f"{self.release} CORE vertebrate profiles (10.1093/nar/gkad1059)"

    def initialise(self, trunk: nn.Module) -> None:
        """Write the kernels."""
        profiles = jaspar_profiles(self.release, self.stem_kernel, self.threshold)
        started = kernels(profiles, self.width, self.stem_kernel)
        stem = next(layer for layer in trunk.modules() if isinstance(layer, nn.Conv1d))
        with torch.no_grad():
            stem.weight[: len(started)] = torch.from_numpy(started)
