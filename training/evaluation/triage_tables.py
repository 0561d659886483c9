"""Calls of a list beside what the assay found: are as many wrong as was said?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtri

from service.mixture import Floats
from service.triage import TIERS, Tier, surest_calls, triage
from training.datasets.cagi5 import ELEMENTS
from training.evaluation.metrics import LEVEL, Estimate, estimate
from training.evaluation.report import Cell, Table, rows_of

if TYPE_CHECKING:
    from training.evaluation.uncertainty import Judged

RATES = (0.1, 0.2, 0.3)
THRESHOLDS = (0.0, 0.1)
"""Smallest effects that matter, log2 units."""
BEYOND = 0.1
"""Threshold of `tiers_kept`: the service's default."""
SIGNIFICANT = 0.05
_COLUMNS = (
    "n calls",
    "said to be wrong",
    "wrong direction, expected of the measurement",
    "wrong direction",
    "wrong direction, significantly",
    "not significant in the assay",
    "either",
)
NOTE = (
    "Calls: one list of all variants, tiers as `service/triage.py` makes them; those of an element "
    "are its part of that list, for which by itself no rate was promised. Not significant is p >= "
    f"{SIGNIFICANT:g} by the standard error, which is no proof of no effect; either is a wrong "
    "direction, significant or not, or no significance. Where none or all of the calls are of a "
    "kind, a bootstrap sees no doubt: the interval is then the exact binomial one (Clopper and "
    "Pearson 1934), of as many trials as there are positions among the calls. Calls of no effect "
    "are made in their own table alone, by the rule of the others: to show why the service makes "
    "none."
)


def calls(judged: Judged, counts: Floats) -> Table:
    """Calls of an effect at each error rate, over the whole list.

    Args:
      judged: n measured effects.
      counts: (B, n) resamples.
    """
    rows: list[list[Cell]] = []
    for threshold in THRESHOLDS:
        for rate in RATES:
            label = f"{rate:.0%}, effects beyond {threshold:g}"
            rows.append([label, *_row(judged, counts, *_calls(judged, rate, threshold))])
    title = "Calls of a direction at a given error rate, all elements as one list"
    return Table(title, ("error rate", *_COLUMNS), rows_of(rows))


def calls_by_element(judged: Judged, counts: Floats, rate: float) -> Table:
    """The calls of the whole list at one error rate for any effect, element by element.

    Args:
      judged: n measured effects.
      counts: (B, n) resamples.
      rate: at which the calls were made, over all elements as one list.
    """
    direction, wrong = _calls(judged, rate, THRESHOLDS[0])
    rows: list[list[Cell]] = [
        [name, *_row(judged, counts, np.where(judged.element == name, direction, 0), wrong)]
        for name in ELEMENTS
    ]
    title = f"Calls of a direction at an error rate of {rate:.0%}, by element"
    return Table(title, ("element", *_COLUMNS), rows_of(rows))


def tiers_kept(judged: Judged, counts: Floats, threshold: float = BEYOND) -> Table:
    """The very event that an error rate is about, for calls of an effect and for calls of none.

    Losses and gains stand by themselves too, though the rate is promised of both together.

    A call of an effect is wrong where it is not beyond the threshold in its direction, one of none
    where it is beyond it in either. `service.triage` makes no calls of none: they are made here, by
    its rule, to show why. Measurements have noise: so beside the share of them that speak against
    the calls stands what the distribution, widened by their errors, expects of it.

    Args:
      judged: n measured effects.
      counts: (B, n) resamples.
      threshold: smallest effect that matters, log2 units.
    """
    value, measured = judged.evidence.value, judged.measured
    above = 1 - measured.cdf(np.full(len(value), threshold))
    below = measured.cdf(np.full(len(value), -threshold))
    rows: list[list[Cell]] = []
    for rate in RATES:
        found = triage(judged.true, error_rate=rate, threshold=threshold)
        lowers, raises = (found.tier == TIERS.index(tier) for tier in (Tier.LOWERS, Tier.RAISES))
        none = np.zeros(len(value), bool)
        none[surest_calls(1 - found.negligible, rate)] = True
        expected = np.select([lowers, raises], [1 - below, 1 - above], above + below)
        against = np.select(
            [lowers, raises], [value >= -threshold, value <= threshold], np.abs(value) > threshold
        )
        for kind, called, wrong in (
            ("an effect", lowers | raises, found.error),
            ("of them a loss", lowers, found.error),
            ("of them a gain", raises, found.error),
            ("no effect", none, 1 - found.negligible),
        ):
            said = [
                float(part[called].mean()) if called.any() else None for part in (wrong, expected)
            ]
            share = _share(judged, against, called, counts)
            rows.append(
                [f"{rate:.0%}, {kind} beyond {threshold:g}", int(called.sum()), *said, share]
            )
    columns = ("error rate, call", "n calls", "said to be wrong", "measured so, expected")
    title = "Calls of an effect and of none, against the event that is promised"
    return Table(title, (*columns, "measured so"), rows_of(rows))


def _calls(judged: Judged, rate: float, threshold: float) -> tuple[NDArray[np.int64], Floats]:
    """Direction of each call, -1, 1 or 0 for none, and the probability that it is wrong."""
    found = triage(judged.true, error_rate=rate, threshold=threshold)
    lowers, raises = (found.tier == TIERS.index(tier) for tier in (Tier.LOWERS, Tier.RAISES))
    return raises.astype(np.int64) - lowers, found.error


def _row(judged: Judged, counts: Floats, direction: NDArray[np.int64], wrong: Floats) -> list[Cell]:
    value, error, called = judged.evidence.value, judged.evidence.error, direction != 0
    above = judged.measured.above_zero()
    # A true sign that is right may yet be measured wrong.
    expected = np.where(direction > 0, 1 - above, above)
    against = value * direction < 0
    silent = np.abs(value) < -ndtri(SIGNIFICANT / 2) * error
    said = [float(part[called].mean()) if called.any() else None for part in (wrong, expected)]
    kinds = against, against & ~silent, silent, against | silent
    shares = [_share(judged, kind, called, counts) for kind in kinds]
    return [int(called.sum()), *said, *shares]


def _share(
    judged: Judged, part: NDArray[np.bool_], called: NDArray[np.bool_], counts: Floats
) -> Estimate:
    """Share of the calls that are of a kind; undefined where there is no call."""
    if not called.any():
        return Estimate(np.nan, np.nan, np.nan)
    n_part = int((part & called).sum())
    if n_part in {0, int(called.sum())}:
        share = float(n_part > 0)
        n = len(set(zip(judged.evidence.locus[called], judged.position[called], strict=True)))
        exact = stats.binomtest(n if n_part else 0, n).proportion_ci(LEVEL, method="exact")
        return Estimate(share, float(exact.low), float(exact.high))
    total = counts @ called
    with np.errstate(invalid="ignore"):
        draws = np.where(total > 0, (counts @ (part & called)) / total, np.nan)
    return estimate(float(part[called].mean()), draws)
