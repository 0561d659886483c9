"""Losses over a batch of several assays; labels that were not measured are masked.

`Prediction, Batch -> scalar`. A loss is a frozen dataclass: its fields are its hyper-parameters,
and one signature serves all. All quantities are on each assay's standardised scale (activity
minus the training mean, over the training SD), so assays of different spread weigh alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from training.architectures.heads import Prediction


class Batch(NamedTuple):
    """One training batch of N sequences and A assays (a tuple, which Lightning can move).

    Attributes:
      codes: (N, 230) uint8 base codes.
      activity: (N, A) standardised activities, NaN where not measured.
      variance: (N, A) shrunk replicate variance on the standardised scale, NaN where unknown.
      replicated: (A,) True for assays that have replicates at all.
    """

    codes: Tensor
    activity: Tensor
    variance: Tensor
    replicated: Tensor


@dataclass(frozen=True)
class Loss:
    """Base of all losses."""

    needs_variance: ClassVar[bool] = False

    def __call__(self, prediction: Prediction, batch: Batch) -> Tensor:
        """Scalar loss of one batch."""
        return sum(self.terms(prediction, batch).values(), start=torch.zeros(()))

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """The summands by name, each already weighted; they are logged one by one."""
        raise NotImplementedError


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask`; 0 (with a gradient of 0) where nothing is left."""
    # where() before the sum: NaN * 0 would still be NaN in the gradient.
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum() / mask.sum().clamp(min=1)


def squared_error(prediction: Prediction, batch: Batch) -> Tensor:
    """Mean squared error over the measured labels."""
    measured = ~torch.isnan(batch.activity)
    return masked_mean((prediction.mu - batch.activity.nan_to_num()) ** 2, measured)


@dataclass(frozen=True)
class MaskedMSE(Loss):
    """mean (mu - y)^2 over the measured labels: the baseline."""

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """One term, `mse`."""
        return {"mse": squared_error(prediction, batch)}


@dataclass(frozen=True)
class MeanVariance(Loss):
    """Mean plus variance, the DH family: mean (mu - y)^2 + lambda_var * V + lambda_residual * R.

    V compares the variance head with the replicate variance v where it was measured:
    `linear` mean (exp(s) - v)^2, as published; `log` mean (s - log v)^2, which keeps a gradient
    where v is small. R is the Gaussian negative log-likelihood 1/2 [s + (y - mu)^2 exp(-s)] of
    the residuals on assays without replicates, with mu held fixed: it gives the variance of
    those assays a gradient without letting noisy sequences discount their own mean.

    Attributes:
      space: which V.
      lambda_var: weight of V (1 as published for the linear form).
      lambda_residual: weight of R.
    """

    needs_variance: ClassVar[bool] = True

    space: Literal["linear", "log"] = "log"
    lambda_var: float = 0.1
    lambda_residual: float = 0.05

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `mse`, `variance` and `residual`.

        Raises:
          ValueError: the prediction has no log-variance.
        """
        if prediction.log_var is None:
            raise ValueError("MeanVariance needs a prediction with log_var")
        log_var = prediction.log_var
        known = ~torch.isnan(batch.variance)
        variance = torch.where(known, batch.variance, torch.ones_like(batch.variance))
        if self.space == "log":
            error = (log_var - variance.log()) ** 2
        else:
            error = (log_var.exp() - variance) ** 2
        residual = (batch.activity.nan_to_num() - prediction.mu.detach()) ** 2
        likelihood = 0.5 * (log_var + residual * torch.exp(-log_var))
        unreplicated = ~torch.isnan(batch.activity) & ~batch.replicated
        return {
            "mse": squared_error(prediction, batch),
            "variance": self.lambda_var * masked_mean(error, known),
            "residual": self.lambda_residual * masked_mean(likelihood, unreplicated),
        }
