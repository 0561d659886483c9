"""The order of pairs that the sampler mined: hard to tell apart and known well enough to try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from training.architectures.heads import Prediction
from training.losses.base import Batch, Loss, masked_mean
from training.losses.regression import squared_error


@dataclass(frozen=True)
class HardPairs(Loss):
    """Squared error + weight * mean log(1 + exp(mu_j - mu_i)) over mined pairs y_i > y_j.

    Rows 2i and 2i + 1 of the batch are a pair, which a sampler with `makes_pairs` sees to. A pair
    counts once for each assay that measured both and found them different. RankNet on chosen pairs
    (Burges et al. 2005, 10.1145/1102351.1102363).

    Attributes:
      weight: of the ranking term.
    """

    needs_pairs: ClassVar[bool] = True

    weight: float = 0.3

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `mse` and `pairs`.

        Raises:
          ValueError: the batch is odd, so that pairs would straddle batches.
        """
        if len(batch.activity) % 2:
            raise ValueError(f"pairs need an even batch size, not {len(batch.activity)}")
        difference = batch.activity[0::2] - batch.activity[1::2]
        decided = ~torch.isnan(difference) & (difference != 0)
        predicted = prediction.mu[0::2] - prediction.mu[1::2]
        disorder = softplus(-torch.sign(difference.nan_to_num()) * predicted)
        return {
            "mse": squared_error(prediction, batch),
            "pairs": self.weight * masked_mean(disorder, decided),
        }
