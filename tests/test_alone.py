"""What the commands compare answers with: no number that is missing passes for a right one."""

import json

import numpy as np
import pytest

from service.fields import EFFECT_FIELDS
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from tests.alone import WAYS, Alone, largest
from tests.bench_game import TASKS, worst_difference
from tests.lean_client import FASTA, Answer
from tests.load_http import TOLERANCE, Expected, Tally, variants_of
from tests.toy_models import SumModel, write_model


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    write_model(folder, SumModel(width=20, targets=("WTC11", "K562", "HepG2")))
    return Alone(Registry(folder), "sum", threads=2)


def test_a_number_that_is_none_is_the_largest_difference():
    assert largest(np.array([0.25, 0.5])) == 0.5
    for place in range(2):
        assert largest(np.insert([0.25], place, np.nan)) == np.inf


def test_every_way_gives_the_same_numbers(alone):
    codes = np.random.default_rng(0).integers(0, 4, (300, 20)).astype(np.uint8)
    expected = alone.shared.run(codes)[0]
    assert alone.ways == WAYS
    for way in WAYS:
        np.testing.assert_allclose(alone.mu(codes, way), expected, atol=1e-5)


def test_an_answer_of_nulls_is_a_wrong_answer(alone):
    with Reference.open(FASTA, "GRCh37") as reference:
        scorer = Scorer(alone.shared, reference)
        variants = variants_of(reference, 2)
        expected = Expected(scorer, variants)
        effects = scorer.score(variants).effects

    def answer(change: object = ...) -> Answer:
        targets = {
            name: {
                field.name: float(getattr(effects, field.name)[0, place]) for field in EFFECT_FIELDS
            }
            for place, name in enumerate(alone.shared.info.targets)
        }
        if change is not ...:
            targets["HepG2"] = dict.fromkeys(targets["HepG2"], change)
        result = {"id": "0", "status": "ok", "targets": targets}
        return Answer(0, 200, None, 0.1, json.dumps({"results": [result]}).encode())

    tally = Tally(expected)
    tally.add([answer()], 0)
    assert tally.worst <= TOLERANCE
    tally.add([answer(None), answer()], 0)
    assert tally.worst == np.inf


@pytest.mark.parametrize("wrong", [None, float("nan")])
def test_a_prediction_that_is_none_is_a_wrong_one(alone, wrong):
    mu = np.zeros((2, 3, 3))
    told = {
        "prediction_tasks": [
            {
                "name": name,
                "cell_type_actual": actual,
                "cell_type_requested": cell_type,
                "predictions": {"a": [0.0], "b": [0.0]},
            }
            for (name, cell_type), actual in zip(
                TASKS.items(), ("WTC11", "K562", "HepG2"), strict=True
            )
        ]
    }
    assert worst_difference(told, alone.shared, ["a", "b"], mu) == 0
    told["prediction_tasks"][1]["predictions"]["b"] = [wrong]
    assert worst_difference(told, alone.shared, ["a", "b"], mu) == np.inf
