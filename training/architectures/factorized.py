"""Factorized trunks: motif, grammar and composition branches, fused.

`one_hot (N, 4, L) -> features (N, D), aux losses`. The branches see different things by
construction: the motif branch takes the maximum over positions (which words occur), the grammar
branch a mean after dilated convolutions (how they are arranged), the composition branch base
frequencies alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.architectures.trunks import Trunk


class _Reversed(torch.autograd.Function):
    """Identity forwards; backwards the gradient with its sign turned."""

    @staticmethod
    def forward(_: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(_: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def reverse_gradient(x: Tensor) -> Tensor:
    """`x`, through which a gradient passes with its sign turned.

    Source: Ganin et al., Journal of Machine Learning Research 2016, at the strength of 1 that the
    study had.
    """
    reversed_: Tensor = _Reversed.apply(x)  # type: ignore[no-untyped-call] # torch's
    return reversed_


def base_frequencies(one_hot: Tensor) -> Tensor:
    """(N, 4, L) -> (N, 4) shares of A, C, G, T among the known bases.

    Padding is unknown: counted in, it would tell the assay by the length of its constructs.
    """
    counts = one_hot.sum(dim=-1)
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1)


def gc_class(frequencies: Tensor, n_bins: int) -> Tensor:
    """(N, 4) base frequencies -> (N,) int64 class floor(n_bins * GC), at most n_bins - 1."""
    # Shares of whole counts may add up to a little less than a whole tenth in float32.
    gc = frequencies[:, 1] + frequencies[:, 2]
    return (gc * n_bins + 1e-4).long().clamp(max=n_bins - 1)


def kl_to_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """Mean over batch and dimensions of KL(N(mean, exp(log_var)) || N(0, 1)).

    -1/2 (1 + l - m^2 - e^l): Kingma and Welling, ICLR 2014, appendix B.
    """
    return -0.5 * (1 + log_var - mean**2 - log_var.exp()).mean()


def _convolution(
    n_in: int, n_out: int, kernel: int, *, dilation: int = 1, dropout: float = 0.0
) -> nn.Sequential:
    """Convolution, batch norm, ReLU, dropout."""
    return nn.Sequential(
        # An even kernel lengthens by one, as in the study; positions are pooled anyway.
        nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2 * dilation, dilation=dilation),
        nn.BatchNorm1d(n_out),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


class BottleneckModule(nn.Module):
    """Base frequencies squeezed through a noisy code: deep variational information bottleneck.

    Source: Alemi et al., ICLR 2017. z = m + exp(l / 2) eps in training, z = m in evaluation.
    """

    def __init__(self, n_latent: int) -> None:
        super().__init__()
        self.mean, self.log_var = nn.Linear(4, n_latent), nn.Linear(4, n_latent)

    def forward(self, frequencies: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 4) -> code z (N, n_latent) and the scalar KL divergence of its distribution."""
        mean, log_var = self.mean(frequencies), self.log_var(frequencies)
        code = mean
        if self.training:
            code = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        return code, kl_to_standard_normal(mean, log_var)


class FactorizedModule(nn.Module):
    """The three branches, their fusion and, where asked, bottleneck and adversary."""

    def __init__(self, spec: Factorized) -> None:
        super().__init__()
        self.spec = spec
        width, dropout = spec.channels, spec.dropout
        self.motif = nn.Sequential(
            _convolution(4, width, 8, dropout=dropout), _convolution(width, width, 8)
        )
        self.motif_project = nn.Linear(width, spec.branch)
        self.grammar = nn.Sequential(
            _convolution(4, width, 5, dropout=dropout),
            _convolution(width, width, 5, dilation=2, dropout=dropout),
            _convolution(width, width, 5, dilation=4),
        )
        self.grammar_project = nn.Linear(width, spec.branch)
        if spec.vib_beta is None:
            self.composition: nn.Module = nn.Linear(4, spec.composition)
            n_composition = spec.composition
        else:
            self.composition = BottleneckModule(spec.latent)
            n_composition = spec.latent
        self.fusion = nn.Sequential(
            nn.Linear(2 * spec.branch + n_composition, spec.features),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        if spec.gc_bins is not None:
            self.adversary = nn.Sequential(
                nn.Linear(2 * spec.branch, 32), nn.ReLU(), nn.Linear(32, spec.gc_bins)
            )

    def forward(self, one_hot: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, 4, L) -> features (N, D) and, in training, the losses `bottleneck`, `adversary`."""
        spec = self.spec
        frequencies = base_frequencies(one_hot)
        motif = self.motif_project(self.motif(one_hot).amax(dim=-1))
        grammar = self.grammar_project(self.grammar(one_hot).mean(dim=-1))
        sequence = torch.cat([motif, grammar], dim=1)
        aux: dict[str, Tensor] = {}
        if spec.vib_beta is None:
            composition = self.composition(frequencies)
        else:
            composition, divergence = self.composition(frequencies)
            if self.training:
                aux["bottleneck"] = spec.vib_beta * divergence
        if self.training and spec.gc_bins is not None:
            guess = self.adversary(reverse_gradient(sequence))
            label = gc_class(frequencies, spec.gc_bins)
            aux["adversary"] = spec.gc_weight * nn.functional.cross_entropy(guess, label)
        return self.fusion(torch.cat([sequence, composition], dim=1)), aux


@dataclass(frozen=True)
class Factorized(Trunk):
    """Motif, grammar and composition apart: 330,464 parameters in the plain form.

    Source: the study's `factorized`, `_vib`, `_gc_adv` and `_full`, without the three one-branch
    heads that its plain form owned and never trained.

    Attributes:
      channels: of every convolution.
      branch: features of the motif and of the grammar branch.
      composition: features of the composition branch without a bottleneck.
      latent: dimensions of the bottleneck.
      features: width D after fusion.
      dropout: after convolutions and fusion.
      vib_beta: weight of the bottleneck's KL divergence; None: no bottleneck.
      gc_bins: classes of the GC adversary; None: no adversary.
      gc_weight: of the adversary's cross-entropy. The study never added it to its loss, so there is
        no published one. In trials of three epochs the adversary lost to the branches at 1
        (cross-entropy above that of a blind guess) and validation correlations fell by 0.1 to
        0.2; at 0.1 it kept up, at no cost. Either way a linear probe still read GC from the
        branches.
    """

    channels: int = 128
    branch: int = 64
    composition: int = 32
    latent: int = 16
    features: int = 64
    dropout: float = 0.2
    vib_beta: float | None = None
    gc_bins: int | None = None
    gc_weight: float = 0.1

    @property
    def n_features(self) -> int:
        """Width D of the features."""
        return self.features

    def build(self) -> nn.Module:
        """A fresh factorized trunk."""
        return FactorizedModule(self)
