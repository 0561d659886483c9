"""One variant as the caller wrote it, whether its alleles can be scored, and its smallest edit."""

import re
from dataclasses import dataclass
from itertools import takewhile

from service.errors import Status

MAX_POS = 2**31 - 1  # VCF 4.3: a 32-bit integer
POSITION = r"(?:\d{1,10}|\d{1,3}(?:,\d{3}){1,3})"
"""Pattern (ASCII) of a position that a person wrote, with commas between thousands or without."""

_BASES = re.compile(r"[ACGTN]+", re.IGNORECASE)
_LETTERS = frozenset("ACGT")


@dataclass(frozen=True, slots=True)
class Variant:
    """One ALT of one record; alleles and contig name stay as the caller spelt them.

    Attributes:
      contig: sequence name, any accepted alias.
      pos: **1-based** position of the first base of ref.
      ref: reference allele.
      alt: alternative allele.
    """

    contig: str
    pos: int
    ref: str
    alt: str

    @property
    def start(self) -> int:
        """0-based start of REF."""
        return self.pos - 1

    @property
    def end(self) -> int:
        """0-based end (exclusive) of REF."""
        return self.start + len(self.ref)

    def __str__(self) -> str:
        """Return contig:pos:ref>alt, pos 1-based."""
        return f"{self.contig}:{self.pos}:{self.ref}>{self.alt}"


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the bases [start, end) of a contig by `inserted`.

    Attributes:
      start: 0-based.
      end: 0-based, exclusive; equal to start for an insertion before that base.
      inserted: upper case; empty for a deletion.
    """

    start: int
    end: int
    inserted: str


def allele_status(ref: str, alt: str) -> Status:
    """Say whether a pair of alleles has sequences to compare.

    Returns:
      OK, or why not: NO_ALT (`.`), STAR_ALT (`*`), SYMBOLIC_ALT (`<DEL>`, `<*>`, `<NON_REF>`),
      BREAKEND_ALT (`N[chr2:5[`, single breakends `G.` and `.G`), NON_ACGTN (also an empty allele,
      such as what follows the comma of `A,`).

    >>> allele_status("A", "<DEL>")
    <Status.SYMBOLIC_ALT: 'symbolic_alt'>
    """
    if _BASES.fullmatch(alt):
        return Status.OK if _BASES.fullmatch(ref) else Status.NON_ACGTN
    if alt == ".":
        return Status.NO_ALT
    if alt == "*":
        return Status.STAR_ALT
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return Status.BREAKEND_ALT
    if "<" in alt:
        return Status.SYMBOLIC_ALT
    return Status.NON_ACGTN


def trim(variant: Variant) -> Edit:
    """Return the smallest edit that turns REF into ALT: shared suffix off first, then prefix.

    Equal alleles stay whole: REF is replaced by itself.

    >>> trim(Variant("1", 10, "CTT", "CT"))
    Edit(start=10, end=11, inserted='')
    """
    ref, alt = variant.ref.upper(), variant.alt.upper()
    if ref == alt or len(ref) == len(alt) == 1:
        return Edit(variant.start, variant.end, alt)
    suffix = _shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - suffix], alt[: len(alt) - suffix]
    prefix = _shared(ref, alt)
    start = variant.start + prefix
    return Edit(start, start + len(ref) - prefix, alt[prefix:])


def is_single(form: str) -> bool:
    """Say whether a normal form `pos:ref:alt` is that of a single-base change.

    >>> [is_single(form) for form in ("7:A:G", "7:A:A", "7:A:N", "7:AC:A", ".")]
    [True, False, False, False, False]
    """
    _, _, alleles = form.partition(":")
    ref, _, alt = alleles.partition(":")
    return ref != alt and ref in _LETTERS and alt in _LETTERS


def _shared(one: str, other: str) -> int:
    """Length of the longest common prefix."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
