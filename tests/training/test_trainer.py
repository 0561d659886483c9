"""Training: one seed one result, resuming changes nothing, NaN is an error, members round-trip."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from tests.training.small_recipe import SMALL
from tests.training.toy_table import toy_table
from training import members as members_module
from training.members import MemberError, load_member, load_members, predict_constructs
from training.recipe import Cycle, Optim
from training.trainer import DivergedError, split, train_member


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
    histories = sorted((tmp_path / "cut").glob("cycle*/history.jsonl"))
    lines = [line for history in histories for line in history.read_text().splitlines()]
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 0]


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
        SMALL, optim=dataclasses.replace(SMALL.optim, cycles=(Cycle(25, 5e-3),))
    )
    members_module.ZOO["small"] = recipe
    member = load_member(train_member(recipe, 1, table, tmp_path, progress=False))
    _, validation, _ = split(table)
    mu, log_var = predict_constructs(member.network, validation.codes)
    column = [assay.name for assay in validation.assays].index("mattioli2018_pool1_K562")
    seen = ~np.isnan(validation.activity[:, column])
    assert np.corrcoef(mu[seen, column], validation.activity[seen, column])[0, 1] > 0.5
    assert np.corrcoef(log_var[seen, column], np.log(validation.variance[seen, column]))[0, 1] > 0.3


def test_a_diverging_run_ends_with_an_error_and_leaves_no_member(table, tmp_path):
    broken = table.copy()
    broken.loc[broken["fold"] == 5, "variance_shrunk"] = 0.0  # log 0
    with pytest.raises(DivergedError, match="not finite"):
        train_member(SMALL, 1, broken, tmp_path, progress=False)
    assert not (tmp_path / "member.safetensors").exists()


def test_a_member_of_a_changed_recipe_is_refused(trained):
    members_module.ZOO["small"] = dataclasses.replace(SMALL, optim=Optim(ema=0.5))
    with pytest.raises(MemberError, match="train it again or restore the recipe"):
        load_member(trained)
    del members_module.ZOO["small"]
    with pytest.raises(MemberError, match="no recipe is named small"):
        load_member(trained)
