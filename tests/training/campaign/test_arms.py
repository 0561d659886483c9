"""Arms against the baseline: a planted gain is found, none is not, and many looks are paid for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from training.campaign.arms import Arm, Pooled, compare, holm_adjusted, mean_of, step_down
from training.campaign.metrics import CAGI5, Measure
from training.evaluation.agreement import Sample
from training.evaluation.metrics import resample

SPEARMAN = Measure(CAGI5, "spearman", "HBB")
SEEDS = (42, 123, 456, 789, 1011)
POSITIONS, DRAWS = 60, 400
KINDS = {"seeds": (0.02, 0.0), "seeds on single variants": (0.0, 0.2), "both": (0.02, 0.1)}
"""How seeds act: SD of a run as a whole, and of each of its positions by itself."""


class World:
    """A statistic that is a mean over positions; runs share positions and differ by seed."""

    def __init__(self, seed: int, seed_sd: float = 0.02, position_sd: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.seed_sd, self.position_sd = seed_sd, position_sd
        self.counts = resample(np.arange(POSITIONS), DRAWS, self.rng)
        self.shared = self.rng.normal(0.4, 0.3, POSITIONS)

    def arm(self, name: str, gain: float = 0.0, seeds: int = 5) -> Arm:
        # How the arm's gain differs between positions is chance that all of its seeds share.
        own = self.rng.normal(gain, 0.05, POSITIONS)
        runs = {}
        for seed in SEEDS[:seeds]:
            luck = self.rng.normal(0, self.position_sd, POSITIONS)
            per_position = self.shared + own + luck + self.rng.normal(0, self.seed_sd)
            draws = self.counts @ per_position / POSITIONS
            runs[seed] = {SPEARMAN: Sample(float(per_position.mean()), draws)}
        return Arm.of(name, name, 0.0, runs)


def compared(arms, baseline, representatives=(), seed=0):
    return compare(
        arms,
        baseline,
        SPEARMAN,
        representatives=representatives or [arm.name for arm in arms],
        pooled=Pooled.of([baseline, *arms]),
        seed=seed,
    )


def test_a_planted_gain_is_found_and_its_size():
    world = World(0)
    base, arms = world.arm("mse"), [world.arm(f"null{i}") for i in range(6)]
    found = compared([*arms, world.arm("better", 0.12)], base)
    better = found["better"]
    low, high = better.difference.interval
    assert low > 0
    assert low < 0.12 < high
    assert better.difference.p_above > 0.99
    assert better.p_holm < 0.05
    assert better.p_max_t < 0.05
    others = [c for name, c in found.items() if name != "better"]
    assert min(c.p_max_t for c in others) > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_no_gain_is_found_where_there_is_none(kind):
    alone = corrected = holm = 0
    worlds = 200
    for seed in range(worlds):
        world = World(1000 + seed, *KINDS[kind])
        found = compared([world.arm(f"null{i}") for i in range(8)], world.arm("mse"), seed=seed)
        alone += sum(c.p_value < 0.05 for c in found.values())
        corrected += min(c.p_max_t for c in found.values()) < 0.05
        holm += min(c.p_holm for c in found.values()) < 0.05
    # Nominal 5 %: at most what chance allows, and without being so wide as to find nothing ever.
    most = stats.binom.ppf(0.995, worlds, 0.05)
    assert 0.01 <= alone / (8 * worlds) <= 0.07
    assert corrected <= most
    assert holm <= most


@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_covers_the_truth_and_is_not_needlessly_wide(kind):
    covered, errors, widths = 0, [], []
    worlds = 300
    for seed in range(worlds):
        world = World(5000 + seed, *KINDS[kind])
        found = compared([world.arm("a", 0.05)], world.arm("mse"))["a"].difference
        low, high = found.interval
        covered += low <= 0.05 <= high
        errors.append(found.value - 0.05)
        widths.append(high - low)
    assert covered >= stats.binom.ppf(0.005, worlds, 0.95)
    # Counting twice what seeds do to single variants would make it 1.6 times as wide and more.
    assert np.mean(widths) < 1.45 * 2 * 1.96 * np.std(errors)


def test_seeds_and_positions_both_widen_the_interval():
    def width(seed_sd, draws):
        world = World(3, seed_sd)
        base, arm = world.arm("mse"), world.arm("a")
        if not draws:
            held = {SPEARMAN: np.full(DRAWS, base.draws[SPEARMAN].mean())}
            base, arm = (replace(x, draws=held) for x in (base, arm))
        low, high = compared([arm], base)["a"].difference.interval
        return high - low

    both, seeds_only, positions_only = width(0.02, True), width(0.02, False), width(1e-9, True)
    assert both > 1.05 * max(seeds_only, positions_only)
    assert positions_only > 0


def test_an_arm_of_one_seed_is_exploratory_and_borrows_the_pooled_spread():
    world = World(4)
    base, few = world.arm("mse"), world.arm("few", seeds=1)
    pooled = Pooled.of([base, world.arm("a"), world.arm("b")])
    assert few.is_exploratory
    assert not base.is_exploratory
    spread = mean_of(few, SPEARMAN, pooled, seed=0).draws.std()
    assert spread > 0.8 * pooled.sd[SPEARMAN]
    assert pooled.freedom == 12
    expected = np.sqrt(
        np.mean([np.var(arm.values[SPEARMAN], ddof=1) for arm in (base,)])  # one arm, own SD
    )
    assert Pooled.of([base, few]).sd[SPEARMAN] == pytest.approx(expected)


def test_without_two_seeds_anywhere_nothing_is_said():
    world = World(4)
    with pytest.raises(ValueError, match="two finished seeds"):
        Pooled.of([world.arm("mse", seeds=1)])


def test_looking_at_more_arms_costs():
    world = World(9)
    base, arms = world.arm("mse"), [world.arm(f"null{i}", seeds=1) for i in range(30)]
    good = world.arm("good", 0.045)
    alone, among = compared([good], base)["good"], compared([good, *arms], base)["good"]
    assert among.p_value == pytest.approx(alone.p_value)
    assert among.p_max_t > alone.p_max_t
    assert alone.p_max_t == pytest.approx(alone.p_value)


def test_the_order_of_arms_does_not_matter():
    world = World(11)
    base, arms = world.arm("mse"), [world.arm(f"n{i}", 0.02 * i) for i in range(4)]
    forth, back = compared(arms, base), compared(arms[::-1], base)
    for name, found in forth.items():
        assert back[name].p_max_t == pytest.approx(found.p_max_t)
        assert back[name].difference.interval == pytest.approx(found.difference.interval)


def test_equal_predictions_are_no_evidence():
    world = World(12, seed_sd=0.0)
    base = world.arm("mse")
    twin = replace(base, name="twin")
    found = compared([twin], base)["twin"]
    assert found.difference.value == 0
    assert found.p_value == 1


def test_an_undefined_measure_leaves_the_arm_out():
    world = World(13)
    base, arm = world.arm("mse"), world.arm("a")
    broken = replace(
        arm,
        name="constant",
        values={SPEARMAN: np.full(5, np.nan)},
        draws={SPEARMAN: np.full(DRAWS, np.nan)},
    )
    pooled = Pooled.of([base, arm, broken])
    assert np.isfinite(pooled.sd[SPEARMAN])
    found = compared([arm, broken], base)
    assert [*found] == ["a"]


def test_holm_counts_the_representatives_only():
    world = World(14)
    base, arms = world.arm("mse"), [world.arm(f"n{i}", 0.03) for i in range(5)]
    found = compared(arms, base, representatives=["n0", "n1", "absent"])
    assert np.isnan([found[f"n{i}"].p_holm for i in (2, 3, 4)]).all()
    low, high = sorted([found["n0"], found["n1"]], key=lambda comparison: comparison.p_value)
    # Three were declared: the one that has not finished counts as the least striking.
    assert low.p_holm == pytest.approx(min(1, 3 * low.p_value))
    assert high.p_holm == pytest.approx(min(1, max(3 * low.p_value, 2 * high.p_value)))


def test_holm_is_the_textbook_example():
    # 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 no smaller than the one before it.
    adjusted = holm_adjusted(np.array([0.01, 0.04, 0.03, 0.005]))
    assert adjusted.tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_adjusted(np.array([0.6, 0.7])).tolist() == [1, 1]
    assert holm_adjusted(np.array([0.01, 0.001]), 7).tolist() == pytest.approx([0.06, 0.007])


def test_step_down_equals_its_definition():
    rng = np.random.default_rng(0)
    statistics, null = np.array([1.0, 3.0, 2.0]), np.abs(rng.normal(size=(3, 500)))
    plain, running = {}, 0.0
    for kept in ([1, 2, 0], [2, 0], [0]):
        largest = null[kept].max(axis=0)
        p = (1 + (largest >= statistics[kept[0]]).sum()) / 501
        running = max(running, p)
        plain[kept[0]] = running
    assert step_down(statistics, null).tolist() == pytest.approx([plain[i] for i in range(3)])


def test_step_down_never_falls_as_the_statistic_falls():
    # The second arm's draws are so narrow that alone it would be more certain than the first.
    statistics = np.array([3.0, 2.0])
    null = np.stack([np.linspace(0, 4, 200), np.linspace(0, 0.1, 200)])
    first, second = step_down(statistics, null)
    assert first == pytest.approx((1 + (null.max(axis=0) >= 3).sum()) / 201)
    assert second == first  # by itself 1 / 201
