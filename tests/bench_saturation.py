"""A saturation map beside the raw model: the same distinct windows, every effect compared.

`make bench-saturation` runs it: all changes of `--bases` positions of the sequence in `examples/`
on both strands and three shifts, so six passes. Raw is every window that differs from all others,
through the model in this process, in the way that is the fastest one here: all cores inside an
operator, or a batch on each. Beside it are what `varsigma saturate` does once its model is open,
from the region to the file, with its progress; and one `POST /v1/saturation` of NDJSON to a
`varsigma serve` of its own, from the first byte of the request to the last line. Repeats alternate
between them, so that a busy machine slows all. Exit code 1 where an effect is wrong, where progress
is not shown, or where one of the two takes more than 1.1 times as long. `--bases 100` is enough for
a slow machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.reference import Reference
from service.region_tables import region_tsv
from service.registry import Registry
from service.saturate_command import opened
from service.saturation import Region, read_region, score_region
from service.settings import Settings
from service.windows import Pass, make_passes, variant_windows
from tests.alone import Alone, Way, described, largest
from tests.commands import Broken, verdict
from tests.lean_client import FASTA
from tests.lean_client import served as running

START = 20_000
"""0-based, in the sequence of examples/."""
SHIFTS = (0, -20, 20)
MAX_RATIO = 1.1
TOLERANCE = 1e-5


def distinct(
    region: Region, reference: Reference, width: int, passes: tuple[Pass, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Cut the windows of each change by itself.

    Returns:
      (S, W) windows, no two of them alike, and the places (V, P, 2) of those of each change.
    """
    cut = [variant_windows(reference, one, width, passes) for one in region.variants()]
    every = np.array(cut, np.uint8)
    windows, place = np.unique(every.reshape(-1, width), axis=0, return_inverse=True)
    return windows, place.reshape(every.shape[:-1])


class Door:
    """One way to a map.

    Attributes:
      seconds: of each round.
      reports: of progress in the last round.
      worst: largest difference of an effect from the raw one.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.reports = 0
        self.worst = 0.0

    def add(
        self, start: float, effect: NDArray[np.float64], raw: NDArray[np.float64], reports: int
    ) -> None:
        """Keep a round that ends now."""
        self.seconds.append(time.perf_counter() - start)
        self.reports = reports
        self.worst = max(self.worst, largest(np.abs(effect - raw)))


def ask(port: int, body: bytes) -> tuple[bytes, int]:
    """Post a region; return the answer, and how often something of it came."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}
    connection.request("POST", "/v1/saturation", body, headers)
    response = connection.getresponse()
    lines = list(response)
    connection.close()
    if response.status != 200:
        raise Broken(f"the service answers {response.status}: {lines[:1]}")
    return b"".join(lines), len(lines)


def told_effects(answer: bytes, region: Region, targets: tuple[str, ...]) -> NDArray[np.float64]:
    """Effects (V, T) of an answer in lines, NaN where a line is missing."""
    _, *lines = map(json.loads, answer.splitlines())
    found = np.full((len(region.codes), 4, len(targets)), np.nan)
    for line in lines:
        if "error" in line:
            raise Broken(f"the service failed: {line['error']}")
        first = line["start"] - 1 - region.start
        for number, target in enumerate(targets):
            rows = np.array(line["targets"][target]["effect"], np.float64)
            found[first : first + len(rows), :, number] = rows
    is_change = region.codes[:, None] != np.arange(4)
    return found[is_change]


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--models", help="folder of models (default: the bundled ones)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--bases", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    with verdict():
        measure(parser.parse_args())


def measure(given: argparse.Namespace) -> None:
    """Measure and print.

    Raises:
      Broken: an effect is wrong, or a way takes too long or shows no progress.
    """
    alone = Alone(Registry(given.models), given.model, given.device, given.threads)
    info = alone.shared.info
    settings = Settings(
        models=given.models, model=(given.model,), reference=FASTA, assembly="GRCh37",
        device=given.device, threads=given.threads, shifts=SHIFTS,
    )  # fmt: skip
    scorer, runs = opened(settings)
    reference = scorer.reference
    assert reference is not None
    region = read_region(reference, "chr17", START, START + given.bases)
    windows, place = distinct(region, reference, info.window, make_passes(2, SHIFTS))
    rates = {way: alone.rate(windows, way) for way in alone.ways}
    way: Way = max(rates, key=lambda one: rates[one])
    body = json.dumps(
        {
            "model": given.model, "contig": "chr17", "start": START + 1,
            "end": START + given.bases, "strands": 2, "shifts": SHIFTS,
        }
    ).encode()  # fmt: skip

    raw_seconds: list[float] = []
    command, service = Door(), Door()
    options = ["--model", given.model, "--device", given.device]
    options += ["--models", given.models] if given.models else []
    options += ["--threads", given.threads] if given.threads else []
    with tempfile.TemporaryDirectory() as folder, running(*options) as server:
        path = Path(folder, "map.tsv")
        ask(server.port, json.dumps({"contig": "chr17", "start": 1, "end": 2}).encode())
        for _ in range(given.rounds):
            start = time.perf_counter()
            mu = alone.mu(windows, way).astype(np.float64)
            raw_seconds.append(time.perf_counter() - start)
            raw = (mu[place[..., 1]] - mu[place[..., 0]]).mean(axis=(1, 2))

            start, told = time.perf_counter(), []
            scores = score_region(region, scorer, told.append, runs)
            table = region_tsv(region, scores, info.targets, provenance=scorer.provenance())
            path.write_bytes(table)
            command.add(start, scores.effects.effect, raw, len(told) - 1)

            start = time.perf_counter()
            answer, n_lines = ask(server.port, body)
            service.add(start, told_effects(answer, region, info.targets), raw, n_lines - 1)

    n_changes = len(region.variants())
    print(
        f"model {given.model}, {'/'.join(alone.shared.providers)}, {platform.machine()},"
        f" {os.cpu_count()} cores, {alone.threads} threads, load {os.getloadavg()[0]:.1f}\n"
        f"{given.bases:,} positions, {n_changes:,} changes, 6 passes: {len(windows):,} distinct"
        f" windows; median of {given.rounds} alternating rounds"
    )
    sample = ", ".join(f"{each:,.0f}/s {described(one)}" for one, each in rates.items())
    print(f"  raw, {described(way)}: {statistics.median(raw_seconds):.2f} s ({sample} on a sample)")
    for name, door in (("varsigma saturate", command), ("POST /v1/saturation", service)):
        ratio = statistics.median(b / a for a, b in zip(raw_seconds, door.seconds, strict=True))
        print(
            f"  {name}: {statistics.median(door.seconds):.2f} s, {ratio:.3f} times raw (at most"
            f" {MAX_RATIO}); {door.reports} reports of progress; largest difference of"
            f" {n_changes * len(info.targets):,} effects {door.worst:.1e}"
        )
        if door.worst > TOLERANCE:
            raise Broken(f"an effect of {name} differs by {door.worst:.1e}")
        if door.reports < min(given.bases / 200, 2):
            raise Broken(f"{name} showed {door.reports} reports of progress")
        if ratio > MAX_RATIO:
            raise Broken(f"{name} takes {ratio:.3f} times as long as the raw model")


if __name__ == "__main__":
    main()
