"""The zoo: every recipe, one line each, checked on import.

`ZOO` is what is served. `campaign(preset)` is the published noise-resistant study, run for run:
42 recipes that stand for its 73 distinct trainings, and the MSE baseline. Each is named
`[architecture.]loss[.sampler][.variation]` with default parts left out, and lists as `aliases`
what the study calls its seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from training.architectures.factorized import Factorized
from training.architectures.heads import Heads, MeanHeads, MeanVarianceHeads
from training.architectures.motifs import MotifCompact
from training.architectures.network import Network
from training.architectures.student import StudentHeads
from training.architectures.trunks import Compact, DreamRNN, Trunk
from training.augment import OFFSETS, Augment, EvoAug, Jitter, MaskedJitter
from training.distil.loss import Distillation
from training.distil.mutants import Mutants
from training.losses.base import Loss
from training.losses.contrastive import ContrastiveAnchor, TripletAnchor
from training.losses.gating import AdaptiveNoiseGated, NoiseGated, NoiseGatedMSE
from training.losses.pairs import HardPairs
from training.losses.ranking import RankedMeanVariance, RankStability
from training.losses.regression import Heteroscedastic, MaskedMSE, MeanVariance
from training.recipe import Cycle, Optim, Recipe, index
from training.samplers import HardNegative, QuantileStratified, Sampler, Shuffled

TRIO = (42, 123, 456)
SEEDS = (*TRIO, 789, 1011)
"""Of the baseline, of each family's representative and of the models to ship."""
# The study's optimisation, with the gradient clipping it lacked; sized for a GPU.
STUDY = Optim(cycles=(Cycle(80, 5e-3),), batch_size=1024, weight_decay=0.01)
PLAIN, GAUSS = Network(Compact(), MeanHeads()), Network(Compact(), MeanVarianceHeads())
RNN, RNN_GAUSS = Network(DreamRNN(), MeanHeads()), Network(DreamRNN(), MeanVarianceHeads())
LINEAR = MeanVariance(space="linear", lambda_var=1.0)

MSE = Recipe("mse", PLAIN, seeds=TRIO)

# Of the models to ship: longer than by default, so that changed sequences have time to teach.
LONG = Optim(cycles=(Cycle(11, 2e-3), Cycle(3, 1e-3, warmup=0.1)))
LONGER = Optim(cycles=(Cycle(22, 2e-3), Cycle(5, 1e-3, warmup=0.1)))
STUDENT = "varsigma.student"


def _rounded(optim: Optim) -> Optim:
    return replace(optim, precision="bf16-mixed")


def _levers(name: str, trunk: Trunk, augment: Augment | None = None, optim: Optim = LONG) -> Recipe:
    """dh7 with this trunk and augmentation: a mean alone first, then its variance as well."""
    mean = Network(trunk, MeanHeads())
    start = Recipe(f"{name}.mean", mean, optim=optim, augment=augment)
    gauss = Network(trunk, MeanVarianceHeads())
    return Recipe(
        name, gauss, MeanVariance(), optim=optim, start=start, seeds=SEEDS, augment=augment
    )


JITTER_WIDE = _levers(
    "varsigma.motif_jitter_wide", MotifCompact(width=128), Jitter(), _rounded(LONGER)
)

# dh7 supervises the variance once the mean is learned: supervised from the first step on, it cost
# the compact trunk accuracy on the validation fold.
ZOO = index(
    [
        MSE,
        Recipe("dh7", GAUSS, MeanVariance(), start=MSE, seeds=TRIO),
        Recipe("dh7.linear", GAUSS, LINEAR, start=MSE, seeds=TRIO),
        Recipe("dream_rnn.mse", RNN, optim=STUDY, seeds=TRIO),
        Recipe("dream_rnn.dh7", RNN_GAUSS, MeanVariance(), optim=STUDY, seeds=TRIO),
        Recipe("dream_rnn.dh7.linear", RNN_GAUSS, LINEAR, optim=STUDY, seeds=TRIO),
        _levers("varsigma.plain", Compact()),
        _levers("varsigma.evo", Compact(), EvoAug()),
        _levers("varsigma.motif", MotifCompact()),
        _levers("varsigma.motif_long", MotifCompact(), optim=LONGER),
        _levers("varsigma.evo_motif", MotifCompact(), EvoAug()),
        # In bfloat16 for the sake of time (`make bench-precision`), which their names do not say.
        _levers("varsigma.motif_wide", MotifCompact(width=128), optim=_rounded(LONG)),
        _levers("varsigma.motif_jitter", MotifCompact(), Jitter(), _rounded(LONGER)),
        JITTER_WIDE,
        replace(JITTER_WIDE, name=f"{JITTER_WIDE.name}_ranked", loss=RankedMeanVariance()),
        _levers(
            f"{JITTER_WIDE.name}_masked", MotifCompact(width=128), MaskedJitter(), _rounded(LONGER)
        ),
        # Its trunk stands for those of several members, and starts from one of them: that of
        # varsigma.motif_jitter where that teaches. Its labels have no noise, so it has no dropout.
        Recipe(
            STUDENT,
            Network(MotifCompact(dropout=0.0), StudentHeads(is_warm=True)),
            Distillation(difference=0.5),
            Mutants(offsets=OFFSETS),
            _rounded(Optim(cycles=(Cycle(8, 1e-3),))),
            seeds=SEEDS,
        ),
    ]
)


