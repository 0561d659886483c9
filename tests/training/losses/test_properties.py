"""What every loss must do: use its settings, forgive gaps, stay finite, loop over no rows."""

import dataclasses
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training.losses.cases import LOSSES, A, N, case, gradient, name, reordered
from training.architectures.heads import LOG_VAR_BOUND, MeanVarianceHeads, Prediction
from training.architectures.network import Network
from training.architectures.trunks import Compact
from training.assays import ASSAYS
from training.losses.base import Loss
from training.losses.contrastive import ContrastiveAnchor, TripletAnchor
from training.losses.gating import NoiseGatedMSE
from training.losses.pairs import HardPairs
from training.losses.ranking import RankStability
from training.losses.regression import MaskedMSE

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=name)
OTHER = {"linear": "log", "log": "linear", "relative": "absolute", "absolute": "relative"}
SETTINGS = [
    pytest.param(loss, field.name, id=f"{name(loss)}-{field.name}")
    for loss in LOSSES
    for field in dataclasses.fields(loss)
]
WEIGHTS = {"alpha", "beta", "weight", "lambda_var", "lambda_residual", "noise_k"}


def kinds(base=Loss):
    return {base, *(kind for child in base.__subclasses__() for kind in kinds(child))}


def differs(first, second):
    return (first - second).norm() > 1e-4 * first.norm()


def test_no_loss_is_left_out_here():
    # An example of README makes one of its own, which is in no module.
    ours = {kind for kind in kinds() if hasattr(sys.modules.get(kind.__module__), kind.__name__)}
    # Losses of measurements: that of a student is of its teacher's outputs, and tested beside it.
    ours = {kind for kind in ours if kind.__module__.startswith("training.losses.")}
    assert {type(loss) for loss in LOSSES} == ours - {Loss}


@pytest.mark.parametrize(("loss", "field"), SETTINGS)
def test_every_setting_moves_the_gradient(loss, field):
    batch, prediction = case()
    value = getattr(loss, field)
    changes = [OTHER[value]] if isinstance(value, str) else [value / 2]
    if field == "margin":  # counts only where a triplet is or is not violated
        changes = [-1.0]
    if field in WEIGHTS:
        changes.append(0.0)  # a component that is taken away
    for change in changes:
        other = dataclasses.replace(loss, **{field: change})
        assert differs(gradient(loss, prediction, batch), gradient(other, prediction, batch))


@every_loss
def test_noise_is_read_where_it_should_be(loss):
    batch, prediction = case()
    shuffled = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    elsewhere = batch._replace(noise=batch.noise[shuffled], variance=batch.variance[shuffled])
    moved = differs(gradient(loss, prediction, batch), gradient(loss, prediction, elsewhere))
    assert moved == (type(loss) not in {MaskedMSE, HardPairs})


@every_loss
def test_what_was_not_measured_has_no_say(loss):
    batch, prediction = case()
    found = gradient(loss, prediction, batch)
    assert torch.isfinite(found).all()
    unmeasured = batch.activity.isnan()
    assert (found[:, :A][unmeasured] == 0).all()
    assert (found[:, A : 2 * A][unmeasured] == 0).all()
    with torch.no_grad():
        prediction.mu[unmeasured] += 9.0
    assert torch.equal(gradient(loss, prediction, batch), found)


@every_loss
def test_every_measured_mean_gets_a_gradient(loss):
    batch, prediction = case()
    found = gradient(loss, prediction, batch)
    assert (found[:, :A][~batch.activity.isnan()] != 0).all()
    if loss.needs_variance:
        evidence = ~batch.variance.isnan() | (~batch.activity.isnan() & ~batch.replicated)
        assert (found[:, A : 2 * A][evidence] != 0).all()


