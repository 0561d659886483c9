"""Stored entries -> the rows of the table: single members, ensembles, members of several entries.

Ensembles of fewer members than there are take the first ones, in the order of the recipe's seeds:
chosen before anything was measured, and the same seeds for every recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.ablation.entries import Entry
from training.assays import UNMOVED
from training.datasets.sources import DataError

SIZES = (1, 3, 5)
"""Numbers of members that ensembles are compared at, beside all that there are."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Members that predict together.

    Attributes:
      label: as the tables show it.
      parts: entries, and which of their members.
      is_whole: whether every member of its entries is in it.
      against: label of the row that it is compared with; None for those of the baseline.
    """

    label: str
    parts: tuple[tuple[Entry, tuple[int, ...]], ...]
    is_whole: bool
    against: str | None = None

    @property
    def n_members(self) -> int:
        """How many predict."""
        return sum(len(members) for _, members in self.parts)

    def inserts(self, split: str, target: str) -> Floats:
        """(n,) log2(RNA/DNA): mean over members."""
        of = [entry.inserts[split, target][[*members]] for entry, members in self.parts]
        return np.asarray(np.concatenate(of).mean(axis=0))

    def effects(self, name: str) -> Floats:
        """(n, T) log2 units: mean over members."""
        of = [entry.effects[name][[*members]] for entry, members in self.parts]
        return np.asarray(np.concatenate(of).mean(axis=0))


def lay_out(
    entries: Sequence[Entry], combined: Mapping[str, Sequence[str]], baseline: str
) -> list[Row]:
    """Lay out what is compared, the baseline first.

    Args:
      entries: by any order; the baseline among them.
      combined: {name: names of the entries whose members it puts together}.
      baseline: name of the entry that the others are compared with: a member with the member of
        the same seed (its first, where there is none), an ensemble with the baseline's largest
        that has no more members.

    Raises:
      DataError: the baseline or a combined entry is missing, a name is taken, or a member would
        count twice.
    """
    by_name = {entry.name: entry for entry in entries}
    for name, parts in {baseline: [baseline], **combined}.items():
        if absent := [part for part in parts if part not in by_name]:
            raise DataError(f"{name}: not stored: {', '.join(absent)}")
    if taken := sorted(combined.keys() & by_name.keys()):
        raise DataError(f"{', '.join(taken)}: the name of an entry; call the combination another")
    ordered = [by_name.pop(baseline), *by_name.values()]
    found = [row for entry in ordered for row in (*_singles(entry), *_ensembles(entry))]
    found += [_combination(name, [_named(ordered, p) for p in ps]) for name, ps in combined.items()]
    own = [row for row in found if row.parts[0][0] is ordered[0] and len(row.parts) == 1]
    return [
        row if row in own else Row(row.label, row.parts, row.is_whole, _counterpart(row, own).label)
        for row in found
    ]


def find_row(rows: Sequence[Row], name: str) -> Row:
    """Row of that label, or the whole ensemble of the entry or combination of that name.

    Raises:
      DataError: there is none.
    """
    for row in rows:
        if row.label == name or (row.is_whole and row.label.rpartition(", ")[0] == name):
            return row
    raise DataError(f"no row {name!r}; there are: {'; '.join(row.label for row in rows)}")


def _named(entries: Sequence[Entry], name: str) -> Entry:
    return next(entry for entry in entries if entry.name == name)


def _singles(entry: Entry) -> list[Row]:
    rows = []
    for member, origin in enumerate(entry.provenance["origins"]):
        recipe = f"{origin['recipe']} " if entry.is_mixed else ""
        label = f"{entry.name}, {recipe}seed {origin['seed']}"
        rows.append(Row(label, ((entry, (member,)),), len(entry.seeds) == 1))
    return rows


def _ensembles(entry: Entry) -> list[Row]:
    """Of the sizes that there are members for; of a mixture, which has no order, all alone."""
    n = len(entry.seeds)
    sizes = {n} if entry.is_mixed else {*SIZES, n}
    return [
        Row(f"{entry.name}, {size} members", ((entry, tuple(range(size))),), size == n)
        for size in sorted(sizes)
        if 1 < size <= n
    ]


def _combination(name: str, parts: Sequence[Entry]) -> Row:
    keys = [
        (origin["recipe"], origin["fingerprint"], origin["seed"], *_passes(entry))
        for entry in parts
        for origin in entry.provenance["origins"]
    ]
    if len(set(keys)) < len(keys):
        raise DataError(f"{name}: a member would count twice among {[p.name for p in parts]}")
    members = tuple((entry, tuple(range(len(entry.seeds)))) for entry in parts)
    return Row(f"{name}, {len(keys)} members", members, True)


def _passes(entry: Entry) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Strands, shifts of windows and offsets of constructs."""
    of = entry.provenance
    return of["strands"], tuple(of["shifts"]), tuple(of.get("offsets", UNMOVED))


def _counterpart(row: Row, own: Sequence[Row]) -> Row:
    """Row of the baseline that a row is compared with."""
    if row.n_members == 1:
        [(entry, (member,))] = row.parts
        same = [
            one
            for one in own
            if one.n_members == 1
            and one.parts[0][0].seeds[one.parts[0][1][0]] == entry.seeds[member]
        ]
        return (same or own)[0]
    return max((one for one in own if one.n_members <= row.n_members), key=lambda r: r.n_members)
