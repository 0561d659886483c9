"""Does the distribution hold where nothing was fitted? One locus left out.

`release set -> a distribution for each locus, fitted without it -> that locus in the judged set`.
The judged set is the challenge for reporting, or the release set itself for choices.
Beside it stand references: one shape for every variant, about zero and wherever it lies best; a
constant width about zero; and what the model's own sigma says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.calibration import Shape
from service.mixture import Mixture, crps
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from training.datasets.cagi5 import reference_path
from training.evaluation.cagi5 import Split, labels_of
from training.evaluation.calibrate import OCCLUDED, OPTIONS, as_exported, evidence_of
from training.evaluation.challenge import CHALLENGE_LOG, Run, load_release
from training.evaluation.metrics import Floats
from training.evaluation.predictions import NOMINAL, predict
from training.evaluation.report import Report
from training.evaluation.shape import (
    Evidence,
    fit_shape,
    fit_without_each,
    levels_without_each,
)
from training.evaluation.uncertainty_tables import layout


@dataclass(frozen=True, slots=True)
class Judged:
    """n measured effects, and what was said of each without its locus.

    Attributes:
      element: (n,) name.
      position: (n,) of the variant; its up to three variants are resampled together.
      confidence: (n,) as the challenge gives it.
      evidence: the model's numbers and the measurement.
      true: distribution of the true effect.
      measured: the same, widened by the standard error of the measurement.
      level: (n, L) what is asked of it for each of `NOMINAL`.
      repeat: what is served: the same, widened by the standard error that is typical.
      blind: one distribution about zero for every variant, fitted like ours, without a model.
      lopsided: the same, but wherever its components lie best.
      constant: a normal about zero as wide as the release set's other loci are.
      exported: normal about the effect with the model's own spread and sigma.
    """

    element: NDArray[np.str_]
    position: NDArray[np.int64]
    confidence: Floats
    evidence: Evidence
    true: Mixture
    measured: Mixture
    level: Floats
    repeat: Mixture
    blind: Mixture
    lopsided: Mixture
    constant: Mixture
    exported: Mixture

    @property
    def expected(self) -> Floats:
        """(n,) mean of the distribution of each true effect."""
        return self.true.expectation

    def inside(self, mixture: Mixture, level: Floats | None = None) -> NDArray[np.bool_]:
        """(n, L) whether each measurement lies in each interval; by default at nominal level."""
        score = np.abs(2 * mixture.cdf(self.evidence.value) - 1)
        return np.asarray(score[:, None] <= (np.array(NOMINAL) if level is None else level))

    def means(self) -> dict[str, float]:
        """What the log keeps of a look."""
        value, shares = self.evidence.value, self.inside(self.measured, self.level).mean(axis=0)
        return {
            "crps, calibrated": float(crps(value, self.measured).mean()),
            "crps, one shape about zero": float(crps(value, self.blind).mean()),
            "crps, one lopsided shape": float(crps(value, self.lopsided).mean()),
            "crps, constant width": float(crps(value, self.constant).mean()),
            **{f"inside {n:.0%}": float(share) for n, share in zip(NOMINAL, shares, strict=True)},
        }


@dataclass(frozen=True)
class LeftOut:
    """What the release set gives for each locus without that locus, by locus.

    Attributes:
      shapes: of the distribution.
      levels: (L,) to ask of it for each of `NOMINAL`.
      blind: shapes of one distribution about zero for every variant.
      lopsided: shapes of one that need not lie about zero.
      width: root mean square of the measured effects, each locus weighing the same.
      error: standard error that is typical of a measurement, of all loci.
    """

    shapes: Mapping[str, Shape]
    levels: Mapping[str, tuple[float, ...]]
    blind: Mapping[str, Shape]
    lopsided: Mapping[str, Shape]
    width: Mapping[str, float]
    error: float


def fit_left_out(release: Evidence) -> LeftOut:
    """Fit on the release set, once without each locus."""
    shapes = fit_without_each(release)
    rest = {locus: release.where(release.locus != locus) for locus in shapes}
    return LeftOut(
        shapes=shapes,
        levels=levels_without_each(release, shapes, NOMINAL),
        blind={locus: fit_shape(seen.blind(), about_zero=True) for locus, seen in rest.items()},
        lopsided={locus: fit_shape(seen.blind()) for locus, seen in rest.items()},
        width={
            locus: float(np.sqrt(seen.weight @ np.square(seen.value)))
            for locus, seen in rest.items()
        },
        error=float(np.median(release.error)),
    )


def judge(fitted: LeftOut, judged: Evidence, table: pd.DataFrame, exported: Mixture) -> Judged:
    """Say what the fits without each locus make of that locus here.

    Args:
      fitted: to the release set.
      judged: n measured effects.
      table: n rows: element, pos, confidence.
      exported: of those effects.

    Raises:
      ValueError: a locus is not in the release set.
    """
    if unknown := sorted(set(judged.loci) - set(fitted.shapes)):
        raise ValueError(f"the release set lacks {', '.join(unknown)}")
    n = len(judged.value)
    level, width = np.empty((n, len(NOMINAL))), np.empty(n)
    for locus in fitted.shapes:
        here = judged.locus == locus
        level[here], width[here] = fitted.levels[locus], fitted.width[locus]
    true, unmodelled = _by_locus(judged, fitted.shapes), judged.blind()
    return Judged(
        element=table["element"].to_numpy(str),
        position=table["pos"].to_numpy(np.int64),
        confidence=table["confidence"].to_numpy(np.float64),
        evidence=judged,
        true=true,
        measured=true.widened(judged.error),
        level=level,
        repeat=true.widened(fitted.error),
        blind=_by_locus(unmodelled, fitted.blind).widened(judged.error),
        lopsided=_by_locus(unmodelled, fitted.lopsided).widened(judged.error),
        constant=Mixture.normal(np.zeros(n), width),
        exported=exported,
    )


def _by_locus(evidence: Evidence, shapes: Mapping[str, Shape]) -> Mixture:
    """Distribution of each true effect by the shape of its locus."""
    n = len(evidence.value)
    weight, mean, sd = np.empty(n), np.empty((2, n)), np.empty((2, n))
    for locus, shape in shapes.items():
        here = evidence.locus == locus
        said = evidence.where(here).true(shape)
        weight[here], mean[:, here], sd[:, here] = said.weight, said.mean, said.sd
    return Mixture(weight, mean, sd)


def uncertainty(
    name: str,
    *,
    models_dir: Path,
    data_dir: Path,
    split: Split = "challenge",
    threads: int | None = None,
    draws: int = 1000,
    n_occluded: int = OCCLUDED,
    log: Path = CHALLENGE_LOG,
) -> Report:
    """Judge the distribution of one model's effects.

    Args:
      name: of a model in `models_dir`; its present calibration is ignored: for each locus another
        one is fitted without it.
      models_dir: folder of model folders.
      data_dir: folder that holds cagi5/.
      split: the reported set, or the one for choices.
      threads: of one operator, None for one per core.
      draws: bootstrap resamples of positions.
      n_occluded: bases around a variant to hide, odd; 0 hides none.
      log: file that a look at the challenge labels is appended to.

    Raises:
      DataError: a file is missing or altered.
    """
    registry = Registry(models_dir)
    model = registry.load(name, "cpu", threads, with_entries=False)
    run = Run(
        model=name,
        model_sha256=str(registry.card(name)["model_sha256"]),
        purpose=f"uncertainty: one locus left out, {n_occluded} bases hidden, draws {draws}",
    )
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        scorer = Scorer(model, reference, OPTIONS, n_occluded=n_occluded)
        released = load_release(data_dir)
        said = predict(scorer, model.info.targets, released)
        fitted = fit_left_out(evidence_of(said, released, data_dir))
        with labels_of(split, data_dir, run, log) as table:
            if split == "challenge":
                said = predict(scorer, model.info.targets, table)
            judged = judge(
                fitted,
                evidence_of(said, table, data_dir),
                table[said.scored].reset_index(drop=True),
                as_exported(said),
            )
            run.means |= judged.means()
    return layout(name, judged, split=split, draws=draws)
