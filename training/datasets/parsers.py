"""From published files to assays: each library's own format -> sequences, replicates, barcodes.

One function per format; sequences are bare inserts. What is done to all assays alike (aligning
replicates, merging, folds) happens later and once.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.assays import ASSAY_BY_NAME, LENTI_FLANKS
from training.datasets.sources import HUES64, INOUE_BARCODES, JOINT_ACTIVITY, DataError

JOINT_COLUMNS = {
    f"{ASSAY_BY_NAME[name].cell_type} [log2(rna/dna)]": name for name in JOINT_ACTIVITY.assays
}
# Pearson between Inoue replicates: 0.38 with every barcode, 0.61 from 10 (1,535 oligos), 0.71 from
# 20 (888 oligos).
INOUE_MIN_BARCODES = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurements:
    """One library in one cell type as published, N sequences and R replicates.

    Attributes:
      name: of the assay, see `training.assays`.
      sequences: N inserts over ACGTN, without adapters (N: the published design has gaps).
      names: N identifiers of the publication (not always unique).
      values: (N, R) log2(RNA/DNA) per replicate, NaN where missing.
      n_barcodes: (N,) barcodes behind one replicate, NaN where not published.
      has_replicates: False where `values` is one published summary (R = 1) and no noise is known.
    """

    name: str
    sequences: list[str]
    names: list[str]
    values: NDArray[np.float64]
    n_barcodes: NDArray[np.float64]
    has_replicates: bool = True


def read_fasta(path: Path) -> dict[str, str]:
    """Read a plain or gzipped FASTA as {whole header: upper-case sequence}."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("ascii")
    records: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(">"):
            if line[1:] in records:
                raise DataError(f"{path}: record {line[1:]!r} occurs twice")
            records[line[1:]] = lines = []
        elif line:
            lines.append(line.strip())
    return {name: "".join(lines).upper() for name, lines in records.items()}


def read_agarwal_joint(activity: Path, sequences: Path) -> list[Measurements]:
    """Read the lentiMPRA joint library: a sheet of names and three activities, and its FASTA.

    The FASTA holds adapter + 200 + adapter; the adapters are checked and taken off.
    """
    sheet = pd.read_excel(activity)
    _require_columns(activity, sheet, ["name", *JOINT_COLUMNS])
    library = read_fasta(sequences)
    if missing := [name for name in sheet["name"] if name not in library]:
        raise DataError(
            f"{sequences}: no sequence for {missing[0]!r} and {len(missing) - 1} other names of "
            f"{activity}; the two files are of different releases"
        )
    inserts = [_strip_adapters(sequences, name, library[name]) for name in sheet["name"]]
    return [
        Measurements(
            name=assay,
            sequences=inserts,
            names=sheet["name"].tolist(),
            values=sheet[[column]].to_numpy(np.float64),
            n_barcodes=np.full(len(sheet), np.nan),
            has_replicates=False,
        )
        for column, assay in JOINT_COLUMNS.items()
    ]


def _strip_adapters(path: Path, name: str, sequence: str) -> str:
    left, right = LENTI_FLANKS
    insert = sequence.removeprefix(left).removesuffix(right)
    if len(sequence) - len(insert) != len(left) + len(right):
        raise DataError(f"{path}: {name!r} does not lie between the adapters {left} and {right}")
    return insert


def read_mattioli_pool(path: Path, name: str) -> Measurements:
    """Read a pool of Mattioli 2019 (Genome Research): unique_id, element, rna_k per replicate."""
    table = pd.read_csv(path, sep="\t")
    _require_columns(path, table, ["unique_id", "element"])
    replicates = table.filter(regex=r"^rna_\d+$")
    if replicates.shape[1] < 2:
        raise DataError(
            f"{path}: needs two or more replicate columns rna_k, has {[*table.columns]}"
        )
    return Measurements(
        name=name,
        sequences=table["element"].str.upper().tolist(),
        names=table["unique_id"].tolist(),
        values=replicates.to_numpy(np.float64),
        n_barcodes=np.full(len(table), np.nan),
    )


def read_hues64(path: Path) -> Measurements:
    """Read the prepared HUES64 table: seq, name, kind, n_barcodes, rep_1 to rep_3."""
    table = pd.read_csv(path, sep="\t")
    replicates = ["rep_1", "rep_2", "rep_3"]
    _require_columns(path, table, ["seq", "name", "n_barcodes", *replicates])
    return Measurements(
        name=HUES64.assays[0],
        sequences=table["seq"].str.upper().tolist(),
        names=table["name"].tolist(),
        values=table[replicates].to_numpy(np.float64),
        n_barcodes=table["n_barcodes"].to_numpy(np.float64),
    )


def read_inoue(
    barcodes: Path, design: Path, min_barcodes: int = INOUE_MIN_BARCODES
) -> Measurements:
    """Read lentiMPRA counts per barcode and sum them per oligo and replicate.

    A replicate's value is log2 of its share of all RNA counts over its share of all DNA counts,
    given where the replicate saw at least `min_barcodes` barcodes of the oligo; `n_barcodes` is
    their mean over the replicates that have a value.
    """
    table = pd.read_csv(barcodes, sep="\t")
    _require_columns(barcodes, table, ["oligo_name"])
    dna, rna = table.filter(regex=r"^dna_count_\d+$"), table.filter(regex=r"^rna_count_\d+$")
    if not dna.shape[1] or dna.shape[1] != rna.shape[1]:
        raise DataError(f"{barcodes}: needs columns dna_count_k and rna_count_k, k from 1")
    library = read_fasta(design)
    oligo = table["oligo_name"]
    if missing := sorted(set(oligo) - set(library)):
        raise DataError(f"{design}: no sequence for {missing[0]!r}, which {barcodes} counts")
    oligos = sorted(set(oligo))
    dna_share, rna_share = (_shares(counts, oligo) for counts in (dna, rna))
    seen = dna.notna().groupby(oligo).sum().to_numpy()
    enough = (seen >= min_barcodes) & (dna_share > 0) & (rna_share > 0)
    values = np.full(seen.shape, np.nan)
    values[enough] = np.log2(rna_share[enough] / dna_share[enough])
    used = enough.sum(axis=1)
    return Measurements(
        name=INOUE_BARCODES.assays[0],
        sequences=[library[name] for name in oligos],
        names=oligos,
        values=values,
        n_barcodes=(seen * enough).sum(axis=1) / np.where(used > 0, used, np.nan),
    )


def _shares(counts: pd.DataFrame, oligo: pd.Series[str]) -> NDArray[np.float64]:
    """Share of each replicate's counts that each oligo has; oligos sorted by name."""
    sums = counts.groupby(oligo).sum().to_numpy(np.float64)
    shares: NDArray[np.float64] = sums / sums.sum(axis=0)
    return shares


def _require_columns(path: Path, table: pd.DataFrame, columns: list[str]) -> None:
    if missing := [column for column in columns if column not in table.columns]:
        raise DataError(f"{path}: lacks the columns {missing}, has {[*table.columns]}")
