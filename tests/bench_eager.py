"""`varsigma score` beside the usual way: PyTorch eager, one pair of batches per variant.

The usual way is a loop over the variants of a VCF: fetch the window, one-hot encode it, and let
`tangermeme.variant_effect` run the network before and after the substitution, deletion or
insertion. Here both ways have the same weights (the members of a model of this repository), the
same passes (two strands), the same threads and the same VCF, and write one line per variant.
varsigma hides the bases around a variant besides, where the calibration reads what that does:
half as much work again, which the usual way does not do.
The loop with batches of many variants is the usual way done well. Repeats alternate between all
ways, so that a busy machine slows all of them; medians are reported.

    python -m pip install tangermeme
    python -m tests.bench_eager
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pysam
import torch

from tests.alone import largest
from tests.commands import Broken, run_varsigma, verdict
from training.assays import UNMOVED
from training.export import ServedModel, model_members, served_model

REPOSITORY = Path(__file__).parents[1]
FASTA = REPOSITORY / "examples/chr17.hg19.part.fa"
CONTIG = "chr17"
HEADER = (
    f"##fileformat=VCFv4.3\n##contig=<ID={CONTIG}>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
BASES = "ACGT"
BATCHES = (64, 256)
TOLERANCE = 1e-4
"""Largest difference of two effects allowed, log2 units: float32 sums in another order."""
MIN_RATIO = 2.0


# --- variants ------------------------------------------------------------------------------------


def write_vcf(path: Path, kind: str, n: int) -> None:
    """Write n variants of one kind at different places of the example's sequence.

    Indels are of one to three bases and have one spelling only, so that the simple way to place
    them, at the POS of the record, is the right one.
    """
    with pysam.FastaFile(str(FASTA)) as file:
        bases = file.fetch(CONTIG).upper()
    lines = []
    for start in np.linspace(300, len(bases) - 300, 4 * n).astype(int).tolist():
        alleles = _alleles(bases, start, kind)
        if alleles:
            lines.append(f"{CONTIG}\t{start + 1}\t.\t{alleles[0]}\t{alleles[1]}\t.\t.\t.\n")
    if len(lines) < n:
        raise SystemExit(f"the example has room for {len(lines)} variants of kind {kind}")
    chosen = np.linspace(0, len(lines) - 1, n).astype(int).tolist()
    path.write_text(HEADER + "".join(lines[index] for index in chosen))


def _alleles(bases: str, start: int, kind: str) -> tuple[str, str] | None:
    """REF and ALT at a 0-based start; None where an indel there could slide."""
    ref, after = bases[start], start + 1
    if kind == "substitution":
        return ref, BASES.replace(ref, "")[start % 3]
    size = 1 + start % 3
    changed = bases[after : after + size]
    if kind == "insertion":
        changed = "".join(BASES[(start // 4**index + index) % 4] for index in range(size))
    following = bases[after] if kind == "insertion" else bases[after + size]
    if ref == changed[-1] or following == changed[0]:
        return None
    return (ref, ref + changed) if kind == "insertion" else (ref + changed, ref)


# --- the usual way -------------------------------------------------------------------------------


class OneHotModel(torch.nn.Module):
    """The members of a model over one-hot windows: `(N, 4, W) -> mu, sigma`, each (N, M, T)."""

    def __init__(self, served: ServedModel) -> None:
        super().__init__()
        self._served = served
        table = served.networks[0].one_hot_table
        for name in ("left", "right"):
            flank = table[getattr(served, name)[0]].T[None]
            self.register_buffer(f"one_hot_{name}", flank)

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict, as `ServedModel` does from base codes."""
        served, n = self._served, len(windows)
        left, right = self.one_hot_left.expand(n, -1, -1), self.one_hot_right.expand(n, -1, -1)
        one_hot = torch.cat([left, windows, right], dim=2)
        heads = [network.heads(network.trunk(one_hot)) for network in served.networks]
        mu = torch.stack([mu.index_select(1, served.columns) for mu, _ in heads], dim=1)
        if heads[0][1] is None:
            return mu * served.sd + served.mean, served.constant_sigma.expand_as(mu) * served.sd
        variances = [log_var.index_select(1, served.columns) for _, log_var in heads]
        sigma = torch.exp(0.5 * torch.stack(variances, dim=1))
        return mu * served.sd + served.mean, sigma * served.sd


