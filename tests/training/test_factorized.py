"""Factorized trunks: the published sizes, and auxiliary losses that do what they are for."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.training.small_recipe import SMALL
from tests.training.test_architectures import n_parameters
from tests.training.test_export import member
from tests.training.toy_table import toy_table
from training import members
from training.architectures.factorized import (
    Factorized,
    base_frequencies,
    gc_class,
    kl_to_standard_normal,
    reverse_gradient,
)
from training.architectures.heads import MeanHeads, MeanVarianceHeads
from training.architectures.network import Network
from training.assays import ASSAYS
from training.export import build_graph, parity
from training.samplers import QuantileStratified
from training.trainer import train_member

PLAIN, VIB, GC, FULL = (
    Factorized(channels=12, branch=10, composition=6, latent=4, features=8, **options)
    for options in ({}, {"vib_beta": 0.01}, {"gc_bins": 10}, {"vib_beta": 0.01, "gc_bins": 10})
)
ALL = pytest.mark.parametrize("trunk", [PLAIN, VIB, GC, FULL], ids=["plain", "vib", "gc", "full"])


def one_hot(n: int = 32, seed: int = 0, length: int = 230) -> torch.Tensor:
    """Random sequences whose GC content differs from one to the next."""
    rng = np.random.default_rng(seed)
    gc = rng.uniform(0.1, 0.9, (n, 1))
    is_gc = rng.random((n, length)) < gc
    codes = np.where(is_gc, rng.integers(1, 3, (n, length)), rng.integers(0, 2, (n, length)) * 3)
    return torch.eye(4)[torch.from_numpy(codes)].transpose(1, 2).contiguous()


def built(trunk: Factorized, seed: int = 0):
    torch.manual_seed(seed)
    return trunk.build()


@pytest.mark.parametrize(
    ("trunk", "published"),
    [
        # The plain form without its three one-branch heads (65 + 65 + 33) that never trained.
        (Factorized(), 330_692 - 163),
        (Factorized(vib_beta=0.01), 329_505),
        (Factorized(gc_bins=10), 334_987),
        (Factorized(vib_beta=0.01, gc_bins=10), 333_963),
    ],
)
def test_the_published_numbers_of_parameters(trunk, published):
    assert n_parameters(Network(trunk, MeanHeads())) == published


@ALL
def test_auxiliary_losses_exist_in_training_alone_and_reach_the_prediction(trunk):
    network = Network(trunk, MeanVarianceHeads()).build(ASSAYS)
    codes = torch.randint(0, 5, (6, 230), dtype=torch.uint8)
    asked = {"bottleneck": trunk.vib_beta, "adversary": trunk.gc_bins}
    prediction = network.train()(codes)
    assert set(prediction.aux_losses) == {name for name, value in asked.items() if value}
    assert all(value.shape == () for value in prediction.aux_losses.values())
    assert prediction.embedding.shape == (6, 8)
    prediction = network.eval()(codes)
    assert prediction.aux_losses == {}
    assert torch.equal(network(codes).mu, prediction.mu)  # no noise in evaluation


@ALL
def test_every_parameter_is_trained(trunk):
    module = built(trunk)
    features, aux = module(one_hot())
    torch.stack([features.square().mean(), *aux.values()]).sum().backward()
    assert not [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()]


# --- composition


def test_base_frequencies_leave_padding_out():
    x = torch.zeros(2, 4, 10)
    x[0, 0, 0] = x[0, 1, 1] = x[0, 1, 2] = x[0, 3, 3] = 1  # ACCT and six N; the other all N
    assert base_frequencies(x).tolist() == [[0.25, 0.5, 0, 0.25], [0, 0, 0, 0]]


def test_gc_classes_are_tenths():
    # 7 C and 9 G of 20 are exactly 0.8, but their shares add up to less in float32.
    counts = [
        (c, g, n) for n in (7, 10, 20, 25, 230) for c in range(n + 1) for g in range(n + 1 - c)
    ]
    frequencies = torch.tensor([[0, c, g, n - c - g] for c, g, n in counts])
    frequencies = frequencies / frequencies.sum(dim=1, keepdim=True)
    assert gc_class(frequencies, 10).tolist() == [min(10 * (c + g) // n, 9) for c, g, n in counts]


@ALL
def test_composition_sees_base_frequencies_alone(trunk):
    module = built(trunk).eval()
    seen = []
    module.composition.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    x = one_hot(4)
    module(x)
    module(x[:, :, torch.randperm(230)])
    assert torch.equal(seen[0], seen[1])
    torch.testing.assert_close(seen[0], x.mean(dim=-1))


# --- bottleneck


def test_the_divergence_is_that_of_two_normals():
    mean, log_var = torch.randn(5, 3), torch.randn(5, 3)
    reference = kl_divergence(Normal(mean, torch.exp(log_var / 2)), Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(kl_to_standard_normal(mean, log_var), reference)
    assert kl_to_standard_normal(torch.zeros(2, 3), torch.zeros(2, 3)) == 0


def test_the_bottleneck_is_noisy_in_training_by_its_own_variance():
    bottleneck = built(VIB).composition
    frequencies = base_frequencies(one_hot(1)).expand(4000, 4)
    codes, divergence = bottleneck.train()(frequencies)
    mean, log_var = bottleneck.mean(frequencies)[0], bottleneck.log_var(frequencies)[0]
    torch.testing.assert_close(codes.mean(dim=0), mean, atol=0.1, rtol=0)
    torch.testing.assert_close(codes.var(dim=0), log_var.exp(), atol=0.0, rtol=0.15)
    torch.testing.assert_close(divergence, kl_to_standard_normal(mean, log_var))
    torch.testing.assert_close(bottleneck.eval()(frequencies)[0][0], mean)


def test_beta_weighs_the_divergence_and_the_optimiser_lowers_it():
    x = one_hot()
    aux = {}
    for beta in (0.01, 0.02):
        torch.manual_seed(0)
        aux[beta] = Factorized(channels=12, vib_beta=beta).build()(x)[1]["bottleneck"]
    torch.testing.assert_close(aux[0.02], 2 * aux[0.01])
    module = built(VIB)
    optimizer = torch.optim.SGD(module.parameters(), lr=20.0)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = module(x)[1]["bottleneck"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


# --- adversary


def test_a_reversed_gradient_is_the_gradient_with_its_sign_turned():
    x = torch.randn(3, requires_grad=True)
    y = reverse_gradient(x)
    assert torch.equal(x, y)
    (y * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [-1, -2, -3]


def test_the_adversary_learns_what_the_branches_unlearn():
    # A step of the branches along their gradient must raise the adversary's loss; a step of the
    # adversary must lower it. Dropout is off so that the loss is a function of the weights.
    x = one_hot(64)
    spec = Factorized(channels=12, branch=10, composition=6, features=8, dropout=0.0, gc_bins=10)
    module = built(spec)
    before = module(x)[1]["adversary"]
    before.backward()
    for part, sign in (("adversary", -1), ("branches", 1)):
        changed = built(spec)
        with torch.no_grad():
            for name, held in module.named_parameters():
                if held.grad is not None and name.startswith("adversary") == (part == "adversary"):
                    changed.get_parameter(name).sub_(1e-2 * held.grad)
        after = changed(x)[1]["adversary"]
        assert sign * (after - before).item() > 1e-6, part


def test_the_adversary_is_weighed():
    gradients, losses = {}, {}
    for weight in (0.1, 0.2):
        torch.manual_seed(0)
        module = Factorized(channels=12, dropout=0.0, gc_bins=10, gc_weight=weight).build()
        losses[weight] = module(one_hot())[1]["adversary"]
        losses[weight].backward()
        gradients[weight] = module.motif_project.weight.grad
    torch.testing.assert_close(losses[0.2], 2 * losses[0.1])
    torch.testing.assert_close(gradients[0.2], 2 * gradients[0.1])


@pytest.mark.parametrize(
    ("trunk", "parameter"), [(VIB, "composition.log_var.weight"), (GC, "motif_project.weight")]
)
def test_dropping_an_auxiliary_loss_changes_the_gradient(trunk, parameter):
    # The study's full form trained without either: they never reached the loss.
    gradients = []
    for with_aux in (True, False):
        module = built(trunk)
        torch.manual_seed(1)  # the same dropout and noise
        features, aux = module(one_hot())
        loss = features.square().mean() + (sum(aux.values()) if with_aux else 0)
        loss.backward()
        gradients.append(module.get_parameter(parameter).grad)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-5


# --- the optimiser


def test_auxiliary_losses_reach_the_optimiser_and_the_history(tmp_path, monkeypatch):
    recipe = dataclasses.replace(
        SMALL, architecture=Network(FULL, MeanVarianceHeads()), sampler=QuantileStratified(3)
    )
    monkeypatch.setitem(members.ZOO, recipe.name, recipe)
    path = train_member(recipe, 1, toy_table(200), tmp_path, progress=False)
    trained = members.load_member(path)
    torch.manual_seed(1)  # what the trainer starts from
    fresh = recipe.architecture.build(trained.assays).state_dict()
    for name in ("adversary.2.weight", "composition.log_var.weight"):
        before, after = fresh[f"trunk.{name}"], trained.network.state_dict()[f"trunk.{name}"]
        turned = torch.nn.functional.cosine_similarity(before.ravel(), after.ravel(), dim=0)
        assert turned < 0.9999, name  # weight decay alone would shrink, not turn
    for line in (path.parent / "cycle0" / "history.jsonl").read_text().splitlines():
        assert json.loads(line).keys() >= {"mse", "bottleneck", "adversary"}


# --- export


@ALL
def test_the_graph_holds_mean_and_variance_and_nothing_of_training(trunk):
    one = member(Network(trunk, MeanVarianceHeads()), 1)
    graph = build_graph([one], "toy")
    assert parity([one], graph.SerializeToString()) < 1e-5
    assert [output.name for output in graph.graph.output] == ["mu", "sigma"]
    assert not {n.op_type for n in graph.graph.node} & {"RandomNormalLike", "Shape", "If", "Loop"}
    shapes = {tuple(weights.dims) for weights in graph.graph.initializer}
    assert not {(32, 2 * trunk.branch), (trunk.gc_bins, 32)} & shapes
