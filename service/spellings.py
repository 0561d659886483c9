"""One variant in any common spelling -> its names: `text -> Change -> Named`.

```
chr17:31150:G:A  17-31150-G-A  chr17_31150_G_A_b37  chr17:31,150 G>A  chr17:31150-31150 G/A
chr17:g.31150G>A  NC_000017.10:g.31348_31350del     HGVS: >, del, ins, delins, dup, inv, =
NC_000017.10:31149:G:A  NC_000017.10:31347:1:       SPDI
17  31150  .  G  A,C  ...                           a line of a VCF, tabs or blanks
17  31150  31150  G/A  +                            a line of VEP's default format
```

What four parts between colons mean, their first says: a RefSeq sequence of the genome (`NC_`,
`NT_`, `NW_`) makes them SPDI, whose positions are 0-based; with any other name of a contig the
position is 1-based, as everywhere else here. An assembly may stand before or after
(`hg19:chr17:...`, `... (GRCh37)`); it must be the reference's.
"""

import re
from dataclasses import replace
from typing import Final

from service.assemblies import canonical_name
from service.hgvs import read_genomic
from service.naming import EXAMPLE, MAX_CHANGE, Change, Named, name_change, quoted, refused
from service.pasted import check_assembly, tidied
from service.reference import Reference
from service.sequence import decode, encode, reverse_complement
from service.unplaced import why_unplaced
from service.variants import POSITION, allele_status

# No blanks beside a class that takes them too: every way to share them out would be tried.
_SPDI = re.compile(r"(N[CTW]_[^:]*):([^:]*):([^:]*):([^:]*)", re.IGNORECASE)
_HGVS = re.compile(r"(?:([^:\s]*)[:\s]\s*)?([cgmnopr])\.\s*(\S.*)", re.IGNORECASE | re.DOTALL)
# HGVS whose `g.` was left out.
_BARE_HGVS = re.compile(
    r"([^:\s]+):\s*(\d[\d,]*(?:_\d[\d,]*)?(?:del|ins|dup|inv|[A-Z]*=).*)", re.IGNORECASE | re.ASCII
)
_POS = r"(?P<pos>[\d,]++)(?:\s*-\s*(?P<end>[\d,]++))?"
_POS_ALONE = r"(?P<pos>[\d,]++)(?P<end>(?!))?"
_PLACES: Final = tuple(
    re.compile(
        rf"(?P<contig>{contig})\s*{separator}\s*{pos}(?P<alleles>\D.*)", re.ASCII | re.DOTALL
    )
    for contig, separator, pos in (
        (r"[^:\s]+", r"[:\s]", _POS),
        (r"[^-:\s]+", "-", _POS_ALONE),
        (r"[^:\s]+", "_", _POS_ALONE),
    )
)
# What joins a position to its alleles; a gap (-/C, ->C) is one of them.
_JOINT = re.compile(r"^[:_-](?!\s*[/>])")
_NUMBER = re.compile(POSITION, re.ASCII)
_MAX_LETTERS = 2 * MAX_CHANGE + 200  # two alleles and a place
_MOST_ALTS = 50


def resolve(text: str, reference: Reference) -> list[Named]:
    """Name what a text spells; one name per ALT.

    Args:
      text: one variant in any spelling of this module's description.
      reference: the genome. It gives the bases that HGVS leaves away, and must agree with those
        that the text states.

    Raises:
      ValidationError: the text is no variant, or none of this reference; the message quotes what is
        wrong and says what would do.
      InputFileError: the reference cannot be read.
    """
    changes, notes = _read(text, reference)
    return [_named(change, notes, reference) for change in changes]


def resolve_one(text: str, reference: Reference) -> Named:
    """Name the one variant that a text spells.

    Raises:
      ValidationError: as `resolve`, or the text has several ALTs.
      InputFileError: the reference cannot be read.
    """
    changes, notes = _read(text, reference)
    if len(changes) > 1:
        # A few names: each may take many bases of the reference.
        named = [_named(change, notes, reference).identifier for change in changes[:3]]
        more = "" if len(changes) == len(named) else " and so on"
        raise refused(
            text.strip(),
            f"holds {len(changes)} ALTs",
            f"ask for one of them: {', '.join(named)[:400]}{more}",
        )
    return _named(changes[0], notes, reference)


