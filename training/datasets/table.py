"""One table for every assay: declared files -> assays -> aligned replicates -> clusters -> folds.

A row is one sequence in one assay. The noise of a row is measured or NaN, never imputed; relatives
share a fold across all assays; nothing that overlaps a CAGI5 element is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from training.assays import ASSAY_BY_NAME
from training.datasets import homology, parsers, sources
from training.datasets.cagi5 import read_elements
from training.datasets.overlap import drop_overlaps
from training.datasets.parsers import Measurements
from training.datasets.replicates import align_replicates, shrink_variance, summarise_replicates
from training.datasets.sources import DataError, LocatedFile, Source, locate

TABLE_PATH = Path("build/assays.parquet")
COLUMNS = (
    "sequence",
    "assay",
    "cell_type",
    "activity",
    "noise_sd",
    "variance_shrunk",
    "n_replicates",
    "n_barcodes",
    "name",
    "cluster",
    "fold",
)
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class AssayTable:
    """Every measured sequence, with what was left out of it and where it came from.

    Attributes:
      frame: one row per assay and sequence, columns `COLUMNS`. `sequence` is the insert without
        adapters; `activity` is log2(RNA/DNA); `noise_sd` the SD of one replicate (log2), NaN with
        fewer than two; `variance_shrunk` (log2^2) serves weights and supervision; `n_replicates`
        counts replicates (0: only a summary was published); `n_barcodes` is per replicate, NaN
        where unknown; `name` is the publication's; `cluster` and `fold` count from 0.
      dropped: {library: sequences left out because they overlap a CAGI5 element}.
      files: the files it was built from.
    """

    frame: pd.DataFrame
    dropped: dict[str, int]
    files: tuple[LocatedFile, ...]

    def save(self, path: Path = TABLE_PATH) -> None:
        """Write the frame as Parquet and, beside it, its provenance as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.frame.to_parquet(path, index=False)
        provenance = {
            "digest": table_digest(self.frame),
            "dropped": self.dropped,
            "files": [file.as_dict() for file in self.files],
        }
        path.with_suffix(".json").write_text(json.dumps(provenance, indent=1) + "\n")


def load_table(path: Path = TABLE_PATH) -> pd.DataFrame:
    """Read a frame that `AssayTable.save` wrote."""
    if not path.is_file():
        raise DataError(f"{path}: not found; build it with `varsigma-train data`")
    return pd.read_parquet(path)


