"""200,000 records of every kind on 20 contigs through `varsigma score`, and each one counted again.

`python -m tests.check_genome` makes a genome and a call set, scores it with a toy model, and
compares with what pysam and a page of plain code say of the same records. It shows that
* every ALT has the status that its definition asks for, in order, counted with `bcftools query`;
* `bcftools view`, `stats` and queries by region read the output, its index too, without a warning;
* every byte of the header, of the other columns and of the old INFO is what it was.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pysam

from tests.commands import Broken, run_varsigma, verdict
from tests.synthetic import EVERY_KIND, Genome, write_vcf
from tests.toy_models import SumModel, write_model

OURS = b"VARSIGMA_"
WIDTH = SumModel().width
# What an ALT without a sequence of its own looks like.
UNSEQUENCED = {
    "no_alt": r"\.",
    "star_alt": r"\*",
    "symbolic_alt": r"<.*>",
    "breakend_alt": r".*[][].*|\..+|.+\.",
}
_REGION = 3000  # bases of one query


# --- the independent count -----------------------------------------------------------------------


class Judge:
    """Says what must become of an ALT, from its definition, without a line of the service."""

    def __init__(self, fasta: Path) -> None:
        """Read the whole genome; other letters than ACGT are unknown bases."""
        self._contigs: dict[str, str] = {}
        with pysam.FastaFile(str(fasta)) as file:
            for name in file.references:
                bases = file.fetch(name).upper()
                known = "".join(base if base in "ACGT" else "N" for base in bases)
                for spelling in self._spellings(name):
                    self._contigs[spelling] = known

    @staticmethod
    def _spellings(name: str) -> set[str]:
        """All names of one contig: with and without chr; the mitochondrion is M or MT."""
        plain = name.removeprefix("chr")
        plains = {"M", "MT"} if plain in {"M", "MT"} else {plain}
        return plains | {f"chr{name}" for name in plains} | {name}

    def status(self, contig: str, pos: int, ref: str, alt: str) -> str:
        """Return the status of one ALT; pos is 1-based."""
        for status, pattern in UNSEQUENCED.items():
            if re.fullmatch(pattern, alt):
                return status
        ref, alt = ref.upper(), alt.upper()
        if set(ref + alt) - set("ACGTN"):
            return "non_acgtn"
        if contig not in self._contigs:
            return "unknown_contig"
        bases = self._contigs[contig]
        if pos < 1 or pos + len(ref) - 1 > len(bases):
            return "window_off_contig"
        if bases[pos - 1 : pos - 1 + len(ref)] != ref:
            return "ref_mismatch"
        return "allele_too_long" if changed(ref, alt) > WIDTH // 4 else "ok"


def changed(ref: str, alt: str) -> int:
    """Count the bases that are replaced, deleted or inserted, whichever are more.

    >>> changed("CAAT", "CAT"), changed("A", "ACC"), changed("AC", "AC")
    (1, 2, 0)
    """
    while ref and alt and ref[0] == alt[0]:
        ref, alt = ref[1:], alt[1:]
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    return max(len(ref), len(alt))


def expected_statuses(vcf: Path, fasta: Path) -> list[str]:
    """Statuses of all records as pysam reads them, ALTs joined by commas."""
    judge = Judge(fasta)
    pysam.set_verbosity(0)  # it misses an index of a BCF, which nobody needs here
    with pysam.VariantFile(str(vcf)) as file:
        return [
            ",".join(
                judge.status(record.contig, record.pos, record.ref, alt)
                for alt in record.alts or (".",)
            )
            for record in file
        ]


# --- the output ----------------------------------------------------------------------------------


def bcftools(*arguments: str | Path) -> bytes:
    """Run bcftools and return what it prints; a word on standard error breaks the check."""
    command = ["bcftools", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or done.stderr:
        raise Broken(f"{' '.join(command)} says: {done.stderr.decode()[:500]}")
    return done.stdout


def unpacked(path: Path) -> Iterator[bytes]:
    """Lines of a file as text; those of a BCF as bcftools prints them."""
    if path.suffix == ".bcf":
        yield from bcftools("view", "--no-version", path).splitlines(keepends=True)
    elif path.suffix == ".gz":
        with gzip.open(path) as file:
            yield from file
    else:
        with path.open("rb") as file:
            yield from file


def check_bytes(before: Path, after: Path) -> int:
    """Compare two VCF files line by line; return the records.

    Raises:
      Broken: anything but our header lines and our end of INFO is not as it was.
    """
    old = unpacked(before)
    n = 0
    for line in unpacked(after):
        if line.startswith((b"##varsigma=", b"##INFO=<ID=" + OURS)):
            continue
        was = next(old, b"")
        if line.startswith(b"#"):
            if line != was:
                raise Broken(f"the header line {was!r} became {line!r}")
            continue
        n += 1
        if stripped(line) != was:
            raise Broken(f"record {n} was {was!r} and became {line!r}")
    if missing := next(old, b""):
        raise Broken(f"the output ends before {missing!r}")
    return n


def stripped(line: bytes) -> bytes:
    """A record of the output without what was appended to INFO."""
    columns = line.split(b"\t")
    eol = b"\n" if len(columns) == 8 else b""
    kept, separator, ours = columns[7].partition(OURS + b"STATUS=")
    if not separator or not all(part.startswith(OURS) for part in ours.split(b";")[1:]):
        raise Broken(f"INFO does not end in our fields: {columns[7]!r}")
    columns[7] = (kept.removesuffix(b";") or b".") + eol
    return b"\t".join(columns)


def check_regions(path: Path, index: str, lines: list[bytes]) -> int:
    """Query the indexed output at three places of every contig; return the queries.

    Raises:
      Broken: a query does not find the records that lie there.
    """
    places: dict[str, list[int]] = {}
    for line in lines:
        contig, pos, _ = line.split(b"\t", 2)
        places.setdefault(contig.decode(), []).append(int(pos))
    n = 0
    for contig, positions in places.items():
        for start in (1, positions[len(positions) // 2], max(positions[-1] - _REGION, 1)):
            region = f"{contig}:{start}-{start + _REGION}"
            found = bcftools("view", "-H", "-r", region, "--regions-overlap", "0", path)
            wanted = sum(start <= pos <= start + _REGION for pos in positions)
            if (got := found.count(b"\n")) != wanted:
                raise Broken(f"{index}: {region} holds {wanted} records, bcftools finds {got}")
            n += 1
    return n


# --- the command ---------------------------------------------------------------------------------


def check(folder: Path, given: argparse.Namespace) -> None:
    """Make, score, count and compare."""
    genome = Genome.random(given.bases, seed=given.seed)
    fasta = genome.write(folder / "genome.fa")
    vcf = write_vcf(
        folder / "calls.vcf", genome, given.records, mix=EVERY_KIND, n_samples=3, seed=given.seed
    )
    if given.input != "vcf":
        packed = folder / f"calls.{given.input}"
        kind = {"vcf.gz": "z", "bcf": "b"}[given.input]
        bcftools("view", "--no-version", f"-O{kind}", "-o", packed, vcf)
        vcf = packed
    models = folder / "models"
    write_model(models)
    expected = expected_statuses(vcf, fasta)
    counts = Counter(",".join(expected).split(","))

    outputs = {}
    for index in ("tbi", "csi"):
        out = outputs[index] = folder / f"scored.{index}.vcf.gz"
        run_varsigma(
            *("score", vcf, "-o", out, "--index", index, "--reference", fasta),
            *("--models", models, "--model", "sum", *given.score),
        )  # fmt: skip
        if not Path(f"{out}.{index}").is_file():
            raise Broken(f"--index {index} wrote no index")
    out = outputs["tbi"]

    found = bcftools("query", "-f", "%INFO/VARSIGMA_STATUS\\n", out).decode().split()
    print(f"{'status':<20}{'pysam':>9}{'bcftools':>10}")
    seen = Counter(",".join(found).split(","))
    for status in sorted(counts | seen):
        print(f"  {status:<18}{counts[status]:>9,}{seen[status]:>10,}")
    if found != expected:
        raise Broken("statuses are not those of the independent count")

    n_records = check_bytes(vcf, out)
    if n_records != len(expected) or n_records != given.records:
        raise Broken(f"{given.records} records went in, {n_records} came out")
    print(f"{n_records:,} records on {len(genome.contigs)} contigs: other bytes identical")

    for index, path in outputs.items():
        bcftools("view", "-o", os.devnull, path)
        bcftools("stats", path)
        listed = bcftools("index", "--stats", path).splitlines()
        lines = [line for line in unpacked(path) if not line.startswith(b"#")]
        n = check_regions(path, index, lines)
        print(f"{index}: {len(listed)} contigs, {n} queries by region, no warning")
    if outputs["tbi"].read_bytes() != outputs["csi"].read_bytes():
        raise Broken("two runs differ")
    print("two runs: identical bytes")


def main() -> None:
    """Run the check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--bases", type=int, default=4_000_000, help="of the genome")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", choices=("vcf", "vcf.gz", "bcf"), default="vcf")
    parser.add_argument(
        "score", nargs="*", help="after --, more options of varsigma score, such as --workers 2"
    )
    given = parser.parse_args()
    if shutil.which("bcftools") is None:
        sys.exit("bcftools is not installed (Debian: apt-get install bcftools)")
    started = time.perf_counter()
    with verdict(), tempfile.TemporaryDirectory() as folder:
        check(Path(folder), given)
        print(f"seconds: {time.perf_counter() - started:.1f}")


if __name__ == "__main__":
    main()
