"""Two-strand scoring of a VCF beside raw ONNX Runtime: same sequences, same session, one run.

`make bench` runs it. Rounds alternate between the two, so that a busy machine slows both; the
medians are reported. Reading, windows, effects and writing are what the difference pays for.
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

from service.batch import score_file
from service.output import Output, OutputFormat
from service.reference import Reference
from service.registry import Model, Registry
from service.scoring import Scorer, ScoringOptions
from service.sequence import decode
from service.source import Source

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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--models", help="folder of models (default: the bundled ones)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--variants", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()

    model = Registry(given.models).load(given.model, given.device, given.threads)
    options = ScoringOptions()
    with tempfile.TemporaryDirectory() as folder, Reference.open(FASTA, "GRCh37") as reference:
        vcf, scored = Path(folder, "in.vcf"), Path(folder, "out.vcf")
        write_vcf(vcf, reference, given.variants)

        def score(with_model: Model | Recorder) -> None:
            scorer = Scorer(with_model, reference, options)  # type: ignore[arg-type]  # same methods
            output = Output(str(scored), is_compressed=False)
            summary = score_file(Source(str(vcf)), output, scorer, style=OutputFormat.VCF)
            assert summary.n_scored == given.variants, summary.counts

        recorder = Recorder(model)
        score(recorder)  # also warms up the session
        sequences = np.concatenate(recorder.batches)
        batches = np.split(sequences, range(options.batch_size, len(sequences), options.batch_size))
        session = model._session

        def run_raw() -> None:
            for batch in batches:
                session.run(None, {"bases": batch})

        raw, whole = [], []
        for _ in range(given.rounds):
            raw.append(seconds(run_raw))
            whole.append(seconds(lambda: score(model)))

    ratio = statistics.median(r / w for r, w in zip(raw, whole, strict=True))
    per_variant = len(sequences) / given.variants
    print(
        f"model {given.model}, {'/'.join(model.providers)}, {platform.machine()}, {os.cpu_count()}"
        f" cores, load {os.getloadavg()[0]:.1f}\n"
        f"{given.variants:,} SNVs, {options.strands} strands, {per_variant:.2f} sequences each,"
        f" batches of {options.batch_size}; median of {given.rounds} alternating rounds"
    )
    for label, times in (("raw ONNX Runtime", raw), ("VCF in, VCF out", whole)):
        rate = len(sequences) / statistics.median(times)
        print(f"  {label:<17}{rate:>10,.0f} sequences/s{rate / per_variant:>10,.0f} variants/s")
    print(f"  ratio            {100 * ratio:>9.1f} %")


if __name__ == "__main__":
    main()
