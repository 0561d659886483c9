"""Trunks: one-hot sequence -> features.

`one_hot (N, 4, 230) -> features (N, D), aux losses`. Each trunk is a frozen dataclass of
hyper-parameters with a `build`; a new one is one dataclass and one module.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Trunk:
    """Base of all trunks."""

    @property
    def n_features(self) -> int:
        """Width D of the features."""
        raise NotImplementedError

    def build(self) -> nn.Module:
        """A fresh module: one-hot (N, 4, L) -> features (N, D) and auxiliary losses by name.

        The losses are already weighted. They exist in training alone: in evaluation mode the
        dictionary is empty, and so an exported graph holds nothing of them.
        """
        raise NotImplementedError

    @property
    def origin(self) -> str:
        """What cards say a fresh module starts from; empty where that is chance alone."""
        return ""

    def initialise(self, trunk: nn.Module) -> None:
        """Give a fresh module of this trunk what it does not start from at random.

        The trainer calls it before the first step; whoever loads weights need not. It must not
        draw from torch's generator, so that all else starts as it would without.
        """


class ConvBlock(nn.Module):
    """Two parallel length-preserving convolutions, each BN -> ReLU -> dropout, concatenated."""

    def __init__(self, n_in: int, n_out: int, kernels: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2),
                nn.BatchNorm1d(n_out),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            for kernel in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_in, L) -> (N, 2 n_out, L)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class DreamRNNModule(nn.Module):
    """Convolutions, a bidirectional LSTM, convolutions, 1x1 convolution, mean over positions."""

    def __init__(self, spec: DreamRNN) -> None:
        super().__init__()
        channels, kernels = spec.channels, (9, 15)
        self.first = ConvBlock(4, channels, kernels, spec.dropout)
        self.lstm = nn.LSTM(2 * channels, spec.hidden, batch_first=True, bidirectional=True)
        self.core = ConvBlock(2 * spec.hidden, channels, kernels, spec.dropout)
        self.dropout = nn.Dropout(spec.core_dropout)
        self.project = nn.Conv1d(2 * channels, spec.features, 1)

    def forward(self, one_hot: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, 4, L) -> (N, D), no auxiliary losses."""
        x = self.first(one_hot)
        x, _ = self.lstm(x.transpose(1, 2))
        x = self.dropout(self.core(x.transpose(1, 2)))
        return self.project(x).mean(dim=-1), {}


@dataclass(frozen=True)
class DreamRNN(Trunk):
    """DREAM-RNN as the noise-resistant study trained it: 6,226,176 parameters.

    Source: Rafi et al., Nature Biotechnology 2025 (Prix Fixe framework); the study's widths.

    Attributes:
      channels: of each of the two parallel convolutions in both blocks.
      hidden: LSTM units per direction.
      features: width D.
      dropout: after each convolution.
      core_dropout: after the second block.
    """

    channels: int = 256
    hidden: int = 320
    features: int = 256
    dropout: float = 0.2
    core_dropout: float = 0.5

    @property
    def n_features(self) -> int:
        """Width D of the features."""
        return self.features

    def build(self) -> nn.Module:
        """A fresh DREAM-RNN trunk."""
        return DreamRNNModule(self)


class ResidualBlock(nn.Module):
    """x + conv1(dropout(GELU(BN(conv5 dilated(x))))).

    BN follows its convolution so that an exported graph folds it away; whole channels are
    dropped, which costs one random number per channel instead of one per position.
    """

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation, bias=False),
            nn.BatchNorm1d(width),
            nn.GELU(),
            nn.Dropout1d(dropout),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, L) -> (N, width, L)."""
        refined: Tensor = x + self.body(x)
        return refined


class CompactModule(nn.Module):
    """Stem convolution, residual dilated blocks at two resolutions, mean and max pooling."""

    def __init__(self, spec: Compact) -> None:
        super().__init__()
        width = spec.width
        layers: list[nn.Module] = [
            nn.Conv1d(4, width, spec.stem_kernel, padding=spec.stem_kernel // 2),
            nn.MaxPool1d(2),
            nn.BatchNorm1d(width),
            nn.GELU(),
        ]
        layers += [ResidualBlock(width, dilation, spec.dropout) for dilation in spec.fine]
        layers.append(nn.MaxPool1d(2))
        layers += [ResidualBlock(width, dilation, spec.dropout) for dilation in spec.coarse]
        layers += [nn.BatchNorm1d(width), nn.GELU()]
        self.body = nn.Sequential(*layers)
        self.project = nn.Sequential(
            nn.Dropout(spec.dropout), nn.Linear(2 * width, spec.n_features), nn.GELU()
        )

    def forward(self, one_hot: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, 4, L) -> (N, D), no auxiliary losses."""
        x = self.body(one_hot)
        return self.project(torch.cat([x.mean(dim=-1), x.amax(dim=-1)], dim=1)), {}


@dataclass(frozen=True)
class Compact(Trunk):
    """A dilated convolutional trunk of about a quarter of a million parameters.

    Most blocks work at a quarter of the resolution, where they cost half of what they would at
    half of it, for the same number of weights.

    Attributes:
      width: channels throughout.
      stem_kernel: odd width of the motif-scanning convolution.
      fine: dilations of the blocks at half resolution.
      coarse: dilations of the blocks at a quarter of it.
      dropout: share of channels dropped in each block.
    """

    width: int = 96
    stem_kernel: int = 15
    fine: tuple[int, ...] = (1,)
    coarse: tuple[int, ...] = (1, 2, 4)
    dropout: float = 0.1

    @property
    def n_features(self) -> int:
        """Width D of the features."""
        return self.width

    def build(self) -> nn.Module:
        """A fresh compact trunk."""
        return CompactModule(self)
