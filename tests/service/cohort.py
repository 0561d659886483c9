"""A made-up cohort: a genome, and a VCF with variants of every kind whose outcome is known."""

import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pysam

from service.errors import Status
from tests.genomes import write_fasta

HEADER = (
    b"##fileformat=VCFv4.3",
    b'##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
    b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb",
)
LENGTHS = {"chr1": 4000, "chr2": 2500, "chrM": 600}

_OK, _BASES = Status.OK, "ACGT"


@dataclass(frozen=True)
class Line:
    """One record: columns without CHROM, and what becomes of each ALT."""

    contig: str
    columns: bytes
    statuses: tuple[Status, ...]


class Cohort:
    """1,000 ALTs on a random genome, the same for the same seed."""

    def __init__(self, fasta: Path, n_alts: int = 1000, seed: int = 1) -> None:
        self.fasta = fasta
        self._random = random.Random(seed)
        self.genome = {
            contig: "".join(self._random.choices(_BASES, k=length))
            for contig, length in LENGTHS.items()
        }
        write_fasta(fasta, self.genome, line=60)
        self.lines = list(self._lines(n_alts))

    @property
    def statuses(self) -> list[Status]:
        """One per ALT, in order."""
        return [status for line in self.lines for status in line.statuses]

    def records(self, *, has_chr: bool = True) -> list[bytes]:
        """Lines without their ends."""
        names = {c: c if has_chr else {"chrM": "MT"}.get(c, c.removeprefix("chr")) for c in LENGTHS}
        return [
            names.get(line.contig, line.contig).encode() + b"\t" + line.columns
            for line in self.lines
        ]

    def write(
        self, path: Path, *, eol: bytes = b"\n", has_chr: bool = True, packing: str = "plain"
    ) -> Path:
        """Write the VCF; packing is plain, gzip or bgzip."""
        content = b"".join(line + eol for line in (*HEADER, *self.records(has_chr=has_chr)))
        return write_packed(path, content, packing)

    def _lines(self, n_alts: int) -> Iterator[Line]:
        makers = [
            self._snv, self._mnv, self._insertion, self._deletion, self._delins, self._multi,
            self._unscorable, self._mismatch, self._elsewhere,
        ]  # fmt: skip
        left = n_alts
        while left:
            contig = self._random.choice(list(LENGTHS))
            pos = self._random.randint(30, LENGTHS[contig] - 60)
            place, where, ref, alts, statuses = self._random.choice(makers)(contig, pos)
            if len(alts) > left:
                continue
            left -= len(alts)
            depth = self._random.randint(1, 99)
            info = self._random.choice([f"DP={depth}", ".", f"DP={depth};AF=0.5;X"])
            columns = (
                f"{where}\trs{where}\t{ref}\t{','.join(alts)}\t{depth}\tPASS\t{info}\tGT\t0/1\t1|1"
            )
            yield Line(place, columns.encode(), statuses)

    def _ref(self, contig: str, pos: int, length: int) -> str:
        return self.genome[contig][pos - 1 : pos - 1 + length]

    def _other(self, base: str) -> str:
        return self._random.choice([other for other in _BASES if other != base])

    def _snv(self, contig, pos):
        ref = self._ref(contig, pos, 1)
        alt = self._other(ref)
        return contig, pos, *self._random.choice([(ref, [alt]), (ref.lower(), [alt])]), (_OK,)

    def _mnv(self, contig, pos):
        ref = self._ref(contig, pos, 3)
        return contig, pos, ref, ["".join(map(self._other, ref))], (_OK,)

    def _insertion(self, contig, pos):
        ref = self._ref(contig, pos, 1)
        long = self._random.random() < 0.2
        alt = ref + "".join(self._random.choices(_BASES, k=40 if long else 2))
        return contig, pos, ref, [alt], (Status.ALLELE_TOO_LONG if long else _OK,)

    def _deletion(self, contig, pos):
        ref = self._ref(contig, pos, self._random.randint(2, 4))
        return contig, pos, ref, [ref[0]], (_OK,)

    def _delins(self, contig, pos):
        ref = self._ref(contig, pos, 4)
        return contig, pos, ref, [self._other(ref[0]) + self._other(ref[1])], (_OK,)

    def _multi(self, contig, pos):
        ref = self._ref(contig, pos, 1)
        alts = [self._other(ref), "*", ref + "GA", "<DEL>"]
        return contig, pos, ref, alts, (_OK, Status.STAR_ALT, _OK, Status.SYMBOLIC_ALT)

    def _unscorable(self, contig, pos):
        ref = self._ref(contig, pos, 1)
        alt, status = self._random.choice([
            (".", Status.NO_ALT), ("*", Status.STAR_ALT), ("<NON_REF>", Status.SYMBOLIC_ALT),
            ("<*>", Status.SYMBOLIC_ALT), (f"{ref}[chr2:7[", Status.BREAKEND_ALT),
            (f"{ref}.", Status.BREAKEND_ALT), ("R", Status.NON_ACGTN),
        ])  # fmt: skip
        return contig, pos, ref, [alt], (status,)

    def _mismatch(self, contig, pos):
        ref = self._other(self._ref(contig, pos, 1))
        return contig, pos, ref, [self._other(ref)], (Status.REF_MISMATCH,)

    def _elsewhere(self, contig, pos):
        return self._random.choice([
            ("chrUn", pos, "A", ["C"], (Status.UNKNOWN_CONTIG,)),
            (contig, 0, "N", ["C"], (Status.WINDOW_OFF_CONTIG,)),
            (contig, LENGTHS[contig] + 5, "A", ["C"], (Status.WINDOW_OFF_CONTIG,)),
            (contig, 2**31 - 1, "A", ["C"], (Status.WINDOW_OFF_CONTIG,)),
        ])  # fmt: skip


def write_packed(path: Path, content: bytes, packing: str) -> Path:
    """Write bytes as plain text, gzip or bgzip."""
    if packing == "bgzip":
        with pysam.BGZFile(str(path), "wb") as file:
            file.write(content)
    else:
        path.write_bytes(gzip.compress(content, mtime=0) if packing == "gzip" else content)
    return path


def read_lines(path: Path) -> list[bytes]:
    """Lines of a file, unpacked, with their ends."""
    raw = path.read_bytes()
    return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).splitlines(keepends=True)
