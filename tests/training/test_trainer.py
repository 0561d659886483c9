"""Training: one seed one result, resuming changes nothing, NaN is an error, members round-trip."""

import dataclasses
import json
from typing import ClassVar

import numpy as np
import pytest
import torch

from tests.training.small_recipe import SMALL
from tests.training.toy_table import toy_table
from training import members as members_module
from training.architectures.factorized import Factorized
from training.architectures.heads import MeanHeads
from training.architectures.network import Network
from training.callbacks import read_history
from training.fitting import CHECKPOINT, DivergedError, check_indices
from training.losses.gating import AdaptiveNoiseGated
from training.losses.pairs import HardPairs
from training.losses.regression import MaskedMSE, MeanVariance
from training.members import MemberError, load_member, load_members, predict_constructs
from training.recipe import Cycle, Optim, Recipe, RecipeError
from training.samplers import HardNegative, QuantileStratified
from training.trainer import RunError, Variation, split, train_member


@pytest.fixture(scope="module")
def table():
    return toy_table(200)


@pytest.fixture(autouse=True)
def zoo(monkeypatch):
    monkeypatch.setitem(members_module.ZOO, "small", SMALL)


def weights(path):
    return load_member(path).network.state_dict()


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    return train_member(SMALL, 1, table, tmp_path_factory.mktemp("run"), progress=False)


def test_one_seed_is_one_result_however_often_the_run_was_interrupted(table, trained, tmp_path):
    assert_same(
        weights(trained), weights(train_member(SMALL, 1, table, tmp_path / "again", progress=False))
    )
    for _ in range(2):
        assert train_member(SMALL, 1, table, tmp_path / "cut", progress=False, stop_after=1) is None
    resumed = train_member(SMALL, 1, table, tmp_path / "cut", progress=False)
    assert_same(weights(trained), weights(resumed))
    histories = sorted((tmp_path / "cut" / "small" / "1").glob("cycle*/history.jsonl"))
    lines = [line for history in histories for line in history.read_text().splitlines()]
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 0]


VARIED = [
    # What a resumed run must find again: the stage of a curriculum, the ramp of a weight, mined
    # pairs, the noise of a bottleneck and of labels.
    (AdaptiveNoiseGated(), QuantileStratified(5, curriculum=True), SMALL.architecture),
    (HardPairs(), HardNegative(), Network(SMALL.architecture.trunk, MeanHeads())),
    (
        MaskedMSE(),
        QuantileStratified(),
        Network(Factorized(8, vib_beta=0.1, gc_bins=10), MeanHeads()),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "sampler", "architecture"), VARIED, ids=lambda part: type(part).__name__
)
def test_every_kind_of_randomness_survives_an_interruption(
    table, tmp_path, loss, sampler, architecture
):
    optim = dataclasses.replace(SMALL.optim, cycles=(Cycle(4, 5e-3),))
    recipe = Recipe("small", architecture, loss, sampler, optim)
    members_module.ZOO["small"] = recipe
    louder = Variation(
        "louder",
        lambda data, seed: dataclasses.replace(
            data,
            activity=data.activity
            + np.random.default_rng(seed).normal(0, 1, data.activity.shape).astype(np.float32),
        ),
    )
    for variation in (None, louder) if isinstance(loss, HardPairs) else (None,):
        whole = train_member(
            recipe, 1, table, tmp_path / "whole", progress=False, variation=variation
        )
        for stop in (1, 2):
            options = {"progress": False, "stop_after": stop, "variation": variation}
            assert train_member(recipe, 1, table, tmp_path / "cut", **options) is None
        resumed = train_member(
            recipe, 1, table, tmp_path / "cut", progress=False, variation=variation
        )
        assert_same(weights(whole), weights(resumed))
    if isinstance(loss, HardPairs):
        clean = load_member(tmp_path / "whole" / "small" / "1" / "member.safetensors")
        assert resumed.parent.name == "1-louder"
        assert not torch.equal(
            clean.network.state_dict()["heads.mean.weight"], weights(resumed)["heads.mean.weight"]
        )


def test_a_run_killed_between_history_and_checkpoint_tells_each_epoch_once(table, tmp_path):
    assert train_member(SMALL, 1, table, tmp_path, progress=False, stop_after=1) is None
    path = tmp_path / "small" / "1" / "cycle0" / "history.jsonl"
    (line,) = path.read_text().splitlines()
    path.write_text(f"{line}\n" + json.dumps(json.loads(line) | {"epoch": 1, "loss": -1}) + "\n")
    train_member(SMALL, 1, table, tmp_path, progress=False)
    history = read_history(path)
    assert [row["epoch"] for row in history] == [0, 1]
    assert history[1]["loss"] != -1


