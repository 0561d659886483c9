"""Calls at an error rate beside measurements: what is counted, and how sure a share is."""

import numpy as np
import pytest
from scipy import stats

from service.mixture import Mixture
from training.datasets.cagi5 import ELEMENTS, locus_of
from training.evaluation.metrics import resample
from training.evaluation.shape import Evidence
from training.evaluation.triage_tables import RATES, calls, calls_by_element
from training.evaluation.uncertainty import Judged
from training.evaluation.uncertainty_tables import layout

PER_ELEMENT = 40
SHARES = (
    "wrong direction",
    "wrong direction, significantly",
    "not significant in the assay",
    "either",
)


def judged_of(effect, value, error=0.05, sd=0.1):
    """A judged set of 40 variants an element, two at each position, normal about the effect."""
    n = len(effect)
    element = np.repeat(ELEMENTS, PER_ELEMENT)
    locus = np.array([locus_of(name) for name in element])
    errors = np.full(n, error)
    true = Mixture.normal(effect, np.full(n, sd))
    other = dict.fromkeys(("repeat", "blind", "lopsided", "constant", "exported"), true)
    return Judged(
        element=element,
        position=np.tile(np.arange(PER_ELEMENT) // 2, len(ELEMENTS)),
        confidence=np.linspace(0, 0.5, n),
        evidence=Evidence(effect, np.full(n, 0.1), np.full(n, np.nan), value, errors, locus),
        true=true,
        measured=true.widened(errors),
        level=np.tile([0.5, 0.8, 0.9, 0.95], (n, 1)),
        **other,
    )


def counts_of(judged, draws=200):
    places = np.char.add(judged.evidence.locus, judged.position.astype(str))
    return resample(places, draws, np.random.default_rng(0)).astype(np.float64)


@pytest.fixture(scope="module")
def judged():
    """What the distributions say is true, but for GP1BB, where all is silent and reversed."""
    rng = np.random.default_rng(0)
    effect = rng.normal(0, 0.1, PER_ELEMENT * len(ELEMENTS))
    value = effect + rng.normal(0, 0.1, len(effect)) + rng.normal(0, 0.05, len(effect))
    value[:PER_ELEMENT] = -0.01 * np.sign(effect[:PER_ELEMENT])
    return judged_of(effect, value)


@pytest.fixture(scope="module")
def tables(judged):
    counts = counts_of(judged)
    return calls(judged, counts), {r: calls_by_element(judged, counts, r) for r in RATES}


def test_the_calls_of_the_elements_make_up_those_of_the_list_at_every_rate(tables):
    whole, parts = tables
    numbers = []
    for rate, part in parts.items():
        label = f"{rate:.0%}, effects beyond 0"
        assert [row[0] for row in part.rows] == list(ELEMENTS)
        n = whole.cell(label, "n calls")
        numbers.append(n)
        assert n == sum(row[1] for row in part.rows)
        for column in SHARES:
            at = part.columns.index(column)
            weighed = sum(row[1] * row[at].value for row in part.rows if row[1])
            assert weighed / n == pytest.approx(whole.cell(label, column).value)
    assert 0 < numbers[0] < numbers[1] < numbers[2]


def test_wrong_direction_and_no_significance_are_said_apart(tables):
    whole, parts = tables
    silent = [parts[0.2].cell("GP1BB", column).value for column in SHARES]
    assert silent == [1, 0, 1, 1], "measured the other way, but never significantly"
    for table in (whole, *parts.values()):
        for row in table.rows:
            if row[1]:
                wrong, significant, quiet, either = (
                    row[table.columns.index(column)].value for column in SHARES
                )
                assert significant <= wrong <= either
                assert significant + quiet == pytest.approx(either)


def test_significance_is_two_sided():
    # 1.8 standard errors: significant on one side alone. 2.1: on both.
    n = PER_ELEMENT * len(ELEMENTS)
    for errors, silent in ((1.8, 1), (2.1, 0)):
        value = np.full(n, 0.05 * errors)
        judged = judged_of(np.full(n, 1.0), value)
        row = calls(judged, counts_of(judged)).rows[0]
        assert row[0] == "10%, effects beyond 0"
        assert [cell.value for cell in row[4:]] == [0, 0, silent, silent]


def test_what_is_expected_of_the_measurement_has_its_noise():
    effect = np.full(PER_ELEMENT * len(ELEMENTS), -0.1)
    judged = judged_of(effect, effect)
    row = calls(judged, counts_of(judged)).rows[RATES.index(0.2)]
    assert row[:2] == ("20%, effects beyond 0", len(effect))
    assert row[2] == pytest.approx(stats.norm.cdf(-0.1 / 0.1))
    assert row[3] == pytest.approx(stats.norm.cdf(-0.1 / np.hypot(0.1, 0.05)))


def test_every_share_has_an_interval_that_holds_it_and_no_call_none(tables):
    whole, parts = tables
    for table in (whole, *parts.values()):
        for row in table.rows:
            for column in SHARES:
                found = row[table.columns.index(column)]
                if row[1]:
                    assert found.low <= found.value <= found.high
                    assert found.low < found.high, row[0]
                else:
                    assert np.isnan([found.value, found.low, found.high]).all()


def test_an_interval_of_none_or_all_counts_positions_not_calls():
    n = PER_ELEMENT * len(ELEMENTS)
    effect, value = np.zeros(n), np.zeros(n)
    # HBB: six sure calls at three positions, all right and significant. TERT-GBM: two
    # at one position, both wrong.
    hbb, tert = (ELEMENTS.index(name) * PER_ELEMENT for name in ("HBB", "TERT-GBM"))
    effect[hbb : hbb + 6], value[hbb : hbb + 6] = 1, 1
    effect[tert : tert + 2], value[tert : tert + 2] = 1, -1
    judged = judged_of(effect, value)
    found = calls_by_element(judged, counts_of(judged), 0.1)
    assert (found.cell("HBB", "n calls"), found.cell("TERT-GBM", "n calls")) == (6, 2)
    right, wrong = (found.cell(name, "wrong direction") for name in ("HBB", "TERT-GBM"))
    assert (right.value, right.low, wrong.value, wrong.high) == (0, 0, 1, 1)
    assert right.high == pytest.approx(stats.beta.ppf(0.975, 1, 3))
    assert wrong.low == pytest.approx(stats.beta.ppf(0.025, 1, 1))
    assert found.cell("GP1BB", "n calls") == 0


def test_the_report_has_a_table_of_elements_for_every_rate(judged):
    found = layout("toy", judged, draws=100)
    for rate in RATES:
        table = found.table(f"Calls of a direction at an error rate of {rate:.0%}, by element")
        assert len(table.rows) == len(ELEMENTS)
    assert any("exact binomial" in note for note in found.notes)
