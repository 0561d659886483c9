"""VCF file in to VCF file out beside raw ONNX Runtime: same unique sequences, same session.

`make bench` runs it. The first goes through `service.stream.score_stream`: it opens the file, cuts
windows, runs the model, writes, flushes to disk and renames. The second runs the model alone.
Repeats alternate between the two, so that a busy machine slows both; medians are reported.
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

from service.output import Output, OutputFormat
from service.reference import Reference
from service.registry import Model, Registry
from service.scoring import Scorer, ScoringOptions
from service.sequence import decode
from service.source import Source
from service.stream import score_stream

FASTA = Path(__file__).parents[1] / "examples/chr17.hg19.part.fa"
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


def score_vcf(vcf: Path, model: Model | Recorder, reference: Reference) -> None:
    """Score a VCF of SNVs into a VCF beside it, as `varsigma score` does."""
    scored = vcf.with_name("out.vcf")
    scorer = Scorer(model, reference, ScoringOptions())  # type: ignore[arg-type]  # same methods
    with Source(str(vcf)) as source, Output(str(scored), is_compressed=False) as output:
        tally = score_stream(source, output, scorer, style=OutputFormat.VCF).tally
    assert tally.n_scored == tally.n_alts > 0, tally.counts
    assert scored.stat().st_size == output.n_written, "the file has its name and all its bytes"
    scored.unlink()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--models", help="folder of models (default: the bundled ones)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--variants", type=int, default=4000, help="40,000 at most")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()

    model = Registry(given.models).load(given.model, given.device, given.threads)
    session, size = model._session, ScoringOptions().batch_size
    times: dict[str, list[float]] = {"raw ONNX Runtime": [], "VCF in, VCF out": []}
    with tempfile.TemporaryDirectory() as folder, Reference.open(FASTA, "GRCh37") as reference:
        vcf = Path(folder, "in.vcf")
        write_vcf(vcf, reference, given.variants)
        recorder = Recorder(model)
        score_vcf(vcf, recorder, reference)  # also warms up the session
        sequences = np.unique(np.concatenate(recorder.batches), axis=0)
        batches = np.split(sequences, range(size, len(sequences), size))

        def run_raw() -> None:
            for batch in batches:
                session.run(None, {"bases": batch})

        work = {
            "raw ONNX Runtime": run_raw,
            "VCF in, VCF out": lambda: score_vcf(vcf, model, reference),
        }
        for turn in range(given.rounds):
            # Each goes first in every other round: the second finds a warmer machine.
            for label in sorted(work, reverse=bool(turn % 2)):
                times[label].append(seconds(work[label]))

    print(
        f"model {given.model}, {'/'.join(model.providers)}, {platform.machine()}, {os.cpu_count()}"
        f" cores, {model.threads} threads, load {os.getloadavg()[0]:.1f}\n"
        f"{given.variants:,} SNVs, both strands, {len(sequences) / given.variants:.2f} unique"
        f" sequences each, batches of {size}; median of {given.rounds} alternating rounds"
    )
    for label, taken in times.items():
        print(f"  {label:<17}{given.variants / statistics.median(taken):>10,.0f} variants/s")
    ratio = statistics.median(raw / whole for raw, whole in zip(*times.values(), strict=True))
    print(f"  ratio            {100 * ratio:>9.1f} %")


if __name__ == "__main__":
    main()
