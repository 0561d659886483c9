"""mu and sigma of both alleles -> one predictive distribution of the effect per target."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Annotated, Any, Literal, Protocol, Self, TypeAlias

import numpy as np
import pydantic
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt

from service.errors import ModelContractError, ValidationError

Floats: TypeAlias = NDArray[np.floating[Any]]

Scale: TypeAlias = Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)]

_NORMAL = NormalDist()
_normal_cdf = np.vectorize(_NORMAL.cdf, otypes=[np.float64])


class Scales(Protocol):
    """How the parts of a distribution combine; each is one number, or (T,) one per target.

    Attributes:
      noise_scale: factor on the aleatoric SD of a difference of two alleles.
      epistemic_scale: factor on the SD from members and passes.
      floor: SD in log2 that remains when members and passes agree.
    """

    @property
    def noise_scale(self) -> float | Floats: ...  # noqa: D102  (see the class)
    @property
    def epistemic_scale(self) -> float | Floats: ...  # noqa: D102
    @property
    def floor(self) -> float | Floats: ...  # noqa: D102


def total_sd(spread: Floats, noise: Floats, scales: Scales) -> Floats:
    """SD of a whole distribution: the one formula that is fitted, and applied when scoring.

    Args:
      spread: (..., T) or (n,) sqrt(epistemic^2 + representation^2).
      noise: the same shape, sqrt of the mean over members and passes of sigma_ref^2 + sigma_alt^2.
      scales: factors and floor.

    Returns:
      The same shape: sqrt(floor^2 + (epistemic_scale * spread)^2 + (noise_scale * noise)^2).
    """
    variance = (
        np.square(scales.floor)
        + np.square(scales.epistemic_scale * spread)
        + np.square(scales.noise_scale * noise)
    )
    sd: Floats = np.sqrt(variance)
    return sd


@dataclass(frozen=True)
class TargetScales:
    """`Scales` with (T,) values."""

    noise_scale: Floats
    epistemic_scale: Floats
    floor: Floats


_UNCALIBRATED = TargetScales(np.ones(1), np.ones(1), np.zeros(1))


class Calibration(BaseModel):
    """The `calibration` entry of a card: fitted scales, and what they were fitted for and on.

    Attributes:
      version: of this entry's layout.
      noise_scale: as in `Scales`.
      epistemic_scale: as in `Scales`.
      floor: as in `Scales`.
      targets: names of the targets whose effects were compared with measured ones.
      strands: of the passes that were scored.
      shifts: of the passes that were scored.
      variants: kind of the variants that were measured.
      method: how the scales were fitted.
      data: which measurements they were fitted to.
      n: measured variants.
      loci: independent loci among them.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1]
    noise_scale: Scale
    epistemic_scale: Scale
    floor: Scale
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    strands: Literal[1, 2]
    shifts: Annotated[tuple[StrictInt, ...], Field(min_length=1)]
    variants: str
    method: str
    data: str
    n: int
    loci: int

    @classmethod
    def from_card(cls, block: object, targets: Sequence[str]) -> Self | None:
        """Read the entry of a card with these targets; None means uncalibrated.

        Raises:
          ModelContractError: a key is missing or malformed, a scale is no number >= 0, or a target
            is none of the model's.
        """
        if block is None:
            return None
        try:
            calibration = cls.model_validate(block)
        except pydantic.ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(("calibration", *map(str, problem["loc"])))
            raise ModelContractError(f"{where}: {problem['msg']}") from error
        if unknown := set(calibration.targets).difference(targets):
            raise ModelContractError(
                f"calibration.targets: {', '.join(sorted(unknown))} is no target of the model"
            )
        return calibration

    def applies_to(
        self, targets: Sequence[str], strands: int, shifts: tuple[int, ...]
    ) -> tuple[bool, ...]:
        """Say for each target whether effects scored with these passes are what was fitted."""
        has_passes = strands == self.strands and set(shifts) == set(self.shifts)
        return tuple(has_passes and target in self.targets for target in targets)

    def scales(self, applies: tuple[bool, ...]) -> TargetScales:
        """Return the scales of T targets: the fitted ones where they apply, else 1, 1 and 0."""
        where = np.array(applies)
        return TargetScales(
            noise_scale=np.where(where, self.noise_scale, 1.0),
            epistemic_scale=np.where(where, self.epistemic_scale, 1.0),
            floor=np.where(where, self.floor, 0.0),
        )


