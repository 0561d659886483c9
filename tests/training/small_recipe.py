"""A recipe that trains in a second, for tests of what comes before and after."""

from training.architectures.heads import MeanVarianceHeads
from training.architectures.network import Network
from training.architectures.trunks import Compact
from training.losses.regression import MeanVariance
from training.recipe import Cycle, Optim, Recipe

SMALL = Recipe(
    "small",
    Network(Compact(width=16, coarse=(1,)), MeanVarianceHeads(hidden=8)),
    MeanVariance(),
    optim=Optim(cycles=(Cycle(2, 5e-3), Cycle(1, 2e-3)), batch_size=32, ema=0.9),
    seeds=(1, 2),
)
