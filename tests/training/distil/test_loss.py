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


def test_the_terms_are_those_of_a_loop(case):
    batch, prediction = case
    terms = Distillation(difference=2.0, log_var=3.0).terms(prediction, batch)
    mu, t = prediction.mu.detach().numpy(), batch.activity.numpy()
    missed = taught = 0.0
    for pair in range(4):
        for column in range(6):
            right = t[2 * pair + 1, column] - t[2 * pair, column]
            said = mu[2 * pair + 1, column] - mu[2 * pair, column]
            missed += (said - right) ** 2
            taught += right**2
    assert terms["difference"].item() == pytest.approx(2 * missed / taught, rel=1e-5)
    assert terms["mse"].item() == pytest.approx(((mu - t) ** 2).mean(), rel=1e-5)
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