class Eager:
    """The loop over the variants of a VCF."""

    def __init__(self, folder: Path, width: int) -> None:
        try:
            from tangermeme import utils, variant_effect  # noqa: PLC0415  (for this alone)
        except ImportError as error:
            sys.exit(f"{error}; this command needs tangermeme: python -m pip install tangermeme")
        self._one_hot_encode = utils.one_hot_encode
        self._tangermeme = variant_effect
        served = served_model(folder)
        if served.offsets != UNMOVED:
            sys.exit(f"{folder.name} moves constructs by {served.offsets}, which this does not")
        self._model = OneHotModel(served).eval()
        self._width = width

    def score(self, vcf: Path, out: Path, *, batch: int, limit: int | None = None) -> np.ndarray:
        """Score the variants of a file, all of one kind, `batch` of them at a time.

        Args:
          vcf: to read.
          out: a table with one line per variant.
          batch: variants; each is two sequences, its strands, before and after.
          limit: score no more than these.

        Returns:
          (n, T) effects.
        """
        parts = []
        with (
            pysam.VariantFile(str(vcf)) as file,
            pysam.FastaFile(str(FASTA)) as fasta,
            out.open("w", newline="") as written,
        ):
            rows = csv.writer(written, delimiter="\t")
            records = islice(file, limit)
            while some := list(islice(records, batch)):
                effects = self._effects(some, fasta)
                for record, values in zip(some, effects.tolist(), strict=True):
                    rows.writerow((record.contig, record.pos, record.ref, record.alts[0], *values))
                parts.append(effects)
        return np.concatenate(parts)

    def _effects(self, records: list, fasta: pysam.FastaFile) -> np.ndarray:
        middle, width = self._width // 2, self._width
        windows, edits = [], []
        longest = max(len(record.ref) - len(record.alts[0]) for record in records)
        room = width + max(longest, 0)
        for record in records:
            ref, alt = record.ref, record.alts[0]
            is_indel = len(ref) != len(alt)
            start = record.start + is_indel
            end = record.start + len(ref)
            place = record.contig, start - middle, start - middle + room
            windows.append(self._one_hot_encode(fasta.fetch(*place).upper()))
            # On the other strand too, the first changed base lies in the middle.
            place = record.contig, end + middle - room, end + middle
            windows.append(self._one_hot_encode(fasta.fetch(*place).upper()).flip(0, 1))
            inserted = alt[1:] if is_indel else alt
            edits.append((end - start, [BASES.index(base) for base in inserted]))
        X = torch.stack(windows)
        kwargs = {"device": "cpu", "batch_size": len(X)}
        if len(records[0].ref) == len(records[0].alts[0]):
            rows = [row for item in enumerate(edits) for row in self._inserted(*item, step=1)]
            done = self._tangermeme.substitution_effect(
                self._model, X, torch.tensor(rows), **kwargs
            )
        elif longest > 0:
            rows = [
                (2 * number + strand, middle + offset)
                for number, (n_deleted, _) in enumerate(edits)
                for strand in (0, 1)
                for offset in range(n_deleted)
            ]
            done = self._tangermeme.deletion_effect(self._model, X, torch.tensor(rows), **kwargs)
        else:
            rows = [row for item in enumerate(edits) for row in self._inserted(*item, step=0)]
            done = self._tangermeme.insertion_effect(self._model, X, torch.tensor(rows), **kwargs)
        difference = done.y_after[0] - done.y_before[0]
        return difference.reshape(len(records), -1, difference.shape[-1]).mean(dim=1).numpy()

    def _inserted(
        self, number: int, edit: tuple[int, list[int]], *, step: int
    ) -> Iterator[tuple[int, int, int]]:
        """Rows (sequence, position, base) on both strands, the last inserted base first."""
        codes = edit[1]
        for strand, bases in enumerate((codes, [3 - code for code in reversed(codes)])):
            for offset in reversed(range(len(bases))):
                yield 2 * number + strand, self._width // 2 + step * offset, bases[offset]


# --- ours ----------------------------------------------------------------------------------------


def score_vcf(vcf: Path, out: Path, given: argparse.Namespace) -> None:
    """Run the command as a user does, in one process, start-up included."""
    run_varsigma(
        *("score", vcf, "-o", out, "--reference", FASTA, "--assembly", "GRCh37"),
        *("--model", given.model, "--device", "cpu", "--threads", given.threads),
        *("--strands", 2, "--shifts", 0, *given.score),
    )  # fmt: skip


