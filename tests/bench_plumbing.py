"""Everything but the model: `varsigma score`, VCF file in to VCF file out, with a trivial model.

`make bench-plumbing` runs it. The model keeps the contract of `models/dh7` (window, members,
targets), has the novelty and the background of its card, and reads three bases of each window, so
that what is measured is reading, cutting, combining and writing. The command is the one that users
run, with its start-up; the same command on a VCF without records says what of that is start-up.
Peak memory is that of all its processes together, shared pages counted once.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.registry import Registry
from tests.commands import Broken, varsigma, verdict
from tests.synthetic import GENOME_MIX, SNVS, Genome, write_vcf
from tests.toy_models import SumModel, write_model

ROOT = Path(__file__).parents[1]
ONE_PASS = ("--fast",)
SIX_PASSES = ("--strands", "2", "--shifts", "0,-10,10")

MIN_RATE = 40_000
MIN_RATE_SIX = 15_000
MAX_BYTES = 1e9
MAX_GROWTH = 0.1
"""Of peak memory between the small and the large file, either way."""

_SAMPLE_EVERY = 0.2  # seconds
# The large genome of a call set of millions; the reference is held by every process.
_BASES = 64_000_000


class PickModel(SumModel):
    """Three bases of the window, weighted: the positions where the passes put a variant."""

    def proto(self, *, metadata: Mapping[str, str], **_: object) -> onnx.ModelProto:
        """Build the graph."""
        middle, n_targets = self.width // 2, len(self.targets)
        shape = ["N", self.members, n_targets]
        weights = 0.01 * np.arange(1, 1 + 3 * self.members * n_targets, dtype="f4")
        constants = {
            "positions": np.array([middle - 10, middle, middle + 10], "i8"),
            "weights": weights.reshape(3, -1),
            "shape": np.array([-1, self.members, n_targets], "i8"),
            "one": np.ones(1, "f4"),
        }
        nodes = [
            helper.make_node("Gather", ["bases", "positions"], ["picked"], axis=1),
            helper.make_node("Cast", ["picked"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["numbers", "weights"], ["flat"]),
            helper.make_node("Reshape", ["flat", "shape"], ["mu"]),
            helper.make_node("Add", ["mu", "one"], ["sigma"]),
        ]
        graph = helper.make_graph(
            nodes,
            "pick",
            [helper.make_tensor_value_info("bases", TensorProto.UINT8, ["N", self.width])],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("mu", "sigma")],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(proto, dict(metadata))
        onnx.checker.check_model(proto)
        return proto


# --- memory --------------------------------------------------------------------------------------


def tree(root: int) -> list[int]:
    """Return a process and all below it, as /proc has them now."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:  # it has just ended
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def memory(pid: int) -> tuple[int, bool]:
    """Bytes of one process, and whether they are PSS (shared pages shared out) or else RSS."""
    for name, key, is_pss in (("smaps_rollup", "Pss:", True), ("status", "VmRSS:", False)):
        try:
            text = Path(f"/proc/{pid}/{name}").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith(key):
                return 1024 * int(line.split()[1]), is_pss
    return 0, True


class Meter(threading.Thread):
    """Samples the memory of a process tree until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.peak = 0
        self.is_pss = True
        self.n_processes = 0

    def run(self) -> None:
        """Sample."""
        while not self._over.wait(_SAMPLE_EVERY):
            samples = [memory(pid) for pid in tree(self._pid)]
            self.peak = max(self.peak, sum(size for size, _ in samples))
            self.is_pss &= all(is_pss for _, is_pss in samples)
            self.n_processes = max(self.n_processes, len(samples))

    def stop(self) -> None:
        """End, after the sample in progress."""
        self._over.set()
        self.join()


# --- one run -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What one run of the command took.

    Attributes:
      n: records.
      seconds: wall time, start-up included.
      start_up: wall time of the same command on a VCF without records.
      peak: bytes of all its processes together, at most.
      is_pss: whether that is PSS, or RSS, which counts shared pages once per process.
      n_processes: at most at one time.
    """

    n: int
    seconds: float
    peak: int
    is_pss: bool
    n_processes: int
    start_up: float = 0.0

    @property
    def rate(self) -> float:
        """Records per second, start-up included."""
        return self.n / self.seconds

    @property
    def text(self) -> str:
        """The particulars for a reader."""
        kind = "PSS" if self.is_pss else "RSS"
        rest = self.seconds - self.start_up
        return (
            f"{self.n:,} records in {self.seconds:.1f} s, of which start-up {self.start_up:.1f} s;"
            f" without it {self.n / rest if rest > 0 else 0:,.0f} variants/s;"
            f" peak {kind} {self.peak / 1e6:,.0f} MB in {self.n_processes} processes"
        )


