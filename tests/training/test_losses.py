"""Losses against slow NumPy twins, masks, and where gradients go."""

import numpy as np
import pytest
import torch

from training.architectures.heads import Prediction
from training.losses import Batch, MaskedMSE, MeanVariance

N, A = 12, 3


def case(seed=0):
    rng = np.random.default_rng(seed)
    activity = rng.normal(size=(N, A)).astype(np.float32)
    activity[rng.random((N, A)) < 0.3] = np.nan
    replicated = np.array([False, True, True])
    variance = np.where(replicated, rng.gamma(2.0, 0.2, (N, A)), np.nan).astype(np.float32)
    variance[np.isnan(activity)] = np.nan
    batch = Batch(
        codes=torch.zeros(N, 230, dtype=torch.uint8),
        activity=torch.from_numpy(activity),
        variance=torch.from_numpy(variance),
        replicated=torch.from_numpy(replicated),
    )
    mu = torch.from_numpy(rng.normal(size=(N, A)).astype(np.float32)).requires_grad_()
    log_var = torch.from_numpy(rng.normal(size=(N, A)).astype(np.float32)).requires_grad_()
    return batch, Prediction(mu=mu, log_var=log_var, embedding=torch.zeros(N, 1))


def naive(loss, prediction, batch):
    """The formulas of the docstrings, label by label."""
    mse, variance, residual = [], [], []
    for i in range(N):
        for a in range(A):
            y, v = batch.activity[i, a].item(), batch.variance[i, a].item()
            mu, s = prediction.mu[i, a].item(), prediction.log_var[i, a].item()
            if np.isnan(y):
                continue
            mse.append((mu - y) ** 2)
            if not np.isnan(v):
                variance.append(
                    (s - np.log(v)) ** 2 if loss.space == "log" else (np.exp(s) - v) ** 2
                )
            if not batch.replicated[a]:
                residual.append(0.5 * (s + (y - mu) ** 2 * np.exp(-s)))
    parts = np.mean(mse), loss.lambda_var * np.mean(variance)
    return sum(parts) + loss.lambda_residual * np.mean(residual)


@pytest.mark.parametrize("space", ["log", "linear"])
def test_mean_variance_equals_its_formula(space):
    loss = MeanVariance(space=space, lambda_var=0.7, lambda_residual=0.3)
    batch, prediction = case()
    assert loss(prediction, batch).item() == pytest.approx(naive(loss, prediction, batch), rel=1e-5)


def test_mse_ignores_what_was_not_measured():
    batch, prediction = case()
    measured = ~torch.isnan(batch.activity)
    expected = ((prediction.mu - batch.activity)[measured] ** 2).mean()
    assert MaskedMSE()(prediction, batch).item() == pytest.approx(expected.item(), rel=1e-6)
    MaskedMSE()(prediction, batch).backward()
    assert torch.isfinite(prediction.mu.grad).all()
    assert (prediction.mu.grad[~measured] == 0).all()
    assert (prediction.mu.grad[measured] != 0).all()


@pytest.mark.parametrize("space", ["log", "linear"])
def test_every_log_variance_with_evidence_gets_a_finite_gradient(space):
    batch, prediction = case()
    MeanVariance(space=space)(prediction, batch).backward()
    gradient = prediction.log_var.grad
    evidence = ~torch.isnan(batch.variance) | (~torch.isnan(batch.activity) & ~batch.replicated)
    assert torch.isfinite(gradient).all()
    assert (gradient[evidence] != 0).all()
    assert (gradient[~evidence] == 0).all()


def test_variance_terms_leave_the_mean_alone():
    # Were mu not held fixed in the residual term, noisy sequences would discount their own mean.
    batch, prediction = case()
    MaskedMSE()(prediction, batch).backward()
    plain = prediction.mu.grad.clone()
    prediction.mu.grad = None
    MeanVariance()(prediction, batch).backward()
    torch.testing.assert_close(prediction.mu.grad, plain)


def test_order_of_the_batch_does_not_matter():
    batch, prediction = case()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    shuffled = Batch(
        batch.codes[order], batch.activity[order], batch.variance[order], batch.replicated
    )
    moved = Prediction(prediction.mu[order], prediction.log_var[order], prediction.embedding)
    loss = MeanVariance()
    assert loss(moved, shuffled).item() == pytest.approx(loss(prediction, batch).item(), rel=1e-6)


def test_a_batch_without_any_label_costs_nothing():
    batch, prediction = case()
    empty = batch._replace(
        activity=torch.full((N, A), torch.nan), variance=torch.full((N, A), torch.nan)
    )
    loss = MeanVariance()(prediction, empty)
    loss.backward()
    assert loss.item() == 0
    assert (prediction.mu.grad == 0).all()


def test_mean_variance_without_a_variance_head_is_refused():
    batch, prediction = case()
    bare = Prediction(mu=prediction.mu, log_var=None, embedding=prediction.embedding)
    with pytest.raises(ValueError, match="log_var"):
        MeanVariance()(bare, batch)
