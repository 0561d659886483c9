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
from training.report.statements import (
    count_of,
    interval,
    number,
    p_text,
    share,
    signed,
    spread,
)
from training.report.style import look_of

_SIGMA = "sigma_given_activity"
_LARGE = 0.1
"""Share of a fold from which one cluster is worth a word."""
_SCORINGS = {
    "all assays, both strands": ("challenge", "spearman"),
    "plus strand": ("challenge_plus", "spearman"),
    "minus strand": ("challenge_minus", "spearman"),
    "assays of the cell type": ("challenge_cell", "spearman"),
    "pooled": ("challenge", "spearman_pooled"),
}
"""{how variants are scored: split and metric of `metrics.tsv`}."""
_GROUPS = {"four": MATCHED, "HepG2 three": "HepG2-matched (3)", ALL_ELEMENTS: ALL_ELEMENTS}
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
        _release_choice(campaign),
        _release_difference(campaign),
        _arms(campaign),
        _epochs(campaign),
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
            "Held-out likelihood of a measurement (nats, of activities on the standardised scale; "
            "lower is better) and coverage of its intervals, widths calibrated on the validation "
            f"fold{_largest(campaign)}",
            {
                "NLL": held_out("nll"),
                "NLL, one sigma per assay": held_out("nll_constant"),
                **{f"{level} %": held_out(f"coverage{level}") for level in (50, 80, 90, 95)},
            },
        ),
        _from_records(
            "Held-out folds: rows, homology clusters and rows of the largest cluster; a mean over "
            "assays gives each the same weight",
            campaign.analysis["folds"],
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
        rows.append((arm.name, family, _seeds(campaign, arm), _mean(arm, cell), *shown))
    declared = campaign.analysis["verdict"]["declared"]
    return Table(
        "Representatives against the baseline: CAGI5 Spearman, mean of four; Holm's correction "
        f"counts the {declared} declared, finished or not",
        columns,
        tuple(rows),
    )


def _seeds(campaign: Campaign, arm: Arm) -> str:
    """How many seeds an arm's mean rests on, what that makes of it, and which seeds failed."""
    failed = ", ".join(map(str, campaign.failed_seeds(arm.name)))
    return (
        f"{len(arm.seeds)}{', exploratory' if arm.is_exploratory else ''}"
        f"{f'; failed: {failed}' if failed else ''}"
    )


def _differences(campaign: Campaign) -> Table:
    rows = []
    for arm in campaign.representatives:
        shown = []
        for cell in _WHERE.values():
            gain = arm.gains.get(cell)
            mark = "*" if gain is not None and gain.excludes_zero else ""
            shown.append("-" if gain is None else f"{signed(gain.value)}{mark}")
        rows.append((arm.name, _seeds(campaign, arm), *shown))
    return Table(
        "Difference to the baseline by element and confidence class, Spearman "
        "(*: its own 95 % interval excludes 0, not corrected)",
        ("arm", "seeds", *_WHERE),
        tuple(rows),
    )


def _scorings(campaign: Campaign) -> Table:
    """The verdict's measure had variants been scored in another way, straight from the runs."""
    rows: list[tuple[Value, ...]] = []
    for arm in (campaign.baseline, *campaign.representatives):
        if arm is None:
            continue
        shown = []
        for split, metric in _SCORINGS.values():
            shown.append(spread(campaign.values(Cell(split, metric, MATCHED), arm=arm.name)))
        rows.append((arm.name, _seeds(campaign, arm), *shown))
    return Table(
        "CAGI5 Spearman, mean of four, by how variants are scored: the first is the one used "
        "everywhere else; the assays of the cell type count over both strands; pooled ranks the "
        "variants of all four in one list",
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


def _release_choice(campaign: Campaign) -> Table:
    """The choice of a reading, run by run, on labels that are free to read."""
    base = campaign.analysis["baseline"]["arm"]
    clean = campaign.release[(campaign.release["arm"] == base) & (campaign.release["level"] == 0)]
    rows = []
    for run, part in clean.groupby("run", sort=False):
        of = part.set_index("element")
        shown = [
            number(of.loc[g, r]) for g in _GROUPS.values() for r in ("all_assays", "cell_type")
        ]
        rows.append((str(run), *shown))
    columns = [f"{g}, {r}" for g in _GROUPS for r in ("all assays", "own cell type")]
    return Table(
        "Release set, Spearman of the baseline's runs by reading: the choice of all assays rests "
        "on these",
        ("run", *columns),
        tuple(rows),
    )


def _release_difference(campaign: Campaign) -> Table:
    """Arms on the release set beside the challenge set: a lucky difference has no twin here."""
    base = campaign.analysis["baseline"]["arm"]
    readings = {"all assays": "all_assays", "own cell type": "cell_type"}
    rows: list[tuple[Value, ...]] = []
    for arm in campaign.arms:
        shown: list[str] = []
        for reading in readings.values():
            ours, theirs = (campaign.released(name, reading) for name in (arm.name, base))
            if not ours.size:
                break
            gap = signed(float(ours.mean() - theirs.mean())) if theirs.size else "-"
            shown += [spread(ours), "-" if arm.name == base else gap]
        if shown:
            gain = arm.gains.get(challenge("spearman"))
            scored = campaign.released(arm.name, "all_assays").size
            gap = "-" if gain is None else signed(gain.value)
            rows.append((arm.name, f"{scored} of {len(arm.seeds)}", *shown, gap))
    columns = [f"{name}{end}" for name in readings for end in ("", ", difference")]
    return Table(
        "Release set, Spearman, mean of four: other variants of the same elements, and the "
        "difference to the baseline beside the challenge set's; no interval over positions, arms "
        "of few seeds are exploratory",
        ("arm", "seeds scored", *columns, "challenge, difference"),
        tuple(rows),
    )


def _arms(campaign: Campaign) -> Table:
    cells = {
        "test Spearman": held_out("spearman"),
        "test Pearson": held_out("pearson"),
        "CAGI5 Spearman": challenge("spearman"),
        "high": challenge("spearman_high"),
        "low": challenge("spearman_low"),
        "CAGI5 Pearson": challenge("pearson"),
        ALL_ELEMENTS: challenge("spearman", ALL_ELEMENTS),
    }
    made = _means(
        campaign,
        "All arms, mean \N{PLUS-MINUS SIGN} SD over seeds; last row: the floor, ridge regression "
        "on 6-mer counts of the same training rows, its penalty chosen on validation",
        cells,
    )
    floor = campaign.floor
    shown = (number(floor[c].value) if c in floor else "-" for c in cells.values())
    name = campaign.analysis["floor"]["name"]
    return Table(made.title, made.columns, (*made.rows, (name, "-", "no seed", *shown)))


def _epochs(campaign: Campaign) -> Table:
    """Where validation was best; what is judged is the last epoch."""
    facts = ("epochs", "best_epoch", "best_validation", "last_validation", "seconds")
    rows: list[tuple[Value, ...]] = []
    for arm in campaign.arms:
        shown = []
        for fact in facts:
            values = campaign.values(Cell("run", fact, "run"), arm=arm.name)
            digits = 3 if "validation" in fact else 1
            shown.append(f"{values.mean():.{digits}f}" if values.size else "-")
        rows.append((arm.name, _seeds(campaign, arm), *shown))
    return Table(
        "Epochs, means over seeds: the last one is judged; validation is the mean Pearson "
        "correlation over the assays",
        ("arm", "seeds", *(fact.replace("_", " ") for fact in facts)),
        tuple(rows),
    )


def _largest(campaign: Campaign) -> str:
    """Where one cluster is more than `_LARGE` of a validation fold, in words for a title."""
    shares = {
        row["assay"]: row["validation_largest_cluster"] / row["validation_rows"]
        for row in campaign.analysis["folds"]
        if row["validation_rows"]
    }
    large = [f"{assay} ({share:.0%})" for assay, share in shares.items() if share > _LARGE]
    if not large:
        return ""
    return f", of which one cluster of related sequences is a large part in {', '.join(large)}"


def _means(campaign: Campaign, title: str, cells: Mapping[str, Cell]) -> Table:
    """One row per arm with its published ids and its mean of each cell."""
    rows: list[tuple[Value, ...]] = []
    for arm in campaign.arms:
        shown = (_mean(arm, cell) for cell in cells.values())
        ids = ", ".join(arm.aliases) or "-"
        rows.append((arm.name, ids, _seeds(campaign, arm), *shown))
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
