"""A model that is as slow as a test wants, and the codes that tell it what to answer."""

import asyncio
import threading
from types import SimpleNamespace

import numpy as np

W = 6
INFO = SimpleNamespace(name="slow", window=W, members=2, targets=("a", "b", "c"))


class SlowModel:
    """Answers what a row's first two codes say, once it is let; keeps the batches it was given."""

    def __init__(self) -> None:
        self.info = INFO
        self.batches: list[np.ndarray] = []
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Event()
        self.error: Exception | None = None

    def run(self, bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(bases.copy())
        self.started.set()
        assert self.go.wait(30)
        if self.error:
            raise self.error
        value = bases[:, 0].astype("f4") * 256 + bases[:, 1]
        mu = np.broadcast_to(value[:, None, None], (len(bases), 2, 3))
        return mu, mu + 1

    def hold(self) -> None:
        """Let the next run wait for `go`, and forget what ran before."""
        self.batches.clear()
        self.started.clear()
        self.go.clear()

    async def is_running(self) -> None:
        while not self.started.is_set():
            await asyncio.sleep(0.001)


def rows(first: int, n: int) -> np.ndarray:
    """(n, W) codes whose first two spell first, first + 1 ..."""
    numbers = np.arange(first, first + n)
    codes = np.zeros((n, W), np.uint8)
    codes[:, 0], codes[:, 1] = numbers // 256, numbers % 256
    return codes


def spelt(codes: np.ndarray) -> list[int]:
    return (codes[:, 0].astype(int) * 256 + codes[:, 1]).tolist()
