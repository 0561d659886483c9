"""Judging a distribution: what holds is found to hold, what is too narrow is found out."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from service.mixture import Mixture
from service.triage import TIERS, Tier, triage
from tests.toy_models import SumModel, write_model
from tests.training.test_shape import LOPSIDED, TRUTH, simulated
from tests.training.toy_cagi5 import write_cagi5
from training import cli
from training.card import read_card
from training.datasets.cagi5 import ELEMENTS, locus_of
from training.evaluation.agreement import position_counts
from training.evaluation.drawings import INTERVALS
from training.evaluation.predictions import NOMINAL
from training.evaluation.report import Report
from training.evaluation.risk_tables import RISK
from training.evaluation.triage_tables import tiers_kept
from training.evaluation.uncertainty import fit_left_out, judge
from training.evaluation.uncertainty_tables import layout

SAID = "predicted share with its error"
KINDS = ("loss", "gain")
WAYS = ("lowers", "raises")


def of_elements(seed, n=3000):
    """Evidence with the real names of elements, and the table beside it."""
    evidence = simulated(seed, n)
    element = np.array([ELEMENTS[k % len(ELEMENTS)] for k in range(n)])
    locus = np.array([locus_of(name) for name in element])
    table = pd.DataFrame(
        {"element": element, "pos": np.arange(n) // 45, "confidence": np.linspace(0, 0.5, n)}
    )
    return dataclasses.replace(evidence, locus=locus), table


def exported(evidence, sd=0.9):
    return Mixture.normal(evidence.effect, np.full(len(evidence.effect), sd))


@pytest.fixture(scope="module")
def fitted():
    """Without each locus in turn: the same for every judged set."""
    return fit_left_out(of_elements(0)[0])


@pytest.fixture(scope="module")
def report(fitted):
    other, table = of_elements(1)
    return layout("toy", judge(fitted, other, table, exported(other)), draws=100)


def test_a_distribution_that_holds_is_found_to_hold(report):
    table = report.table("Coverage, one locus left out")
    for nominal in (50, 80, 90, 95):
        assert table.cell("all", f"inside {nominal}%") == pytest.approx(nominal / 100, abs=0.03)
    assert table.cell("all", "n") == sum(table.cell(name, "n") for name in ELEMENTS) == 3000
    scores = report.table("Scores of the whole distribution")
    relative = "CRPS of calibrated, relative"
    assert scores.cell("calibrated", relative).value == 1
    assert scores.cell("constant width", relative).high < 1
    assert scores.cell("one shape about zero", relative).high < 1
    assert scores.cell("as exported", relative).high < 0.7
    pit = report.table("Probability integral transform (0.1 in each if the distribution holds)")
    np.testing.assert_allclose([row[1].value for row in pit.rows], 0.1, atol=0.03)
    assert all(row[1].low < row[1].value < row[1].high for row in pit.rows)
    assert max(row[2].low for row in pit.rows) > 0.2, "far too wide: all in the middle"
    reliable = report.table(INTERVALS)
    for (label, share, lowest, highest, wide), nominal in zip(reliable.rows, NOMINAL, strict=True):
        assert label == f"{nominal:.0%}"
        assert lowest <= share.low < share.value < share.high <= highest
        assert share.value == pytest.approx(table.cell("all", f"inside {label}"))
        assert wide.value == pytest.approx(table.cell("all, as exported", f"inside {label}"))


def test_signs_come_true_as_often_as_said(report):
    table = report.table("Sign of the measurement")
    for row in table.rows:
        _, n, _, said, share = row
        assert abs(said - share.value) < 0.03 + 2 / np.sqrt(n), row
    firsts = [row[3] for row in table.rows[:-1]]
    assert firsts == sorted(firsts)
    assert firsts[-1] > 0.6


def test_each_direction_has_a_row_of_its_own(report):
    # Losses and gains that are wrong by as much the other way look right together.
    whole = report.table("Sign of the measurement")
    apart = report.table("Sign of the measurement, by the direction of what is expected")
    assert [row[0] for row in apart.rows] == [
        label
        for kind in WAYS
        for label in (*(f"{kind}, fifth {k} of 5" for k in range(1, 6)), kind)
    ]
    lowers, raises = (next(row for row in apart.rows if row[0] == kind) for kind in WAYS)
    assert lowers[1] + raises[1] == whole.cell("all", "n")
    for k in (3, 4):  # what is said, and the share
        parts = [row[1] * getattr(row[k], "value", row[k]) for row in (lowers, raises)]
        found = whole.rows[-1][k]
        assert sum(parts) / (lowers[1] + raises[1]) == pytest.approx(getattr(found, "value", found))
    for row in apart.rows:
        assert abs(row[3] - row[4].value) < 0.03 + 2 / np.sqrt(row[1]), row


def test_signs_that_lean_more_than_was_said_are_found_out_by_direction(fitted):
    other, table = of_elements(1)
    judged = judge(fitted, other, table, exported(other))
    # Signs of half of the gains turn out wrong: none of the fits has seen that.
    value = np.where(np.arange(len(other.value)) % 2 == 0, -np.abs(other.value), other.value)
    turned = dataclasses.replace(judged, evidence=dataclasses.replace(other, value=value))
    found = layout("toy", turned, draws=100).table(
        "Sign of the measurement, by the direction of what is expected"
    )
    said, share = (found.columns.index(name) for name in (SAID, "share"))
    lowers, raises = (next(row for row in found.rows if row[0] == kind) for kind in WAYS)
    assert lowers[share].low > lowers[said] + 0.1
    assert raises[share].high < raises[said] - 0.1


def test_one_lopsided_shape_lies_where_effects_do_and_says_more_than_one_about_zero():
    names = [name for name in ELEMENTS if name in {"F9", "GP1BB", "HBB", "LDLR"}]
    evidence = simulated(3, 1200, shape=LOPSIDED)
    element = np.array([names[k % len(names)] for k in range(1200)])
    evidence = dataclasses.replace(evidence, locus=element)
    table = pd.DataFrame({"element": element, "pos": np.arange(1200) // 3, "confidence": 0.5})
    judged = judge(fit_left_out(evidence), evidence, table, exported(evidence))
    assert (judged.blind.mean == 0).all()
    assert (judged.lopsided.mean[1] < -0.1).all()
    value = evidence.value
    loss = [-np.log(m.density(value)).mean() for m in (judged.lopsided, judged.blind)]
    assert loss[0] < loss[1] - 0.01


def test_calls_are_wrong_as_often_as_they_were_said_to_be(report):
    table = report.table("Calls of a direction at a given error rate, all elements as one list")
    for rate in ("10%", "20%", "30%"):
        label = f"{rate}, effects beyond 0"
        n, said = table.cell(label, "n calls"), table.cell(label, "said to be wrong")
        if n == 0:
            assert rate != "30%"
            continue
        assert said <= float(rate[:-1]) / 100
        wrong = table.cell(label, "wrong direction").value
        assert wrong == pytest.approx(said, abs=0.03 + 2 * np.sqrt(said / n))
        assert table.cell(label, "either").value >= wrong


def test_the_event_that_a_rate_is_about_by_hand():
    true = Mixture.normal(np.repeat([-1.0, 1.0, 0.0], [3, 2, 3]), np.full(8, 0.01))
    # Against their calls are the third, the fifth and the last.
    value = np.array([-1.0, -0.5, -0.2, 0.5, -1.0, -0.1, 0.2, -0.4])
    judged = SimpleNamespace(
        true=true, measured=true.widened(0.5), evidence=SimpleNamespace(value=value)
    )
    of_effect, of_loss, of_gain, of_none = tiers_kept(judged, np.ones((1, 8)), 0.3).rows[:4]
    sd = np.hypot(0.5, 0.01)
    assert of_effect[:2] == ("10%, an effect beyond 0.3", 5)
    assert of_none[:2] == ("10%, no effect beyond 0.3", 3)
    assert of_effect[3] == pytest.approx(norm.cdf(-0.7 / sd))
    assert of_none[3] == pytest.approx(2 * norm.cdf(-0.3 / sd))
    # The service itself calls none of the last three, however sure it is.
    tier = triage(true, error_rate=0.1, threshold=0.3).tier
    assert [TIERS[k] for k in tier[5:]] == [Tier.UNKNOWN] * 3
    assert of_loss[:2] == ("10%, of them a loss beyond 0.3", 3)
    assert of_gain[:2] == ("10%, of them a gain beyond 0.3", 2)
    for row, share in ((of_effect, 2 / 5), (of_loss, 1 / 3), (of_gain, 1 / 2), (of_none, 1 / 3)):
        assert row[2] == pytest.approx(0, abs=1e-9)
        assert [row[4].value, row[4].low, row[4].high] == pytest.approx([share] * 3)


def kept(fitted, factor):
    """Calls of effects beyond 0.3 and of none, where measurements are so many times as loud."""
    other, table = of_elements(1)
    louder = dataclasses.replace(other, value=factor * other.value)
    judged = judge(fitted, louder, table, exported(louder))
    return tiers_kept(judged, position_counts(table, 100, 0), 0.3)


def test_calls_of_either_kind_are_wrong_as_often_as_they_were_said_to_be(fitted):
    table = kept(fitted, 1)
    for kind, most in (("an effect", 0), ("no effect", 2000)):
        n_calls = []
        for rate in (0.1, 0.2, 0.3):
            n, said, expected, found = next(
                row[1:] for row in table.rows if row[0] == f"{rate:.0%}, {kind} beyond 0.3"
            )
            n_calls.append(n)
            if n:
                assert said <= rate
                assert found.low - 0.05 < expected < found.high + 0.05
        assert n_calls == sorted(n_calls)
        assert n_calls[0] < n_calls[-1] or not most
        assert n_calls[-1] >= most


def test_calls_of_no_effect_among_loud_measurements_are_found_out(fitted):
    rows = [row for row in kept(fitted, 5).rows if "no effect" in row[0]]
    assert all(found.low > expected + 0.1 for *_, expected, found in rows if found.value)
    assert rows[-1][1] > 2000


@pytest.mark.slow
def test_calls_by_element_add_up_to_those_of_the_list():
    # Effects large enough for calls at 20 %.
    other, table = of_elements(1)
    release, loud = (
        dataclasses.replace(e, value=e.value + 4 * e.effect) for e in (of_elements(0)[0], other)
    )
    found = layout("toy", judge(fit_left_out(release), loud, table, exported(other)), draws=100)
    whole = found.table("Calls of a direction at a given error rate, all elements as one list")
    parts = found.table("Calls of a direction at an error rate of 20%, by element")
    n = whole.cell("20%, effects beyond 0", "n calls")
    assert n > 100
    assert sum(row[1] for row in parts.rows) == n
    for column in ("wrong direction", "not significant in the assay"):
        mean = sum(row[1] * row[parts.columns.index(column)].value for row in parts.rows if row[1])
        assert mean / n == pytest.approx(whole.cell("20%, effects beyond 0", column).value)
    tiers = found.table("Calls of an effect and of none, against the event that is promised")
    n, said, expected, share = next(
        row[1:] for row in tiers.rows if row[0] == "20%, an effect beyond 0.1"
    )
    assert n > 50
    of_kinds = [tiers.cell(f"20%, of them a {kind} beyond 0.1", "n calls") for kind in KINDS]
    assert sum(of_kinds) == n
    assert min(of_kinds) > 0
    assert said <= 0.2
    assert share.low - 0.05 < expected < share.high + 0.05


def test_calls_of_noise_are_found_out(fitted):
    other, table = of_elements(1)
    rng = np.random.default_rng(0)
    noise = dataclasses.replace(other, value=rng.permutation(other.value))
    found = layout("toy", judge(fitted, noise, table, exported(noise)), draws=100)
    calls = found.table("Calls of a direction at a given error rate, all elements as one list")
    assert calls.cell("30%, effects beyond 0", "wrong direction").low > 0.35


def test_other_measurements_than_the_fitted_ones_are_found_out(fitted):
    other, table = of_elements(1)
    louder = dataclasses.replace(other, value=3 * other.value)
    found = layout("toy", judge(fitted, louder, table, exported(louder)), draws=100)
    assert found.table("Coverage, one locus left out").cell("all", "inside 90%") < 0.8


@pytest.mark.slow
def test_a_locus_is_judged_without_itself():
    other, table = of_elements(1)
    # HBB is loud in both sets: had its release values been fitted, its intervals would be wide.
    release, loud = (
        dataclasses.replace(e, value=np.where(e.locus == "HBB", 30.0, 1.0) * e.value)
        for e in (of_elements(0)[0], other)
    )
    found = layout("toy", judge(fit_left_out(release), loud, table, exported(other)), draws=100)
    coverage = found.table("Coverage, one locus left out")
    assert coverage.cell("HBB", "inside 90%") < 0.4


def test_a_locus_that_was_not_fitted_is_not_judged(fitted):
    other, table = of_elements(1)
    shapes = {locus: shape for locus, shape in fitted.shapes.items() if locus != "HBB"}
    with pytest.raises(ValueError, match="the release set lacks HBB"):
        judge(dataclasses.replace(fitted, shapes=shapes), other, table, exported(other))


@pytest.mark.slow
def test_certainty_that_tells_of_the_error_pays_and_noise_does_not(fitted):
    rng = np.random.default_rng(0)
    release, _ = of_elements(0)
    other, table = of_elements(1)
    pair = []
    for evidence in (release, other):
        # Errors as large as the members say.
        value = TRUTH.small_slope * evidence.effect + rng.normal(0, 5 * evidence.epistemic)
        pair.append(dataclasses.replace(evidence, value=value))
    telling_fit = fit_left_out(pair[0])
    telling = layout("toy", judge(telling_fit, pair[1], table, exported(other)), draws=100)
    silent = layout("toy", judge(fitted, other, table, exported(other)), draws=100)
    telling, silent = telling.table(RISK), silent.table(RISK)
    for column in telling.columns[1:]:
        assert telling.cell("predicted SD", column).high < 0.85
    assert silent.cell("epistemic SD", "all, by SD").value == pytest.approx(1, abs=0.12)


@pytest.mark.slow
def test_the_command_logs_its_look_and_fills_the_card(tmp_path):
    data = write_cagi5(tmp_path / "data")
    weights = tuple(w / 20 for w in (1, 3, 4, 1, 0))
    folder = tmp_path / "models"
    folder.mkdir()
    write_model(
        folder, SumModel(base_weights=weights, members=2, targets=("K562", "WTC11", "HepG2"))
    )
    log = tmp_path / "log.jsonl"
    asked = ["uncertainty", "sum", "--data", str(data), "--models", str(folder), "--draws", "100"]
    for split, n_lines in (("release", 0), ("challenge", 2)):
        done = CliRunner().invoke(cli.app, [*asked, "--split", split, "--log", str(log)])
        assert done.exit_code == 0, done.output
        lines = log.read_text().splitlines() if log.is_file() else []
        assert len(lines) == n_lines
    assert "inside 90%" in json.loads(lines[-1])["means"]
    found = Report.from_json(read_card(folder / "sum").metrics["uncertainty_challenge"])
    assert found.table("Coverage, one locus left out").cell("all", "n") == 15 * 45 - 1
