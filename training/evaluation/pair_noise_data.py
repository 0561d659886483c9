"""Alleles measured side by side: pool 1 of Mattioli et al. -> pairs of replicates on one scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from training.assays import ASSAY_BY_NAME
from training.datasets import sources
from training.datasets.parsers import Measurements, read_mattioli_pool
from training.datasets.replicates import align_replicates
from training.datasets.sources import DataError, locate
from training.evaluation.metrics import Floats

POOLS = (sources.POOL1_K562, sources.POOL1_HEPG2, sources.POOL1_HELA)
"""The libraries that hold references and their variants, each with replicates."""
REFERENCE, VARIANT = "WILDTYPE_BUT_HAS_SNP", "WILDTYPE_SNP_INDIV"
"""First part of the names of references and of sequences with one variant."""
_BINS = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """References and variants of them, measured in the same R replicates; n pairs.

    Attributes:
      assay: see `training.assays`.
      locus: (n,) labels; the variants of one locus share their reference.
      ref_sequence: (n,) bases.
      alt_sequence: (n,) bases.
      ref: (n, R) log2(RNA/DNA) of the reference, NaN where missing.
      alt: (n, R) of the variant.
    """

    assay: str
    locus: NDArray[np.str_]
    ref_sequence: NDArray[np.str_]
    alt_sequence: NDArray[np.str_]
    ref: Floats
    alt: Floats

    @property
    def cell_type(self) -> str:
        """Cells that the pairs were measured in."""
        return ASSAY_BY_NAME[self.assay].cell_type

    def where(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Pairs:
        """The pairs marked or numbered."""
        arrays = {n: getattr(self, n)[rows] for n in self.__slots__ if n != "assay"}
        return replace(self, **arrays)


def read_pairs(mirror: Path | None) -> dict[str, dict[str, Pairs]]:
    """Read the pairs of every pool, their replicates corrected in each of `CORRECTIONS`.

    Args:
      mirror: folder of the published files, None to download them.

    Returns:
      {assay: {correction: pairs}}.
    """
    found = {}
    for source in POOLS:
        library = read_mattioli_pool(locate(source, mirror).path, *source.assays)
        values = align_replicates(library.values)
        found[library.name] = {
            name: pairs_of(library, correct(values)) for name, correct in CORRECTIONS.items()
        }
    return found


def pairs_of(library: Measurements, values: Floats) -> Pairs:
    """Join references and variants by the number of their locus.

    Args:
      library: N sequences with the names of Mattioli et al., whose last part is `L.L.V.H`: locus
        L.L, variant V.
      values: (N, R) replicates, corrected.

    Raises:
      DataError: a variant without a reference, two references of one locus, or no pair.
    """
    names = pd.Series(library.names)
    kind = names.str.split("__").str[0]
    locus = names.str.rsplit("__", n=1).str[-1].str.rsplit(".", n=2).str[0].to_numpy(str)
    refs, alts = (np.flatnonzero(kind == wanted) for wanted in (REFERENCE, VARIANT))
    row_of = dict(zip(locus[refs].tolist(), refs.tolist(), strict=True))
    missing = set(locus[alts].tolist()) - set(row_of)
    if missing or len(row_of) < len(refs) or not len(alts):
        raise DataError(
            f"{library.name}: {len(alts)} variants, {len(missing)} of their loci without a "
            f"reference, {len(refs)} references at {len(row_of)} loci: not a table of pairs"
        )
    ref = np.array([row_of[label] for label in locus[alts].tolist()])
    bases = np.array(library.sequences)
    return Pairs(
        assay=library.name,
        locus=locus[alts],
        ref_sequence=bases[ref],
        alt_sequence=bases[alts],
        ref=values[ref],
        alt=values[alts],
    )


def without_shifts(values: Floats) -> Floats:
    """Take from each replicate its mean over all rows, as far as rows can be compared.

    The replicate effects of an additive model of row and replicate by least squares: where values
    are missing, a plain mean over a replicate's rows would confuse the two.

    Args:
      values: (N, R) log2, NaN where missing.
    """
    known = np.isfinite(values)
    held = np.where(known, values, 0.0)
    size = np.maximum(known.sum(axis=1, keepdims=True), 1)
    normal = np.diag(known.sum(axis=0).astype(np.float64)) - (known / size).T @ known
    residual = (held - known * held.sum(axis=1, keepdims=True) / size).sum(axis=0)
    # The minimum-norm solution: effects with a mean of zero.
    return np.asarray(values - np.linalg.lstsq(normal, residual, rcond=None)[0])


def without_trends(values: Floats) -> Floats:
    """Take from each replicate, after its shift, how it deviates at rows of like activity.

    One slope per replicate, which is all that alignment fits, leaves the bends of its scale: an
    error that two sequences share for being as active, and not for being alike. Here the median
    deviation within 20 quantile bins of mean activity is taken off.

    Args:
      values: (N, R) log2, NaN where missing; two replicates or more make a row count.
    """
    level = without_shifts(values)
    known = np.isfinite(level)
    usable = known.sum(axis=1) >= 2
    mean = np.where(known, level, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    edges = np.unique(np.quantile(mean[usable], np.linspace(0, 1, _BINS + 1)[1:-1]))
    held = np.searchsorted(edges, mean)
    corrected = level.copy()
    for replicate in range(level.shape[1]):
        rows = usable & known[:, replicate]
        deviation = level[rows, replicate] - mean[rows]
        bins = np.arange(edges.size + 2) - 0.5
        medians = stats.binned_statistic(held[rows], deviation, "median", bins).statistic
        corrected[:, replicate] -= np.nan_to_num(medians)[held]
    return corrected


def as_aligned(values: Floats) -> Floats:
    """Leave replicates on the one scale that labels and training variances have."""
    return values


ALIGNED = "one scale"
CORRECTIONS: Mapping[str, Callable[[Floats], Floats]] = {
    ALIGNED: as_aligned,
    "no replicate shifts": without_shifts,
    "no replicate trends": without_trends,
}
"""What is done to the replicates (N, R) of a whole library, each on top of the one before."""
