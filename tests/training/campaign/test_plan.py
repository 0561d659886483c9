"""The plan: every run once, under a name of its own; patterns choose among them."""

from collections import Counter

import pytest

from training.campaign.injection import LEVELS
from training.campaign.plan import INJECTION_SEEDS, SUITES, plan, select
from training.zoo import CPU, INJECTED_FORMS, REPRESENTATIVES, SEEDS, forms


def test_the_plan_counts_what_was_promised():
    runs = plan(CPU)
    assert Counter(run.suite for run in runs) == {
        "baseline": len(SEEDS),
        "main": 73,
        "seeds": 16,
        "injection": (1 + len(REPRESENTATIVES) + 1) * len(LEVELS) * len(INJECTION_SEEDS),
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


def test_the_log_space_form_meets_injected_noise_last():
    # Supervised linearly, the representative suffers from its own variance term at level 2.
    last = plan(CPU)[-len(LEVELS) * len(INJECTION_SEEDS) :]
    assert INJECTED_FORMS == ("dh7.log",)
    assert {run.recipe for run in last} == {forms(CPU)["dh7.log"]}
    assert {(run.seed, run.level) for run in last} == {
        (seed, level) for seed in INJECTION_SEEDS for level in LEVELS
    }
    assert {run.suite for run in last} == {"injection"}
