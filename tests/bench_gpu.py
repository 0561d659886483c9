"""What a CUDA card makes of a model, in one run: `make bench-gpu`.

Rates beside PyTorch eager and torch.compile, as a share of what the card does at most (measured
here too); effects in fp32, TF32 and fp16 beside fp32 on the CPU; HTTP and files from end to end;
where every node runs. On a machine without CUDA the same, small, on the CPU, and it says so.

The exit code is 1 where a heavy node of a CUDA session runs on the host, or where fp32 effects are
not those of the CPU. `--json FILE` keeps the numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnxruntime as ort
import torch

from service.registry import Registry
from tests.gpu.machine import Ceilings, Machine, described, measured_ceilings, this_machine
from tests.gpu.parity import BOUNDS, Parity, compared
from tests.gpu.placement import heavy_on_host, n_moved, profiled, table
from tests.gpu.rates import Rate, flops_of, ort_rates, torch_rates, windows
from tests.gpu.sessions import content_of, offered, session_of
from tests.gpu.whole import Whole, batch, http

_CUDA_SIZES = (1, 8, 32, 128, 256, 1024, 4096)
_CPU_SIZES = (1, 32)


def main() -> None:
    """Measure, print, and say whether what must hold does."""
    given = _arguments()
    machine = this_machine(given.device, given.seconds)
    folder = Registry().models_dir / given.model
    model = Registry().load(given.model, "cpu")
    width = model.info.window
    # Both alleles on both strands, and ref once more where bases of it are hidden.
    n_each = 2 * (3 if model.calibration and model.calibration.n_occluded else 2)
    sizes = given.sizes or (_CUDA_SIZES if machine.has_cuda else _CPU_SIZES)

    print(f"{described(machine)}\nmodel {given.model}, torch {torch.__version__},"
          f" ONNX Runtime {ort.__version__}")  # fmt: skip
    if not machine.has_cuda:
        print("NO CUDA HERE: a small run on the CPU, which says nothing of any card")
    ceilings = measured_ceilings(machine)
    _print_ceilings(ceilings)

    print("\nplacement")
    nodes = profiled(content_of(folder, "fp32"), machine, windows(max(sizes), width))
    for line in table(nodes):
        print(f"  {line}")
    misplaced = heavy_on_host(nodes) if machine.has_cuda else []
    if machine.has_cuda:
        print(f"  heavy nodes on the host: {[node.op for node in misplaced] or 'none'}")

    flops = flops_of(given.model, width)
    n_bytes = n_moved(nodes) / max(sizes)
    print(f"\nrates: one sequence takes {flops / 1e6:.1f} M operations, and moves"
          f" {n_bytes / 1e6:.2f} MB if each node reads and writes once")  # fmt: skip
    print("  precision  way            batch      host/s      card/s  of peak  of bandwidth")
    if not machine.has_cuda:
        print("  (host = card; fp16 halves what is kept, but a CPU still computes in fp32)")
    rates = []
    for rate in _rates(given, machine, sizes, folder, width):
        rates.append(rate)
        _print_rate(rate, ceilings, flops, n_bytes)

    parities, source = compared(given.model, machine, given.variants)
    _print_parities(parities, source)

    print("\nfrom end to end")
    wholes, providers = http(given.model, machine, 10 * given.seconds, given.many)
    wholes.append(batch(given.model, machine, given.snvs))
    best = max(
        rate.host for rate in rates if rate.way == "ONNX Runtime" and rate.precision == "fp32"
    )
    print(
        f"  the service runs on {providers[0]}; raw: {best:,.0f} sequences/s, the best fp32 above"
    )
    for whole in wholes:
        _print_whole(whole, best, n_each)

    broken = [parity for parity in parities if parity.precision == "fp32" and not parity.passes]
    if given.json:
        told: dict[str, Any] = {
            "machine": described(machine), "has_cuda": machine.has_cuda, "model": given.model,
            "torch": torch.__version__, "onnxruntime": ort.__version__,
            "ceilings": asdict(ceilings), "flops": flops, "bytes": n_bytes,
            "placement": table(nodes), "heavy_on_host": [node.op for node in misplaced],
            "rates": list(map(asdict, rates)), "parity": list(map(asdict, parities)),
            "whole": list(map(asdict, wholes)),
        }  # fmt: skip
        Path(given.json).write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(bool(misplaced or broken))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: cuda where it is")
    parser.add_argument("--sizes", type=int, nargs="+", help="of batches")
    parser.add_argument("--seconds", type=float, help="of a measurement (1, on a CPU 0.3)")
    parser.add_argument("--variants", type=int, help="to compare (12,000, on a CPU 90)")
    parser.add_argument("--snvs", type=int, help="in the VCF (40,000, on a CPU 300)")
    parser.add_argument("--many", type=int, default=250, help="variants of a large request")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there, too")
    given = parser.parse_args()
    is_small = given.device == "cpu" or not torch.cuda.is_available()
    given.seconds = given.seconds or (0.3 if is_small else 1.0)
    given.variants = given.variants or (90 if is_small else 12_000)
    given.snvs = given.snvs or (300 if is_small else 40_000)
    return given


def _rates(
    given: argparse.Namespace, machine: Machine, sizes: Sequence[int], folder: Path, width: int
) -> Iterator[Rate]:
    for precision in offered(machine):
        session = session_of(content_of(folder, precision), machine, precision)
        for size in sizes:
            given_batch = windows(size, width, seed=size)
            yield from ort_rates(session, machine, precision, given_batch)
            if machine.has_cuda or precision == "fp32":
                yield from torch_rates(
                    given.model, machine, precision, given_batch, compiles=not given.no_compile
                )


def _print_ceilings(ceilings: Ceilings) -> None:
    flops = ", ".join(f"{name} {value / 1e12:.2f}" for name, value in ceilings.flops.items())
    print(f"ceilings: matrix product {flops} TFLOP/s; copy {ceilings.bandwidth / 1e9:,.0f} GB/s")


def _print_rate(rate: Rate, ceilings: Ceilings, flops: int, n_bytes: float) -> None:
    head = f"  {rate.precision:<9}  {rate.way:<13}  {rate.size:>5}"
    if rate.problem:
        print(f"{head}  not run: {rate.problem}")
        return
    peak = ceilings.flops.get(rate.precision)
    share = f"{100 * rate.card * flops / peak:>6.1f} %" if peak else "       -"
    # Halved numbers take half the bytes.
    moved = n_bytes / 2 if rate.precision == "fp16" else n_bytes
    print(f"{head}  {rate.host:>10,.0f}  {rate.card:>10,.0f} {share}"
          f"      {100 * rate.card * moved / ceilings.bandwidth:>6.1f} %")  # fmt: skip


def _print_parities(parities: list[Parity], source: str) -> None:
    print(f"\nparity with fp32 on the CPU: {source}")
    for parity in parities:
        verdict = "passes" if parity.passes else "does NOT pass"
        print(
            f"  {parity.precision}: largest difference {parity.largest:.1e} (bound"
            f" {BOUNDS[parity.precision]:.0e}, {verdict}), rms {100 * parity.rms:.3f} % of the SD,"
            f" {parity.n_signs} other signs, sd differs by {parity.largest_sd:.1e} at most"
        )


def _print_whole(whole: Whole, best: float, n_each: int) -> None:
    sequences = whole.variants * n_each
    print(
        f"  {whole.what}: {whole.variants:,.0f} variants/s, {sequences:,.0f} sequences/s,"
        f" {100 * sequences / best:.0f} % of raw"
    )


if __name__ == "__main__":
    main()
