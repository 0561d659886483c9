"""The report's tables: what the figures cannot say to three decimals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from training.datasets.cagi5 import HEPG2_MATCHED
from training.evaluation.report import Cell as Value
from training.evaluation.report import Table, show
from training.report.campaign import (
    ALL_ELEMENTS,
    FOUR,
    MATCHED,
    Arm,
    Campaign,
    Cell,
    challenge,
    held_out,
)
from training.report.statements import count_of, interval, number, p_text, share, signed
from training.report.style import look_of

_SIGMA = "sigma_given_activity"
_SCORINGS = {
    "all assays, both strands": "challenge",
    "plus strand": "challenge_plus",
    "minus strand": "challenge_minus",
    "assays of the cell type": "challenge_cell",
}
"""{how variants are scored: split of `metrics.tsv`}."""
_WHERE: Mapping[str, Cell] = {
    **{element: challenge("spearman", element) for element in FOUR},
    "four, all": challenge("spearman"),
    "four, high": challenge("spearman_high"),
    "four, low": challenge("spearman_low"),
    **{element: challenge("spearman", element) for element in HEPG2_MATCHED},
    ALL_ELEMENTS: challenge("spearman", ALL_ELEMENTS),
}


def tables_of(campaign: Campaign) -> tuple[Table, ...]:
    """Every table that has a row, in reading order."""
    made = (
        _representatives(campaign),
        _differences(campaign),
        _scorings(campaign),
        _arms(campaign),
        _means(
            campaign,
            "Held-out sequences by their noise: Spearman on the quietest and noisiest fifth, and "
            "the noise correlation of the error",
            {
                "quiet": held_out("spearman_quiet"),
                "noisy": held_out("spearman_noisy"),
                "quiet - noisy": held_out("spearman_noise_gap"),
                "noise corr., calibrated": held_out("r_noise"),
                "raw": held_out("r_noise_raw"),
                "partial, given activity": held_out("r_noise_partial"),
            },
        ),
        _sigma(campaign),
        _means(
            campaign,
            "Held-out likelihood of a measurement (nats; lower is better) and coverage of its "
            "intervals, widths calibrated on the validation fold",
            {
                "NLL": held_out("nll"),
                "NLL, one sigma per assay": held_out("nll_constant"),
                **{f"{level} %": held_out(f"coverage{level}") for level in (50, 80, 90, 95)},
            },
        ),
        _from_records(
            "Replicate SDs: how far a perfect predictor could correlate",
            campaign.analysis["noise_ceiling"],
        ),
        _from_records(
            "Spread of the pair weights of the ranking losses", campaign.analysis["pair_weights"]
        ),
        _batches(campaign),
        _injection(campaign),
    )
    return tuple(table for table in made if table.rows)


def _mean(arm: Arm, cell: Cell) -> str:
    mean = arm.means.get(cell)
    if mean is None:
        return "-"
    return _spread(mean.value, mean.seed_sd)


def _spread(mean: float, sd: float) -> str:
    return number(mean) + ("" if np.isnan(sd) else f" \N{PLUS-MINUS SIGN} {sd:.3f}")


def _representatives(campaign: Campaign) -> Table:
    cell = challenge("spearman")
    columns = (
        "arm", "family", "seeds", "mean \N{PLUS-MINUS SIGN} SD", "difference", "95 % interval",
        "P(above)", "p, Holm", "p, best of all",
    )  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    for arm in (campaign.baseline, *campaign.representatives):
        if arm is None:
            continue
        gain, shown = arm.gains.get(cell), ("-",) * 5
        if gain is not None:
            shown = (
                signed(gain.value),
                interval(gain.low, gain.high),
                share(gain.p_above),
                p_text(gain.p_holm),
                p_text(gain.p_max_t),
            )
        family = look_of(arm.family).label
        rows.append((arm.name, family, len(arm.seeds), _mean(arm, cell), *shown))
    return Table(
        "Representatives against the baseline: CAGI5 Spearman, mean of four", columns, tuple(rows)
    )


def _differences(campaign: Campaign) -> Table:
    rows = []
    for arm in campaign.representatives:
        shown = []
        for cell in _WHERE.values():
            gain = arm.gains.get(cell)
            mark = "*" if gain is not None and gain.excludes_zero else ""
            shown.append("-" if gain is None else f"{signed(gain.value)}{mark}")
        rows.append((arm.name, *shown))
    return Table(
        "Difference to the baseline by element and confidence class, Spearman "
        "(*: its own 95 % interval excludes 0, not corrected)",
        ("arm", *_WHERE),
        tuple(rows),
    )


def _scorings(campaign: Campaign) -> Table:
    """The verdict's measure had variants been scored in another way, straight from the runs."""
    rows: list[tuple[Value, ...]] = []
    for arm in (campaign.baseline, *campaign.representatives):
        if arm is None:
            continue
        shown = []
        for split in _SCORINGS.values():
            values = campaign.values(Cell(split, "spearman", MATCHED), arm=arm.name)
            mean = float(values.mean()) if values.size else np.nan
            sd = float(values.std(ddof=1)) if values.size > 1 else np.nan
            shown.append(_spread(mean, sd))
        rows.append((arm.name, len(arm.seeds), *shown))
    return Table(
        "CAGI5 Spearman, mean of four, by how variants are scored: the first is the one used "
        "everywhere else; the assays of the cell type count over both strands",
        ("arm", "seeds", *_SCORINGS),
        tuple(rows),
    )


