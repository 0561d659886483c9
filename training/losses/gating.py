"""Likelihood or squared error with a ranking term, strong where labels are quiet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from training.architectures.heads import Prediction
from training.losses.base import Batch, Loss, log_variance, masked_mean, relative_noise
from training.losses.ranking import RankStability
from training.losses.regression import Space, likelihood, variance_error


@dataclass(frozen=True)
class NoiseGated(Loss):
    """Noise gated: mean NLL + alpha * rank stability of mu + beta * V (the study's loss).

    NLL is 1/2 [s + (y - mu)^2 exp(-s)] over the measured labels, V is `variance_error`.

    Attributes:
      alpha: weight of the ranking term.
      beta: weight of V.
      noise_k: of the ranking term, whose noise is relative to what is typical of the assay.
      space: which V; `linear` as published.
    """

    needs_variance: ClassVar[bool] = True

    alpha: float = 0.3
    beta: float = 0.1
    noise_k: float = 1.0
    space: Space = "linear"

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `nll`, `rank` and `variance`."""
        unlikely = likelihood(prediction.mu, log_variance(prediction), batch)
        rank = RankStability(self.noise_k).instability(prediction.mu, batch)
        return {
            "nll": masked_mean(unlikely, ~torch.isnan(batch.activity)),
            "rank": self.gate(batch.progress) * rank,
            "variance": self.beta * variance_error(prediction, batch, self.space),
        }

    def gate(self, progress: Tensor) -> Tensor:
        """Weight of the ranking term when a share `progress` of the run is over."""
        return torch.full_like(progress, self.alpha)


@dataclass(frozen=True)
class AdaptiveNoiseGated(NoiseGated):
    """Noise gated with a ranking term that sets in late: its weight rises linearly to alpha.

    Attributes:
      alpha: weight at the end of the run.
      quiet_share: share of the run before it rises from 0 (the study's 10 of 80 epochs).
    """

    alpha: float = 0.5
    quiet_share: float = 1 / 8

    def gate(self, progress: Tensor) -> Tensor:
        """Weight of the ranking term when a share `progress` of the run is over."""
        return self.alpha * ((progress - self.quiet_share) / (1 - self.quiet_share)).clamp(min=0)


@dataclass(frozen=True)
class NoiseGatedMSE(Loss):
    """mean u (mu - y)^2 + alpha * rank stability, u = 1 / (1 + v) (the study's loss NG7).

    v is relative to what is typical of the assay; u is rescaled to a mean of 1 over the assay's
    labels in the batch, so that noise discounts labels and never a whole assay.

    Attributes:
      alpha: weight of the ranking term.
      noise_k: of the ranking term.
    """

    alpha: float = 0.3
    noise_k: float = 1.0

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `mse` and `rank`."""
        measured = ~torch.isnan(batch.activity)
        trust = measured / (1 + relative_noise(batch))
        mean = trust.sum(dim=0) / measured.sum(dim=0).clamp(min=1)
        scale = torch.where(mean > 0, mean, 1.0)  # an assay without a label in this batch
        error = (prediction.mu - batch.activity.nan_to_num()) ** 2
        rank = RankStability(self.noise_k).instability(prediction.mu, batch)
        return {"mse": masked_mean(trust / scale * error, measured), "rank": self.alpha * rank}
