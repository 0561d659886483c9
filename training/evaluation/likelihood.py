"""Does a large predicted effect speak for a measured one? Release set -> `likelihood_ratios` entry.

Two classes of measured variants, those in which the assay found an effect and those in which it
found none, and the ratio of how common a predicted |effect| is among either: estimated locally, in
windows that slide over the score, with one-sided bounds by bootstrap, in the manner of Pejaver et
al., American Journal of Human Genetics 2022, doi:10.1016/j.ajhg.2022.10.013. Local and not forced
to rise: whether a larger score is stronger evidence is what one wants to see. What differs from
theirs: a class is what a reporter assay found, never a disease; every locus has nearly the same
say; and loci are resampled, since variants of one locus are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from service.likelihood import LeftOut, LikelihoodRatios
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from training.datasets.cagi5 import RELEASE, locate_cagi5, locus_of, reference_path
from training.datasets.deletions import MIN_BARCODES, PKLR_OF_CAGI5
from training.evaluation.calibrate import OPTIONS
from training.evaluation.challenge import (
    load_release,
    load_release_measurements,
    measurements_sha256,
)
from training.evaluation.likelihood_windows import (
    WINDOW,
    Draws,
    Labelled,
    Table,
    fit_ratios,
    mean_log_loss,
    ratios_without_each,
    reliability,
    window_ratios,
)
from training.evaluation.metrics import Floats
from training.evaluation.predictions import predict

THRESHOLD = 0.2
"""log2 units, 15 %: the least at which the interval of a typical measurement of no effect, some
0.1 to either side, lies well inside."""
P_EFFECT, P_NONE = 0.001, 0.05
CONFIDENCE = 0.95
"""Of each one-sided bound, as in Pejaver et al."""
EFFECT = (
    f"the assay found an effect: two-sided p < {P_EFFECT} and |measured effect| > {THRESHOLD} log2"
)
NONE = (
    f"the assay found none: p > {P_NONE} and the 95 % interval of the measured effect within "
    f"+-{THRESHOLD} log2"
)
_UNMEASURED = f"measured with fewer than {MIN_BARCODES} barcodes or not at all"
_DECIMALS = 5
_DIGITS = 4
_KEY = ["element", "contig", "pos", "ref", "alt"]


def left_out(labelled: Labelled, ratio: Floats, draws: Draws) -> LeftOut:
    """Judge ratios (n,) of variants whose locus the fit had not seen."""
    loss, bins = mean_log_loss(labelled, ratio, draws), list(reliability(labelled, ratio, draws))
    return LeftOut(
        log_loss=_rounded(loss.value),
        low=_rounded(loss.low),
        high=_rounded(loss.high),
        of_1=_rounded(np.log(2)),
        said=tuple(_rounded(each.said) for each in bins),
        found=tuple(_rounded(each.found.value) for each in bins),
    )


def classify(value: Floats, error: Floats) -> NDArray[np.str_]:
    """Class of measured effects: effect, none, or neither.

    Args:
      value: (n,) measured effect, log2 units.
      error: (n,) its standard error; NaN where it was not measured.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * norm.sf(np.abs(value) / error)
    half = norm.ppf(0.975) * error
    is_effect = (p < P_EFFECT) & (np.abs(value) > THRESHOLD)
    is_none = (p > P_NONE) & (np.abs(value) + half < THRESHOLD)
    return np.select([is_effect, is_none], ["effect", "none"], "neither")


