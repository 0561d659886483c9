"""A student beside the ensemble that taught it, VCF file in to VCF file out, in one run.

`make bench-student` runs it, on SNVs alone. Both models score the same file as `varsigma score`
does, in one process, and both sessions run the same unique sequences, without the rest. Repeats
alternate between the four, so that a busy machine slows all; the median of the ratios over whole
files has to hold a bound. What the student keeps of the ensemble on these variants, of effects and
of how members differ, is printed beside it.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from service.effects import Effects
from service.job import Job
from service.output import OutputFormat
from service.reference import Reference
from service.registry import Model, Registry
from service.scoring import Scorer, ScoringOptions
from service.variants import Variant
from service.workers import spare_collector
from tests.bench_throughput import FASTA, HEADER, Recorder, score_file, seconds, write_vcf
from tests.commands import Broken, verdict

MIN_RATIO = 6.0
N_SHARDS = 4


def snvs(vcf: Path) -> list[Variant]:
    """The variants of a VCF that `write_vcf` wrote."""
    rows = [line.split("\t") for line in vcf.read_text().removeprefix(HEADER).splitlines()]
    return [Variant(contig, int(pos), ref, alt) for contig, pos, _, ref, alt, *_ in rows]


def run_all(model: Model, batches: Sequence[np.ndarray]) -> None:
    """The model alone, batch by batch."""
    for batch in batches:
        model.run(batch)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ensemble", default="varsigma-1")
    parser.add_argument("--student", default="varsigma-1-student")
    parser.add_argument("--models", help="folder of models (default: the bundled ones)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--variants", type=int, default=2000, help="40,000 at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--min-ratio", type=float, default=MIN_RATIO, help="whole files")
    given = parser.parse_args()
    with verdict():
        ratio = measure(given)
        if ratio < given.min_ratio:
            raise Broken(f"student / ensemble is {ratio:.2f}, less than {given.min_ratio}")


def measure(given: argparse.Namespace) -> float:
    """Measure, print, and return how fast the student is beside the ensemble, file to file."""
    spare_collector()  # as the command line does
    registry, names = Registry(given.models), (given.ensemble, given.student)
    models = {name: registry.load(name, given.device, given.threads) for name in names}
    size = ScoringOptions().batch_size
    times: dict[tuple[str, str], list[float]] = {}
    scored: dict[str, Effects] = {}
    with tempfile.TemporaryDirectory() as folder, Reference.open(FASTA, "GRCh37") as reference:
        vcf = Path(folder, "in.vcf")
        write_vcf(vcf, reference, given.variants)
        work: dict[tuple[str, str], Callable[[], object]] = {}
        cut: dict[str, np.ndarray] = {}
        for name, model in models.items():
            job = Job(
                models=registry.models_dir,
                model=name,
                reference=FASTA,
                assembly="GRCh37",
                device=given.device,
                threads=model.threads,
                style=OutputFormat.VCF,
            )
            recorder = Recorder(model)
            # Warms up the session too.
            score_file(vcf, job, Scorer(recorder, reference, job.options), N_SHARDS)  # type: ignore[arg-type]
            cut[name] = np.unique(np.concatenate(recorder.batches), axis=0)
            batches = np.split(cut[name], range(size, len(cut[name]), size))
            scorer = Scorer(model, reference, job.options)
            work[name, "files"] = partial(score_file, vcf, job, scorer, N_SHARDS)
            work[name, "model alone"] = partial(run_all, model, batches)
            scored[name] = scorer.score(snvs(vcf)).effects
        if not np.array_equal(cut[given.ensemble], cut[given.student]):
            raise Broken("the two models do not see the same sequences")
        for turn in range(given.rounds):
            # Forwards and backwards in turn: the later ones find a warmer machine.
            for way in list(work)[:: -1 if turn % 2 else 1]:
                times.setdefault(way, []).append(seconds(work[way]))
    student = models[given.student]
    print(
        f"{'/'.join(student.providers)}, {platform.machine()}, {os.cpu_count()} cores,"
        f" {student.threads} threads, load {os.getloadavg()[0]:.1f}\n"
        f"{given.variants:,} SNVs, both strands, batches of {size}; median of {given.rounds}"
        " alternating rounds"
    )
    ratios = {}
    for kind in ("files", "model alone"):
        slow, fast = (times[name, kind] for name in names)
        ratios[kind] = statistics.median(s / f for s, f in zip(slow, fast, strict=True))
        rates = [given.variants / statistics.median(taken) for taken in (slow, fast)]
        print(
            f"  {kind:<12}{given.ensemble} {rates[0]:,.0f} variants/s, {given.student}"
            f" {rates[1]:,.0f}: {ratios[kind]:.2f} times"
        )
    print_kept(*(scored[name] for name in names), targets=student.info.targets)
    return ratios["files"]


def print_kept(ensemble: Effects, student: Effects, *, targets: Sequence[str]) -> None:
    """Agreement of effects and of epistemic SDs, target by target."""
    for t, target in enumerate(targets):
        effect, spread = (
            [getattr(one, name)[:, t] for one in (ensemble, student)]
            for name in ("effect", "epistemic")
        )
        print(
            f"  {target:<8}effects: Pearson {np.corrcoef(*effect)[0, 1]:.3f}; epistemic SD:"
            f" Spearman {spearmanr(*spread).statistic:.3f}, median student / ensemble"
            f" {np.median(spread[1] / spread[0]):.3f}"
        )


if __name__ == "__main__":
    main()
