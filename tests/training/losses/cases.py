"""Small batches with gaps in every place where a table has them."""

import numpy as np
import torch

from training.architectures.heads import Prediction
from training.losses.base import Batch, Loss
from training.losses.contrastive import ContrastiveAnchor, TripletAnchor
from training.losses.gating import AdaptiveNoiseGated, NoiseGated, NoiseGatedMSE
from training.losses.pairs import HardPairs
from training.losses.ranking import RankedMeanVariance, RankStability
from training.losses.regression import Heteroscedastic, MaskedMSE, MeanVariance

N, A, D = 40, 3, 6
LOSSES: tuple[Loss, ...] = (
    MaskedMSE(),
    MeanVariance(),
    MeanVariance(space="linear", lambda_var=1.0),
    Heteroscedastic(),
    Heteroscedastic(space="log"),
    RankStability(),
    RankStability(scale="absolute"),
    RankedMeanVariance(),
    NoiseGated(),
    NoiseGated(space="log"),
    AdaptiveNoiseGated(),
    NoiseGatedMSE(),
    ContrastiveAnchor(),
    TripletAnchor(),
    HardPairs(),
)


def name(loss: Loss) -> str:
    return repr(loss).partition("(")[0] + "".join(
        f".{value}" for value in vars(loss).values() if isinstance(value, str)
    )


def case(seed: int = 0, n: int = N, assays: int = A) -> tuple[Batch, Prediction]:
    """Labels with gaps, ties and very different noise; the first of several assays has no noise."""
    rng = np.random.default_rng(seed)
    activity = rng.normal(size=(n, assays))
    activity[rng.random((n, assays)) < 0.3] = np.nan
    activity[1] = activity[0]  # a tie in every assay
    replicated = np.arange(assays) > 0 if assays > 1 else np.array([True])
    noise = np.where(replicated, np.exp(rng.normal(0, 1.2, (n, assays))), np.nan)
    noise[2] = np.nan  # measured once, hence no replicate variance
    noise[np.isnan(activity)] = np.nan
    typical, sd = np.linspace(0.1, 0.4, assays), np.linspace(0.5, 2.0, assays)

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32))

    batch = Batch(
        codes=torch.from_numpy(rng.integers(0, 4, (n, 230)).astype(np.uint8)),
        activity=tensor(activity),
        variance=tensor(noise * typical),
        noise=tensor(noise),
        sd=tensor(sd),
        replicated=torch.from_numpy(replicated),
        progress=torch.tensor(0.5),
    )
    return batch, Prediction(
        mu=tensor(rng.normal(size=(n, assays))).requires_grad_(),
        log_var=tensor(rng.normal(size=(n, assays))).requires_grad_(),
        embedding=tensor(rng.normal(size=(n, D))).requires_grad_(),
    )


def gradient(loss: Loss, prediction: Prediction, batch: Batch) -> torch.Tensor:
    """Of mu, log-variance and embedding, side by side (N, 2 A + D)."""
    leaves = [prediction.mu, prediction.log_var, prediction.embedding]
    found = torch.autograd.grad(loss(prediction, batch), leaves, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(leaf) if part is None else part
            for leaf, part in zip(leaves, found, strict=True)
        ],
        dim=1,
    )


def reordered(
    batch: Batch, prediction: Prediction, order: torch.Tensor
) -> tuple[Batch, Prediction]:
    moved = batch._replace(
        codes=batch.codes[order],
        activity=batch.activity[order],
        variance=batch.variance[order],
        noise=batch.noise[order],
    )
    return moved, Prediction(
        prediction.mu[order], prediction.log_var[order], prediction.embedding[order]
    )
