"""What a student is held to, against a slow reference."""

import numpy as np
import pytest
import torch

from training.architectures.heads import Prediction
from training.distil.loss import Distillation
from training.losses.base import Batch


def batch_of(mean, variance):
    n = mean.shape[1]
    return Batch(
        codes=torch.zeros(len(mean), 230, dtype=torch.uint8),
        activity=mean,
        variance=variance,
        noise=torch.ones_like(variance),
        sd=torch.ones(n),
        replicated=torch.zeros(n, dtype=torch.bool),
        progress=torch.tensor(0.0),
    )


@pytest.fixture
def case():
    torch.manual_seed(0)
    mean, variance = torch.randn(8, 6), torch.rand(8, 6) + 0.1
    mu, log_var = torch.randn(8, 6, requires_grad=True), torch.randn(8, 6, requires_grad=True)
    return batch_of(mean, variance), Prediction(mu=mu, log_var=log_var, embedding=mu)


@pytest.mark.parametrize("n_members", [1, 3])
def test_the_terms_are_those_of_a_loop(case, n_members):
    batch, prediction = case
    loss = Distillation(difference=2.0, log_var=3.0, n_members=n_members)
    terms = loss.terms(prediction, batch)
    mu, t = (
        values.detach().numpy().reshape(8, n_members, -1)
        for values in (prediction.mu, batch.activity)
    )
    off = missed = taught = 0.0
    for target in range(mu.shape[2]):
        said, right = (
            [sum(of_row[:, target]) / n_members for of_row in values] for values in (mu, t)
        )
        off += sum((one - other) ** 2 for one, other in zip(said, right, strict=True))
        for pair in range(4):
            apart = right[2 * pair + 1] - right[2 * pair]
            missed += (said[2 * pair + 1] - said[2 * pair] - apart) ** 2
            taught += apart**2
    assert terms["difference"].item() == pytest.approx(2 * missed / taught, rel=1e-5)
    assert terms["mse"].item() == pytest.approx(off / mu[:, 0].size, rel=1e-5)
    error = prediction.log_var.detach().numpy() - np.log(batch.variance.numpy())
    assert terms["variance"].item() == pytest.approx(3 * (error**2).mean(), rel=1e-5)
    sum(terms.values()).backward()
    for output in (prediction.mu, prediction.log_var):
        assert torch.isfinite(output.grad).all()
        assert (output.grad != 0).any(dim=0).all()


def test_a_student_that_agrees_loses_nothing(case):
    batch, _ = case
    agrees = Prediction(batch.activity, batch.variance.log(), batch.activity)
    assert Distillation()(agrees, batch).item() == pytest.approx(0, abs=1e-10)


def test_differences_alone_do_not_see_a_common_offset_and_weigh_alike_at_any_size(case):
    batch, prediction = case
    moved = Prediction(prediction.mu + 5, prediction.log_var, prediction.mu)
    small = batch._replace(activity=batch.activity * 0.01)
    tiny = Prediction(prediction.mu * 0.01, prediction.log_var, prediction.mu)
    terms = [
        Distillation().terms(one, other)["difference"].item()
        for one, other in [(prediction, batch), (moved, batch), (tiny, small)]
    ]
    assert terms == pytest.approx([terms[0]] * 3, rel=1e-4)


def test_copies_without_an_effect_are_no_division_by_zero(case):
    batch, prediction = case
    still = batch._replace(activity=torch.ones_like(batch.activity))
    assert torch.isfinite(Distillation()(prediction, still))


def test_the_spread_of_members_is_that_of_a_loop(case):
    batch, prediction = case
    loss = Distillation(spread=2.0, n_members=3)
    mu, t = (values.detach().numpy().reshape(8, 3, 2) for values in (prediction.mu, batch.activity))
    shares = []
    for rows in (range(8), [(1, 0), (3, 2), (5, 4), (7, 6)]):
        missed = taught = 0.0
        for row in rows:
            for target in range(2):
                said, right = (
                    values[row, :, target]
                    if isinstance(row, int)
                    else values[row[0], :, target] - values[row[1], :, target]
                    for values in (mu, t)
                )
                said, right = said - said.mean(), right - right.mean()
                missed += ((said - right) ** 2).sum()
                taught += (right**2).sum()
        shares.append(missed / taught)
    assert loss.terms(prediction, batch)["spread"].item() == pytest.approx(sum(shares), rel=1e-5)


def test_heads_that_all_say_the_mean_miss_the_whole_spread_and_nothing_else(case):
    batch, _ = case
    taught = batch.activity
    common = taught.reshape(8, 3, 2).mean(dim=1, keepdim=True)
    said = common.expand(8, 3, 2).reshape(8, 6).clone().requires_grad_()
    prediction = Prediction(said, batch.variance.log(), said)
    terms = Distillation(spread=1.0, n_members=3).terms(prediction, batch)
    assert terms["spread"].item() == pytest.approx(1, rel=1e-5)
    assert terms["mse"].item() == pytest.approx(0, abs=1e-10)
    assert terms["difference"].item() == pytest.approx(0, abs=1e-10)
    terms["spread"].backward()
    assert (said.grad != 0).all()
    # One member differs from nobody.
    alone = Distillation(spread=1.0).terms(prediction, batch)
    assert alone["spread"].item() == 0
