"""Sequences a second of one model: ONNX Runtime, PyTorch eager, torch.compile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch.utils.flop_counter import FlopCounterMode

from service.registry import INPUT, OUTPUTS
from service.session import gpu_of, run_bound
from tests.gpu.machine import Machine, allow_tf32
from tests.gpu.sessions import autocast, torch_model

_MOST_TOLD = 160


@dataclass(frozen=True)
class Rate:
    """What one way to run the model does.

    Attributes:
      way: library and precision.
      precision: fp32, tf32 or fp16.
      size: sequences in a batch.
      host: sequences a second from memory to memory.
      card: the same where they are on the card before and after; the same number on a CPU.
      problem: why there are none, in one line, or empty.
    """

    way: str
    precision: str
    size: int
    host: float
    card: float
    problem: str = ""


def windows(n: int, width: int, seed: int = 0) -> np.ndarray:
    """(n, width) random codes."""
    return np.random.default_rng(seed).integers(0, 4, (n, width), dtype=np.uint8)


def flops_of(name: str, width: int) -> int:
    """Operations that one sequence needs in products and convolutions."""
    model = torch_model(name, Machine("cpu", "", 0))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.from_numpy(windows(1, width)))
    return int(counter.get_total_flops())


def ort_rates(
    session: ort.InferenceSession, machine: Machine, precision: str, batch: np.ndarray
) -> Iterator[Rate]:
    """Measure ONNX Runtime as the service runs it; on a card without IO binding, too."""
    size, gpu = len(batch), gpu_of(session)
    host = plain = machine.seconds(lambda: session.run(OUTPUTS, {INPUT: batch}))
    if gpu is not None:
        host = machine.seconds(lambda: run_bound(session, OUTPUTS, INPUT, batch, ("cuda", gpu)))
    bound = session.io_binding()
    bound.bind_ortvalue_input(INPUT, ort.OrtValue.ortvalue_from_numpy(batch, machine.device, 0))
    for output in OUTPUTS:
        bound.bind_output(output, machine.device, 0)

    def run() -> None:
        session.run_with_iobinding(bound)
        bound.synchronize_outputs()

    card = machine.seconds(run) if machine.has_cuda else host
    yield Rate("ONNX Runtime", precision, size, size / host, size / card)
    if gpu is not None:
        yield Rate("session.run", precision, size, size / plain, size / card)


def torch_rates(
    name: str, machine: Machine, precision: str, batch: np.ndarray, *, compiles: bool
) -> Iterator[Rate]:
    """Measure PyTorch, as it is and compiled."""
    model = torch_model(name, machine)
    ways: dict[str, Callable[[], Any]] = {"PyTorch eager": lambda: model}
    if compiles:
        ways["torch.compile"] = lambda: torch.compile(model, dynamic=False)
    for way, made in ways.items():
        try:
            with _precision(machine, precision):
                host, card = _torch_seconds(made(), machine, batch)
        except Exception as error:  # noqa: BLE001  (a compiler that is not there, or gives up)
            told = " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_TOLD]
            yield Rate(way, precision, len(batch), 0, 0, told)
            continue
        yield Rate(way, precision, len(batch), len(batch) / host, len(batch) / card)
    torch.compiler.reset()


@contextmanager
def _precision(machine: Machine, precision: str) -> Iterator[None]:
    allow_tf32(precision == "tf32")
    try:
        with torch.inference_mode(), autocast(machine, precision):
            yield
    finally:
        allow_tf32(False)


def _torch_seconds(model: Any, machine: Machine, batch: np.ndarray) -> tuple[float, float]:
    given = torch.from_numpy(batch)
    there = given.to(machine.device)

    def run() -> None:
        mu, sigma = model(given.to(machine.device))
        mu.cpu(), sigma.cpu()

    host = machine.seconds(run)
    return host, machine.seconds(lambda: model(there)) if machine.has_cuda else host
