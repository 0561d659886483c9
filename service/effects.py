"""mu and sigma of both alleles -> one predictive distribution of the effect per target."""

from dataclasses import dataclass, fields
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.calibration import Applied
from service.errors import ValidationError
from service.mixture import Mixture

Floats: TypeAlias = NDArray[np.floating[Any]]
Doubles: TypeAlias = NDArray[np.float64]

REF, ALT, HIDDEN = range(3)
"""Windows of one variant, in this order; the last is REF with hidden bases, where there are any."""


@dataclass(frozen=True)
class Effects:
    """Distributions of N effects on T targets, each attribute (N, T), log2 units.

    Two questions have two answers: how large the effect is (`sd`, `lower`, `upper`, `p_sign`), and
    what a repeat of the assay would measure (`repeat_...`): the same, and noise on top.

    Attributes:
      effect: mean of mu(alt) - mu(ref), paired within each member and pass.
      expected: mean of the distribution of the true effect.
      sd: SD of the true effect about `expected`; NaN where neither members nor passes tell.
      lower: lower end of the central interval of the true effect at the coverage asked for.
      upper: upper end of it.
      p_sign: probability that the true effect has the sign of `expected`. Below 0.5 where rare
        large effects of that sign outweigh likelier small ones of the other.
      repeat_sd: SD of what a repeat of the assay would measure.
      repeat_lower: lower end of the central interval of a repeat.
      repeat_upper: upper end of it.
      epistemic: SD over members of the member's effect; NaN for one member.
      representation: SD over passes (strands, shifts, anchorings) of the pass's effect; NaN for
        one pass.
      aleatoric: SD that sigma of the two alleles gives their difference: label noise of one
        measurement in the assay of the target, and what the model cannot explain.
      occlusion: mean of mu(ref) with the bases around the variant hidden, minus mu(ref), paired
        likewise; NaN where no calibration reads it, and for all but single-base changes.
      quantile: -1 to 1, rank of the size of `effect` among random single-base changes of the same
        model, with the sign of `effect`; NaN where they were scored otherwise, or not at all.
    """

    effect: Doubles
    expected: Doubles
    sd: Doubles
    lower: Doubles
    upper: Doubles
    p_sign: Doubles
    repeat_sd: Doubles
    repeat_lower: Doubles
    repeat_upper: Doubles
    epistemic: Doubles
    representation: Doubles
    aleatoric: Doubles
    occlusion: Doubles
    quantile: Doubles

    @classmethod
    def missing(cls, n: int, n_targets: int) -> Self:
        """Return (n, n_targets) arrays of NaN, the value of what was not scored."""
        return cls(*(np.full((n, n_targets), np.nan) for _ in fields(cls)))

    def put(self, rows: NDArray[np.intp], part: "Effects") -> None:
        """Write the rows of `part` into these rows of the arrays."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(part, field.name)


def effect_distribution(
    mu: Floats,
    sigma: Floats,
    coverage: float,
    applied: Applied | None,
    unchanged: NDArray[np.bool_] | None = None,
) -> Effects:
    """Combine the outputs for both alleles into one distribution per variant and target.

    Uncalibrated: the true effect is normal about `effect` with
    sd^2 = epistemic^2 + representation^2, and a repeat adds aleatoric^2; a part that is NaN (one
    member, one pass) adds 0. A calibration replaces both by the distribution that it fitted to
    measured effects. aleatoric^2 = mean over members and passes of
    sigma_ref^2 + sigma_alt^2 - 2 r sigma_ref sigma_alt, with r the correlation that the calibration
    gives, else 0.

    Args:
      mu: (N, P, 2 or 3, M, T) means; axis 2 is ref, alt, and ref with hidden bases where a
        calibration reads what that does, of single-base changes.
      sigma: the same shape, SD of one measurement of one allele as the model sees it, > 0: label
        noise and model error; the card's sigma_source says what it was learnt from.
      coverage: probability inside (lower, upper), between 0 and 1.
      applied: the calibration and its targets, None for none.
      unchanged: (N,) whether ref and alt are one sequence, whose effect is 0 beyond doubt: a
        calibration is of changes. None where all are changes.

    Returns:
      The distributions; their `quantile`, which needs a background, is NaN.

    Raises:
      ValidationError: coverage outside (0, 1).
    """
    if not 0 < coverage < 1:
        raise ValidationError(f"coverage must lie between 0 and 1, got {coverage}")
    # float64, because near-equal numbers are subtracted.
    difference = mu[:, :, ALT].astype(np.float64) - mu[:, :, REF]
    effect = difference.mean(axis=(1, 2))
    epistemic = _sd(difference.mean(axis=1))
    representation = _sd(difference.mean(axis=2))
    aleatoric = _aleatoric(sigma[:, :, :HIDDEN], applied)
    occlusion = np.full_like(effect, np.nan)
    if mu.shape[2] > HIDDEN:
        occlusion = (mu[:, :, HIDDEN].astype(np.float64) - mu[:, :, REF]).mean(axis=(1, 2))
    if applied and applied.targets.any():
        occlusion[:, ~applied.targets] = np.nan
    spread = np.hypot(np.nan_to_num(epistemic), np.nan_to_num(representation))
    spread[np.isnan(epistemic) & np.isnan(representation)] = np.nan
    is_change = np.ones((len(effect), 1), bool) if unchanged is None else ~unchanged[:, None]
    spread = np.where(is_change, spread, 0.0)
    true = Mixture.normal(effect, spread)
    repeat = Mixture.normal(effect, np.hypot(np.nan_to_num(spread), aleatoric))
    miss = np.full(effect.shape, 1 - coverage)
    if applied:
        calibration, holds = applied.calibration, applied.targets & is_change
        fitted = calibration.shape.distribution(effect, epistemic, occlusion)
        true = fitted.where(holds, true)
        repeat = fitted.widened(calibration.assay_sd).where(holds, repeat)
        miss[holds] = calibration.miss(coverage)
    # A spread of 0, where members and passes agree to the last bit, is a point.
    with np.errstate(invalid="ignore", divide="ignore"):
        lower, upper = true.tails(miss / 2)
        repeat_lower, repeat_upper = repeat.tails(miss / 2)
        p_sign = true.has_sign(true.expectation > 0)
    expected = true.expectation
    return Effects(
        effect=effect,
        expected=expected,
        sd=true.total_sd,
        lower=lower,
        upper=upper,
        p_sign=np.where((expected == 0) & ~np.isnan(spread), 0.5, p_sign),
        repeat_sd=repeat.total_sd,
        repeat_lower=repeat_lower,
        repeat_upper=repeat_upper,
        epistemic=epistemic,
        representation=representation,
        aleatoric=aleatoric,
        occlusion=occlusion,
        quantile=np.full_like(effect, np.nan),
    )


def _aleatoric(sigma: Floats, applied: Applied | None) -> Doubles:
    """SD (N, T) of the difference of two measurements whose errors are correlated."""
    variance = np.square(sigma, dtype=np.float64).sum(axis=2)
    if applied:
        product = sigma[:, :, 0].astype(np.float64) * sigma[:, :, 1]
        variance -= 2 * applied.noise_correlation * product
    sd: Doubles = np.sqrt(np.maximum(variance, 0).mean(axis=(1, 2)))
    return sd


def _sd(values: Doubles) -> Doubles:
    """Sample SD over axis 1 of (N, K, T); NaN where K is 1."""
    if values.shape[1] == 1:
        return np.full((values.shape[0], values.shape[2]), np.nan)
    sd: Doubles = values.std(axis=1, ddof=1)
    return sd
