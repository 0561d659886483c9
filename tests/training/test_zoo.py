"""Recipes: what is refused, what a fingerprint sees, and every row of the zoo at work."""

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.training.toy_table import toy_table
from training.architectures.heads import MeanHeads, MeanVarianceHeads
from training.architectures.network import Network
from training.architectures.trunks import Compact
from training.assays import ASSAYS
from training.batches import EpochBatches, labelled_sequences, training_scale
from training.losses import MaskedMSE, MeanVariance
from training.recipe import Optim, Recipe, RecipeError, index
from training.zoo import ZOO

GOLDEN = Path(__file__).parents[1] / "golden" / "recipes.txt"


def test_the_zoo_equals_its_golden_list():
    # A changed default shows here as a diff of every recipe it touches; files exported from
    # those recipes are then stale.
    lines = [f"{r.name}\t{r.fingerprint}\t{','.join(map(str, r.seeds))}" for r in ZOO.values()]
    assert lines == GOLDEN.read_text().splitlines()


def test_wrong_pairings_are_refused():
    plain, gauss = Network(Compact(), MeanHeads()), Network(Compact(), MeanVarianceHeads())
    with pytest.raises(RecipeError, match="needs a variance head"):
        Recipe("x", plain, MeanVariance())
    with pytest.raises(RecipeError, match="no gradient"):
        Recipe("x", gauss, MaskedMSE())
    with pytest.raises(RecipeError, match="seeds"):
        Recipe("x", plain, seeds=(1, 1))


def test_repeats_are_refused():
    first = Recipe("first", Network(Compact(), MeanHeads()))
    with pytest.raises(RecipeError, match="two recipes are named first"):
        index([first, dataclasses.replace(first, optim=Optim(ema=0.5))])
    with pytest.raises(RecipeError, match="second repeats first"):
        index([first, dataclasses.replace(first, name="second", seeds=(7,))])


@pytest.mark.parametrize(
    "change",
    [
        {"optim": Optim(ema=0.9)},
        {"architecture": Network(Compact(dropout=0.2), MeanVarianceHeads())},
        {"architecture": Network(Compact(), MeanVarianceHeads(mean="mlp"))},
        {"loss": MeanVariance(space="linear")},
    ],
)
def test_a_fingerprint_sees_every_hyper_parameter(change):
    recipe = dataclasses.replace(ZOO["dh7"], start=None)
    assert recipe.fingerprint != ZOO["dh7"].fingerprint  # where it began counts as well
    assert dataclasses.replace(recipe, **change).fingerprint != recipe.fingerprint
    assert dataclasses.replace(recipe, name="y", seeds=(1,)).fingerprint == recipe.fingerprint


@pytest.mark.parametrize("recipe", ZOO.values(), ids=lambda recipe: recipe.name)
def test_every_recipe_learns_a_fixed_batch_with_every_parameter(recipe):
    table = toy_table(40)
    assays = tuple(assay for assay in ASSAYS if assay.name in set(table["assay"]))
    data = labelled_sequences(table, assays, training_scale(table, assays))
    batch = next(iter(EpochBatches(data, recipe.sampler, 12, seed=1)))
    torch.manual_seed(1)
    network = recipe.architecture.build(assays)
    network.eval()  # without dropout the loss of one batch is a function of the weights
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = recipe.loss(network(batch.codes), batch)
        loss.backward()
        losses.append(loss.item())
        without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert not without
        optimizer.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["dh7", "dh7.linear"])
def test_every_cell_type_and_every_assay_teaches_its_sigma(name):
    # The joint library has no replicates: a sigma supervised by replicates alone would leave the
    # offsets of its three assays, and the whole head of WTC11, as they were drawn.
    table = toy_table(60)
    assays = tuple(assay for assay in ASSAYS if assay.name in set(table["assay"]))
    data = labelled_sequences(table, assays, training_scale(table, assays))
    batch = next(iter(EpochBatches(data, ZOO[name].sampler, 128, seed=1)))
    network = ZOO[name].architecture.build(assays).eval()
    ZOO[name].loss(network(batch.codes), batch).backward()
    assert (network.heads.offset.grad != 0).all()
    assert network.heads.variance[-1].weight.grad.any(dim=1).all()
