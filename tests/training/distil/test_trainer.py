"""From members to the weights of a student: what it learns from, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch

from service.sequence import decode
from tests.training.distil.small_student import PUPIL, batches_of
from tests.training.small_recipe import SMALL
from tests.training.test_folder import FILES
from tests.training.toy_table import toy_table
from training import fitting
from training import members as members_module
from training.architectures.heads import MeanHeads, Prediction
from training.architectures.network import Network
from training.architectures.student import StudentHeads
from training.augment import EvoAug
from training.card import read_card
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.datasets.sources import DataError
from training.distil import trainer
from training.distil.lessons import DistilError, TaughtBatches, Teacher
from training.distil.mutants import Mutants
from training.distil.places import student_members
from training.distil.trainer import distil_student
from training.fitting import quiet, run_cycles
from training.folder import make_model
from training.losses.regression import MaskedMSE, MeanVariance
from training.members import load_members, predict_constructs
from training.recipe import Cycle, Recipe, RecipeError
from training.samplers import Shuffled
from training.trainer import RunError, split, train_member
from training.zoo import STUDENT, ZOO

LONGER = (Cycle(6, 1e-2),)


class Seen(Exception):
    """Ends a run at its first batches, and holds the constructs that they are made of."""


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_teacher_answers_in_the_precision_of_the_recipe(
    precision, table, teachers, tmp_path, monkeypatch
):
    asked = []

    class Watched(Teacher):
        def label(self, *asked_for):
            asked.append(self.is_rounded)
            return super().label(*asked_for)

    monkeypatch.setattr(trainer, "Teacher", Watched)
    recipe = dataclasses.replace(PUPIL, optim=dataclasses.replace(PUPIL.optim, precision=precision))
    monkeypatch.setitem(members_module.ZOO, "pupil", recipe)
    distil_student(recipe, 7, teachers, table, tmp_path, progress=False, stop_after=1)
    assert set(asked) == {precision == "bf16-mixed"}


def test_a_warm_student_starts_from_the_trunk_of_a_member(table, teachers, tmp_path, monkeypatch):
    small = SMALL.architecture.trunk
    warm = dataclasses.replace(
        PUPIL,
        architecture=Network(
            dataclasses.replace(small, dropout=0.0), StudentHeads(hidden=8, is_warm=True)
        ),
    )
    started = {}

    def watch(module, *_, **__):
        started.update(module.network.trunk.state_dict())
        raise Seen

    monkeypatch.setattr(fitting, "_fit", watch)
    with pytest.raises(Seen):
        distil_student(warm, 7, teachers, table, tmp_path, progress=False)
    theirs = load_members(teachers)[0].network.trunk.state_dict()
    assert all(torch.equal(started[name], value) for name, value in theirs.items())
    monkeypatch.undo()
    monkeypatch.setitem(members_module.ZOO, "small", SMALL)
    monkeypatch.setitem(members_module.ZOO, "pupil", warm)
    files = distil_student(warm, 7, teachers, table, tmp_path, progress=False)
    folder = make_model(files, name="warm", models_dir=tmp_path, table=table, files=FILES)
    assert "started from that of small/1" in read_card(folder).summary
    other = dataclasses.replace(small, width=small.width + 8)
    cold = dataclasses.replace(
        warm, architecture=Network(other, StudentHeads(hidden=8, is_warm=True))
    )
    with pytest.raises(DistilError, match="starts from the trunk of a member"):
        distil_student(cold, 7, teachers, table, tmp_path / "cold", progress=False)


def test_no_construct_of_a_held_out_fold_is_a_lesson(table, teachers, tmp_path, monkeypatch):
    def stop(lessons, *_, **__):
        raise Seen({decode(row[15:215]).strip("N") for row in lessons.codes})

    monkeypatch.setattr(trainer, "TaughtBatches", stop)
    with pytest.raises(Seen) as found:
        distil_student(PUPIL, 7, teachers, table, tmp_path, progress=False)
    held_out = table["fold"].isin([TEST_FOLD, VALIDATION_FOLD])
    assert found.value.args[0] == {*table.loc[~held_out, "sequence"]}


def test_an_interrupted_student_ends_with_the_same_weights(
    table, runs, teachers, heads, tmp_path_factory
):
    again = tmp_path_factory.mktemp("again")
    for _ in range(2):
        options = {"progress": False, "stop_after": 1}
        assert distil_student(PUPIL, 7, teachers, table, again, **options) is None
    with pytest.raises(DataError, match="distil small --student pupil --seed 7"):
        student_members("pupil", again, 7, "small")
    resumed = distil_student(PUPIL, 7, teachers, table, again, progress=False)
    assert resumed == student_members("pupil", again, 7, "small")
    for one, two in zip(load_members(heads), load_members(resumed), strict=True):
        for name, value in one.network.state_dict().items():
            assert torch.equal(value, two.network.state_dict()[name]), name
    before = [file.read_bytes() for file in heads]
    assert distil_student(PUPIL, 7, teachers, table, runs, progress=False) == heads
    assert [file.read_bytes() for file in heads] == before
    with pytest.raises(RunError, match="another run"):
        distil_student(PUPIL, 7, teachers[:1], table, runs, progress=False)


class Counting(torch.nn.Module):
    """A member that counts one base: mu and log_var of every assay from its share of the insert."""

    def __init__(self, base, n_assays):
        super().__init__()
        self.base, self.n_assays = base, n_assays
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, codes):
        share = (codes == self.base).sum(dim=1, keepdim=True) / (codes < 4).sum(dim=1, keepdim=True)
        mu = (30 * (share - 0.25) * self.weight).expand(-1, self.n_assays)
        return Prediction(mu=mu, log_var=-mu / 2, embedding=mu)


@pytest.mark.slow
def test_each_head_learns_its_own_teacher_and_its_differences(tmp_path, teacher):
    # One member counts A, the other G: a head that had the other's lessons would show.
    members = [
        dataclasses.replace(member, network=Counting(base, len(member.assays)))
        for member, base in zip(teacher.members, (0, 2), strict=True)
    ]
    counting = Teacher(members, teacher.assays)
    train, measured, _ = split(toy_table(300))
    recipe = dataclasses.replace(PUPIL, optim=dataclasses.replace(PUPIL.optim, cycles=LONGER))
    batches = TaughtBatches(
        counting.lessons(train), counting, PUPIL.sampler, batch_size=32, seed=1, epochs=6
    )
    lessons = counting.lessons(measured)
    with quiet():
        network = run_cycles(
            recipe, batches, lessons, [tmp_path / "0"], epochs_left=6, progress=False
        )
    copies = Mutants(5).copies(lessons.codes, lessons.inserts, np.random.default_rng(0))
    (mu, log_var), (changed, _) = (
        predict_constructs(network, codes) for codes in (lessons.codes, copies)
    )
    effect, said = counting.label(copies)[0] - lessons.activity, changed - mu
    for own, others in ((0, 3), (3, 0)):
        for target in range(3):
            column, other = own + target, others + target
            assert np.corrcoef(mu[:, column], lessons.activity[:, column])[0, 1] > 0.6
            assert np.corrcoef(log_var[:, column], np.log(lessons.variance[:, column]))[0, 1] > 0.6
            assert np.corrcoef(said[:, column], effect[:, column])[0, 1] > 0.6
            assert np.corrcoef(said[:, column], effect[:, other])[0, 1] < 0.4


def test_what_cannot_teach_or_learn_is_refused(table, runs, teachers, heads, tmp_path):
    with pytest.raises(RunError, match="varsigma-train distil"):
        train_member(PUPIL, 1, table, tmp_path, progress=False)
    with pytest.raises(DistilError, match="small learns from labels"):
        distil_student(SMALL, 1, teachers, table, tmp_path, progress=False)
    with pytest.raises(DistilError, match="head of a student"):
        distil_student(PUPIL, 1, heads, table, tmp_path, progress=False)
    other = table.assign(fold=9 - table["fold"])
    with pytest.raises(DistilError, match="another table"):
        distil_student(PUPIL, 1, teachers, other, tmp_path, progress=False)
    plain = Recipe("plain", Network(SMALL.architecture.trunk, MeanHeads()), MaskedMSE())
    plain = dataclasses.replace(plain, optim=SMALL.optim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(members_module.ZOO, "plain", plain)
        blind = train_member(plain, 1, table, tmp_path, progress=False)
        with pytest.raises(DistilError, match="predict no variance"):
            distil_student(PUPIL, 1, [blind], table, tmp_path, progress=False)


@pytest.mark.parametrize(
    "change",
    [
        {"loss": MeanVariance()},
        {"sampler": Shuffled()},
        {"architecture": SMALL.architecture},
        {"augment": EvoAug()},
    ],
)
def test_a_student_of_which_a_part_is_not_one_is_refused(change):
    with pytest.raises(RecipeError, match=r"a student takes|needs mined pairs"):
        dataclasses.replace(PUPIL, **change)


def test_the_student_of_the_zoo_learns_a_fixed_batch_with_every_parameter(table, teacher):
    batches = batches_of(table, teacher)
    batch = next(iter(batches))
    torch.manual_seed(1)
    network = ZOO[STUDENT].architecture.build(batches.data.assays)
    # Small: what a teacher that has learned nothing says of differences is small, and misses are
    # shares of it.
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    losses = []
    for _ in range(3):
        torch.manual_seed(2)  # the same dropout: the loss is a function of the weights
        optimizer.zero_grad()
        loss = ZOO[STUDENT].loss(network(batch.codes), batch)
        loss.backward()
        losses.append(loss.item())
        assert all(p.grad is not None and p.grad.any() for p in network.parameters())
        optimizer.step()
    assert losses[-1] < losses[0]
