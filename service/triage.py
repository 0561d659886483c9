"""Distributions of true effects -> tiers with an error rate for the whole list.

Three things can be said of a variant: it likely lowers activity, likely raises it, or one cannot
tell. The first two are calls, and may be wrong; how often, over a list, is what the user sets. That
there is no effect is never called: on loci that a fit had not seen such calls did not keep their
rate (docs/method.md). Its probability is reported. Nothing here says that an effect is harmful.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from service.errors import ValidationError
from service.mixture import Floats, Mixture


class Tier(StrEnum):
    """What is said of a variant."""

    LOWERS = "likely_lowers"
    RAISES = "likely_raises"
    UNKNOWN = "cannot_tell"

    @property
    def plain_name(self) -> str:
        """The same for a person.

        >>> Tier.LOWERS.plain_name
        'likely lowers activity'
        """
        return _PLAIN_NAMES[self]


_PLAIN_NAMES = {
    Tier.LOWERS: "likely lowers activity",
    Tier.RAISES: "likely raises activity",
    Tier.UNKNOWN: "cannot tell",
}


TIERS = tuple(Tier)
_LOWERS, _RAISES, _UNKNOWN = range(len(TIERS))


@dataclass(frozen=True, slots=True)
class Losses:
    """What being wrong costs; the unit is that of calling an effect that is not there.

    Attributes:
      wrong_direction: of saying lowers where it raises, or the other way round.
      false_call: of saying either where the effect is negligible.
    """

    wrong_direction: float = 2.0
    false_call: float = 1.0


@dataclass(frozen=True, slots=True)
class Triage:
    """What is said of each of N variants, in their order.

    Attributes:
      tier: (N,) index into `TIERS`; a variant without a distribution is one nobody can tell.
      lowers: (N,) probability that the true effect is below -threshold.
      raises: (N,) that it is above threshold.
      negligible: (N,) that it is between.
      error: (N,) probability that the call is wrong; NaN where there is none.
      loss: (N,) expected loss of the call, or of the likelier one where none is made.
      rank: (N,) 1-based by rising expected loss of the calls made, then of the rest: so what is
        most surely negligible comes last.
    """

    tier: NDArray[np.intp]
    lowers: Floats
    raises: Floats
    negligible: Floats
    error: Floats
    loss: Floats
    rank: NDArray[np.intp]


def triage(
    true: Mixture, *, error_rate: float, threshold: float = 0.1, losses: Losses | None = None
) -> Triage:
    """Sort N variants into tiers.

    Calls of an effect, of either direction, are made from the surest on and never against the odds,
    as many as keep the mean of their error probabilities, and so the expected share of wrong ones
    among them, at or below `error_rate`: the direct posterior approach to false discoveries (Newton
    et al., Biostatistics 2004). It is as honest as the distribution is.

    Args:
      true: distributions of the true effects, (N,), log2 units; NaN where there is none.
      error_rate: expected share of wrong calls, between 0 and 1.
      threshold: smallest effect that matters, log2 units, at least 0; at 0 nothing is negligible.
      losses: of wrong calls.

    Raises:
      ValidationError: the rate or the threshold is out of range.
    """
    if not 0 < error_rate < 1:
        raise ValidationError(f"the error rate must lie between 0 and 1, got {error_rate}")
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ValidationError(f"the threshold must be at least 0 log2 units, got {threshold}")
    cost = losses or Losses()
    mirrored = Mixture(true.weight, -true.mean, true.sd)
    edge = np.full(true.weight.shape, -threshold)
    # Each by its own tail: a difference of two near 1 would lose what matters.
    lowers, raises = true.cdf(edge), mirrored.cdf(edge)
    negligible = np.clip(1 - lowers - raises, 0.0, 1.0)
    if threshold == 0:
        negligible = np.where(np.isnan(lowers), np.nan, 0.0)
    direction = np.where(lowers >= raises, _LOWERS, _RAISES)
    wrong = 1 - np.maximum(lowers, raises)
    called = surest_calls(wrong, error_rate)
    tier = np.full(len(wrong), _UNKNOWN)
    tier[called] = direction[called]
    is_call = tier != _UNKNOWN
    error = np.where(is_call, wrong, np.nan)
    loss = cost.wrong_direction * np.minimum(lowers, raises) + cost.false_call * negligible
    order = np.lexsort((np.nan_to_num(loss, nan=np.inf), ~is_call))
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(1, len(order) + 1)
    return Triage(tier, lowers, raises, negligible, error, loss, rank)


def surest_calls(wrong: Floats, error_rate: float) -> NDArray[np.intp]:
    """The most calls whose mean probability of being wrong is at most the rate.

    A call that is more likely wrong than right is none, however much the sure ones leave room. Of
    calls that are equally sure, of one variant written twice say, all are made or none: the order
    of the input decides nothing.

    Args:
      wrong: (N,) probability that each possible call is wrong; NaN where there can be none.
      error_rate: expected share of wrong calls, between 0 and 1.

    Returns:
      (K,) indices into `wrong` of the calls to make, the surest first.
    """
    order = np.argsort(wrong, kind="stable")  # NaN last
    order = order[wrong[order] < 0.5]
    rising = wrong[order]
    mean = np.cumsum(rising) / np.arange(1, len(order) + 1)
    # Rising means: the last place that holds is the number of calls.
    n_calls = int(np.sum(mean <= error_rate))
    if n_calls < len(order):
        n_calls = int(np.searchsorted(rising, rising[n_calls]))
    return order[:n_calls]
