"""From members to a student and to a served model: who teaches what, and what is exported."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from service.registry import Registry
from service.sequence import decode, encode
from tests.toy_models import SumModel, write_model
from tests.training.small_recipe import SMALL
from tests.training.test_folder import FILES
from tests.training.toy_table import toy_table
from training import cli, fitting
from training import members as members_module
from training.architectures.heads import MeanHeads, Prediction
from training.architectures.network import Network
from training.architectures.student import StudentHeads, taught
from training.architectures.trunks import Compact
from training.assays import LENTI_FLANKS
from training.augment import EvoAug, move
from training.card import read_card
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.datasets.sources import DataError
from training.distil import trainer
from training.distil.lessons import DistilError, TaughtBatches, Teacher, head_numbers
from training.distil.loss import Distillation
from training.distil.mutants import Mutants
from training.distil.places import student_members
from training.distil.trainer import _one_head, distil_student
from training.export import ExportError, ServedModel, build_graph, has_one_trunk, parity
from training.fitting import quiet, run_cycles
from training.folder import make_model, predictor_of
from training.losses.regression import MaskedMSE, MeanVariance
from training.members import load_members, predict_constructs
from training.recipe import Cycle, Optim, Recipe, RecipeError
from training.samplers import Shuffled
from training.trainer import RunError, split, train_member
from training.zoo import STUDENT, ZOO

PUPIL = Recipe(
    "pupil",
    Network(Compact(width=24, coarse=(1,)), StudentHeads(hidden=8)),
    Distillation(),
    Mutants(),
    Optim(cycles=(Cycle(3, 5e-3),), batch_size=32, ema=0.9),
    seeds=(1, 2),
)
LONGER = (Cycle(6, 1e-2),)
SERVED = ["joint_K562", "joint_HepG2", "joint_WTC11"]


@pytest.fixture(scope="module")
def table():
    return toy_table(100)


@pytest.fixture(scope="module", autouse=True)
def zoo():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(members_module.ZOO, "small", SMALL)
        patch.setitem(members_module.ZOO, "pupil", PUPIL)
        yield


@pytest.fixture(scope="module")
def runs(table, tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def teachers(table, runs):
    return [train_member(SMALL, seed, table, runs, progress=False) for seed in (1, 2)]


@pytest.fixture(scope="module")
def heads(teachers, table, runs):
    return distil_student(PUPIL, 7, teachers, table, runs, progress=False)


@pytest.fixture(scope="module")
def teacher(teachers):
    members = load_members(teachers)
    return Teacher(members, [assay for assay in members[0].assays if assay.served])


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
    members_module.ZOO["pupil"] = recipe
    distil_student(recipe, 7, teachers, table, tmp_path, progress=False, stop_after=1)
    members_module.ZOO["pupil"] = PUPIL
    assert set(asked) == {precision == "bf16-mixed"}


def batches_of(table, teacher, seed=5):
    lessons = teacher.lessons(split(table)[0])
    return TaughtBatches(lessons, teacher, PUPIL.sampler, batch_size=32, seed=seed, epochs=2)


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


class Seen(Exception):
    """Ends a run at its first batches, and holds the constructs that they are made of."""


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


def residual_sd(head, measured):
    """Of each assay that a head predicts, row by row."""
    left, right = LENTI_FLANKS
    squares = [[] for _ in SERVED]
    for codes, (start, end), activity in zip(
        measured.codes, measured.inserts, measured.activity, strict=True
    ):
        insert = decode(codes[start:end])
        before = (200 - len(insert)) // 2
        shown = left + "N" * before + insert + "N" * (200 - len(insert) - before) + right
        mu, _ = predict_constructs(head.network, encode(shown)[None].copy())
        for of_assay, error in zip(squares, mu[0] - activity[:3], strict=True):
            if np.isfinite(error):
                of_assay.append(error**2)
    return [np.sqrt(np.mean(of_assay)) for of_assay in squares]


def test_heads_are_stored_as_members_on_one_trunk(heads, teachers, table):
    _, measured, _ = split(table)
    members, own = load_members(heads), load_members(teachers)
    assert [member.seed for member in members] == [1, 2]
    assert [assay.name for assay in members[0].assays] == SERVED
    first, second = (member.network.state_dict() for member in members)
    different = {name for name in first if not torch.equal(first[name], second[name])}
    assert different
    assert all(name.startswith("heads.") for name in different)
    for head, taught_by in zip(members, own, strict=True):
        assert (head.teacher.recipe, head.teacher.fingerprint) == ("small", SMALL.fingerprint)
        assert head.teacher.seed == 7
        np.testing.assert_array_equal(head.scale.mean, taught_by.scale.mean[:3])
        np.testing.assert_allclose(head.residual_sd, residual_sd(head, measured), rtol=1e-4)


def test_the_exported_student_runs_its_trunk_once_and_agrees_with_torch(heads):
    members = load_members(heads)
    graph = build_graph(members, "toy")
    assert parity(members, graph.SerializeToString()) < 1e-5
    alone = build_graph(members[:1], "toy")

    def count(model):
        return sum(node.op_type == "Conv" for node in model.graph.node)

    def weights(model):
        return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)

    assert count(graph) == count(alone)
    one_head = sum(p.numel() for p in members[0].network.heads.parameters())
    assert weights(graph) < weights(alone) + 1.2 * one_head
    # Side by side, as any members would be: the same numbers.
    apart = [dataclasses.replace(member, teacher=None) for member in members]
    bases = torch.randint(0, 5, (9, 200), dtype=torch.uint8)
    with torch.inference_mode():
        fused, separate = (ServedModel(one).eval()(bases) for one in (members, apart))
    for left, right in zip(fused, separate, strict=True):
        assert left.shape == (9, 2, 3)
        torch.testing.assert_close(left, right)
    assert not onnx.checker.check_model(graph, full_check=True)


def test_each_head_is_stored_under_the_number_of_its_member(teacher):
    torch.manual_seed(0)
    network = PUPIL.architecture.build(taught(teacher.assays, [1, 2]))
    for number, head in enumerate(network.heads.members):
        stored = _one_head(PUPIL, network, number, teacher.assays).heads.members[0]
        for name, value in head.state_dict().items():
            torch.testing.assert_close(stored.state_dict()[name], value)


def test_heads_of_two_students_are_not_one_model(heads):
    one, two = load_members(heads)
    assert has_one_trunk([one, two])
    with torch.no_grad():
        next(two.network.trunk.parameters()).add_(1)
    with pytest.raises(ExportError, match="share one trunk"):
        has_one_trunk([one, two])


def test_a_student_is_served_and_its_card_names_the_teacher(heads, table, tmp_path):
    folder = make_model(heads, name="toy", models_dir=tmp_path, table=table, files=FILES)
    card = read_card(folder)
    assert (card.recipe, card.seeds, card.members) == ("pupil", (1, 2), 2)
    assert "2 heads" in card.summary
    assert f"recipe small (fingerprint {SMALL.fingerprint})" in card.summary
    sources = {target.name: target.sigma_source for target in card.targets}
    assert "small" in sources["K562"]
    assert "mattioli2018_pool1_K562" in sources["K562"]
    assert "residuals of joint_WTC11" in sources["WTC11"]
    model = Registry(tmp_path).load("toy")
    assert (model.info.members, model.info.targets) == (2, ("K562", "HepG2", "WTC11"))
    mu, sigma = model.run(np.random.default_rng(0).integers(0, 4, (4, 200), dtype=np.uint8))
    assert mu.shape == sigma.shape == (4, 2, 3)
    assert (sigma > 0).all()
    assert (mu.std(axis=0) > 0).all()
    assert json.loads((folder / "card.json").read_text())["seeds"] == [1, 2]
    predict = predictor_of(folder)
    assert predict(table[table["assay"] == "joint_K562"])[0].shape == (100, 2)
    with pytest.raises(DataError, match="not inoue2017_HepG2"):
        predict(table[table["assay"] == "inoue2017_HepG2"])


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


def test_from_members_to_a_model_on_the_command_line(monkeypatch, table, runs, heads, tmp_path):
    monkeypatch.chdir(tmp_path)
    table.to_parquet("assays.parquet")
    (tmp_path / "assays.json").write_text('{"files": []}')
    options = ["--table", "assays.parquet", "--runs", str(runs), "--seed", "7"]
    runner = CliRunner()
    arguments = ["distil", "small", "--student", "pupil", *options]
    done = runner.invoke(cli.app, arguments, catch_exceptions=False)
    assert done.output.splitlines() == [
        f"pupil, taught by small, head {file.stem}: {file}" for file in heads
    ]
    arguments = ["export", "pupil", "--teacher", "small", "--models", "models", *options]
    done = runner.invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert read_card(tmp_path / "models" / "pupil").seeds == (1, 2)


def test_offsets_on_the_command_line_reach_graph_student_and_cards(
    monkeypatch, table, runs, teachers, tmp_path
):
    monkeypatch.chdir(tmp_path)
    table.to_parquet("assays.parquet")
    (tmp_path / "assays.json").write_text('{"files": []}')
    place = ["--table", "assays.parquet", "--runs", str(runs)]
    models, two = ["--models", "models"], ["--offset", "0", "--offset", "-1"]

    def call(*arguments):
        return CliRunner().invoke(cli.app, [*arguments], env={"COLUMNS": "1000"})

    assert call("export", "small", "--name", "moved", *two, *place, *models).exit_code == 0
    assert read_card(tmp_path / "models" / "moved").offsets == (0, -1)
    refused = call("distil", "moved", "--student", "pupil", *two, *place, *models)
    assert (refused.exit_code, "a model has its own" in refused.output) == (2, True)
    done = call("distil", "moved", "--student", "pupil", "--seed", "3", *place, *models)
    assert done.exit_code == 0, done.output
    folder = runs / "pupil" / "3-moved"
    assert json.loads((folder / "run.json").read_text())["offsets"] == [0, -1]
    assert (
        call("export", "pupil", "--teacher", "moved", "--seed", "3", *place, *models).exit_code == 0
    )
    card = read_card(tmp_path / "models" / "pupil")
    assert card.offsets is None, "the student itself stands still"
    assert "on average over constructs moved by 0, -1 bases" in card.summary
    with pytest.raises(DistilError, match="from -15 to 15"):
        distil_student(PUPIL, 4, teachers, table, runs, teacher_name="moved", offsets=(99,))
    assert not (runs / "pupil" / "4-moved").exists(), "a run that cannot be claims no folder"
    # The same members without offsets are another teacher.
    with pytest.raises(RunError, match="another run"):
        distil_student(PUPIL, 3, teachers, table, runs, teacher_name="moved", progress=False)


@pytest.mark.slow
def test_a_model_of_several_recipes_teaches_one_head_for_each_member(
    teachers, table, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    table.to_parquet("assays.parquet")
    (tmp_path / "assays.json").write_text('{"files": []}')
    optim = dataclasses.replace(SMALL.optim, cycles=(Cycle(1, 2e-3),))
    monkeypatch.setitem(ZOO, "brief", dataclasses.replace(SMALL, name="brief", optim=optim))
    one, options = teachers[0], ["--table", "assays.parquet", "--models", "models", "--seed", "7"]
    other = train_member(ZOO["brief"], 1, table, tmp_path / "build/runs", progress=False)
    make_model([one, other], name="duo", models_dir=tmp_path / "models", table=table, files=FILES)
    arguments = ["distil", "duo", "--student", "pupil", *options]
    done = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    heads = student_members("pupil", tmp_path / "build/runs", 7, "duo")
    assert [head.stem for head in heads] == ["1", "2"], "though both members have seed 1"
    arguments = ["export", "pupil", "--teacher", "duo", *options]
    done = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    summary = read_card(tmp_path / "models" / "pupil").summary
    assert f"(small: fingerprint {SMALL.fingerprint}; brief: fingerprint " in summary
    assert "head 1 small/1, head 2 brief/1" in summary


def test_members_of_several_recipes_are_told_apart_by_their_number(teacher):
    one, two = teacher.members
    other = dataclasses.replace(two, recipe="other", seed=one.seed)
    assert head_numbers([one, two]) == [1, 2], "their seeds"
    assert head_numbers([dataclasses.replace(one, seed=9), two]) == [9, 2]
    assert head_numbers([one, other]) == [1, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["duo", "--member", "1"], "all members of a model teach"),
        (["trio"], "no recipe and no model 'trio'"),
        (["trio", "--models", "nowhere"], "models are none"),
        (["duo"], "export the model again"),
    ],
)
def test_what_is_no_teacher_is_refused_with_what_there_is(given, said, tmp_path):
    folder = write_model(tmp_path, SumModel(200), name="duo")
    models = [] if "--models" in given else ["--models", str(folder.parent)]
    done = CliRunner().invoke(cli.app, ["distil", *given, *models], env={"COLUMNS": "1000"})
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
