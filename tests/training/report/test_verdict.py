"""The answer follows the table."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.training.report.synthetic import Plan, write_campaign
from training.report.campaign import Campaign, challenge
from training.report.claims import CLAIMS, SEED_SD, SINGLE_SEED_NOISE, TWO_SINGLE_RUNS
from training.report.statements import (
    NOT_YET,
    STATEMENTS,
    injected,
    p_text,
    relative,
    setting,
    share,
)
from training.report.verdict import verdict


def read(folder: Path, plan: Plan) -> Campaign:
    return Campaign.read(write_campaign(folder, plan))


@pytest.mark.parametrize(
    ("plan", "answer"),
    [
        pytest.param(Plan(gain=-0.06), "No", id="every arm loses"),
        # "No" used to be said of every difference that was merely not shown.
        pytest.param(Plan(gain=0.0), "Not shown", id="no difference"),
        pytest.param(Plan(gain=-0.03, half=0.002), "No", id="sharp, and every arm is below"),
        pytest.param(Plan(winner="dh7", p_holm=0.2), "Not shown", id="a gain that chance explains"),
        pytest.param(Plan(winner="dh7"), "Yes", id="a representative wins"),
        pytest.param(
            Plan(winner="hard_negative.t0.5", bonus=0.2), "Not shown", id="only a single seed"
        ),
        pytest.param(Plan(winner="dh7", seeds=(42, 123)), "Not decided yet", id="few seeds"),
        pytest.param(Plan(finished=0.3), "Not decided yet", id="few arms"),
        pytest.param(Plan(has_baseline=False), "Not decided yet", id="no baseline"),
        pytest.param(Plan(finished=0.0), "Not decided yet", id="the baseline alone"),
    ],
)
def test_answer(tmp_path: Path, plan: Plan, answer: str) -> None:
    assert verdict(read(tmp_path, plan)).answer == answer


def test_says_by_how_much_and_how_surely(tmp_path: Path) -> None:
    campaign = read(tmp_path, Plan(winner="dh7"))
    said = " ".join(verdict(campaign).sentences)
    arm = campaign.published_as("DH7")
    assert arm is not None
    gain, base = arm.gains[challenge("spearman")], campaign.baseline
    assert base is not None
    relative = gain.value / base.means[challenge("spearman")].value
    assert f"that of dh7: {gain.value:+.3f} ({relative:+.1%})" in said
    assert f"[{gain.low:+.3f}, {gain.high:+.3f}]" in said
    assert f"probability of being above the baseline {share(gain.p_above)}" in said
    assert f"p {p_text(gain.p_holm)} after Holm over the 7 declared" in said
    assert "not corrected for having picked the largest" in said
    assert "1 (dh7) is above it and none is below it" in said
    assert "above the baseline" in said
    assert "(high confidence)" in said


def test_what_is_clear_follows_the_corrected_p_alone(tmp_path: Path) -> None:
    # A probability of 0.98 of being above, uncorrected, once would have passed unnoticed.
    campaign = read(tmp_path, Plan(winner="dh7", p_holm=0.2, p_above=0.98))
    said = " ".join(verdict(campaign).sentences)
    assert "none is above it and none is below it (Holm-corrected p < 0.05)" in said


def test_says_what_the_design_could_see(tmp_path: Path) -> None:
    said = " ".join(verdict(read(tmp_path, Plan(half=0.05))).sentences)
    assert "an observed difference below 0.050 (half of a typical 95 % interval here)" in said
    assert "about 0.090 to pass Holm's correction in 80 %" in said
    assert "the published gain is 0.0045" in said


def test_the_release_set_stands_beside_the_largest_difference(tmp_path: Path) -> None:
    campaign = read(tmp_path, Plan(winner="dh7"))
    said = " ".join(verdict(campaign).sentences)
    # Planted: 0.163 against 0.203 there, whatever the challenge set says.
    assert "the difference of dh7 is -0.040 (0.163 \N{PLUS-MINUS SIGN} 0.0" in said
    assert "5 and 5 seeds; no interval over positions" in said
    (tmp_path / "release.tsv").unlink()
    said = " ".join(verdict(Campaign.read(tmp_path)).sentences)
    assert "On the release set dh7 and mse have not been scored." in said


def test_failed_and_missing_seeds_are_named(tmp_path: Path) -> None:
    few = read(tmp_path, Plan(finished=0.3, failures=("dh7/456", "noise_gated.alpha0.5/42")))
    said = verdict(few).sentences[0]
    assert "failed: dh7/456 (RuntimeError: diverged). All need five seeds" in said
    assert "alpha0.5" not in said  # it decides nothing
    assert "no finished and defined run yet of dh7, contrastive_anchor" in said
    assert "undefined in" not in said


def test_weak_networks_are_called_so(tmp_path: Path) -> None:
    campaign = read(tmp_path, Plan(seeds=(42, 123)))  # undecided, and said all the same
    said = setting(campaign)
    assert said.startswith("These are weak networks, of 50,123 parameters (the baseline's), that")
    base = campaign.baseline
    assert base is not None
    assert f"mean Spearman of {base.mean(challenge('spearman')).value:.3f} over the four" in said
    assert "reached 0.386 on the same variants" in said
    assert "6-mer ridge regression on our own training rows reaches 0.123 (baseline minus" in said
    assert "regression +0.020 [-0.010, +0.050]); on held-out" in said
    assert "against 0.434 for the regression" in said
    assert "above the network on 1 of 3 assays (mattioli2018_pool1_K562)" in said
    assert "neither levels nor relative gains can be compared" in said
    assert "in 2 of 2 baseline seeds (0.202 against 0.182, mean of the four)" in said
    release = campaign.release[campaign.release["arm"] == "dh7"]
    said = setting(replace(campaign, release=release))
    assert "in 2 of 2 runs of other arms, as mse has not been scored there again (0.162" in said


def test_a_correlation_over_a_few_arms_is_not_given(tmp_path: Path) -> None:
    few, many = (read(tmp_path / str(share), Plan(finished=share)) for share in (0.5, 1.0))
    assert STATEMENTS["test"](few).startswith("12 arms have finished, too few")
    assert "exploratory" in STATEMENTS["test"](many)
    assert "], an interval that takes arms for independent" in STATEMENTS["test"](many)


def test_losers_are_named(tmp_path: Path) -> None:
    said = " ".join(verdict(read(tmp_path, Plan(gain=-0.08))).sentences)
    assert "none is above it and 7 (" in said
    assert "above the baseline nowhere" in said


def test_single_seeds_are_called_exploratory(campaign: Campaign) -> None:
    few = [arm for arm in campaign.others if len(arm.seeds) < 5]
    assert (
        f"Arms with fewer seeds, {len(few)} so far, are exploratory"
        in verdict(campaign).sentences[-1]
    )
    assert pytest.approx(TWO_SINGLE_RUNS * SEED_SD, abs=0.005) == SINGLE_SEED_NOISE
    # Our own seed noise beside the published one; 1.96 sqrt(2) 0.012 = 0.033.
    assert "here the pooled SD is 0.012" in verdict(campaign).sentences[-1]
    assert "differ by up to 0.033 in 95 % of cases" in verdict(campaign).sentences[-1]


def test_published_arithmetic() -> None:
    said = {claim.key: claim.arithmetic for claim in CLAIMS}
    for key, part in {
        "models": "= 75 configured runs; less 2 duplicates (NG8 = ABL4, NG9 = ABL1) 73 distinct",
        "best": "0.390513 / 0.386005 - 1 = +1.2%, a difference of +0.0045",
        "low": "0.2265 / 0.2066 - 1 = +9.6%; high-confidence: 0.6797 / 0.6868 - 1 = -1.0%",
        "gp1bb": "0.3118 / 0.1500 - 1 = +107.9%",
        "pearson": "0.5571 / 0.5000 - 1 = +11.4%",
        "noise": "RS3 -0.0877, baseline +0.0155",
    }.items():
        assert part in said[key]
    assert "GP1BB -8.3%, HBB +14.9%, HBG1 +0.7%, PKLR -4.8%" in said["gp1bb"]
    assert "0.5706: -2.4%" in said["pearson"]


def test_statements_are_computed(campaign: Campaign) -> None:
    arm, base = campaign.published_as("DH7"), campaign.baseline
    assert arm is not None
    assert base is not None
    low = challenge("spearman_low")
    assert (
        f"Low confidence: {arm.means[low].value:.3f} against {base.means[low].value:.3f}"
        in STATEMENTS["low"](campaign)
    )
    assert "The recipe of RS1, RS2, RS3 here (rank_stability, 5 seeds): -0.0" in STATEMENTS[
        "noise"
    ](campaign)
    assert "The recipe of DH7 here (dh7, 5 seeds). " in STATEMENTS["best"](campaign)
    raw = campaign.rows.query("metric == 'r_noise_raw' and element == 'mean' and level == 0")
    negative = int((raw["value"] < 0).sum())
    assert f"{negative} of {len(raw)} raw" in STATEMENTS["noise"](campaign)
    assert "exploratory" in STATEMENTS["pearson"](campaign)  # DH8 has one seed
    assert "with 1 seed an arm and so exploratory: test, level 0.5: " in injected(campaign)


def test_share_of_a_baseline_below_zero_is_not_given() -> None:
    assert (relative(0.01, 0.4), relative(-0.01, 0.4)) == ("+2.5%", "-2.5%")
    assert relative(0.01, -0.4) == "-"


def test_nothing_is_claimed_before_it_is_measured(tmp_path: Path) -> None:
    campaign = read(tmp_path, Plan(finished=0.05, has_baseline=False))
    for key in ("best", "low", "gp1bb", "pearson", "noise", "gap"):
        assert STATEMENTS[key](campaign) == NOT_YET


def test_probabilities_never_round_to_certainty() -> None:
    assert (share(0.9999), share(0.0001), p_text(1e-9)) == ("> 0.99", "< 0.01", "< 0.001")
    assert (share(0.5), p_text(0.0421)) == ("0.50", "0.042")


def test_a_gain_of_the_network_alone_is_not_passed_off_as_a_treatment_of_noise(
    tmp_path: Path,
) -> None:
    said = " ".join(verdict(read(tmp_path / "one", Plan(winner="factorized"))).sentences)
    assert "factorized has the baseline's loss and sampler" in said
    assert "not of a treatment of noise. Of the 6 that treat labels or batches otherwise" in said
    other = " ".join(verdict(read(tmp_path / "other", Plan(winner="dh7"))).sentences)
    assert "a gain of architecture" not in other
    # Nor is it spoken of where chance explains it.
    plan = Plan(winner="factorized", p_holm=0.2)
    chance = " ".join(verdict(read(tmp_path / "chance", plan)).sentences)
    assert "a gain of architecture" not in chance


def test_beside_a_gain_of_the_network_stand_its_size_and_the_best_of_the_others(
    tmp_path: Path,
) -> None:
    campaign = read(tmp_path, Plan(winner="factorized"))
    sizes = pd.DataFrame(
        {"run": f"{arm}/42", "arm": arm, "family": family, "seed": 42, "suite": suite, "level": 0.0}
        | {"split": "run", "metric": "parameters", "element": "run", "value": value}
        for arm, family, suite, value in (
            ("mse", "baseline", "baseline", 50_023.0),
            ("factorized", "factorized", "main", 35_719.0),
        )
    )
    rows = campaign.rows[campaign.rows["metric"] != "parameters"]
    campaign = replace(campaign, rows=pd.concat([rows, sizes]))
    said = " ".join(verdict(campaign).sentences)
    assert "the network (35,719 parameters against 50,023)" in said
    others = [arm for arm in campaign.representatives if arm.name != "factorized"]
    best = max(others, key=lambda arm: arm.gains[challenge("spearman")].value)
    gain = best.gains[challenge("spearman")]
    assert f"the largest difference is that of {best.name}: {gain.value:+.3f}" in said


def test_only_what_was_not_scored_on_the_release_set_is_said_not_to_have_been(
    tmp_path: Path,
) -> None:
    campaign = read(tmp_path, Plan(winner="dh7"))
    for arms, said in (
        (("mse",), "On the release set mse has not been scored."),
        (("dh7",), "On the release set dh7 has not been scored."),
        (("dh7", "mse"), "On the release set dh7 and mse have not been scored."),
    ):
        left = campaign.release[~campaign.release["arm"].isin(arms)]
        assert said in verdict(replace(campaign, release=left)).sentences
