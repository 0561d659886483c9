"""The numbers of an effect as texts."""

from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.effects import Effects
from service.errors import Status
from service.fields import (
    EFFECT_FIELDS,
    VARIANT_COLUMNS,
    RowTemplates,
    known_rows,
    numbers,
    variant_texts,
)
from service.schemas import ScoredItem, TargetEffect
from tests.service.made_scores import make_scores


def test_every_number_of_an_effect_is_reported_once_by_every_door():
    reported = [field.name for field in EFFECT_FIELDS]
    assert sorted(reported) == sorted(field.name for field in fields(Effects))
    assert [*reported, "calibrated"] == list(TargetEffect.model_fields)


def effects_of(*values: float) -> Effects:
    effects = Effects.missing(1, len(values))
    for field in EFFECT_FIELDS:
        getattr(effects, field.name)[:] = values
    return effects


def texts(effects: Effects) -> list[list[bytes]]:
    n_numbers = numbers(effects)[0].size if len(effects.effect) else 0
    rows = RowTemplates([b";"] * n_numbers)
    return [(rows.template(mask) % known).split(b";")[1:] for mask, known in known_rows(effects)]


@given(st.lists(st.floats(), min_size=1, max_size=4))
def test_a_number_has_six_significant_digits_and_what_is_none_is_missing(values):
    # The plain way, one number at a time, which the templates must equal.
    expected = [f"{value + 0.0:.6g}".encode() if np.isfinite(value) else b"." for value in values]
    [row] = texts(effects_of(*values))
    assert row == [text for text in expected for _ in EFFECT_FIELDS]


def test_zero_has_no_sign():
    assert texts(effects_of(-0.0))[0][0] == b"0"


def test_what_is_no_number_is_nan():
    assert np.isnan(numbers(effects_of(np.nan, np.inf, -np.inf))).all()


def test_numbers_that_are_missing_move_no_other():
    effects = Effects.missing(3, 2)
    for place, field in enumerate(EFFECT_FIELDS):
        getattr(effects, field.name)[:] = [
            [place, 10 + place],
            [20 + place, 30 + place],
            [np.nan] * 2,
        ]
    effects.epistemic[:] = np.nan
    effects.sd[1, 1] = np.nan
    names = [field.name for field in EFFECT_FIELDS] * 2
    one, two, three = texts(effects)
    for row, first in ((one, 0), (two, 20)):
        for place, (name, text) in enumerate(zip(names, row, strict=True)):
            target, number = divmod(place, len(EFFECT_FIELDS))
            is_missing = name == "epistemic" or (name == "sd" and first == 20 and target == 1)
            assert text == (b"." if is_missing else b"%d" % (first + 10 * target + number))
    assert set(three) == {b"."}


def test_columns_run_over_the_numbers_of_one_target_before_the_next():
    effects = Effects.missing(2, 3)
    effects.effect[:] = [[1, 2, 3], [4, 5, 6]]
    width = len(EFFECT_FIELDS)
    assert [row[::width] for row in texts(effects)] == [[b"1", b"2", b"3"], [b"4", b"5", b"6"]]


def test_what_is_said_once_has_a_text_in_every_column():
    statuses = [Status.OK, Status.STAR_ALT, Status.OK]
    novelty = [0.0000123456789, np.nan, 1]
    scores = make_scores(statuses, n_targets=2, novelty=novelty, calibrated=(True, False))
    scores.normalised[2] = "3:A:AC"
    assert variant_texts(scores) == [
        (b"ok", b"1:A:C", b"1.23457e-05", b"low_gc", b"true", b"false"),
        (b"star_alt", b".", b".", b".", b".", b"."),
        (b"ok", b"3:A:AC", b"1", b".", b"false", b"false"),
    ]
    assert variant_texts(make_scores([])) == []
    assert len(VARIANT_COLUMNS) == 4
    assert set(VARIANT_COLUMNS) <= ScoredItem.model_fields.keys()


def test_what_stands_around_the_numbers_is_part_of_the_template():
    rows = RowTemplates([b"a=", b"b="], before=b"<%b>", after=b"!")
    assert rows.template(bytes([0b10000000])) % (b"x", 2.5) == b"<x>a=2.5b=.!"


def test_no_variants_make_no_rows():
    # A chunk of blank or malformed lines has no variant, and used to end the run with a traceback.
    assert known_rows(Effects.missing(0, 3)) == []
