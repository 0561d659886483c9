"""The order of pairs, weighted by how far noise lets one trust it.

`mu, activity, noise -> pairs within each assay -> weighted logistic ranking loss`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from training.architectures.heads import Prediction
from training.losses.base import Batch, Loss, absolute_variance, relative_noise
from training.losses.regression import MeanVariance


@dataclass(frozen=True)
class RankStability(Loss):
    """Rank stability: for each assay, mean w_ij log(1 + exp(mu_j - mu_i)) over pairs y_i > y_j.

    w_ij = max(floor, sigmoid(-k (v_i + v_j))), rescaled to a mean of 1 within the assay: the
    study's loss, which is RankNet (Burges et al. 2005, 10.1145/1102351.1102363) where all v are
    equal. An assay counts by its measured labels, as it does in a squared error; one without two
    different labels in the batch counts nothing. The loss fixes neither scale nor offset of mu.

    Attributes:
      noise_k: k.
      scale: what v is: `relative` to what is typical of the assay, or the `absolute` variance in
        log2 units squared. The absolute form is the published one, whose weights barely differ,
        since v is mostly below 0.1.
      floor: smallest weight before rescaling.
    """

    noise_k: float = 1.0
    scale: Literal["relative", "absolute"] = "relative"
    floor: float = 0.01

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """One term, `rank`."""
        return {"rank": self.instability(prediction.mu, batch)}

    def instability(self, mu: Tensor, batch: Batch) -> Tensor:
        """The loss of means (N, A): a scalar."""
        # The sum keeps the graph whole where there is nothing to compare.
        total, labels = mu.sum() * 0.0, mu.new_zeros(())
        for column, rows, weights in self._assays(batch):
            f, mass = mu[rows, column], weights.sum()
            agreement = (weights * logsigmoid(f[:, None] - f)).sum()
            count = len(rows) * (mass > 0)
            total = total - count * agreement / torch.where(mass > 0, mass, 1.0)
            labels = labels + count
        return total / labels.clamp(min=1)

    def pair_weights(self, batch: Batch) -> Tensor:
        """(P,) weights of all pairs of all assays, each pair once; the mean in an assay is 1."""
        compared = [weights[weights > 0] for _, _, weights in self._assays(batch)]
        return torch.cat([weights / weights.mean() for weights in compared])

    def _assays(self, batch: Batch) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Each assay's column, its n measured rows, and raw weights (n, n), 0 unless y_i > y_j.

        The other order of a pair would add the same term again. Rows that were not measured are
        left out first: in a table of many assays most pairs would be masked.
        """
        noise = relative_noise(batch) if self.scale == "relative" else absolute_variance(batch)
        for column in range(batch.activity.shape[1]):
            rows = (~torch.isnan(batch.activity[:, column])).nonzero().squeeze(1)
            y, v = batch.activity[rows, column], noise[rows, column]
            weights = torch.sigmoid(-self.noise_k * (v[:, None] + v)).clamp(min=self.floor)
            yield column, rows, weights * (y[:, None] > y)


@dataclass(frozen=True)
class RankedMeanVariance(MeanVariance):
    """`MeanVariance` + alpha `RankStability` (relative noise, k = 1): values and their order.

    Squared errors fix scale and offset, which the order leaves free.

    Attributes:
      alpha: weight of the order; 0.3 as in the noise-gated losses.
    """

    alpha: float = 0.3

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Those of `MeanVariance`, and `rank`."""
        order = RankStability(noise_k=1.0, scale="relative", floor=0.01)
        instability = order.instability(prediction.mu, batch)
        return {**super().terms(prediction, batch), "rank": self.alpha * instability}


@dataclass(frozen=True, slots=True)
class WeightSpread:
    """How much pair weights of mean 1 differ.

    Attributes:
      n_pairs: compared.
      sd: of the weights.
      low: their 5th percentile.
      median: their 50th.
      high: their 95th.
      effective_share: (sum w)^2 / (n sum w^2) (Kish), the share of equally weighted pairs that
        would vary as much; 1 where all weights are equal.
    """

    n_pairs: int
    sd: float
    low: float
    median: float
    high: float
    effective_share: float


def weight_spread(weights: Tensor) -> WeightSpread:
    """Spread of the (P,) weights that `RankStability.pair_weights` returns."""
    values = weights.detach().cpu().double().numpy()
    low, median, high = (float(value) for value in np.quantile(values, [0.05, 0.5, 0.95]))
    effective = values.sum() ** 2 / (len(values) * (values**2).sum())
    return WeightSpread(len(values), float(values.std()), low, median, high, float(effective))
