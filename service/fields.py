"""The numbers of one effect, in the order in which every door reports them.

`Effects -> numbers -> text`; VCF, TSV and JSON take names and meaning from `EFFECT_FIELDS`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.effects import Effects
from service.errors import Status
from service.novelty import LEVEL
from service.scoring import Scores

MISSING = "."
UNSPECIFIED = "unspecified"
NONE = "none"
_MISSING = MISSING.encode()
STATUS_TEXT = {status: status.value.encode() for status in Status}

# Which numbers of a row are known, as packed bits, and those numbers.
KnownRow: TypeAlias = tuple[bytes, tuple[float, ...]]


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
    EffectField("expected", "Mean of the distribution of the true effect", is_scaled=True),
    EffectField("sd", "Standard deviation of the true effect about expected", is_scaled=True),
    EffectField("lower", "Lower end of the {interval} interval of the true effect", is_scaled=True),
    EffectField("upper", "Upper end of the {interval} interval of the true effect", is_scaled=True),
    EffectField(
        "p_sign", "Probability that the true effect has the sign of expected", is_scaled=True
    ),
    EffectField(
        "repeat_sd",
        "Standard deviation of what a repeat of the assay would measure about expected",
        is_scaled=True,
    ),
    EffectField(
        "repeat_lower",
        "Lower end of the {interval} interval of what a repeat of the assay would measure",
        is_scaled=True,
    ),
    EffectField(
        "repeat_upper",
        "Upper end of the {interval} interval of what a repeat of the assay would measure",
        is_scaled=True,
    ),
    EffectField("epistemic", "Standard deviation of the effect over the members of the ensemble"),
    EffectField(
        "representation", "Standard deviation of the effect over strands, shifts and anchorings"
    ),
    EffectField(
        "aleatoric",
        "Standard deviation that sigma of the two alleles gives their difference (noise of one"
        " measurement in the target's assay and what the model cannot explain)",
        is_scaled=True,
    ),
    EffectField(
        "occlusion",
        "Predicted effect of hiding the bases around a single-base change in ref, where the"
        " distribution reads it",
        is_scaled=True,
    ),
    EffectField(
        "quantile",
        "Rank of effect among random single-base changes of the same model, signed, in (-1, 1): its"
        " sign times the share of them that are smaller in size",
    ),
)
VARIANT_COLUMNS = ("status", "normalised", "novelty", "novel_as")
"""What is said of a variant once, whatever the targets."""
CALIBRATED = "calibrated"
CALIBRATED_MEANING = (
    "Whether measured effects of such changes set the numbers of this target: false for indels and"
    " changes of several bases, whose numbers are computed alike, unchecked"
)
NOVELTY_MEANING = (
    "p-value of the sequence of the alleles: how often one of the kind that the model learnt from"
    " is as unusual"
)
NOVEL_AS_MEANING = f"In what that sequence is unusual, where its novelty is below {LEVEL:g}"


def variant_texts(scores: Scores) -> list[tuple[bytes, ...]]:
    """Return what stands before the numbers of each of N variants.

    These are the `VARIANT_COLUMNS`, of which novelty has 6 significant digits, and then for each of
    the T targets whether its numbers are calibrated: true, false, or `.` without a score.
    """
    is_ok = np.array([status is Status.OK for status in scores.status], bool)[:, None]
    flags = np.where(scores.is_calibrated, b"true", b"false")
    return list(
        zip(
            [STATUS_TEXT[status] for status in scores.status],
            [form.encode() for form in scores.normalised],
            [b"%.6g" % p if p == p else _MISSING for p in scores.novelty.tolist()],  # noqa: PLR0124
            np.char.encode(scores.novel_as, "ascii").tolist(),
            *np.where(is_ok, flags, _MISSING).T.tolist(),
            strict=True,
        )
    )


def numbers(effects: Effects) -> NDArray[np.float64]:
    """Return all numbers of N variants and T targets as one (N, T, F) array, NaN if not finite."""
    stacked = np.stack(
        [np.asarray(getattr(effects, field.name), np.float64) for field in EFFECT_FIELDS], axis=-1
    )
    # Adding zero turns -0.0, an odd sight in a table, into 0.0.
    return np.where(np.isfinite(stacked), stacked, np.nan) + 0.0


def known_rows(effects: Effects) -> list[KnownRow]:
    """Return for each of N variants which of its T x F numbers are known, and those numbers."""
    table = numbers(effects)
    table = table.reshape(len(table), math.prod(table.shape[1:]))
    is_known = ~np.isnan(table)
    masks = np.packbits(is_known, axis=1)
    width, packed = masks.shape[1], masks.tobytes()
    known = tuple(table[is_known].tolist())
    ends = is_known.sum(axis=1).cumsum().tolist()
    return [
        (packed[row * width : (row + 1) * width], known[start:end])
        for row, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
    ]


class RowTemplates:
    """Templates for `%` that write a row of numbers at once, `.` for one that is not known.

    A format for each number would take three times as long. There is a template for each set of
    known numbers, of which a file has few.

    Args:
      heads: what stands before each number.
      before: what stands before the first head; may hold places for other values.
      after: what stands after the last number, likewise.
    """

    def __init__(self, heads: Sequence[bytes], *, before: bytes = b"", after: bytes = b"") -> None:
        """Keep the templates that were made."""
        self._heads, self._before, self._after = heads, before, after
        self.template = lru_cache(maxsize=1024)(self._template)

    def _template(self, mask: bytes) -> bytes:
        """Return the template for a mask of `known_rows`; numbers have 6 significant digits."""
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), count=len(self._heads)).tolist()
        numbers = (
            head + (b"%.6g" if is_known else _MISSING)
            for head, is_known in zip(self._heads, bits, strict=True)
        )
        return b"".join((self._before, *numbers, self._after))


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
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)
