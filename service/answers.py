"""Core results -> JSON bytes of the HTTP interface, without any NaN.

A list of results is written item by item, so that a long one does not hold the interpreter for
itself while others wait.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np

from service.activity import Activities
from service.cutting import NOT_NORMALISED
from service.effects import Floats
from service.errors import Status
from service.fields import EFFECT_FIELDS, numbers
from service.novelty import ORDINARY
from service.reasons import reason
from service.reference import Reference
from service.saturation import ALTS, Map, Region
from service.schemas import SequenceBody, SequencePair, VariantBody
from service.scoring import Scores
from service.triage_list import Given, TriageList

_NAMES = tuple(field.name for field in EFFECT_FIELDS)
MAP_NUMBERS = ("effect", "expected", "sd", "quantile")
"""Numbers of an effect that a map of a region has."""
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
# A status is worded for variants; of plain sequences, these two mean something narrower.
_REASONS = {
    Status.ALLELE_TOO_LONG: "the sequence is longer than the model's window",
    Status.NON_ACGTN: "the sequence has a letter other than ACGTN",
}

_PAIR_TOO_LONG = "a sequence of the pair is longer than the model's window"


def encoded(value: object) -> bytes:
    """Return JSON, ASCII only."""
    return _ENCODER.encode(value).encode()


def score_head(
    provenance: Mapping[str, Any], targets: Sequence[str], calibrated: Sequence[bool]
) -> bytes:
    """Return what stands beside the results of `/v1/score`, as a JSON object."""
    return encoded(
        {
            "provenance": dict(provenance),
            "calibrated": any(calibrated),
            "calibrated_targets": list(compress(targets, calibrated)),
        }
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input, as JSON types."""

    status: Status
    reason: str | None
    normalised: str | None
    targets: dict[str, dict[str, Any]] | None
    novelty: float | None = None
    novel_as: str | None = None


def score_outcomes(scores: Scores, targets: Sequence[str]) -> Iterator[Outcome]:
    """Yield the outcome of each input."""
    rows = numbers(scores.effects).tolist()
    novel = zip(scores.novelty.tolist(), scores.novel_as.tolist(), strict=True)
    flags = scores.is_calibrated.tolist()
    for status, form, (p, aspect), row, known in zip(
        scores.status, scores.normalised, novel, rows, flags, strict=True
    ):
        if status is not Status.OK:
            yield Outcome(status, status.reason, None, None)
            continue
        blocks = {
            target: {
                name: None if value != value else value  # noqa: PLR0124  (NaN)
                for name, value in zip(_NAMES, values, strict=True)
            }
            for target, values in zip(targets, row, strict=True)
        }
        for block, calibrated in zip(blocks.values(), known, strict=True):
            block["calibrated"] = calibrated
        yield Outcome(
            status,
            None,
            None if form == NOT_NORMALISED else form,
            blocks,
            None if math.isnan(p) else p,
            None if aspect == ORDINARY else aspect,
        )


def score_results(
    items: Sequence[VariantBody | SequencePair],
    outcomes: Iterator[Outcome],
    first: int = 0,
    *,
    reference: Reference | None = None,
) -> Iterator[bytes]:
    """Yield one JSON object per input.

    Args:
      items: N inputs.
      outcomes: of the inputs, and perhaps of others after them.
      first: index of the first input.
      reference: on which variants lie.
    """
    for index, item in enumerate(items, first):
        outcome = next(outcomes)
        yield encoded(
            {
                "index": index,
                "id": item.id,
                "status": outcome.status,
                "reason": outcome.reason and _reason(item, outcome.status, reference),
                "normalised": outcome.normalised,
                "novelty": outcome.novelty,
                "novel_as": outcome.novel_as,
                "targets": outcome.targets,
            }
        )


def triage_answer(found: TriageList) -> bytes:
    """Return the JSON of a `TriageResponse`."""
    return joined(encoded(found.head()), (encoded(row.as_dict()) for row in found.by_input()))


def given_of(
    item: VariantBody | SequencePair, status: Status, reference: Reference | None
) -> Given:
    """Return an input of a triage with why it has no score, where it has none."""
    given = Given(ref=item.ref, alt=item.alt, id=item.id)
    if isinstance(item, VariantBody):
        given = replace(given, contig=item.contig, pos=item.pos)
    return given if status is Status.OK else replace(given, reason=_reason(item, status, reference))


def _reason(item: VariantBody | SequencePair, status: Status, reference: Reference | None) -> str:
    if isinstance(item, SequencePair):
        return _PAIR_TOO_LONG if status is Status.ALLELE_TOO_LONG else status.reason
    return status.reason if reference is None else reason(status, item.variant(), reference)


def sequence_results(
    items: Sequence[SequenceBody],
    status: Sequence[Status],
    found: Activities,
    targets: Sequence[str],
) -> Iterator[bytes]:
    """Yield one JSON object per sequence."""
    values = np.stack((found.activity, found.epistemic, found.sigma), axis=-1)
    for index, (item, state, row) in enumerate(zip(items, status, values.tolist(), strict=True)):
        blocks = None
        if state is Status.OK:
            blocks = {
                target: {
                    "activity": activity,
                    "epistemic": None if epistemic != epistemic else epistemic,  # noqa: PLR0124
                    "sigma": sigma,
                }
                for target, (activity, epistemic, sigma) in zip(targets, row, strict=True)
            }
        reason = None if state is Status.OK else _REASONS.get(state, state.reason)
        yield encoded(
            {
                "index": index,
                "id": item.id,
                "status": state.value,
                "reason": reason,
                "targets": blocks,
            }
        )


def joined(head: bytes, results: Iterator[bytes]) -> bytes:
    """Return a JSON object with one more key, `results`."""
    return with_key(head, "results", b"[%b]" % b",".join(results))


def region_head(region: Region) -> dict[str, Any]:
    """Return what a saturation answer says of its region."""
    return {
        "contig": region.contig,
        "start": region.start + 1,
        "end": region.start + len(region.codes),
        "sequence": region.sequence,
        "alts": ALTS,
    }


def with_map(head: bytes, found: Map, targets: Sequence[str], calibrated: Sequence[bool]) -> bytes:
    """Return the head of a saturation answer, a JSON object, with the numbers of its map."""
    blocks = (
        b'%b:{%b,"calibrated":%b}'
        % (
            encoded(target),
            b",".join(
                b"%b:%b" % (encoded(name), _rows(getattr(found, name)[..., number]))
                for name in MAP_NUMBERS
            ),
            encoded(is_calibrated),
        )
        for number, (target, is_calibrated) in enumerate(zip(targets, calibrated, strict=True))
    )
    names = [
        [None if name == ORDINARY else name for name in row] for row in found.novel_as.tolist()
    ]
    head = with_key(head, "novelty", _rows(found.novelty))
    head = with_key(head, "novel_as", encoded(names))
    return with_key(head, "targets", b"{%b}" % b",".join(blocks))


def with_key(head: bytes, key: str, value: bytes) -> bytes:
    """Return a JSON object, not empty, with one more key."""
    return b"%b,%b:%b}" % (head[:-1], encoded(key), value)


def _rows(values: Floats) -> bytes:
    """(L, 4) -> a JSON list of lists, null for what is no number."""
    rows = ([value if math.isfinite(value) else None for value in row] for row in values.tolist())
    return b"[%b]" % b",".join(map(encoded, rows))