class Bench:
    """A genome, a model and the command.

    Args:
      folder: for all files; emptied by the caller.
      workers: worker processes.
      is_packed: write .vcf.gz.
    """

    def __init__(self, folder: Path, *, workers: int, is_packed: bool) -> None:
        self._folder = folder
        self._workers = workers
        self._name = "out.vcf.gz" if is_packed else "out.vcf"
        self._genome = Genome.random(_BASES)
        self._fasta = self._genome.write(folder / "genome.fa")
        model = PickModel(width=200, targets=("K562", "HepG2", "WTC11"), members=3)
        card = Registry(ROOT / "models").card("dh7")
        entries = {key: card[key] for key in ("novelty", "background") if key in card}
        write_model(folder / "models", model, name="pick", card=entries)
        self._start_ups: dict[tuple[str, ...], float] = {}

    def run(self, n: int, mix: Mapping[str, float], options: tuple[str, ...]) -> Run:
        """Score n records.

        Raises:
          Broken: the command failed, or lost or did not score records.
        """
        if options not in self._start_ups:
            self._start_ups[options] = self._once(0, SNVS, options).seconds
        return replace(self._once(n, mix, options), start_up=self._start_ups[options])

    def _once(self, n: int, mix: Mapping[str, float], options: tuple[str, ...]) -> Run:
        vcf = write_vcf(self._folder / "in.vcf", self._genome, n, mix=mix)
        out = self._folder / self._name
        log = self._folder / "log.txt"
        command = varsigma(
            *("score", vcf, "-o", out, "--reference", self._fasta, "--device", "cpu"),
            *("--models", self._folder / "models", "--model", "pick"),
            *("--workers", self._workers, *options),
        )
        with log.open("wb") as said:
            started = time.perf_counter()
            process = subprocess.Popen(command, stdout=said, stderr=said)
            meter = Meter(process.pid)
            meter.start()
            exit_code = process.wait()
            seconds = time.perf_counter() - started
        meter.stop()
        if exit_code:
            raise Broken(f"{' '.join(command)} ended with {exit_code}: {log.read_text()[-2000:]}")
        if self._name.endswith(".vcf"):
            check_output(out, n)
        vcf.unlink()
        out.unlink()
        return Run(n, seconds, meter.peak, meter.is_pss, meter.n_processes)


def check_output(path: Path, n: int) -> None:
    """See that every record came out and nearly all have a score.

    Raises:
      Broken: they do not.
    """
    n_records = n_scored = 0
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            if not line.startswith(b"#"):
                n_records += 1
                n_scored += b"VARSIGMA_STATUS=ok" in line
    if n_records != n or n_scored < 0.95 * n:
        raise Broken(f"{n} records went in, {n_records} came out, {n_scored} of them scored")


# --- the command ---------------------------------------------------------------------------------


def main() -> None:
    """Measure, print, and compare with the bounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--records", type=int, default=2_000_000, help="of the large file")
    parser.add_argument("--few", type=int, default=100_000, help="records of the small file")
    parser.add_argument("--six", type=int, default=500_000, help="records at six passes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--packed", action="store_true", help="write .vcf.gz instead of .vcf")
    parser.add_argument("--folder", help="for temporary files, 4 GB; default: the system's")
    parser.add_argument("--min-rate", type=float, default=MIN_RATE, help="one pass, variants/s")
    parser.add_argument("--min-rate-six", type=float, default=MIN_RATE_SIX, help="six passes")
    parser.add_argument("--max-bytes", type=float, default=MAX_BYTES, help="peak memory")
    parser.add_argument("--max-growth", type=float, default=MAX_GROWTH, help="of peak memory")
    given = parser.parse_args()
    with verdict(), tempfile.TemporaryDirectory(dir=given.folder) as folder:
        measure(Path(folder), given)


def measure(folder: Path, given: argparse.Namespace) -> None:
    """Run it all.

    Raises:
      Broken: a bound does not hold.
    """
    bench = Bench(folder, workers=given.workers, is_packed=given.packed)
    print(
        f"trivial model, W 200, 3 members, 3 targets; {given.workers} workers,"
        f" {os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f};"
        f" genome of {_BASES / 1e6:.0f} Mb; 88 % SNV, 10 % short indels, 2 % the rest"
    )

    def show(label: str, n: int, mix: Mapping[str, float], options: tuple[str, ...]) -> Run:
        done = bench.run(n, mix, options)
        print(f"{label}: {done.rate:,.0f} variants/s\n  {done.text}", flush=True)
        return done

    few = show("small file, 1 pass", given.few, GENOME_MIX, ONE_PASS)
    many = show("plumbing, 1 pass", given.records, GENOME_MIX, ONE_PASS)
    show("plumbing, 1 pass, SNVs only", given.records, SNVS, ONE_PASS)
    six = show("plumbing, 6 passes", given.six, GENOME_MIX, SIX_PASSES)
    show("plumbing, 6 passes, SNVs only", given.six, SNVS, SIX_PASSES)
    ratio = many.peak / few.peak
    print(
        f"peak memory: {few.peak / 1e6:,.0f} MB for {few.n:,} records,"
        f" {many.peak / 1e6:,.0f} MB for {many.n:,} records, ratio {ratio:.3f}"
    )

    broken = [
        text
        for text, is_kept in {
            f"1 pass: {many.rate:,.0f} < {given.min_rate:,.0f} variants/s": (
                many.rate >= given.min_rate
            ),
            f"6 passes: {six.rate:,.0f} < {given.min_rate_six:,.0f} variants/s": (
                six.rate >= given.min_rate_six
            ),
            f"peak memory of {max(few.peak, many.peak, six.peak) / 1e6:,.0f} MB": (
                max(few.peak, many.peak, six.peak) < given.max_bytes
            ),
            f"peak memory grows by {ratio - 1:+.1%} from {few.n:,} to {many.n:,} records": (
                abs(ratio - 1) <= given.max_growth
            ),
        }.items()
        if not is_kept
    ]
    if broken:
        raise Broken("; ".join(broken))


if __name__ == "__main__":
    main()