@dataclass(frozen=True)
class Preset:
    """The size of a campaign: trunks and optimisation that its recipes share.

    Attributes:
      name: of the folder of records.
      trunk: of all recipes but the factorized ones.
      channels: of every convolution of the factorized trunks.
      optim: how weights move.
    """

    name: str
    trunk: Trunk
    channels: int
    optim: Optim

    def network(self, heads: Heads) -> Network:
        """The trunk with these heads."""
        return Network(self.trunk, heads)

    def factorized(self, vib_beta: float | None = None, gc_bins: int | None = None) -> Network:
        """A factorized trunk with a bottleneck of this weight and an adversary of so many bins."""
        return Network(Factorized(self.channels, vib_beta=vib_beta, gc_bins=gc_bins), MeanHeads())


CPU = Preset("cpu", Compact(width=48, fine=()), 32, Optim(cycles=(Cycle(12, 3e-3),), ema=0.99))
GPU = Preset("gpu", DreamRNN(), 128, STUDY)
PRESETS = {preset.name: preset for preset in (CPU, GPU)}

BASELINE = "mse"
FAMILIES = {
    "B": "baseline",
    "RS": "rank_stability",
    "DH": "distributional",
    "NG": "noise_gated",
    "ABL": "noise_gated",
    "BEST": "noise_gated",
    "CA": "contrastive",
    "QS": "quantile",
    "QC": "quantile",
    "HN": "hard_negative",
    "FE": "factorized",
}
"""{letters of a published id: family}."""
REPRESENTATIVES = {
    "rank_stability": "rank_stability",
    "distributional": "dh7",
    "noise_gated": "noise_gated",
    "contrastive": "contrastive_anchor",
    "quantile": "quantile_noise",
    "hard_negative": "hard_negative",
    "factorized": "factorized",
}
"""{family: the recipe that gets as many seeds as the baseline}."""
INJECTED_FORMS = ("dh7.log",)
"""Of `forms`, what meets injected noise too: the published supervision squares the error of a
variance, so that at the largest level its term outweighs that of the mean; logarithms do not."""


