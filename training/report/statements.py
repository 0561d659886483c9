"""What our runs say of each published claim: one sentence each, computed from the campaign."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import spearman
from training.report.campaign import FOUR, Arm, Campaign, Cell, Gain, challenge, held_out
from training.report.claims import BASELINE, PARAMETERS
from training.report.style import look_of

NOT_YET = "Not measured yet: these runs have not finished."
_TOP, _FEW_ARMS = 10, 15


def number(value: float) -> str:
    """Three decimals, `-` for what is undefined."""
    return "-" if np.isnan(value) else f"{value:z.3f}"


def signed(value: float) -> str:
    """Three decimals with their sign, `-` for what is undefined."""
    return "-" if np.isnan(value) else f"{value:+z.3f}"


def share(value: float) -> str:
    """A probability: two decimals, never rounded to certainty."""
    if np.isnan(value):
        return "-"
    return "< 0.01" if value < 0.005 else "> 0.99" if value > 0.995 else f"{value:.2f}"


def p_text(value: float) -> str:
    """A p-value: three decimals, `< 0.001` below."""
    return "-" if np.isnan(value) else "< 0.001" if value < 0.0005 else f"{value:.3f}"


def interval(low: float, high: float) -> str:
    """`[-0.012, +0.034]`."""
    return f"[{signed(low)}, {signed(high)}]"


def relative(gain: float, base: float) -> str:
    """`+1.2%` of the baseline's value; `-` where that is not above 0."""
    return f"{gain / base:+.1%}" if base > 0 else "-"


def gain_text(gain: Gain) -> str:
    """Difference, interval and probability in words."""
    return (
        f"{signed(gain.value)} {interval(gain.low, gain.high)}, probability of being above the "
        f"baseline {share(gain.p_above)}"
    )


def spread(values: NDArray[np.float64]) -> str:
    """Mean and SD of runs."""
    mean = number(float(values.mean())) if values.size else "-"
    sd = f" \N{PLUS-MINUS SIGN} {values.std(ddof=1):.3f}" if values.size > 1 else ""
    return mean + sd


def _seeds(arm: Arm) -> str:
    return f"{arm.name}, {len(arm.seeds)} seed{'s' if len(arm.seeds) != 1 else ''}"


def _recipe(arm: Arm) -> str:
    """An arm under its published ids: the mean of its seeds, where the study had single runs."""
    note = ", exploratory" if arm.is_exploratory else ""
    return f"The recipe of {', '.join(arm.aliases)} here ({_seeds(arm)}{note})"


def _of_arm(alias: str, *parts: tuple[str, Cell]) -> Callable[[Campaign], str]:
    """Sentence about the arm of a published id: its mean, the baseline's and their difference."""

    def sentence(campaign: Campaign) -> str:
        arm, baseline = campaign.published_as(alias), campaign.baseline
        if arm is None or baseline is None:
            return NOT_YET
        said = []
        for name, cell in parts:
            mine, base, gain = (
                arm.means.get(cell),
                baseline.means.get(cell),
                arm.gains.get(cell),
            )
            if mine is None or base is None or gain is None:
                continue
            said.append(
                f"{name}: {number(mine.value)} against {number(base.value)} "
                f"({relative(gain.value, base.value)}; {gain_text(gain)})"
            )
        if not said:
            return NOT_YET
        return f"{_recipe(arm)}. {'. '.join(said)}."

    return sentence


def _models(campaign: Campaign) -> str:
    return (
        f"{campaign.count('main')} distinct runs finished, and {campaign.count('baseline')} seeds "
        f"of the baseline, {campaign.count('seeds')} extra seeds of the representatives, "
        f"{campaign.count('injection')} runs with injected noise. Failed runs: "
        f"{campaign.analysis['counts']['failed']}, in no figure."
    )


def _test(campaign: Campaign) -> str:
    x, y = held_out("spearman"), challenge("spearman")
    arms = [arm for arm in campaign.arms if x in arm.means and y in arm.means]
    if len(arms) < _FEW_ARMS:
        return (
            f"{len(arms)} arms have finished, too few for a correlation over arms "
            f"({_FEW_ARMS} are needed)."
        )
    found = spearman([a.means[x].value for a in arms], [a.means[y].value for a in arms])
    # Fisher's z with the variance of a Spearman correlation (Bonett and Wright 2000).
    half = 1.96 * np.sqrt((1 + found**2 / 2) / (len(arms) - 3))
    low, high = (float(np.tanh(np.arctanh(found) + side * half)) for side in (-1, 1))
    single = sum(arm.is_exploratory for arm in arms)
    return (
        f"Spearman of test and CAGI5 accuracy over {len(arms)} arms: {signed(found)} "
        f"{interval(low, high)}, an interval that takes arms for independent, which those of one "
        f"family are not; exploratory, as {single} of the arms are."
    )


