"""The zoo: every recipe, one line each, checked on import."""

from __future__ import annotations

from training.architectures.heads import MeanHeads, MeanVarianceHeads
from training.architectures.network import Network
from training.architectures.trunks import Compact, DreamRNN
from training.losses import MeanVariance
from training.recipe import Cycle, Optim, Recipe, index

TRIO = (42, 123, 456)
# The study's optimisation, with the gradient clipping it lacked; sized for a GPU.
STUDY = Optim(cycles=(Cycle(80, 5e-3),), batch_size=1024, weight_decay=0.01)
PLAIN, GAUSS = Network(Compact(), MeanHeads()), Network(Compact(), MeanVarianceHeads())
RNN, RNN_GAUSS = Network(DreamRNN(), MeanHeads()), Network(DreamRNN(), MeanVarianceHeads())
LINEAR = MeanVariance(space="linear", lambda_var=1.0)

MSE = Recipe("mse", PLAIN, seeds=TRIO)

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
    ]
)
