"""Likelihood ratios: read off by hand and by property; nothing beyond what was fitted."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.entries import digest_of
from service.errors import ModelContractError
from service.likelihood import KEY, LikelihoodRatios
from service.registry import Registry
from tests.toy_models import BACKGROUND, CALIBRATION, SumModel, write_model

TARGETS = ("K562", "WTC11", "HepG2")
SCORE = [0.0625, 0.25, 1.0]
RATIO = [0.5, 1.0, 4.0]


def entry(**changes):
    block = {
        "version": 1,
        "score": SCORE,
        "ratio": RATIO,
        "lower": [0.25, 0.5, 1.0],
        "upper": [1.0, 2.0, 16.0],
        "n_effect": [10, 20, 30],
        "n_none": [30, 20, 10],
        "n_loci": [3, 3, 3],
        "score_max": 2.0,
        "confidence": 0.95,
        "threshold": 0.2,
        "p_effect": 0.001,
        "p_none": 0.05,
        "effect": "by hand",
        "none": "by hand",
        "targets": ["K562", "HepG2"],
        "strands": 2,
        "shifts": [0],
        "variants": "SNV",
        "method": "by hand",
        "data": "none",
        "data_sha256": "0",
        "measurements_sha256": "0",
        "n": 120,
        "loci": 3,
        "draws": 100,
        "seed": 0,
        "left_out": {
            "log_loss": 0.6, "low": 0.5, "high": 0.7, "of_1": 0.6931, "said": [0.4], "found": [0.5]
        },
    }  # fmt: skip
    return json.loads(json.dumps(block | changes))


TABLE = LikelihoodRatios.from_card(entry(), TARGETS)


def ratios(*effects, targets=("K562",), strands=2, shifts=(0,), is_snv=True):
    effect = np.tile(np.array(effects, float)[:, None], len(targets))
    kinds = np.full(len(effects), is_snv)
    return TABLE.ratios(effect, targets, strands=strands, shifts=shifts, is_snv=kinds)


def test_ratios_by_hand():
    found = ratios(0.0625, -0.25, 0.625, 1.0)
    np.testing.assert_allclose(found.ratio[:, 0], [0.5, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(found.lower[:, 0], [0.25, 0.5, np.sqrt(0.5), 1.0])
    np.testing.assert_allclose(found.upper[:, 0], [1.0, 2.0, np.sqrt(32), 16.0])


def test_beyond_the_outer_points_the_outer_window_speaks_and_beyond_that_nobody():
    found = ratios(0.0, 1.5, 2.0, -2.0, np.nextafter(2.0, 3), -np.inf, np.nan)
    np.testing.assert_allclose(found.ratio[:, 0], [0.5, 4.0, 4.0, 4.0, *[np.nan] * 3])
    assert np.isnan(found.lower[4:]).all()
    assert np.isnan(found.upper[4:]).all()


@pytest.mark.parametrize(
    "options",
    [{"targets": ("WTC11",)}, {"strands": 1}, {"shifts": (0, 10)}, {"shifts": (10,)},
     {"is_snv": False}],
    ids=str,
)  # fmt: skip
def test_what_it_was_not_fitted_for_has_none(options):
    found = ratios(0.1, 0.5, **options)
    assert np.isnan([found.ratio, found.lower, found.upper]).all()


def test_each_variant_and_target_stands_by_itself():
    effect = np.array([[0.25, 0.25, 9.0], [1.0, 1.0, -0.25], [1.0, 1.0, 1.0]])
    found = TABLE.ratios(
        effect, TARGETS, strands=2, shifts=(0,), is_snv=np.array([True, True, False])
    )
    nan = np.nan
    np.testing.assert_allclose(found.ratio, [[1.0, nan, nan], [4.0, nan, 1.0], [nan] * 3])


def test_no_variants_have_no_ratios():
    assert ratios().ratio.shape == (0, 1)


@settings(max_examples=25)
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=20))
def test_a_ratio_lies_within_its_bounds_whatever_the_sign(values):
    found, mirrored = ratios(*values), ratios(*[-value for value in values])
    assert (found.lower <= found.ratio).all()
    assert (found.ratio <= found.upper).all()
    np.testing.assert_array_equal(found.ratio, mirrored.ratio)


# --- the entry of a card --------------------------------------------------------------------------


def test_an_entry_comes_back_from_json():
    assert LikelihoodRatios.from_card(json.loads(TABLE.model_dump_json()), TARGETS) == TABLE


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (3, f"{KEY}: Input should be"),
        ({k: v for k, v in entry().items() if k != "n_loci"}, f"{KEY}.n_loci: Field required"),
        (entry(more=1), f"{KEY}.more: Extra inputs"),
        (entry(version=2), f"{KEY}.version"),
        (entry(score=[0.1, 0.1, 1.0]), f"{KEY}.score: .*must rise"),
        (entry(score=[-0.1, 0.1, 1.0]), f"{KEY}.score.0: .*greater than or equal to 0"),
        (entry(ratio=[0.5, 1.0]), "ratio has 2 values for 3 scores"),
        (entry(n_none=[1]), "n_none has 1 values for 3 scores"),
        (entry(ratio=[0.5, 0.0, 4.0]), f"{KEY}.ratio.1: .*greater than 0"),
        (entry(ratio=[0.5, float("inf"), 4.0]), f"{KEY}.ratio.1: .*finite"),
        (entry(ratio=[0.5, "1", 4.0]), f"{KEY}.ratio.1"),
        (entry(lower=[0.25, 1.5, 1.0]), "ratio 1 lies outside its bounds"),
        (entry(score_max=0.5), "score_max must not be below"),
        (entry(confidence=1.0), f"{KEY}.confidence"),
        (entry(variants="indel"), f"{KEY}.variants"),
        (entry(targets=[]), f"{KEY}.targets"),
        (entry(targets=["K562", "HeLa"]), f"{KEY}.targets: HeLa is no target of the model"),
        (entry(left_out={}), f"{KEY}.left_out.log_loss: Field required"),
        (entry(left_out=entry()["left_out"] | {"said": []}), "0 probabilities said, 1 found"),
    ],
    ids=range(19),
)
def test_a_bad_entry_is_refused_by_the_key_at_fault(block, message):
    with pytest.raises(ModelContractError, match=message):
        LikelihoodRatios.from_card(block, TARGETS)


def test_a_model_has_what_its_card_holds_and_scores_do_not_depend_on_it(tmp_path):
    model = SumModel(20, targets=("K562", "HepG2"))
    others = {"calibration": CALIBRATION, "background": BACKGROUND}
    write_model(tmp_path, model, card=others)
    write_model(tmp_path, model, name="with", card=others | {KEY: entry()})
    registry = Registry(tmp_path)
    without, fitted = registry.load("sum", threads=1), registry.load("with", threads=1)
    assert (without.likelihood_ratios, without.likelihood_sha256) == (None, None)
    assert fitted.likelihood_ratios == TABLE
    assert fitted.likelihood_sha256 == digest_of(entry())
    assert fitted.entry_digests == without.entry_digests
    bare = registry.load("with", threads=1, with_entries=False)
    assert (bare.likelihood_ratios, bare.likelihood_sha256) == (None, None)


def test_a_broken_entry_refuses_the_model_but_not_where_it_is_left_out(tmp_path):
    write_model(tmp_path, SumModel(20), card={KEY: entry(n=-1)})
    with pytest.raises(ModelContractError, match=f"model sum: {KEY}.n:"):
        Registry(tmp_path).load("sum", threads=1)
    assert Registry(tmp_path).load("sum", threads=1, with_entries=False).likelihood_ratios is None
