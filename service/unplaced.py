"""Names of variants that only a database, or a transcript, can place on the genome."""

import re
from typing import Final

_ON_GENOME: Final = "write its place on the genome, for example chr17:31150:G:A or chr17:g.31150G>A"

_KINDS: Final[tuple[tuple[re.Pattern[str], str, str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.ASCII), problem, remedy)
    for pattern, problem, remedy in (
        (r"#", "is a header", "write a line below it, 17 31150 . G A"),
        (r"[res]s\d+\b", "is a number of dbSNP, and there is no database here", _ON_GENOME),
        (
            r"(?:[VRS]CV\d|CA\d+$|COS[MVN]\d|(?:es|ns)v\d|ga4gh:|VA\.)",
            "is an entry of a database, and there is none here",
            _ON_GENOME,
        ),
        (
            r"(?:[NX][MRP]_|ENS[A-Z]*[TPG]\d)",
            "is a transcript, a gene or a protein",
            _ON_GENOME,
        ),
        (
            r"(?:NG_|LRG_)",
            "is a sequence of a gene, with positions of its own",
            _ON_GENOME,
        ),
        (
            r"[^\s:]+(?:\s*[:_-]\s*|\s+)[\d,]+(?:\s*(?:-|_|\.\.)\s*[\d,]+)?$",
            "is a place and names no change",
            "add REF and ALT, for example chr17:31150:G:A",
        ),
        (
            r"[^<]*<[A-Za-z]|[^\[\]]*[\[\]].*:\d|[^\s:]+:[\d,]+(?:-[\d,]+)?[\s:]+(?:DEL|DUP|INV|CNV|BND|LOSS|GAIN)$",
            "is symbolic, it has no bases",
            "write REF and ALT, for example chr17:31347:CG:C",
        ),
        (
            r"(?:\d{1,2}|[XY])[pq]\d+|(?:seq|arr|del|dup|inv|t)[\[(]",
            "is a band or a karyotype",
            _ON_GENOME,
        ),
        (
            r"(?:[A-Z0-9]+\s+)?[A-Z](?:[a-z]{2})?\d+(?:[A-Z](?:[a-z]{2})?|fs|\*|=)$",
            "is a change of a protein",
            _ON_GENOME,
        ),
    )
)


def why_unplaced(text: str) -> tuple[str, str, str] | None:
    """Say why a text cannot be a variant on the genome.

    Returns:
      What is quoted of it, what is wrong and what would do; None where nothing is known against it.

    >>> why_unplaced("rs123")[1]
    'is a number of dbSNP, and there is no database here'
    """
    for pattern, problem, remedy in _KINDS:
        if pattern.match(text):
            return text, problem, remedy
    return None
