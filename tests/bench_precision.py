"""Networks in bfloat16 beside single precision: passes of training, and answers of a teacher.

`make bench-precision` runs it: networks of a served model, one thread by default, random inserts
and copies with one to twenty substitutions. Repeats alternate; printed are the median of the
ratios, and what rounding does to the difference between an insert and its copy.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from service.registry import default_models_dir
from service.sequence import decode
from tests.bench_throughput import seconds
from training.architectures.network import NetworkModule
from training.assays import INSERT, LENTI_FLANKS, window_codes
from training.distil.lessons import Teacher
from training.distil.loss import share_missed
from training.distil.mutants import Mutants
from training.export import model_members

BATCH = 256
WAYS = {"single": False, "bfloat16": True}


def passes(network: NetworkModule, codes: torch.Tensor, *, is_rounded: bool) -> None:
    """Forwards and backwards, batch by batch, with the mean square of all outputs as the loss."""
    for batch in codes.split(BATCH):
        network.zero_grad()
        with torch.autocast(codes.device.type, torch.bfloat16, enabled=is_rounded):
            prediction = network(batch).in_single_precision()
            loss = prediction.mu.square().mean() + prediction.log_var.square().mean()
        loss.backward()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="varsigma-1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sequences", type=int, default=4 * BATCH)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rng = np.random.default_rng(0)
    inserts = [decode(row) for row in rng.integers(0, 4, (given.sequences, INSERT), np.uint8)]
    codes = window_codes(inserts, LENTI_FLANKS)
    left = len(LENTI_FLANKS[0])
    copies = Mutants().copies(codes, np.tile([left, left + INSERT], (len(codes), 1)), rng)
    member = model_members(default_models_dir() / given.model)[0]
    teachers = {
        name: Teacher([member], member.assays, is_rounded=is_rounded)
        for name, is_rounded in WAYS.items()
    }
    training = copy.deepcopy(member.network).train()
    device = teachers["single"].device
    shown = torch.from_numpy(codes).to(device)
    work: dict[tuple[str, str], Callable[[], object]] = {}
    for name, is_rounded in WAYS.items():
        work["training", name] = partial(passes, training, shown, is_rounded=is_rounded)
        work["answers", name] = partial(teachers[name].label, codes)
    for way in work.values():
        way()  # warms up
    times: dict[tuple[str, str], list[float]] = {way: [] for way in work}
    for turn in range(given.rounds):
        for way in list(work)[:: -1 if turn % 2 else 1]:
            times[way].append(seconds(work[way]))
    print(
        f"{device}, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()},"
        f" {os.cpu_count()} cores, {given.threads} threads, load {os.getloadavg()[0]:.1f}\n"
        f"{member.recipe}, {len(codes)} constructs, batches of {BATCH}; median of"
        f" {given.rounds} alternating rounds"
    )
    for kind in ("training", "answers"):
        slow, fast = (times[kind, name] for name in WAYS)
        ratio = statistics.median(s / f for s, f in zip(slow, fast, strict=True))
        rates = [len(codes) / statistics.median(taken) for taken in (slow, fast)]
        print(
            f"  {kind:<9}single {rates[0]:,.0f} constructs/s, bfloat16 {rates[1]:,.0f}:"
            f" {ratio:.2f} times"
        )
    exact, rounded = (
        torch.from_numpy(one.label(copies)[0] - one.label(codes)[0]) for one in teachers.values()
    )
    print(
        f"  rounding changes {share_missed(rounded, exact).item():.5f} of the mean square of the"
        " differences between constructs and copies"
    )


if __name__ == "__main__":
    main()