def read_measured(data_dir: Path) -> pd.DataFrame:
    """Read the variants of the release set with their effects and errors as published.

    The parser skips all values of other variants than those of release blocks.

    Returns:
      Rows of the release set: element, contig, pos (1-based), ref, alt, and barcodes, value (log2
      effect), se: NaN where the variant was not measured with `MIN_BARCODES` or more.
    """
    measured = load_release_measurements(data_dir).replace({"element": {PKLR_OF_CAGI5: "PKLR"}})
    measured = measured[measured["barcodes"] >= MIN_BARCODES]
    return load_release(data_dir)[_KEY].merge(measured, how="left", on=_KEY, validate="many_to_one")


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was fitted, for the report.

    Attributes:
      labelled: the variants of either class.
      table: fitted to all of them.
      ratio: (n,) of each from the loci other than its own.
      draws: resamples behind all intervals.
      n_by: {what became of it: variants} of the whole release set; to be read.
    """

    labelled: Labelled
    table: Table
    ratio: Floats
    draws: Draws
    n_by: Mapping[str, int]


def make_ratios(
    name: str,
    *,
    models_dir: Path,
    data_dir: Path,
    draws: int = 2000,
    seed: int = 0,
    threads: int | None = None,
) -> tuple[dict[str, Any], Fitted]:
    """Fit the likelihood ratios of one model to the release set.

    Args:
      name: of a model in `models_dir`; entries of its card play no part.
      models_dir: folder of model folders.
      data_dir: folder that holds cagi5/.
      draws: bootstrap resamples.
      seed: of the resamples.
      threads: of one operator, None for one per core.

    Returns:
      The card's `likelihood_ratios` entry, and what it comes from.

    Raises:
      ValueError: too few variants or loci of either class.
    """
    model = Registry(models_dir).load(name, "cpu", threads, with_entries=False)
    measured = read_measured(data_dir)
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        predicted = predict(Scorer(model, reference, OPTIONS), model.info.targets, measured)
    kind = classify(*measured[["value", "se"]].to_numpy(np.float64).T)
    kind = np.where(measured["se"].isna(), _UNMEASURED, kind)
    kind = np.where(predicted.scored, kind, "not scored")
    chosen = np.isin(kind, ["effect", "none"])
    locus = measured["element"].map(locus_of).to_numpy(str)
    size = np.abs(np.asarray(predicted.effects.effect, np.float64))
    labelled = Labelled(
        # Beyond these decimals is rounding of the network: what should be equal is made so.
        score=np.round(size[chosen], _DECIMALS).astype(np.float64),
        is_effect=kind[chosen] == "effect",
        locus=locus[chosen],
        position=measured["pos"].to_numpy(np.int64)[chosen],
    )
    table = fit_ratios(labelled)
    resampled = Draws.of(labelled, draws, np.random.default_rng(seed))
    fitted = Fitted(
        labelled,
        table,
        ratios_without_each(labelled),
        resampled,
        {
            what: int(np.sum(kind == what))
            for what in ("effect", "none", "neither", _UNMEASURED, "not scored")
        },
    )
    low, high = np.nanquantile(
        window_ratios(labelled, table.inside, resampled), [1 - CONFIDENCE, CONFIDENCE], axis=0
    )
    fitted_on = set(predicted.head[chosen].tolist())
    has_effect, inside = labelled.is_effect, table.inside
    block = LikelihoodRatios(
        version=1,
        score=tuple(np.round(table.score, _DECIMALS + 1).tolist()),
        ratio=_all_rounded(table.ratio),
        # A percentile bound may pass its estimate where resamples are skewed: it stops there.
        lower=_all_rounded(np.minimum(low, table.ratio)),
        upper=_all_rounded(np.maximum(high, table.ratio)),
        n_effect=tuple(inside[has_effect].sum(axis=0).tolist()),
        n_none=tuple(inside[~has_effect].sum(axis=0).tolist()),
        n_loci=tuple(len(set(labelled.locus[column].tolist())) for column in inside.T),
        score_max=table.score_max,
        confidence=CONFIDENCE,
        threshold=THRESHOLD,
        p_effect=P_EFFECT,
        p_none=P_NONE,
        effect=EFFECT,
        none=NONE,
        targets=tuple(target for target in model.info.targets if target in fitted_on),
        strands=2,
        shifts=OPTIONS.shifts,
        variants="SNV",
        method=f"local: sliding windows of {WINDOW} variants over |effect|, not forced to rise; "
        "loci weigh alike in both classes; bootstrap over loci and over positions within each",
        data="CAGI5 release set, effects and standard errors of Kircher et al. 2019",
        data_sha256=locate_cagi5(RELEASE, data_dir).sha256,
        measurements_sha256=measurements_sha256(data_dir),
        n=fitted.n_by["effect"] + fitted.n_by["none"] + fitted.n_by["neither"],
        loci=len(labelled.loci),
        draws=draws,
        seed=seed,
        left_out=left_out(labelled, fitted.ratio, resampled),
    )
    return block.model_dump(mode="json"), fitted


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _all_rounded(values: Floats) -> tuple[float, ...]:
    return tuple(_rounded(value) for value in values.tolist())
