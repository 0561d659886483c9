"""GAME predictions: every sequence of every task has the number of the model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.game.answer import write_answer
from service.game.codec import Format, decode
from service.game.predictor import closest_target
from service.game.request import read_request
from service.web import game_docs
from service.web.game import response_format
from tests.service.game.asking import (
    JSON,
    MSGPACK,
    SEQUENCES,
    TARGETS,
    encoded,
    expected,
    numbers,
    post,
    predicted,
    request,
    task,
)
from tests.toy_models import SumModel


@pytest.mark.parametrize("accept", [JSON, MSGPACK, "*/*"])
@pytest.mark.parametrize("send", [JSON, MSGPACK, None, "Application/JSON; charset=utf-8"])
def test_every_sequence_of_every_task_has_the_number_of_the_model(client, send, accept):
    content = request(task(), task("human hepatocytes (HepG2)"))
    response = post(client, content, send, accept)
    assert response.headers["content-type"] == (MSGPACK if accept == MSGPACK else JSON)
    k562, hepg2 = predicted(response)
    for column, answer in enumerate((k562, hepg2)):
        assert list(answer["predictions"]) == list(SEQUENCES)
        assert numbers(answer) == pytest.approx(expected(column), rel=1e-6)
    assert {key: hepg2[key] for key in hepg2 if key != "predictions"} == {
        "name": "task of human hepatocytes (HepG2)",
        "type_requested": "expression",
        "type_actual": ["expression"],
        "cell_type_requested": "human hepatocytes (HepG2)",
        "cell_type_actual": "HepG2",
        "species_requested": "homo_sapiens",
        "species_actual": "homo_sapiens",
        "scale_prediction_requested": "log",
        "scale_prediction_actual": "log",
    }


def test_the_adapters_of_a_sequence_are_not_shown(client):
    name = "a-z.A_Z~0#@%^&*()"
    alone = {"sequences": {name: SEQUENCES[name][15:-15]}}
    [bare] = predicted(post(client, request(**alone, prediction_ranges=None)))
    [whole] = predicted(post(client, request()))
    assert whole["predictions"][name] == bare["predictions"][name]


def test_linear_is_two_to_the_log_and_log_is_the_default(client):
    log, linear, unsaid, null = predicted(
        post(
            client,
            request(
                task(),
                task(scale="linear"),
                {key: value for key, value in task().items() if key != "scale"},
                task(scale=None),
            ),
        )
    )
    # NumPy's and Python's powers may differ in the last bit.
    assert numbers(linear) == pytest.approx([2.0**value for value in numbers(log)], rel=1e-14)
    assert linear["scale_prediction_actual"] == "linear"
    for answer in (unsaid, null):
        assert answer["predictions"] == log["predictions"]
        assert answer["scale_prediction_requested"] is None
        assert answer["scale_prediction_actual"] == "log"


def test_a_model_runs_once_for_all_its_tasks_and_only_where_it_is_needed(client):
    runs = []
    client.app.state.engine.observers.append(lambda model, n, *_: runs.append((model, n)))
    predicted(post(client, request(task(), task("HepG2"), task("K562"))))
    assert sum(n for model, n in runs if model == "a") == len(SEQUENCES)
    assert {model for model, _ in runs} == {"a"}
    wide = "induced pluripotent stem cells (iPS cells; WTC11)"
    content = request(task("K562"), task(wide))
    first, second = predicted(post(client, content))
    assert second["cell_type_actual"] == "WTC11"
    assert numbers(second) == expected(0, SumModel(width=30, targets=("WTC11",), members=1))
    assert numbers(first) == pytest.approx(expected(0), rel=1e-6)


def test_a_cell_type_that_is_not_served_gets_the_default_one_which_is_said(client):
    k562, other = predicted(post(client, request(task("K562"), task("SK-N-SH (neuroblastoma)"))))
    assert other["cell_type_requested"] == "SK-N-SH (neuroblastoma)"
    assert other["cell_type_actual"] == "K562"
    assert other["predictions"] == k562["predictions"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("K562", "K562"),
        ("lymphoblasts (K562)", "K562"),
        ("k-562", "K562"),
        ("K562 (erythroid precursors)", "K562"),
        ("HEPG2", "HepG2"),
        ("Hep G2 cells", "HepG2"),
        ("human hepatocytes (HepG2)", "HepG2"),
        ("primary hepatocytes", "HepG2"),
        ("iPSC", "WTC11"),
        ("induced pluripotent stem cells (iPS cells; WTC11)", "WTC11"),
        ("WTC-11", "WTC11"),
        ("hepatocytes from iPSC line WTC11", "WTC11"),
        ("K5620", None),
        ("HepG22", None),
        ("", None),
        ("SK-N-SH", None),
        ("細胞", None),
    ],
)
def test_a_cell_type_is_found_in_free_text(text, name):
    for targets in (TARGETS, TARGETS[::-1]):
        assert closest_target(text, targets).name == (name or targets[0].name)


@pytest.mark.parametrize("kind", ["expression_mRNA", "expression_pol1", "expression_pol2"])
def test_kinds_of_expression_are_expression(client, kind):
    [answer] = predicted(post(client, request(task(type=kind))))
    assert (answer["type_requested"], answer["type_actual"]) == (kind, ["expression"])


def test_what_is_optional_may_be_missing_null_or_unknown(client):
    content = {
        "request": "predict",
        "readout": "point",
        "prediction_tasks": [task(species="Homo sapiens", note="x")],
        "sequences": {"a": "ACGT"},
        "a_key_of_schema_1.1": {},
    }
    nulls = dict.fromkeys(("upstream_seq", "downstream_seq", "prediction_ranges"))
    empty = {"upstream_seq": "", "downstream_seq": "", "prediction_ranges": {"a": []}}
    answers = [predicted(post(client, content | more)) for more in ({}, nulls, empty)]
    assert answers[0] == answers[1] == answers[2]
    assert numbers(answers[0][0]) == pytest.approx(
        expected(0, content=content | {"upstream_seq": "", "downstream_seq": ""})
    )


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        st.text("ACGTNacgtn", min_size=1, max_size=50),
        min_size=1,
        max_size=4,
    )
)
def test_ids_come_back_as_they_were(sequences):
    content = request(sequences=sequences, prediction_ranges=None)
    values = np.random.default_rng(1).normal(size=(len(sequences), 3))
    for form in Format:
        asked = read_request(decode(encoded(content, form), form), TARGETS)
        told = decode(write_answer(asked, {"m": values}, "a name", form), form)
        assert told["predictor_name"] == "a name"
        [answer] = told["prediction_tasks"]
        assert answer["predictions"] == {
            name: [value] for name, value in zip(sequences, values[:, 0], strict=True)
        }


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", JSON),
        (JSON, JSON),
        (MSGPACK, MSGPACK),
        ("application/x-msgpack", MSGPACK),
        (f"{JSON}, {MSGPACK}", MSGPACK),
        (f"{MSGPACK};q=0.1, {JSON};q=0.9", JSON),
        (f"{JSON};q=0.1,{MSGPACK.upper()};q=0.9", MSGPACK),
        (f"{MSGPACK};q=0", JSON),
        (f"{MSGPACK};q=x", JSON),
    ],
)
def test_the_form_of_an_answer_is_negotiated(accept, form):
    assert response_format({"accept": accept} if accept else {}) == form


def test_the_examples_of_the_page_are_true(client):
    [answer] = predicted(post(client, game_docs.REQUEST))
    [shown] = game_docs.ANSWER["prediction_tasks"]
    assert answer.keys() == shown.keys()
    assert answer["predictions"].keys() == shown["predictions"].keys()
    for path, entry in (("/formats", game_docs.FORMATS), ("/help", game_docs.HELP)):
        assert client.get(path).json().keys() == (entry[200]["content"][JSON]["example"].keys())
