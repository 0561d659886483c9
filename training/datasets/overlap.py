"""What training may not see: sequences that share a 30-mer with a CAGI5 element, left out, counted.

An element is the span of its measured variants, not the slice of genome that the tables come with.
"""

from __future__ import annotations

import pandas as pd

from training.datasets import homology


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