def _read(text: str, reference: Reference) -> tuple[list[Change], tuple[str, ...]]:
    plain, assembly = tidied(text)
    notes = check_assembly(assembly, reference)
    changes, told = _changes(plain)
    return changes, (*notes, *told)


def _named(change: Change, notes: tuple[str, ...], reference: Reference) -> Named:
    named = name_change(change, reference)
    return replace(named, notes=(*notes, *named.notes))


def _changes(text: str) -> tuple[list[Change], tuple[str, ...]]:
    """Read a tidy text, and say what should be known of how that was done."""
    words = text.split("\t") if "\t" in text else text.split()
    words = [" ".join(word.split()) for word in words]
    if len(words) >= 4 and re.fullmatch(r"[\d,]+", words[1], re.ASCII) and ":" not in words[0]:
        return _line(words)
    text = " ".join(filter(None, words))
    if len(text) > _MAX_LETTERS:
        raise refused(
            text, f"has more than {_MAX_LETTERS:,} letters", f"write one variant, {EXAMPLE}"
        )
    if why := why_unplaced(text):
        raise refused(*why)
    if found := _SPDI.fullmatch(text):
        parts = map(str.strip, found.groups())
        return [_spdi(*parts)], ("read as SPDI, whose positions are 0-based",)
    if found := _HGVS.fullmatch(text):
        return [_hgvs(*found.groups())], ()
    if found := _BARE_HGVS.fullmatch(text):
        return [read_genomic(found[1], _edit(found[2]))], ("read as HGVS with g.",)
    for form in _PLACES:
        if found := form.fullmatch(text):
            return _at(found["contig"], found["pos"], found["end"], found["alleles"]), ()
    raise refused(
        text,
        "is no spelling of a variant that is known",
        "write chr17:31150:G:A, 17-31150-G-A, chr17:g.31150G>A, NC_000017.10:31149:G:A or a line"
        " of a VCF",
    )


def _line(words: list[str]) -> tuple[list[Change], tuple[str, ...]]:
    """A line of a VCF or of VEP's format."""
    if "/" in words[3] and re.fullmatch(r"[\d,]+", words[2], re.ASCII):
        contig, pos, end, alleles, strand = (*words, "+")[:5]
        if strand not in {"+", "-", "1", "-1"}:
            raise refused(strand, "is no strand", "write + or -: 17 31150 31150 G/A +")
        is_minus = strand in {"-", "-1"}
        notes = ("alleles turned to the forward strand",) if is_minus else ()
        return _at(contig, pos, end, alleles, is_minus=is_minus), notes
    ref, alts = words[2:4] if len(words) == 4 else words[3:5]
    pos, third = words[1:3]
    # ANNOVAR's lines have an end there. Those of BED have one too, but count from 0.
    if len(words) > 4 and third.isdecimal() and _number(third) == _number(pos) + len(ref):
        raise refused(
            " ".join(words[:5]),
            "may be BED, which counts from 0, or a VCF whose ID is a number",
            f"write the position from 1, {EXAMPLE}",
        )
    return _replaced(words[0], _number(words[1]), ref, alts.split(",")), ()


def _spdi(sequence: str, position: str, deleted: str, inserted: str) -> Change:
    start = _number(position)
    if deleted.isdecimal() and deleted.isascii():
        end, ref = start + _number(deleted), None
    else:
        end, ref = start + len(deleted), _bases(deleted)
    return Change(sequence.upper(), start, end, ref, _bases(inserted))


