"""What a loss reads, what it is, and the masks that all of them need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from training.architectures.heads import Prediction


class Batch(NamedTuple):
    """One training batch of N sequences and A assays (a tuple, which Lightning can move).

    Attributes:
      codes: (N, 230) uint8 base codes.
      activity: (N, A) standardised activities, NaN where not measured.
      variance: (N, A) shrunk replicate variance on the standardised scale, NaN where unknown.
      noise: (N, A) the same variance over its assay's median in the training folds (1 is typical
        of the assay, whatever its scale), NaN where unknown.
      sd: (A,) log2 units in one standardised unit; `variance * sd**2` is in log2 units squared.
      replicated: (A,) True for assays that have replicates at all.
      progress: scalar, share of the run's epochs that are over, in [0, 1).
    """

    codes: Tensor
    activity: Tensor
    variance: Tensor
    noise: Tensor
    sd: Tensor
    replicated: Tensor
    progress: Tensor


@dataclass(frozen=True)
class Loss:
    """Base of all losses.

    Attributes:
      needs_variance: whether the network has to predict a log-variance.
      needs_pairs: whether the sampler has to put mined pairs in adjacent rows.
    """

    needs_variance: ClassVar[bool] = False
    needs_pairs: ClassVar[bool] = False

    def __call__(self, prediction: Prediction, batch: Batch) -> Tensor:
        """Scalar loss of one batch."""
        return torch.stack(list(self.terms(prediction, batch).values())).sum()

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """The summands by name, each already weighted; they are logged one by one."""
        raise NotImplementedError


def log_variance(prediction: Prediction) -> Tensor:
    """The predicted log-variance (N, A).

    Raises:
      ValueError: the network has no variance head.
    """
    if prediction.log_var is None:
        raise ValueError("this loss needs a prediction with log_var")
    return prediction.log_var


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask`; 0 (with a gradient of 0) where nothing is left."""
    # where() before the sum: NaN * 0 would still be NaN in the gradient.
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum() / mask.sum().clamp(min=1)


def relative_noise(batch: Batch) -> Tensor:
    """(N, A) relative noise; what has no replicates counts as typical, hence 1."""
    return batch.noise.nan_to_num(nan=1.0)


def absolute_variance(batch: Batch) -> Tensor:
    """(N, A) variances in log2 units squared; what has no replicates counts as typical.

    Variance over relative noise is the assay's median, the same in every row that knows both; an
    assay without any in the batch gets 0 throughout.
    """
    typical = (batch.variance / batch.noise).nanmean(dim=0, keepdim=True).nan_to_num()
    known = torch.where(torch.isnan(batch.variance), typical, batch.variance)
    return known * batch.sd**2
