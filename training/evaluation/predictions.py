"""CAGI5 variants -> one distribution each, read from the target of its element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.effects import Effects
from service.errors import Status
from service.scoring import Scorer
from training.datasets.cagi5 import head_of, variants_of

NOMINAL = (0.5, 0.8, 0.9, 0.95)
"""Nominal coverages of the effect interval that are checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a model says of the n variants of a CAGI5 table.

    Attributes:
      status: n statuses.
      scored: (n,) whether the variant has a distribution.
      head: (n,) name of the target read.
      effects: the distributions, each attribute (n,); NaN where not scored.
      calibrated: whether measured effects set the widths, of every target read.
    """

    status: list[Status]
    scored: NDArray[np.bool_]
    head: NDArray[np.str_]
    effects: Effects
    calibrated: bool


def predict(scorer: Scorer, targets: Sequence[str], table: pd.DataFrame) -> Predictions:
    """Score the variants of a CAGI5 table, each with the target of its element.

    Args:
      scorer: model and reference.
      targets: names of the model's targets, in its order.
      table: columns element, contig, pos (1-based), ref, alt.

    Raises:
      ValueError: the model lacks a target that an element needs.
    """
    head = np.array([head_of(element) for element in table["element"]])
    needed = np.unique(head).tolist()
    if absent := sorted(set(needed) - set(targets)):
        raise ValueError(f"CAGI5 needs the targets {absent}; the model has {list(targets)}")
    scores = scorer.score(variants_of(table))
    column = np.array([targets.index(name) for name in head])
    rows = np.arange(len(table))
    return Predictions(
        status=scores.status,
        scored=np.array([status == Status.OK for status in scores.status]),
        head=head,
        effects=Effects(
            *(np.asarray(getattr(scores.effects, f.name))[rows, column] for f in fields(Effects))
        ),
        calibrated=all(scores.calibrated[targets.index(name)] for name in needed),
    )
