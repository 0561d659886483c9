"""A change on the reference -> its one name: `Change -> Variant -> Named`.

All spellings of a change, of shifted indels too, get the same name, because it is made of the
normal form and the fully justified allele of `service.placement`.
"""

from dataclasses import asdict, dataclass
from enum import Enum, auto
from typing import Any, Final

from service.assemblies import (
    CHROMOSOMES,
    LENGTHS,
    UCSC_HG19_CHRM_LENGTH,
    accession,
    canonical_name,
)
from service.errors import Status, ValidationError
from service.placement import Nearby
from service.reasons import known_bases, reason
from service.reference import Reference
from service.sequence import decode, encode, reverse_complement
from service.variants import MAX_POS, Variant
from service.windows import check_variant, normalised

MAX_CHANGE: Final = 10_000
"""Bases that a named change may replace or insert; no model reads nearly as many."""

REFSEQ: Final = ("NC_", "NT_", "NW_")
"""How sequences of the genome begin in RefSeq."""

EXAMPLE: Final = "for example chr17:31150:G:A"
# `check_variant` refuses what exceeds a quarter of the window.
_WIDTH = 4 * MAX_CHANGE
_SHOWN_LETTERS = 40
_UCSC_HG19_CHRM = "NC_001807.4"


class Rewrite(Enum):
    """ALTs that only the reference can tell."""

    SAME = auto()
    TWICE = auto()
    INVERTED = auto()


@dataclass(frozen=True, slots=True)
class Change:
    """What a text says: bases of a contig are replaced.

    Attributes:
      contig: as the text has it.
      start: 0-based.
      end: 0-based, exclusive; equal to start for an insertion before that base.
      ref: the bases of [start, end) as the text has them, in either case; None where it does not
        say, and the reference's are meant.
      alt: what is there instead; may be empty.
    """

    contig: str
    start: int
    end: int
    ref: str | None
    alt: str | Rewrite


@dataclass(frozen=True, slots=True)
class Named:
    """A variant and its names.

    Attributes:
      identifier: `assembly:contig:pos:ref:alt` of the normal form, pos 1-based, chromosomes with
        `chr`; `assembly:spdi` on another sequence of RefSeq; without the assembly where nobody
        stated it. It does not depend on how the change, or the chromosomes of the reference, were
        spelt, and is a spelling itself.
      spdi: the contextual allele of NCBI, `sequence:position:deleted:inserted`, 0-based: all bases
        over which an indel can slide (Holmes et al. 2020, doi 10.1093/bioinformatics/btz856). None
        where the sequence has no accession.
      variant: the normal form, left-aligned and parsimonious; contig as the reference spells it.
      assembly: of the reference, None where nobody stated it.
      notes: what a reader should know about how it was read; one line each.
    """

    identifier: str
    spdi: str | None
    variant: Variant
    assembly: str | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types, the variant's by their own keys."""
        return {
            "identifier": self.identifier,
            "spdi": self.spdi,
            **asdict(self.variant),
            "assembly": self.assembly,
            "notes": list(self.notes),
            "use": "research use only",
        }


def refused(part: str, problem: str, remedy: str) -> ValidationError:
    """Return the error that quotes a part of a text and says what is wrong and what would do."""
    return ValidationError(
        _ascii(f"{quoted(part)} {problem}; {remedy}"),
        detail={"field": "q", "part": part[:_SHOWN_LETTERS]},
    )


def quoted(text: str) -> str:
    """Return a text as a message quotes it: on one line, in ASCII, not at any length."""
    return ascii(text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}...")


def _ascii(text: str) -> str:
    """A message as every terminal and log can hold it."""
    return text.encode("ascii", "backslashreplace").decode()


def name_change(change: Change, reference: Reference) -> Named:
    """Look a change up on the reference, and name it.

    Raises:
      ValidationError: the reference has no such contig or place, has other bases there than the
        text says, or the change is too long; the message says what would do.
      InputFileError: the reference cannot be read.
    """
    contig = _resolved(change.contig, reference)
    start, end = change.start, change.end
    if not 0 <= start < MAX_POS:
        raise refused(
            str(start + 1), "is no position", f"the first base of a contig is 1, {EXAMPLE}"
        )
    if max(end - start, len(change.ref or ""), _n_inserted(change)) > MAX_CHANGE:
        raise refused(
            f"{change.contig}:{start + 1}",
            f"changes more than {MAX_CHANGE:,} bases",
            f"write a change that fits into a model's window, {EXAMPLE}",
        )
    before, after = (
        reference.covers(contig, *place) for place in ((start - 1, start), (end, end + 1))
    )
    is_known = reference.covers(contig, start, end) if start < end else before or after
    if not is_known:
        raise _unknown_place(reference, contig, start)
    bases = Nearby(reference, contig, start - 1, end + 1)
    found = bases.text(start, end)
    ref = found if change.ref is None else change.ref.upper()
    _check_ref(ref, found, contig, start, reference)
    alt = _rewritten(change.alt, found)
    if ref and alt:
        return name_variant(Variant(contig, start + 1, ref, alt), reference)
    if not (ref or alt):
        raise refused(
            f"{contig}:{start + 1}", "deletes and inserts nothing", f"write both, {EXAMPLE}"
        )
    if before:
        base = bases.text(start - 1, start)
        return name_variant(Variant(contig, start, base + ref, base + alt), reference)
    base = bases.text(end, end + 1)
    return name_variant(Variant(contig, start + 1, ref + base, alt + base), reference)


