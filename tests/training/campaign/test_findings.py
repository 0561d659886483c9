"""What the arms show: the verdict follows the numbers, and only evidence counts."""

from __future__ import annotations

import numpy as np
import pytest

from training.campaign.arms import Arm, Belief
from training.campaign.findings import PRIMARY, _contests, findings, visible
from training.campaign.metrics import CAGI5, MEAN, TEST, Measure
from training.evaluation.agreement import Sample

SEEDS = (42, 123, 456, 789, 1011)
LOW, ELEMENT = PRIMARY._replace(metric="spearman_low"), PRIMARY._replace(element="SORT1")
TEST_MEAN = Measure(TEST, "spearman", MEAN)
MEASURES = (PRIMARY, LOW, ELEMENT, TEST_MEAN, Measure(TEST, "scale", MEAN))
FAMILIES = {"ranking": "rank_stability", "gating": "noise_gated"}
DRAWS = 300
SHARED = np.random.default_rng(0).normal(0, 0.02, DRAWS)


def arm(name, gains=None, seeds=5, level=0.0, seed=0, family=None):
    """Values 0.35 plus a gain by measure, seed SD 0.01, draws that all arms share."""
    rng = np.random.default_rng([seed, len(name), ord(name[0]), ord(name[-1])])
    values, draws = {}, {}
    for measure in MEASURES:
        mean = 0.35 + (gains or {}).get(measure, 0.0)
        luck = rng.normal(0, 0.01, seeds)
        values[measure] = mean + luck - luck.mean()
        draws[measure] = mean + SHARED + rng.normal(0, 0.003, DRAWS)
    return Arm(
        name=name,
        family=family or name,
        level=level,
        seeds=SEEDS[:seeds],
        values=values,
        draws=draws,
        within=dict.fromkeys(MEASURES, 0.0),
    )


def found(*arms):
    return findings(
        arms,
        baseline="mse",
        representatives=FAMILIES,
        aliases={"rank_stability": ("RS1", "RS2")},
        seed=0,
    )


def test_a_representative_that_wins_gives_yes_and_its_size():
    verdict = found(arm("mse"), arm("rank_stability", {PRIMARY: 0.08}), arm("noise_gated"))[
        "verdict"
    ]
    assert verdict["ready"]
    assert verdict["beats"]
    assert verdict["best"]["arm"] == "rank_stability"
    assert verdict["best"]["difference"] == pytest.approx(0.08)
    assert verdict["best"]["ci_low"] > 0
    assert [(w["arm"], w["metric"], w["element"]) for w in verdict["wins"]] == [
        ("rank_stability", "spearman", PRIMARY.element)
    ]


def test_a_loss_is_no_win_however_certain():
    verdict = found(arm("mse"), arm("rank_stability", {PRIMARY: -0.08}), arm("noise_gated"))[
        "verdict"
    ]
    assert not verdict["beats"]
    assert verdict["best"]["arm"] == "noise_gated"
    (cell,) = verdict["wins"]  # it is listed, with its sign
    assert cell["difference"] < 0


def test_a_single_seed_decides_nothing():
    lucky = arm("noise_gated.alpha0.5", {PRIMARY: 0.2}, seeds=1)
    shown = found(arm("mse"), arm("rank_stability"), arm("noise_gated"), lucky)
    assert not shown["verdict"]["beats"]
    assert shown["verdict"]["best"]["arm"] != lucky.name
    entry = next(a for a in shown["arms"] if a["arm"] == lucky.name)
    assert entry["exploratory"]
    assert not entry["representative"]
    primary = next(d for d in entry["differences"] if Measure(*list(d.values())[:3]) == PRIMARY)
    assert np.isnan(primary["p_holm"])
    assert primary["p_max_t"] < 0.05
    assert np.isnan(next(iter(entry["means"]))["seed_sd"])


def test_with_seeds_missing_it_is_not_ready():
    assert not found(arm("mse"), arm("rank_stability", seeds=3), arm("noise_gated"))["verdict"][
        "ready"
    ]
    assert not found(arm("mse", seeds=4), arm("rank_stability"), arm("noise_gated"))["verdict"][
        "ready"
    ]
    missing = found(arm("mse"), arm("rank_stability"))["verdict"]
    assert not missing["ready"]
    alone = found(arm("mse"))["verdict"]
    assert alone["best"] is None
    assert not alone["beats"]


def test_the_answer_is_corrected_for_the_number_of_representatives():
    # Of two representatives one has p between 0.025 and 0.05: alone it would pass, together not.
    arms = arm("mse"), arm("rank_stability", {PRIMARY: 0.0205}), arm("noise_gated")
    shown = found(*arms)
    gain = next(a for a in shown["arms"] if a["arm"] == "rank_stability")["differences"]
    primary = next(d for d in gain if Measure(*list(d.values())[:3]) == PRIMARY)
    assert 0.025 < primary["p_value"] < 0.05
    assert primary["p_holm"] == pytest.approx(2 * primary["p_value"])
    assert primary["p_above"] > 0.96  # nor does that decide
    assert shown["verdict"]["ready"]
    assert not shown["verdict"]["beats"]


def test_representatives_that_have_not_finished_are_paid_for():
    alone = found(arm("mse"), arm("rank_stability", {PRIMARY: 0.0205}))
    best = alone["verdict"]["best"]
    primary = alone["arms"][1]["differences"][0]
    assert best["p_holm"] == pytest.approx(2 * primary["p_value"])
    assert (alone["verdict"]["declared"], alone["verdict"]["representatives"]) == (
        2,
        ["rank_stability", "noise_gated"],
    )


