"""A card's `calibration` entry: what a model says of a variant -> the distribution of its effect.

Measured effects tell two things apart that a model's own numbers do not: most variants do next to
nothing, some do a lot, and which it will be is guessed from the size of the predicted effect and
from how far the members agree. So the distribution has two components. They also show that what
a model says of hiding the bases around a variant tells of the variant itself: where a sequence is
bound, most changes do harm. And they are lopsided: of large effects that no model foresaw, most are
losses, so that a component need not have its mean at zero where no effect is predicted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal, Self, TypeAlias

import numpy as np
import pydantic
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, Field, StrictFloat, StrictInt
from scipy.special import expit

from service.entries import Entry, FittedEntry, read_entry
from service.errors import ModelContractError
from service.mixture import Floats, Mixture

VERSION = 2

Finite: TypeAlias = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Positive: TypeAlias = Annotated[StrictFloat, Field(gt=0, allow_inf_nan=False)]
Bounded: TypeAlias = Annotated[StrictFloat, Field(ge=-10, le=10)]
Scale: TypeAlias = Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)]


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError("must rise from each value to the next")
    return values


Levels: TypeAlias = Annotated[
    tuple[Annotated[StrictFloat, Field(gt=0, lt=1)], ...],
    Field(min_length=1),
    AfterValidator(_rising),
]


class Shape(Entry):
    """How the distribution of the true effect follows from a model's numbers; log2 units.

    With e = effect + by_occlusion occlusion, and s the epistemic SD of the effect:
    weight = expit(intercept + by_effect log(|e| + effect_floor) + by_spread log(s + spread_floor)),
    component k is normal with mean centre_k + slope_k e and SD
    sd_k (s + spread_floor)^sd_by_spread. Without members to disagree (s is NaN) the terms of s are
    left out.

    Attributes:
      small_slope: change of the mean of the first component per unit of e.
      large_slope: of the second.
      small_sd: SD of the first component.
      large_sd: of the second.
      intercept: of the weight of the second component, as a log-odds.
      by_effect: change of that per unit of log|e|.
      by_spread: change of that per unit of log epistemic SD.
      sd_by_spread: exponent of the epistemic SD in the SDs.
      effect_floor: added to |e| before its logarithm.
      spread_floor: added to the epistemic SD before its logarithm.
      by_occlusion: what a variant is believed to share of the effect of hiding its surroundings.
      small_centre: mean of the first component where e is 0; 0 in cards that say nothing of it.
      large_centre: of the second.
    """

    small_slope: Scale
    large_slope: Scale
    small_sd: Positive
    large_sd: Positive
    intercept: Finite
    by_effect: Finite
    by_spread: Finite
    sd_by_spread: Finite
    effect_floor: Positive
    spread_floor: Positive
    by_occlusion: Bounded = 0.0
    small_centre: Bounded = 0.0
    large_centre: Bounded = 0.0

    def corrected(self, effect: Floats, occlusion: Floats) -> Floats:
        """The e of both components; all arguments (...), the same shape, log2 units."""
        return effect + self.by_occlusion * np.nan_to_num(occlusion)

    def distribution(self, effect: Floats, epistemic: Floats, occlusion: Floats) -> Mixture:
        """Distribution of the true effect; all arguments (...), the same shape.

        Where `occlusion` is NaN, nothing was hidden, and nothing is added to the effect.
        """
        effect = self.corrected(effect, occlusion)
        spread = np.where(np.isnan(epistemic), 0.0, np.log(epistemic + self.spread_floor))
        odds = self.intercept + self.by_effect * np.log(np.abs(effect) + self.effect_floor)
        factor = np.exp(self.sd_by_spread * spread)
        return Mixture(
            expit(odds + self.by_spread * spread),
            np.stack(
                [
                    self.small_centre + self.small_slope * effect,
                    self.large_centre + self.large_slope * effect,
                ]
            ),
            np.stack([self.small_sd * factor, self.large_sd * factor]),
        )


class Calibration(FittedEntry, Entry):
    """What was fitted, for what, and on what.

    Attributes:
      version: of this entry's layout.
      shape: of the distribution of the true effect.
      nominal: central probabilities, rising.
      level: what to ask of the distribution so that an interval holds the nominal share of measured
        effects: quantiles of scores of loci that a fit had not seen. Intervals of the true effect
        use them too, though no measurement can check those.
      noise_correlation: {target: between measurement errors of ref and alt in one replicate}; of
        other targets it is taken to be 0.
      assay: what a repeat repeats: kind of assay and its depth.
      assay_sd: SD of the measurement error of an effect in that assay, as published: what differs
        between experiments comes on top.
      targets: names of the targets whose effects were compared with measured ones.
      strands: of the passes that were scored.
      shifts: of the passes that were scored.
      n_occluded: bases hidden for `by_occlusion`, the variant in their middle; 0 where none are.
      variants: kind of the variants that were measured.
      method: how it was fitted.
      data: which measurements it was fitted to.
      n: measured variants.
      loci: independent loci among them.
    """

    model_config = ConfigDict(extra="ignore")  # a card may say more of how it was fitted

    version: Literal[2]
    shape: Shape
    nominal: Levels
    level: Levels
    noise_correlation: dict[str, Annotated[StrictFloat, Field(ge=-1, le=1)]]
    assay: str
    assay_sd: Positive
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    strands: Literal[1, 2]
    shifts: Annotated[tuple[StrictInt, ...], Field(min_length=1)]
    n_occluded: Annotated[StrictInt, Field(ge=0)] = 0
    variants: str
    method: str
    data: str
    n: int
    loci: int

    @pydantic.field_validator("level")
    @classmethod
    def _fits(cls, level: Levels, info: pydantic.ValidationInfo) -> Levels:
        if len(level) != len(info.data.get("nominal", level)):
            raise ValueError("needs one value for each of nominal")
        return level

    @pydantic.model_validator(mode="after")
    def _hides_what_it_reads(self) -> Self:
        is_odd = self.n_occluded % 2 == 1
        if (self.n_occluded and not is_odd) or is_odd != (self.shape.by_occlusion != 0):
            raise ValueError(
                f"n_occluded is {self.n_occluded} with a shape.by_occlusion of"
                f" {self.shape.by_occlusion:g}; it is odd where that is not 0, else 0: fit the"
                " calibration anew with `varsigma-train calibrate`"
            )
        return self

    @classmethod
    def from_card(cls, block: object, targets: Sequence[str]) -> Self | None:
        """Read the entry of a card with these targets; None means uncalibrated.

        Raises:
          ModelContractError: a key is missing or malformed, or a target is none of the model's.
        """
        if block is None:
            return None
        found = block.get("version") if isinstance(block, Mapping) else VERSION
        if found is not None and found != VERSION:
            raise ModelContractError(
                f"calibration.version is {found}, this service reads {VERSION}: fit it anew with"
                " `varsigma-train calibrate`, or set calibration to null to score uncalibrated"
            )
        calibration = read_entry(cls, "calibration", block)
        if unknown := set(calibration.targets).difference(targets):
            raise ModelContractError(
                f"calibration.targets: {', '.join(sorted(unknown))} is no target of the model"
            )
        return calibration

    def applied(self, targets: Sequence[str], applies: Sequence[bool]) -> "Applied":
        """Bring it to the T targets of a model, for those that it applies to."""
        correlation = [self.noise_correlation.get(target, 0.0) for target in targets]
        holds = np.array(applies, bool)
        return Applied(self, holds, np.where(holds, correlation, 0.0))

    def miss(self, coverage: float) -> float:
        """Share of the distribution to leave outside, so that measured effects miss 1 - coverage.

        Linear between the stored levels, and from the outer ones to 0 and 1.
        """
        outside = [0.0, *(1 - value for value in reversed(self.nominal)), 1.0]
        asked = [0.0, *(1 - value for value in reversed(self.level)), 1.0]
        return float(np.interp(1 - coverage, outside, asked))


@dataclass(frozen=True)
class Applied:
    """A calibration, and the targets that it holds for.

    Attributes:
      calibration: of the model.
      targets: (T,) whether each target is one of its.
      noise_correlation: (T,) of the errors of ref and alt.
    """

    calibration: Calibration
    targets: NDArray[np.bool_]
    noise_correlation: Floats
