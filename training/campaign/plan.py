"""Which runs the campaign consists of: recipes, seeds and levels of injected noise.

`zoo -> runs, in the order in which they are worth having`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from training.campaign.injection import LEVELS, Injection
from training.recipe import Recipe
from training.zoo import (
    BASELINE,
    INJECTED_FORMS,
    REPRESENTATIVES,
    SEEDS,
    Preset,
    campaign,
    forms,
)

Suite = Literal["baseline", "main", "seeds", "forms", "injection"]
SUITES: tuple[Suite, ...] = get_args(Suite)
INJECTION_SEEDS = (42, 123)


@dataclass(frozen=True)
class Run:
    """One network to train.

    Attributes:
      recipe: how.
      seed: of the run.
      suite: `baseline`, the MSE arm; `main`, the study's runs; `seeds`, further seeds of each
        family's representative; `forms`, strategies in forms that the 73 leave out; `injection`,
        training labels made noisier.
      level: of the injected noise; 0 for none.
    """

    recipe: Recipe
    seed: int
    suite: Suite
    level: float = 0.0

    @property
    def injection(self) -> Injection | None:
        """The noise to inject, if any."""
        return Injection(self.level) if self.level else None

    @property
    def name(self) -> str:
        """`RECIPE/SEED` or `RECIPE/SEED-noiseLEVEL`: the folder of the run and of its record."""
        ending = f"-{self.injection.variation.name}" if self.injection else ""
        return f"{self.recipe.name}/{self.seed}{ending}"


def plan(preset: Preset) -> list[Run]:
    """Every run of the campaign, by suite."""
    zoo, further = campaign(preset), forms(preset)
    baseline, arms = zoo[BASELINE], [zoo[name] for name in zoo if name != BASELINE]
    chosen = [zoo[name] for name in REPRESENTATIVES.values()]

    def injected(recipes: Sequence[Recipe]) -> list[Run]:
        return [
            Run(recipe, seed, "injection", level)
            for seed in INJECTION_SEEDS
            for level in LEVELS
            for recipe in recipes
        ]

    return [
        *(Run(baseline, seed, "baseline") for seed in baseline.seeds),
        *(Run(recipe, seed, "main") for recipe in arms for seed in recipe.seeds),
        *(
            Run(recipe, seed, "seeds")
            for recipe in chosen
            for seed in SEEDS
            if seed not in recipe.seeds
        ),
        *(Run(recipe, seed, "forms") for recipe in further.values() for seed in recipe.seeds),
        *injected([baseline, *chosen]),
        *injected([further[name] for name in INJECTED_FORMS]),
    ]


def select(runs: Iterable[Run], suites: Iterable[str], only: Iterable[str] = ()) -> list[Run]:
    """Runs of these suites whose name or recipe matches one of the patterns, if there are any.

    Raises:
      ValueError: nothing is left.
    """
    suites, only = list(suites), list(only)
    chosen = [
        run
        for run in runs
        if run.suite in suites
        and (not only or any(fnmatchcase(n, p) for n in (run.name, run.recipe.name) for p in only))
    ]
    if not chosen:
        raise ValueError(f"no run of {', '.join(suites)} matches {', '.join(only) or 'anything'}")
    return chosen
