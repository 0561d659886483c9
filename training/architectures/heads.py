"""Heads: features -> standardised activity of each assay and, where asked, its log-variance.

`features (N, D) -> mu (N, A), log_var (N, A)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from training.assays import Assay

LOG_VAR_BOUND = 10.0
"""log-variances are clamped to +-10, as in the study's heteroscedastic losses; here for all."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says of N sequences, on the standardised scale of each of A assays.

    Attributes:
      mu: (N, A).
      log_var: (N, A) log-variance of one measurement, or None.
      embedding: (N, D) features.
      aux_losses: further losses by name; the trainer adds all of them.
    """

    mu: Tensor
    log_var: Tensor | None
    embedding: Tensor
    aux_losses: dict[str, Tensor] = field(default_factory=dict)

    def in_single_precision(self) -> Prediction:
        """The same, whatever precision it was computed in: what losses are made of."""
        return Prediction(
            mu=self.mu.float(),
            log_var=None if self.log_var is None else self.log_var.float(),
            embedding=self.embedding.float(),
            aux_losses={name: loss.float() for name, loss in self.aux_losses.items()},
        )


@dataclass(frozen=True)
class Heads:
    """Base of all head sets.

    Attributes:
      predicts_variance: whether a log-variance is returned.
      needs_teacher: whether they learn from the members of another recipe instead of from labels.
    """

    predicts_variance: ClassVar[bool] = False
    needs_teacher: ClassVar[bool] = False

    def build(self, n_features: int, assays: Sequence[Assay]) -> nn.Module:
        """A module mapping features (N, D) to (mu, log_var or None)."""
        raise NotImplementedError


def mlp(n_in: int, hidden: int, n_out: int, *, bias: bool = True) -> nn.Sequential:
    """One hidden layer of ReLU: (N, n_in) -> (N, n_out); `bias` is of the last layer."""
    return nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, n_out, bias=bias))


class MeanModule(nn.Module):
    """One linear mean per assay."""

    def __init__(self, n_features: int, n_assays: int) -> None:
        super().__init__()
        self.mean = nn.Linear(n_features, n_assays)

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        """(N, D) -> mu (N, A), None."""
        return self.mean(features), None


@dataclass(frozen=True)
class MeanHeads(Heads):
    """A linear mean per assay and no variance: the baseline."""

    def build(self, n_features: int, assays: Sequence[Assay]) -> nn.Module:
        """A fresh head set for these assays."""
        return MeanModule(n_features, len(assays))


class MeanVarianceModule(nn.Module):
    """Means per assay; log-variance per cell type plus an offset per assay.

    The joint library has no replicates. Sharing the variance head within a cell type lets its
    sequences inherit what replicate variances of other assays taught, and the offset sets the
    level of each assay.
    """

    cell_type_of: Tensor

    def __init__(self, spec: MeanVarianceHeads, n_features: int, assays: Sequence[Assay]) -> None:
        super().__init__()
        cell_types = list(dict.fromkeys(assay.cell_type for assay in assays))
        if spec.mean == "linear":
            self.mean: nn.Module = nn.Linear(n_features, len(assays))
        else:
            self.mean = mlp(n_features, spec.hidden, len(assays))
        self.variance = mlp(n_features, spec.hidden, len(cell_types), bias=False)
        self.offset = nn.Parameter(torch.zeros(len(assays)))
        self.register_buffer(
            "cell_type_of", torch.tensor([cell_types.index(a.cell_type) for a in assays])
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) -> mu (N, A), log_var (N, A)."""
        log_var = self.variance(features).index_select(1, self.cell_type_of) + self.offset
        return self.mean(features), log_var.clamp(-LOG_VAR_BOUND, LOG_VAR_BOUND)


@dataclass(frozen=True)
class MeanVarianceHeads(Heads):
    """Means and log-variances.

    Attributes:
      mean: `linear` is what DH7 effectively trained, `mlp` the distributional head.
      hidden: units of each head's hidden layer.
    """

    predicts_variance: ClassVar[bool] = True

    mean: Literal["linear", "mlp"] = "linear"
    hidden: int = 64

    def build(self, n_features: int, assays: Sequence[Assay]) -> nn.Module:
        """A fresh head set for these assays."""
        return MeanVarianceModule(self, n_features, assays)