@cache
def campaign(preset: Preset) -> dict[str, Recipe]:
    """The study's recipes at one size, the baseline first, then family by family."""
    plain, mlp = preset.network(MeanHeads()), preset.network(MeanVarianceHeads(mean="mlp"))
    linear = preset.network(MeanVarianceHeads(mean="linear"))
    parts, vib, gc = preset.factorized(), preset.factorized(0.01), preset.factorized(gc_bins=10)
    full = preset.factorized(0.01, 10)
    full_gauss = Network(full.trunk, MeanVarianceHeads(mean="mlp"))
    stratified, by_noise = QuantileStratified(), QuantileStratified(noise_weight=0.5)
    curriculum = QuantileStratified(5, curriculum=True)

    def row(
        name: str,
        aliases: str,
        network: Network,
        loss: Loss = MaskedMSE(),  # noqa: B008 (frozen)
        sampler: Sampler = Shuffled(),  # noqa: B008 (frozen)
    ) -> Recipe:
        ids = tuple(aliases.split())
        seeds = SEEDS if name == BASELINE else SEEDS[: len(ids)]
        family = family_of(ids[0])
        return Recipe(name, network, loss, sampler, preset.optim, None, seeds, family, ids)

    return index(
        [
            row(BASELINE, "B1", plain),
            row("rank_stability", "RS1 RS2 RS3", plain, RankStability()),
            row("rank_stability.k0.5", "RS8", plain, RankStability(noise_k=0.5)),
            row("rank_stability.k1.5", "ABL7", plain, RankStability(noise_k=1.5)),
            row("rank_stability.k2", "RS7", plain, RankStability(noise_k=2.0)),
            row("rank_stability.k2.5", "ABL8", plain, RankStability(noise_k=2.5)),
            row("factorized.rank_stability", "RS4 RS5 RS6", parts, RankStability()),
            row("factorized_vib.rank_stability", "RS9", vib, RankStability()),
            row("distributional", "DH1 DH2 DH3", mlp, MeanVariance("linear", 1.0)),
            row("distributional.lambda0.5", "DH9", mlp, MeanVariance("linear", 0.5)),
            row("distributional.lambda2", "DH8", mlp, MeanVariance("linear", 2.0)),
            row("dh7", "DH7", linear, MeanVariance("linear", 1.0)),
            row("heteroscedastic", "DH4 DH5 DH6", mlp, Heteroscedastic()),
            row("noise_gated", "NG1 NG2 NG3", mlp, NoiseGated()),
            row("noise_gated.alpha0.1", "NG9=ABL1", mlp, NoiseGated(alpha=0.1)),
            row("noise_gated.alpha0.2", "ABL2", mlp, NoiseGated(alpha=0.2)),
            row("noise_gated.alpha0.4", "ABL3", mlp, NoiseGated(alpha=0.4)),
            row("noise_gated.alpha0.5", "NG8=ABL4", mlp, NoiseGated(alpha=0.5)),
            row("noise_gated.beta0.05", "ABL5", mlp, NoiseGated(beta=0.05)),
            row("noise_gated.beta0.2", "ABL6", mlp, NoiseGated(beta=0.2)),
            row("noise_gated_mse", "NG7", plain, NoiseGatedMSE()),
            row("adaptive_noise_gated", "NG4 NG5 NG6", mlp, AdaptiveNoiseGated()),
            row("noise_gated.quantile", "BEST1", mlp, NoiseGated(), stratified),
            row("noise_gated.quantile_noise", "BEST2", mlp, NoiseGated(), by_noise),
            row("noise_gated.hard_negative", "BEST3", mlp, NoiseGated(), HardNegative()),
            row(
                "factorized_full.noise_gated.quantile",
                "BEST4",
                full_gauss,
                NoiseGated(),
                stratified,
            ),
            row("contrastive_anchor", "CA1 CA2 CA3", plain, ContrastiveAnchor()),
            row("contrastive_anchor.t0.05", "CA8", plain, ContrastiveAnchor(temperature=0.05)),
            row("contrastive_anchor.t0.2", "CA9", plain, ContrastiveAnchor(temperature=0.2)),
            row("factorized.contrastive_anchor", "CA7", parts, ContrastiveAnchor()),
            row("triplet_anchor", "CA4 CA5 CA6", plain, TripletAnchor()),
            row("quantile", "QS1 QS2 QS3", plain, sampler=stratified),
            row("quantile_noise", "QS4 QS5 QS6", plain, sampler=by_noise),
            row("quantile_curriculum", "QC1 QC2 QC3", plain, sampler=curriculum),
            row("factorized.quantile_curriculum", "QC4 QC5 QC6", parts, sampler=curriculum),
            row("hard_negative", "HN1 HN2 HN3", plain, HardPairs(), HardNegative()),
            row("hard_negative.t0.5", "HN6", plain, HardPairs(), HardNegative(0.5)),
            row("hard_negative.t2", "HN5", plain, HardPairs(), HardNegative(2.0)),
            row("factorized.hard_negative", "HN4", parts, HardPairs(), HardNegative()),
            row("factorized", "FE1 FE2 FE3", parts),
            row("factorized_vib", "FE4 FE5 FE6", vib),
            row("factorized_gc", "FE7 FE8", gc),
            row("factorized_full", "FE9", full),
        ]
    )


@cache
def forms(preset: Preset) -> dict[str, Recipe]:
    """Strategies in forms that the campaign's 73 runs leave out.

    On an absolute scale, as published, the weights of pairs differ little at k = 1 (the table of
    pair weights says how little, and how much at larger k). Supervised in log space, a variance
    head keeps a gradient where noise is small; unsupervised, it has residuals alone to learn from.
    """
    plain, mlp = preset.network(MeanHeads()), preset.network(MeanVarianceHeads(mean="mlp"))
    linear = preset.network(MeanVarianceHeads(mean="linear"))
    rows: list[tuple[str, str, Network, Loss]] = [
        ("RS", "rank_stability.absolute", plain, RankStability(scale="absolute")),
        ("DH", "dh7.log", linear, MeanVariance("log")),
        ("DH", "heteroscedastic.log", mlp, Heteroscedastic("log")),
        ("DH", "heteroscedastic.unsupervised", mlp, Heteroscedastic(lambda_var=0.0)),
        ("NG", "noise_gated.log", mlp, NoiseGated(space="log")),
    ]
    return index(
        Recipe(name, network, loss, optim=preset.optim, seeds=TRIO, family=FAMILIES[letters])
        for letters, name, network, loss in rows
    )


def family_of(published: str) -> str:
    """Family of a published id, as the study's figures group them (ablations with what they vary).

    >>> family_of("RS7"), family_of("BEST1"), family_of("ABL8")
    ('rank_stability', 'noise_gated', 'rank_stability')
    """
    if published in {"ABL7", "ABL8"}:
        return "rank_stability"
    return FAMILIES[published.partition("=")[0].rstrip("0123456789")]
