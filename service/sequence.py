"""Text <-> base codes, the one place that fixes their order: A0 C1 G2 T3 N4."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.errors import ValidationError

Codes: TypeAlias = NDArray[np.uint8]

BASES = "ACGTN"
UNKNOWN = BASES.index("N")

_AMBIGUOUS = "RYSWKMBDHVU"  # IUPAC letters that real genomes contain
_INVALID = 255
_COMPLEMENT = np.array([3, 2, 1, 0, 4], np.uint8)


def _lookup(*, ambiguous: int) -> bytes:
    table = bytearray([_INVALID] * 256)
    codes = [*range(len(BASES)), *[ambiguous] * len(_AMBIGUOUS)]
    for letter, code in zip(BASES + _AMBIGUOUS, codes, strict=True):
        table[ord(letter)] = table[ord(letter.lower())] = code
    return bytes(table)


_LETTERS = BASES.encode().ljust(256, b"N")
# Tables for bytes.translate, which is faster than indexing an array for alleles and genomes alike.
_STRICT = _lookup(ambiguous=_INVALID)
_LENIENT = _lookup(ambiguous=UNKNOWN)


def encode(sequence: str | bytes, *, ambiguous_as_n: bool = False) -> Codes:
    """Encode bases as codes.

    Args:
      sequence: L letters over ACGTN, either case.
      ambiguous_as_n: read the other IUPAC letters (RYSWKMBDHV, and U) as N, for genomes.

    Returns:
      (L,) codes, read-only.

    Raises:
      ValidationError: any other letter; the message says which and where (1-based).

    >>> encode("acgtN").tolist()
    [0, 1, 2, 3, 4]
    """
    raw = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    codes = raw.translate(_LENIENT if ambiguous_as_n else _STRICT)
    index = codes.find(_INVALID)
    if index >= 0:
        shown = sequence[index : index + 1]
        raise ValidationError(
            f"a sequence may hold {BASES} only, found {shown!r} at position {index + 1}",
            detail={"position": index + 1},
        )
    return np.frombuffer(codes, np.uint8)


def decode(codes: Codes) -> str:
    """Return the text of (L,) codes.

    >>> decode(np.array([3, 4, 0], np.uint8))
    'TNA'
    """
    return codes.tobytes().translate(_LETTERS).decode()


def reverse_complement(codes: Codes) -> Codes:
    """Return the other strand, read in its own direction.

    Args:
      codes: (..., L) codes.

    Returns:
      (..., L) codes: complemented, and reversed along the last axis.

    >>> decode(reverse_complement(encode("AACGN")))
    'NCGTT'
    """
    return _COMPLEMENT[codes[..., ::-1]]
