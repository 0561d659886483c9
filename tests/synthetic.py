"""A made-up genome of many contigs, and VCF files of any size with records of every kind on it.

`Genome.write -> FASTA`, `write_vcf -> VCF`: sorted, valid for bcftools, the same for the same seed,
two million records in seconds. What becomes of a record is not said here: who checks that counts
for himself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import pysam

# The shares of a whole genome's call set: a base changed, a few bases in or out, and the rest.
SHORT_INDELS: Final = ("insertion", "deletion")
REST: Final = (
    "mnv", "delins", "multi", "lower", "star", "deletion_symbol", "non_ref", "any_alt", "breakend",
    "no_alt", "iupac", "mismatch", "long_insertion", "long_deletion", "same",
)  # fmt: skip
GENOME_MIX: Final[Mapping[str, float]] = MappingProxyType(
    {"snv": 0.88}
    | dict.fromkeys(SHORT_INDELS, 0.10 / len(SHORT_INDELS))
    | dict.fromkeys(REST, 0.02 / len(REST))
)
"""Share of each kind of record."""
SNVS: Final[Mapping[str, float]] = MappingProxyType({"snv": 1.0})
EVERY_KIND: Final[Mapping[str, float]] = MappingProxyType(
    {"snv": 0.5}
    | dict.fromkeys(SHORT_INDELS, 0.1)
    | dict.fromkeys(REST, 0.3 / len(REST))
    | {"mismatch": 0.01}
)

UNKNOWN_CONTIG: Final = "chrUn_KI270742v1"
"""Declared in the header, absent from the FASTA."""

_BASES = "ACGT"
_OTHERS = {base: _BASES.replace(base, "") for base in _BASES} | {"N": _BASES}
_FORMAT = "GT:AD:DP:GQ"
_BARE = (".", "DB", "DB;MQ=59.5")  # INFO without what most records have
_AS_N = str.maketrans(dict.fromkeys("RYSWKMBDHV", "N"))
# POS beyond the end of a contig, at most.
_BEYOND = 1000


@dataclass(frozen=True)
class Genome:
    """Contigs as the FASTA holds them.

    Attributes:
      contigs: sequence by name; either case, runs of N, a few IUPAC letters.
      aliases: how the VCF spells contigs that it names differently.
    """

    contigs: Mapping[str, str]
    aliases: Mapping[str, str]

    @classmethod
    def random(cls, n_bases: int = 4_000_000, seed: int = 1) -> Genome:
        """Make 20 contigs of n_bases in all, one of them shorter than any real model's window.

        Names have `chr` or not, as the FASTA has them; the VCF calls three of them otherwise.
        """
        rng = np.random.default_rng(seed)
        names = [*(f"chr{n}" for n in range(1, 14)), "14", "15", "chrX", "chrM", "HLA-A*01", "s19"]
        shares = rng.uniform(0.5, 1.5, len(names))
        lengths = (n_bases * shares / shares.sum()).astype(int).tolist()
        contigs = {
            name: _sequence(rng, length, is_ragged=index % 2 == 0)
            for index, (name, length) in enumerate(zip(names, lengths, strict=True))
        }
        contigs["chrShort"] = _sequence(rng, 150, is_ragged=False)
        return cls(contigs, {"chr4": "4", "14": "chr14", "chrM": "MT"})

    def write(self, path: Path, line: int = 60) -> Path:
        """Write the FASTA and its index."""
        with path.open("wb") as file:
            for name, sequence in self.contigs.items():
                whole = len(sequence) // line * line
                rows = np.full((whole // line, line + 1), ord("\n"), np.uint8)
                raw = np.frombuffer(sequence.encode(), np.uint8)
                rows[:, :line] = raw[:whole].reshape(-1, line)
                rest = sequence[whole:]
                file.write(f">{name}\n".encode() + rows.tobytes())
                file.write(f"{rest}\n".encode() if rest else b"")
        pysam.faidx(str(path))
        return path


def write_vcf(
    path: Path,
    genome: Genome,
    n: int,
    *,
    mix: Mapping[str, float] = GENOME_MIX,
    n_samples: int = 1,
    seed: int = 1,
) -> Path:
    """Write n records, sorted, contigs in the order of the header.

    Where the mix has more than SNVs, some records lie over or beyond the end of a contig, or on one
    that the genome lacks. None has POS 0, the telomere: htslib warns of it whenever it reads an
    indexed file by region, whoever wrote it.

    Args:
      path: to write, plain text.
      genome: to lie on.
      n: records.
      mix: share of each kind.
      n_samples: columns after FORMAT; 0 leaves FORMAT out.
      seed: of everything random.
    """
    with path.open("w", encoding="ascii", buffering=1 << 20) as file:
        file.write(header(genome, n_samples))
        file.writelines(records(genome, n, mix=mix, n_samples=n_samples, seed=seed))
    return path


def header(genome: Genome, n_samples: int) -> str:
    """Return the header: everything declared that bcftools wants declared."""
    contigs = [
        f"##contig=<ID={genome.aliases.get(name, name)},length={len(sequence)}>"
        for name, sequence in genome.contigs.items()
    ]
    names = "".join(f"\ts{number}" for number in range(n_samples))
    lines = [
        "##fileformat=VCFv4.3",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        '##FILTER=<ID=q10,Description="Quality below 10">',
        '##ALT=<ID=DEL,Description="Deletion">',
        '##ALT=<ID=NON_REF,Description="Any other allele">',
        '##ALT=<ID=*,Description="Any other allele">',
        '##INFO=<ID=AC,Number=A,Type=Integer,Description="Allele count">',
        '##INFO=<ID=AN,Number=1,Type=Integer,Description="Alleles">',
        '##INFO=<ID=FS,Number=1,Type=Float,Description="Strand bias, Fisher">',
        '##INFO=<ID=QD,Number=1,Type=Float,Description="Quality by depth">',
        '##INFO=<ID=SOR,Number=1,Type=Float,Description="Strand bias, odds ratio">',
        '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##INFO=<ID=MQ,Number=1,Type=Float,Description="Mapping quality">',
        '##INFO=<ID=DB,Number=0,Type=Flag,Description="In dbSNP">',
        '##INFO=<ID=END,Number=1,Type=Integer,Description="Last base">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depth of each allele">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">',
        *contigs,
        f"##contig=<ID={UNKNOWN_CONTIG},length=186739>",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO" + ("\tFORMAT" if n_samples else "") + names,
    ]
    return "".join(f"{line}\n" for line in lines)


def records(
    genome: Genome,
    n: int,
    *,
    mix: Mapping[str, float] = GENOME_MIX,
    n_samples: int = 1,
    seed: int = 1,
) -> Iterator[str]:
    """Yield the lines of `write_vcf` after its header."""
    rng = np.random.default_rng(seed)
    makers = [_MAKERS[kind] for kind in mix]
    shares = np.array(list(mix.values())) / sum(mix.values())
    is_mixed = len(mix) > 1
    lengths = np.array([len(sequence) for sequence in genome.contigs.values()])
    n_unknown = n // 500 if is_mixed else 0
    counts = rng.multinomial(n - n_unknown, lengths / lengths.sum()).tolist()
    samples = _samples(n_samples)
    for (name, sequence), count in zip(genome.contigs.items(), counts, strict=True):
        chrom = genome.aliases.get(name, name)
        # No REF runs over the end, or its record would not be of its kind.
        room = max(len(sequence) - _LONGEST, 1)
        starts = np.sort(rng.integers(0, room, count)).tolist()
        kinds = rng.choice(len(makers), count, p=shares).tolist()
        draws = rng.integers(0, 1 << 60, count).tolist()
        made: Iterator[_Alleles] = (
            makers[kind](sequence, start, draw)
            for kind, start, draw in zip(kinds, starts, draws, strict=True)
        )
        placed = zip([start + 1 for start in starts], made, draws, strict=True)
        if not is_mixed:
            yield from _lines(chrom, placed, samples)
            continue
        # As many records as were asked for: those outside stand for the last ones inside.
        outside = _outside(sequence, rng.integers(0, 1 << 60, min(count, 10)).tolist())
        yield from _lines(chrom, islice(placed, count - len(outside)), samples)
        yield from _lines(chrom, outside, samples)
    for pos, draw in zip(
        np.sort(rng.integers(1, 186_000, n_unknown)).tolist(),
        rng.integers(0, 1 << 60, n_unknown).tolist(),
        strict=True,
    ):
        yield from _lines(UNKNOWN_CONTIG, [(pos, ("A", "C", ""), draw)], samples)


# --- one record ----------------------------------------------------------------------------------

# REF, ALT and what INFO says more.
_Alleles: TypeAlias = tuple[str, str, str]
# POS, 1-based; the alleles; a random number for all that is left to choose.
_Placed: TypeAlias = tuple[int, _Alleles, int]
_LONGEST = 130


def _lines(chrom: str, placed: Iterable[_Placed], samples: Callable[[int], str]) -> Iterator[str]:
    for pos, (ref, alts, more), draw in placed:
        depth = draw % 61
        name = f"rs{draw % 999_983}" if draw & 1 else "."
        count = "" if alts == "." else f"AC=1{',1' * alts.count(',')};"
        info = (
            f"{count}AN=8;DP={depth};FS={draw % 887 / 100:.3f};MQ=60.00"
            f";QD={draw % 353 / 10:.1f};SOR={draw % 691 / 300:.3f}"
        )
        if depth < len(_BARE):
            info = "DB" if more else _BARE[depth]
        quality = f"{draw % 9973 / 10:.1f}" if draw & 2 else "."
        yield (
            f"{chrom}\t{pos}\t{name}\t{ref}\t{alts}\t{quality}\t{'PASS' if depth > 9 else 'q10'}"
            f"\t{info}{more}{samples(draw)}\n"
        )


def _samples(n: int) -> Callable[[int], str]:
    """Columns from FORMAT on; a hundred different ones are enough."""
    if not n:
        return lambda draw: ""
    rng = np.random.default_rng(n)
    texts = [
        "\t".join(
            (
                "",
                _FORMAT,
                *(
                    f"{left}/{right}:{deep},{high}:{deep + high}:{quality}"
                    for left, right, deep, high, quality in rng.integers(
                        (0, 0, 0, 0, 0), (2, 2, 40, 40, 99), (n, 5)
                    ).tolist()
                ),
            )
        )
        for _ in range(100)
    ]
    return lambda draw: texts[draw % 100]


def _at(sequence: str, start: int, length: int) -> str:
    """Bases of the genome as a caller writes them: upper case, N for other letters."""
    return sequence[start : start + length].upper().translate(_AS_N)


def _random_bases(draw: int, length: int) -> str:
    return "".join(_BASES[(draw >> 2 * (index % 29)) & 3] for index in range(length))


def _different(base: str, draw: int) -> str:
    others = _OTHERS[base]
    return others[draw % len(others)]


def _snv(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 1)
    return ref, _different(ref, draw), ""


def _lower(sequence: str, start: int, draw: int) -> _Alleles:
    ref, alt, _ = _snv(sequence, start, draw)
    return (ref.lower(), alt, "") if draw & 4 else (ref, alt.lower(), "")


def _mnv(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 2 + draw % 3)
    return ref, "".join(_different(base, draw >> index) for index, base in enumerate(ref)), ""


def _insertion(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 1)
    return ref, ref + _random_bases(draw >> 4, 1 + draw % 5), ""


def _deletion(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 2 + draw % 5)
    return ref, ref[0], ""


def _delins(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 3 + draw % 2)
    return ref, _different(ref[0], draw) + _different(ref[1], draw >> 3), ""


def _same(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 1 + draw % 70)
    return ref, ref, ""


def _long_insertion(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 1)
    return ref, ref + _random_bases(draw, 60 + draw % 60), ""


def _long_deletion(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 60 + draw % 60)
    return ref, ref[0], ""


def _multi(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 1)
    one = _different(ref, draw)
    alts = (
        [one, ref + "GA"],
        [one, "*"],
        ["*", ref + "T", one, "<*>"],
        [one, "<NON_REF>"],
        [other for other in _BASES if other != ref],
        [one, f"{ref}[chr2:700["],
    )[draw % 6]
    return ref, ",".join(alts), ""


def _mismatch(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _different(_at(sequence, start, 1), draw)
    if draw & 8:
        ref += _at(sequence, start + 1, 2)
    return ref, _different(ref[0], draw >> 7), ""


def _iupac(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 1)
    return [(ref, "R", ""), ("K", "A", ""), (ref, f"{ref}YA", ""), (ref, "U", "")][draw % 4]


def _breakend(sequence: str, start: int, draw: int) -> _Alleles:
    ref = _at(sequence, start, 1)
    return ref, [f"{ref}[chr2:700[", f"]chr2:700]{ref}", f"{ref}.", f".{ref}"][draw % 4], ""


def _unsequenced(alt: str, *, has_end: bool) -> Callable[[str, int, int], _Alleles]:
    """An ALT without bases."""

    def make(sequence: str, start: int, draw: int) -> _Alleles:
        more = f";END={start + 1 + draw % 100}" if has_end else ""
        return _at(sequence, start, 1), alt, more

    return make


_MAKERS: Final[Mapping[str, Callable[[str, int, int], _Alleles]]] = {
    "snv": _snv,
    "lower": _lower,
    "mnv": _mnv,
    "insertion": _insertion,
    "deletion": _deletion,
    "delins": _delins,
    "same": _same,
    "long_insertion": _long_insertion,
    "long_deletion": _long_deletion,
    "multi": _multi,
    "mismatch": _mismatch,
    "iupac": _iupac,
    "breakend": _breakend,
    "star": _unsequenced("*", has_end=False),
    "deletion_symbol": _unsequenced("<DEL>", has_end=True),
    "non_ref": _unsequenced("<NON_REF>", has_end=True),
    "any_alt": _unsequenced("<*>", has_end=False),
    "no_alt": _unsequenced(".", has_end=False),
}


def _outside(sequence: str, draws: list[int]) -> list[_Placed]:
    """Records, one per draw, of which the first two run over the end of a contig."""
    length = len(sequence)
    over = (_at(sequence, length - 2, 2) + "AC", "A", "")
    beyond = sorted(length + 1 + draw % _BEYOND for draw in draws[2:])
    return [
        *((length - 1, over, draw) for draw in draws[:2]),
        *((pos, ("G", "T", ""), draw) for pos, draw in zip(beyond, draws[2:], strict=True)),
    ]


def _sequence(rng: np.random.Generator, length: int, *, is_ragged: bool) -> str:
    """Random bases; a ragged contig has soft-masked stretches, runs of N and IUPAC letters."""
    codes = np.frombuffer(_BASES.encode(), np.uint8)[rng.integers(0, 4, length, np.uint8)]
    # Repeats, so that indels have room to move.
    for start in rng.integers(0, max(length - 40, 1), length // 400).tolist():
        unit = int(rng.integers(1, 4))
        codes[start : start + 24] = np.resize(codes[start : start + unit], 24)[: length - start]
    if is_ragged:
        for start in rng.integers(0, length, length // 5000 + 1).tolist():
            codes[start : start + 700] |= 0x20
        codes[: min(100, length // 8)] = ord("N")
        for start in rng.integers(0, length, length // 100_000 + 1).tolist():
            codes[start : start + min(2000, length // 50)] = ord("N")
        for start in rng.integers(0, length, length // 50_000 + 1).tolist():
            codes[start] = ord("R")
    return codes.tobytes().decode()
