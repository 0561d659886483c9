"""How learning from measured effects is laid out: predictions of loci left out -> reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from training.datasets.cagi5 import ELEMENTS, GROUPS, head_of, locus_of
from training.evaluation.agreement import Sample, mean_sample, sample
from training.evaluation.metrics import Counts, Floats, Statistic
from training.evaluation.report import Cell, Report, Table, rows_of

MODEL = "effect of the model"
"""Label of the row that the others are compared with."""
FOUR, SEVEN, ALL = (name for name in GROUPS if not name.startswith("HepG2"))
HEADLINES = (
    (FOUR, Statistic.SPEARMAN),
    (SEVEN, Statistic.PEARSON),
    (ALL, Statistic.SPEARMAN),
)
"""What is reported, the same as of the levers."""
VALUES = "CAGI5 {}, one locus left out"
DIFFERENCES = f"Difference to the {MODEL}"
SPEARMAN = "Spearman by element"
FITS = "The fits"
WEIGHTS = "Weights of the ridge regression"
READS = "What each reads"
SOURCES = "What it was computed from"

Samples = Mapping[tuple[str, str, Statistic], Sample]
"""{(label, group or element, statistic): its sample}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What both reports say of how predictions came about.

    Attributes:
      model: its name.
      sources: {what was read: its SHA-256}.
      reads: {learner: names of its features}.
      how: a sentence for each kind of learner.
      draws: bootstrap resamples.
    """

    model: str
    sources: Mapping[str, str]
    reads: Mapping[str, Sequence[str]]
    how: tuple[str, ...]
    draws: int


def samples_of(
    said: Mapping[str, Floats], value: Floats, element: NDArray[np.str_], counts: Counts
) -> Samples:
    """Correlate what each row says with what was measured.

    Args:
      said: {label: (n,) predicted log2 effects}, NaN where there is none.
      value: (n,) measured log2 effects.
      element: (n,) names.
      counts: (B, n) resamples, the same for all rows, which pairs them.

    Returns:
      Samples of each element, and of each group their unweighted mean.
    """
    found: dict[tuple[str, str, Statistic], Sample] = {}
    for label, predicted in said.items():
        for statistic in Statistic:
            for name in ELEMENTS:
                rows = np.flatnonzero((element == name) & np.isfinite(predicted))
                found[label, name, statistic] = sample(
                    predicted[rows], value[rows], counts[:, rows], statistic
                )
            for group, members in GROUPS.items():
                parts = [found[label, member, statistic] for member in members]
                found[label, group, statistic] = mean_sample(parts)
    return found


def logged(samples: Samples) -> dict[str, float]:
    """What the log of looks keeps."""
    labels = dict.fromkeys(label for label, _, _ in samples)
    return {
        f"{label}, {part}, {statistic}": samples[label, part, statistic].value
        for label in labels
        for part, statistic in HEADLINES
    }


def release_report(
    learnt: Learnt,
    samples: Samples,
    said: Mapping[str, Floats],
    element: NDArray[np.str_],
    fits: Mapping[str, Mapping[str, Any]],
) -> Report:
    """Lay out what is found on the release rows of each locus left out, and what was fitted.

    Args:
      learnt: how predictions came about.
      samples: of each row.
      said: {label: (n,) predicted effects}.
      element: (n,) names.
      fits: {locus: {learner: what was fitted without it}}.
    """
    tables = (_fits(said, element, fits), _weights(learnt, fits))
    notes = (
        f"{WEIGHTS}: log2 effect per SD of the feature, least and greatest of the fits beside the "
        "mean. Features go together, so one weight alone says little.",
        "The model was chosen among others on the release set, to which its own row owes "
        "something; its weights were not fitted to it.",
    )
    shared = _shared("release", learnt, samples, said, element)
    return Report(shared.title, (*shared.tables, *tables), (*shared.notes, *notes))


def challenge_report(
    learnt: Learnt, samples: Samples, said: Mapping[str, Floats], element: NDArray[np.str_]
) -> Report:
    """Lay out what the same fits say of the challenge rows; arguments as of `release_report`."""
    return _shared("challenge", learnt, samples, said, element)


def _shared(
    split: str,
    learnt: Learnt,
    samples: Samples,
    said: Mapping[str, Floats],
    element: NDArray[np.str_],
) -> Report:
    """What both reports have."""
    tables = (
        _values(split, samples, said),
        _differences(samples, said),
        _elements(samples, said, element),
        Table(READS, ("row", "features"), rows_of(
            [name, ", ".join(features)] for name, features in learnt.reads.items()
        )),
        Table(SOURCES, ("what", "SHA-256"), rows_of(
            [name, digest[:12]] for name, digest in learnt.sources.items()
        )),
    )  # fmt: skip
    title = f"Learning from measured effects of other loci, CAGI5 {split} set: {learnt.model}"
    return Report(title, tables, _notes(learnt))


def _values(split: str, samples: Samples, said: Mapping[str, Floats]) -> Table:
    rows: list[Sequence[Cell]] = [
        [label, *(samples[label, part, statistic].estimate for part, statistic in HEADLINES)]
        for label in said
    ]
    names = (f"{statistic}, {part}" for part, statistic in HEADLINES)
    return Table(VALUES.format(split), ("row", *names), rows_of(rows))


def _differences(samples: Samples, said: Mapping[str, Floats]) -> Table:
    rows: list[Sequence[Cell]] = []
    for label in said:
        if label != MODEL:
            line: list[Cell] = [label]
            for part, statistic in HEADLINES:
                other = samples[MODEL, part, statistic]
                found = samples[label, part, statistic].minus(other)
                line += [found.estimate, found.p_not_above]
            rows.append(line)
    columns = [
        f"{statistic}, {part}{kind}" for part, statistic in HEADLINES for kind in ("", ": P(<= 0)")
    ]
    return Table(DIFFERENCES, ("row", *columns), rows_of(rows))


def _elements(samples: Samples, said: Mapping[str, Floats], element: NDArray[np.str_]) -> Table:
    rows: list[Sequence[Cell]] = []
    for name in ELEMENTS:
        here = element == name
        counted = int(here.sum()), int((here & np.isfinite(said[MODEL])).sum())
        found = (samples[label, name, Statistic.SPEARMAN].estimate for label in said)
        rows.append([name, head_of(name), *counted, *found])
    return Table(SPEARMAN, ("element", "own target", "n", "scored", *said), rows_of(rows))


def _fits(
    said: Mapping[str, Floats],
    element: NDArray[np.str_],
    fits: Mapping[str, Mapping[str, Any]],
) -> Table:
    """What each fit had to learn from, and the penalties that it chose."""
    usable = np.isfinite(said[MODEL])
    loci = np.array([locus_of(name) for name in element.tolist()])
    ridges = [name for name, one in next(iter(fits.values())).items() if isinstance(one, Pipeline)]
    rows: list[Sequence[Cell]] = []
    for locus, fitted in fits.items():
        seen = usable & (loci != locus)
        sizes = len(set(element[seen].tolist())), int(seen.sum())
        rows.append([locus, *sizes, *(f"{fitted[name][-1].alpha_:g}" for name in ridges)])
    penalties = (f"penalty: {name}" for name in ridges)
    columns = ("locus left out", "elements fitted on", "variants fitted on", *penalties)
    return Table(FITS, columns, rows_of(rows))


def _weights(learnt: Learnt, fits: Mapping[str, Mapping[str, Any]]) -> Table:
    """Weights of each ridge regression, over the fits."""
    rows: list[Sequence[Cell]] = []
    for name, features in learnt.reads.items():
        found = [fitted[name] for fitted in fits.values()]
        if all(isinstance(one, Pipeline) for one in found):
            weights = np.stack([one[-1].coef_ for one in found])
            for column, feature in enumerate(features):
                each = weights[:, column]
                ends = float(each.min()), float(each.max())
                rows.append([name, feature, float(each.mean()), *ends])
    columns = ("row", "feature", "mean over the fits", "least", "greatest")
    return Table(WEIGHTS, columns, rows_of(rows))


def _notes(learnt: Learnt) -> tuple[str, ...]:
    return (
        "Research use only. Fitted on measured effects of the CAGI5 release set; no shipped weight "
        "is. What is served remains the effect of the model.",
        "Leave one locus out: a locus is predicted by fits on the release rows of all others, also "
        "on the challenge set. The two TERT sets are one locus. Elements weigh the same in a fit, "
        "effects are in log2 units as measured.",
        "Features are what the model says through the service's own scorer, both strands, and "
        "which bases ref and alt are; no label is read for them. Own target: HepG2 for its three "
        "elements, K562 for all others. Hiding: N in place of the bases around the site, less the "
        "activity of ref.",
        *learnt.how,
        f"[low, high]: 95 % bootstrap over positions ({learnt.draws} draws), all rows on the same "
        "resamples, so that differences are paired; the two TERT sets are drawn together. "
        "Intervals are over positions within these elements: they leave the fits as they are and "
        "say nothing of other loci. Means over elements are unweighted.",
        f"scikit-learn {sklearn.__version__}.",
    )
