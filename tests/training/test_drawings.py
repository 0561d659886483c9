"""Reliability drawn as text, of cards written before their tables had intervals and after."""

import numpy as np
import pytest

from training.evaluation.drawings import COVERAGE, INTERVALS, PIT, SIGNS, Mark, chart, drawings
from training.evaluation.metrics import Estimate
from training.evaluation.report import Report, Table

LEVELS = ("50%", "80%", "90%", "95%")
COLUMNS = ("cdf at the measurement", "calibrated", "as exported")
SIGN_COLUMNS = (
    "variants by p_sign", "n", "p_sign, mean", "predicted share with its error", "share"
)  # fmt: skip


def found(share):
    return Estimate(share, share - 0.02, share + 0.02)


def old_report():
    coverage = Table(
        COVERAGE,
        ("element", "n", *(f"inside {level}" for level in LEVELS), "median width at 90%"),
        (("all", 100, 0.55, 0.81, 0.9, 0.95, 1.0), ("HBB", 10, 0.1, 0.2, 0.3, 0.4, 1.0)),
    )
    signs = tuple((f"tenth {k}", 10, 0.5, 0.5 + k / 20, found(0.5 + k / 20)) for k in (1, 2))
    pit = Table(PIT, COLUMNS, tuple((f"bin {k}", 0.1 + k / 100, 0.3) for k in range(10)))
    return Report("Uncertainty: toy", (coverage, Table(SIGNS, SIGN_COLUMNS, signs), pit))


def new_report():
    reliable = Table(
        INTERVALS,
        ("interval", "calibrated", "lowest element"),
        tuple((level, found(float(level[:-1]) / 100), 0.1) for level in LEVELS),
    )
    coverage, signs, _ = old_report().tables
    pit = Table(PIT, COLUMNS, tuple((f"bin {k}", found(0.1), found(0.3)) for k in range(10)))
    return Report("Uncertainty: toy", (coverage, reliable, signs, pit))


@pytest.mark.parametrize("report", [old_report(), new_report()], ids=["before", "after"])
def test_cards_of_either_age_are_drawn_and_come_back_from_json(report):
    text = drawings(report)
    assert text.count("```") == 6
    for label in (*LEVELS, "tenth 1", "tenth 2", "bin 0", "bin 9"):
        (line,) = (line for line in text.splitlines() if line.startswith(f"{label} "))
        assert line.count("o") == 1
    assert max(map(len, "".join(text.split("```")[1::2]).splitlines())) <= 80
    assert drawings(Report.from_json(report.to_json())) == text


def test_intervals_are_drawn_where_there_are_any():
    before, after = (drawings(report).split("```")[5] for report in (old_report(), new_report()))
    assert "-" not in before
    assert all("-o-" in line for line in after.splitlines() if line.startswith("bin"))


def test_marks_stand_where_their_numbers_are():
    alone = Estimate(0.0, np.nan, np.nan)
    marks = [Mark("low", 0.0, Estimate(0.5, 0.25, 0.75)), Mark("high", 1.0, alone)]
    low, high, axis = chart(marks).splitlines()
    start = len("high") + 2
    assert low[start:] == "|" + " " * 14 + "-" * 15 + "o" + "-" * 15
    assert high[start:] == "o" + " " * 59 + "|"
    assert axis.split() == ["0.000", "1.000"]
    assert chart([Mark("one", 0.5, Estimate(0.5, np.nan, np.nan))]).startswith("one  o")
    *_, axis = chart([Mark("one", 0.5, found(0.5))], from_zero=True).splitlines()
    assert axis.split() == ["0.000", "0.520"]


def test_what_is_undefined_or_absent_is_not_drawn():
    assert drawings(Report("Means", (Table("Means", ("a", "b"), (("x", 1.0),)),))) == ""
    undefined = Mark("none", 0.5, Estimate(np.nan, np.nan, np.nan))
    assert "o" not in chart([undefined, Mark("all", 1.0, found(0.9))]).splitlines()[0][6:]
    # A tenth of a small set may have no rows: there was no place for what should be of them.
    assert "|" not in chart([Mark("none", np.nan, undefined.found)])
    lines = chart([Mark("none", np.nan, undefined.found), Mark("all", 0.5, found(0.9))])
    assert [line.count("|") for line in lines.splitlines()] == [0, 1, 0]
