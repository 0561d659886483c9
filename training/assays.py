"""The assays a network learns from: name, cell type and what stands around the insert.

`assay table -> codes (n, 230)`: one place knows how an insert sits in the trunk's window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.sequence import UNKNOWN, encode, reverse_complement

WINDOW = 230
"""Bases the trunk sees: 15 + 200 + 15, the synthesised lentiMPRA oligo."""
INSERT = 200
"""Bases of genome a served model takes; the adapters are added inside its graph."""
UNMOVED = (0,)
"""Offsets of a construct that stands where `window_codes` puts it, and nowhere else."""
LENTI_FLANKS = ("AGGACCGGATCAACT", "CATTGCGTGAACCGA")
"""The constant 15-base adapters of the lentiMPRA libraries (5', 3')."""


def checked_offsets(offsets: Sequence[int]) -> tuple[int, ...]:
    """Offsets of constructs, if a whole insert stays inside the trunk's window at each of them.

    Raises:
      ValueError: there is none, one is no whole number or comes twice, or an insert would leave
        the window.
    """
    most = (WINDOW - INSERT) // 2
    fit = all(isinstance(offset, int) and abs(offset) <= most for offset in offsets)
    if not offsets or not fit or len(set(offsets)) != len(offsets):
        raise ValueError(
            f"offsets are different whole numbers from -{most} to {most}, got {list(offsets)}"
        )
    return tuple(offsets)


@dataclass(frozen=True, slots=True)
class Assay:
    """One measured table: one column of labels.

    Attributes:
      name: as in the `assay` column of the assay table.
      cell_type: assays of one cell type share a variance head.
      flanks: constant bases beside the insert (5', 3'); empty where they are not part of the model.
      served: target name under which an exported model offers this assay, if it does.

    Raises:
      ValueError: an insert between these flanks does not fit the window.
    """

    name: str
    cell_type: str
    flanks: tuple[str, str] = ("", "")
    served: str | None = None

    def __post_init__(self) -> None:
        """Refuse flanks that a whole insert leaves no room for."""
        if (n := sum(map(len, self.flanks))) > WINDOW - INSERT:
            raise ValueError(
                f"{self.name}: flanks of {n} bases; {WINDOW - INSERT} fit beside an insert of "
                f"{INSERT}, give those that touch it"
            )


ASSAYS: tuple[Assay, ...] = (
    Assay("joint_K562", "K562", LENTI_FLANKS, served="K562"),
    Assay("joint_HepG2", "HepG2", LENTI_FLANKS, served="HepG2"),
    Assay("joint_WTC11", "WTC11", LENTI_FLANKS, served="WTC11"),
    Assay("mattioli2018_pool1_K562", "K562"),
    Assay("mattioli2018_pool1_HepG2", "HepG2"),
    Assay("mattioli2018_pool1_HeLa", "HeLa"),
    Assay("mattioli2018_pool2_K562", "K562"),
    Assay("mattioli2018_pool2_HepG2", "HepG2"),
    Assay("mattioli2019_HUES64", "HUES64"),
    Assay("inoue2017_HepG2", "HepG2", LENTI_FLANKS),
)
ASSAY_BY_NAME = {assay.name: assay for assay in ASSAYS}
JOINT_LIBRARY = ("joint_K562", "joint_HepG2", "joint_WTC11")
"""The served assays of this repository: one lentiMPRA library, published without replicates."""


def inserts_of(names: Iterable[str]) -> str:
    """Say in words which library the served assays among these are of.

    >>> inserts_of(["joint_K562", "mattioli2018_pool1_K562"])
    'the lentiMPRA joint library'
    """
    served = {assay.name for assay in ASSAYS if assay.served} & {*names}
    return (
        "the lentiMPRA joint library" if served <= {*JOINT_LIBRARY} else ", ".join(sorted(served))
    )


def window_codes(
    inserts: Sequence[str], flanks: tuple[str, str], *, reverse: bool = False
) -> NDArray[np.uint8]:
    """Place inserts, between their flanks, in the middle of the trunk's window.

    Args:
      inserts: n sequences of at most 200 bases; lengths may differ.
      flanks: constant bases (5', 3') that touch the insert.
      reverse: reverse-complement the insert, not the flanks: the plasmid stays as it is.

    Returns:
      (n, 230) base codes, N (4) where nothing is known.

    Raises:
      ValueError: an insert longer than 200 bases.
    """
    left, right = (encode(flank) for flank in flanks)
    codes = np.full((len(inserts), WINDOW), UNKNOWN, dtype=np.uint8)
    for row, insert in zip(codes, inserts, strict=True):
        if len(insert) > INSERT:
            raise ValueError(f"an insert has {len(insert)} bases; at most {INSERT} fit the window")
        bases = encode(insert)
        if reverse:
            bases = reverse_complement(bases)
        construct = np.concatenate([left, bases, right])
        start = (WINDOW - len(construct)) // 2
        row[start : start + len(construct)] = construct
    return codes
