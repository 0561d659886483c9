"""Single-variant requests over HTTP beside raw ONNX Runtime on the same sequences, in one run.

`python -m tests.load_http` starts `varsigma serve` and measures in alternating rounds: many
clients at once against the model alone, and one client against one forward of a variant's
sequences. Every answer is compared with the offline scorer. `--minutes 10` goes on for that long
and compares the server's memory in the first minute with the last. The exit code is 1 where a
bound is broken.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np

from service.fields import EFFECT_FIELDS, numbers
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from service.sequence import decode
from service.variants import Variant
from tests.alone import Alone, described, largest
from tests.lean_client import FASTA, Answer, Served, closed_loop, request_bytes, served

MIN_SHARE = 0.85
MAX_EXTRA_SECONDS = 0.005
TOLERANCE = 1e-5
MAX_GROWTH = 0.02


def variants_of(reference: Reference, n: int) -> list[Variant]:
    """Return n SNVs at different positions, spread evenly over the slice."""
    bases = decode(reference.codes("chr17", 0, 40_000))
    return [
        Variant("chr17", pos, bases[pos - 1], "ACGT".replace(bases[pos - 1], "")[pos % 3])
        for pos in np.linspace(1, len(bases), n).round().astype(int).tolist()
    ]


class Expected:
    """What the offline scorer says, to compare answers with."""

    def __init__(self, scorer: Scorer, variants: Sequence[Variant]) -> None:
        """Score the variants."""
        self.sequences = scorer.cut(variants).sequences
        self._numbers = numbers(scorer.score(variants).effects)

    def worst(self, answers: Sequence[Answer]) -> float:
        """Return the largest difference of any number, infinity for a wrong answer."""
        return max((self._difference(answer) for answer in answers), default=0.0)

    def _difference(self, answer: Answer) -> float:
        if answer.status != 200:
            return np.inf
        [result] = json.loads(answer.body)["results"]
        place = answer.number % len(self._numbers)
        if result["id"] != str(place) or result["status"] != "ok":
            return np.inf
        found = np.array(
            [
                [target[field.name] for field in EFFECT_FIELDS]
                for target in result["targets"].values()
            ],
            float,  # None becomes NaN
        )
        difference = np.abs(found - self._numbers[place])
        is_same = np.isnan(found) & np.isnan(self._numbers[place])
        return largest(np.where(is_same, 0, difference))


class Tally:
    """What the rounds gave so far."""

    def __init__(self, expected: Expected) -> None:
        """Begin with nothing."""
        self._expected = expected
        self.n_answers = self.n_lost = 0
        self.worst = 0.0

    def add(self, answers: Sequence[Answer], n_lost: int) -> None:
        """Check answers and count them."""
        self.n_answers += len(answers)
        self.n_lost += n_lost
        self.worst = max(self.worst, self._expected.worst(answers))


def many(
    server: Served,
    model: Alone,
    expected: Expected,
    requests: list[bytes],
    given: argparse.Namespace,
) -> tuple[bool, Tally]:
    """Compare throughput in rounds; print it."""
    n_each = len(expected.sequences) / len(requests)
    tally, shares = Tally(expected), []
    raw, http = [], []
    for turn in range(given.rounds):
        answers, n_lost, seconds = asyncio.run(
            closed_loop(
                server.port, requests, clients=given.clients,
                seconds=given.seconds / given.rounds, first=tally.n_answers,
            )
        )  # fmt: skip
        tally.add(answers, n_lost)
        http.append(len(answers) / seconds)
        alone = {way: model.rate(expected.sequences, way) / n_each for way in model.ways}
        raw.append(max(alone.values()))
        shares.append(http[-1] / raw[-1])
        told = ", ".join(f"{rate:,.0f} {described(way)}" for way, rate in alone.items())
        print(
            f"  round {turn + 1}: {http[-1]:,.0f} variants/s over HTTP; alone {told};"
            f" {100 * shares[-1]:.0f} %, load {os.getloadavg()[0]:.1f}"
        )
    share = statistics.median(shares)
    print(
        f"{given.clients} clients: {statistics.median(http):,.0f} variants/s,"
        f" {100 * share:.1f} % of raw ONNX Runtime (median of {given.rounds} rounds;"
        f" at least {100 * MIN_SHARE:.0f} %)"
    )
    return share >= MIN_SHARE, tally


def one(
    server: Served,
    model: Alone,
    expected: Expected,
    requests: list[bytes],
    tally: Tally,
) -> bool:
    """Compare the latency of one client with a forward of the same sequences; print it."""
    alone: list[float] = []
    http: list[float] = []
    n_each = len(expected.sequences) // len(requests)
    for turn in range(6):
        answers, n_lost, _ = asyncio.run(
            closed_loop(server.port, requests, clients=1, seconds=1, first=turn * 100)
        )
        tally.add(answers, n_lost)
        http += [answer.seconds for answer in answers]
        for first in range(0, 50 * n_each, n_each):
            batch = expected.sequences[first : first + n_each]
            start = time.perf_counter()
            model.shared.run(batch)
            alone.append(time.perf_counter() - start)
    p50, forward = statistics.median(http), statistics.median(alone)
    print(
        f"1 client: p50 {1e3 * p50:.2f} ms, p99 {1e3 * np.quantile(http, 0.99):.2f} ms; a forward"
        f" alone {1e3 * forward:.2f} ms, so {1e3 * (p50 - forward):+.2f} ms (at most"
        f" {1e3 * MAX_EXTRA_SECONDS:+.0f} ms)"
    )
    return p50 - forward <= MAX_EXTRA_SECONDS


def memory(server: Served, requests: list[bytes], given: argparse.Namespace, tally: Tally) -> bool:
    """Let the clients go on and watch the server's memory; print it."""
    samples: list[list[int]] = []
    for _ in range(given.minutes):
        samples.append([])
        for _ in range(12):
            answers, n_lost, _ = asyncio.run(
                closed_loop(server.port, requests, clients=given.clients, seconds=5)
            )
            tally.add(answers, n_lost)
            samples[-1].append(server.memory())
    mean = [statistics.mean(minute) / 2**20 for minute in samples]
    # Pools fill up once, in the first minutes; a leak would go on.
    growth = mean[-1] / mean[len(mean) // 2 - 1] - 1
    print(
        f"memory by minute, MiB: {' '.join(f'{value:.0f}' for value in mean)};"
        f" {100 * (mean[-1] / mean[0] - 1):+.1f} %, in the second half {100 * growth:+.1f} %"
        f" (at most {100 * MAX_GROWTH:+.0f} %)"
    )
    return growth <= MAX_GROWTH


def main() -> None:
    """Measure, print, and say whether the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30, help="of many clients, in all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", type=int, default=1000, help="different ones, 40,000 at most")
    parser.add_argument("--threads", type=int, help="of the model; default: all cores")
    parser.add_argument("--minutes", type=int, default=0, help="to watch the memory for")
    given = parser.parse_args()

    model = Alone(Registry(), given.model, threads=given.threads)
    with Reference.open(FASTA, "GRCh37") as reference:
        variants = variants_of(reference, given.variants)
        expected = Expected(Scorer(model.shared, reference), variants)
    requests = [
        request_bytes("/v1/score", {"variants": [
            {"contig": one.contig, "pos": one.pos, "ref": one.ref, "alt": one.alt, "id": str(place)}
        ]})
        for place, one in enumerate(variants)
    ]  # fmt: skip
    print(
        f"model {given.model}, {platform.machine()}, {os.cpu_count()} cores, {model.threads}"
        f" threads, load {os.getloadavg()[0]:.1f}; {len(variants):,} SNVs, both strands,"
        f" {len(expected.sequences) / len(variants):.2f} sequences each"
    )
    options = ["--model", given.model, "--device", "cpu", "--timeout", 120]
    with served(*options, *(["--threads", given.threads] if given.threads else [])) as server:
        is_fast, tally = many(server, model, expected, requests, given)
        is_short = one(server, model, expected, requests, tally)
        is_flat = memory(server, requests, given, tally) if given.minutes > 1 else True
    is_right = tally.n_lost == 0 and tally.worst <= TOLERANCE
    print(
        f"{tally.n_answers:,} answers, {tally.n_lost} lost; largest difference from the offline"
        f" scorer {tally.worst:.1e} (at most {TOLERANCE:.0e})"
    )
    sys.exit(0 if is_fast and is_short and is_flat and is_right else 1)


if __name__ == "__main__":
    main()
