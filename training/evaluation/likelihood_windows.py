"""Scores of two classes of variants -> the ratio of their densities, in windows over the score.

The statistics behind `training.evaluation.likelihood`: nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from service.likelihood import read_off
from training.evaluation.metrics import Estimate, Floats, estimate, resample

WINDOW = 200
"""Variants of either class in a window; Pejaver et al. ask for at least 100."""
STEP = WINDOW // 2
FULL = 20
"""Variants of the rarer class with which a locus has its full weight."""
SUPPORT = 3
"""Loci that reach the largest score of which anything is said."""
_EDGES = (0.0, 0.35, 0.42, 0.5, 0.6, 0.7, 1.0)
"""Of bins of the probability of an effect."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """n variants of either class.

    Attributes:
      score: (n,) |predicted effect|, log2 units.
      is_effect: (n,) the assay found an effect; of the others it found none.
      locus: (n,) where each was measured; the two TERT sets are one locus.
      position: (n,) label of its position, whose variants are resampled together.
    """

    score: Floats
    is_effect: NDArray[np.bool_]
    locus: NDArray[np.str_]
    position: NDArray[np.int64]

    def where(self, rows: NDArray[np.bool_]) -> Self:
        """The rows marked."""
        return type(self)(*(getattr(self, name)[rows] for name in self.__slots__))

    @property
    def loci(self) -> list[str]:
        """Names of the loci, sorted."""
        return sorted(set(self.locus.tolist()))

    @property
    def weights(self) -> dict[str, float]:
        """{locus: its weight in both classes alike}, at most 1.

        As the same loci then stand behind either class in the same parts, a locus with many effects
        and large scores is not mistaken for evidence; with few variants of a class it says less.
        """
        found = {}
        for locus in self.loci:
            of_locus = self.is_effect[self.locus == locus]
            rarer = min(int(of_locus.sum()), int((~of_locus).sum()))
            found[locus] = min(1.0, rarer / FULL)
        return found


@dataclass(frozen=True, slots=True)
class Draws:
    """B resamples of loci, and of positions within each.

    Both, though loci alone would be enough if there were many: of a dozen, the resampled ones alone
    differ too little from each other. Too wide is the better fault.

    Attributes:
      rows: (B, n) how often each variant occurs among those of its locus.
      loci: (B, L) how often each locus occurs.
    """

    rows: NDArray[np.integer[Any]]
    loci: NDArray[np.integer[Any]]

    @classmethod
    def of(cls, labelled: Labelled, draws: int, rng: np.random.Generator) -> Self:
        """Draw resamples."""
        n_loci = len(labelled.loci)
        rows = np.empty((draws, len(labelled.score)), np.int16)
        for locus in labelled.loci:
            here = labelled.locus == locus
            rows[:, here] = resample(labelled.position[here], draws, rng)
        return cls(rows, rng.multinomial(n_loci, np.full(n_loci, 1 / n_loci), size=draws))

    @classmethod
    def none(cls, labelled: Labelled) -> Self:
        """Everything once."""
        return cls(
            np.ones((1, len(labelled.score)), np.int16), np.ones((1, len(labelled.loci)), int)
        )


@dataclass(frozen=True, slots=True)
class Table:
    """Windows over the score and the ratio in each.

    Attributes:
      score: (G,) median score of each window, rising.
      inside: (n, G) which variants lie in each.
      ratio: (G,) P(score | effect) / P(score | none).
      score_max: the largest score of a window that `SUPPORT` loci reach.
    """

    score: Floats
    inside: NDArray[np.bool_]
    ratio: Floats
    score_max: float

    def at(self, score: Floats) -> Floats:
        """Ratios of scores, NaN beyond the table, as the service reads them off."""
        return read_off(score, self.score, self.ratio, self.score_max)


def fit_ratios(labelled: Labelled) -> Table:
    """Estimate the ratio in sliding windows.

    Raises:
      ValueError: too few variants for two windows, or too few loci with both classes.
    """
    weights = labelled.weights
    if (n_loci := sum(weight > 0 for weight in weights.values())) < SUPPORT:
        raise ValueError(
            f"{n_loci} loci have variants with an effect and with none; {SUPPORT} are needed"
        )
    ordered = np.sort(labelled.score)
    if len(ordered) < WINDOW + STEP:
        raise ValueError(
            f"{len(ordered)} variants of either class are too few: two windows of {WINDOW} need "
            f"{WINDOW + STEP}"
        )
    first = np.unique([*range(0, len(ordered) - WINDOW, STEP), len(ordered) - WINDOW])
    ends = np.stack([ordered[first], ordered[first + WINDOW - 1]])
    views = np.lib.stride_tricks.sliding_window_view(ordered, WINDOW)[first]
    middle, kept = np.median(views, axis=1), np.argsort(ends[1] - ends[0], kind="stable")
    # Many equal scores make windows of one median: the narrowest of them says most.
    middle, chosen = np.unique(middle[kept], return_index=True)
    low, high = ends[:, kept[chosen]]
    inside = (labelled.score[:, None] >= low) & (labelled.score[:, None] <= high)
    reached = sorted(
        labelled.score[labelled.locus == locus].max()
        for locus, weight in labelled.weights.items()
        if weight > 0  # a locus of one class says nothing of the ratio
    )
    return Table(
        middle,
        inside,
        window_ratios(labelled, inside, Draws.none(labelled))[0],
        max(min(float(reached[-SUPPORT]), float(high.max())), float(middle[-1])),
    )


def window_ratios(labelled: Labelled, inside: NDArray[np.bool_], draws: Draws) -> Floats:
    """Ratio (B, G) in each window of each resample.

    Half a variant of the rarer class is added to the share of either, so that an empty window is no
    infinite evidence.
    """
    effect, none = class_means(labelled, inside.astype(np.float64), draws)
    rarer = min(int(labelled.is_effect.sum()), int((~labelled.is_effect).sum()))
    ratio: Floats = (effect + 0.5 / rarer) / (none + 0.5 / rarer)
    return ratio


def class_means(labelled: Labelled, values: Floats, draws: Draws) -> Floats:
    """Means of values (n, G) among effects and among the others: (2, B, G).

    Each is a mean over loci, weighted by `Labelled.weights`, of the mean within a locus.
    """
    total = np.zeros((2, len(draws.loci), values.shape[1]))
    weight = np.zeros((2, len(draws.loci), 1))
    for column, (locus, of_locus) in enumerate(labelled.weights.items()):
        for row, has_effect in enumerate((True, False)):
            here = (labelled.locus == locus) & (labelled.is_effect == has_effect)
            counts = draws.rows[:, here].astype(np.float64)
            n = counts.sum(axis=1, keepdims=True)
            say = of_locus * draws.loci[:, [column]] * (n > 0)
            weight[row] += say
            total[row] += say * (counts @ values[here]) / np.maximum(n, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = total / weight  # NaN of a resample without a variant of the class
    return means


def ratios_without_each(labelled: Labelled) -> Floats:
    """(n,) ratio of each variant from a table fitted to all other loci, NaN beyond that table."""
    found = np.empty(len(labelled.score))
    for locus in labelled.loci:
        here = labelled.locus == locus
        found[here] = fit_ratios(labelled.where(~here)).at(labelled.score[here])
    return found


def log_losses(labelled: Labelled, ratio: Floats) -> Floats:
    """(n,) negative log-probability of the class found, in nats, from even odds; 1 where NaN."""
    evidence = np.log(np.where(np.isnan(ratio), 1.0, ratio))
    losses: Floats = np.logaddexp(0.0, np.where(labelled.is_effect, -evidence, evidence))
    return losses


def mean_log_loss(labelled: Labelled, ratio: Floats, draws: Draws) -> Estimate:
    """Mean of `log_losses` with its interval, either class with half of the weight."""
    losses = log_losses(labelled, ratio)[:, None]
    value = float(class_means(labelled, losses, Draws.none(labelled)).mean())
    return estimate(value, class_means(labelled, losses, draws).mean(axis=0)[:, 0])


@dataclass(frozen=True, slots=True)
class Bin:
    """Variants of which much the same was said.

    Attributes:
      low: least probability of an effect, from even odds.
      high: what it is below.
      n_effect: variants with an effect.
      n_none: with none.
      said: mean probability.
      found: share with an effect; both weighted as in the table.
    """

    low: float
    high: float
    n_effect: int
    n_none: int
    said: float
    found: Estimate


def reliability(labelled: Labelled, ratio: Floats, draws: Draws) -> Iterator[Bin]:
    """Yield what was said beside what was found, of bins that hold variants of full loci."""
    known = np.where(np.isnan(ratio), 1.0, ratio)
    said = known / (1 + known)
    for low, high in pairwise(_EDGES):
        inside = (said >= low) & (said < high)
        values = np.stack([inside, inside * said], axis=1).astype(np.float64)
        once, drawn = (
            class_means(labelled, values, each) for each in (Draws.none(labelled), draws)
        )
        if (weight := float(once[:, 0, 0].sum())) == 0:
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = drawn[0, :, 0] / drawn[:, :, 0].sum(axis=0)
        n_effect = int((inside & labelled.is_effect).sum())
        yield Bin(
            low,
            high,
            n_effect,
            int(inside.sum()) - n_effect,
            float(once[:, 0, 1].sum()) / weight,
            estimate(float(once[0, 0, 0]) / weight, shares),
        )
