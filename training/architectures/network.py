"""A network: base codes -> one-hot -> trunk -> heads.

`codes (N, 230) -> Prediction`. The one-hot table is the model's own, so training and the
exported graph cannot disagree about channel order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.architectures.heads import Heads, Prediction
from training.architectures.trunks import Trunk
from training.assays import Assay


class NetworkModule(nn.Module):
    """Trunk and heads over base codes."""

    one_hot_table: Tensor

    def __init__(self, spec: Network, assays: Sequence[Assay]) -> None:
        super().__init__()
        # Codes A0 C1 G2 T3 N4; an N is an all-zero column. Not saved: it is a constant.
        table = torch.cat([torch.eye(4), torch.zeros(1, 4)])
        self.register_buffer("one_hot_table", table, persistent=False)
        self.trunk = spec.trunk.build()
        self.heads = spec.heads.build(spec.trunk.n_features, assays)

    def features(self, codes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What the trunk makes of (N, L) integer base codes: (N, D) and its auxiliary losses."""
        # uint8 indices would be read as a mask, and ONNX Gather wants int64.
        one_hot = nn.functional.embedding(codes.long(), self.one_hot_table).transpose(1, 2)
        features: tuple[Tensor, dict[str, Tensor]] = self.trunk(one_hot.contiguous())
        return features

    def forward(self, codes: Tensor) -> Prediction:
        """Predict every assay for (N, L) integer base codes."""
        features, aux_losses = self.features(codes)
        mu, log_var = self.heads(features)
        return Prediction(mu=mu, log_var=log_var, embedding=features, aux_losses=aux_losses)


@dataclass(frozen=True)
class Network:
    """A trunk with a head set."""

    trunk: Trunk
    heads: Heads

    @property
    def predicts_variance(self) -> bool:
        """Whether the heads return a log-variance."""
        return self.heads.predicts_variance

    @property
    def needs_teacher(self) -> bool:
        """Whether it learns from the members of another recipe instead of from labels."""
        return self.heads.needs_teacher

    def build(self, assays: Sequence[Assay]) -> NetworkModule:
        """A fresh module for these assays, in this order."""
        return NetworkModule(self, assays)

    def initialise(self, network: NetworkModule) -> None:
        """Give a fresh module what it does not start from at random."""
        self.trunk.initialise(network.trunk)
