"""base codes -> how unlike the training inserts a window is: a p-value, and in what it differs.

A network answers any 200 letters; nothing in mu or sigma says that they look like no sequence it
has learnt from. This does, from the letters alone: the least of five one-sided shares (low GC, high
GC, rare 7-mers, 7-mers that are rare given their pairs of bases, a long tandem repeat), itself
turned into a share of held-out training inserts, and beside it the share of N. Why these, and what
they cannot see: `training/evaluation/novelty.py`.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictFloat, StrictInt, StrictStr, field_validator, model_validator

from service.composition import PACKED_BYTES, Floats, K, KmerScores, Measures, unpack
from service.entries import Entry, read_entry
from service.errors import ModelContractError, ValidationError
from service.sequence import Codes

LEVEL = 0.01
"""p below which a window is called novel."""
# Share of the variance of a measure between inserts that is chance of sampling. Chosen so that
# inserts that are cut to the lengths of other assays are novel about as often as whole ones, which
# `varsigma-train novelty` counts.
_CHANCE = 0.3

_Share = Annotated[StrictFloat, Field(gt=0, le=1)]
_Value = Annotated[StrictFloat, Field(allow_inf_nan=False)]


class Aspect(StrEnum):
    """In what a window differs most; the first of those that are equally unusual."""

    TANDEM_REPEAT = "tandem_repeat"
    """A long stretch repeats a unit of 1 to 12 bases."""
    LOW_GC = "low_gc"
    HIGH_GC = "high_gc"
    RARE_KMERS = "rare_kmers"
    """Its bases are improbable after the six before them: random sequence, shuffles."""
    RARE_ORDER = "rare_order"
    """They are so beyond what its pairs of bases explain: shuffles that keep the pairs."""
    UNKNOWN_BASES = "unknown_bases"
    """More N than the windows that the network learnt from."""


ASPECTS = tuple(Aspect)
NAMES: NDArray[np.str_] = np.array([aspect.value for aspect in ASPECTS])
ORDINARY = "."
"""In what a window is novel that is not."""


class Tail(Entry):
    """How often a measure is at least so large, by its values at a few places.

    Attributes:
      values: ascending.
      shares: descending from at most 1, of the windows at or above each value.
    """

    values: Annotated[tuple[_Value, ...], Field(min_length=2)]
    shares: tuple[_Share, ...]

    @model_validator(mode="after")
    def _is_a_tail(self) -> Self:
        if len(self.values) != len(self.shares):
            raise ValueError(f"{len(self.values)} values for {len(self.shares)} shares")
        if np.any(np.diff(self.values) <= 0) or np.any(np.diff(self.shares) > 0):
            raise ValueError("values must ascend and shares descend")
        return self

    def share(self, measure: Floats) -> Floats:
        """Share at or above (N,) values: log-linear between places, that of the end beyond."""
        return np.exp(np.interp(measure, self.values, np.log(self.shares)))


class Familiar(Entry):
    """The `novelty` entry of a card: what training inserts look like.

    Attributes:
      version: of this entry's layout.
      window: W, bases of a window.
      k: bases of a k-mer.
      kmers: `KmerScores.log_p`, as `service.composition.pack` writes it.
      pairs: log-probability of a base given the one before it, of AA, AC ... TT.
      tails: of each aspect, from windows that the log-probabilities were not estimated from.
      combined: of -log10 of the least share over the aspects of the known bases.
      method: how all this was fitted.
      data: which inserts to.
      data_sha256: digest of the table that they come from.
      n: inserts.
      n_windows: windows, of all assays, behind the tail of the share of N.
    """

    version: Literal[1]
    window: Annotated[StrictInt, Field(ge=2 * K)]
    k: Literal[7]
    kmers: StrictStr
    pairs: Annotated[tuple[StrictInt, ...], Field(min_length=16, max_length=16)]
    tails: dict[Aspect, Tail]
    combined: Tail
    method: StrictStr
    data: StrictStr
    data_sha256: StrictStr
    n: Annotated[StrictInt, Field(gt=0)]
    n_windows: Annotated[StrictInt, Field(gt=0)]

    @field_validator("kmers")
    @classmethod
    def _has_every_kmer(cls, text: str) -> str:
        try:
            found = len(base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise ValueError(f"no base64 ({error})") from error
        if found != PACKED_BYTES:
            raise ValueError(f"{found} bytes, expected {PACKED_BYTES}")
        return text

    @field_validator("tails")
    @classmethod
    def _has_every_tail(cls, tails: dict[Aspect, Tail]) -> dict[Aspect, Tail]:
        if missing := [aspect for aspect in ASPECTS if aspect not in tails]:
            raise ValueError(f"no tail of {', '.join(missing)}")
        return tails


@dataclass(frozen=True, slots=True)
class NoveltyScores:
    """How unlike the training inserts N windows or variants are.

    Attributes:
      p: (N,) share of held-out training inserts at least as unusual, in (0, 1]; it stops at about
        one over their number.
      aspect: (N,) index into `ASPECTS` of what is most unusual.
    """

    p: Floats
    aspect: NDArray[np.intp]

    @property
    def score(self) -> Floats:
        """(N,) -log10 p: 0 for the most ordinary, 2 at p = 0.01."""
        return -np.log10(self.p) + 0.0  # no minus zero

    def is_novel(self, level: float = LEVEL) -> NDArray[np.bool_]:
        """Say for each of N whether p is below the level: not what the network was made for."""
        return self.p < level

    def novel_as(self) -> NDArray[np.str_]:
        """(N,) names of the aspects of what is novel, `ORDINARY` for the others."""
        return np.where(self.is_novel(), NAMES[self.aspect], ORDINARY)

    def of_variants(self, windows: NDArray[np.intp]) -> "NoveltyScores":
        """Sum these scores up over the windows of variants.

        Args:
          windows: (N, P, A) places of windows among these; axis 2 are the alleles of a pass, each
            as often as it is anchored.

        Returns:
          Of N variants: of each pass the most unusual window, and the mean of that over passes;
          `aspect` is that of the most unusual window of all.
        """
        n, passes, alleles = windows.shape
        scores = self.score[windows]
        most = scores.reshape(n, passes * alleles).argmax(axis=1)
        return NoveltyScores(
            p=10.0 ** -scores.max(axis=2).mean(axis=1),
            aspect=self.aspect[windows.reshape(n, passes * alleles)[np.arange(n), most]],
        )


class Novelty:
    """Compares windows with training inserts; threads may share it.

    Attributes:
      familiar: what it compares with.
    """

    def __init__(self, familiar: Familiar) -> None:
        """Unpack the tables."""
        self.familiar = familiar
        self._scores = KmerScores.build(unpack(familiar.kmers), np.array(familiar.pairs, np.int32))
        # Where the shares are one half: what a window says of which nothing is known.
        self._middle = {
            aspect: float(np.interp(-0.5, -np.array(tail.shares), tail.values))
            for aspect, tail in familiar.tails.items()
        }

    @classmethod
    def from_card(cls, block: object, window: int) -> Self | None:
        """Read the entry of a card of a model with windows of so many bases; None for none.

        Raises:
          ModelContractError: a key is missing, unknown or malformed, or another window is meant.
        """
        if block is None:
            return None
        familiar = read_entry(Familiar, "novelty", block)
        if familiar.window != window:
            raise ModelContractError(
                f"novelty.window: it is of windows of {familiar.window} bases, the model's have"
                f" {window}"
            )
        return cls(familiar)

    def score(self, bases: Codes) -> NoveltyScores:
        """Compare windows; the same for a window and its reverse complement.

        With N, what the known bases say counts less, as fewer bases have more extreme means; and
        the share of N is held against the windows of all assays, whose shorter inserts lie between
        N. Served targets learnt from inserts without N.

        Args:
          bases: (N, W) codes.

        Raises:
          ValidationError: windows of another width.
        """
        if bases.ndim != 2 or bases.shape[1] != self.familiar.window:
            raise ValidationError(
                f"windows must have shape (N, {self.familiar.window}), got {bases.shape}"
            )
        measures = Measures.of(bases, self._scores)
        tails = self.familiar.tails
        shares = np.stack(
            [
                tails[aspect].share(self._damped(aspect, values, evidence))
                for aspect, values, evidence in oriented(measures)
            ]
        )
        least = shares.min(axis=0)
        of_known = self.familiar.combined.share(-np.log10(least))
        unknown = 1 - measures.known
        of_unknown = np.where(unknown > 0, tails[Aspect.UNKNOWN_BASES].share(unknown), 1.0)
        is_unknown = of_unknown < of_known
        return NoveltyScores(
            p=np.minimum(of_known, of_unknown),
            aspect=np.where(is_unknown, ASPECTS.index(Aspect.UNKNOWN_BASES), shares.argmin(axis=0)),
        )

    def score_variants(self, windows: Codes) -> NoveltyScores:
        """Compare the windows of variants: of each pass the more unusual allele, mean over passes.

        Strands add little: the minus strand's window has the same score but for the base by which
        it is moved, so that `windows[:, :1]` gives nearly the same in half the time.

        Args:
          windows: (N, P, 2, W) codes; axis 2 is ref, alt.

        Returns:
          Of N variants; `aspect` is that of their most unusual window.
        """
        *of_variants, width = windows.shape
        each = self.score(windows.reshape(-1, width))
        return each.of_variants(np.arange(len(each.p)).reshape(of_variants))

    def _damped(self, aspect: Aspect, values: Floats, evidence: Floats) -> Floats:
        middle = self._middle[aspect]
        # The variance of a mean grows by (1 / evidence - 1) of its part that is chance of sampling.
        damped = np.sqrt(evidence / (evidence + _CHANCE * (1 - evidence)))
        return middle + (values - middle) * damped


def oriented(measures: Measures) -> Iterator[tuple[Aspect, Floats, Floats]]:
    """Yield each aspect of the known bases, its measure, and the evidence behind it.

    The measure, (N,), is larger for the more unusual; the evidence, (N,), is a share of that of a
    whole window.
    """
    yield Aspect.TANDEM_REPEAT, measures.repeat, np.ones_like(measures.repeat)
    yield Aspect.LOW_GC, -measures.gc, measures.known
    yield Aspect.HIGH_GC, measures.gc, measures.known
    yield Aspect.RARE_KMERS, -measures.log_p, measures.complete
    yield Aspect.RARE_ORDER, -measures.gain, measures.complete


def least_share(measures: Measures, tails: Mapping[Aspect, Tail]) -> Floats:
    """(N,) least share over the aspects of the known bases, of windows without N."""
    shares = [tails[aspect].share(values) for aspect, values, _ in oriented(measures)]
    least: Floats = np.min(shares, axis=0)
    return least
