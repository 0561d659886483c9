"""A card's `likelihood_ratios` entry: |effect| -> how strongly it speaks for a measured effect.

The ratio is P(score | the assay found an effect) / P(score | the assay found none), where the score
is the size of the predicted effect, estimated in sliding windows over the score with bounds by
bootstrap, in the manner of Pejaver et al., American Journal of Human Genetics 2022,
doi:10.1016/j.ajhg.2022.10.013. Theirs are of disease; these are of what a reporter assay finds, and
say nothing of disease. Multiplied with the odds that one held before, it gives the odds after:
neither is a call. Applied only where somebody asks for it. Research use only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictFloat, StrictInt, StrictStr, field_validator, model_validator

from service.calibration import Finite, Positive, Scale
from service.entries import Entry, FittedEntry, read_entry
from service.errors import ModelContractError
from service.mixture import Floats

KEY: Final = "likelihood_ratios"
"""Of the entry in a card."""

_Share: TypeAlias = Annotated[StrictFloat, Field(gt=0, lt=1)]
_Probability: TypeAlias = Annotated[StrictFloat, Field(ge=0, le=1)]
_Number: TypeAlias = Annotated[StrictInt, Field(ge=0)]


class LeftOut(Entry):
    """How the ratios fared on each locus when they were fitted to the others.

    Attributes:
      log_loss: mean negative log-probability of the class found, in nats, where both classes are
        equally probable beforehand.
      low: of its central 95 % bootstrap interval.
      high: of the same.
      of_1: log loss of a ratio of 1 for every variant, ln 2: a table above it is worse than none.
      said: mean probability of an effect in bins of it, from even odds.
      found: share with an effect in each bin, every locus with its weight.
    """

    log_loss: Finite
    low: Finite
    high: Finite
    of_1: Finite
    said: tuple[_Probability, ...]
    found: tuple[_Probability, ...]

    @model_validator(mode="after")
    def _is_paired(self) -> Self:
        if len(self.said) != len(self.found):
            raise ValueError(f"{len(self.said)} probabilities said, {len(self.found)} found")
        return self


class LikelihoodRatios(FittedEntry, Entry):
    """The table, what it holds for, and what it was fitted to.

    Attributes:
      version: of this entry's layout.
      score: points of |effect|, log2 units, rising: medians of the windows.
      ratio: at each point.
      lower: one-sided bound below it.
      upper: one-sided bound above it.
      n_effect: variants with an effect in each window.
      n_none: variants with none.
      n_loci: independent loci in each window.
      score_max: largest |effect| that the table says anything about.
      confidence: of each one-sided bound; both together hold 1 - 2 (1 - confidence).
      threshold: |measured effect|, log2 units, that an effect exceeds and none stays within.
      p_effect: an effect has a two-sided p-value below it.
      p_none: none has one above it.
      effect: what the first class is, in words.
      none: what the second is.
      targets: names of the targets whose effects were compared with measured ones.
      strands: of the passes that were scored.
      shifts: of the passes that were scored.
      variants: kind of the variants that were measured.
      method: how it was fitted.
      data: which measurements it was fitted to.
      data_sha256: digest of the table that says which variants those are.
      measurements_sha256: digest of the table that their effects and errors are read from.
      n: variants that were scored and measured, those of neither class among them.
      loci: independent loci of which it was fitted.
      draws: bootstrap resamples.
      seed: of the resamples.
      left_out: does it hold on loci that it has not seen?
    """

    version: Literal[1]
    score: Annotated[tuple[Scale, ...], Field(min_length=2)]
    ratio: tuple[Positive, ...]
    lower: tuple[Positive, ...]
    upper: tuple[Positive, ...]
    n_effect: tuple[_Number, ...]
    n_none: tuple[_Number, ...]
    n_loci: tuple[_Number, ...]
    score_max: Scale
    confidence: _Share
    threshold: Positive
    p_effect: _Share
    p_none: _Share
    effect: StrictStr
    none: StrictStr
    targets: Annotated[tuple[StrictStr, ...], Field(min_length=1)]
    strands: Literal[1, 2]
    shifts: Annotated[tuple[StrictInt, ...], Field(min_length=1)]
    variants: Literal["SNV"]
    method: StrictStr
    data: StrictStr
    data_sha256: StrictStr
    measurements_sha256: StrictStr
    n: _Number
    loci: _Number
    draws: _Number
    seed: StrictInt
    left_out: LeftOut

    @field_validator("score")
    @classmethod
    def _rises(cls, score: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(score)):
            raise ValueError("must rise from each point to the next")
        return score

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        for name in ("ratio", "lower", "upper", "n_effect", "n_none", "n_loci"):
            if (found := len(getattr(self, name))) != len(self.score):
                raise ValueError(f"{name} has {found} values for {len(self.score)} scores")
        for place, (low, ratio, high) in enumerate(
            zip(self.lower, self.ratio, self.upper, strict=True)
        ):
            if not low <= ratio <= high:
                raise ValueError(f"ratio {place} lies outside its bounds: {low}, {ratio}, {high}")
        if self.score_max < self.score[-1]:
            raise ValueError("score_max must not be below the last score")
        return self

    @classmethod
    def from_card(cls, block: object, targets: Sequence[str]) -> Self | None:
        """Read the entry of a card with these targets; None where there is none.

        Raises:
          ModelContractError: a key is missing, unknown or malformed, or a target is none of the
            model's.
        """
        if block is None:
            return None
        table = read_entry(cls, KEY, block)
        if unknown := sorted(set(table.targets).difference(targets)):
            raise ModelContractError(
                f"{KEY}.targets: {', '.join(unknown)} is no target of the model"
            )
        return table

    def ratios(
        self,
        effect: Floats,
        targets: Sequence[str],
        *,
        strands: int,
        shifts: tuple[int, ...],
        is_snv: NDArray[np.bool_],
    ) -> "Ratios":
        """Read the ratios of predicted effects off the table.

        Args:
          effect: (N, T) predicted effects, log2 units; their sign plays no part.
          targets: T names.
          strands: of the passes that they were scored with.
          shifts: of the same.
          is_snv: (N,) whether each is a change of a single base, the one kind that was measured.

        Returns:
          NaN, never a guess: for an |effect| beyond `score_max` or NaN, for targets and passes that
          the table was not fitted for, and for variants of other kinds.
        """
        fits = np.outer(is_snv, self.applies_to(targets, strands, shifts))
        size = np.where(fits, np.abs(effect), np.nan)
        return Ratios(
            *(
                read_off(size, self.score, values, self.score_max)
                for values in (self.ratio, self.lower, self.upper)
            )
        )


@dataclass(frozen=True, slots=True)
class Ratios:
    """P(score | effect) / P(score | none) of N variants on T targets, NaN where nothing is said.

    Attributes:
      ratio: (N, T) above 1 where the score is commoner among effects, below 1 where among none.
      lower: (N, T) one-sided bound.
      upper: (N, T) one-sided bound.
    """

    ratio: Floats
    lower: Floats
    upper: Floats


def read_off(
    size: Floats, score: Sequence[float] | Floats, values: Sequence[float] | Floats, end: float
) -> Floats:
    """Read ratios off a table: their logarithm is linear in the score between points.

    Outside the outer points, which are medians of windows, the value is that of the outer window:
    down to 0, and up to `end`.

    Args:
      size: (...) |effect|, NaN where there is none.
      score: (G,) points, rising.
      values: (G,) above 0, at the points.
      end: beyond it nothing is said.

    Returns:
      (...) values, NaN beyond `end`.
    """
    found = np.exp(np.interp(size, score, np.log(values)))
    return np.where(size <= end, found, np.nan)
