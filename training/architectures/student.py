"""Heads of a student: for each member of its teacher one set of means and log-variances.

`features (N, D) -> mu (N, M T), log_var (N, M T)`: member by member, in each assay by assay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from training.architectures.heads import LOG_VAR_BOUND, Heads, mlp
from training.assays import Assay


@dataclass(frozen=True, slots=True)
class TaughtAssay(Assay):
    """A column of a student: an assay as one member of the teacher predicts it.

    Attributes:
      seed: of that member, or its number among members of several recipes.
    """

    seed: int = 0


def taught(assays: Sequence[Assay], seeds: Sequence[int]) -> tuple[TaughtAssay, ...]:
    """The M T columns of a student of M members: all assays of the first, then of the next."""
    return tuple(
        TaughtAssay(f"{assay.name}.{seed}", assay.cell_type, assay.flanks, assay.served, seed)
        for seed in seeds
        for assay in assays
    )


class MemberHead(nn.Module):
    """What one member says: a mean and a log-variance for each of T assays."""

    def __init__(self, spec: StudentHeads, n_features: int, n_assays: int) -> None:
        super().__init__()
        if spec.mean == "linear":
            self.mean: nn.Module = nn.Linear(n_features, n_assays)
        else:
            self.mean = mlp(n_features, spec.hidden, n_assays)
        self.variance = mlp(n_features, spec.hidden, n_assays)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) -> mu (N, T), log_var (N, T)."""
        return self.mean(features), self.variance(features)


class StudentModule(nn.Module):
    """The heads of all members, side by side."""

    def __init__(
        self, spec: StudentHeads, n_features: int, *, n_members: int, n_assays: int
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            MemberHead(spec, n_features, n_assays) for _ in range(n_members)
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) -> mu (N, M T), log_var (N, M T)."""
        parts = [member(features) for member in self.members]
        log_var = torch.cat([log_var for _, log_var in parts], dim=1)
        mu = torch.cat([mu for mu, _ in parts], dim=1)
        return mu, log_var.clamp(-LOG_VAR_BOUND, LOG_VAR_BOUND)


@dataclass(frozen=True)
class StudentHeads(Heads):
    """One head for each member of the teacher, however many there are.

    Built for the columns of `taught`, it has a head for each of their seeds; built for plain
    assays, one head: that is how a single member of a student is stored.

    Attributes:
      mean: of each head, `linear` or, with a hidden layer, `mlp`.
      hidden: units of each hidden layer.
      is_warm: whether the trunk starts from that of the first member of the teacher that has the
        same trunk but for dropout.
    """

    predicts_variance: ClassVar[bool] = True
    needs_teacher: ClassVar[bool] = True

    mean: Literal["linear", "mlp"] = "linear"
    hidden: int = 64
    is_warm: bool = False

    def build(self, n_features: int, assays: Sequence[Assay]) -> nn.Module:
        """A fresh head set for these columns, which are as `taught` orders them."""
        seeds = {assay.seed for assay in assays if isinstance(assay, TaughtAssay)}
        n_members = max(len(seeds), 1)
        n_assays = len(assays) // n_members
        return StudentModule(self, n_features, n_members=n_members, n_assays=n_assays)
