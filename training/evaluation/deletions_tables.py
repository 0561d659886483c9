"""How agreement on the measured deletions is laid out: choice and samples -> a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.datasets.cagi5 import ELEMENTS, GROUPS, head_of
from training.evaluation.deletions import (
    ALL,
    BASELINES,
    CANDIDATES,
    MEAN,
    MIN_ROWS,
    PLUS,
    SHIPPED,
    WAYS,
    Choice,
    Measured,
    Way,
    subsets,
)
from training.evaluation.metrics import Floats, Statistic
from training.evaluation.report import Cell, Report, Table, rows_of

_PAIRS = {
    "left and right, both strands": CANDIDATES[:2],
    "left and right, plus strand": PLUS,
}


def layout(model: str, choice: Choice, found: Mapping[str, Measured], *, draws: int) -> Report:
    """Lay out the choice, then each region by itself.

    Args:
      model: its name.
      choice: made on the first region.
      found: {region: its deletions}, the release blocks first.
      draws: bootstrap resamples behind the intervals.
    """
    tables = [_choice(choice, next(iter(found.values()))), _counts(found)]
    for region, measured in found.items():
        tables.append(_means(region, measured))
        tables += [_differences(region, measured, baseline) for baseline in BASELINES]
        tables += [_subsets(region, measured), _disagreement(region, measured)]
        tables += [_elements(region, measured, statistic) for statistic in Statistic]
    return Report(f"1-bp deletions: {model}", tuple(tables), _notes(choice, draws))


def _choice(choice: Choice, inside: Measured) -> Table:
    best = inside.of(choice.best, MEAN, Statistic.SPEARMAN)
    rows: list[Sequence[Cell]] = []
    for way in CANDIDATES:
        own = inside.of(way, MEAN, Statistic.SPEARMAN)
        marks = {
            "chosen by the rule": way is choice.way,
            "ships": way is SHIPPED,
            "best mean": way is choice.best,
            "within the noise of the best": way in choice.as_good and way is not choice.best,
        }
        verdict = ", ".join(mark for mark, holds in marks.items() if holds) or "worse"
        behind = None if way is choice.best else best.minus(own).estimate
        rows.append([way.name, way.windows, own.estimate, behind, verdict])
    columns = ("way", "windows", f"mean spearman, {MEAN}", "behind the best by", "verdict")
    return Table("Choice, release blocks", columns, rows_of(rows))


def _counts(found: Mapping[str, Measured]) -> Table:
    regions = list(found.values())
    rows: list[Sequence[Cell]] = [
        ["measured", *(region.dropped.total() + len(region.table) for region in regions)]
    ]
    for reason in sorted({reason for region in regions for reason in region.dropped}):
        rows.append([f"left out: {reason}", *(region.dropped[reason] for region in regions)])
    rows.append(["compared", *(len(region.table) for region in regions)])
    alleles = (len(region.table.drop_duplicates(["element", "first"])) for region in regions)
    rows.append(["alleles among them", *alleles])
    sizes = [{name: int(rows.sum()) for name, rows in subsets(r.table).items()} for r in regions]
    for name in sizes[0]:
        if name != ALL:
            rows.append([f"of those compared, {name}", *(size[name] for size in sizes)])
    return Table("Deletions", ("deletions", *found), rows_of(rows))


def _means(region: str, measured: Measured) -> Table:
    shown = [(statistic, group) for statistic in Statistic for group in GROUPS]
    rows: list[Sequence[Cell]] = []
    for way in WAYS:
        means = [measured.of(way, group, statistic).estimate for statistic, group in shown]
        rows.append([way.name, way.windows, *means])
    names = (f"{statistic}, {group}" for statistic, group in shown)
    return Table(f"Means, {region}", ("way", "windows", *names), rows_of(rows))


def _differences(region: str, measured: Measured, baseline: Way) -> Table:
    shown = [(statistic, group) for statistic in Statistic for group in (MEAN, "matched (7)")]
    rows: list[Sequence[Cell]] = []
    for way in WAYS:
        if way is baseline:
            continue
        cells: list[Cell] = [way.name]
        for statistic, group in shown:
            other = measured.of(baseline, group, statistic)
            gain = measured.of(way, group, statistic).minus(other)
            cells += [gain.estimate, gain.p_not_above]
        rows.append(cells)
    columns = ["way"]
    for statistic, group in shown:
        columns += [f"{statistic}, {group}", f"P({statistic}, {group} <= 0)"]
    title = f"Paired difference to {baseline.name}, {region}"
    return Table(title, tuple(columns), rows_of(rows))


def _subsets(region: str, measured: Measured) -> Table:
    rows: list[Sequence[Cell]] = []
    for subset in subsets(measured.table):
        sizes = [measured.counts[element, subset] for element in ELEMENTS]
        enough = [size for size in sizes if size >= MIN_ROWS]
        means = [measured.of(way, MEAN, Statistic.SPEARMAN, subset).estimate for way in WAYS]
        rows.append([subset, sum(enough), len(enough), *means])
    columns = ("subset", "n", "elements", *(way.name for way in WAYS))
    return Table(f"Mean spearman in subsets, {region}", columns, rows_of(rows))


def _disagreement(region: str, measured: Measured) -> Table:
    rows: list[Sequence[Cell]] = []
    for name, (one, other) in _PAIRS.items():
        left, right = measured.effects[one.name], measured.effects[other.name]
        for subset, chosen in subsets(measured.table).items():
            label = f"{name}; {subset}"
            rows.append([label, int(chosen.sum()), *_disagree(left[chosen], right[chosen])])
    columns = (
        "ways and subset",
        "n",
        "median |difference|",
        "median |mean effect|",
        "median ratio",
        "difference > effect",
        "opposite signs",
    )
    return Table(f"How far anchorings disagree, {region}", columns, rows_of(rows))


def _disagree(left: Floats, right: Floats) -> list[float]:
    """Median of the difference, of the effect and of their ratio, and two shares; NaN if empty."""
    if not left.size:
        return [np.nan] * 5
    apart, effect = np.abs(left - right), np.abs(left + right) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(apart > 0, apart / effect, 0)
    medians = [float(np.median(values)) for values in (apart, effect, ratio)]
    return [*medians, float(np.mean(ratio > 1)), float(np.mean(left * right < 0))]


def _elements(region: str, measured: Measured, statistic: Statistic) -> Table:
    rows: list[Sequence[Cell]] = []
    for element in ELEMENTS:
        found = [measured.of(way, element, statistic).estimate for way in WAYS]
        rows.append([element, head_of(element), measured.counts[element, ALL], *found])
    columns = ("element", "head", "n", *(way.name for way in WAYS))
    return Table(f"Elements, {statistic}, {region}", columns, rows_of(rows))


def _notes(choice: Choice, draws: int) -> tuple[str, ...]:
    return (
        f"What ships, the service's default: {SHIPPED.name}; training/evaluation/deletions.py says "
        "why that is not what the rule takes.",
        f"By the rule: {choice.way.name}. The rule sees release blocks alone: the best mean "
        f"Spearman, {choice.best.name}; of the ways whose deficit to it has a 95 % interval over "
        "0, the one with the fewest windows, then the best mean.",
        "Scored by the service's own scorer on the genomic window; effect = alt - ref of mu, the "
        "mean over windows. Anchorings read in the direction of the strand.",
        "In release blocks: the whole run of its base, over which a deletion can slide, lies in "
        "positions of the release set. All others are the rest.",
        f"[low, high]: 95 % bootstrap ({draws} draws); what is one allele is drawn together, and "
        "so are the two TERT sets. Ways are paired on the same resamples.",
        f"Means are unweighted over the elements with at least {MIN_ROWS} deletions of a subset; "
        "n and elements count those.",
        "A p-value is of the measured effect, so a subset by it holds large effects.",
        "head: the target read, as for the single-base changes of CAGI5.",
    )
