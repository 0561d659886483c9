"""The numbers of one effect, in the order in which every door reports them.

`Effects -> numbers | texts`; VCF, TSV and JSON take names and meaning from `EFFECT_FIELDS`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.effects import Effects

MISSING = "."
UNSPECIFIED = "unspecified"
NONE = "none"


@dataclass(frozen=True, slots=True)
class EffectField:
    """One number of an effect.

    Attributes:
      name: the attribute of `Effects`, the JSON key, and the end of a column's name.
      meaning: one line; `{interval}` stands for the coverage.
      is_scaled: whether a calibration changes it.
    """

    name: str
    meaning: str
    is_scaled: bool = False


EFFECT_FIELDS = (
    EffectField("effect", "Predicted effect, alt minus ref, log2(RNA/DNA)"),
    EffectField(
        "sd", "Standard deviation of a measured effect about the prediction", is_scaled=True
    ),
    EffectField(
        "lower", "Lower end of the {interval} interval of a measured effect", is_scaled=True
    ),
    EffectField(
        "upper", "Upper end of the {interval} interval of a measured effect", is_scaled=True
    ),
    EffectField(
        "p_sign",
        "Probability that a measured effect would have the sign of effect: Phi(|effect|/sd)",
        is_scaled=True,
    ),
    EffectField("epistemic", "Standard deviation of the effect over the members of the ensemble"),
    EffectField("representation", "Standard deviation of the effect over strands and shifts"),
    EffectField(
        "aleatoric",
        "Part of sd that follows sigma of the two alleles (measurement noise and what the model"
        " cannot explain)",
        is_scaled=True,
    ),
)


def numbers(effects: Effects) -> NDArray[np.float64]:
    """Return all numbers of N variants and T targets as one (N, T, 8) array, NaN if not finite."""
    stacked = np.stack(
        [np.asarray(getattr(effects, field.name), np.float64) for field in EFFECT_FIELDS], axis=-1
    )
    # Adding zero turns -0.0, an odd sight in a table, into 0.0.
    return np.where(np.isfinite(stacked), stacked, np.nan) + 0.0


def texts(effects: Effects) -> list[list[str]]:
    """Return N rows of T x 8 texts of 6 significant digits, `.` where there is no number."""
    rows = numbers(effects)
    return [
        [MISSING if value != value else f"{value:.6g}" for value in row]  # noqa: PLR0124  (NaN)
        for row in rows.reshape(len(rows), math.prod(rows.shape[1:])).tolist()
    ]


def interval_text(coverage: float) -> str:
    """Return a coverage as a percentage.

    >>> interval_text(0.9)
    '90%'
    """
    return f"{100 * coverage:.6g}%"


def provenance_items(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what made the scores as texts, one per fact.

    >>> dict(provenance_items({"assembly": None, "options": {"strands": 2, "shifts": [0, 5]}}))
    {'assembly': 'unspecified', 'options': 'strands=2 shifts=0,5'}
    """
    for key, value in provenance.items():
        yield key, UNSPECIFIED if value is None else _fact(value)


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_fact(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(_fact, value)) or NONE
    return str(value).lower() if isinstance(value, bool) else str(value)
