"""One stored entry: what the members of one lever predict, and no measured value.

`Entry <-> training/results/levers/NAME.npz`. Weights are not committed, so the file keeps what they
said of held-out sequences and of the CAGI5 variants, member by member and target by target.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from training.datasets.sources import DataError, file_digest

VERSION = 1
SPLITS = ("validation", "test")
SETS: tuple[Literal["release", "challenge"], ...] = ("release", "challenge")
PROVENANCE = frozenset({
    "version", "model", "model_sha256", "recipe", "fingerprint", "data_digest", "seeds",
    "origins", "targets", "assays", "strands", "shifts", "sha256", "code", "versions", "use",
})  # fmt: skip
"""What the file says of how it came about; `sha256` is of the tables whose variants were read.

Where the graph moves constructs, the file has its `offsets` too (`training.card.Card`).
"""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """What M members predict on T targets.

    Attributes:
      name: of the lever.
      provenance: values of `PROVENANCE`, as JSON types.
      inserts: {(split, target): (M, n) log2(RNA/DNA), both strands averaged} of the rows of that
        target's assay and fold that have an activity, in table order.
      effects: {set: (M, n, T) log2 units} of the CAGI5 variants, in file order; NaN where a variant
        has no score.
      sha256: of the file that it was read from; empty before that.
    """

    name: str
    provenance: Mapping[str, Any]
    inserts: Mapping[tuple[str, str], NDArray[np.float64]]
    effects: Mapping[str, NDArray[np.float64]]
    sha256: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """T names."""
        return tuple(self.provenance["targets"])

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the M members."""
        return tuple(self.provenance["seeds"])

    @property
    def is_mixed(self) -> bool:
        """Whether its members are of several recipes."""
        return len({origin["recipe"] for origin in self.provenance["origins"]}) > 1


def path_of(name: str, folder: Path) -> Path:
    """Where an entry lies.

    Raises:
      DataError: the name is not one of a file.
    """
    if not NAME.fullmatch(name):
        raise DataError(f"{name!r} cannot name an entry: letters, digits and . _ - only")
    return folder / f"{name}.npz"


def write_entry(entry: Entry, folder: Path) -> Path:
    """Write an entry, by rename; the same entry gives the same bytes.

    Activities are kept to 11 bits, some 0.001 log2 units where the noise of an assay is a hundred
    times that; effects, which are small differences, in single precision.
    """
    arrays = {
        f"{split}/{target}": values.astype(np.float16)
        for (split, target), values in entry.inserts.items()
    }
    arrays |= {name: values.astype(np.float32) for name, values in entry.effects.items()}
    text = json.dumps(entry.provenance, sort_keys=True)
    arrays["provenance"] = np.frombuffer(text.encode(), np.uint8)
    path = path_of(entry.name, folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{entry.name}.partial"
    with partial.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)
    partial.replace(path)
    return path


def read_entry(name: str, folder: Path) -> Entry:
    """Read an entry.

    Raises:
      DataError: there is none, or it is not whole.
    """
    path = path_of(name, folder)
    if not path.is_file():
        known = ", ".join(names_in(folder)) or "none"
        raise DataError(
            f"no entry {name!r} in {folder}; there are: {known}; `varsigma-train ablation store "
            f"{name}` makes it"
        )
    try:
        with path.open("rb") as handle, np.load(handle) as file:
            arrays = {key: file[key] for key in file.files}
        provenance = json.loads(arrays.pop("provenance").tobytes())
        lacking = sorted(PROVENANCE - provenance.keys()) or sorted({*SETS} - arrays.keys())
        if lacking or provenance["version"] != VERSION:
            raise ValueError(f"lacks {', '.join(lacking) or f'version {VERSION}'}")
        splits = {key: tuple(key.split("/", 1)) for key in arrays if "/" in key}
        return Entry(
            name=name,
            provenance=provenance,
            inserts={(s, t): arrays[key].astype(np.float64) for key, (s, t) in splits.items()},
            effects={key: arrays[key].astype(np.float64) for key in SETS},
            sha256=file_digest(path),
        )
    except (ValueError, KeyError, OSError, BadZipFile) as error:
        raise DataError(f"{path}: not an entry ({error}); store {name} again") from error


def names_in(folder: Path) -> list[str]:
    """Names of the entries of a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.npz"))


def require_alike(entries: Sequence[Entry], facts: Mapping[str, str]) -> None:
    """Refuse entries that cannot stand in one table.

    Args:
      entries: to be compared.
      facts: {`data_digest`, `release` or `challenge`: digest that all must have}.

    Raises:
      DataError: one learnt from another table, was stored with other CAGI5 tables, or has other
        targets than the first; names it.
    """
    for entry in entries:
        known = {"data_digest": entry.provenance["data_digest"], **entry.provenance["sha256"]}
        for key, digest in facts.items():
            if known.get(key) != digest:
                raise DataError(
                    f"{entry.name}: stored with {key} {str(known.get(key))[:12]}, here it is "
                    f"{digest[:12]}: store it again"
                )
        here, first = (
            dict(zip(one.targets, one.provenance["assays"], strict=True))
            for one in (entry, entries[0])
        )
        if here != first or entry.targets != entries[0].targets:
            raise DataError(
                f"{entry.name} has the targets {here}, {entries[0].name} has {first}: leave one "
                "of them out"
            )
