"""base codes -> what can be measured of a sequence by itself: GC, k-mers, repeats, N.

Every measure is the same for a window and its reverse complement, to the last bit: sums are of
whole numbers.
"""

import base64
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from service.sequence import BASES, UNKNOWN, Codes

K = 7
"""Bases of a k-mer: the probability of a base given the six before it."""
UNIT = 1000
"""Log-probabilities are whole numbers of 1 / UNIT nats."""
PERIODS = range(1, 13)
"""Units of the tandem repeats that are looked for, in bases: micro- and short minisatellites."""
# Windows measured at a time: what they need stays in the cache of one core.
_CHUNK = 2048
_C, _G = BASES.index("C"), BASES.index("G")

Floats = NDArray[np.float64]


def reversed_kmers(kmers: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Reverse complements of k-mers, as numbers of k digits to base 4, A0 C1 G2 T3.

    >>> reversed_kmers(np.array([0b0001]), 2).tolist()  # AC, GT
    [11]
    """
    found, rest = np.zeros_like(kmers), kmers
    for _ in range(k):
        found = found * 4 + (3 - rest % 4)
        rest = rest // 4
    return found


_ALL = np.arange(4**K)
_OTHER_STRAND = reversed_kmers(_ALL, K)
_CANONICAL = _ALL[_ALL <= _OTHER_STRAND]
PACKED_BYTES = 2 * len(_CANONICAL)
"""Bytes behind the text of `pack`."""


def pack(log_p: NDArray[np.integer]) -> str:
    """Text of (4**K,) values that are the same for both strands.

    Base64 of little-endian int16, one per k-mer that is no greater than its reverse complement.
    """
    return base64.b64encode(log_p[_CANONICAL].astype("<i2").tobytes()).decode()


def unpack(text: str) -> NDArray[np.int32]:
    """Inverse of `pack`."""
    log_p = np.empty(4**K, np.int32)
    log_p[_CANONICAL] = np.frombuffer(base64.b64decode(text), "<i2")
    log_p[_OTHER_STRAND[_CANONICAL]] = log_p[_CANONICAL]
    return log_p


@dataclass(frozen=True, slots=True)
class KmerScores:
    """What each k-mer adds to the sums over a window; the last place, for one with an N, adds 0.

    Attributes:
      log_p: (4**K + 1,) log-probability of its last base given the six before it, mean of both
        strands, in 1 / `UNIT` nats.
      gain: (4**K + 1,) the same less that of the base given the one before it alone.
    """

    log_p: NDArray[np.int32]
    gain: NDArray[np.int32]

    @classmethod
    def build(cls, log_p: NDArray[np.integer], pairs: NDArray[np.integer]) -> Self:
        """Fill both tables.

        Args:
          log_p: (4**K,) as the attribute; the same for both strands.
          pairs: (16,) log-probability of a base given the one before it on one strand, of AA, AC
            ... TT, in 1 / `UNIT` nats.
        """
        # The last pair on either strand: on the other one, that is the first pair from behind.
        last, behind = _ALL % 16, reversed_kmers(_ALL >> 2 * (K - 2), 2)
        gain = log_p - (pairs[last] + pairs[behind]) // 2
        return cls(*(np.append(table, 0).astype(np.int32) for table in (log_p, gain)))


@dataclass(frozen=True, slots=True)
class Measures:
    """What is measured of N windows.

    Attributes:
      gc: (N,) share of G and C among the known bases; 0.5 where none is.
      log_p: (N,) mean over the k-mers without N of their log-probability, nats; 0 without any.
      gain: (N,) mean gain, likewise.
      repeat: (N,) most bases in a row that equal the base 1, 2 ... or 12 before them.
      known: (N,) share of the W bases that is not N.
      complete: (N,) share of the W - K + 1 k-mers that has no N.
    """

    gc: Floats
    log_p: Floats
    gain: Floats
    repeat: Floats
    known: Floats
    complete: Floats

    @classmethod
    def of(cls, bases: Codes, scores: KmerScores) -> Self:
        """Measure windows, (N, W) codes."""
        starts = range(0, max(len(bases), 1), _CHUNK)
        parts = [_measure(bases[first : first + _CHUNK], scores) for first in starts]
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _measure(bases: Codes, scores: KmerScores) -> tuple[Floats, ...]:
    """Attributes of `Measures` for one chunk."""
    width = bases.shape[1]
    is_unknown = bases == UNKNOWN
    n_known = width - is_unknown.sum(axis=1)
    n_gc = ((bases == _C) | (bases == _G)).sum(axis=1)
    places = kmer_places(bases)
    n_kmers = (places < 4**K).sum(axis=1)
    per_kmer = UNIT * np.maximum(n_kmers, 1)
    return (
        np.where(n_known > 0, n_gc / np.maximum(n_known, 1), 0.5),
        scores.log_p.take(places).sum(axis=1, dtype=np.int64) / per_kmer,
        scores.gain.take(places).sum(axis=1, dtype=np.int64) / per_kmer,
        _longest_repeat(bases).astype(np.float64),
        n_known / width,
        n_kmers / places.shape[1],
    )


def kmer_places(bases: Codes) -> NDArray[np.uint16]:
    """Number of the k-mer at each place, of K digits to base 4; 4**K for one that holds an N.

    Args:
      bases: (N, W) codes.

    Returns:
      (N, W - K + 1) numbers.
    """
    n_places = bases.shape[1] - K + 1
    digits = (bases & 3).astype(np.uint16)
    places = digits[:, :n_places].copy()
    for offset in range(1, K):
        places <<= 2
        places |= digits[:, offset : offset + n_places]
    is_unknown = bases == UNKNOWN
    if is_unknown.any():
        seen = np.cumsum(np.pad(is_unknown, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
        places[seen[:, K:] > seen[:, :-K]] = 4**K
    return places


def _longest_repeat(bases: Codes) -> NDArray[np.integer]:
    """(N,) most bases in a row that equal the base one of `PERIODS` before them; N equals none."""
    width, longest_unit = bases.shape[1], PERIODS[-1]
    columns = np.ascontiguousarray(bases.T)
    earlier = np.full((longest_unit + width, len(bases)), UNKNOWN + 1, np.uint8)
    np.copyto(earlier[longest_unit:], columns, where=columns != UNKNOWN)
    # A step takes all windows and periods along: nine times as fast as a step for each period.
    run = np.zeros((longest_unit, len(bases)), np.min_scalar_type(width))
    longest = run.copy()
    for place, column in enumerate(columns):
        run += 1
        run *= (column == earlier[place : place + longest_unit]).view(np.uint8)
        np.maximum(longest, run, out=longest)
    found: NDArray[np.integer] = longest.max(axis=0)
    return found
