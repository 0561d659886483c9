"""Plain sequences -> their activity on each target, with what the model knows of its error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.effects import Floats
from service.errors import Status, ValidationError
from service.scoring import Predictions
from service.sequence import UNKNOWN, Codes, encode, reverse_complement


@dataclass(frozen=True, slots=True)
class SequenceWindows:
    """What N sequences need of the model.

    Attributes:
      status: N statuses.
      rows: (n,) places of those that have a window.
      sequences: (n * strands, W) codes: all plus strands, then all minus strands.
    """

    status: list[Status]
    rows: NDArray[np.intp]
    sequences: Codes


@dataclass(frozen=True, slots=True)
class Activities:
    """Activity of N sequences on T targets, each attribute (N, T), log2(RNA/DNA), NaN if missing.

    Attributes:
      activity: mean of mu over members and strands.
      epistemic: SD over members of the member's activity; NaN for one member.
      sigma: SD of one measurement: sqrt of the mean of sigma^2 over members and strands.
    """

    activity: Floats
    epistemic: Floats
    sigma: Floats


def sequence_windows(sequences: Sequence[str], width: int, strands: int) -> SequenceWindows:
    """Place sequences in the middle of a window, N on both sides.

    The left padding on the plus strand is (W - length) // 2; the minus strand is the
    reverse complement of that window.

    Args:
      sequences: N texts over ACGTN, either case.
      width: W, bases in a window.
      strands: 1 for the plus strand only, 2 for both.

    Returns:
      The windows; an empty sequence, one with another letter, and one longer than W have none.
    """
    status = [Status.OK] * len(sequences)
    rows: list[int] = []
    forward = np.full((len(sequences), width), UNKNOWN, np.uint8)
    for row, text in enumerate(sequences):
        codes = _codes(text, width)
        if isinstance(codes, Status):
            status[row] = codes
            continue
        first = (width - len(codes)) // 2
        forward[len(rows), first : first + len(codes)] = codes
        rows.append(row)
    forward = forward[: len(rows)]
    both = np.concatenate((forward, reverse_complement(forward))) if strands == 2 else forward
    return SequenceWindows(status, np.array(rows, np.intp), both)


def activities(windows: SequenceWindows, predictions: Predictions) -> Activities:
    """Sum up the predictions; a sequence whose numbers are not finite has status MODEL_NAN."""
    n, n_rows = len(windows.status), len(windows.rows)
    mu, sigma = (
        values.reshape(-1, n_rows, *values.shape[1:]).astype(np.float64)
        if n_rows
        else np.empty((1, 0, *values.shape[1:]))
        for values in (predictions.mu, predictions.sigma)
    )
    # (strands, n, M, T)
    sound = (np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0)).all((0, 2, 3))
    for row in windows.rows[~sound].tolist():
        windows.status[row] = Status.MODEL_NAN
    mu, sigma, rows = mu[:, sound], sigma[:, sound], windows.rows[sound]
    by_member = mu.mean(0)
    found = Activities(*(np.full((n, mu.shape[-1]), np.nan) for _ in range(3)))
    found.activity[rows] = by_member.mean(1)
    if by_member.shape[1] > 1:
        found.epistemic[rows] = by_member.std(1, ddof=1)
    found.sigma[rows] = np.sqrt(np.square(sigma).mean((0, 2)))
    return found


def _codes(text: str, width: int) -> Codes | Status:
    if len(text) > width:
        return Status.ALLELE_TOO_LONG
    try:
        return encode(text) if text else Status.NON_ACGTN
    except ValidationError:
        return Status.NON_ACGTN