def _noise(campaign: Campaign) -> str:
    arm, calibrated, raw = campaign.published_as("RS3"), *map(held_out, ("r_noise", "r_noise_raw"))
    if arm is None or calibrated not in arm.means or campaign.baseline is None:
        return NOT_YET
    counts = []
    for cell in (raw, calibrated):
        values = campaign.values(cell)
        counts.append(f"{int((values < 0).sum())} of {values.size}")
    # The mean of every metric of the test fold stands in the table of runs too.
    before = campaign.values(raw, arm=arm.name)
    base = campaign.baseline.means.get(calibrated)
    return (
        f"{_recipe(arm)}: {signed(float(before.mean()))} from raw outputs, "
        f"{signed(arm.means[calibrated].value)} after calibration; baseline "
        f"{signed(base.value if base else np.nan)}. Negative runs: {counts[0]} raw, {counts[1]} "
        "calibrated."
    )


def _families(campaign: Campaign) -> str:
    cell = challenge("spearman")
    medians = {
        family: campaign.values(cell, family=family) for family in ("baseline", *campaign.families)
    }
    known = {family: values for family, values in medians.items() if values.size > 1}
    if not known:
        return NOT_YET
    order = sorted(known, key=lambda family: -float(np.median(known[family])))
    said = [
        f"{look_of(family).label} {number(float(np.median(known[family])))} "
        f"(SD {number(float(known[family].std(ddof=1)))}, {known[family].size} runs)"
        for family in order
    ]
    return (
        f"Medians: {', '.join(said)}. The order is not tested: SDs are over the runs shown, of "
        "different recipes, and the families differ in how many runs they have."
    )


def _highest(campaign: Campaign) -> str:
    cells = [challenge("spearman", element) for element in FOUR]
    if any(cell not in campaign.runs.columns for cell in cells):
        return NOT_YET
    table = campaign.runs[cells].dropna().to_numpy(np.float64)
    best = np.bincount(table.argmax(axis=1), minlength=len(FOUR))
    said = [f"{element} in {count}" for element, count in zip(FOUR, best, strict=True)]
    return f"Highest Spearman of the four, of {len(table)} runs: {', '.join(said)}."


def _gap(campaign: Campaign) -> str:
    arm, cell = campaign.published_as("DH7"), challenge("spearman_gap")
    ranked = campaign.ranked(challenge("spearman"))[:_TOP]
    if arm is None or cell not in arm.means or campaign.baseline is None:
        return NOT_YET
    smaller = [one.name for one in ranked if one.mean(cell).value < arm.means[cell].value]
    base = campaign.baseline.mean(cell).value
    return (
        f"{arm.name}: {number(arm.means[cell].value)}, baseline {number(base)}. Of the "
        f"{len(ranked)} best "
        f"arms {len(smaller)} have a smaller gap than {arm.name}"
        f"{'' if arm in ranked else ', which is not among them'}."
    )


def injected(campaign: Campaign) -> str:
    """What the injection curves say: arms above and below the baseline at each level."""
    said = []
    for split, name in (("test", "test"), ("challenge", "CAGI5")):
        rows = [r for r in campaign.injection(split) if r["difference"] is not None]
        levels = sorted({row["level"] for row in rows if row["level"] > 0})
        for level in levels:
            here = [row for row in rows if row["level"] == level]
            up = [row["arm"] for row in here if row["difference_low"] > 0]
            down = [row["arm"] for row in here if row["difference_high"] < 0]
            best = max(here, key=lambda row: row["difference"])
            said.append(
                f"{name}, level {level:g}: {len(up)} of {len(here)} arms above the baseline"
                f"{_list(up)}, {len(down)} below{_list(down)}; largest difference {best['arm']} "
                f"{signed(best['difference'])}"
            )
    if not said:
        return NOT_YET
    counts = [
        count_of(row["seeds"])
        for split in ("test", "challenge")
        for row in campaign.injection(split)
        if row["level"] > 0
    ]
    few, many = min(counts), max(counts)
    enough = len(campaign.baseline.seeds) if campaign.baseline else np.inf
    seeds = f"{many}" if few == many else f"{few} to {many}"
    return (
        f"By intervals that exclude 0, not corrected, with {seeds} seed{'s' if many > 1 else ''} "
        f"an arm{' and so exploratory' if few < enough else ''}: {'. '.join(said)}."
    )


def setting(campaign: Campaign) -> str:
    """What was trained, how weak it is, and how variants were scored, beside what was published."""
    runs, assays = campaign.runs, set(campaign.rows.query("split == 'test'")["element"]) - {"mean"}
    size = Cell("run", "parameters", "run")
    of_base = runs.loc[runs["family"] == "baseline"]
    known = of_base[size].dropna() if size in runs.columns else of_base.iloc[:0]
    parameters = f", of {known.iloc[0]:,.0f} parameters (the baseline's)" if len(known) else ""
    return (
        f"These are weak networks{parameters}, that learn from {len(assays)} assays whose "
        f"replicate noise was measured. {_level(campaign)} A variant's effect is the mean "
        f"over these assays and both strands. {_choice(campaign)} The published networks, of "
        f"{PARAMETERS:,} parameters, learnt from K562 lentiMPRA and were scored on the plus "
        "strand. So neither levels nor relative gains can be compared with the published ones; "
        "signs and ranks at most."
    )


