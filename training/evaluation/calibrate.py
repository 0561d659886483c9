"""Widths that hold: measured effects of the release set -> the scales of the distribution.

A model's own sigma is the SD of one measurement of one sequence; summed over two alleles it says
nothing about how far a predicted difference lies from a measured one. Three scales are therefore
fitted to measured differences, and judged on loci that the fit has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from service.effects import total_sd
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer, ScoringOptions
from training.datasets.cagi5 import RELEASE, locate_cagi5, locus_of, reference_path
from training.evaluation.challenge import load_release
from training.evaluation.metrics import Floats
from training.evaluation.predictions import NOMINAL, Predictions, coverage, predict
from training.evaluation.report import Cell, Report, Table, rows_of

VERSION = 1
"""Of the layout of a card's `calibration` entry."""
OPTIONS = ScoringOptions(strands=2, shifts=(0,))
"""The passes that the scales are fitted for: those of the service's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedScales:
    """The three numbers that are fitted; see `service.effects.Scales`."""

    noise_scale: float
    epistemic_scale: float
    floor: float


AS_EXPORTED = FittedScales(noise_scale=1.0, epistemic_scale=1.0, floor=0.0)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a model says of n measured effects, and what was measured; log2 units.

    Attributes:
      residual: (n,) measured minus predicted effect.
      spread: (n,) sqrt(epistemic^2 + representation^2), uncalibrated.
      noise: (n,) aleatoric SD, uncalibrated.
      locus: (n,) where each was measured; the two TERT sets are one locus.
    """

    residual: Floats
    spread: Floats
    noise: Floats
    locus: NDArray[np.str_]

    def where(self, rows: NDArray[np.bool_]) -> Parts:
        """The rows marked."""
        return Parts(*(getattr(self, name)[rows] for name in self.__slots__))

    def sd(self, scales: FittedScales) -> Floats:
        """Total SD of each effect."""
        return np.asarray(total_sd(self.spread, self.noise, scales), np.float64)

    def coverage(self, scales: FittedScales) -> Floats:
        """Share of the measured effects inside the interval, for each of `NOMINAL`."""
        return coverage(self.residual / self.sd(scales))


def fit_scales(parts: Parts) -> FittedScales:
    """Maximise the normal likelihood of the residuals, every locus with the same weight.

    Raises:
      RuntimeError: the optimiser converges from no start.
    """
    _, locus, size = np.unique(parts.locus, return_inverse=True, return_counts=True)
    weight = 1.0 / size[locus] / len(size)

    def loss(logs: Floats) -> float:
        variance = parts.sd(_from_logs(logs)) ** 2
        return float(weight @ (np.log(variance) + parts.residual**2 / variance) / 2)

    typical = float(np.sqrt(weight @ parts.residual**2))
    # Several starts: where a part explains nothing its scale runs to zero along a flat valley.
    starts = [(0.1, 1.0, 1.0), (0.5, 0.3, 0.5), (0.01, 3.0, 0.3)]
    found = [
        minimize(
            loss,
            np.log(np.array([noise, spread, floor * typical], np.float64)),
            method="Nelder-Mead",
            bounds=[(-12.0, 4.0)] * 3,
            options={"xatol": 1e-4, "fatol": 1e-9, "maxiter": 4000},
        )
        for noise, spread, floor in starts
    ]
    converged = [result for result in found if result.success]
    if not converged:
        raise RuntimeError(f"the calibration did not converge: {found[0].message}")
    return _from_logs(min(converged, key=lambda result: float(result.fun)).x)


def _from_logs(logs: Floats) -> FittedScales:
    noise, spread, floor = (float(value) for value in np.exp(logs))
    return FittedScales(noise_scale=noise, epistemic_scale=spread, floor=floor)


def parts_of(predicted: Predictions, table: pd.DataFrame) -> Parts:
    """What an uncalibrated model says of the variants that it scored.

    Args:
      predicted: of the n variants of `table`.
      table: columns element and value (log2 effect).
    """
    effects = predicted.effects
    spread = np.hypot(np.nan_to_num(effects.epistemic), np.nan_to_num(effects.representation))
    return Parts(
        residual=np.asarray(table["value"].to_numpy(np.float64) - effects.effect, np.float64),
        spread=np.asarray(spread, np.float64),
        noise=np.asarray(effects.aleatoric, np.float64),
        locus=table["element"].map(locus_of).to_numpy(str),
    ).where(predicted.scored)


def calibrate(
    name: str, *, models_dir: Path, data_dir: Path, threads: int | None = None
) -> tuple[dict[str, Any], Report]:
    """Fit the scales of one model on the release set.

    Args:
      name: of a model in `models_dir`; its present calibration is ignored.
      models_dir: folder of model folders.
      data_dir: folder that holds cagi5/.
      threads: of one operator, None for one per core.

    Returns:
      The card's `calibration` entry, fitted on all loci, and a report of how scales fitted without
      a locus hold on that locus.
    """
    model = Registry(models_dir).load(name, "cpu", threads)
    model.calibration = None
    table = load_release(data_dir)
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        predicted = predict(Scorer(model, reference, OPTIONS), model.info.targets, table)
    parts = parts_of(predicted, table)
    loci = sorted(set(parts.locus.tolist()))
    fitted_on = set(predicted.head[predicted.scored].tolist())
    entry = {
        "version": VERSION,
        **asdict(fit_scales(parts)),
        "targets": [target for target in model.info.targets if target in fitted_on],
        "strands": OPTIONS.strands,
        "shifts": list(OPTIONS.shifts),
        "variants": "SNV",
        "method": "normal likelihood of measured minus predicted effects, equal weight per locus",
        "data": "CAGI5 release set",
        "data_sha256": locate_cagi5(RELEASE, data_dir).sha256,
        "n": len(parts.residual),
        "loci": len(loci),
    }
    return entry, _report(name, parts, loci)


def _report(name: str, parts: Parts, loci: Sequence[str]) -> Report:
    rows: list[Sequence[Cell]] = []
    calibrated, exported = [], []
    for locus in loci:
        here = parts.where(parts.locus == locus)
        calibrated.append(_cells(here, fit_scales(parts.where(parts.locus != locus))))
        exported.append(_cells(here, AS_EXPORTED))
        rows.append([locus, *calibrated[-1]])
    rows.append(["mean of loci", *np.mean(calibrated, axis=0).tolist()])
    rows.append(["mean of loci, as exported", *np.mean(exported, axis=0).tolist()])
    columns = (
        "locus",
        "n",
        *(f"inside the {nominal:.0%} interval" for nominal in NOMINAL),
        "RMS error",
        "RMS sd",
    )
    notes = (
        "Release set, each locus judged with scales fitted on the others; the two TERT sets are "
        "one locus. Loci differ, so one by itself may lie well off the nominal share.",
        "as exported: with every scale 1 and no floor, before calibration.",
        "noise_scale and floor are not identified one by one: where sigma varies little between "
        "variants, only the sum of the two parts is, so read neither by itself.",
        "The interval is of what such an assay would measure: its noise is part of the error.",
    )
    table = Table("Calibration, one locus left out", columns, rows_of(rows))
    return Report(f"Calibration: {name}", (table,), notes)


def _cells(parts: Parts, scales: FittedScales) -> list[float]:
    """Number, coverages, RMS error and RMS SD of one locus under given scales."""
    shares = parts.coverage(scales).tolist()
    return [len(parts.residual), *shares, _rms(parts.residual), _rms(parts.sd(scales))]


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