@every_loss
def test_the_order_of_the_batch_does_not_matter(loss):
    batch, prediction = case()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    if isinstance(loss, HardPairs):  # of pairs, and of the two within each
        order = (order[: N // 2, None].argsort(dim=0) * 2 + torch.tensor([1, 0])).reshape(-1)
    moved, predicted = reordered(batch, prediction, order)
    assert loss(predicted, moved).item() == pytest.approx(loss(prediction, batch).item(), rel=1e-5)


@every_loss
def test_a_batch_without_any_label_costs_nothing(loss):
    batch, prediction = case()
    nothing = torch.full((N, A), torch.nan)
    empty = batch._replace(activity=nothing, variance=nothing, noise=nothing)
    assert loss(prediction, empty).item() == 0
    assert (gradient(loss, prediction, empty) == 0).all()


@every_loss
def test_a_batch_without_replicates_stays_finite(loss):
    batch, prediction = case()
    nothing = torch.full((N, A), torch.nan)
    bare = batch._replace(variance=nothing, noise=nothing, replicated=batch.replicated & False)
    assert torch.isfinite(loss(prediction, bare))
    assert torch.isfinite(gradient(loss, prediction, bare)).all()


@every_loss
def test_extreme_predictions_stay_finite(loss):
    batch, prediction = case()
    with torch.no_grad():
        prediction.mu.mul_(200)
        prediction.log_var.copy_(LOG_VAR_BOUND * prediction.log_var.sign())
        prediction.embedding.copy_(torch.ones_like(prediction.embedding))  # all in one place
        prediction.embedding[3] = 0.0
    assert torch.isfinite(loss(prediction, batch))
    assert torch.isfinite(gradient(loss, prediction, batch)).all()


@pytest.mark.parametrize(
    "loss", [RankStability(), RankStability(scale="absolute"), NoiseGatedMSE()], ids=name
)
def test_equal_noise_gives_the_unweighted_loss(loss):
    batch, prediction = case()
    known = batch._replace(
        noise=torch.ones(N, A), variance=torch.linspace(0.1, 0.4, A).expand(N, A)
    )
    expected = dataclasses.replace(loss, noise_k=0.0).terms(prediction, known)
    if isinstance(loss, NoiseGatedMSE):
        expected |= MaskedMSE().terms(prediction, known)
    found = loss.terms(prediction, known)
    assert found.keys() == expected.keys()
    for term, value in expected.items():
        assert found[term].item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("loss", [ContrastiveAnchor(), TripletAnchor()], ids=name)
@pytest.mark.parametrize("level", [1.0, 0.11])
def test_equal_noise_leaves_nothing_to_contrast(loss, level):
    batch, prediction = case()
    # The mean of three times 0.11 is a little less in single precision.
    level = torch.where(batch.activity.isnan(), torch.nan, level)
    found = gradient(loss, prediction, batch._replace(noise=level))
    torch.testing.assert_close(found, gradient(MaskedMSE(), prediction, batch))


@pytest.mark.parametrize("loss", [x for x in LOSSES if x.needs_variance], ids=name)
def test_a_network_without_a_variance_head_is_refused(loss):
    batch, prediction = case()
    bare = Prediction(mu=prediction.mu, log_var=None, embedding=prediction.embedding)
    with pytest.raises(ValueError, match="log_var"):
        loss(bare, batch)


MEAN, VARIANCE = {"trunk", "mean"}, {"trunk", "variance", "offset"}
REACHES = {
    "mse": MEAN,
    "nll": MEAN | VARIANCE,
    "variance": VARIANCE,
    "residual": VARIANCE,
    "rank": MEAN,
    "pairs": MEAN,
    "contrast": {"trunk"},
    "triplet": {"trunk"},
}


@every_loss
def test_each_term_reaches_the_weights_it_is_meant_for(loss):
    batch, _ = case()
    torch.manual_seed(0)
    assays = [assay for assay in ASSAYS if assay.name.startswith("mattioli")][:A]
    network = Network(Compact(width=8, coarse=(1,)), MeanVarianceHeads(hidden=8)).build(assays)
    network.eval()
    for term, value in loss.terms(network(batch.codes), batch).items():
        network.zero_grad()
        value.backward(retain_graph=True)
        reached, missed = set(), set()
        for label, parameter in network.named_parameters():
            group = label.split(".")[0 if label.startswith("trunk") else 1]
            if label == "heads.mean.bias" and term in {"rank", "pairs"}:
                assert parameter.grad.abs().max() < 1e-6  # differences have no offset
                continue
            touched = parameter.grad is not None and bool(parameter.grad.any())
            (reached if touched else missed).add(group)
        assert reached == REACHES[term], term
        assert not reached & missed, term


class Count(TorchDispatchMode):
    """How many tensor operations were run."""

    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


@every_loss
def test_no_loop_runs_over_the_batch(loss):
    counts = []
    for n in (32, 256):
        batch, prediction = case(n=n)
        with Count() as count:
            loss(prediction, batch).backward()
        counts.append(count.calls)
    assert counts[0] == counts[1] < 400
