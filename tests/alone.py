"""The model without a service, as fast as it goes here, for the commands that compare with it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from service.registry import Model, Registry
from service.sequence import Codes
from service.session import CPU, Device

# Runs at once (0: as many as threads, each with one), and size of batch.
Way = tuple[int, int]
WAYS: tuple[Way, ...] = ((1, 32), (1, 256), (0, 16))
SECONDS = 2


def largest(differences: NDArray[np.float64]) -> float:
    """Return the largest; infinity where one is NaN, which `max` would pass over."""
    return float(np.where(np.isnan(differences), np.inf, differences).max())


def described(way: Way) -> str:
    """Say what a way is."""
    runs, size = way
    return f"in batches of {size}" + ("" if runs else " on each core")


class Alone:
    """A model that is opened twice, with all threads inside an operator and with one."""

    def __init__(
        self, registry: Registry, name: str, device: Device = "cpu", threads: int | None = None
    ) -> None:
        """Open it."""
        self.shared = registry.load(name, device, threads)
        self.threads = self.shared.threads
        self.single = registry.load(name, "cpu", 1)
        self.ways = WAYS if self.shared.providers == (CPU,) else WAYS[:2]

    def rate(self, sequences: Codes, way: Way) -> float:
        """Return sequences a second of one way."""
        model, runs, size = self._of(way, len(sequences))
        end = time.perf_counter() + SECONDS

        def work(number: int) -> float:
            n, start = 0, time.perf_counter()
            while time.perf_counter() < end:
                first = (n + number * size) % (len(sequences) - size + 1)
                model.run(sequences[first : first + size])
                n += size
            return n / (time.perf_counter() - start)

        with ThreadPoolExecutor(runs) as pool:
            return sum(pool.map(work, range(runs)))

    def mu(self, sequences: Codes, way: Way) -> NDArray[np.float32]:
        """Return (N, M, T) mu of all sequences, run in one way."""
        model, runs, size = self._of(way, len(sequences))
        with ThreadPoolExecutor(runs) as pool:
            parts = pool.map(
                lambda first: model.run(sequences[first : first + size])[0],
                range(0, len(sequences), size),
            )
            return np.concatenate(list(parts))

    def _of(self, way: Way, n: int) -> tuple[Model, int, int]:
        runs, size = way
        model = self.shared if runs else self.single
        return model, runs or self.threads, min(size, n)
