"""What a model says of single-base changes: variants -> one row of features each, no label read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.scoring import Scorer
from service.sequence import BASES, UNKNOWN
from service.windows import make_passes, variant_index
from training.datasets.cagi5 import head_of, variants_of
from training.evaluation.metrics import Floats

AROUND = 3
"""Bases hidden on either side of a variant, and the variant itself."""
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
      activity of ref, and what N in place of `2 * AROUND + 1` bases around the site adds to it.
      Which base is ref and which alt.

    Raises:
      ValueError: the model lacks a target that an element needs.
    """
    targets = scorer.model.info.targets
    heads = table["element"].map(head_of)
    if absent := sorted(set(heads) - set(targets)):
        raise ValueError(f"CAGI5 needs the targets {absent}; the model has {list(targets)}")
    own = np.arange(len(table)), heads.map(targets.index).to_numpy(np.intp)
    windows = scorer.cut(variants_of(table))
    said = scorer.predict(windows)
    effects = scorer.combine(windows, said).effects
    sigma, activity, hiding = (np.full_like(effects.effect, np.nan) for _ in range(3))
    for group in windows.groups:
        ref = said.mu[group.index[:, :, 0]].astype(np.float64)
        # The ALTs of a site share their REF windows, so what is hidden of them too.
        places, which = np.unique(group.index[:, :, 0], return_inverse=True)
        without = replace(windows, sequences=_hidden(scorer, windows.sequences[places]))
        activity[group.rows] = ref.mean(axis=(1, 2))
        hiding[group.rows] = (scorer.predict(without).mu[which] - ref).mean(axis=(1, 2))
        sigma[group.rows] = said.sigma[group.index].mean(axis=(1, 2, 3), dtype=np.float64)
    columns: list[tuple[str, Kind, Floats]] = []
    for number, target in enumerate(targets):
        columns.append((f"effect ({target})", Kind.EFFECT, effects.effect[:, number]))
        if scorer.model.info.members > 1:
            columns.append((f"epistemic ({target})", Kind.SPREAD, effects.epistemic[:, number]))
        columns.append((f"sigma ({target})", Kind.SPREAD, sigma[:, number]))
    columns += [
        (f"effect ({OWN})", Kind.EFFECT, effects.effect[own]),
        (f"activity of ref ({OWN})", Kind.ACTIVITY, activity[own]),
        (f"hiding {2 * AROUND + 1} bases ({OWN})", Kind.HIDING, hiding[own]),
        *_bases(table),
    ]
    names, kinds, values = zip(*columns, strict=True)
    return Features(names=names, kinds=kinds, values=np.stack(values, axis=1))


def _hidden(scorer: Scorer, sequences: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(S, W) codes with N around the variant, which has one place in the windows of all passes."""
    options, width = scorer.options, scorer.model.info.window
    (middle,) = {variant_index(width, way) for way in make_passes(options.strands, options.shifts)}
    sequences[:, max(middle - AROUND, 0) : middle + AROUND + 1] = UNKNOWN
    return sequences


def _bases(table: pd.DataFrame) -> Iterator[tuple[str, Kind, Floats]]:
    for allele in ("ref", "alt"):
        letters = table[allele].str.upper()
        for base in BASES[:UNKNOWN]:
            yield f"{allele} {base}", Kind.BASES, np.asarray(letters == base, np.float64)