def read_effects(path: Path, targets: list[str]) -> np.ndarray:
    """Return (n, T) effects of a scored VCF."""
    with pysam.VariantFile(str(path)) as file:
        return np.array(
            [
                [record.info[f"VARSIGMA_{target.upper()}_EFFECT"][0] for target in targets]
                for record in file
            ]
        )


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- the command ---------------------------------------------------------------------------------


def compare(kind: str, n: int, n_pairs: int, eager: Eager, given: argparse.Namespace) -> float:
    """Time all ways on one kind of variant, print, and return ours over the usual one.

    Raises:
      Broken: the ways disagree on an effect.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vcf, none, out = folder / "in.vcf", folder / "none.vcf", folder / "out.vcf"
        write_vcf(vcf, kind, n)
        none.write_text(HEADER)
        ways: dict[str, tuple[int, Callable[[], object]]] = {
            "varsigma": (n, lambda: score_vcf(vcf, out, given)),
            "eager, 1 variant": (
                n_pairs,
                lambda: eager.score(vcf, folder / "pairs.tsv", batch=1, limit=n_pairs),
            ),
        }
        for batch in BATCHES:
            ways[f"eager, {batch} variants"] = (
                n,
                lambda batch=batch: eager.score(vcf, folder / f"{batch}.tsv", batch=batch),
            )
        eager.score(vcf, folder / "warm.tsv", batch=8, limit=16)  # compiles what numba compiles
        start_up = min(seconds(lambda: score_vcf(none, out, given)) for _ in range(2))
        times: dict[str, list[float]] = {label: [] for label in ways}
        for turn in range(given.rounds):
            for label in sorted(ways, reverse=bool(turn % 2)):
                times[label].append(seconds(ways[label][1]))
        ours = read_effects(out, given.targets)
        tables = [folder / "pairs.tsv", *(folder / f"{batch}.tsv" for batch in BATCHES)]
        theirs = [np.loadtxt(table, delimiter="\t", usecols=range(4, 4 + ours.shape[1]), ndmin=2)
                  for table in tables]  # fmt: skip

    print(f"{kind}s: {n:,} of them, {n_pairs:,} for the loop over single ones")
    median = {label: statistics.median(taken) for label, taken in times.items()}
    rates = {label: ways[label][0] / taken for label, taken in median.items()}
    for label, rate in rates.items():
        print(f"  {label:<20}{rate:>8,.1f} variants/s   ours / this {rates['varsigma'] / rate:.2f}")
    steady = n / (median["varsigma"] - start_up)
    print(f"  varsigma without its start-up of {start_up:.1f} s: {steady:,.1f} variants/s")
    worst = max(largest(np.abs(ours[: len(table)] - table)) for table in theirs)
    print(
        f"  largest difference of two effects {worst:.1e}, largest effect {np.abs(ours).max():.2f}"
    )
    if not worst < TOLERANCE:
        raise Broken(f"effects of {kind}s differ by {worst:.2g}, more than {TOLERANCE}")
    return rates["varsigma"] / rates["eager, 1 variant"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="dh7", help="of this repository, with its members")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each way")
    parser.add_argument("--variants", type=int, default=3000, help="SNVs; 8,000 at most")
    parser.add_argument("--pairs", type=int, default=500, help="SNVs for the loop over single ones")
    parser.add_argument("--indels", type=int, default=300, help="deletions, insertions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--min-ratio", type=float, default=MIN_RATIO, help="SNVs, single ones")
    parser.add_argument(
        "score",
        nargs="*",
        default=["--anchorings", "left"],
        help="after --, options of varsigma score instead of --anchorings left, which is the one"
        " way in which tangermeme places an indel",
    )
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    folder = REPOSITORY / "models" / given.model
    members = model_members(folder)
    given.targets = [assay.served for assay in members[0].assays if assay.served]
    eager = Eager(folder, 200)
    print(
        f"model {given.model}, two strands, {given.threads} threads, {platform.machine()},"
        f" {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; torch {torch.__version__};"
        f" median of {given.rounds} alternating rounds"
    )
    with verdict():
        ratio = compare("substitution", given.variants, given.pairs, eager, given)
        if given.indels:
            for kind in ("deletion", "insertion"):
                compare(kind, given.indels, min(given.indels, given.pairs), eager, given)
        if ratio < given.min_ratio:
            raise Broken(f"varsigma / eager is {ratio:.2f}, less than {given.min_ratio}")


if __name__ == "__main__":
    main()
