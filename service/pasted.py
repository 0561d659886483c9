"""A variant as it was pasted -> one plain line, and the assembly that it names."""

import re
import unicodedata
from typing import Final

from service.naming import EXAMPLE, refused
from service.reference import Reference

MAX_TEXT: Final = 100_000
"""Letters of a text; a line of a VCF with samples may be long."""

_NAMED_ASSEMBLY = (
    r"(?P<name>hg\d+|GRC[hm]\d+(?:\.?p\d+)?|b3[678]|hs37d5|NCBI3[56]|(?:T2T|CHM13)\S*?|mm\d+)"
)
_BEFORE = re.compile(
    rf"[(\[]?{_NAMED_ASSEMBLY}[)\]]?\s*[:\s_.-]\s*(?=\S)", re.IGNORECASE | re.ASCII
)
_AFTER = re.compile(
    rf"(?:[\s_:,-]+|(?=[(\[]))[(\[]?{_NAMED_ASSEMBLY}[)\]]?\Z", re.IGNORECASE | re.ASCII
)
_ASSEMBLIES: Final = {
    "GRCh37": ("hg19", "grch37", "b37", "hs37d5"),
    "GRCh38": ("hg38", "grch38", "b38"),
}
_LOOKALIKES: Final = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")  # hyphens, dashes, the minus sign
    | dict.fromkeys("\u2192\u203a", ">")
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", "")  # what has no width
)
_PLACE = re.compile(r"[\d,]+\s*[:\s-]\s*[a-z]", re.ASCII | re.IGNORECASE)
_LONGEST_ASSEMBLY = 30
_AROUND = " \t\r\n\"'`;,"


def tidied(text: str) -> tuple[str, str | None]:
    """Undo what word processors do to a text.

    Args:
      text: as it was pasted.

    Returns:
      One line without its assembly; and the assembly before or after it, None where there is none.

    Raises:
      ValidationError: it is empty, too long, or holds several lines.
    """
    if len(text) > MAX_TEXT:
        raise refused(text, f"has more than {MAX_TEXT:,} letters", f"write one variant, {EXAMPLE}")
    plain = unicodedata.normalize("NFKC", text).translate(_LOOKALIKES)
    plain = plain.replace("&gt;", ">").strip(_AROUND)
    if not plain:
        raise refused(text, "holds nothing", f"write a variant, {EXAMPLE}")
    if "\n" in plain or "\r" in plain:
        raise refused(
            text.strip(),
            f"holds {len(plain.splitlines())} lines",
            f"write one variant, {EXAMPLE}; a file is for `varsigma score`",
        )
    # The decoy contig of hs37d5 is a name too, where a place follows it.
    if (found := _BEFORE.match(plain)) and not _PLACE.match(plain[found.end() :]):
        return plain[found.end() :], found["name"]
    if found := _AFTER.search(plain, max(len(plain) - _LONGEST_ASSEMBLY, 0)):
        return plain[: found.start()].strip(_AROUND), found["name"]
    return plain, None


def check_assembly(stated: str | None, reference: Reference) -> tuple[str, ...]:
    """Compare the assembly that a text names with the reference's.

    Args:
      stated: under any of its names; None where the text names none.
      reference: the genome.

    Returns:
      What to note of it.

    Raises:
      ValidationError: it is another one.
    """
    if reference.assembly is None:
        unknown = "nobody stated the assembly of the reference"
        return (f"{unknown}; {stated} was not checked" if stated else unknown,)
    if stated is None:
        return ()
    plain = stated.lower().replace(".p", "p").partition("p")[0]
    meant = next((known for known, names in _ASSEMBLIES.items() if plain in names), None)
    if meant == reference.assembly:
        return ()
    raise refused(
        stated,
        f"is another assembly than that of the reference {reference.name}, {reference.assembly}",
        f"give the coordinates in {reference.assembly}, lifted over where need be",
    )
