"""How agreement on CAGI5 is laid out: samples -> the tables of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from training.datasets.cagi5 import ELEMENTS, GROUPS, head_of
from training.evaluation.agreement import HIGH_CONFIDENCE, Agreement, Said
from training.evaluation.metrics import Statistic
from training.evaluation.published import BESIDE, PUBLISHED
from training.evaluation.report import Cell, Report, Table, rows_of

Shown: TypeAlias = tuple[str, Said]
"""A window, and which of the two numbers of a model is compared in it."""

_COLUMNS = tuple(
    (statistic, subset) for statistic in Statistic for subset in ("all", "high", "low")
)
_STATISTICS = tuple(f"{statistic} {subset}" for statistic, subset in _COLUMNS)


def layout(
    model: str,
    agreements: Mapping[Shown, Agreement],
    *,
    split: str,
    strands: int,
    draws: int,
    baseline: str | None = None,
    baselines: Mapping[Shown, Agreement] | None = None,
) -> Report:
    """Lay out one model's agreement per window, with published figures and a baseline beside.

    Args:
      model: its name.
      agreements: {(window, what is compared): agreement}.
      split: challenge or release; published figures exist for the challenge set alone.
      strands: orientations averaged.
      draws: bootstrap resamples behind the intervals.
      baseline: name of the model that differences are taken to, if any.
      baselines: its agreements, on the same resamples.
    """
    tables = [_means(shown, found) for shown, found in agreements.items()]
    if baseline is not None and baselines is not None:
        tables += [_differences(baseline, s, agreements[s], baselines[s]) for s in agreements]
    tables += [
        _differences("effect", shown, found, agreements[shown[0], "effect"])
        for shown, found in agreements.items()
        if shown[1] != "effect"
    ]
    if split == "challenge":
        tables.append(_published())
    tables += [_elements(shown, found, split) for shown, found in agreements.items()]
    tables.append(_statuses(agreements))
    return Report(f"CAGI5 {split} set: {model}", tuple(tables), _notes(strands, draws))


def _title(shown: Shown) -> str:
    window, said = shown
    return f"{window} window" if said == "effect" else f"{window} window, {said}"


def _means(shown: Shown, found: Agreement) -> Table:
    rows = [[group, *_estimates(found, group)] for group in GROUPS]
    return Table(f"Means, {_title(shown)}", ("group", *_STATISTICS), rows_of(rows))


def _elements(shown: Shown, found: Agreement, split: str) -> Table:
    beside = BESIDE if split == "challenge" else ()
    rows: list[Sequence[Cell]] = []
    for element in ELEMENTS:
        ours = element, head_of(element), *found.counts[element], *_estimates(found, element)
        rows.append([*ours, *(row.spearman.get(element) for row in beside)])
    columns = ("element", "head", "n", "scored", *_STATISTICS)
    names = tuple(f"published: {row.name}" for row in beside)
    return Table(f"Elements, {_title(shown)}", (*columns, *names), rows_of(rows))


def _estimates(found: Agreement, name: str) -> list[Cell]:
    return [found.samples[name, subset, statistic].estimate for statistic, subset in _COLUMNS]


def _differences(baseline: str, shown: Shown, ours: Agreement, other: Agreement) -> Table:
    rows: list[Sequence[Cell]] = []
    for name in (*GROUPS, *ELEMENTS):
        cells: list[Cell] = [name]
        for statistic in Statistic:
            key = name, "all", statistic
            found = ours.samples[key].minus(other.samples[key])
            cells += [found.estimate, found.p_not_above]
        rows.append(cells)
    columns = ["group or element"]
    for statistic in Statistic:
        columns += [f"{statistic} difference", f"P({statistic} difference <= 0)"]
    title = f"Paired difference to {baseline}, {_title(shown)}"
    return Table(title, tuple(columns), rows_of(rows))


def _published() -> Table:
    rows = [
        [
            row.name,
            row.mean_spearman,
            row.high_spearman,
            row.low_spearman,
            row.mean_pearson,
            row.all_elements,
            row.source,
        ]
        for row in PUBLISHED
    ]
    columns = (
        "published model",
        "spearman all, 4",
        "spearman high, 4",
        "spearman low, 4",
        "pearson all, 4",
        "spearman all, 15",
        "source",
    )
    return Table("Published means, K562-matched", columns, rows_of(rows))


def _statuses(agreements: Mapping[Shown, Agreement]) -> Table:
    windows = {window: found.statuses for (window, _), found in agreements.items()}
    names = sorted({name for statuses in windows.values() for name in statuses})
    rows: list[Sequence[Cell]] = [
        [name, *(statuses.get(name, 0) for statuses in windows.values())] for name in names
    ]
    return Table("Statuses", ("status", *windows), rows_of(rows))


def _notes(strands: int, draws: int) -> tuple[str, ...]:
    orientation = "both strands averaged" if strands == 2 else "plus strand only"
    return (
        f"Scored by the service's own scorer, {orientation}; effect = alt - ref of mu.",
        "expected: mean of the distribution of the true effect, which reads the effect, how far "
        "members disagree and what hiding the bases around a variant does; fitted to the release "
        "set in the genomic window, for each locus without that locus (the two TERT sets are one).",
        f"high / low: confidence of at least / below {HIGH_CONFIDENCE:g}. Confidence follows the "
        "size of the measured effect, so low mostly means small.",
        f"[low, high]: 95 % bootstrap over positions ({draws} draws); the variants of a position "
        "are drawn together, and the two TERT sets as one locus. Means are unweighted.",
        "head: the target read. K562 for the K562-matched and for the eight elements without a "
        "match, HepG2 for its three.",
        "'K562-matched' is the literature's word: only PKLR was assayed in K562; GP1BB, HBB and "
        "HBG1 in HEL 92.1.7, also erythroid.",
        "The construct-aware window holds N outside the element, which is all that the assayed "
        "plasmid carries of it.",
        "Published figures: 230-bp genomic window, plus strand, one K562 network for all elements; "
        "REF was not checked, here a mismatch is a status and no score.",
    )
