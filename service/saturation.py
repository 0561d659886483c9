"""A region of the genome -> the effect of every single-base change in it."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.effects import Floats
from service.errors import ValidationError
from service.novelty import ORDINARY
from service.reasons import known_bases, no_contig
from service.reference import Reference
from service.scoring import Predictions, Scorer, Scores
from service.sequence import BASES, UNKNOWN, Codes, decode
from service.variants import POSITION, Variant

ALTS = BASES[:UNKNOWN]

_REGION = re.compile(rf"(?P<contig>\S+):(?P<start>{POSITION})-(?P<end>{POSITION})", re.ASCII)

_Kind = TypeVar("_Kind", bound=np.generic)


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

    def spread(self, values: NDArray[_Kind], missing: float | str = np.nan) -> NDArray[_Kind]:
        """Put what there is of each change, (V, ...), in its place: (L, 4, ...)."""
        table = np.full((len(self.codes), len(ALTS), *values.shape[1:]), missing, values.dtype)
        codes = self.codes[:, None]
        table[(codes != np.arange(len(ALTS))) & (codes != UNKNOWN)] = values
        return table


@dataclass(frozen=True, slots=True)
class Map:
    """Effects of all changes of a region of L bases; axis 1 is the alternative base, ACGT.

    Nothing stands for the reference's own base, at N, and where the model returned no number: NaN,
    or `.` for a name.

    Attributes:
      effect: (L, 4, T) log2 units, as all that is an attribute of `Effects`.
      expected: (L, 4, T).
      sd: (L, 4, T).
      quantile: (L, 4, T).
      novelty: (L, 4), as in `Scores`.
      novel_as: (L, 4).
    """

    effect: Floats
    expected: Floats
    sd: Floats
    quantile: Floats
    novelty: Floats
    novel_as: NDArray[np.str_]

    @classmethod
    def joined(cls, parts: Sequence["Map"]) -> Self:
        """Put the maps of parts of a region behind each other."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def parse_region(text: str) -> tuple[str, int, int]:
    """Read a region as samtools writes it: 1-based, both ends included; commas between thousands.

    Returns:
      Contig, and start and end, **0-based**, the end exclusive.

    Raises:
      ValidationError: it is no such region.

    >>> parse_region("chr17:7,676,100-7,677,099")
    ('chr17', 7676099, 7677099)
    """
    found = _REGION.fullmatch(text.strip())
    start, end = (
        (int(found[name].replace(",", "")) for name in ("start", "end")) if found else (0, 0)
    )
    if found is None or start < 1:
        raise ValidationError(
            f"{text!r} is no region; write CONTIG:START-END, 1-based, both ends included, such as"
            " chr17:7,676,100-7,677,099",
            detail={"field": "region"},
        )
    if end < start:
        raise ValidationError(
            f"the region {text} ends before it starts; swap the two", detail={"field": "region"}
        )
    return found["contig"], start - 1, end


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
        raise ValidationError(no_contig(contig, reference), detail={"field": "contig"})
    if not reference.covers(name, start, end):
        raise ValidationError(
            f"{name}:{start + 1:,}-{end:,} is not within the known sequence:"
            f" {known_bases(name, reference)}; check the positions and the assembly",
            detail={"field": "start"},
        )
    return Region(name, start, reference.codes(name, start, end))


def score_region(
    region: Region, scorer: Scorer, on_done: Callable[[int], None] = lambda _: None, runs: int = 1
) -> Scores:
    """Score `region.variants()`, all of them at once.

    Every window runs once: the three changes of a position share that of the reference, and with
    shifts the positions share theirs. So it is all in memory, some kilobytes for each position.

    Args:
      region: known sequence.
      scorer: model, reference and options.
      on_done: called with the changes that are done by then, 0 first, after each run of the model;
        a change of which some windows are done counts in part.
      runs: of the model at once. With one thread inside an operator, one run on each core is the
        fastest way on a CPU, also where other processes take a part of it.
    """
    windows = scorer.cut(region.variants())
    n_changes, n_sequences = len(windows.status), len(windows.sequences)
    on_done(0)
    if not n_sequences:
        return scorer.combine(windows, scorer.predict(windows))
    size = scorer.options.batch_size
    outputs = []
    with ThreadPoolExecutor(runs) as pool:
        tasks = [
            pool.submit(scorer.model.run, windows.sequences[first : first + size])
            for first in range(0, n_sequences, size)
        ]
        try:
            for number, task in enumerate(tasks, 1):
                outputs.append(task.result())
                on_done(n_changes * min(number * size, n_sequences) // n_sequences)
        except BaseException:  # an interrupt too: what has not begun never will
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    mu, sigma = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    return scorer.combine(windows, Predictions(mu, sigma))


def effect_map(region: Region, scores: Scores) -> Map:
    """Arrange the scores of `region.variants()`."""
    effects = scores.effects
    return Map(
        effect=region.spread(effects.effect),
        expected=region.spread(effects.expected),
        sd=region.spread(effects.sd),
        quantile=region.spread(effects.quantile),
        novelty=region.spread(scores.novelty),
        novel_as=region.spread(scores.novel_as, ORDINARY),
    )
