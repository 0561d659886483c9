"""Intervals that hold: measured effects of the release set -> a card's `calibration` entry.

A model's own sigma is the SD of one measurement of one sequence; summed over two alleles it says
nothing about how far a predicted difference lies from a true one. So the distribution is fitted to
measured differences, and judged on loci that the fit has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from service.calibration import VERSION, Calibration, Shape
from service.mixture import Mixture, crps
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer, ScoringOptions
from training.datasets.cagi5 import RELEASE, locate_cagi5, locus_of, reference_path
from training.evaluation.challenge import load_release, measurement_errors
from training.evaluation.metrics import Floats
from training.evaluation.pair_noise import Moments
from training.evaluation.pair_noise_data import ALIGNED, read_pairs
from training.evaluation.predictions import NOMINAL, Predictions, predict
from training.evaluation.report import Cell, Report, Table, rows_of
from training.evaluation.shape import NOMINAL as STORED
from training.evaluation.shape import (
    Evidence,
    conformal_levels,
    fit_shape,
    fit_without_each,
    levels_without_each,
    unseen_scores,
)

OPTIONS = ScoringOptions(strands=2, shifts=(0,))
"""The passes that the distribution is fitted for: those of the service's default."""
OCCLUDED = 7
"""Bases hidden around a single-base change. Chosen with five other networks in varsigma-1 and both
components about zero: mean CRPS of release loci left out of the fit 0.155 with 7 or 5, 0.157 with
none (`varsigma-train calibrate`, `--occluded N --no-save`, at commit 693c040)."""


def evidence_of(predicted: Predictions, table: pd.DataFrame, data_dir: Path) -> Evidence:
    """What an uncalibrated model says of the variants that it scored, beside what was measured.

    Args:
      predicted: of the n variants of `table`.
      table: columns element, contig, pos, ref, alt and value (log2 effect).
      data_dir: folder that holds cagi5/.
    """
    error = measurement_errors(table, data_dir)["se"]
    return Evidence(
        effect=predicted.effects.effect,
        epistemic=predicted.effects.epistemic,
        occlusion=predicted.effects.occlusion,
        value=table["value"].to_numpy(np.float64),
        # A handful has none in the public table: what is typical stands in.
        error=error.fillna(error.median()).to_numpy(np.float64),
        locus=table["element"].map(locus_of).to_numpy(str),
    ).where(predicted.scored)


def noise_correlations(cell_of: Mapping[str, str], data_dir: Path) -> dict[str, float]:
    """Correlation of the errors of ref and alt in one replicate, where pairs were measured.

    Args:
      cell_of: {target: cell type}.
      data_dir: folder of the measured tables, mpra/ among them.

    Returns:
      {target: correlation} of the targets whose cell type has pairs; an episomal assay measured
      them, whatever the assay of the target.
    """
    found = {
        pairs[ALIGNED].cell_type: Moments.of(pairs[ALIGNED].ref, pairs[ALIGNED].alt)
        for pairs in read_pairs(data_dir).values()
    }
    return {
        target: float(found[cell].rho(np.ones((1, found[cell].ref.size)))[0])
        for target, cell in cell_of.items()
        if cell in found
    }


def as_exported(predicted: Predictions) -> Mixture:
    """What the model's own spread and sigma say of a measurement of each variant that it scored."""
    effects, scored = predicted.effects, predicted.scored
    return Mixture.normal(effects.effect[scored], effects.repeat_sd[scored])


