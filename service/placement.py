"""Where an indel may be written: `Edit -> its justified form -> the normal form of VCF`.

An indel in a repeat has many spellings. All of them have one fully justified form, the whole
stretch over which the change can slide (Holmes et al. 2020, doi 10.1093/bioinformatics/btz856;
GA4GH VRS), and one left-aligned parsimonious form (Tan et al. 2015, doi
10.1093/bioinformatics/btv112).
"""

from service.reference import Reference
from service.sequence import UNKNOWN, Codes, decode, encode
from service.variants import Edit

# Most indels slide by a few bases; a repeat longer than this is read in growing steps.
_FIRST_STEP = 64


class Nearby:
    """The bases of a contig around a variant, read once; what lies further is read when asked for.

    Args:
      reference: the genome.
      contig: a name that the FASTA uses.
      start: 0-based, of what is read at once; may be negative.
      end: 0-based, exclusive; may lie beyond the end of the contig.
    """

    def __init__(self, reference: Reference, contig: str, start: int, end: int) -> None:
        """Read the stretch."""
        self._reference = reference
        self._contig = contig
        self._start, self._end = start, end
        self._codes = reference.codes(contig, start, end)

    def codes(self, start: int, end: int) -> Codes:
        """Return the (end - start,) base codes of [start, end), 0-based, N where unknown."""
        if self._start <= start <= end <= self._end:
            return self._codes[start - self._start : end - self._start]
        return self._reference.codes(self._contig, start, end)

    def text(self, start: int, end: int) -> str:
        """Return the bases of [start, end), 0-based, as text."""
        return decode(self.codes(start, end)) if start < end else ""


def justify(bases: Nearby, edit: Edit) -> Edit:
    """Return the fully justified form of a trimmed edit.

    Args:
      bases: around it.
      edit: 0-based; what neither inserts nor deletes only cannot slide and comes back as it is.

    Returns:
      0-based; all spellings of one change give the same one. It ends at unknown bases (N).
    """
    deleted = edit.end - edit.start
    if (deleted > 0) == bool(edit.inserted):
        return edit
    unit = edit.inserted or bases.text(edit.start, edit.end)
    left = _slide(bases, edit.start, unit, -1)
    right = _slide(bases, edit.end, unit, +1)
    start, end = edit.start - left, edit.end + right
    whole = bases.text(start, end)
    if deleted:
        return Edit(start, end, whole[deleted:])
    return Edit(start, end, _rotated(unit, left) + whole)


def normal_form(bases: Nearby, edit: Edit, justified: Edit) -> str:
    """Return `pos:ref:alt`, pos 1-based: left-aligned, parsimonious, with VCF's anchor base.

    Args:
      bases: around it.
      edit: the trimmed edit, 0-based.
      justified: its justified form.
    """
    start, n_deleted = justified.start, edit.end - edit.start
    n_inserted = len(edit.inserted)
    if n_deleted and n_inserted:
        deleted = bases.text(edit.start, edit.end)
        return f"{start + 1}:{deleted}:{edit.inserted}"
    deleted = bases.text(start, start + n_deleted)
    inserted = justified.inserted[:n_inserted]
    if start > 0:
        anchor = bases.text(start - 1, start)
        return f"{start}:{anchor}{deleted}:{anchor}{inserted}"
    # VCF 4.3, section 1.6.1: at the first base of a contig the base after the change is given.
    anchor = bases.text(n_deleted, n_deleted + 1)
    return f"1:{deleted}{anchor}:{inserted}{anchor}"


def _rotated(unit: str, left: int) -> str:
    """An inserted unit as it reads after it slid left by so many bases."""
    turn = left % len(unit)
    return unit[-turn:] + unit[:-turn] if turn else unit


def _slide(bases: Nearby, place: int, unit: str, step: int) -> int:
    """Bases by which a unit at `place` can slide left (step -1) or right (+1)."""
    pattern = encode(unit[::step]).tobytes()
    seen, size, length = 0, _FIRST_STEP, len(pattern)
    while True:
        near, far = place + step * seen, place + step * (seen + size)
        found = bases.codes(min(near, far), max(near, far)).tobytes()
        for base in found[::step]:
            # What is not known is not the same.
            if base == UNKNOWN or base != pattern[seen % length]:
                return seen
            seen += 1
        size *= 4
