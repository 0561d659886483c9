"""Squared error and likelihood, label by label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from training.architectures.heads import Prediction
from training.losses.base import Batch, Loss, log_variance, masked_mean

Space = Literal["linear", "log"]


def squared_error(prediction: Prediction, batch: Batch) -> Tensor:
    """Mean squared error over the measured labels."""
    measured = ~torch.isnan(batch.activity)
    return masked_mean((prediction.mu - batch.activity.nan_to_num()) ** 2, measured)


def likelihood(mu: Tensor, log_var: Tensor, batch: Batch) -> Tensor:
    """(N, A) Gaussian negative log-likelihoods 1/2 [s + (y - mu)^2 exp(-s)], without a constant."""
    residual = (batch.activity.nan_to_num() - mu) ** 2
    return 0.5 * (log_var + residual * torch.exp(-log_var))


def variance_error(prediction: Prediction, batch: Batch, space: Space) -> Tensor:
    """Mean squared difference of predicted and replicate variance v, where v was measured.

    Args:
      prediction: with log-variance s.
      batch: its variance is read.
      space: `linear` mean (exp(s) - v)^2, as published; `log` mean (s - log v)^2, which keeps a
        gradient where v is small.
    """
    log_var = log_variance(prediction)
    known = ~torch.isnan(batch.variance)
    variance = torch.where(known, batch.variance, torch.ones_like(batch.variance))
    error = log_var - variance.log() if space == "log" else log_var.exp() - variance
    return masked_mean(error**2, known)


@dataclass(frozen=True)
class MaskedMSE(Loss):
    """mean (mu - y)^2 over the measured labels: the baseline."""

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """One term, `mse`."""
        return {"mse": squared_error(prediction, batch)}


@dataclass(frozen=True)
class MeanVariance(Loss):
    """Mean plus variance, the DH family: mean (mu - y)^2 + lambda_var * V + lambda_residual * R.

    V is `variance_error`. R is the Gaussian negative log-likelihood of the residuals on assays
    without replicates, with mu held fixed: it gives the variance of those assays a gradient
    without letting noisy sequences discount their own mean.

    Attributes:
      space: which V.
      lambda_var: weight of V (1 as published for the linear form).
      lambda_residual: weight of R.
    """

    needs_variance: ClassVar[bool] = True

    space: Space = "log"
    lambda_var: float = 0.1
    lambda_residual: float = 0.05

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `mse`, `variance` and `residual`."""
        unlikely = likelihood(prediction.mu.detach(), log_variance(prediction), batch)
        unreplicated = ~torch.isnan(batch.activity) & ~batch.replicated
        return {
            "mse": squared_error(prediction, batch),
            "variance": self.lambda_var * variance_error(prediction, batch, self.space),
            "residual": self.lambda_residual * masked_mean(unlikely, unreplicated),
        }


@dataclass(frozen=True)
class Heteroscedastic(Loss):
    """Gaussian likelihood with a supervised variance: mean NLL + lambda_var * V.

    NLL is 1/2 [s + (y - mu)^2 exp(-s)] over the measured labels (Nix and Weigend 1994,
    10.1109/ICNN.1994.374138), V is `variance_error`; the heads clamp s to +-10. Here, unlike in
    `MeanVariance`, a predicted variance discounts the error of its own mean.

    Attributes:
      space: which V; `linear` as published, `log` as in the study's second version.
      lambda_var: weight of V; 0 leaves a likelihood without supervision.
    """

    needs_variance: ClassVar[bool] = True

    space: Space = "linear"
    lambda_var: float = 0.5

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `nll` and `variance`."""
        unlikely = likelihood(prediction.mu, log_variance(prediction), batch)
        return {
            "nll": masked_mean(unlikely, ~torch.isnan(batch.activity)),
            "variance": self.lambda_var * variance_error(prediction, batch, self.space),
        }
