"""What a model says of single-base changes: variants -> one row of features each, no label read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.scoring import Scorer
from service.sequence import BASES, UNKNOWN
from training.datasets.cagi5 import head_of, variants_of
from training.evaluation.metrics import Floats

OWN = "own target"
"""The target of the variant's element, whichever that is."""


class Kind(StrEnum):
    """What a feature tells of a variant."""

    EFFECT = "effect"
    SPREAD = "spread"
    ACTIVITY = "activity"
    HIDING = "hiding"
    BASES = "bases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """F features of n variants.

    Attributes:
      names: F names.
      kinds: F kinds.
      values: (n, F); NaN where the variant has no score. Log2 units, but for bases: 0 or 1.
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    values: Floats

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) whether a variant has all its features."""
        return np.asarray(np.isfinite(self.values).all(axis=1))

    @property
    def effect(self) -> Floats:
        """(n,) effect on the target of the variant's element."""
        own: Floats = self.values[:, self.names.index(f"effect ({OWN})")]
        return own

    def of(self, kinds: Collection[Kind]) -> Features:
        """Those of some kinds alone."""
        kept = [column for column, kind in enumerate(self.kinds) if kind in kinds]
        return Features(
            names=tuple(self.names[column] for column in kept),
            kinds=tuple(self.kinds[column] for column in kept),
            values=self.values[:, kept],
        )


def read_features(scorer: Scorer, table: pd.DataFrame) -> Features:
    """Describe single-base changes as the scorer sees them, passes averaged.

    Args:
      scorer: model and reference.
      table: n rows with element, contig, pos (1-based), ref, alt; nothing else is read.

    Returns:
      Of every target: the effect (mean over members), its epistemic SD where there is more than
      one member, and the mean sigma of both alleles. Of the element's own target: the effect, the
      activity of ref, and what hiding the bases around the site adds to it (`occlusion`).
      Which base is ref and which alt.

    Raises:
      ValueError: the model lacks a target that an element needs, or the scorer hides no bases.
    """
    if not scorer.n_occluded:
        raise ValueError("the scorer hides no bases: give it n_occluded")
    targets = scorer.model.info.targets
    heads = table["element"].map(head_of)
    if absent := sorted(set(heads) - set(targets)):
        raise ValueError(f"CAGI5 needs the targets {absent}; the model has {list(targets)}")
    own = np.arange(len(table)), heads.map(targets.index).to_numpy(np.intp)
    windows = scorer.cut(variants_of(table))
    said = scorer.predict(windows)
    effects = scorer.combine(windows, said).effects
    sigma, activity = (np.full_like(effects.effect, np.nan) for _ in range(2))
    for group in windows.groups:
        alleles = group.index[:, :, :2]
        activity[group.rows] = said.mu[alleles[:, :, 0]].mean(axis=(1, 2), dtype=np.float64)
        sigma[group.rows] = said.sigma[alleles].mean(axis=(1, 2, 3), dtype=np.float64)
    columns: list[tuple[str, Kind, Floats]] = []
    for number, target in enumerate(targets):
        columns.append((f"effect ({target})", Kind.EFFECT, effects.effect[:, number]))
        if scorer.model.info.members > 1:
            columns.append((f"epistemic ({target})", Kind.SPREAD, effects.epistemic[:, number]))
        columns.append((f"sigma ({target})", Kind.SPREAD, sigma[:, number]))
    columns += [
        (f"effect ({OWN})", Kind.EFFECT, effects.effect[own]),
        (f"activity of ref ({OWN})", Kind.ACTIVITY, activity[own]),
        (f"hiding {scorer.n_occluded} bases ({OWN})", Kind.HIDING, effects.occlusion[own]),
        *_bases(table),
    ]
    names, kinds, values = zip(*columns, strict=True)
    return Features(names=names, kinds=kinds, values=np.stack(values, axis=1))


def _bases(table: pd.DataFrame) -> Iterator[tuple[str, Kind, Floats]]:
    for allele in ("ref", "alt"):
        letters = table[allele].str.upper()
        for base in BASES[:UNKNOWN]:
            yield f"{allele} {base}", Kind.BASES, np.asarray(letters == base, np.float64)
