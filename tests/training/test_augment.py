"""Augmentation: what may change, what stays, and that an epoch can be drawn again."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.small_recipe import SMALL
from tests.training.toy_table import toy_table
from training import members as members_module
from training.assays import LENTI_FLANKS, WINDOW, window_codes
from training.augment import OFFSETS, EvoAug, Jitter, MaskedJitter, inside, move
from training.batches import EpochBatches, insert_spans
from training.members import load_member
from training.recipe import Cycle, Recipe, RecipeError
from training.samplers import Shuffled
from training.trainer import split, train_member

NOTHING = EvoAug(share=1.0, shift=0, delete=0, insert=0, mutate=0.0)
EVERYTHING = EvoAug(share=0.7, mask=0.05)
LENGTHS = [200, 171, 114, 19, 1]


def constructs(flanks, lengths=LENGTHS, seed=0):
    rng = np.random.default_rng(seed)
    inserts = ["".join(rng.choice(list("ACGT"), length)) for length in lengths]
    return window_codes(inserts, flanks), insert_spans(lengths, flanks)


def of_row(codes, inserts, row):
    start, end = inserts[row]
    return codes[row, start:end]


@pytest.mark.parametrize("flanks", [LENTI_FLANKS, ("", "")], ids=["adapters", "bare"])
def test_spans_are_where_the_inserts_stand(flanks):
    codes, spans = constructs(flanks)
    for row, length in enumerate(LENGTHS):
        start, end = spans[row]
        assert end - start == length
        alone = window_codes(["T" * length], ("N" * len(flanks[0]), "N" * len(flanks[1])))[0]
        assert (inside(spans, WINDOW)[row] == (alone != 4)).all()
        assert (codes[row, start:end] != 4).all()


@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize("flanks", [LENTI_FLANKS, ("", "")], ids=["adapters", "bare"])
def test_adapters_and_padding_are_never_touched(flanks, seed):
    codes, spans = constructs(flanks)
    before = codes.copy()
    changed = EVERYTHING.apply(codes, spans, np.random.default_rng(seed))
    np.testing.assert_array_equal(codes, before)  # not in place
    outside = ~inside(spans, WINDOW)
    np.testing.assert_array_equal(changed[outside], codes[outside])
    assert changed.dtype == np.uint8
    assert changed.max() <= 4


@given(seed=st.integers(0, 10_000))
def test_a_shift_rolls_the_insert_between_its_adapters(seed):
    codes, spans = constructs(LENTI_FLANKS)
    augment = dataclasses.replace(NOTHING, shift=7)
    changed = augment.apply(codes, spans, np.random.default_rng(seed))
    for row in range(len(codes)):
        insert = of_row(codes, spans, row)
        rolled = [np.roll(insert, by).tobytes() for by in range(-7, 8)]
        assert of_row(changed, spans, row).tobytes() in rolled


@given(seed=st.integers(0, 10_000))
def test_a_deletion_closes_the_gap_and_fills_both_ends(seed):
    codes, spans = constructs(LENTI_FLANKS)
    augment = dataclasses.replace(NOTHING, delete=5)
    changed = augment.apply(codes, spans, np.random.default_rng(seed))

    def is_deletion(before, after):
        n = len(before)
        for size in range(min(5, n) + 1):
            kept = after[size // 2 : n - (size - size // 2)]
            for at in range(n - size + 1):
                if (kept == np.concatenate([before[:at], before[at + size :]])).all():
                    return True
        return False

    for row in range(len(codes)):
        assert is_deletion(of_row(codes, spans, row), of_row(changed, spans, row))


@given(seed=st.integers(0, 10_000))
def test_an_insertion_moves_the_rest_apart_and_cuts_both_ends(seed):
    codes, spans = constructs(LENTI_FLANKS)
    augment = dataclasses.replace(NOTHING, insert=5)
    changed = augment.apply(codes, spans, np.random.default_rng(seed))

    def is_insertion(before, after):
        n = len(before)
        for size in range(min(5, n) + 1):
            for at in range(n + 1):
                wanted = np.concatenate([before[:at], np.full(size, 9, np.uint8), before[at:]])
                wanted = wanted[size // 2 : size // 2 + n]
                if ((wanted == after) | (wanted == 9)).all():
                    return True
        return False

    for row in range(len(codes)):
        assert is_insertion(of_row(codes, spans, row), of_row(changed, spans, row))


@pytest.mark.parametrize("kind", ["shift", "delete", "insert"])
def test_sizes_reach_their_largest_and_no_further(kind):
    # By how far an N in the middle of the insert moves; no random base is an N.
    insert = "A" * 100 + "N" + "A" * 99
    codes = window_codes([insert] * 2000, LENTI_FLANKS)
    spans = insert_spans([200] * 2000, LENTI_FLANKS)
    augment = dataclasses.replace(NOTHING, **{kind: 8})
    changed = augment.apply(codes, spans, np.random.default_rng(1))[:, 15:215]
    moved = {int(np.flatnonzero(row == 4)[0]) - 100 for row in changed if (row == 4).any()}
    furthest = 8 if kind == "shift" else 4
    assert moved == set(range(-furthest, furthest + 1))


@pytest.mark.parametrize(("kind", "share"), [("mutate", 0.1), ("mask", 0.1)])
def test_a_share_of_the_bases_is_replaced(kind, share):
    codes, spans = constructs(LENTI_FLANKS, [200] * 500)
    marked = inside(spans, WINDOW)
    augment = dataclasses.replace(NOTHING, **{kind: share})
    changed = augment.apply(codes, spans, np.random.default_rng(0))
    differs = changed != codes
    # 100,000 bases: the standard error of the share is 0.001.
    assert differs[marked].mean() == pytest.approx(share, abs=0.005)
    assert set(changed[differs]) == ({4} if kind == "mask" else {0, 1, 2, 3})
    every = dataclasses.replace(NOTHING, **{kind: 1.0})
    assert (every.apply(codes, spans, np.random.default_rng(0)) != codes)[marked].all()


def test_rows_meet_each_kind_with_the_given_probability():
    codes, spans = constructs(LENTI_FLANKS, [200] * 2000)
    augment = dataclasses.replace(NOTHING, share=0.3, mutate=0.2)
    changed = augment.apply(codes, spans, np.random.default_rng(0))
    assert (changed != codes).any(axis=1).mean() == pytest.approx(0.3, abs=0.05)
    none = dataclasses.replace(EVERYTHING, share=0.0)
    np.testing.assert_array_equal(none.apply(codes, spans, np.random.default_rng(0)), codes)


def epoch(batches, number):
    batches.epoch = number
    return list(batches)


def test_an_augmented_epoch_is_the_plain_one_under_changed_sequences():
    train, _, _ = split(toy_table(100))
    plain = EpochBatches(train, Shuffled(), 32, seed=3, epochs=2)
    augments = [EVERYTHING, None]
    one, two = (
        EpochBatches(train, Shuffled(), 32, seed=3, epochs=2, augments=augments) for _ in range(2)
    )
    epoch(two, 1)  # whatever was drawn before
    for left, right, measured in zip(epoch(one, 0), epoch(two, 0), epoch(plain, 0), strict=True):
        assert torch.equal(left.codes, right.codes)
        assert not torch.equal(left.codes, measured.codes)
        # The same rows under the same labels, the same way round: most positions agree.
        np.testing.assert_array_equal(left.activity, measured.activity)
        outside = measured.codes == 4
        assert (left.codes[outside] == 4).all()
    for left, measured in zip(epoch(one, 1), epoch(plain, 1), strict=True):
        assert torch.equal(left.codes, measured.codes)
    nothing = EpochBatches(train, Shuffled(), 32, seed=3, epochs=2, augments=[NOTHING, NOTHING])
    for number in (0, 1):
        for left, measured in zip(epoch(nothing, number), epoch(plain, number), strict=True):
            assert torch.equal(left.codes, measured.codes)


@pytest.mark.parametrize("offset", [-3, -1, 0, 1, 15])
def test_a_move_keeps_the_letters_and_their_order(offset):
    codes, _ = constructs(("", ""))
    moved = move(codes, offset)
    for row in range(len(codes)):
        for column in range(WINDOW):
            source = column - offset
            expected = codes[row, source] if 0 <= source < WINDOW else 4
            assert moved[row, column] == expected


def test_jitter_moves_each_row_by_one_of_its_offsets_all_as_often():
    codes, spans = constructs(LENTI_FLANKS, [200] * 800)
    before = codes.copy()
    jittered = Jitter().apply(codes, spans, np.random.default_rng(3))
    np.testing.assert_array_equal(codes, before)
    is_moved = np.stack([(jittered == move(codes, offset)).all(axis=1) for offset in OFFSETS])
    assert (is_moved.sum(axis=0) == 1).all()
    # 200 expected of each; five standard deviations.
    assert (np.abs(is_moved.sum(axis=1) - 200) < 62).all()
    # Every way in which two rounds of pooling pairs can fall.
    assert {offset % 4 for offset in OFFSETS} == {0, 1, 2, 3}


def test_a_mask_hides_one_stretch_of_the_insert_in_its_share_of_the_rows():
    lengths = [200] * 1200 + [5] * 400
    codes, spans = constructs(LENTI_FLANKS, lengths)
    before = codes.copy()
    masked = MaskedJitter(offsets=(0,)).apply(codes, spans, np.random.default_rng(5))
    np.testing.assert_array_equal(codes, before)
    hidden = masked != codes
    assert (masked[hidden] == 4).all()
    assert not hidden[~inside(spans, WINDOW)].any()
    size = hidden.sum(axis=1)
    first, last = hidden.argmax(axis=1), WINDOW - 1 - hidden[:, ::-1].argmax(axis=1)
    met = size > 0
    assert (last - first + 1 == size)[met].all()
    # Five standard deviations.
    assert abs(met[:1200].mean() - 0.5) < 0.072
    assert set(size[:1200]) == set(range(12))
    assert set(size[1200:]) == set(range(6))  # a short insert is hidden whole at most
    ends = spans[:1200][met[:1200]]
    assert first[:1200][met[:1200]].min() < ends[0, 0] + 10
    assert last[:1200][met[:1200]].max() > ends[0, 1] - 10


def test_a_masked_construct_is_moved_as_well():
    codes, spans = constructs(LENTI_FLANKS, [200] * 200)
    jittered = MaskedJitter(share=0.0).apply(codes, spans, np.random.default_rng(3))
    is_moved = np.stack([(jittered == move(codes, offset)).all(axis=1) for offset in OFFSETS])
    assert (is_moved.sum(axis=0) == 1).all()
    assert is_moved.any(axis=1).all()


def test_a_recipe_says_in_which_cycles_it_is_on():
    recipe = dataclasses.replace(SMALL, augment=EvoAug())
    assert recipe.augments == (EvoAug(), EvoAug(), None)  # cycles of two epochs and of one
    both = EvoAug(cycles=(0, 1))
    assert dataclasses.replace(SMALL, augment=both).augments == (both,) * 3
    assert SMALL.augments == (None,) * 3
    for cycles in [(), (2,)]:
        with pytest.raises(RecipeError, match="augmented in cycles"):
            dataclasses.replace(SMALL, augment=EvoAug(cycles=cycles))
    plain = Recipe("plain", SMALL.architecture, SMALL.loss, optim=SMALL.optim)
    with pytest.raises(RecipeError, match="first cycle"):
        dataclasses.replace(SMALL, start=plain, augment=EvoAug())


def test_an_interrupted_augmented_run_ends_with_the_same_weights(monkeypatch, tmp_path):
    optim = dataclasses.replace(SMALL.optim, cycles=(Cycle(2, 5e-3), Cycle(1, 2e-3)))
    recipe = dataclasses.replace(SMALL, optim=optim, augment=EvoAug())
    table = toy_table(100)

    def weights(recipe, place, *stops):
        monkeypatch.setitem(members_module.ZOO, "small", recipe)
        for stop in stops:
            options = {"progress": False, "stop_after": stop}
            assert train_member(recipe, 1, table, tmp_path / place, **options) is None
        path = train_member(recipe, 1, table, tmp_path / place, progress=False)
        return load_member(path).network.state_dict()

    whole, cut = weights(recipe, "whole"), weights(recipe, "cut", 1, 1)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    plain = weights(dataclasses.replace(recipe, augment=None), "plain")
    assert not torch.equal(whole["heads.mean.weight"], plain["heads.mean.weight"])