def _batches(campaign: Campaign) -> Table:
    """One row per sampler and stage of the run; a stage like the one before it is left out."""
    kept: dict[tuple[str, float], dict[str, Any]] = {}
    plain: dict[str, Any] = {}
    for row in campaign.analysis["batches"]:
        kept.setdefault((row["arm"], row["progress"]), {})[row["statistic"]] = row["value"]
        plain[row["statistic"]] = row["shuffled"]
    columns = tuple(plain)
    rows: list[tuple[Value, ...]] = []
    if plain:
        rows.append(("shuffled", "-", *(show(plain[name]) for name in columns)))
    before: tuple[str, dict[str, Any]] | None = None
    for (arm, progress), found in kept.items():
        if before != (arm, found):
            shown = (show(found.get(name)) for name in columns)
            rows.append((arm, f"{progress:.0%}", *shown))
        before = arm, found
    return Table(
        "Composition of sampled batches: share of draws from the highest and lowest tenth by "
        "activity and from the noisiest fifth, Spearman of activity and noise, share of rows drawn "
        "at all, SD of the top share over batches, difference of activity and noise in rows 2i and "
        "2i + 1",
        ("first arm with it", "from", *(name.replace("_", " ") for name in columns)),
        tuple(rows),
    )


def _arms(campaign: Campaign) -> Table:
    return _means(
        campaign,
        "All arms, mean \N{PLUS-MINUS SIGN} SD over seeds",
        {
            "test Spearman": held_out("spearman"),
            "test Pearson": held_out("pearson"),
            "CAGI5 Spearman": challenge("spearman"),
            "high": challenge("spearman_high"),
            "low": challenge("spearman_low"),
            "CAGI5 Pearson": challenge("pearson"),
            ALL_ELEMENTS: challenge("spearman", ALL_ELEMENTS),
        },
    )


def _means(campaign: Campaign, title: str, cells: Mapping[str, Cell]) -> Table:
    """One row per arm with its published ids and its mean of each cell."""
    rows: list[tuple[Value, ...]] = []
    for arm in campaign.arms:
        seeds = f"{len(arm.seeds)}{', exploratory' if arm.is_exploratory else ''}"
        shown = (_mean(arm, cell) for cell in cells.values())
        rows.append((arm.name, ", ".join(arm.aliases) or "-", seeds, *shown))
    return Table(title, ("arm", "published ids", "seeds", *cells), tuple(rows))


def _sigma(campaign: Campaign) -> Table:
    assays = sorted(
        {
            cell.element
            for arm in campaign.arms
            for cell in arm.means
            if cell.split == "test" and cell.metric == _SIGMA
        },
        key=lambda assay: (assay == "mean", assay),
    )
    rows: list[tuple[Value, ...]] = []
    for arm in campaign.arms:
        plain = _mean(arm, held_out("sigma_spearman"))
        given = [_mean(arm, held_out(_SIGMA, assay)) for assay in assays]
        if {plain, *given} != {"-"}:
            rows.append((arm.name, len(arm.seeds), plain, *given))
    ceiling = {row["assay"]: row["attainable"] for row in campaign.analysis["noise_ceiling"]}
    if rows:
        rows.append(
            ("attainable, not partial", "-", "-", *(show(ceiling.get(assay)) for assay in assays))
        )
    return Table(
        "Predicted sigma against the measured replicate SD, held-out sequences: Spearman, and "
        "partial Spearman given measured activity per assay",
        ("arm", "seeds", "mean, not partial", *assays),
        tuple(rows),
    )


def _injection(campaign: Campaign) -> Table:
    rows: list[tuple[Value, ...]] = []
    for split, name in (("test", "test"), ("challenge", "CAGI5")):
        for row in campaign.injection(split):
            gain = row["difference"]
            shown = (
                "-"
                if gain is None
                else f"{signed(gain)} {_interval(row, 'difference_low', 'difference_high')}"
            )
            mean = f"{number(row['value'])} {_interval(row, 'ci_low', 'ci_high')}"
            seeds = count_of(row["seeds"])
            rows.append((row["arm"], name, f"{row['level']:g}", seeds, mean, shown))
    return Table(
        "Injected noise: Spearman by level, and the difference to the baseline at that level",
        ("arm", "data", "level", "seeds", "mean", "difference"),
        tuple(rows),
    )


def _interval(row: Mapping[str, Any], low: str, high: str) -> str:
    ends = (np.nan if row[name] is None else row[name] for name in (low, high))
    return interval(*ends)


def _from_records(title: str, records: Iterable[Mapping[str, Any]]) -> Table:
    """A table of flat records with the columns they bring, in their order."""
    kept = list(records)
    columns = tuple(dict.fromkeys(name for record in kept for name in record))
    rows = tuple(tuple(show(record.get(name)) for name in columns) for record in kept)
    return Table(title, tuple(name.replace("_", " ") for name in columns), rows)