def test_another_seed_is_another_result(table, trained, tmp_path):
    other = train_member(SMALL, 2, table, tmp_path, progress=False)
    assert not torch.equal(
        weights(trained)["heads.mean.weight"], weights(other)["heads.mean.weight"]
    )
    assert [member.seed for member in load_members([trained, other])] == [1, 2]
    with pytest.raises(MemberError, match="seed of its own"):
        load_members([trained, trained])


def test_the_network_learns_the_planted_signal_and_the_planted_noise(table, tmp_path):
    recipe = dataclasses.replace(
        SMALL, optim=dataclasses.replace(SMALL.optim, cycles=(Cycle(12, 8e-3),))
    )
    members_module.ZOO["small"] = recipe
    member = load_member(train_member(recipe, 1, table, tmp_path, progress=False))
    _, validation, _ = split(table)
    mu, log_var = predict_constructs(member.network, validation.codes)
    # Two and a half standard errors above no correlation; which weights one seed ends at depends on
    # the processor.
    measured, noisy = ~np.isnan(validation.activity), ~np.isnan(validation.variance)
    assert np.corrcoef(mu[measured], validation.activity[measured])[0, 1] > 0.25
    assert np.corrcoef(log_var[noisy], np.log(validation.variance[noisy]))[0, 1] > 0.33


class _Watching(MeanVariance):
    """Notes what it is handed."""

    seen: ClassVar[list[torch.Tensor]] = []

    def terms(self, prediction, batch):
        self.seen.append(prediction.mu.detach())
        # A product, which Lightning would round.
        product = prediction.mu @ prediction.mu.T
        assert product.dtype == torch.float32
        return super().terms(prediction, batch)


def test_passes_alone_are_rounded(table, trained, tmp_path):
    _Watching.seen.clear()
    codes = split(table)[1].codes
    single, _ = predict_constructs(load_member(trained).network, codes)
    recipe = dataclasses.replace(
        SMALL, loss=_Watching(), optim=dataclasses.replace(SMALL.optim, precision="bf16-mixed")
    )
    members_module.ZOO["small"] = recipe
    path = train_member(recipe, 1, table, tmp_path, progress=False)
    assert {mu.dtype for mu in _Watching.seen} == {torch.float32}
    assert all(torch.equal(mu, mu.bfloat16().float()) for mu in _Watching.seen)  # were rounded
    mean = weights(path)["heads.mean.weight"]
    assert mean.dtype == torch.float32
    assert not torch.equal(mean, mean.bfloat16().float())
    # The same seed, and so all but the same network.
    rounded, _ = predict_constructs(load_member(path).network, codes)
    assert np.corrcoef(rounded.ravel(), single.ravel())[0, 1] > 0.99


def test_a_folder_of_another_run_is_refused(table, trained, tmp_path):
    runs = trained.parents[2]
    before = trained.read_bytes()
    other = dataclasses.replace(SMALL, optim=Optim(ema=0.5))
    for recipe, seed, threads in [(other, 1, 1), (SMALL, 1, 2)]:
        with pytest.raises(RunError, match="another run"):
            train_member(recipe, seed, table, runs, threads=threads, progress=False)
    with pytest.raises(RunError, match="data_digest"):
        train_member(SMALL, 1, table.assign(activity=0.0), runs, progress=False)
    assert train_member(SMALL, 1, table, runs, progress=False).read_bytes() == before


def test_a_recipe_may_share_the_first_cycle_of_another(table, trained, tmp_path):
    plain = Recipe("plain", Network(SMALL.architecture.trunk, MeanHeads()), optim=SMALL.optim)
    heir = dataclasses.replace(SMALL, name="heir", start=plain)
    members_module.ZOO.update(plain=plain, heir=heir)
    try:
        member = load_member(train_member(heir, 1, table, tmp_path, progress=False))
        histories = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("history.jsonl")}
        assert histories == {"plain/1/cycle0/history.jsonl", "heir/1/cycle1/history.jsonl"}
        before = (tmp_path / "plain/1/cycle0/last.ckpt").read_bytes()
        own = load_member(train_member(plain, 1, table, tmp_path, progress=False))
        assert (tmp_path / "plain/1/cycle0/last.ckpt").read_bytes() == before
    finally:
        del members_module.ZOO["plain"], members_module.ZOO["heir"]
    # A common past, and then different losses: close, not equal, and only one knows a variance.
    ours, theirs = (m.network.state_dict()["trunk.body.0.weight"] for m in (member, own))
    apart = (ours - theirs).norm() / theirs.norm()
    assert 0 < apart < 0.3
    stranger = weights(trained)["trunk.body.0.weight"]
    assert apart < (ours - stranger).norm() / stranger.norm()
    assert predict_constructs(member.network, np.zeros((1, 230), np.uint8))[1] is not None


