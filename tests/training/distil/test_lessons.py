"""What teachers say of which sequences, at which offsets."""

import dataclasses

import numpy as np
import torch

from service.sequence import decode
from tests.training.distil.small_student import SERVED, batches_of
from training.assays import LENTI_FLANKS
from training.augment import move
from training.distil.lessons import TaughtBatches, Teacher, head_numbers
from training.distil.mutants import Mutants
from training.export import ServedModel
from training.members import load_members, predict_constructs
from training.trainer import split


def test_lessons_show_every_insert_as_the_service_would(table, teacher):
    train, _, _ = split(table)
    lessons = teacher.lessons(train)
    left, right = LENTI_FLANKS
    lengths = set()
    for before, after in (
        (train.codes, lessons.codes),
        (train.reverse_codes, lessons.reverse_codes),
    ):
        for row in range(0, len(train), 7):
            start, end = train.inserts[row]
            insert = decode(before[row, start:end])
            text = decode(after[row])
            assert text.startswith(left)
            assert text.endswith(right)
            assert text[15:215].strip("N") == insert
            padding = (200 - len(insert)) // 2
            assert tuple(lessons.inserts[row]) == (15 + padding, 15 + padding + len(insert))
            lengths.add(len(insert))
    assert lengths == {114, 171, 200}
    names = [f"{assay}.{seed}" for seed in (1, 2) for assay in SERVED]
    assert [assay.name for assay in lessons.assays] == names


def test_labels_are_what_each_member_says_of_each_sequence(table, teachers, teacher):
    _, validation, _ = split(table)
    lessons = teacher.lessons(validation)
    for number, member in enumerate(load_members(teachers)):
        mu, log_var = predict_constructs(member.network, lessons.codes)
        own = slice(3 * number, 3 * number + 3)
        np.testing.assert_array_equal(lessons.activity[:, own], mu[:, :3])
        np.testing.assert_allclose(np.log(lessons.variance[:, own]), log_var[:, :3], atol=1e-5)
    assert not np.isnan(lessons.activity).any()


def test_rounded_answers_keep_the_differences_of_copies(table, teachers, teacher):
    lessons = teacher.lessons(split(table)[1])
    copies = Mutants(1).copies(lessons.codes, lessons.inserts, np.random.default_rng(0))
    rounding = Teacher(load_members(teachers), teacher.assays, is_rounded=True)
    exact, rounded = (
        one.label(copies)[0] - one.label(lessons.codes)[0] for one in (teacher, rounding)
    )
    assert 0 < np.square(rounded - exact).mean() < 0.02 * np.square(exact).mean()


def test_a_batch_is_constructs_and_copies_under_their_own_labels(table, teacher):
    batches = batches_of(table, teacher)
    seen = []
    assert len(batches) == len(batches.data) // 16
    for batch in batches:
        codes = batch.codes.numpy()
        differs = (codes[::2] != codes[1::2]).sum(axis=1)
        assert ((differs >= 1) & (differs <= 20)).all()
        mean, variance = teacher.label(codes)
        np.testing.assert_allclose(batch.activity, mean, atol=1e-5)
        np.testing.assert_allclose(batch.variance, variance, rtol=1e-4)
        seen += [row.tobytes() for row in codes[::2]]
    forward, reverse = (
        {row.tobytes() for row in codes}
        for codes in (batches.data.codes, batches.data.reverse_codes)
    )
    assert len(set(seen)) == len(seen)
    assert all(row in forward | reverse for row in seen)
    assert 0.3 < sum(row in reverse for row in seen) / len(seen) < 0.7


def test_a_teacher_that_moves_constructs_answers_with_the_mean(table, teachers, teacher):
    lessons = teacher.lessons(split(table)[1])
    moving = Teacher(load_members(teachers), teacher.assays, offsets=(0, 1, -2))
    mean, variance = moving.label(lessons.codes)
    alone = [teacher.label(move(lessons.codes, offset)) for offset in (0, 1, -2)]
    np.testing.assert_allclose(mean, np.mean([mu for mu, _ in alone], axis=0), atol=1e-6)
    log_var = np.mean([np.log(var) for _, var in alone], axis=0)
    np.testing.assert_allclose(np.log(variance), log_var, atol=1e-5)
    # It teaches as the exported graph of the same members answers.
    served = ServedModel(moving.members, moving.offsets).eval()
    with torch.inference_mode():
        mu, _ = served(torch.from_numpy(lessons.codes[:, 15:215].copy()))
    scale = moving.members[0].scale
    taught_mu = mean.reshape(len(mean), 2, 3) * scale.sd[:3] + scale.mean[:3]
    np.testing.assert_allclose(mu.numpy(), taught_mu, atol=1e-4)


def test_a_pair_is_seen_at_one_offset_and_labelled_at_one_of_the_teacher(table, teachers, teacher):
    moving = Teacher(load_members(teachers), teacher.assays, offsets=(0, 1))
    sampler = Mutants(offsets=(-1, 0, 2))
    batches = TaughtBatches(
        moving.lessons(split(table)[0]), moving, sampler, batch_size=32, seed=5, epochs=2
    )
    data = batches.data
    known = {row.tobytes() for row in (*data.codes, *data.reverse_codes)}

    def back(rows, offset):
        """Where they stood; what left the window was adapter, the same of every construct."""
        rows = move(rows, -offset)
        for edge in (slice(0, 15), slice(215, 230)):
            rows[:, edge] = data.codes[0, edge]
        return rows

    used = set()
    for batch in batches:
        pairs = batch.codes.numpy().reshape(-1, 2, 230)
        labels_of = (
            values.numpy().reshape(len(pairs), 2, -1) for values in (batch.activity, batch.variance)
        )
        for pair, labels, variances in zip(pairs, *labels_of, strict=True):
            found = {offset: back(pair, offset) for offset in sampler.offsets}
            ((offset, stood),) = (
                (offset, rows) for offset, rows in found.items() if rows[0].tobytes() in known
            )
            # Both alleles in one pass of the teacher's, whatever the student sees.
            asked = [
                by
                for by in moving.offsets
                if np.abs(labels - teacher.label(move(stood, by))[0]).max() < 1e-5
            ]
            (by,) = asked
            _, variance = teacher.label(move(stood, by))
            np.testing.assert_allclose(variances, variance, rtol=1e-4)
            used.add((offset, by))
        if len(used) == len(sampler.offsets) * len(moving.offsets):
            return
    raise AssertionError(f"only {used} were met")


def test_an_epoch_of_lessons_is_a_function_of_seed_and_number(table, teacher):
    def drawn(seed, epoch, *before):
        batches = batches_of(table, teacher, seed)
        for number in (*before, epoch):
            batches.epoch = number
            codes = torch.cat([batch.codes for batch in batches])
        return codes

    assert torch.equal(drawn(5, 1), drawn(5, 1, 0))
    assert not torch.equal(drawn(5, 1), drawn(5, 0))
    assert not torch.equal(drawn(5, 1), drawn(6, 1))


def test_members_of_several_recipes_are_told_apart_by_their_number(teacher):
    one, two = teacher.members
    other = dataclasses.replace(two, recipe="other", seed=one.seed)
    assert head_numbers([one, two]) == [1, 2], "their seeds"
    assert head_numbers([dataclasses.replace(one, seed=9), two]) == [9, 2]
    assert head_numbers([one, other]) == [1, 2]
