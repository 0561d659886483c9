"""A region of the genome -> the effect of every single-base change in it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from service.effects import Effects, Floats
from service.errors import ValidationError
from service.reference import Reference
from service.sequence import BASES, UNKNOWN, Codes, decode
from service.variants import Variant

ALTS = BASES[:UNKNOWN]


@dataclass(frozen=True, slots=True)
class Region:
    """Known sequence of a contig.

    Attributes:
      contig: as the FASTA spells it.
      start: 0-based.
      codes: (L,) codes.
    """

    contig: str
    start: int
    codes: Codes

    @property
    def sequence(self) -> str:
        """Bases of the region, upper case."""
        return decode(self.codes)

    def parts(self, n_positions: int) -> Iterator["Region"]:
        """Split it into regions of at most so many positions, in order."""
        for first in range(0, len(self.codes), n_positions):
            yield Region(self.contig, self.start + first, self.codes[first : first + n_positions])

    def variants(self) -> list[Variant]:
        """Return every single-base change, by position, then in the order ACGT; none at N."""
        return [
            Variant(self.contig, self.start + place + 1, ref, alt)
            for place, ref in enumerate(self.sequence)
            if ref in ALTS
            for alt in ALTS
            if alt != ref
        ]

    def spread(self, values: Floats) -> Floats:
        """Put one number per change and target, (V, T), in its place: (L, 4, T), NaN elsewhere."""
        table = np.full((len(self.codes), len(ALTS), values.shape[1]), np.nan)
        codes = self.codes[:, None]
        table[(codes != np.arange(len(ALTS))) & (codes != UNKNOWN)] = values
        return table


@dataclass(frozen=True, slots=True)
class Map:
    """Effects of all changes of a region of L bases, each attribute (L, 4, T), log2 units.

    Axis 1 is the alternative base, ACGT; NaN for the reference's own base, at N, and where the
    model returned no number.
    """

    effect: Floats
    sd: Floats


def read_region(reference: Reference, contig: str, start: int, end: int) -> Region:
    """Look a region up.

    Args:
      reference: the genome.
      contig: under any of its names.
      start: 0-based.
      end: 0-based, exclusive.

    Raises:
      ValidationError: no such contig, or part of the region is not known.
    """
    name = reference.resolve(contig)
    if name is None:
        raise ValidationError(f"the reference has no contig {contig!r}", detail={"field": "contig"})
    if not reference.covers(name, start, end):
        raise ValidationError(
            f"{name}:{start + 1}-{end} is not within the known sequence of the reference",
            detail={"field": "start"},
        )
    return Region(name, start, reference.codes(name, start, end))


def effect_map(region: Region, effects: Effects) -> Map:
    """Arrange the effects of `region.variants()`."""
    return Map(region.spread(effects.effect), region.spread(effects.sd))
