"""Whether simple fits to measured effects of other loci make effects better.

`features -> fits on the CAGI5 release set, one locus left out -> what they say of that locus`.
No shipped weight is fitted so: this tells what the model's effects lack that measured effects of
other loci could teach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from training.datasets.cagi5 import ELEMENTS, locus_of, reference_path
from training.evaluation.agreement import position_counts
from training.evaluation.cagi5 import Split
from training.evaluation.calibrate import OCCLUDED, OPTIONS
from training.evaluation.challenge import (
    CHALLENGE_LOG,
    Run,
    cagi5_variants,
    load_challenge,
    load_release,
)
from training.evaluation.learned_features import Features, Kind, read_features
from training.evaluation.learned_tables import (
    MODEL,
    Learnt,
    challenge_report,
    logged,
    release_report,
    samples_of,
)
from training.evaluation.metrics import Floats
from training.evaluation.report import Report

Names = NDArray[np.str_]

PENALTIES = tuple(10.0**power for power in range(6))
"""Of the ridge regressions, on standardised features and weights that average 1."""
BOOSTING = {
    "max_iter": 200,
    "learning_rate": 0.05,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 40,
    "l2_regularization": 1.0,
    "early_stopping": False,
    "random_state": 0,
}
"""Chosen before anything was fitted: small trees, for some 4,000 rows that resemble each other."""


class Regressor(Protocol):
    """What was fitted."""

    def predict(self, x: Floats) -> Floats:
        """(n, F) features -> (n,) log2 effects."""
        ...


@dataclass(frozen=True, slots=True)
class Learner:
    """One way to learn from measured effects.

    Attributes:
      name: its label in the tables.
      kinds: of the features that it reads.
      fit: (n, F) features, (n,) log2 effects, (n,) weights and (n,) loci -> what was fitted.
    """

    name: str
    kinds: frozenset[Kind]
    fit: Callable[[Floats, Floats, Floats, Names], Regressor]


def fit_ridge(x: Floats, y: Floats, weight: Floats, locus: Names) -> Regressor:
    """Ridge regression on standardised features; its penalty errs least on loci left out in turn.

    Rows of one locus resemble each other, so leaving single rows out would choose too small a one.
    The weights are of the fits alone: the error of a locus counts as it is, that of loud ones most.
    """
    folds = [*LeaveOneGroupOut().split(x, y, locus)]
    ridge = RidgeCV(alphas=[*PENALTIES], cv=folds, scoring="neg_mean_squared_error")
    fitted: Regressor = make_pipeline(StandardScaler(), ridge).fit(
        x, y, standardscaler__sample_weight=weight, ridgecv__sample_weight=weight
    )
    return fitted


def fit_boosting(x: Floats, y: Floats, weight: Floats, _: Names) -> Regressor:
    """Gradient-boosted trees, `BOOSTING`."""
    fitted: Regressor = HistGradientBoostingRegressor(**BOOSTING).fit(x, y, sample_weight=weight)
    return fitted


LEARNERS = (
    Learner("ridge, effects alone", frozenset({Kind.EFFECT}), fit_ridge),
    Learner("ridge, effects and hiding", frozenset({Kind.EFFECT, Kind.HIDING}), fit_ridge),
    Learner("ridge, all features", frozenset(Kind), fit_ridge),
    Learner("boosting, all features", frozenset(Kind), fit_boosting),
)
Fits = Mapping[str, Mapping[str, Regressor]]
"""{locus: {name of a learner: what it fitted on all other loci}}."""


def fit_without_each(features: Features, value: Floats, element: Names) -> Fits:
    """Fit every learner without each locus; elements weigh the same.

    Args:
      features: of n variants; those that lack one are left out.
      value: (n,) measured log2 effects.
      element: (n,) names; the two TERT sets are one locus.
    """
    kept = np.flatnonzero(features.usable)
    loci = np.array([locus_of(name) for name in element[kept].tolist()])
    found: dict[str, dict[str, Regressor]] = {}
    for seen, left_out in LeaveOneGroupOut().split(kept, groups=loci):
        rows = kept[seen]
        _, which, times = np.unique(element[rows], return_inverse=True, return_counts=True)
        weight = (1 / times)[which] * len(rows) / len(times)
        found[str(loci[left_out[0]])] = {
            learner.name: learner.fit(
                features.of(learner.kinds).values[rows], value[rows], weight, loci[seen]
            )
            for learner in LEARNERS
        }
    return found


def predict_left_out(fits: Fits, features: Features, element: Names) -> dict[str, Floats]:
    """Predict each variant with what was fitted without its locus.

    Returns:
      {label: (n,) log2 effects}, the model's own effect first; NaN where a feature is missing, or
      no fit left the locus out.
    """
    loci = np.array([locus_of(name) for name in element.tolist()])
    found = {MODEL: np.where(features.usable, features.effect, np.nan)}
    for learner in LEARNERS:
        x, said = features.of(learner.kinds).values, np.full(len(element), np.nan)
        for locus, fitted in fits.items():
            rows = np.flatnonzero(features.usable & (loci == locus))
            if rows.size:
                said[rows] = fitted[learner.name].predict(x[rows])
        found[learner.name] = said
    return found


def learn(
    name: str,
    *,
    models_dir: Path,
    data_dir: Path,
    is_challenge: bool = False,
    threads: int | None = None,
    draws: int = 1000,
    seed: int = 0,
    log: Path = CHALLENGE_LOG,
) -> Iterator[tuple[str, Report]]:
    """Fit on measured release effects and compare with the model's own effects.

    Args:
      name: of a model in `models_dir`.
      models_dir: folder of model folders.
      data_dir: folder that holds cagi5/.
      is_challenge: whether the same fits predict the challenge rows of the locus left out, too.
      threads: of one operator of the model, None for one per core.
      draws: bootstrap resamples of positions.
      seed: of the resamples.
      log: file that a look at the challenge labels is appended to.

    Yields:
      `release` and its report, before a challenge label is read; then, where it was asked for,
      `challenge` and its.

    Raises:
      ValueError: an element is missing from a table, or the model lacks a target.
      DataError: a file is missing or altered.
    """
    registry = Registry(models_dir)
    model = registry.load(name, "cpu", threads, with_entries=False)
    splits: tuple[Split, ...] = ("release", "challenge") if is_challenge else ("release",)
    tables = {split: cagi5_variants(data_dir, split) for split in splits}
    for split, (rows, _) in tables.items():
        if missing := sorted(set(ELEMENTS) - set(rows["element"])):
            raise ValueError(f"the CAGI5 {split} table has no variant of {', '.join(missing)}")
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        scorer = Scorer(model, reference, OPTIONS, n_occluded=OCCLUDED)
        features = {split: read_features(scorer, rows) for split, (rows, _) in tables.items()}
    elements = {split: rows["element"].to_numpy(str) for split, (rows, _) in tables.items()}
    labels = load_release(data_dir)
    value = labels["value"].to_numpy(np.float64)
    fits = fit_without_each(features["release"], value, elements["release"])
    sources = {f"model.onnx of {name}": model.info.model_sha256}
    sources |= {f"CAGI5 {split} set": digest for split, (_, digest) in tables.items()}
    learnt = Learnt(
        model=name,
        sources=sources,
        reads={one.name: features["release"].of(one.kinds).names for one in LEARNERS},
        how=(_RIDGE, _BOOSTING),
        draws=draws,
    )
    said = {split: predict_left_out(fits, features[split], elements[split]) for split in splits}
    counts = position_counts(labels, draws, seed)
    found = samples_of(said["release"], value, elements["release"], counts)
    yield "release", release_report(learnt, found, said["release"], elements["release"], fits)
    if not is_challenge:
        return
    run = Run(
        model=name,
        model_sha256=model.info.model_sha256,
        purpose=f"learned: {', '.join(learnt.reads)}, fitted on release effects of other loci; "
        f"draws {draws}, seed {seed}",
    )
    with load_challenge(data_dir, run, log=log) as labels:
        counts = position_counts(labels, draws, seed)
        value = labels["value"].to_numpy(np.float64)
        found = samples_of(said["challenge"], value, elements["challenge"], counts)
        run.means |= logged(found)
    yield "challenge", challenge_report(learnt, found, said["challenge"], elements["challenge"])


_RIDGE = (
    "Ridge regression on standardised features; of the penalties "
    f"{', '.join(f'{penalty:g}' for penalty in PENALTIES)} the one with the least squared error on "
    "the loci of the fit, each left out in turn."
)
_BOOSTING = (
    "Boosting: scikit-learn's HistGradientBoostingRegressor, settings fixed beforehand: "
    + (", ".join(f"{key} {value}" for key, value in BOOSTING.items()) + ".")
)
