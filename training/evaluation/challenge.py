"""The CAGI5 tables: files -> variants with measured effects, and the log of who looked.

Challenge labels are for reporting, so `load_challenge` is the one door to them and every passage
appends a line to a committed log. The release set is free to use for choices and calibration.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

import service
from service.reference import Reference
from service.sequence import decode
from service.variants import Variant

CHALLENGE_LOG = Path(__file__).parents[1] / "challenge_log.jsonl"
COLUMNS = ("element", "chrom", "pos", "ref", "alt", "value", "confidence")

K562_MATCHED = ("GP1BB", "HBB", "HBG1", "PKLR")
HEPG2_MATCHED = ("F9", "LDLR", "SORT1")
UNMATCHED = (
    "HNF4A",
    "IRF4",
    "IRF6",
    "MSMB",
    "MYCrs6983267",
    "TERT-GBM",
    "TERT-HEK293T",
    "ZFAND3",
)
ELEMENTS = (*K562_MATCHED, *HEPG2_MATCHED, *UNMATCHED)
GROUPS: dict[str, tuple[str, ...]] = {
    "K562-matched (4)": K562_MATCHED,
    "HepG2-matched (3)": HEPG2_MATCHED,
    "matched (7)": (*K562_MATCHED, *HEPG2_MATCHED),
    "all (15)": ELEMENTS,
}
"""Elements whose unweighted means are reported."""


def head_of(element: str) -> str:
    """Target that scores an element: HepG2 for its three, K562 for its four and the unmatched."""
    return "HepG2" if element in HEPG2_MATCHED else "K562"


@dataclass(slots=True, kw_only=True)
class Run:
    """One evaluation on the challenge set, as the log keeps it.

    Attributes:
      model: name of the model.
      model_sha256: digest of its model.onnx.
      purpose: command or experiment that looks at the labels.
      means: {group and statistic: value}; filled in by the run, empty if it failed.
    """

    model: str
    model_sha256: str
    purpose: str
    means: dict[str, float] = field(default_factory=dict)


@contextmanager
def load_challenge(
    data_dir: Path, run: Run, *, log: Path = CHALLENGE_LOG
) -> Iterator[pd.DataFrame]:
    """Open the challenge set for one run, and log the run when it ends, also when it fails.

    Args:
      data_dir: folder that holds cagi5/.
      run: who looks; its `means` are logged as they stand at the end of the block.
      log: JSON lines, one per run; must be writable before a label is read.

    Yields:
      13,813 rows in file order: element, contig, pos (1-based, GRCh37), ref, alt, value (log2
      effect), confidence.
    """
    code = code_version()  # now: sources may be edited while a long run computes
    with log.open("a", encoding="utf-8") as handle:
        table = _read(data_dir / "cagi5" / "challenge.tsv")
        try:
            yield table
        finally:
            line = {
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "model": run.model,
                "model_sha256": run.model_sha256,
                "code": code,
                "split": "challenge",
                "purpose": run.purpose,
                "means": {name: round(value, 6) for name, value in run.means.items()},
            }
            handle.write(json.dumps(line) + "\n")


def load_release(data_dir: Path) -> pd.DataFrame:
    """Read the release set: 4,650 rows with the columns of `load_challenge`, no variant shared."""
    return _read(data_dir / "cagi5" / "release.tsv")


def code_version() -> str:
    """Package version and digest of the evaluating code, the same in a clone and in a wheel."""
    digest = hashlib.sha256()
    for package in (Path(service.__file__).parent, Path(__file__).parents[1]):
        for path in sorted(package.rglob("*.py")):
            digest.update(path.relative_to(package.parent).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return f"{service.__version__}+{digest.hexdigest()[:12]}"


def variants_of(table: pd.DataFrame) -> list[Variant]:
    """Variants of a CAGI5 table, in its order."""
    columns = (table[name].tolist() for name in ("contig", "pos", "ref", "alt"))
    return [Variant(*row) for row in zip(*columns, strict=True)]


def reference_path(data_dir: Path) -> Path:
    """GRCh37 slices around the 15 elements."""
    return data_dir / "cagi5" / "reference_grch37.fa"


def element_spans(data_dir: Path) -> dict[str, tuple[str, int, int]]:
    """Where each element lies: {element: (contig, first, last)}, 1-based inclusive.

    The span of the positions measured in either split; no label is read.
    """
    columns = ["element", "chrom", "pos"]
    positions = pd.concat(
        pd.read_csv(data_dir / "cagi5" / f"{split}.tsv", sep="\t", usecols=columns)
        for split in ("challenge", "release")
    )
    return {
        str(element): (str(rows["chrom"].iloc[0]), int(rows["pos"].min()), int(rows["pos"].max()))
        for element, rows in positions.groupby("element")
    }


def write_construct_reference(data_dir: Path, folder: Path) -> Path:
    """Write slices that end where the elements end, so that a window holds N outside them.

    The assayed plasmids carry the element alone: what the genome has beside it was not there.

    Returns:
      A FASTA of slices named `contig:first-last`, one per distinct element span.
    """
    path = folder / "elements.fa"
    with (
        Reference.open(reference_path(data_dir)) as genome,
        path.open("w", encoding="ascii") as handle,
    ):
        for contig, first, last in sorted(set(element_spans(data_dir).values())):
            bases = decode(genome.codes(contig, first - 1, last))
            handle.write(f">{contig}:{first}-{last}\n{bases}\n")
    return path


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t", dtype={"chrom": str, "ref": str, "alt": str})
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise ValueError(f"{path} needs columns {list(COLUMNS)}; missing {missing}")
    return table.loc[:, list(COLUMNS)].rename(columns={"chrom": "contig"})