def test_what_could_be_seen_follows_the_intervals():
    rng = np.random.default_rng(0)
    draws = [Belief(0.0, rng.normal(0, sd, 20_000)) for sd in (0.01, 0.02, 0.05)]
    seen = visible(draws, 7)
    assert seen["half_width"] == pytest.approx(1.96 * 0.02, rel=0.03)
    # Two-sided 0.05 / 7 and power 0.8: 2.69 + 0.84 standard errors.
    assert seen["smallest"] == pytest.approx((2.69 + 0.842) * 0.02, rel=0.03)
    assert visible([], 7) is None


def test_the_floor_stands_beside_the_baseline_on_the_same_resamples():
    base = arm("mse")
    floor = {PRIMARY: Sample(0.3, base.draws[PRIMARY] - 0.05)}
    shown = findings(
        [base, arm("rank_stability")], baseline="mse", representatives=FAMILIES, aliases={},
        seed=0, floor=("ridge", floor),
    )["floor"]  # fmt: skip
    assert shown["name"] == "ridge"
    (gap,) = shown["baseline_minus_floor"]
    assert gap["value"] == pytest.approx(0.05)
    # Of what both share nothing is left; of the seeds 0.01 / sqrt(5), Student's t.
    assert gap["ci_high"] - gap["ci_low"] == pytest.approx(2 * 2.78 * 0.01 / 5**0.5, rel=0.5)
    assert found(base)["floor"] is None


def test_the_clean_spread_over_seeds_is_that_of_clean_arms():
    def pair(level: float, sd: float, count: int = 2) -> Arm:
        values = 0.3 + sd * np.array([-1.0, 1.0])[:count]
        runs = {n: {PRIMARY: Sample(v, np.full(9, v))} for n, v in enumerate(values)}
        return Arm.of("mse", "baseline", level, runs)

    # A level at which no arm has two seeds borrows the clean spread, not that of noisier levels.
    arms = [pair(0.0, 0.01), pair(1.0, 0.05), pair(2.0, 0.05, count=1)]
    spread = _contests(arms, "mse", {}, 0)[2.0].pooled.sd[PRIMARY]
    assert spread == pytest.approx(0.01 * 2**0.5)


def test_without_the_baseline_there_is_nothing_to_compare():
    with pytest.raises(ValueError, match="baseline"):
        found(arm("rank_stability"))


def test_an_exploratory_arm_shows_headlines_only():
    shown = found(arm("mse"), arm("rank_stability"), arm("noise_gated.beta", seeds=1))["arms"]
    elements = {a["arm"]: {m["element"] for m in a["means"]} for a in shown}
    assert "SORT1" in elements["mse"] & elements["rank_stability"]
    assert "SORT1" not in elements["noise_gated.beta"]
    assert shown[0]["differences"] == []
    assert shown[1]["aliases"] == ["RS1", "RS2"]
    assert not any(m["metric"] == "scale" for a in shown for m in a["means"])


def test_a_curve_compares_arms_at_one_level():
    arms = [arm("mse"), arm("rank_stability"), arm("noise_gated")]
    for level, gain in {0.5: 0.0, 1.0: 0.05}.items():
        arms += [
            arm("mse", {PRIMARY: -0.1 * level}, seeds=2, level=level),
            arm("rank_stability", {PRIMARY: gain - 0.1 * level}, seeds=2, level=level),
        ]
    rows = [row for row in found(*arms)["injection"] if row["metric"] == "spearman"]
    curve = {
        (row["arm"], row["level"]): row
        for row in rows
        if row["split"] == CAGI5 and row["element"] == PRIMARY.element
    }
    assert {name for name, _ in curve} == {"mse", "rank_stability"}  # noise_gated never had noise
    assert curve["mse", 1.0]["value"] == pytest.approx(0.25)
    assert curve["mse", 1.0]["difference"] is None
    assert curve["rank_stability", 1.0]["difference"] == pytest.approx(0.05)
    assert curve["rank_stability", 0.5]["difference"] == pytest.approx(0, abs=1e-9)
    assert curve["rank_stability", 0.0]["seeds"] == list(SEEDS)
    row = curve["rank_stability", 1.0]
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_noise_free_arms_do_not_meet_noisy_ones():
    noisy = [arm("mse", seeds=2, level=1.0), arm("rank_stability", {PRIMARY: 0.3}, 2, 1.0)]
    shown = found(arm("mse"), arm("rank_stability"), arm("noise_gated"), *noisy)
    assert [a["arm"] for a in shown["arms"]] == ["mse", "rank_stability", "noise_gated"]
    assert not shown["verdict"]["beats"]


def test_each_level_of_noise_has_its_own_spread_over_seeds():
    def pair(level: float, sd: float) -> Arm:
        values = 0.3 + sd * np.array([-1.0, 1.0])
        runs = {n: {PRIMARY: Sample(v, np.full(9, v))} for n, v in enumerate(values)}
        return Arm.of("mse", "baseline", level, runs)

    contests = _contests([pair(0.0, 0.01), pair(2.0, 0.05)], "mse", {}, 0)
    spreads = {level: contest.pooled.sd[PRIMARY] for level, contest in contests.items()}
    assert spreads == pytest.approx({0.0: 0.01 * 2**0.5, 2.0: 0.05 * 2**0.5})
