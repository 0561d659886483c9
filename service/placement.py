"""Where an indel may be written: `Edit -> its justified form -> the normal form of VCF`.

An indel in a repeat has many spellings. All of them have one fully justified form, the whole
stretch over which the change can slide (Holmes et al. 2020, doi 10.1093/bioinformatics/btz856;
GA4GH VRS), and one left-aligned parsimonious form (Tan et al. 2015, doi
10.1093/bioinformatics/btv112).
"""

from service.reference import Reference
from service.sequence import decode, encode
from service.variants import Edit

# Most indels slide by a few bases; a repeat longer than this is read in growing steps.
_FIRST_STEP = 64


def justify(reference: Reference, contig: str, edit: Edit) -> Edit:
    """Return the fully justified form of a trimmed edit.

    Args:
      reference: the genome.
      contig: a name that the FASTA uses.
      edit: 0-based; what neither inserts nor deletes only cannot slide and comes back as it is.

    Returns:
      0-based; all spellings of one change give the same one. It ends at unknown bases (N).
    """
    deleted = edit.end - edit.start
    if (deleted > 0) == bool(edit.inserted):
        return edit
    unit = edit.inserted or decode(reference.codes(contig, edit.start, edit.end))
    left = _slide(reference, contig, edit.start, unit, -1)
    right = _slide(reference, contig, edit.end, unit, +1)
    start, end = edit.start - left, edit.end + right
    whole = decode(reference.codes(contig, start, end)) if end > start else ""
    if deleted:
        return Edit(start, end, whole[deleted:])
    return Edit(start, end, _rotated(unit, left) + whole)


def normal_form(reference: Reference, contig: str, edit: Edit, justified: Edit) -> str:
    """Return `pos:ref:alt`, pos 1-based: left-aligned, parsimonious, with VCF's anchor base.

    Args:
      reference: the genome.
      contig: a name that the FASTA uses.
      edit: the trimmed edit, 0-based.
      justified: its justified form.
    """
    start, n_deleted = justified.start, edit.end - edit.start
    n_inserted = len(edit.inserted)
    if n_deleted and n_inserted:
        deleted = decode(reference.codes(contig, edit.start, edit.end))
        return f"{start + 1}:{deleted}:{edit.inserted}"
    deleted = decode(reference.codes(contig, start, start + n_deleted)) if n_deleted else ""
    inserted = justified.inserted[:n_inserted]
    if start > 0:
        anchor = decode(reference.codes(contig, start - 1, start))
        return f"{start}:{anchor}{deleted}:{anchor}{inserted}"
    # VCF 4.3, section 1.6.1: at the first base of a contig the base after the change is given.
    anchor = decode(reference.codes(contig, n_deleted, n_deleted + 1))
    return f"1:{deleted}{anchor}:{inserted}{anchor}"


def _rotated(unit: str, left: int) -> str:
    """An inserted unit as it reads after it slid left by so many bases."""
    turn = left % len(unit)
    return unit[-turn:] + unit[:-turn] if turn else unit


def _slide(reference: Reference, contig: str, place: int, unit: str, step: int) -> int:
    """Bases by which a unit at `place` can slide left (step -1) or right (+1)."""
    pattern = encode(unit if step > 0 else unit[::-1]).tobytes()
    seen, size, length = 0, _FIRST_STEP, len(pattern)
    while True:
        low, high = (place + seen, place + seen + size) if step > 0 else (
            place - seen - size, place - seen
        )  # fmt: skip
        bases = reference.codes(contig, low, high).tobytes()
        for base in bases if step > 0 else reversed(bases):
            # Code 4 is N: what is not known is not the same.
            if base == 4 or base != pattern[seen % length]:
                return seen
            seen += 1
        size *= 4
