"""Windows of many small requests cut as one list, and back: array operations cost by the call."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.cutting import Group, Windows
from service.scoring import Predictions

_Ways: TypeAlias = tuple[int, ...]
"""In how many ways a variant is shown, and how many windows each takes."""


def split(windows: Windows, sizes: Sequence[int]) -> list[Windows]:
    """Give each request its own windows.

    Args:
      windows: of all items of all requests, in their order.
      sizes: items of each request.

    Returns:
      One for each request, with the sequences that it needs, each once.
    """
    request_of = np.repeat(np.arange(len(sizes)), sizes).tolist()
    first_rows = np.cumsum([0, *sizes]).tolist()
    rows: list[dict[_Ways, list[int]]] = [defaultdict(list) for _ in sizes]
    index: list[dict[_Ways, list[int]]] = [defaultdict(list) for _ in sizes]
    places: list[dict[int, int]] = [{} for _ in sizes]
    for group in windows.groups:
        ways = group.index.shape[1:]
        flat = group.index.reshape(len(group.rows), -1).tolist()
        for row, wanted in zip(group.rows.tolist(), flat, strict=True):
            request = request_of[row]
            known = places[request]
            rows[request][ways].append(row - first_rows[request])
            index[request][ways] += [known.setdefault(place, len(known)) for place in wanted]
    return [
        Windows(
            windows.status[first : first + size],
            windows.normalised[first : first + size],
            windows.sequences[list(places[request])],
            tuple(
                Group(_array(some), _array(index[request][ways]).reshape(-1, *ways))
                for ways, some in rows[request].items()
            ),
        )
        for request, (first, size) in enumerate(zip(first_rows, sizes, strict=False))
    ]


def join(
    parts: Sequence[Windows], predictions: Sequence[Predictions]
) -> tuple[Windows, Predictions]:
    """Put the windows of requests, and the predictions for them, behind each other."""
    rows: dict[_Ways, list[NDArray[np.intp]]] = defaultdict(list)
    index: dict[_Ways, list[NDArray[np.intp]]] = defaultdict(list)
    first_row = first_sequence = 0
    for part in parts:
        for group in part.groups:
            ways = group.index.shape[1:]
            rows[ways].append(group.rows + first_row)
            index[ways].append(group.index + first_sequence)
        first_row += len(part.status)
        first_sequence += len(part.sequences)
    windows = Windows(
        [status for part in parts for status in part.status],
        [form for part in parts for form in part.normalised],
        np.concatenate([part.sequences for part in parts]),
        tuple(
            Group(np.concatenate(some), np.concatenate(index[ways])) for ways, some in rows.items()
        ),
    )
    mu = np.concatenate([part.mu for part in predictions])
    sigma = np.concatenate([part.sigma for part in predictions])
    return windows, Predictions(mu, sigma)


def _array(values: Sequence[int]) -> NDArray[np.intp]:
    return np.array(values, np.intp)
