"""What a student is held to: every member's mean, its difference between two alleles, its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from training.architectures.heads import Prediction
from training.losses.base import Batch, Loss
from training.losses.regression import squared_error, variance_error


@dataclass(frozen=True)
class Distillation(Loss):
    """mean (mu - t)^2 + difference * D + log_var * mean (s - s_t)^2.

    t and s_t are the mean and the log-variance of a member of the teacher, the `activity` and the
    logarithm of the `variance` of a batch. D is about what variant effects are: the mean of
    [(mu_j - mu_i) - (t_j - t_i)]^2 over pairs of a sequence and its mutated copy, adjacent rows,
    over the mean of (t_j - t_i)^2. So it is the share of the teacher's differences that is
    missed, however small these are beside the spread of activities.

    Attributes:
      difference: weight of D.
      log_var: weight of the error in log-variance.
    """

    needs_variance: ClassVar[bool] = True
    needs_pairs: ClassVar[bool] = True

    difference: float = 0.1
    log_var: float = 0.1

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `mse`, `difference` and `variance`."""
        effect = prediction.mu[1::2] - prediction.mu[::2]
        taught = batch.activity[1::2] - batch.activity[::2]
        missed = ((effect - taught) ** 2).mean() / (taught**2).mean().clamp(min=1e-12)
        return {
            "mse": squared_error(prediction, batch),
            "difference": self.difference * missed,
            "variance": self.log_var * variance_error(prediction, batch, "log"),
        }
