"""How a report spells numbers, places and alleles."""

import math

from service.texts import fit
from service.triage import Tier
from service.triage_list import Row

NOTHING = "\N{EN DASH}"
"""Stands where there is no number."""
MARKS = {
    Tier.LOWERS: "\N{BLACK DOWN-POINTING TRIANGLE}",
    Tier.RAISES: "\N{BLACK UP-POINTING TRIANGLE}",
    Tier.UNKNOWN: "\N{WHITE CIRCLE}",
}
"""Beside the name of a tier, and as the point of its effect in a plot."""

_LONGEST_ALLELE = 24
_LONGEST_NAME = 16


def signed(value: float | None, digits: int = 2) -> str:
    r"""Return a number with its sign; a dash for none.

    >>> signed(0.123), signed(-0.001), signed(None) == "\N{EN DASH}"
    ('+0.12', '0.00', True)
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def plain(value: float | None, digits: int = 3) -> str:
    """Return a number without a sign; a dash for none, and no zero for what is above it.

    >>> plain(0.12345), plain(0.0001), plain(0)
    ('0.123', '<0.001', '0.000')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    least = 10.0**-digits
    return f"<{least:g}" if 0 < value < least / 2 else f"{value:.{digits}f}"


def fact(value: float | str | bool) -> str:
    """Return a fact that stands beside a variant.

    >>> fact(True), fact(0.30000000000000004), fact(1e-30), fact(12345678)
    ('yes', '0.3', '1e-30', '12345678')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def span(lower: float | None, upper: float | None) -> str:
    """Return an interval; a dash for none.

    >>> span(-0.5, 0.25)
    '-0.50 to +0.25'
    """
    if lower is None or upper is None:
        return NOTHING
    return f"{signed(lower)} to {signed(upper)}"


def place_name(contig: str | None, pos: int | None) -> str:
    """Return where something is; pos **1-based**.

    >>> place_name("chr17", 31150)
    'chr17:31,150'
    """
    if contig is None:
        return "pair of sequences"
    return f"{contig}:{NOTHING if pos is None else format(pos, ',')}"


def allele(text: str, longest: int = _LONGEST_ALLELE) -> str:
    """Return an allele, a long one as its first bases and its length.

    >>> allele("ACGT" * 10)
    'ACGTACGT.. 40 bases'
    """
    return text if len(text) <= longest else f"{text[:8]}.. {len(text):,} bases"


def short_name(row: Row) -> str:
    """Return rank and name of a row for the edge of a plot."""
    given = row.given
    name = given.id or f"{place_name(given.contig, given.pos)} {given.ref}>{given.alt}"
    name = fit(name)
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
    return f"{row.rank}.  {name}"
