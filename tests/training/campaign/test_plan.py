"""The plan: every run once, under a name of its own; patterns choose among them."""

from collections import Counter

import pytest

from training.campaign.injection import LEVELS
from training.campaign.plan import INJECTION_SEEDS, SUITES, plan, select
from training.zoo import CPU, REPRESENTATIVES, SEEDS


def test_the_plan_counts_what_was_promised():
    runs = plan(CPU)
    assert Counter(run.suite for run in runs) == {
        "baseline": len(SEEDS),
        "main": 73,
        "seeds": 16,
        "injection": (1 + len(REPRESENTATIVES)) * len(LEVELS) * len(INJECTION_SEEDS),
        "forms": 15,
    }
    assert len({run.name for run in runs}) == len(runs)
    seeds = {name: set() for name in REPRESENTATIVES.values()}
    for run in runs:
        if run.recipe.name in seeds and not run.level:
            seeds[run.recipe.name].add(run.seed)
    assert all(found == set(SEEDS) for found in seeds.values())


def test_runs_are_chosen_by_suite_and_pattern():
    runs = plan(CPU)
    assert [run.name for run in select(runs, ["baseline"])] == [f"mse/{seed}" for seed in SEEDS]
    names = {run.name for run in select(runs, SUITES, ["mse", "rank_stability/4*"])}
    assert "mse/42-noise0.5" in names
    assert "rank_stability/42" in names
    assert "rank_stability/42-noise2" in names
    assert "rank_stability/123" not in names
    assert "rank_stability.k2/42" not in names
    with pytest.raises(ValueError, match="no run of main matches resnet"):
        select(runs, ["main"], ["resnet"])