def _hgvs(contig: str | None, kind: str, edit: str) -> Change:
    if kind.lower() not in "gm":
        raise refused(
            f"{kind}.{edit}",
            "counts along a transcript or a protein",
            "write the place on the genome, for example chr17:g.31150G>A",
        )
    if not contig:
        raise refused(
            f"{kind}.{edit}", "names no contig", f"write one before it, chr17:{kind}.{edit}"[:80]
        )
    if kind.lower() == "m" and canonical_name(contig) != "MT":
        raise refused(
            f"{contig}:{kind}.", "is not the mitochondrial genome", f"write {contig}:g.{edit}"[:80]
        )
    # A gene or a transcript in brackets says nothing that the coordinates do not.
    return read_genomic(contig.partition("(")[0], _edit(edit))


def _edit(text: str) -> str:
    """HGVS without blanks and thousands separators."""
    text = "".join(text.split())
    return re.sub(r"\d[\d,]*", lambda found: str(_number(found[0])), text, flags=re.ASCII)


def _at(
    contig: str, pos: str, end: str | None, alleles: str, *, is_minus: bool = False
) -> list[Change]:
    """Alleles at a place, or over a range, whose length must be theirs."""
    place = _number(pos)
    ref, alts = _split(_JOINT.sub("", alleles.strip(), count=1).strip(), f"{contig}:{pos}")
    if is_minus:
        ref, *alts = (_opposite(allele) for allele in (ref, *alts))
    if ref == "-" and end is None:
        raise refused(
            alleles,
            "does not say between which two bases",
            f"write g.{place}_{place + 1}ins{alts[0]}, or a range: {place + 1}-{place} -/{alts[0]}"[
                :90
            ],
        )
    n_bases = 0 if ref == "-" else len(ref)
    if end is not None and _number(end) != place + n_bases - 1:
        raise refused(
            f"{pos}-{end}",
            f"does not have the length of {quoted(ref)}",
            f"it ends at {place + n_bases - 1}, or REF is another; for example {EXAMPLE[12:]}",
        )
    return _replaced(contig, place, ref, alts, gap="-")


def _split(alleles: str, where: str) -> tuple[str, list[str]]:
    """REF and the ALTs of `G>A`, `G/A`, `G:A`, `G-A` and the like."""
    if "<" in alleles or "[" in alleles or "]" in alleles:
        raise refused(alleles, "is symbolic, it has no bases", f"write REF and ALT, {EXAMPLE}")
    found = re.fullmatch(r"(-(?=\s*[/>])|[^>/:_\s-]*)\s*[>/:_\s-]\s*(.*)", alleles, re.DOTALL)
    if found is None:
        remedy = f"write both, {where}:{alleles or 'G'}:A, in place of A what it becomes"[:90]
        raise refused(f"{where}:{alleles}" if alleles else where, "names no REF and ALT", remedy)
    ref, rest = found.groups()
    return ref, [alt.strip() for alt in re.split(r"[,/]", rest)]


def _replaced(
    contig: str, pos: int, ref: str, alts: list[str], *, gap: str | None = None
) -> list[Change]:
    """Changes of stated alleles, pos 1-based; `gap` is how a lack of bases is written."""
    if not ref or not all(alts):
        raise refused(
            f"{contig}:{pos}:{ref}:{','.join(alts)}",
            "has an empty allele",
            "write the base before the change in both, for example chr17:31347:CG:C",
        )
    if len(alts) > _MOST_ALTS:
        raise refused(
            f"{contig}:{pos}", f"has {len(alts)} ALTs", f"ask for {_MOST_ALTS} at a time, {EXAMPLE}"
        )
    stated, *others = ("" if allele == gap else _bases(allele) for allele in (ref, *alts))
    return [Change(contig, pos - 1, pos - 1 + len(stated), stated, other) for other in others]


def _bases(text: str) -> str:
    """Refuse what is not of A, C, G, T and N."""
    text = text.strip()
    if text and (status := allele_status("N", text)).value != "ok":
        raise refused(text, f"is no allele: {status.reason}", f"write A, C, G and T, {EXAMPLE}")
    return text


def _opposite(allele: str) -> str:
    return allele if allele == "-" else decode(reverse_complement(encode(_bases(allele))))


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text):
        return int(text.replace(",", ""))
    raise refused(text, "is no position", "write a whole number, 31150 or 31,150")