def test_a_start_that_cannot_be_shared_is_refused():
    plain = Recipe("plain", Network(SMALL.architecture.trunk, MeanHeads()), optim=Optim())
    with pytest.raises(RecipeError, match="first cycle"):
        dataclasses.replace(SMALL, start=plain)


def test_a_folder_that_nobody_claimed_is_refused(table, tmp_path):
    (tmp_path / "small" / "1").mkdir(parents=True)
    (tmp_path / "small" / "1" / "last.ckpt").write_bytes(b"?")
    with pytest.raises(RunError, match="of which run"):
        train_member(SMALL, 1, table, tmp_path, progress=False)


def start_of(recipe, table):
    """Weights before the first step."""
    torch.manual_seed(1)
    return recipe.architecture.build(split(table)[0].assays).state_dict()


@pytest.mark.parametrize(
    ("optim", "distance"),
    [
        # An average that never moves stays where the first step (rate 2e-4) left it: what is kept
        # is the average, not the last weights.
        ({"ema": 1.0}, 3e-4),
        # Gradients clipped to nothing move nothing, far below the epsilon of Adam.
        ({"clip": 1e-14, "weight_decay": 0.0}, 1e-4),
    ],
)
def test_weights_are_averaged_and_gradients_clipped(table, tmp_path, optim, distance):
    one = dataclasses.replace(SMALL.optim, cycles=(Cycle(1, 5e-3),))
    recipe = dataclasses.replace(SMALL, optim=dataclasses.replace(one, **optim))
    members_module.ZOO["small"] = recipe
    trained = weights(train_member(recipe, 1, table, tmp_path, progress=False))
    for name, value in start_of(recipe, table).items():
        if value.is_floating_point() and "running" not in name:
            assert (trained[name] - value).abs().max() <= distance, name


def test_an_index_that_averaging_truncated_is_noticed():
    # Averages pass through floating point: 200 of them turn 3 into 2 at some decays, and HeLa
    # would read the variance head of WTC11.
    before = {"cell_type_of": torch.tensor([0, 3]), "bn.num_batches_tracked": torch.tensor(0)}
    after = {"cell_type_of": torch.tensor([0, 2]), "bn.num_batches_tracked": torch.tensor(7)}
    with pytest.raises(RuntimeError, match="cell_type_of"):
        check_indices(before, after)
    check_indices(before, before | {"bn.num_batches_tracked": torch.tensor(7)})


def test_a_run_whose_index_was_truncated_leaves_no_member(table, tmp_path):
    assert train_member(SMALL, 1, table, tmp_path, progress=False)
    run = tmp_path / "small" / "1"
    (run / "member.safetensors").unlink()
    last = run / f"cycle{len(SMALL.optim.cycles) - 1}" / CHECKPOINT
    held = torch.load(last, weights_only=False)
    (name,) = (name for name in held["state_dict"] if name.endswith("cell_type_of"))
    held["state_dict"][name] = torch.zeros_like(held["state_dict"][name])
    torch.save(held, last)
    with pytest.raises(RuntimeError, match="cell_type_of"):
        train_member(SMALL, 1, table, tmp_path, progress=False)
    assert not (run / "member.safetensors").exists()


def test_a_diverging_run_ends_with_an_error_and_leaves_no_member(table, tmp_path):
    broken = table.copy()
    broken.loc[broken["fold"] == 5, "variance_shrunk"] = 0.0  # log 0
    with pytest.raises(DivergedError, match="not finite"):
        train_member(SMALL, 1, broken, tmp_path, progress=False)
    assert not list(tmp_path.rglob("member.safetensors"))


def test_a_member_of_a_changed_recipe_is_refused(trained):
    members_module.ZOO["small"] = dataclasses.replace(SMALL, optim=Optim(ema=0.5))
    with pytest.raises(MemberError, match="train it again or restore the recipe"):
        load_member(trained)
    del members_module.ZOO["small"]
    with pytest.raises(MemberError, match="no recipe is named small"):
        load_member(trained)