@dataclass(frozen=True)
class Effects:
    """Distributions of N effects on T targets, each attribute (N, T), log2 units.

    Attributes:
      effect: mean of mu(alt) - mu(ref), paired within each member and pass.
      epistemic: SD over members of the member's effect; NaN for one member.
      representation: SD over passes (strands, shifts, anchorings) of the pass's effect; NaN for
        one pass.
      aleatoric: part of sd that follows sigma of the two alleles: measurement noise and what the
        model cannot explain.
      sd: SD of the whole distribution, that of a measured effect.
      lower: lower end of the central interval of a measured effect at the coverage asked for.
      upper: upper end of it.
      p_sign: probability, 0.5 to 1, that a measured effect would have the sign of `effect`:
        Phi(|effect| / sd).
    """

    effect: Floats
    epistemic: Floats
    representation: Floats
    aleatoric: Floats
    sd: Floats
    lower: Floats
    upper: Floats
    p_sign: Floats

    @classmethod
    def missing(cls, n: int, n_targets: int) -> Self:
        """Return (n, n_targets) arrays of NaN, the value of what was not scored."""
        return cls(*(np.full((n, n_targets), np.nan) for _ in fields(cls)))

    def put(self, rows: NDArray[np.intp], part: "Effects") -> None:
        """Write the rows of `part` into these rows of the arrays."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(part, field.name)


def effect_distribution(
    mu: Floats, sigma: Floats, coverage: float, scales: Scales | None
) -> Effects:
    """Combine the outputs for both alleles into one distribution per variant and target.

    Without scales: aleatoric^2 = mean over members and passes of sigma_ref^2 + sigma_alt^2, and
    sd^2 = epistemic^2 + representation^2 + aleatoric^2. Scales combine them as `total_sd` says,
    and aleatoric is then the scaled part. The distribution is normal; a part that is NaN (one
    member, one pass) adds 0.

    Args:
      mu: (N, P, 2, M, T) means; axis 2 is ref, alt.
      sigma: the same shape, SD of one measurement of one allele as the model sees it, > 0: label
        noise and model error; the card's sigma_source says what it was learnt from.
      coverage: probability inside (lower, upper), between 0 and 1.
      scales: of each target, None for uncalibrated ones.

    Raises:
      ValidationError: coverage outside (0, 1).
    """
    if not 0 < coverage < 1:
        raise ValidationError(f"coverage must lie between 0 and 1, got {coverage}")
    # float64, because near-equal numbers are subtracted.
    difference = mu[:, :, 1].astype(np.float64) - mu[:, :, 0]
    effect = difference.mean(axis=(1, 2))
    epistemic = _sd(difference.mean(axis=1))
    representation = _sd(difference.mean(axis=2))
    noise = np.sqrt(np.square(sigma, dtype=np.float64).sum(axis=2).mean(axis=(1, 2)))
    spread = np.hypot(np.nan_to_num(epistemic), np.nan_to_num(representation))
    scales = scales or _UNCALIBRATED
    aleatoric = noise * scales.noise_scale
    sd = total_sd(spread, noise, scales)
    z = np.divide(np.abs(effect), sd, out=np.where(effect == 0, 0.0, np.inf), where=sd > 0)
    # By the lower tail: 0.5 + coverage / 2 would round to 1 for a coverage just below it.
    half_width = -_NORMAL.inv_cdf((1 - coverage) / 2) * sd
    return Effects(
        effect=effect,
        epistemic=epistemic,
        representation=representation,
        aleatoric=aleatoric,
        sd=sd,
        lower=effect - half_width,
        upper=effect + half_width,
        p_sign=_normal_cdf(z),
    )


def _sd(values: Floats) -> Floats:
    """Sample SD over axis 1 of (N, K, T); NaN where K is 1."""
    if values.shape[1] == 1:
        return np.full((values.shape[0], values.shape[2]), np.nan)
    sd: Floats = values.std(axis=1, ddof=1)
    return sd
