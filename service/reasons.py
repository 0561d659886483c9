"""Why one variant has no score, for a person: `Status` with what it is about."""

from service.assemblies import LENGTHS, canonical_name
from service.errors import InputFileError, Status
from service.reference import Reference
from service.sequence import decode
from service.variants import Variant

_SHOWN_BASES = 20
_SHOWN_CONTIGS = 3
_SHOWN_LETTERS = 40


def reason(status: Status, variant: Variant, reference: Reference) -> str:
    """Return the reason of a status, with what the reference has where that is the matter."""
    if status is Status.REF_MISMATCH:
        return f"{status.reason}{_bases(variant, reference)}"
    if status is Status.UNKNOWN_CONTIG:
        return no_contig(variant.contig, reference)
    return status.reason


def known_bases(contig: str, reference: Reference) -> str:
    """Say how much the reference has of one of its contigs."""
    length = reference.length(contig)
    has = f"{length:,} bases" if length is not None else "only parts"
    return f"{reference.name} has {has} of {contig}"


def _bases(variant: Variant, reference: Reference) -> str:
    contig = reference.resolve(variant.contig)
    shown = min(len(variant.ref), _SHOWN_BASES)
    if contig is None:
        return ""
    try:
        bases = decode(reference.codes(contig, variant.start, variant.start + shown))
    except InputFileError:  # it could be read a moment ago
        return ""
    more = "..." if shown < len(variant.ref) else ""
    return f", which has {bases}{more} at {contig}:{variant.pos}"


def no_contig(given: str, reference: Reference) -> str:
    """Say that a contig is not there, and which are."""
    text = ascii(given if len(given) <= _SHOWN_LETTERS else f"{given[:_SHOWN_LETTERS]}...")
    told = f"the reference has no contig {text}"
    if reference.assembly is not None:
        for other in LENGTHS:
            name = canonical_name(given, other)
            if other != reference.assembly and name != given and reference.resolve(name):
                return f"{told}: that is {name} of {other}, the reference is {reference.assembly}"
    names = reference.contigs
    more = f" and {len(names) - _SHOWN_CONTIGS} more" if len(names) > _SHOWN_CONTIGS else ""
    return f"{told}; it has {', '.join(names[:_SHOWN_CONTIGS])}{more}"
