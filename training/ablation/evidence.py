"""Rows beside measurements: correlations with resamples that all rows share, so they are paired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.ablation.entries import Entry
from training.ablation.rows import Row
from training.ablation.store import assay_rows
from training.datasets.cagi5 import ELEMENTS, GROUPS, head_of
from training.evaluation.agreement import Sample, mean_sample, position_counts, sample
from training.evaluation.metrics import Counts, Floats, Statistic, resample

MEAN = "mean of targets"
OWN_HEAD, ALL_HEADS = "head of the element", "mean of all heads"


class Key(NamedTuple):
    """What a sample is of.

    Attributes:
      data: validation, test, release or challenge.
      part: a target or `MEAN` of an assay's fold; a group of elements or an element of CAGI5.
      statistic: which correlation.
    """

    data: str
    part: str
    statistic: Statistic


Samples = dict[Key, Sample]
Reading = dict[str, tuple[str, ...]]
"""{target of an element: targets whose heads speak of an effect on it, together}."""


@dataclass(frozen=True, slots=True)
class Folds:
    """Measured activities of one fold.

    Attributes:
      activity: {target: (n,)}, in the order of the entries.
      counts: {target: (B, n)} resamples of homology clusters, drawn for all targets together.
    """

    activity: Mapping[str, Floats]
    counts: Mapping[str, Counts]


@dataclass(frozen=True, slots=True)
class Variants:
    """Measured effects of one CAGI5 set.

    Attributes:
      value: (n,) log2 effects, in the order of the entries.
      element: (n,) names.
      counts: (B, n) resamples of positions within each locus.
    """

    value: Floats
    element: NDArray[np.str_]
    counts: Counts

    @classmethod
    def of(cls, table: pd.DataFrame, draws: int, seed: int) -> Variants:
        """Of a table of CAGI5: columns element, pos, value."""
        return cls(
            table["value"].to_numpy(np.float64),
            table["element"].to_numpy(str),
            position_counts(table, draws, seed),
        )


def folds_of(entry: Entry, table: pd.DataFrame, split: str, draws: int, seed: int) -> Folds:
    """Measured activities of the rows that entries like this one keep, and their resamples."""
    assays = dict(zip(entry.targets, entry.provenance["assays"], strict=True))
    rows = {target: assay_rows(table, assay, split) for target, assay in assays.items()}
    clusters = np.concatenate([of["cluster"].to_numpy() for of in rows.values()])
    counts = resample(clusters, draws, np.random.default_rng(seed))
    ends = np.cumsum([len(of) for of in rows.values()])[:-1]
    return Folds(
        {target: of["activity"].to_numpy(np.float64) for target, of in rows.items()},
        dict(zip(rows, np.split(counts, ends, axis=1), strict=True)),
    )


def fold_samples(row: Row, split: str, measured: Folds) -> Samples:
    """Agreement on each target and its unweighted mean over them."""
    found: Samples = {}
    for statistic in Statistic:
        for target, activity in measured.activity.items():
            predicted, counts = row.inserts(split, target), measured.counts[target]
            found[Key(split, target, statistic)] = sample(predicted, activity, counts, statistic)
        parts = [found[Key(split, target, statistic)] for target in measured.activity]
        found[Key(split, MEAN, statistic)] = mean_sample(parts)
    return found


def variant_samples(
    row: Row, data: str, measured: Variants, *, reading: Reading | None = None
) -> Samples:
    """Agreement on each element and its unweighted mean over each group.

    Args:
      row: of the table.
      data: name of the set.
      measured: its effects.
      reading: which heads speak of a variant; by default that of its element's target.
    """
    targets = row.parts[0][0].targets
    heads = reading or readings(targets)[OWN_HEAD]
    effect = read_heads(row.effects(data), targets, measured.element, heads)
    found: Samples = {}
    for statistic in Statistic:
        for element in ELEMENTS:
            rows = np.flatnonzero((measured.element == element) & np.isfinite(effect))
            found[Key(data, element, statistic)] = sample(
                effect[rows], measured.value[rows], measured.counts[:, rows], statistic
            )
        for group, members in GROUPS.items():
            parts = [found[Key(data, member, statistic)] for member in members]
            found[Key(data, group, statistic)] = mean_sample(parts)
    return found


def readings(targets: Sequence[str]) -> dict[str, Reading]:
    """Ways to read an effect of several heads: {name: which speak of each target's elements}.

    The served one comes first, and none comes twice.
    """
    own: Reading = {target: (target,) for target in targets}
    found = {OWN_HEAD: own, ALL_HEADS: dict.fromkeys(targets, tuple(targets))}
    spoken_of = {head_of(element) for element in ELEMENTS}
    for one, other in permutations(targets, 2):
        if one not in spoken_of:
            continue  # it would differ on no element
        found[f"{one} by {one} and {other}"] = own | {one: (one, other)}
    found |= {f"{target} alone": dict.fromkeys(targets, (target,)) for target in targets}
    kept: dict[str, Reading] = {}
    for name, reading in found.items():
        if reading not in kept.values():
            kept[name] = reading
    return kept


def read_heads(
    effects: Floats, targets: Sequence[str], element: NDArray[np.str_], reading: Reading
) -> Floats:
    """(n, T) effects -> (n,): mean over the heads that speak of the target of each element."""
    means = {
        target: effects[:, [targets.index(head) for head in heads]].mean(axis=1)
        for target, heads in reading.items()
    }
    told = [means[head_of(name)][row] for row, name in enumerate(element.tolist())]
    return np.array(told, np.float64)
