"""A recipe: architecture x loss x sampler x optimisation, typed and fingerprinted.

`recipe + seed -> training -> member`. Components are frozen dataclasses whose fields are their
hyper-parameters and whose `build` makes the torch object, so a mistyped setting is a type error
and a wrong pairing is refused when the module is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from training.architectures.network import Network
from training.augment import Augment
from training.distil.loss import Distillation
from training.distil.mutants import Mutants
from training.losses.base import Loss
from training.losses.regression import MaskedMSE
from training.samplers import Sampler, Shuffled


class RecipeError(ValueError):
    """A recipe that cannot be trained, or that repeats another."""


@dataclass(frozen=True)
class Cycle:
    """One warm start: the learning rate rises, then falls to nothing along a cosine.

    Attributes:
      epochs: passes over the training folds.
      lr: peak learning rate.
      warmup: share of the steps in which it rises.
    """

    epochs: int
    lr: float
    warmup: float = 0.3


@dataclass(frozen=True)
class Optim:
    """How weights move: AdamW, one-cycle learning rates, clipped gradients, averaged weights.

    Attributes:
      cycles: one after another (warm restarts: Loshchilov and Hutter, ICLR 2017). Each starts
        from the averaged weights of the one before, with a fresh optimiser; every arm is stopped
        at the end of the last.
      batch_size: sequences per step.
      weight_decay: AdamW's.
      clip: largest global gradient norm.
      ema: decay per step of the averaged weights, the ones that are kept.
      precision: of the passes through a network, in Lightning's words. `bf16-mixed` rounds what
        layers hand on, forwards and backwards, to 8 significant bits; weights, the optimiser's
        state and the terms of losses keep 24. It is slow on processors without such arithmetic.
    """

    cycles: tuple[Cycle, ...] = (Cycle(9, 2e-3), Cycle(2, 1e-3, warmup=0.1))
    batch_size: int = 256
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.995
    precision: Literal["32-true", "bf16-mixed"] = "32-true"

    @property
    def is_rounded(self) -> bool:
        """Whether passes are in bfloat16."""
        return self.precision == "bf16-mixed"

    @property
    def epochs(self) -> int:
        """Passes over the training folds in all cycles."""
        return sum(cycle.epochs for cycle in self.cycles)


@dataclass(frozen=True)
class Recipe:
    """One reproducible way to train; its seeds become the members of one ensemble.

    Attributes:
      name: in the zoo.
      architecture: trunk and heads.
      loss: what is minimised.
      sampler: which rows make an epoch.
      optim: how weights move.
      start: a recipe whose first cycle, with the same seed, is this one's too: its averaged
        weights are taken over, and heads that it lacks start fresh in the second cycle. So two
        recipes differ only after a common past.
      seeds: of the members.
      family: of strategies, in reports.
      aliases: what the published study calls its runs, one for each of the first seeds; an `=`
        joins two ids under which it ran the same thing.
      augment: how training sequences are changed, in the cycles that it names.

    Raises:
      RecipeError: the loss needs a variance head that the architecture lacks, or the other way
        round; the loss needs pairs that the sampler does not mine; only some of its parts are a
        student's, or a student is augmented or has a start; there is no seed, or one twice;
        there are more aliases than seeds; the augmentation names no cycle, or one that there is
        not; or the first cycle is not the one of `start`.
    """

    name: str
    architecture: Network
    loss: Loss = MaskedMSE()
    sampler: Sampler = Shuffled()
    optim: Optim = Optim()
    start: Recipe | None = None
    seeds: tuple[int, ...] = field(default=(42,), compare=False)
    family: str = field(default="", compare=False)
    aliases: tuple[str, ...] = field(default=(), compare=False)
    augment: Augment | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        loss, heads = type(self.loss).__name__, type(self.architecture.heads).__name__
        if self.loss.needs_variance and not self.architecture.predicts_variance:
            raise RecipeError(f"{self.name}: {loss} needs a variance head; {heads} has none")
        if self.architecture.predicts_variance and not self.loss.needs_variance:
            raise RecipeError(f"{self.name}: {loss} gives the variance head of {heads} no gradient")
        if self.loss.needs_pairs and not self.sampler.makes_pairs:
            sampler = type(self.sampler).__name__
            raise RecipeError(f"{self.name}: {loss} needs mined pairs; {sampler} makes none")
        of_student = (
            self.architecture.needs_teacher,
            isinstance(self.loss, Distillation),
            isinstance(self.sampler, Mutants),
        )
        if any(of_student) and not (all(of_student) and not self.augment and not self.start):
            raise RecipeError(
                f"{self.name}: a student takes StudentHeads, Distillation and Mutants together, "
                "and neither augmentation nor a start"
            )
        if len(self.aliases) > len(self.seeds):
            raise RecipeError(f"{self.name}: {self.aliases} are more aliases than seeds")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise RecipeError(f"{self.name}: seeds must be distinct and at least one: {self.seeds}")
        numbers = range(len(self.optim.cycles))
        if self.augment and not (self.augment.cycles and set(self.augment.cycles) <= set(numbers)):
            raise RecipeError(
                f"{self.name}: augmented in cycles {self.augment.cycles} of {list(numbers)}"
            )

        if self.start is not None and (
            self.start.start is not None
            or len(self.optim.cycles) == 1
            or self.start.optim != self.optim
            or self.start.sampler != self.sampler
            or self.start.augment != self.augment
            or self.start.architecture.trunk != self.architecture.trunk
        ):
            raise RecipeError(
                f"{self.name}: the first cycle cannot be that of {self.start.name}; trunk, sampler,"
                " optimisation and augmentation must be the same, and a second cycle must follow"
            )

    @property
    def spec(self) -> tuple[Network, Loss, Sampler, Optim]:
        """What decides the weights, apart from seed, data, `start` and `augment`."""
        return (self.architecture, self.loss, self.sampler, self.optim)

    @property
    def augments(self) -> tuple[Augment | None, ...]:
        """What each epoch of the run is augmented with."""
        on = self.augment.cycles if self.augment else ()
        return tuple(
            self.augment if number in on else None
            for number, cycle in enumerate(self.optim.cycles)
            for _ in range(cycle.epochs)
        )

    @property
    def fingerprint(self) -> str:
        """12 hex digits that change with any hyper-parameter, and only with one."""
        document = [
            type(self.architecture.trunk).__name__,
            type(self.architecture.heads).__name__,
            *([type(part).__name__, _settings(part)] for part in self.spec),
            self.start.fingerprint if self.start else None,
        ]
        # Only where there is one: recipes older than augmentation keep their fingerprints.
        if self.augment:
            document.append([type(self.augment).__name__, asdict(self.augment)])
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]


def _settings(part: Network | Loss | Sampler | Optim) -> dict[str, Any]:
    settings = asdict(part)
    # Only where passes are rounded: recipes older than that keep their fingerprints.
    if isinstance(part, Optim) and not part.is_rounded:
        del settings["precision"]
    return settings


def index(recipes: Iterable[Recipe]) -> dict[str, Recipe]:
    """Index recipes by name.

    Raises:
      RecipeError: two recipes share a name or a specification.
    """
    by_name: dict[str, Recipe] = {}
    by_fingerprint: dict[str, str] = {}
    for recipe in recipes:
        if recipe.name in by_name:
            raise RecipeError(f"two recipes are named {recipe.name}")
        if recipe.fingerprint in by_fingerprint:
            raise RecipeError(f"{recipe.name} repeats {by_fingerprint[recipe.fingerprint]}")
        by_name[recipe.name] = recipe
        by_fingerprint[recipe.fingerprint] = recipe.name
    return by_name
