"""Samplers: what they do to the composition of batches, against slow references."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.samplers import HardNegative, Labels, QuantileStratified, Shuffled, composition
from training.samplers.base import systematic
from training.samplers.hard_pairs import gap_and_noise
from training.samplers.quantile import MAX_REPEATS, fill

BATCH = 100
SAMPLERS = [
    Shuffled(),
    QuantileStratified(),
    QuantileStratified(noise_weight=0.5),
    QuantileStratified(5, curriculum=True),
    QuantileStratified(1, 1),
    HardNegative(),
    HardNegative(0.5),
]


def toy_labels(n: int = 3050, seed: int = 0) -> Labels:
    """Skewed activities in three assays of which a row has one or two; strong rows are quiet."""
    rng = np.random.default_rng(seed)
    level = rng.gamma(2, 1 / 2**0.5, n) - 2**0.5
    activity = level[:, None] + rng.normal(0, 0.2, (n, 3))
    noise = np.exp(-0.4 * level[:, None] + rng.normal(0, 0.8, (n, 3)))
    missing = rng.random((n, 3)) < 0.5
    missing[np.arange(n), rng.integers(0, 3, n)] = True
    missing[np.arange(n), rng.integers(0, 3, n)] = False
    activity[missing] = noise[missing] = np.nan
    noise[rng.random((n, 3)) < 0.05] = np.nan
    return Labels(activity.astype(np.float32), noise.astype(np.float32))


LABELS = toy_labels()


def epoch(sampler, progress=0.0, seed=1, labels=LABELS):
    rng = np.random.default_rng(seed)
    return sampler.epoch(labels, batch_size=BATCH, progress=progress, rng=rng)


def composed(sampler, progress=0.0):
    return composition(LABELS, epoch(sampler, progress), BATCH)


# --- what all share


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
@pytest.mark.parametrize("n", [3, 299, 3050])
def test_an_epoch_is_n_rows_and_a_function_of_its_seed(sampler, n):
    labels = toy_labels(n)
    rows = epoch(sampler, labels=labels)
    assert rows.shape == (n,)
    assert rows.dtype == np.int64
    assert 0 <= rows.min() <= rows.max() < n
    assert (epoch(sampler, labels=labels) == rows).all()
    if n > 3:
        assert (epoch(sampler, seed=2, labels=labels) != rows).any()


def test_rows_are_summed_up_over_the_assays_that_know_them():
    labels = Labels(
        np.array([[1, np.nan, 3], [np.nan] * 3], np.float32),
        np.array([[0.5, np.nan, np.nan], [np.nan] * 3], np.float32),
    )
    assert labels.row_activity.tolist() == [2, 0]
    assert labels.row_noise.tolist() == [0.5, 1]  # unknown counts as typical


@given(
    st.lists(st.floats(0.01, 10), min_size=1, max_size=20),
    st.integers(0, 50),
    st.integers(0, 2**31),
)
def test_systematic_draws_are_the_expectation_rounded_down_or_up(weights, count, seed):
    expected = count * np.array(weights) / sum(weights)
    drawn = systematic(np.array(weights), count, np.random.default_rng(seed))
    counts = np.bincount(drawn, minlength=len(weights))
    assert len(drawn) == count
    assert (counts >= np.floor(expected - 1e-9)).all()
    assert (counts <= np.ceil(expected + 1e-9)).all()


def test_systematic_draws_hit_the_expectation_on_average_and_strata_in_every_cut():
    rng = np.random.default_rng(0)
    weights, strata = rng.random(40), np.arange(40) % 4
    total = np.zeros(40)
    for _ in range(2000):
        drawn = systematic(weights, 16, rng, strata)
        total += np.bincount(drawn, minlength=40)
        for part in range(4):  # each of four even cuts holds each stratum in proportion
            counts = np.bincount(strata[drawn[part::4]], minlength=4)
            share = np.bincount(strata, weights) / weights.sum() * 4
            assert (np.abs(counts - share) < 1 + 1e-9).all()
    np.testing.assert_allclose(total / 2000, 16 * weights / weights.sum(), atol=0.05)


def test_which_rows_are_drawn_together_is_random():
    # In a fixed order a draw of every other row would be one of two sets.
    halves = {
        frozenset(systematic(np.ones(20), 10, np.random.default_rng(seed)).tolist())
        for seed in range(20)
    }
    assert len(halves) > 15


# --- quantiles, noise strata, noise weights


def slow_weights(sampler: QuantileStratified, n_bins: int) -> np.ndarray:
    """Expected draws by loops, for labels that meet no cap."""
    a, q = LABELS.row_activity, 1 / (1 + LABELS.row_noise)
    w, s = sampler.noise_weight, sampler.noise_strata
    edges = [np.quantile(a, (1 - np.cos(np.pi * k / n_bins)) / 2) for k in range(1, n_bins)]
    levels = [np.quantile(LABELS.row_noise, k / s) for k in range(1, s)]
    cells = [
        (sum(x > e for e in edges), sum(r > e for e in levels))
        for x, r in zip(a, LABELS.row_noise, strict=True)
    ]
    weights = np.zeros(len(a))
    for b, t in itertools.product(range(n_bins), range(s)):
        members = [[i for i, c in enumerate(cells) if c == (b, other)] for other in range(s)]
        means = [np.mean(q[m]) for m in members]
        share = (1 - w) / s + w * means[t] / sum(means)
        for i in members[t]:
            within = (1 - w) / len(members[t]) + w * q[i] / sum(q[members[t]])
            weights[i] = len(a) / n_bins * share * within
    return weights


@pytest.mark.parametrize("noise_weight", [0.0, 0.5, 1.0])
def test_row_weights_follow_the_formula(noise_weight):
    sampler = QuantileStratified(4, noise_strata=2, noise_weight=noise_weight)
    weights, _ = sampler.row_weights(LABELS, 0.0)
    np.testing.assert_allclose(weights, slow_weights(sampler, 4), rtol=1e-9)


@pytest.mark.parametrize("sampler", [QuantileStratified(), QuantileStratified(5, noise_weight=0.5)])
def test_every_batch_holds_its_share_of_every_cell(sampler):
    weights, cell = sampler.row_weights(LABELS, 0.0)
    share = np.bincount(cell, weights) / weights.sum() * BATCH
    rows = epoch(sampler)[: len(LABELS) // BATCH * BATCH]
    for batch in rows.reshape(-1, BATCH):
        counts = np.bincount(cell[batch], minlength=len(share))
        assert (np.abs(counts - share) < 1 + 1e-9).all()
    # Shuffled batches stray further than that.
    shuffled = epoch(Shuffled())[: len(rows)].reshape(-1, BATCH)
    strays = [np.abs(np.bincount(cell[b], minlength=len(share)) - share).max() for b in shuffled]
    assert min(strays) > 1


def test_tails_come_twice_as_often_as_shuffled_and_alike_in_every_batch():
    # Bins of equal mass, as published, would leave both shares at 0.1.
    shuffled, stratified = composed(Shuffled()), composed(QuantileStratified())
    assert shuffled.top == pytest.approx(0.1, abs=0.005)
    assert stratified.top == pytest.approx(0.2, abs=0.02)
    assert stratified.bottom == pytest.approx(0.2, abs=0.02)
    assert stratified.top_spread < 0.5 * shuffled.top_spread


def test_noise_strata_loosen_the_bond_of_noise_with_activity():
    without, with_strata = (composed(QuantileStratified(noise_strata=s)) for s in (1, 3))
    assert without.bond < -0.4
    assert with_strata.bond > without.bond + 0.15


def test_noise_weights_draw_fewer_noisy_rows_the_heavier_they_are():
    noisy = [composed(QuantileStratified(noise_weight=w)).noisy for w in (0.0, 0.5, 1.0)]
    assert noisy[0] > noisy[1] + 0.02 > noisy[2] + 0.04
    # Without bins or strata it is plain noise-weighted sampling.
    alone = composed(QuantileStratified(1, 1, noise_weight=1.0))
    assert alone.noisy < 0.13


@pytest.mark.parametrize("progress", [0.0, 0.12, 0.125, 0.25, 0.3749, 0.375, 0.99])
def test_curriculum_stages_are_the_studys(progress):
    epoch_of_80 = progress * 80
    expected = 3 if epoch_of_80 < 10 else 5 if epoch_of_80 < 20 else 10 if epoch_of_80 < 30 else 20
    assert QuantileStratified(5, curriculum=True).n_bins(progress) == expected
    assert QuantileStratified(5).n_bins(progress) == 5


def test_curriculum_stages_draw_ever_more_of_the_extremes():
    sampler = QuantileStratified(5, noise_strata=1, curriculum=True)
    extreme = LABELS.row_activity > np.quantile(LABELS.row_activity, 0.995)
    shares = [extreme[epoch(sampler, progress)].mean() for progress in (0, 0.2, 0.3, 0.5)]
    assert shares[0] == pytest.approx(0.005 * 4 / 3, abs=0.001)
    assert all(later > 1.4 * earlier for earlier, later in itertools.pairwise(shares))
    fixed = QuantileStratified(5)
    assert (epoch(fixed, 0.0) == epoch(fixed, 0.9)).all()


def test_no_row_is_expected_more_often_than_the_cap():
    weights, _ = QuantileStratified(40).row_weights(LABELS, 0.0)
    assert weights.max() == pytest.approx(MAX_REPEATS)
    assert weights.sum() == pytest.approx(len(LABELS))
    assert weights.min() > 0


def test_constant_labels_are_an_ordinary_epoch():
    ones = np.ones((300, 1), np.float32)
    rows = epoch(QuantileStratified(noise_weight=0.5), labels=Labels(ones, ones))
    assert sorted(rows) == list(range(300))


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 10)), min_size=1, max_size=8), st.data())
def test_filling_divides_all_within_the_caps(pairs, data):
    shares, caps = np.array(pairs).T
    room = caps[shares > 0].sum()
    total = data.draw(st.floats(0, float(room)))
    amounts = fill(shares, caps, total)
    assert amounts.sum() == pytest.approx(total, abs=1e-6)
    assert (amounts <= caps + 1e-9).all()
    open_ = amounts < caps - 1e-6
    if (ratio := amounts[open_ & (shares > 1e-3)] / shares[open_ & (shares > 1e-3)]).size:
        assert np.ptp(ratio) < 1e-3 * (1 + ratio.max())  # in proportion where no cap binds


# --- hard pairs


def test_gap_and_noise_of_pairs_against_loops():
    pairs = np.random.default_rng(3).integers(0, 40, (200, 2))
    gap, noise = gap_and_noise(LABELS, pairs)
    for k, (i, j) in enumerate(pairs):
        shared = [
            c for c in range(3) if not np.isnan(LABELS.activity[i, c] + LABELS.activity[j, c])
        ]
        if not shared:
            assert np.isnan(gap[k])
            continue
        gaps = [abs(float(LABELS.activity[i, c]) - float(LABELS.activity[j, c])) for c in shared]
        of_both = np.nan_to_num(LABELS.noise[[i, j]][:, shared], nan=1)
        assert gap[k] == pytest.approx(np.mean(gaps), abs=1e-6)
        assert noise[k] == pytest.approx(of_both.mean(), rel=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_pairs_share_an_assay_and_are_drawn_by_hardness(temperature):
    sampler = HardNegative(temperature)
    pairs, probability = sampler.mine(LABELS, np.random.default_rng(0))
    gap, noise = gap_and_noise(LABELS, pairs)
    assert (gap > 0).all()  # NaN, no shared assay, would fail as well
    expected = np.exp(-(gap + noise) / temperature)
    np.testing.assert_allclose(probability, expected / expected.sum(), rtol=1e-6)
    assert set(pairs[:, 0]) == set(range(len(LABELS)))
    # Partners are looked for where they are: all but a row's meetings with itself are pairs.
    assert len(pairs) > 0.998 * sampler.candidates * len(LABELS)


def test_neighbours_in_the_batch_are_close_and_quiet():
    shuffled, hard = composed(Shuffled()), composed(HardNegative())
    assert hard.pair_gap < 0.7 * shuffled.pair_gap
    assert hard.pair_noise < 0.8 * shuffled.pair_noise
    rows = epoch(HardNegative()).reshape(-1, 2)
    gap, _ = gap_and_noise(LABELS, rows)
    assert (gap > 0).all()
    # It is the pairing that makes them hard: the same rows in another order are not.
    mixed = np.random.default_rng(0).permutation(rows.ravel())
    assert hard.pair_gap < 0.75 * composition(LABELS, mixed, BATCH).pair_gap


def test_temperature_is_honoured():
    # Published at T = 1 whatever was asked for: three of its runs were one.
    entropies, gaps, noises = [], [], []
    for temperature in (0.1, 0.5, 1.0, 2.0, 1e6):
        sampler = HardNegative(temperature)
        _, p = sampler.mine(LABELS, np.random.default_rng(0))
        entropies.append(-(p * np.log(p, where=p > 0, out=np.zeros_like(p))).sum())
        drawn = composed(sampler)
        gaps.append(drawn.pair_gap)
        noises.append(drawn.pair_noise)
    for series in (entropies, gaps, noises):
        assert all(hot > 1.01 * cold for cold, hot in itertools.pairwise(series)), series
    assert entropies[-1] == pytest.approx(np.log(len(p)), rel=1e-6)


def test_pairs_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="even batch size"):
        HardNegative().epoch(LABELS, batch_size=7, progress=0, rng=np.random.default_rng(0))
    alike = Labels(np.ones((4, 1), np.float32), np.ones((4, 1), np.float32))
    with pytest.raises(ValueError, match="no pairs"):
        epoch(HardNegative(), labels=alike)


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        (HardNegative, {"temperature": 0.0}),
        (QuantileStratified, {"n_quantiles": 0}),
        (QuantileStratified, {"noise_strata": 0}),
        (QuantileStratified, {"noise_weight": 1.1}),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(sampler, options):
    with pytest.raises(ValueError, match="not"):
        sampler(**options)


# --- composition


def test_composition_counts_what_it_says():
    activity = np.arange(20, dtype=np.float32)[:, None]
    labels = Labels(activity, 20 - activity)
    rows = np.array([19, 18, 0, 0, 5, 9, 5, 9, 7])  # the last does not fill a batch of 4
    found = composition(labels, rows, 4)
    assert (found.top, found.bottom) == (2 / 8, 2 / 8)
    assert found.noisy == 2 / 8
    assert found.distinct == 5 / 20
    assert found.top_spread == 0.25  # 1/2 and 0
    assert found.bond == pytest.approx(-1)
    assert found.pair_gap == np.median([1, 0, 4, 4])
    assert found.pair_noise == np.median([1.5, 20, 13, 13])
