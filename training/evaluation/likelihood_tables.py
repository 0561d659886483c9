"""Likelihood ratios as a model's card shows them: the table, and how it fared on unseen loci."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.likelihood import LikelihoodRatios
from training.datasets.cagi5 import HEPG2_MATCHED, UNMATCHED
from training.evaluation.likelihood import Fitted
from training.evaluation.likelihood_windows import (
    FULL,
    SUPPORT,
    WINDOW,
    log_losses,
    mean_log_loss,
    reliability,
)
from training.evaluation.metrics import Estimate
from training.evaluation.report import Cell, Report, Table, rows_of

RATIOS = "Likelihood ratios by size of the predicted effect"
LOCI = "Log loss from even odds, one locus left out"
RELIABILITY = "Probability of an effect from even odds, one locus left out"
ALL = "all loci, as weighted"


def report_of(name: str, entry: Mapping[str, Any], fitted: Fitted) -> Report:
    """Lay out an entry and what it comes from."""
    block = LikelihoodRatios.model_validate(entry)
    both = 2 * block.confidence - 1
    silent = sum(low <= 1 <= high for low, high in zip(block.lower, block.upper, strict=True))
    loss = block.left_out
    verdict = (
        "better than no table"
        if loss.high < loss.of_1
        else "worse than no table"
        if loss.low > loss.of_1
        else "not told apart from no table"
    )
    notes = (
        "Ratio: P(size | effect) / P(size | none), where size is that of the predicted effect, "
        "log2 units. Neither class says anything of disease, and no ratio is a call. Research use "
        "only.",
        f"effect: {block.effect}. none: {block.none}.",
        "Variants of the release set: "
        + ", ".join(f"{number} {what}" for what, number in fitted.n_by.items())
        + ". neither: too small or too uncertain for either class; of such an effect the ratio "
        "says nothing.",
        f"{block.method}; windows after Pejaver et al. 2022, doi:10.1016/j.ajhg.2022.10.013. A "
        f"locus with fewer than {FULL} variants of a class weighs less. lower, upper: one-sided "
        f"{block.confidence:.0%} bounds, {both:.0%} together, {block.draws} resamples of loci and "
        "of positions within them. Of a single new locus, which may be unlike all of these, they "
        "promise nothing.",
        f"The bounds hold 1 at {silent} of {len(block.score)} points: there the size of an effect "
        "says nothing that can be told from chance.",
        f"Of {', '.join(block.targets)} together, each element read from its target as in the "
        f"calibration: HepG2 has {len(HEPG2_MATCHED)} loci, too few for a table of its own. The "
        f"{len(UNMATCHED)} elements that match no target were assayed in other cells than K562.",
        f"Points are medians of windows of {WINDOW} variants; between them the logarithm of the "
        "ratio is linear in the score, outside it is that of the outer window, and beyond "
        f"{block.score_max:.3f}, the largest that {SUPPORT} loci reach, nothing is said.",
        f"One locus left out: log loss {loss.log_loss:.3f} [{loss.low:.3f}, {loss.high:.3f}] nats, "
        f"{loss.of_1:.3f} with a ratio of 1 for every variant: {verdict}. Both classes equally "
        "probable beforehand; 95 % bootstrap over loci and positions.",
    )
    tables = (_ratios(block, fitted), _loci(fitted), _reliability(fitted))
    return Report(f"Likelihood ratios: {name}", tables, notes)


def _ratios(block: LikelihoodRatios, fitted: Fitted) -> Table:
    inside, score = fitted.table.inside, fitted.labelled.score
    ends = [(score[column].min(), score[column].max()) for column in inside.T]
    rows = [
        [f"{point:.4f}", *map(float, end), *rest]
        for point, end, *rest in zip(
            block.score,
            ends,
            block.ratio,
            block.lower,
            block.upper,
            block.n_effect,
            block.n_none,
            block.n_loci,
            strict=True,
        )
    ]
    columns = ("size", "from", "to", "ratio", "lower", "upper", "n effect", "n none", "loci")
    return Table(RATIOS, columns, rows_of(rows))


def _loci(fitted: Fitted) -> Table:
    labelled, draws = fitted.labelled, fitted.draws
    losses, beyond = log_losses(labelled, fitted.ratio), np.isnan(fitted.ratio)
    rows: list[list[Cell]] = []
    for locus, weight in labelled.weights.items():
        here = labelled.locus == locus
        has_effect = labelled.is_effect[here]
        classes = [losses[here][has_effect == kind] for kind in (True, False)]
        loss = float(np.mean([part.mean() for part in classes])) if all(map(len, classes)) else None
        rows.append([locus, *map(len, classes), weight, int(beyond[here].sum()), loss, None])
    mean = mean_log_loss(labelled, fitted.ratio, draws)
    gain = Estimate(*(part - np.log(2) for part in (mean.value, mean.low, mean.high)))
    n_effect = int(labelled.is_effect.sum())
    n_none = len(labelled.score) - n_effect
    rows.append([ALL, n_effect, n_none, None, int(beyond.sum()), mean.value, gain])
    columns = (
        "locus", "n effect", "n none", "weight", "n beyond the table", "log loss",
        "difference to a ratio of 1",
    )  # fmt: skip
    return Table(LOCI, columns, rows_of(rows))


def _reliability(fitted: Fitted) -> Table:
    rows: list[Sequence[Cell]] = [
        [f"{each.low:.2f} to {each.high:.2f}", each.n_effect, each.n_none, each.said, each.found]
        for each in reliability(fitted.labelled, fitted.ratio, fitted.draws)
    ]
    columns = ("said", "n effect", "n none", "mean said", "share with an effect, as weighted")
    return Table(RELIABILITY, columns, rows_of(rows))
