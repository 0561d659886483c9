"""The card, or the processor where there is none: its name, its clock, what it can do at most."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort
import torch

_WARM_UP = 3
_LEAST_REPEATS = 5


@dataclass(frozen=True)
class Machine:
    """Where things are measured.

    Attributes:
      device: cuda or cpu, as torch and ONNX Runtime call it.
      name: of the card or the processor.
      least_seconds: that a measurement lasts.
    """

    device: str
    name: str
    least_seconds: float

    @property
    def has_cuda(self) -> bool:
        """It is a card."""
        return self.device == "cuda"

    def wait(self) -> None:
        """Wait until the card has done what it was told."""
        if self.has_cuda:
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any]) -> float:
        """Median time of one call, from idle to idle."""
        for _ in range(_WARM_UP):
            work()
        self.wait()
        taken: list[float] = []
        while len(taken) < _LEAST_REPEATS or sum(taken) < self.least_seconds:
            start = time.perf_counter()
            work()
            self.wait()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken)


def this_machine(device: str | None, least_seconds: float) -> Machine:
    """Return the card where there is one, unless told otherwise."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device != "cuda":
        return Machine(device, _processor(), least_seconds)
    ort.preload_dlls()  # as the service does before its first session
    return Machine(device, torch.cuda.get_device_name(), least_seconds)


def described(machine: Machine) -> str:
    """Return one line on the machine."""
    if not machine.has_cuda:
        return f"{machine.name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    card = torch.cuda.get_device_properties(0)
    return (
        f"{machine.name}, {card.total_memory / 2**30:.0f} GiB, {card.multi_processor_count} SMs,"
        f" compute {card.major}.{card.minor}, CUDA {torch.version.cuda},"
        f" cuDNN {torch.backends.cudnn.version()}"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def allow_tf32(is_allowed: bool) -> None:
    """Let torch use TF32, or not; its own default is no for products and yes for convolutions."""
    torch.backends.cuda.matmul.allow_tf32 = is_allowed
    torch.backends.cudnn.allow_tf32 = is_allowed


@dataclass(frozen=True)
class Ceilings:
    """What the machine does at most, measured.

    Attributes:
      flops: operations a second of a large matrix product, by precision.
      bandwidth: bytes a second of a large copy, those read and those written.
    """

    flops: Mapping[str, float]
    bandwidth: float


def measured_ceilings(machine: Machine) -> Ceilings:
    """Multiply large matrices of random numbers, copy a large array."""
    n = 8192 if machine.has_cuda else 1024
    flops = {}
    for precision in ("fp32", "tf32", "fp16") if machine.has_cuda else ("fp32",):
        allow_tf32(precision == "tf32")
        kind = torch.float16 if precision == "fp16" else torch.float32
        left, right = (torch.randn(n, n, device=machine.device).to(kind) for _ in range(2))
        out = torch.empty(n, n, device=machine.device, dtype=kind)
        product = lambda a=left, b=right, c=out: torch.matmul(a, b, out=c)  # noqa: E731
        flops[precision] = 2 * n**3 / machine.seconds(product)
    allow_tf32(False)
    n_bytes = 1 << (30 if machine.has_cuda else 27)
    source = torch.randint(0, 255, (n_bytes,), dtype=torch.uint8, device=machine.device)
    target = torch.empty_like(source)
    return Ceilings(flops, 2 * n_bytes / machine.seconds(lambda: target.copy_(source)))
