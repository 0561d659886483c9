"""HGVS of the genome, `g.` and `m.` -> what is replaced: `text -> Change`.

The grammar is our own and small: one change of stated or reference bases, which is all that has an
ALT. Parsers that there are were measured before (they need a database; or know neither `inv` nor
stated bases; or read `g.` well, but take 20 ms for a line and had not
ended after 50 s on 250 hostile characters).
"""

import re

from service.errors import ValidationError
from service.naming import MAX_CHANGE, Change, Rewrite, refused

_BASES = "[A-Za-z]*"
_UNTIL_INS = "[A-HJ-Za-hj-z]*"
_CHANGE = re.compile(
    rf"""
    (?P<first>\d{{1,10}}) (?: _ (?P<last>\d{{1,10}}) )?
    (?:
        (?P<ref>{_BASES}) (?: > (?P<substituted>{_BASES}) | (?P<same>=) )
      | del (?P<deleted>\d{{1,10}}|{_UNTIL_INS}) (?: ins (?P<replacing>{_BASES}) )?
      | ins (?P<inserted>{_BASES})
      | dup (?P<repeated>\d{{1,10}}|{_BASES})
      | inv (?P<inverted>\d{{1,10}}|{_BASES})
    )
    """,
    re.VERBOSE | re.ASCII,
)
_PLACE = re.compile(r"(\d+)(?:_(\d+))?", re.ASCII)
_LETTERS = re.compile("[ACGTNacgtn]*")

# What HGVS has beyond one change of stated bases, by what gives it away.
_BEYOND: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"[;]|^\["),
        "holds several changes",
        "ask for one at a time, for example g.31150G>A",
    ),
    (
        re.compile(r"[()?]"),
        "is uncertain",
        "give the exact positions and bases, for example g.31150_31151del",
    ),
    (
        re.compile(r"pter|qter|cen"),
        "has no number for a position",
        "give the exact positions, for example g.31150_31151del",
    ),
    (
        re.compile(r"\d[+-]\d|^[*-]"),
        "has positions of a transcript",
        "g. positions are whole numbers from 1 on, for example g.31150G>A",
    ),
    (
        re.compile(r"\["),
        "is a repeat with a number of copies",
        "write the bases that are added or lost, for example g.31150_31151insGG",
    ),
    (
        re.compile(r"con|ins\d|^[^i]*ins[^:_]*[:_]"),
        "takes its bases from elsewhere",
        "write them out, for example g.31150_31151insGATC",
    ),
)


def read_genomic(contig: str, edit: str) -> Change:
    """Read what follows `g.`.

    Args:
      contig: what stands before the colon.
      edit: without blanks and thousands separators; bases in either case, positions 1-based.

    Raises:
      ValidationError: it is no such change.
    """
    found = _CHANGE.fullmatch(edit)
    if found is None:
        raise _unread(edit)
    first, last = int(found["first"]), int(found["last"] or found["first"])
    if last < first:
        raise refused(
            edit, "ends before it begins", f"write the smaller position first, g.{last}_{first}..."
        )
    start = first - 1
    if found["inserted"] is not None:
        if last != first + 1:
            raise refused(
                edit,
                "does not say between which two bases",
                f"name both neighbours, for example g.{first}_{first + 1}ins"
                f"{found['inserted'] or 'GATC'}"[:80],
            )
        return Change(contig, first, first, None, _letters(edit, found["inserted"], "inserted"))
    if found["substituted"] is not None:
        return _substitution(contig, edit, found, start, last)
    named = (found[name] for name in ("ref", "deleted", "repeated", "inverted"))
    stated = next(bases for bases in named if bases is not None)
    ref = _stated(edit, stated, last - start)
    alt: str | Rewrite = ""
    if found["same"]:
        alt = Rewrite.SAME
    elif found["repeated"] is not None:
        alt = Rewrite.TWICE
    elif found["inverted"] is not None:
        if last == first:
            raise refused(edit, "inverts one base", f"name two or more, g.{first}_{first + 1}inv")
        alt = Rewrite.INVERTED
    elif found["replacing"] is not None:
        alt = _letters(edit, found["replacing"], "inserted")
    return Change(contig, start, last, ref, alt)


def _substitution(contig: str, edit: str, found: re.Match[str], start: int, end: int) -> Change:
    ref, alt = (_letters(edit, found[name], "replaced") for name in ("ref", "substituted"))
    if len(ref) != end - start:
        raise refused(
            edit,
            f"replaces {len(ref)} bases at {end - start} positions",
            f"write g.{start + 1}_{start + len(ref)}delins{alt}"[:80],
        )
    return Change(contig, start, end, ref, alt)


def _stated(edit: str, stated: str, n_positions: int) -> str | None:
    """The bases after `del`, `dup` or `inv`; None where there are none, or only their number."""
    if stated.isdecimal():
        if int(stated) != n_positions:
            raise refused(
                edit,
                f"says {stated} bases, but its positions are {n_positions}",
                "leave the number away",
            )
        return None
    return _letters(edit, stated, "stated") if stated else None


def _letters(edit: str, bases: str, which: str) -> str:
    if not bases:
        raise refused(edit, f"lacks the {which} bases", "write them, for example g.31150G>A")
    end = _LETTERS.match(bases)
    assert end is not None  # of nothing, at least
    if end.end() < len(bases):
        raise refused(
            edit,
            f"has {bases[end.end()]!r}, which is no base of DNA",
            "write A, C, G and T, for example g.31150G>A",
        )
    return bases


def _unread(edit: str) -> ValidationError:
    """Say what is wrong with an edit that is none of ours."""
    for pattern, problem, remedy in _BEYOND:
        if pattern.search(edit):
            return refused(edit, problem, remedy)
    if _PLACE.fullmatch(edit):
        return refused(
            edit, "names a place and no change", f"add one, for example g.{edit[:20]}del"
        )
    return refused(
        edit,
        "is no change that is known",
        f"those are >, del, ins, delins, dup, inv and = at positions of the genome, of up to"
        f" {MAX_CHANGE:,} bases: g.31150G>A, g.31150_31151del, g.31150_31151insTT",
    )
