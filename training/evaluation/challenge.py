"""The measured effects of CAGI5: files -> variants with labels, and the log of who looked.

Challenge labels are for reporting, so `load_challenge` is the one door to them, and
`load_deletions` the one to the deletions measured at their positions. Every passage leaves two
lines in a committed log, one before a label is read and one at the end: a run that was killed shows
by the first alone. The release set, and the deletions that lie in its blocks, are free to use for
choices and calibration.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
import pandas as pd

import service
from training.datasets.cagi5 import CHALLENGE, MEASUREMENTS, RELEASE, locate_cagi5
from training.datasets.deletions import (
    CAGI5_NAME_OF,
    DELETED,
    PKLR_OF_CAGI5,
    place_deletions,
)
from training.datasets.sources import LocatedFile

CHALLENGE_LOG = Path(__file__).parents[1] / "challenge_log.jsonl"
COLUMNS = ("element", "chrom", "pos", "ref", "alt", "value", "confidence")
MEASURED_COLUMNS = (*COLUMNS[:-1], "barcodes", "p_value")


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
    """Open the challenge set for one run; the log says when it started and how it ended.

    Args:
      data_dir: folder that holds cagi5/.
      run: who looks; its `means` are logged as they stand at the end of the block.
      log: JSON lines; must be writable before a label is read.

    Yields:
      13,813 rows in file order: element, contig, pos (1-based, GRCh37), ref, alt, value (log2
      effect), confidence.

    Raises:
      DataError: the file is missing or altered; nothing is logged then.
    """
    file = locate_cagi5(CHALLENGE, data_dir)
    with _logged(file, "challenge", run, log):
        yield _read(file.path)


@contextmanager
def load_deletions(
    data_dir: Path, run: Run, *, log: Path = CHALLENGE_LOG
) -> Iterator[pd.DataFrame]:
    """Open the measured 1-bp deletions outside the release blocks; logged like the challenge set.

    Args:
      data_dir: folder that holds cagi5/.
      run: who looks.
      log: JSON lines; must be writable before a label is read.

    Yields:
      Rows in file order: element, contig, pos (1-based, GRCh37), ref, alt (`-`), value (log2
      effect), barcodes, p_value, and what `place_deletions` says of each.

    Raises:
      DataError: a file is missing or altered; nothing is logged then.
    """
    file = locate_cagi5(MEASUREMENTS, data_dir)
    with _logged(file, "deletions outside release blocks", run, log):
        table = _read_deletions(file.path, data_dir)
        yield table[~table["in_block"]].reset_index(drop=True)


def load_release(data_dir: Path) -> pd.DataFrame:
    """Read the release set: 4,650 rows with the columns of `load_challenge`, no variant shared."""
    return _read(locate_cagi5(RELEASE, data_dir).path)


def cagi5_variants(
    data_dir: Path, split: Literal["challenge", "release"]
) -> tuple[pd.DataFrame, str]:
    """What names the variants of a set; the parser skips every other column, so none is logged.

    Args:
      data_dir: folder that holds cagi5/.
      split: whose.

    Returns:
      Rows in file order: element, contig, pos (1-based, GRCh37), ref, alt; and the SHA-256 of the
      file.

    Raises:
      DataError: the file is missing or altered.
    """
    file = locate_cagi5(CHALLENGE if split == "challenge" else RELEASE, data_dir)
    columns = [*COLUMNS[:5]]
    text = {"chrom": str, "ref": str, "alt": str}
    table = pd.read_csv(file.path, sep="\t", usecols=columns, dtype=text)[columns]
    return table.rename(columns={"chrom": "contig"}), file.sha256


def load_release_deletions(data_dir: Path) -> pd.DataFrame:
    """Read the measured 1-bp deletions that lie in release blocks; columns of `load_deletions`."""
    table = _read_deletions(locate_cagi5(MEASUREMENTS, data_dir).path, data_dir)
    return table[table["in_block"]].reset_index(drop=True)


def load_release_measurements(data_dir: Path) -> pd.DataFrame:
    """Read the measured SNVs that lie in release blocks, under the names of the measurements.

    Which rows those are is found from elements and positions; the parser skips the values of all
    others.

    Returns:
      Rows in file order: element, contig, pos (1-based, GRCh37), ref, alt, barcodes, value (log2
      effect), se (of the value). PKLR appears under two names, one for each time.

    Raises:
      DataError: a file is missing or altered.
    """
    path = locate_cagi5(MEASUREMENTS, data_dir).path
    release = pd.read_csv(
        locate_cagi5(RELEASE, data_dir).path, sep="\t", usecols=["element", "pos"]
    )
    released = set(zip(release["element"].tolist(), release["pos"].tolist(), strict=True))
    rows = pd.read_csv(path, sep="\t", usecols=["element", "pos", "alt"])
    places = zip(rows["element"].replace(CAGI5_NAME_OF).tolist(), rows["pos"].tolist(), strict=True)
    is_wanted = np.array([place in released for place in places], bool) & (rows["alt"] != DELETED)
    return pd.read_csv(
        path,
        sep="\t",
        usecols=["element", "chrom", "pos", "ref", "alt", "barcodes", "value", "se"],
        dtype={"chrom": str, "ref": str, "alt": str},
        skiprows=(np.flatnonzero(~is_wanted) + 1).tolist(),  # line 0 is the header
    ).rename(columns={"chrom": "contig"})


def measurements_sha256(data_dir: Path) -> str:
    """Digest of the file that `load_release_measurements` reads; nothing of it is read here.

    Raises:
      DataError: the file is missing or altered.
    """
    return locate_cagi5(MEASUREMENTS, data_dir).sha256


def measurement_errors(table: pd.DataFrame, data_dir: Path) -> pd.DataFrame:
    """How well each variant of a CAGI5 table was measured: no effect is read.

    Args:
      table: n rows, columns element, contig, pos (1-based), ref, alt.
      data_dir: folder that holds cagi5/.

    Returns:
      n rows in the order of the table: se, the standard error of the measured log2 effect, and
      barcodes, the number behind it; NaN where the public measurements lack the variant.

    Raises:
      DataError: the measurements are missing or altered.
    """
    keys = ["element", "contig", "pos", "ref", "alt"]
    found = _read(locate_cagi5(MEASUREMENTS, data_dir).path, (*COLUMNS[:5], "barcodes", "se"))
    found["element"] = found["element"].replace({PKLR_OF_CAGI5: "PKLR"})
    joined = table[keys].merge(found, how="left", on=keys, validate="many_to_one")
    return joined[["se", "barcodes"]].set_index(table.index)


def code_version() -> str:
    """Package version and digest of the evaluating code, the same in a clone and in a wheel."""
    digest = hashlib.sha256()
    for package in (Path(service.__file__).parent, Path(__file__).parents[1]):
        for path in sorted(package.rglob("*.py")):
            digest.update(path.relative_to(package.parent).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return f"{service.__version__}+{digest.hexdigest()[:12]}"


@contextmanager
def _logged(file: LocatedFile, split: str, run: Run, log: Path) -> Iterator[None]:
    """Write to the log when a run starts and how it ends."""
    facts = {
        "run": uuid.uuid4().hex[:12],
        "model": run.model,
        "model_sha256": run.model_sha256,
        "code": code_version(),  # now: sources may be edited while a long run computes
        "split": split,
        "data_sha256": file.sha256,
        "purpose": run.purpose,
    }
    with log.open("a", encoding="utf-8") as handle:
        _append(handle, "started", facts)
        event = "failed"
        try:
            yield
            event = "finished"
        finally:
            means = {name: round(value, 6) for name, value in run.means.items()}
            _append(handle, event, {**facts, "means": means})


def _append(handle: TextIO, event: str, facts: Mapping[str, Any]) -> None:
    """Write one line, and see it out of the process."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    handle.write(json.dumps({"date": date, "event": event, **facts}) + "\n")
    handle.flush()


def _read_deletions(path: Path, data_dir: Path) -> pd.DataFrame:
    return place_deletions(_read(path, MEASURED_COLUMNS), data_dir)


def _read(path: Path, columns: tuple[str, ...] = COLUMNS) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t", dtype={"chrom": str, "ref": str, "alt": str})
    if missing := [name for name in columns if name not in table.columns]:
        raise ValueError(f"{path} needs columns {list(columns)}; missing {missing}")
    return table.loc[:, list(columns)].rename(columns={"chrom": "contig"})