def name_variant(variant: Variant, reference: Reference) -> Named:
    """Name a variant, however it is aligned; pos is 1-based.

    Raises:
      ValidationError: it cannot be scored on this reference; the message says why.
      InputFileError: the reference cannot be read.
    """
    checked = check_variant(reference, variant, _WIDTH)
    if isinstance(checked, Status):
        why = reason(checked, variant, reference)
        raise refused(str(variant), f"cannot be named: {why}", f"write A, C, G and T, {EXAMPLE}")
    contig = reference.resolve(variant.contig)
    assert contig is not None  # it was checked
    pos, ref, alt = normalised(checked).split(":")
    if "N" in ref and "N" not in variant.ref.upper():
        raise refused(
            str(variant),
            "touches the edge of the known sequence",
            "give a FASTA that reaches further",
        )
    normal = Variant(contig, int(pos), ref, alt)
    whole, sequence = checked.justified, _accession(reference, contig)
    deleted = checked.bases.text(whole.start, whole.end)
    spdi = sequence and f"{sequence}:{whole.start}:{deleted}:{whole.inserted}"
    common = _common_name(reference, contig)
    # Between colons, a position behind a RefSeq sequence would be read as SPDI.
    name = spdi if spdi and common is None else f"{common or contig}:{pos}:{ref}:{alt}"
    identifier = f"{reference.assembly}:{name}" if reference.assembly else name
    return Named(identifier, spdi, normal, reference.assembly, _notes(variant, normal))


def _notes(given: Variant, normal: Variant) -> tuple[str, ...]:
    if (given.pos, given.ref.upper(), given.alt.upper()) == (normal.pos, normal.ref, normal.alt):
        return ()
    shown = f"{normal.pos}:{normal.ref}:{normal.alt}"
    return (f"in normal form, left-aligned and parsimonious: {shown}",) if len(shown) < 80 else ()


def _resolved(contig: str, reference: Reference) -> str:
    """The reference's name of a contig."""
    for spelt in (contig, contig.upper()):
        known = reference.resolve(spelt)
        if known is not None:
            return known
    if contig == _UCSC_HG19_CHRM:
        for known in reference.contigs:
            if _accession(reference, known) == contig:
                return known
    why = reason(Status.UNKNOWN_CONTIG, Variant(contig, 1, "N", "N"), reference)
    raise ValidationError(
        _ascii(f"{why}; {_contig_remedy(contig, reference)}"),
        detail={"field": "q", "part": contig[:_SHOWN_LETTERS]},
    )


def _contig_remedy(contig: str, reference: Reference) -> str:
    sequence = contig.upper().partition(".")[0]
    versions = {
        assembly: known
        for assembly in LENGTHS
        for chromosome in (*LENGTHS[assembly], "MT")
        if (known := accession(chromosome, assembly)) and known.partition(".")[0] == sequence
    }
    if versions and contig.upper() not in versions.values():
        told = " and ".join(f"{known} in {assembly}" for assembly, known in versions.items())
        return f"it is {told}"
    if reference.assembly and versions and contig.upper() != versions[reference.assembly]:
        return f"write the place in {reference.assembly}, or use a reference of the other assembly"
    return f"write a contig that the reference has, {EXAMPLE}"


def _n_inserted(change: Change) -> int:
    return len(change.alt) if isinstance(change.alt, str) else 0


def _unknown_place(reference: Reference, contig: str, start: int) -> ValidationError:
    return refused(
        f"{contig}:{start + 1}",
        f"is not within the known sequence: {known_bases(contig, reference)}",
        "check the position and the assembly"
        + (f", which is {reference.assembly}" if reference.assembly else ""),
    )


def _check_ref(ref: str, found: str, contig: str, start: int, reference: Reference) -> None:
    if ref == found:
        return
    where = f"{contig}:{start + 1}"
    if len(ref) != len(found):
        raise refused(
            ref,
            f"has {len(ref)} bases, but the positions from {where} on are {len(found)}",
            "give as many bases as positions, or leave the bases away",
        )
    hint = (
        "check the assembly"
        + (f" ({reference.assembly} here)" if reference.assembly else "")
        + ", that positions are 1-based (0-based in SPDI alone) and alleles of the forward strand"
    )
    raise ValidationError(
        _ascii(
            f"the text has {quoted(ref)} at {where}, but the reference has {quoted(found)}; {hint}"
        ),
        detail={"field": "q", "part": ref[:_SHOWN_LETTERS], "status": Status.REF_MISMATCH.value},
    )


def _rewritten(alt: str | Rewrite, found: str) -> str:
    if isinstance(alt, str):
        return alt.upper()
    if alt is Rewrite.INVERTED:
        return decode(reverse_complement(encode(found)))
    return found * 2 if alt is Rewrite.TWICE else found


def _common_name(reference: Reference, contig: str) -> str | None:
    """A name of the contig that no FASTA decides: chr1, chrX, chrM; None where there is none."""
    name = canonical_name(contig, reference.assembly)
    if name == "MT":
        return None if _accession(reference, contig) == _UCSC_HG19_CHRM else "chrM"
    return f"chr{name}" if name in CHROMOSOMES else None


def _accession(reference: Reference, contig: str) -> str | None:
    name = canonical_name(contig, reference.assembly)
    if name == "MT" and reference.length(contig) == UCSC_HG19_CHRM_LENGTH:
        return _UCSC_HG19_CHRM
    if contig.startswith(REFSEQ):
        return contig
    return accession(name, reference.assembly) if reference.assembly else None
