"""Embeddings of sequences of like activity: quiet ones together, noisy ones apart.

`embedding, activity, noise -> similar pairs, quiet rows -> InfoNCE or triplets`. The network's
features are what is compared, so the gradient reaches the trunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from training.architectures.heads import Prediction
from training.losses.base import Batch, Loss
from training.losses.regression import squared_error


def similar_pairs(activity: Tensor, quantile: float) -> Tensor:
    """Which sequences are of like activity: a symmetric (N, N) mask, False on its diagonal.

    Two sequences are compared where both were measured: their difference is the root mean square
    over the assays they share (|y_i - y_j| with one assay), and without such an assay they are
    never similar.

    Args:
      activity: (N, A) standardised, NaN where not measured.
      quantile: of the batch's nonzero differences; pairs below it are similar.
    """
    measured = (~torch.isnan(activity)).double()
    # (y_i - y_j)^2 multiplied out is three matrix products instead of N x N x A differences; in
    # double precision, so that equal activities still cancel.
    y = activity.nan_to_num().double()
    own = y**2 @ measured.T
    shared = measured @ measured.T
    squared = torch.addmm(own + own.T, y, y.T, alpha=-2).div_(shared.clamp(min=1)).clamp_(min=0)
    comparable = (shared > 0).fill_diagonal_(False)
    differences = squared[(comparable & (squared > 0)).triu()]
    if not len(differences):
        return comparable
    # Not kthvalue or quantile: one is refused where determinism is asked for, the other sorts all.
    lowest = differences.topk(math.ceil(quantile * len(differences)), largest=False, sorted=False)
    return comparable & (squared < lowest.values.max())


def quiet_rows(noise: Tensor, quantile: float) -> Tensor:
    """(N,) True for sequences less noisy than a quantile of the batch; none where all are alike.

    The noise of a sequence is the mean of its relative noise (N, A) over assays that know it, and
    typical, hence 1, where none does.
    """
    # In double precision the mean of equal values is that value, and not a little less.
    mean = noise.double().nanmean(dim=1).nan_to_num(nan=1.0)
    return mean < mean.quantile(quantile)


def _anchors(
    batch: Batch, activity_quantile: float, noise_quantile: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (M,) of usable anchors with their positives and negatives, masks (M, N).

    Anchors are quiet; similar quiet sequences are positives, similar noisy ones negatives, and an
    anchor has at least one of each.
    """
    similar = similar_pairs(batch.activity, activity_quantile)
    quiet = quiet_rows(batch.noise, noise_quantile)
    positive, negative = similar & quiet, similar & ~quiet
    rows = (quiet & positive.any(dim=1) & negative.any(dim=1)).nonzero().squeeze(1)
    return rows, positive[rows], negative[rows]


@dataclass(frozen=True)
class ContrastiveAnchor(Loss):
    """Squared error + weight * InfoNCE between a quiet sequence and those of like activity.

    InfoNCE (van den Oord et al. 2018, arXiv 1807.03748) is the mean over anchors i and positives p
    of -log[e^(c_ip/T) / (e^(c_ip/T) + sum_q e^(c_iq/T))], c the cosine of two embeddings and q the
    negatives of i: the study's loss as it was designed.

    Attributes:
      temperature: T.
      noise_quantile: sequences below this quantile of the batch's noise are quiet.
      activity_quantile: pairs below this quantile of the batch's differences are similar.
      weight: of InfoNCE.
    """

    temperature: float = 0.1
    noise_quantile: float = 0.5
    activity_quantile: float = 0.1
    weight: float = 1.0

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `mse` and `contrast`."""
        rows, positive, negative = _anchors(batch, self.activity_quantile, self.noise_quantile)
        z = normalize(prediction.embedding, dim=1)
        logits = z[rows] @ z.T / self.temperature
        away = logits.masked_fill(~negative, -torch.inf).logsumexp(dim=1)
        anchor, partner = positive.nonzero(as_tuple=True)
        confusion = softplus(away[anchor] - logits[anchor, partner])  # -log e^c / (e^c + e^away)
        contrast = confusion.sum() / max(len(anchor), 1)
        return {"mse": squared_error(prediction, batch), "contrast": self.weight * contrast}


@dataclass(frozen=True)
class TripletAnchor(Loss):
    """Squared error + weight * mean max(0, |z_a - z_p| - |z_a - z_q| + margin).

    z are embeddings of unit length, a a quiet sequence, p the farthest of its quiet and q the
    nearest of its noisy partners of like activity (batch-hard triplets: Hermans et al. 2017,
    arXiv 1703.07737): the study's loss as it was designed.

    Attributes:
      margin: by which q should be farther than p; the largest distance is 2.
      noise_quantile: sequences below this quantile of the batch's noise are quiet.
      activity_quantile: pairs below this quantile of the batch's differences are similar.
      weight: of the triplet term.
    """

    margin: float = 0.5
    noise_quantile: float = 0.5
    activity_quantile: float = 0.2
    weight: float = 1.0

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Terms `mse` and `triplet`."""
        rows, positive, negative = _anchors(batch, self.activity_quantile, self.noise_quantile)
        z = normalize(prediction.embedding, dim=1)
        with torch.no_grad():
            cosine = z[rows] @ z.T
            farthest = cosine.masked_fill(~positive, torch.inf).argmin(dim=1)
            nearest = cosine.masked_fill(~negative, -torch.inf).argmax(dim=1)
        # Distances of the chosen ones alone: the norm has a gradient of 0, not NaN, at 0.
        to_positive = (z[rows] - z[farthest]).norm(dim=1)
        to_negative = (z[rows] - z[nearest]).norm(dim=1)
        violation = (to_positive - to_negative + self.margin).clamp(min=0)
        triplet = violation.sum() / max(len(rows), 1)
        return {"mse": squared_error(prediction, batch), "triplet": self.weight * triplet}
