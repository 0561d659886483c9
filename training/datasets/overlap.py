"""What training may not see: CAGI5 elements -> sequences that share a 30-mer -> left out, counted.

An element is the span of its measured variants, not the slice of genome that the tables come with.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from training.datasets import homology
from training.datasets.parsers import read_fasta
from training.datasets.sources import DataError
from training.evaluation.challenge import element_spans, reference_path

CAGI5_FILES = ("cagi5/challenge.tsv", "cagi5/release.tsv", "cagi5/reference_grch37.fa")


def read_elements(data_dir: Path) -> dict[str, str]:
    """Read the GRCh37 sequence of each CAGI5 element.

    Args:
      data_dir: folder that holds cagi5/, whose reference has slices named `contig:first-last`
        (1-based, inclusive). Read as plain text: no index is written beside it.

    Raises:
      DataError: a file is missing, or no slice covers an element.
    """
    for file in CAGI5_FILES:
        if not (data_dir / file).is_file():
            raise DataError(
                f"{data_dir / file}: not found; training tables are cleared of CAGI5 sequences: "
                "name the folder that holds cagi5/ with its tables and reference"
            )
    path = reference_path(data_dir)
    slices = [(*_place(path, name), sequence) for name, sequence in read_fasta(path).items()]
    elements = {}
    for element, (contig, first, last) in element_spans(data_dir).items():
        covering = (
            sequence[first - start : last - start + 1]
            for slice_contig, start, end, sequence in slices
            if slice_contig == contig and start <= first and last <= end
        )
        elements[element] = next(covering, "")
        if not elements[element]:
            raise DataError(f"{path}: no slice covers {element}, {contig}:{first}-{last}")
    return elements


def _place(path: Path, name: str) -> tuple[str, int, int]:
    """Split `contig:first-last` (1-based, inclusive)."""
    contig, _, region = name.rpartition(":")
    first, _, last = region.partition("-")
    if not (contig and first.isdecimal() and last.isdecimal()):
        raise DataError(f"{path}: record {name!r} is not named contig:first-last")
    return contig, int(first), int(last)


def library_of(assay: str) -> str:
    """Name the library that the cell types of one study measured alike.

    >>> library_of("mattioli2018_pool1_HeLa")
    'mattioli2018_pool1'
    """
    return assay.rpartition("_")[0]


def drop_overlaps(frame: pd.DataFrame, elements: list[str]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out the sequences that share a 30-mer, on either strand, with an element.

    Args:
      frame: rows with `sequence` and `assay`.
      elements: sequences to keep away from.

    Returns:
      The rows kept, and {library: distinct sequences left out}.
    """
    unique = frame["sequence"].unique().tolist()
    overlaps = homology.shares_kmer(unique, elements, homology.OVERLAP_K)
    hits = {sequence for sequence, hit in zip(unique, overlaps, strict=True) if hit}
    gone = frame["sequence"].isin(hits)
    libraries = frame["assay"].map(library_of)
    counts = frame[gone].groupby(libraries[gone])["sequence"].nunique()
    dropped = {str(library): int(counts.get(library, 0)) for library in libraries.unique()}
    return frame[~gone].reset_index(drop=True), dropped
