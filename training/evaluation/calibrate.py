"""Widths that hold: measured effects of the release set -> the scales of the distribution.

A model's own sigma is the SD of one measurement of one sequence; summed over two alleles it says
nothing about how far a predicted difference lies from a measured one. Three scales are therefore
fitted to measured differences, and judged on loci that the fit has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from service.effects import Effects
from service.effects import Floats as AnyFloats
from service.errors import Status
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from training.evaluation.challenge import head_of, load_release, reference_path, variants_of
from training.evaluation.metrics import Floats
from training.evaluation.report import Cell, Report, Table, rows_of

VERSION = 1
NOMINAL = (0.5, 0.8, 0.9, 0.95)


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

    def sd(self, scales: Scales) -> Floats:
        """Total SD of each effect, the formula that `service.effects` applies."""
        return np.sqrt(
            scales.floor**2
            + (scales.epistemic_scale * self.spread) ** 2
            + (scales.noise_scale * self.noise) ** 2
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """The three numbers that a card's `calibration` holds; see `service.effects.Calibration`."""

    noise_scale: float
    epistemic_scale: float
    floor: float


AS_EXPORTED = Scales(noise_scale=1.0, epistemic_scale=1.0, floor=0.0)


def fit_scales(parts: Parts) -> Scales:
    """Maximise the normal likelihood of the residuals, every locus with the same weight.

    Raises:
      RuntimeError: the optimiser does not converge.
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
    best = min(found, key=lambda result: result.fun)
    if not best.success:
        raise RuntimeError(f"the calibration did not converge: {best.message}")
    return _from_logs(best.x)


def _from_logs(logs: Floats) -> Scales:
    noise, spread, floor = (float(value) for value in np.exp(logs))
    return Scales(noise_scale=noise, epistemic_scale=spread, floor=floor)


def release_parts(scorer: Scorer, data_dir: Path) -> Parts:
    """Score the release set with an uncalibrated model, each element with its own target."""
    table = load_release(data_dir)
    scores = scorer.score(variants_of(table))
    scored = np.array([status == Status.OK for status in scores.status])
    targets = scorer.model.info.targets
    head = np.array([targets.index(head_of(element)) for element in table["element"]])

    def of_head(values: AnyFloats) -> Floats:
        picked: Floats = np.asarray(values, np.float64)[np.arange(len(table)), head][scored]
        return picked

    effects: Effects = scores.effects
    spread = np.hypot(
        np.nan_to_num(of_head(effects.epistemic)), np.nan_to_num(of_head(effects.representation))
    )
    measured = table["value"].to_numpy(np.float64)[scored]
    return Parts(
        residual=measured - of_head(effects.effect),
        spread=spread,
        noise=of_head(effects.aleatoric),
        locus=table["element"].str.partition("-")[0].to_numpy(str)[scored],
    )


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
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        parts = release_parts(Scorer(model, reference), data_dir)
    scales = fit_scales(parts)
    loci = sorted(set(parts.locus.tolist()))
    entry = {
        "version": VERSION,
        "noise_scale": scales.noise_scale,
        "epistemic_scale": scales.epistemic_scale,
        "floor": scales.floor,
        "method": "normal likelihood of measured minus predicted effects, equal weight per locus",
        "data": "CAGI5 release set",
        "n": len(parts.residual),
        "loci": len(loci),
    }
    return entry, _report(name, parts, loci)


def _report(name: str, parts: Parts, loci: Sequence[str]) -> Report:
    rows: list[Sequence[Cell]] = []
    calibrated, exported = [], []
    for locus in loci:
        here = parts.where(parts.locus == locus)
        scales = fit_scales(parts.where(parts.locus != locus))
        calibrated.append(coverage(here, scales))
        exported.append(coverage(here, AS_EXPORTED))
        sd = _rms(here.sd(scales))
        rows.append([locus, len(here.residual), *calibrated[-1], _rms(here.residual), sd])
    n, error = len(parts.residual), _rms(parts.residual)
    rows.append(["mean of loci", n, *np.mean(calibrated, axis=0).tolist(), error, None])
    rows.append(["mean of loci, as exported", n, *np.mean(exported, axis=0).tolist(), error, None])
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
        "The interval is of what such an assay would measure: its noise is part of the error.",
    )
    table = Table("Calibration, one locus left out", columns, rows_of(rows))
    return Report(f"Calibration: {name}", (table,), notes)


def coverage(parts: Parts, scales: Scales) -> list[float]:
    """Share of measured effects inside the central interval, for each of `NOMINAL`."""
    z = np.abs(parts.residual) / parts.sd(scales)
    quantiles = [NormalDist().inv_cdf(0.5 + nominal / 2) for nominal in NOMINAL]
    return [float((z <= quantile).mean()) for quantile in quantiles]


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
