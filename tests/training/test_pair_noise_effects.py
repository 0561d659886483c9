"""Predicted SD of an effect: pairs held out, the ceiling reached by the truth, covariates out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.evaluation.metrics import partial_spearman, resample
from training.evaluation.pair_noise_data import Pairs
from training.evaluation.pair_noise_effects import (
    compare_spread,
    held_out,
    partial,
    predict_spread,
)

ASSAY = "mattioli2018_pool1_HepG2"
SIZE, WIDTH = 600, 10


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Pairs whose noise is known: alleles are named by a number, and have its SD."""
    rng = np.random.default_rng(0)
    sd = np.exp(rng.normal(0, 0.6, SIZE))
    ref, alt = sd[:, None] * rng.normal(size=(2, SIZE, WIDTH))
    return Pairs(
        assay=ASSAY,
        locus=(np.arange(SIZE) // 2).astype(str),
        ref_sequence=np.array([f"ref{value}" for value in sd]),
        alt_sequence=np.array([f"alt{value}" for value in sd]),
        ref=ref,
        alt=alt + rng.normal(0, 1, (SIZE, 1)),
    )


def truth(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Two members: one knows the SD of each allele, the other says a third of it."""
    assert set(rows["assay"]) == {ASSAY}
    assert rows["sequence"].is_unique
    sd = rows["sequence"].str[3:].astype(float).to_numpy()[:, None]
    return np.zeros((len(rows), 2)), 2 * np.log(sd * [1, 1 / 3])


def compare(pairs: Pairs, predicted: np.ndarray | None):
    return compare_spread(pairs, predicted, draws=200, rng=np.random.default_rng(1))


def test_the_predicted_sd_is_the_root_mean_square_over_members_less_what_is_shared(pairs):
    sd = np.array([float(name[3:]) for name in pairs.ref_sequence])
    for rho in (0.0, 0.4):
        wanted = sd * np.sqrt((1 + 1 / 9) / 2 * 2 * (1 - rho))
        np.testing.assert_allclose(predict_spread(truth, pairs, rho), wanted)


def test_the_truth_reaches_what_is_attainable_and_has_the_right_width(pairs):
    predicted = predict_spread(lambda rows: (truth(rows)[0], truth(rows)[1][:, :1]), pairs, 0.0)
    found = compare(pairs, predicted)
    assert (found.pairs, found.loci, found.replicates) == (SIZE, SIZE // 2, WIDTH)
    assert found.sigma.value == pytest.approx(found.attainable, abs=0.04)
    assert found.given_effect.value > 0.8
    assert found.given_activity.value > 0.8
    assert found.split_half.value < found.sigma.value
    assert found.width.low < 1 < found.width.high


def test_a_prediction_that_only_follows_the_effect_explains_nothing_beyond_it(pairs):
    effect = np.abs((pairs.alt - pairs.ref).mean(axis=1))
    found = compare(pairs, effect)
    assert found.sigma.value > 0.1  # noise makes effects, so the two are related
    assert np.isnan(found.given_effect.value)


def test_a_model_without_noise_still_has_the_ceiling(pairs):
    assert predict_spread(lambda rows: (np.zeros((len(rows), 2)), None), pairs, 0.1) is None
    found = compare(pairs, None)
    assert found.sigma is found.given_effect is found.width is None
    assert found.attainable > 0.8


def test_differences_measured_less_than_twice_are_left_out(pairs):
    alt = pairs.alt.copy()
    alt[:50, 1:] = np.nan
    cut = Pairs(
        assay=ASSAY,
        locus=pairs.locus,
        ref_sequence=pairs.ref_sequence,
        alt_sequence=pairs.alt_sequence,
        ref=pairs.ref,
        alt=alt,
    )
    predicted = predict_spread(truth, pairs, 0.0)
    rest = np.arange(SIZE) >= 50
    assert compare(cut, predicted) == compare(pairs.where(rest), predicted[rest])


def test_a_pair_is_held_out_only_with_both_alleles(pairs):
    four = pairs.where(np.arange(SIZE) < 4)
    folds = {"ref": [0, 0, 3, 0], "alt": [0, 2, 0, None]}
    rows = [
        {"sequence": sequence, "assay": ASSAY, "fold": fold}
        for side, names in (("ref", four.ref_sequence), ("alt", four.alt_sequence))
        for sequence, fold in zip(names, folds[side], strict=True)
        if fold is not None
    ]
    other = [{"sequence": four.alt_sequence[3], "assay": "mattioli2018_pool1_K562", "fold": 0}]
    known, tested = held_out(four, pd.DataFrame([*rows, *other]))
    assert known.tolist() == [True, True, True, False]
    assert tested.tolist() == [True, False, False, False]


def test_several_covariates_leave_what_a_regression_of_ranks_leaves():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 300))
    x, y = first + second + rng.normal(size=(2, 300))
    counts = resample(np.arange(300), 50, rng)
    ranks = [np.argsort(np.argsort(values)) for values in (x, y, first, second)]
    design = np.column_stack([np.ones(300), *ranks[2:]])
    left = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in ranks[:2]]
    found = partial(x, y, [first, second], counts)
    assert found.value == pytest.approx(np.corrcoef(*left)[0, 1])
    assert found.low < found.value < found.high
    assert partial(x, y, [first], counts).value == pytest.approx(partial_spearman(x, y, first))
    assert abs(found.value) < 0.2 < partial(x, y, [first], counts).value
