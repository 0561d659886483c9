"""A student small enough for tests, and its lessons."""

from training.architectures.network import Network
from training.architectures.student import StudentHeads
from training.architectures.trunks import Compact
from training.distil.lessons import TaughtBatches
from training.distil.loss import Distillation
from training.distil.mutants import Mutants
from training.recipe import Cycle, Optim, Recipe
from training.trainer import split

PUPIL = Recipe(
    "pupil",
    Network(Compact(width=24, coarse=(1,)), StudentHeads(hidden=8)),
    Distillation(),
    Mutants(),
    Optim(cycles=(Cycle(3, 5e-3),), batch_size=32, ema=0.9),
    seeds=(1, 2),
)
SERVED = ["joint_K562", "joint_HepG2", "joint_WTC11"]


def batches_of(table, teacher, seed=5):
    """Pairs of constructs and copies from the training folds, under what the teacher says."""
    lessons = teacher.lessons(split(table)[0])
    return TaughtBatches(lessons, teacher, PUPIL.sampler, batch_size=32, seed=seed, epochs=2)