def _level(campaign: Campaign) -> str:
    """The baseline beside the published one, and beside the floor."""
    baseline, (test, matched) = campaign.baseline, (held_out("spearman"), challenge("spearman"))
    if baseline is None:
        return f"The published MSE baseline reached {BASELINE.mean_spearman:.3f} on CAGI5."
    said = (
        f"On CAGI5 the baseline reaches a mean Spearman of {number(baseline.mean(matched).value)} "
        f"over the four elements, where the published MSE baseline reached "
        f"{BASELINE.mean_spearman:.3f} on the same variants"
    )
    floor = campaign.floor
    if test not in floor:
        return f"{said}."
    cells = [
        c for c in floor if c.split == "test" and c.metric == "spearman" and c.element != "mean"
    ]
    above = [c.element for c in cells if floor[c].value > baseline.mean(c).value]
    names = f" ({', '.join(above)})" if above else ""
    return (
        f"{said} and a 6-mer ridge regression on our own training rows reaches "
        f"{number(floor[matched].value)}{_over_floor(campaign, matched)}; on held-out sequences "
        f"it is {number(baseline.mean(test).value)} against {number(floor[test].value)} for the "
        f"regression{_over_floor(campaign, test)}, which is above the network on {len(above)} of "
        f"{len(cells)} assays{names}."
    )


def _over_floor(campaign: Campaign, cell: Cell) -> str:
    """The baseline minus the regression with its interval, in brackets; nothing if unknown."""
    for row in campaign.analysis["floor"]["baseline_minus_floor"]:
        if (row["split"], row["metric"], row["element"]) == cell and row["ci_low"] is not None:
            ends = interval(row["ci_low"], row["ci_high"])
            return f" (baseline minus regression {signed(row['value'])} {ends})"
    return ""


def _choice(campaign: Campaign) -> str:
    """How the reading of a variant was chosen, with the numbers behind it."""
    base, readings = campaign.analysis["baseline"]["arm"], ("all_assays", "cell_type")
    ours, theirs = (campaign.released(base, reading) for reading in readings)
    runs = "baseline seeds"
    if not ours.size:
        ours, theirs = (
            np.concatenate([campaign.released(arm.name, reading) for arm in campaign.arms])
            for reading in readings
        )
        runs = f"runs of other arms, as {base} has not been scored there again"
    if not ours.size:
        return "That reading was chosen on the release set (not scored again for this page)."
    return (
        f"That reading was chosen on the release set: there it is above the assays of the cell "
        f"type in {int((ours > theirs).sum())} of {ours.size} {runs} "
        f"({number(ours.mean())} against {number(theirs.mean())}, mean of the four)."
    )


def not_here(campaign: Campaign) -> tuple[str, ...]:
    """What the protocol asks for, or a reader may expect, and this campaign does not have."""
    code = campaign.analysis["environments"]
    return (
        "Windows that follow the assayed construct: stored predictions are of the 230 bases of "
        "genome around a variant alone.",
        "The best validation epoch: every run predicts with the averaged weights of its last "
        "epoch, and no others are kept. The table of epochs says where validation was best.",
        "Independent elements: TERT-GBM and TERT-HEK293T are one locus in two cells and count as "
        "two of the 15, by the published convention; high and low confidence follow the size of "
        "the effect.",
        "A history of failures: a failed run that was tried again and finished counts as finished, "
        "and its traceback is gone.",
        "A use of raw scales: nll_raw, rmse_raw and coverage.._raw of metrics.tsv mean nothing for "
        "a ranking loss, whose scale is free; no table shows them.",
        "One version of the code for all runs: "
        + ", ".join(f"{e['runs']} runs by {e['code']} on {e['threads']} thread(s)" for e in code)
        + ". Fingerprints, of every field of a recipe, are those of today's recipes; constants of "
        "the code are not in them and have a test of their own.",
    )


def count_of(seeds: int | Sequence[int]) -> int:
    """How many seeds a row of the injection curves rests on."""
    return seeds if isinstance(seeds, int) else len(seeds)


def _list(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


STATEMENTS: dict[str, Callable[[Campaign], str]] = {
    "models": _models,
    "best": _of_arm("DH7", ("Mean Spearman", challenge("spearman"))),
    "test": _test,
    "pearson": _of_arm("DH8", ("Mean Pearson", challenge("pearson"))),
    "low": _of_arm(
        "DH7",
        ("Low confidence", challenge("spearman_low")),
        ("High confidence", challenge("spearman_high")),
    ),
    "noise": _noise,
    "families": _families,
    "hbb": _highest,
    "gap": _gap,
    "gp1bb": _of_arm("DH7", *((element, challenge("spearman", element)) for element in FOUR)),
}
"""{key of a claim: our sentence}."""
