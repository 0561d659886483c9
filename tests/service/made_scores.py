"""Scores made by hand, for the tests of the codecs."""

from collections.abc import Sequence

import numpy as np

from service.effects import Effects
from service.errors import Status
from service.fields import EFFECT_FIELDS
from service.novelty import LEVEL, ORDINARY, Aspect
from service.records import Record, parse_line
from service.scoring import Scores

NAMES = [field.name for field in EFFECT_FIELDS]


def make_scores(
    statuses: Sequence[Status],
    values: Sequence[float] | None = None,
    n_targets: int = 1,
    novelty: Sequence[float] | None = None,
    calibrated: tuple[bool, ...] | None = None,
) -> Scores:
    """One value for all numbers of each ALT; by default 1.5, and NaN where there is no score.

    Every ALT is a single-base change; no target is calibrated unless it is said.
    Novelty is 0.25 unless it is given; what is novel is so by a low GC.
    """
    is_ok = [status is Status.OK for status in statuses]
    if values is None:
        values = [1.5 if ok else np.nan for ok in is_ok]
    effects = Effects.missing(len(statuses), n_targets)
    for name in NAMES:
        getattr(effects, name)[:] = np.array(values, float).reshape(-1, 1)
    forms = [f"{row}:A:C" if ok else "." for row, ok in enumerate(is_ok, 1)]
    p = np.where(is_ok, 0.25 if novelty is None else np.array(novelty, float), np.nan)
    novel_as = np.where(p < LEVEL, Aspect.LOW_GC.value, ORDINARY)
    return Scores(list(statuses), effects, calibrated or (False,) * n_targets, forms, p, novel_as)


def make_record(line: bytes, number: int = 1) -> Record:
    """Parse a line that is a record."""
    parsed = parse_line(line, number)
    assert isinstance(parsed, Record)
    return parsed
