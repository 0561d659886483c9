"""mu and sigma of both alleles -> one predictive distribution of the effect per target."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.errors import ModelContractError, ValidationError

Floats: TypeAlias = NDArray[np.floating[Any]]

_NORMAL = NormalDist()
_normal_cdf = np.vectorize(_NORMAL.cdf, otypes=[np.float64])


@dataclass(frozen=True)
class Calibration:
    """How the parts of a distribution combine, fitted on measured variant effects.

    Each value is one number, or one per target in the model's order.

    Attributes:
      noise_scale: factor on the aleatoric SD of a difference of two alleles.
      epistemic_scale: factor on the SD from members and passes.
      floor: SD in log2 that remains when members and passes agree.
    """

    noise_scale: float | tuple[float, ...]
    epistemic_scale: float | tuple[float, ...]
    floor: float | tuple[float, ...]

    @classmethod
    def from_card(cls, block: Mapping[str, Any] | None, n_targets: int) -> Self | None:
        """Read the `calibration` entry of a model card; None means uncalibrated.

        Raises:
          ModelContractError: a value is missing, negative, or not one number per target.
        """
        if block is None:
            return None
        values: dict[str, float | tuple[float, ...]] = {}
        for name in (field.name for field in fields(cls)):
            try:
                array = np.asarray(block[name], np.float64)
            except (KeyError, TypeError, ValueError) as error:
                raise ModelContractError(f"calibration needs a number {name!r}") from error
            if (
                array.shape not in {(), (n_targets,)}
                or not (np.isfinite(array) & (array >= 0)).all()
            ):
                raise ModelContractError(
                    f"calibration {name!r} must be one number >= 0, or one for each of the"
                    f" {n_targets} targets"
                )
            values[name] = tuple(array.tolist()) if array.ndim else float(array)
        return cls(**values)


@dataclass(frozen=True)
class Effects:
    """Distributions of N effects on T targets, each attribute (N, T), log2 units.

    Attributes:
      effect: mean of mu(alt) - mu(ref), paired within each member and pass.
      epistemic: SD over members of the member's effect; NaN for one member.
      representation: SD over passes (strands and shifts) of the pass's effect; NaN for one pass.
      aleatoric: SD of the measurement noise of the difference.
      sd: SD of the whole distribution.
      lower: lower end of the central interval at the coverage asked for.
      upper: upper end of it.
      p_sign: probability, 0.5 to 1, that the effect has the sign of `effect`: Phi(|effect| / sd).
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
    mu: Floats, sigma: Floats, coverage: float, calibration: Calibration | None
) -> Effects:
    """Combine the outputs for both alleles into one distribution per variant and target.

    Uncalibrated: aleatoric^2 = mean over members and passes of sigma_ref^2 + sigma_alt^2 and
    sd^2 = epistemic^2 + representation^2 + aleatoric^2. Calibrated: aleatoric is multiplied by
    `noise_scale` and sd^2 = floor^2 + epistemic_scale^2 * (epistemic^2 + representation^2)
    + aleatoric^2. The distribution is normal; a part that is NaN (one member, one pass) adds 0.

    Args:
      mu: (N, P, 2, M, T) means; axis 2 is ref, alt.
      sigma: the same shape, SD of one measurement of one allele, > 0.
      coverage: probability inside (lower, upper), between 0 and 1.
      calibration: scales for this model, None if there are none.

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
    noise = np.square(sigma, dtype=np.float64).sum(axis=2).mean(axis=(1, 2))
    scales = calibration or Calibration(noise_scale=1.0, epistemic_scale=1.0, floor=0.0)
    aleatoric = np.sqrt(noise) * np.asarray(scales.noise_scale)
    model = np.nan_to_num(epistemic) ** 2 + np.nan_to_num(representation) ** 2
    sd = np.sqrt(np.square(scales.floor) + np.square(scales.epistemic_scale) * model + aleatoric**2)
    z = np.divide(np.abs(effect), sd, out=np.where(effect == 0, 0.0, np.inf), where=sd > 0)
    half_width = _NORMAL.inv_cdf(0.5 + coverage / 2) * sd
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
