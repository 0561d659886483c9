"""Effects -> their ranks among random variants of the same model: how large is large.

An effect of 0.1 is much for one target or model and nothing for another. Beside it stands where it
would lie among single-base changes drawn at random, as AlphaGenome's quantile score and
variant-scorer's percentile do; those are of other variants, so compare ranks within one model only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictFloat, StrictInt, StrictStr, field_validator, model_validator

from service.entries import Entry, has_passes, read_entry
from service.errors import ModelContractError

Floats: TypeAlias = NDArray[np.floating[Any]]
_Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]
_Values: TypeAlias = tuple[_Finite, ...]


class TargetBackground(Entry):
    """Effects of the random variants on one target, log2 units, at the levels of the whole.

    Attributes:
      effect: quantiles of the effect, ascending.
      magnitude: quantiles of its absolute value, ascending.
    """

    effect: _Values
    magnitude: Annotated[_Values, Field(min_length=2)]

    @field_validator("effect", "magnitude")
    @classmethod
    def _ascends(cls, values: _Values) -> _Values:
        if np.any(np.diff(values) < 0):
            raise ValueError("quantiles must ascend")
        return values

    @field_validator("magnitude")
    @classmethod
    def _is_absolute(cls, values: _Values) -> _Values:
        if values[0] < 0:
            raise ValueError("an absolute value must be at least 0")
        return values


class Background(Entry):
    """The `background` entry of a card: quantiles of the effects of random variants.

    Attributes:
      version: of this entry's layout.
      levels: ascending, inside (0, 1), of every list of quantiles: share of the variants below.
      targets: {name: its quantiles}.
      strands: of the passes that they were scored with.
      shifts: of the same.
      variants: kind of the variants.
      scheme: how they were drawn.
      n: variants.
      seed: of the draw.
      data: what they were drawn in.
      data_sha256: digest of the table that this comes from.
    """

    version: Literal[1]
    levels: Annotated[_Values, Field(min_length=2)]
    targets: Annotated[dict[str, TargetBackground], Field(min_length=1)]
    strands: Literal[1, 2]
    shifts: Annotated[tuple[StrictInt, ...], Field(min_length=1)]
    variants: StrictStr
    scheme: StrictStr
    n: Annotated[StrictInt, Field(gt=0)]
    seed: StrictInt
    data: StrictStr
    data_sha256: StrictStr

    @field_validator("levels")
    @classmethod
    def _are_levels(cls, levels: _Values) -> _Values:
        if np.any(np.diff(levels) <= 0) or not 0 < levels[0] <= levels[-1] < 1:
            raise ValueError("levels must ascend inside (0, 1)")
        return levels

    @model_validator(mode="after")
    def _has_all_quantiles(self) -> Self:
        for name, target in self.targets.items():
            for quantiles in (target.effect, target.magnitude):
                if len(quantiles) != len(self.levels):
                    raise ValueError(
                        f"{name}: {len(quantiles)} quantiles for {len(self.levels)} levels"
                    )
        return self

    @classmethod
    def from_card(cls, block: object, targets: Sequence[str]) -> Self | None:
        """Read the entry of a card with these targets; None where there is none.

        Raises:
          ModelContractError: a key is missing, unknown or malformed, or its targets are not those
            of the model.
        """
        if block is None:
            return None
        background = read_entry(cls, "background", block)
        if different := sorted(set(targets).symmetric_difference(background.targets)):
            raise ModelContractError(
                f"background.targets: the model and its background differ in {', '.join(different)}"
            )
        return background

    def applies_to(self, strands: int, shifts: tuple[int, ...]) -> bool:
        """Say whether effects scored with these passes are what the variants were scored with."""
        return has_passes(self, strands, shifts)

    def ranks(self, effect: Floats, targets: Sequence[str]) -> "Ranks":
        """Rank effects among those of the random variants.

        Args:
          effect: (N, T) log2; NaN where there is none.
          targets: T names, each of this background.
        """
        signed, magnitude = np.empty(effect.shape), np.empty(effect.shape)
        for column, name in enumerate(targets):
            of_target, values = self.targets[name], effect[:, column].astype(np.float64)
            signed[:, column] = _level(values, of_target.effect, self.levels)
            magnitude[:, column] = _level(np.abs(values), of_target.magnitude, self.levels)
        return Ranks(quantile=np.sign(effect) * magnitude, rank=signed)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where N effects on T targets lie among those of random variants; NaN where there is none.

    Attributes:
      quantile: (N, T) in (-1, 1): the sign of the effect times the share of random variants whose
        effect is smaller in size. -0.99 lowers activity, and by more than 99 % change it either
        way; 0 for no effect.
      rank: (N, T) in (0, 1): the share of random variants with a smaller effect, sign included.
        Gains and losses are not equally frequent, so 0.5 need not mean no effect. What
        AlphaGenome calls the quantile of a signed score is, of its own variants, 2 * rank - 1.

    Between kept quantiles both are linear; beyond the ends they stop at the end's level, which n
    variants set at about 1 / n from 0 and 1, so neither is ever -1, 0 or 1 of a non-zero effect.
    Of equal effects, half count as smaller.
    """

    quantile: NDArray[np.float64]
    rank: NDArray[np.float64]


def _level(values: NDArray[np.float64], quantiles: _Values, levels: _Values) -> NDArray[np.float64]:
    """Level of (N,) values; where several levels have one quantile, their mean is its level."""
    places, which, repeats = np.unique(quantiles, return_inverse=True, return_counts=True)
    found: NDArray[np.float64] = np.interp(
        values, places, np.bincount(which, weights=levels) / repeats
    )
    return found