def table_digest(frame: pd.DataFrame) -> str:
    """SHA-256 of what training reads, measured values to four decimals."""
    measured = frame[["activity", "noise_sd", "variance_shrunk"]].round(4) + 0.0  # no minus zero
    rows = frame[["assay", "sequence", "fold"]].join(measured)
    text = rows.to_csv(sep="\t", index=False, float_format="%.4f", lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def require_digest(frame: pd.DataFrame, digests: Mapping[str, str]) -> None:
    """Refuse a table that a model did not learn from: its held-out rows may be training rows.

    Args:
      frame: assay table to evaluate on.
      digests: {model: `table_digest` of the table it learnt from}, as the cards say.

    Raises:
      DataError: they differ.
    """
    actual = table_digest(frame)
    for name, digest in digests.items():
        if digest != actual:
            raise DataError(
                f"{name}: trained on another table ({digest[:12]}, this one is {actual[:12]}): "
                "rebuild it or train again"
            )


def build_table(
    mirror: Path | None, cagi5: Path | None = None, progress: Progress = lambda message: None
) -> AssayTable:
    """Build the table from all sources.

    Args:
      mirror: folder that holds the sources and vouches for them with SHA256SUMS; None downloads.
      cagi5: folder that holds cagi5/ (tables and reference of its elements); None takes the mirror.
      progress: called with one line per step.

    Raises:
      DataError: a file is missing, altered or malformed; names it and what to do.
    """
    data_dir = cagi5 or mirror
    if data_dir is None:
        raise DataError(
            "cagi5/: no folder given; training tables are cleared of CAGI5 sequences, which needs "
            "its tables and reference: name the folder that holds cagi5/, or a mirror that does"
        )
    elements = read_elements(data_dir)
    located: list[LocatedFile] = []

    def fetch(source: Source) -> Path:
        progress(f"checking {source.path}")
        located.append(locate(source, mirror))
        return located[-1].path

    libraries = read_libraries(fetch)
    progress("aligning replicates")
    frame = pd.concat([tabulate(library) for library in libraries], ignore_index=True)
    frame, dropped = drop_overlaps(frame, list(elements.values()))
    progress("clustering relatives and dealing folds")
    frame = add_folds(frame)
    frame["variance_shrunk"] = shrink_variance(frame)
    return AssayTable(frame=frame[[*COLUMNS]], dropped=dropped, files=tuple(located))


def read_libraries(fetch: Callable[[Source], Path]) -> list[Measurements]:
    """Parse every source, one entry per assay; `fetch` gives the checked path of a source."""
    pools = (
        sources.POOL1_K562,
        sources.POOL1_HEPG2,
        sources.POOL1_HELA,
        sources.POOL2_K562,
        sources.POOL2_HEPG2,
    )
    return [
        *parsers.read_agarwal_joint(fetch(sources.JOINT_ACTIVITY), fetch(sources.JOINT_SEQUENCES)),
        *(parsers.read_mattioli_pool(fetch(pool), *pool.assays) for pool in pools),
        parsers.read_hues64(fetch(sources.HUES64)),
        parsers.read_inoue(fetch(sources.INOUE_BARCODES), fetch(sources.INOUE_DESIGN)),
    ]


def tabulate(library: Measurements) -> pd.DataFrame:
    """Turn one assay into rows: replicates aligned, repeated sequences merged, empty rows left out.

    A sequence that occurs twice becomes one row: each replicate is the mean of its values, barcode
    counts add up, and the first name stays.
    """
    if strange := next((s for s in library.sequences if not s or set(s) - set("ACGTN")), None):
        raise DataError(f"{library.name}: {strange!r} holds a letter outside ACGTN, or none")
    keys = pd.Series(library.sequences, name="sequence")
    values = pd.DataFrame(align_replicates(library.values)).groupby(keys, sort=False).mean()
    rows = summarise_replicates(values.to_numpy(np.float64))
    rows.insert(0, "sequence", values.index)
    rows.insert(1, "assay", library.name)
    rows.insert(2, "cell_type", ASSAY_BY_NAME[library.name].cell_type)
    if not library.has_replicates:
        rows["n_replicates"] = 0
    described = pd.DataFrame({"n_barcodes": library.n_barcodes, "name": library.names})
    repeats = described.groupby(keys, sort=False)
    rows["n_barcodes"] = repeats["n_barcodes"].sum(min_count=1).to_numpy()
    rows["name"] = repeats["name"].first().to_numpy()
    return rows[rows["activity"].notna()].reset_index(drop=True)


def add_folds(frame: pd.DataFrame) -> pd.DataFrame:
    """Add `cluster` (relatives over all assays) and `fold` (balanced within each assay)."""
    codes, unique = pd.factorize(frame["sequence"])
    clusters = homology.homology_clusters(unique.tolist())[codes]
    groups = pd.factorize(frame["assay"])[0].astype(np.int64)
    folds = homology.assign_folds(clusters, groups, frame["sequence"].tolist())
    return frame.assign(cluster=clusters, fold=folds)


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Give per assay: sequences in training, validation and test, activity SD, measured noise."""
    grouped = frame.groupby("assay", sort=False)
    held_out = {homology.TEST_FOLD: "test", homology.VALIDATION_FOLD: "validation"}
    split = frame["fold"].map(lambda fold: held_out.get(fold, "train")).rename("split")
    counts = frame.groupby(["assay", split], sort=False).size().unstack(fill_value=0)
    return counts.reindex(columns=["train", "validation", "test"], fill_value=0).assign(
        activity_sd=grouped["activity"].std(),
        with_noise=grouped["noise_sd"].count(),
        median_noise_sd=grouped["noise_sd"].median(),
    )


def describe(table: AssayTable) -> str:
    """Tell in plain text what the table holds, what was left out and how relatives cluster."""
    sizes = table.frame.drop_duplicates("sequence")["cluster"].value_counts()
    declared = [file for file in table.files if file.source.sha256]
    altered = [file.source.path for file in declared if not file.is_public]
    lines = [
        summarise(table.frame).to_string(float_format="{:.3f}".format, na_rep="-"),
        "",
        f"{sizes.sum():,} sequences in {len(sizes):,} clusters of relatives "
        f"({(sizes == 1).sum():,} alone; the largest hold {', '.join(map(str, sizes.iloc[:5]))})",
        "left out for overlapping a CAGI5 element: "
        + ", ".join(f"{library} {count}" for library, count in table.dropped.items()),
        *(f"the mirror's copy differs from the public file: {path}" for path in altered),
    ]
    return "\n".join(lines)
