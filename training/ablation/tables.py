"""How the ablation is laid out: samples of each row -> the tables of two reports.

The one is what choices are made on, the other what is reported of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from training.ablation.entries import Entry
from training.ablation.evidence import MEAN, OWN_HEAD, Key, Samples
from training.ablation.rows import Row
from training.datasets.cagi5 import GROUPS
from training.evaluation.metrics import Statistic
from training.evaluation.report import Cell, Report, Table, rows_of

FOUR, SEVEN, ALL = (name for name in GROUPS if not name.startswith("HepG2"))
PEARSON, SPEARMAN = Statistic.PEARSON, Statistic.SPEARMAN


def _headlines(data: str) -> tuple[Key, ...]:
    return Key(data, FOUR, SPEARMAN), Key(data, SEVEN, PEARSON), Key(data, ALL, SPEARMAN)


CHOICE = (Key("validation", MEAN, PEARSON), *_headlines("release"))
"""What a choice is made on."""
REPORTED = _headlines("challenge")
"""What is reported of it, and logged."""
NOTES = (
    "Research use only. Each row: members that predict together, mean over them, through the "
    "exported graph and the service's own scorer; sequences on both strands, variants on the "
    "passes that the entry names. An ensemble of fewer members than there are has the first ones "
    "in the order of the recipe's seeds.",
    "Choices are made on the validation fold of the assays and on the CAGI5 release set; the "
    "challenge set and the test fold are for reporting.",
    "Means over elements are unweighted; an effect is read from the head of its element, HepG2 for "
    "its three and K562 for all others, but for the tables on which heads speak. The '4' of the "
    "release set are the same elements as the challenge's, other variants of them.",
    "An ensemble is compared with the baseline's largest that has no more members: where that has "
    "fewer, the difference is of the number of members too, and a lever is told by rows of equally "
    "many members and the same seed. Intervals are over positions within these elements and say "
    "nothing of other loci; none is corrected for the number of rows.",
)


def choice_report(
    rows: Sequence[Row],
    samples: Mapping[str, Samples],
    by_reading: Mapping[str, Mapping[str, Samples]],
    *,
    baseline: str,
    draws: int,
    chosen: Row | None = None,
) -> Report:
    """The evidence for a choice.

    Args:
      rows: of the table.
      samples: {label: samples on the validation fold and the release set}.
      by_reading: {label: {way to read heads: samples on the release set}}, of whole ensembles.
      baseline: name of the entry that the others are compared with.
      draws: resamples.
      chosen: the row that is to be served, if that is settled.
    """
    targets = rows[0].parts[0][0].targets
    tables = (
        *_chosen(chosen, rows, samples, CHOICE),
        _values("Evidence for choice", rows, samples, CHOICE),
        _differences(f"Evidence for choice, difference to {baseline}", rows, samples, CHOICE),
        _values("Validation fold by target", rows, samples, _fold_keys("validation", targets)),
        _values("Release set by group", rows, samples, _group_keys("release")),
        _heads(by_reading, "release"),
        *_combined(rows),
        sources(rows),
    )
    return Report("Levers: what choices were made on", tables, (*NOTES, _interval(draws)))


def challenge_report(
    rows: Sequence[Row],
    samples: Mapping[str, Samples],
    by_reading: Mapping[str, Mapping[str, Samples]],
    *,
    baseline: str,
    draws: int,
    chosen: Row | None = None,
) -> Report:
    """What is reported of every row, whichever was chosen.

    Args:
      rows: of the table.
      samples: {label: samples on the challenge set and the test fold}.
      by_reading: {label: {way to read heads: samples on the challenge set}}, of whole ensembles.
      baseline: name of the entry that the others are compared with.
      draws: resamples.
      chosen: the row that is to be served, if that is settled.
    """
    targets = rows[0].parts[0][0].targets
    tables = (
        *_chosen(chosen, rows, samples, REPORTED),
        _values("CAGI5 challenge", rows, samples, REPORTED),
        _differences(f"CAGI5 challenge, difference to {baseline}", rows, samples, REPORTED),
        _values("Challenge set by group", rows, samples, _group_keys("challenge")),
        _heads(by_reading, "challenge"),
        _values("Test fold by target", rows, samples, _fold_keys("test", targets)),
        *_combined(rows),
        sources(rows),
    )
    return Report("Levers: CAGI5 challenge set", tables, (*NOTES, _interval(draws)))


def _combined(rows: Sequence[Row]) -> Sequence[Table]:
    """Which entries each combination puts together."""
    cells: list[Sequence[Cell]] = [
        [row.label, ", ".join(entry.name for entry, _ in row.parts)]
        for row in rows
        if len(row.parts) > 1
    ]
    if not cells:
        return ()
    return (Table("What each combination puts together", ("row", "entries"), rows_of(cells)),)


def sources(rows: Sequence[Row]) -> Table:
    """What each entry is, and the file that it was read from."""
    entries: dict[str, Entry] = {}
    for row in rows:
        entries |= {entry.name: entry for entry, _ in row.parts}
    cells: list[Sequence[Cell]] = []
    for entry in entries.values():
        of = entry.provenance
        passes = f"{of['strands']} strands, shifts {', '.join(map(str, of['shifts']))}"
        if offsets := of.get("offsets"):  # entries of models that move no construct have none
            passes += f", offsets {', '.join(map(str, offsets))}"
        seeds = ", ".join(str(seed) for seed in entry.seeds)
        digests = (str(of["model_sha256"])[:12], f"{entry.name}.npz", entry.sha256[:12])
        cells.append([entry.name, of["recipe"], of["fingerprint"], seeds, passes, *digests])
    columns = ("entry", "recipe", "fingerprint", "seeds", "passes", "model.onnx", "file", "SHA-256")
    return Table("What each entry is", columns, rows_of(cells))


def _values(
    title: str, rows: Sequence[Row], samples: Mapping[str, Samples], keys: Sequence[Key]
) -> Table:
    cells: list[Sequence[Cell]] = [
        [row.label, row.n_members, *(samples[row.label][key].estimate for key in keys)]
        for row in rows
    ]
    return Table(title, ("row", "members", *map(_name, keys)), rows_of(cells))


def _differences(
    title: str, rows: Sequence[Row], samples: Mapping[str, Samples], keys: Sequence[Key]
) -> Table:
    """Paired differences of the rows that have a counterpart."""
    cells: list[Sequence[Cell]] = []
    sizes = {row.label: row.n_members for row in rows}
    for row in rows:
        if row.against is not None:
            line: list[Cell] = [row.label, row.n_members, row.against, sizes[row.against]]
            for key in keys:
                found = samples[row.label][key].minus(samples[row.against][key])
                line += [found.estimate, found.p_not_above]
            cells.append(line)
    columns = [f"{name}{kind}" for name in map(_name, keys) for kind in ("", ": P(<= 0)")]
    named = ("row", "members", "against", "its members")
    return Table(title, (*named, *columns), rows_of(cells))


def _chosen(
    chosen: Row | None, rows: Sequence[Row], samples: Mapping[str, Samples], keys: Sequence[Key]
) -> Sequence[Table]:
    """What was chosen, and its paired difference to every other whole ensemble."""
    if chosen is None:
        return ()
    cells: list[Sequence[Cell]] = []
    for row in rows:
        if row.is_whole and row is not chosen:
            line: list[Cell] = [f"minus {row.label}", row.n_members]
            for key in keys:
                found = samples[chosen.label][key].minus(samples[row.label][key])
                line += [found.estimate, found.p_not_above]
            cells.append(line)
    columns = [f"{name}{kind}" for name in map(_name, keys) for kind in ("", ": P(<= 0)")]
    return (Table(f"Chosen: {chosen.label}", ("row", "members", *columns), rows_of(cells)),)


def _heads(by_reading: Mapping[str, Mapping[str, Samples]], data: str) -> Table:
    keys = _headlines(data)
    cells: list[Sequence[Cell]] = []
    for label, found in by_reading.items():
        for reading, samples in found.items():
            line: list[Cell] = [f"{label}: {reading}"]
            for key in keys:
                served = found[OWN_HEAD][key]
                gain = None if reading == OWN_HEAD else samples[key].minus(served).estimate
                line += [samples[key].estimate, gain]
            cells.append(line)
    columns = [f"{name}{kind}" for name in map(_name, keys) for kind in ("", ": difference")]
    title = "Which heads speak, difference to the head of the element"
    return Table(title, ("row: heads", *columns), rows_of(cells))


def _fold_keys(split: str, targets: Sequence[str]) -> tuple[Key, ...]:
    return tuple(Key(split, part, s) for part in (*targets, MEAN) for s in (PEARSON, SPEARMAN))


def _group_keys(data: str) -> tuple[Key, ...]:
    return tuple(Key(data, group, s) for group in GROUPS for s in (SPEARMAN, PEARSON))


def _name(key: Key) -> str:
    return f"{key.data} {key.statistic}, {key.part}"


def _interval(draws: int) -> str:
    return (
        f"[low, high]: 95 % bootstrap ({draws} draws), over homology clusters for sequences and "
        "over positions within each locus for variants; all rows on the same resamples, so that "
        "differences are paired. The interval is of these members: how seeds differ is seen from "
        "the rows of single members."
    )
