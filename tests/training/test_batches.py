"""From the assay table to batches: placement, pivoting, orientation, determinism."""

import numpy as np
import pytest

from service.sequence import decode, encode, reverse_complement
from tests.training.toy_table import toy_table
from training.assays import ASSAY_BY_NAME, LENTI_FLANKS, WINDOW, window_codes
from training.batches import (
    EpochBatches,
    assays_of,
    labelled_sequences,
    training_scale,
)
from training.samplers import Shuffled
from training.trainer import split


def test_a_full_insert_fills_the_window_between_its_adapters():
    insert = "ACGT" * 50
    left, right = LENTI_FLANKS
    assert decode(window_codes([insert], LENTI_FLANKS)[0]) == left + insert + right


def test_reversing_turns_the_insert_and_leaves_the_adapters():
    insert = "AACGT" * 40
    left, right = LENTI_FLANKS
    turned = decode(reverse_complement(encode(insert)))
    assert decode(window_codes([insert], LENTI_FLANKS, reverse=True)[0]) == left + turned + right


def test_short_inserts_are_centred_in_n_with_adapters_touching_them():
    left, right = LENTI_FLANKS
    text = decode(window_codes(["C" * 171], LENTI_FLANKS)[0])
    assert len(text) == WINDOW
    assert text.strip("N") == left + "C" * 171 + right
    bare = decode(window_codes(["C" * 114], ("", ""))[0])
    assert bare == "N" * 58 + "C" * 114 + "N" * 58


def test_an_insert_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="201 bases"):
        window_codes(["A" * 201], ("", ""))


def test_one_construct_holds_the_labels_of_all_its_assays():
    table = toy_table(20)
    assays = assays_of(table)
    scale = training_scale(table, assays)
    data = labelled_sequences(table, assays, scale)
    assert len(data) == 20 * 3  # three libraries
    labels = np.sort((~np.isnan(data.activity)).sum(axis=1))
    assert labels.tolist() == [1] * 20 + [2] * 20 + [3] * 20
    for row in table.sample(30, random_state=0).itertuples():
        codes = window_codes([row.sequence], ASSAY_BY_NAME[row.assay].flanks)[0]
        (at,) = np.flatnonzero((data.codes == codes).all(axis=1))
        column = [assay.name for assay in assays].index(row.assay)
        back = data.activity[at, column] * scale.sd[column] + scale.mean[column]
        assert back == pytest.approx(row.activity, abs=1e-5)
        variance = data.variance[at, column] * scale.sd[column] ** 2
        assert variance == pytest.approx(row.variance_shrunk, rel=1e-5, nan_ok=True)
    assert data.replicated.tolist() == [not a.name.startswith("joint") for a in assays]


def test_the_scale_knows_nothing_of_held_out_folds():
    table = toy_table(50)
    assays = assays_of(table)
    before = training_scale(table, assays)
    table.loc[table["fold"].isin([0, 1]), "activity"] += 100
    after = training_scale(table, assays)
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.sd, after.sd)


def test_no_label_of_a_held_out_fold_reaches_training():
    table = toy_table(50)
    train, validation, scale = split(table)
    held_out = table["fold"].isin([0, 1])
    for column in ("activity", "variance_shrunk", "noise_sd"):
        table.loc[held_out & table[column].notna(), column] = 1e6
    again, absurd, scale_again = split(table)
    for name in ("codes", "reverse_codes", "activity", "variance", "replicated"):
        before, after = getattr(train, name), getattr(again, name)
        assert before.tobytes() == after.tobytes(), name
    assert scale.mean.tobytes() == scale_again.mean.tobytes()
    assert scale.sd.tobytes() == scale_again.sd.tobytes()
    assert np.nanmax(absurd.activity) > 1e5 > np.nanmax(validation.activity), "they were read"
    inserts = {row.tobytes() for row in train.codes}
    assert not inserts & {row.tobytes() for row in validation.codes}


def test_noise_is_relative_to_what_is_typical_of_its_assay_in_training():
    train, validation, scale = split(toy_table(200))
    replicated = train.replicated
    assert np.isnan(train.noise[:, ~replicated]).all()
    np.testing.assert_allclose(np.nanmedian(train.noise[:, replicated], axis=0), 1, rtol=1e-6)
    np.testing.assert_array_equal(validation.typical, train.typical)
    louder = toy_table(200)
    louder.loc[louder["fold"] == 1, "variance_shrunk"] *= 9
    _, noisier, _ = split(louder)
    np.testing.assert_allclose(noisier.noise, 9 * validation.noise, rtol=1e-5)
    batch = train.batch(np.arange(7), np.zeros(7, dtype=bool), 0.25)
    np.testing.assert_array_equal(batch.noise.numpy(), train.noise[:7])
    assert batch.progress.item() == 0.25
    np.testing.assert_allclose(batch.sd.numpy(), scale.sd, rtol=1e-6)


def test_batches_tell_losses_and_samplers_how_much_of_the_run_is_over():
    train, _, _ = split(toy_table(100))
    seen = []

    class Spy(Shuffled):
        def epoch(self, labels, *, batch_size, progress, rng):
            seen.append((progress, batch_size, len(labels)))
            np.testing.assert_array_equal(labels.noise, train.noise)
            return super().epoch(labels, batch_size=batch_size, progress=progress, rng=rng)

    batches = EpochBatches(train, Spy(), 32, seed=1, epochs=4)
    for number in range(4):
        batches.epoch = number
        assert {batch.progress.item() for batch in batches} == {number / 4}
    assert seen == [(number / 4, 32, len(train)) for number in range(4)]


def test_undeclared_assays_are_refused():
    table = toy_table(10)
    table["assay"] = "somebody_elses"
    with pytest.raises(ValueError, match="somebody_elses"):
        assays_of(table)


def epoch(batches: EpochBatches, number: int) -> np.ndarray:
    batches.epoch = number
    return np.concatenate([batch.codes.numpy() for batch in batches])


def test_an_epoch_is_a_function_of_seed_and_number_and_turns_half_of_the_inserts():
    table = toy_table(200)
    assays = assays_of(table)
    data = labelled_sequences(table, assays, training_scale(table, assays))
    one, two = (EpochBatches(data, Shuffled(), 32, seed=5) for _ in range(2))
    np.testing.assert_array_equal(epoch(one, 3), epoch(two, 3))
    assert (epoch(one, 3) != epoch(one, 4)).any()
    assert (epoch(one, 3) != epoch(EpochBatches(data, Shuffled(), 32, seed=6), 3)).any()
    forward = {row.tobytes() for row in data.codes}
    reverse = {row.tobytes() for row in data.reverse_codes}
    seen = [row.tobytes() for row in epoch(one, 0)]
    assert len(seen) == len(one) * 32
    assert len(set(seen)) == len(seen)  # each construct once
    assert all(row in forward or row in reverse for row in seen)
    turned = sum(row in reverse for row in seen) / len(seen)
    assert 0.4 < turned < 0.6
