"""Effects of single-base changes in each precision beside fp32 on the CPU, by the scorer itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.reference import Reference, _segments
from service.registry import Registry
from service.scoring import Scorer
from service.sequence import decode
from service.variants import Variant
from tests.gpu.machine import Machine
from tests.gpu.sessions import model_of, offered
from tests.lean_client import FASTA, ROOT

# Largest difference of an effect, log2(RNA/DNA): fp32 is what is served, in any order of its sums;
# another precision would have to stay far below the sd of the best measured effects, 0.3.
BOUNDS = {"fp32": 1e-4, "tf32": 0.01, "fp16": 0.01}
_MARGIN = 100


@dataclass(frozen=True)
class Parity:
    """How far the effects of one precision are from those of fp32 on the CPU.

    Attributes:
      precision: fp32, tf32 or fp16.
      largest: difference of an effect.
      rms: of the differences, over the SD of the effects.
      n_signs: effects of another sign.
      largest_sd: difference of a stated sd.
    """

    precision: str
    largest: float
    rms: float
    n_signs: int
    largest_sd: float

    @property
    def passes(self) -> bool:
        """It is within its bound; NaN is not."""
        return self.largest <= BOUNDS[self.precision]


@contextmanager
def elements() -> Iterator[tuple[Reference, str]]:
    """Open the sequences of the CAGI5 elements, or what stands for them; say which."""
    folder = Path(os.environ.get("VARSIGMA_DATA", ROOT / "../shared/data"))
    path = folder / "cagi5/reference_grch37.fa"
    found, name = (path, "the CAGI5 elements") if path.is_file() else (FASTA, "examples/")
    with Reference.open(found, "GRCh37") as reference:
        yield reference, name


def changes(reference: Reference, n: int) -> list[Variant]:
    """Return n single-base changes, spread evenly over all there is but for its ends."""
    places = [
        (segment.contig, position)
        for segment in _segments(reference._faidx)
        for position in range(segment.start + _MARGIN, segment.end - _MARGIN)
    ]
    chosen = np.linspace(0, 3 * len(places) - 1, min(n, 3 * len(places))).round().astype(int)
    found = []
    for number in chosen.tolist():
        contig, position = places[number // 3]
        ref = decode(reference.codes(contig, position, position + 1))
        if ref != "N":
            alt = "ACGT".replace(ref, "")[number % 3]
            found.append(Variant(contig, position + 1, ref, alt))
    return found


def compared(name: str, machine: Machine, n: int) -> tuple[list[Parity], str]:
    """Score changes in every precision; return how far each is off, and what was scored."""
    with elements() as (reference, source):
        variants = changes(reference, n)
        base = Scorer(Registry().load(name, "cpu"), reference).score(variants).effects
        spread = float(base.effect.std())
        parities = []
        for precision in offered(machine):
            model = model_of(name, machine, precision)
            found = Scorer(model, reference).score(variants).effects
            difference = np.abs(found.effect - base.effect)
            parities.append(
                Parity(
                    precision,
                    float(difference.max()),
                    float(np.sqrt((difference**2).mean())) / spread,
                    int((np.sign(found.effect) != np.sign(base.effect)).sum()),
                    float(np.abs(found.sd - base.sd).max()),
                )
            )
    told = f"{len(variants):,} changes of {source}, {base.effect.size:,} effects of SD {spread:.3f}"
    return parities, told
