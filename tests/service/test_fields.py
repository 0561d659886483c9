"""The numbers of an effect as texts."""

from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.effects import Effects
from service.fields import EFFECT_FIELDS, numbers, texts
from service.schemas import TargetEffect


def test_every_number_of_an_effect_is_reported_once_by_every_door():
    reported = [field.name for field in EFFECT_FIELDS]
    assert sorted(reported) == sorted(field.name for field in fields(Effects))
    assert [*reported, "calibrated"] == list(TargetEffect.model_fields)


def effects_of(value: float) -> Effects:
    effects = Effects.missing(1, 1)
    for field in EFFECT_FIELDS:
        getattr(effects, field.name)[:] = value
    return effects


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_text_has_six_significant_digits(value):
    assert float(texts(effects_of(value))[0][0]) == float(f"{value:.6g}")


def test_what_is_no_number_is_missing():
    for value in (np.nan, np.inf, -np.inf):
        assert set(texts(effects_of(value))[0]) == {"."}
        assert np.isnan(numbers(effects_of(value))).all()
    assert texts(effects_of(-0.0))[0][0] == "0"


def test_columns_run_over_the_numbers_of_one_target_before_the_next():
    effects = Effects.missing(2, 3)
    effects.effect[:] = [[1, 2, 3], [4, 5, 6]]
    rows = texts(effects)
    width = len(EFFECT_FIELDS)
    assert [row[::width] for row in rows] == [["1", "2", "3"], ["4", "5", "6"]]


def test_no_variants_make_no_rows():
    # A chunk of blank or malformed lines has no variant, and used to end the run with a traceback.
    assert texts(Effects.missing(0, 3)) == []