def calibrate(
    name: str,
    *,
    models_dir: Path,
    data_dir: Path,
    threads: int | None = None,
    n_occluded: int = OCCLUDED,
) -> tuple[dict[str, Any], Report]:
    """Fit the distribution of one model's effects on the release set.

    Args:
      name: of a model in `models_dir`; its present calibration is ignored.
      models_dir: folder of model folders.
      data_dir: folder that holds cagi5/.
      threads: of one operator, None for one per core.
      n_occluded: bases around a variant to hide, odd; 0 hides none.

    Returns:
      The card's `calibration` entry, fitted on all loci, and a report of how one fitted without a
      locus holds on that locus.

    Raises:
      ValidationError: an even number of bases to hide.
      DataError: a file is missing or altered.
    """
    model = Registry(models_dir).load(name, "cpu", threads, with_entries=False)
    table = load_release(data_dir)
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        scorer = Scorer(model, reference, OPTIONS, n_occluded=n_occluded)
        predicted = predict(scorer, model.info.targets, table)
    evidence = evidence_of(predicted, table, data_dir)
    shapes = fit_without_each(evidence)
    scores = unseen_scores(evidence, shapes)
    fitted_on = set(predicted.head[predicted.scored].tolist())
    shape = fit_shape(evidence)
    barcodes = measurement_errors(table, data_dir)["barcodes"].median()
    entry = {
        "version": VERSION,
        "shape": shape.model_dump(),
        "nominal": list(STORED),
        "level": list(conformal_levels(scores, evidence.weight)),
        "noise_correlation": noise_correlations(
            {target["name"]: target["cell_type"] for target in model.card["targets"]}, data_dir
        ),
        "assay": "saturation mutagenesis MPRA (Kircher et al. 2019) at its median depth, "
        f"{barcodes:.0f} barcodes a variant",
        "assay_sd": float(np.median(evidence.error)),
        "targets": [target for target in model.info.targets if target in fitted_on],
        "strands": OPTIONS.strands,
        "shifts": list(OPTIONS.shifts),
        "n_occluded": n_occluded if shape.by_occlusion else 0,
        "variants": "SNV",
        "method": "likelihood of measured effects with their standard errors, equal weight per "
        "locus; levels cross-conformal, loci left out of the fit in turn",
        "data": "CAGI5 release set",
        "data_sha256": locate_cagi5(RELEASE, data_dir).sha256,
        "n": len(evidence.value),
        "loci": len(evidence.loci),
    }
    Calibration.from_card(entry, model.info.targets)  # what the service will read
    return entry, _report(name, evidence, shapes, as_exported(predicted), entry)


def _report(
    name: str,
    evidence: Evidence,
    shapes: dict[str, Shape],
    own: Mixture,
    entry: Mapping[str, Any],
) -> Report:
    rows: list[Sequence[Cell]] = []
    calibrated, exported = [], []
    levels = levels_without_each(evidence, shapes, NOMINAL)
    for locus, shape in shapes.items():
        here = evidence.locus == locus
        part = evidence.where(here)
        calibrated.append(_cells(part, part.measured(shape), levels[locus]))
        exported.append(_cells(part, own.rows(here), NOMINAL))
        rows.append([locus, *calibrated[-1]])
    rows.append(["mean of loci", *np.mean(calibrated, axis=0).tolist()])
    rows.append(["mean of loci, as exported", *np.mean(exported, axis=0).tolist()])
    columns = (
        "locus",
        "n",
        *(f"inside the {nominal:.0%} interval" for nominal in NOMINAL),
        "RMS error",
        "RMS sd",
        "CRPS",
    )
    notes = (
        "Release set, each locus judged with a distribution and levels fitted on the others; the "
        "two TERT sets are one locus. Loci differ, so one by itself may lie well off the nominal "
        "share.",
        "as exported: normal about the effect with the model's own spread and sigma, before "
        "calibration.",
        "The interval is of a measurement with the standard error that it had.",
        f"Bases hidden around a variant: {entry['n_occluded']}; the fit to all loci adds "
        f"{entry['shape']['by_occlusion']:.3f} of what that does to an effect.",
    )
    table = Table("Calibration, one locus left out", columns, rows_of(rows))
    return Report(f"Calibration: {name}", (table,), notes)


def _cells(part: Evidence, mixture: Mixture, levels: Sequence[float]) -> list[float]:
    """Number, coverages, RMS error and SD, and CRPS of one locus under a distribution."""
    scores = np.abs(2 * mixture.cdf(part.value) - 1)
    shares = [float(np.mean(scores <= level)) for level in levels]
    error = _rms(part.value - mixture.expectation)
    score = float(crps(part.value, mixture).mean())
    return [len(part.value), *shares, error, _rms(mixture.total_sd), score]


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
