"""VCF file in to VCF file out beside raw ONNX Runtime: same unique sequences, same session.

`make bench` runs it, on SNVs alone. The first way is `varsigma score` into a file, in one process,
without the start of that and the loading of the model: it plans several shards, scores each (reads,
cuts, runs the model, writes, flushes to disk), merges and removes the work folder. The second is
the same into a stream, in one pass. The third runs the model alone. Repeats alternate between the
three, so that a busy machine slows all; medians are reported, and the first beside the third has to
hold a bound.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from service import stream
from service.folder import discard, lock, work_folder
from service.job import Job
from service.merge import merge
from service.output import OutputFormat
from service.plan import make_plan
from service.reference import Reference
from service.registry import Model, Registry
from service.scoring import Scorer, ScoringOptions
from service.sequence import decode
from service.source import Source
from service.workers import execute_here, spare_collector
from tests.commands import Broken, verdict

FASTA = Path(__file__).parents[1] / "examples/chr17.hg19.part.fa"
MIN_RATIO = 0.92
RAW = "raw ONNX Runtime"
INTO_FILE = "VCF in, VCF out"
HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


class Recorder:
    """Stands for a model and keeps the sequences that it was asked for."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.batches: list[np.ndarray] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def run(self, bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keep and run one batch."""
        self.batches.append(bases.copy())
        return self._model.run(bases)


def write_vcf(path: Path, reference: Reference, n: int) -> None:
    """Write n SNVs at different positions, spread evenly over the slice."""
    bases = decode(reference.codes("chr17", 0, 40_000))
    lines = []
    for pos in np.linspace(1, len(bases), n).round().astype(int).tolist():
        ref = bases[pos - 1]
        alt = "ACGT".replace(ref, "")[pos % 3]
        lines.append(f"chr17\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n")
    path.write_text(HEADER + "".join(lines))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def score_file(vcf: Path, job: Job, scorer: Scorer, n_shards: int) -> None:
    """Score a VCF of SNVs into a VCF beside it, as `varsigma score` does."""
    scored, shard_bytes = vcf.with_name("out.vcf"), vcf.stat().st_size // n_shards + 1
    folder = work_folder(scored)
    with lock(folder):
        plan = make_plan(str(vcf), scored, job, scorer, folder=folder, shard_bytes=shard_bytes)
        indices = range(len(plan.shards))
        execute_here(folder, plan, indices, on_done=lambda _: None, scorer=scorer)
        tally = merge(folder).tally
        discard(folder)
    assert len(plan.shards) == n_shards
    assert tally.n_scored == tally.n_alts > 0, tally.counts
    scored.unlink()


def score_stream(vcf: Path, job: Job, scorer: Scorer) -> None:
    """Score a VCF of SNVs in one pass, as `varsigma score -o -` does."""
    with Source(str(vcf)) as source, stream.Output(os.devnull, is_compressed=False) as output:
        tally = stream.score_stream(source, output, scorer, style=job.style).tally
    assert tally.n_scored == tally.n_alts > 0, tally.counts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--models", help="folder of models (default: the bundled ones)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--variants", type=int, default=4000, help="40,000 at most")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--min-ratio", type=float, default=MIN_RATIO, help="into a file / raw")
    given = parser.parse_args()
    with verdict():
        ratio = measure(given)
        if ratio < given.min_ratio:
            raise Broken(f"VCF in, VCF out / raw is {ratio:.3f}, less than {given.min_ratio}")


def measure(given: argparse.Namespace) -> float:
    """Measure, print, and return how fast the way into a file is beside the model alone."""
    spare_collector()  # as the command line does
    registry = Registry(given.models)
    model = registry.load(given.model, given.device, given.threads)
    session, size = model._session, ScoringOptions().batch_size
    job = Job(
        models=registry.models_dir,
        model=given.model,
        reference=FASTA,
        assembly="GRCh37",
        device=given.device,
        threads=model.threads,
        style=OutputFormat.VCF,
    )
    with tempfile.TemporaryDirectory() as folder, Reference.open(FASTA, "GRCh37") as reference:
        vcf = Path(folder, "in.vcf")
        write_vcf(vcf, reference, given.variants)
        recorder = Recorder(model)
        recording = Scorer(recorder, reference, job.options)  # type: ignore[arg-type]
        score_file(vcf, job, recording, given.shards)  # also warms up the session
        sequences = np.unique(np.concatenate(recorder.batches), axis=0)
        batches = np.split(sequences, range(size, len(sequences), size))
        scorer = Scorer(model, reference, job.options)

        def run_raw() -> None:
            for batch in batches:
                session.run(None, {"bases": batch})

        work = {
            RAW: run_raw,
            INTO_FILE: lambda: score_file(vcf, job, scorer, given.shards),
            "VCF in, stream out": lambda: score_stream(vcf, job, scorer),
        }
        times: dict[str, list[float]] = {label: [] for label in work}
        for turn in range(given.rounds):
            # Forwards and backwards in turn: the later ones find a warmer machine.
            for label in list(work)[:: -1 if turn % 2 else 1]:
                times[label].append(seconds(work[label]))

    print(
        f"model {given.model}, {'/'.join(model.providers)}, {platform.machine()}, {os.cpu_count()}"
        f" cores, {model.threads} threads, load {os.getloadavg()[0]:.1f}\n"
        f"{given.variants:,} SNVs, both strands, {len(sequences) / given.variants:.2f} unique"
        f" sequences each, batches of {size}; {given.shards} shards; median of {given.rounds}"
        " alternating rounds"
    )
    ratios = {
        label: statistics.median(raw / each for raw, each in zip(times[RAW], taken, strict=True))
        for label, taken in times.items()
    }
    for label, taken in times.items():
        rate = given.variants / statistics.median(taken)
        print(f"  {label:<19}{rate:>8,.0f} variants/s{100 * ratios[label]:>8.1f} %")
    return ratios[INTO_FILE]


if __name__ == "__main__":
    main()
