"""What a second worker is worth: one worker with one thread beside two of them, here and on Ray.

`make bench-workers` runs it. Each way scores the shards of the same plan, with the model of a real
run: processes of this machine, then actors of a Ray cluster whose two nodes, of one CPU each, are
started here. Rounds alternate between one worker and two, so that a busy machine slows both; the
ratio is the median of the rounds', and has to hold a bound. The steady rate leaves out the start
and the end of a run: loading the model, the first shard of each worker, the last shards while a
worker has none left, and the merge, which is no work of theirs. It is what many shards come to; the
time until the first shard is begun is told apart from it.

Each worker needs a core of its own: on a machine with fewer than two idle ones the ratio is that of
the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from service.cluster import execute_on_ray, is_installed
from service.folder import SHARDS, work_folder
from service.job import Job
from service.markers import Marker
from service.output import OutputFormat
from service.plan import Plan, make_plan
from service.registry import default_models_dir
from service.texts import of_extra
from service.workers import OnDone, execute_in_processes
from tests.bench_throughput import FASTA, write_vcf
from tests.commands import Broken, verdict

MIN_RATIO = 1.7
N_NODES = 2
_STORE = 80 << 20  # bytes; Ray's own default is a third of the memory

# Takes the number of workers and what to call with each finished shard.
Way: TypeAlias = Callable[[int, OnDone], None]


@dataclass(frozen=True)
class Timing:
    """One run.

    Attributes:
      start_up: seconds until the first shard was begun.
      rate: variants per second between the first and the last shards of the workers.
    """

    start_up: float
    rate: float


def timed(way: Way, workers: int) -> Timing:
    """Score all shards of a plan."""
    ends: list[tuple[float, Marker]] = []
    began = time.perf_counter()
    way(workers, lambda marker: ends.append((time.perf_counter(), marker)))
    first_end, first = ends[0]
    steady = ends[workers : len(ends) - workers + 1]
    n_alts = sum(marker.tally.n_scored for _, marker in steady)
    seconds = steady[-1][0] - ends[workers - 1][0]
    return Timing(first_end - first.seconds - began, n_alts / seconds)


@contextmanager
def ray_cluster() -> Iterator[str]:
    """A Ray cluster on this machine; yields its address."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster  # noqa: PLC0415  (an extra)

    node = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    for _ in range(N_NODES - 1):
        cluster.add_node(**node)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def planned(folder: Path, model: str, n_variants: int, n_shards: int) -> tuple[Path, Plan]:
    """Plan the scoring of SNVs in shards of about equal size; returns the work folder."""
    job = Job(
        models=default_models_dir(),
        model=model,
        reference=FASTA,
        assembly="GRCh37",
        device="cpu",
        threads=1,
        style=OutputFormat.VCF,
    )
    scorer = job.open()
    vcf, output = folder / "in.vcf", folder / "out.vcf"
    assert scorer.reference is not None
    write_vcf(vcf, scorer.reference, n_variants)
    work = work_folder(output)
    work.mkdir()
    shard_bytes = vcf.stat().st_size // n_shards
    return work, make_plan(str(vcf), output, job, scorer, folder=work, shard_bytes=shard_bytes)


def compare(
    label: str, way: Way, anew: Callable[[], None], *, rounds: int, min_ratio: float
) -> None:
    """Run a way with one worker and with two, in turn, and print what that gives.

    Raises:
      Broken: two are not as much faster than one as they have to be.
    """
    timings: dict[int, list[Timing]] = {1: [], 2: []}
    for turn in range(rounds):
        for workers in sorted(timings, reverse=bool(turn % 2)):
            anew()
            timings[workers].append(timed(way, workers))
    ratio = statistics.median(
        two.rate / one.rate for one, two in zip(timings[1], timings[2], strict=True)
    )
    print(f"{label}: 2 workers / 1 worker = {ratio:.2f}")
    for workers, taken in timings.items():
        rate = statistics.median(each.rate for each in taken)
        start_up = statistics.median(each.start_up for each in taken)
        print(f"  {workers}: {rate:>7,.0f} variants/s, start-up {start_up:.1f} s")
    if ratio < min_ratio:
        raise Broken(f"{label}: 2 workers / 1 worker is {ratio:.2f}, less than {min_ratio}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--variants", type=int, default=6000, help="40,000 at most")
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--min-ratio", type=float, default=MIN_RATIO, help="2 workers / 1 worker")
    parser.add_argument("--local-only", action="store_true", help="without Ray")
    given = parser.parse_args()
    with verdict():
        if not is_installed() and not given.local_only:
            raise Broken(f"Ray is not installed: {of_extra('ray')}, or give --local-only")
        measure(given)


def measure(given: argparse.Namespace) -> None:
    """Measure both ways.

    Raises:
      Broken: a bound does not hold.
    """
    print(
        f"model {given.model}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores, load"
        f" {os.getloadavg()[0]:.1f}; {given.variants:,} SNVs, both strands, {given.shards} shards,"
        f" one thread a worker; {given.rounds} rounds"
    )
    with tempfile.TemporaryDirectory() as name:
        folder, plan = planned(Path(name), given.model, given.variants, given.shards)
        indices = range(len(plan.shards))

        def anew() -> None:
            shutil.rmtree(folder / SHARDS)
            (folder / SHARDS).mkdir()

        def local(workers: int, on_done: OnDone) -> None:
            execute_in_processes(folder, plan, indices, workers=workers, on_done=on_done)

        compare("local", local, anew, rounds=given.rounds, min_ratio=given.min_ratio)
        if given.local_only:
            return
        with ray_cluster() as address:

            def far(workers: int, on_done: OnDone) -> None:
                execute_on_ray(
                    folder, plan, indices, address=address, workers=workers, on_done=on_done
                )

            compare("ray", far, anew, rounds=given.rounds, min_ratio=given.min_ratio)


if __name__ == "__main__":
    main()
