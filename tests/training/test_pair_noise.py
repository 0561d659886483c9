"""Noise of pairs: a known correlation comes back, chance gives none, planted artefacts leave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.datasets.parsers import Measurements
from training.datasets.sources import DataError
from training.evaluation.pair_noise import (
    THIRDS,
    Moments,
    check_difference,
    noise_correlation,
)
from training.evaluation.pair_noise_data import (
    ALIGNED,
    CORRECTIONS,
    Pairs,
    pairs_of,
    read_pairs,
    without_shifts,
    without_trends,
)


def simulate(
    rho: float, *, loci: int = 1500, replicates: int = 4, variants: int = 1, seed: int = 0
) -> Pairs:
    """Pairs whose noise differs in size by locus, some replicates missing on purpose."""
    rng = np.random.default_rng(seed)
    locus = np.repeat(np.arange(loci), variants)
    sd = np.exp(rng.normal(0, 0.5, loci))
    level = rng.normal(0, 2, loci)
    shared = rng.normal(size=(loci, replicates))
    ref, alt = (
        np.sqrt(rho) * shared[rows] + np.sqrt(1 - rho) * rng.normal(size=(len(rows), replicates))
        for rows in (np.arange(loci), locus)
    )
    ref = (level[:, None] + sd[:, None] * ref)[locus]
    alt = level[locus, None] + 0.3 + sd[locus, None] * alt
    alt[rng.random(alt.shape) < 0.1] = np.nan
    return Pairs(
        assay="mattioli2018_pool1_K562",
        locus=locus.astype(str),
        ref_sequence=np.full(len(locus), "A"),
        alt_sequence=np.full(len(locus), "C"),
        ref=ref,
        alt=alt,
    )


def found(pairs: Pairs, **options):
    rng = np.random.default_rng(1)
    return noise_correlation(pairs, **{"draws": 200, "permutations": 50, "rng": rng, **options})


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("replicates", [3, 12])
def test_a_planted_correlation_is_recovered(rho, replicates):
    result = found(simulate(rho, replicates=replicates))
    assert result.rho.value == pytest.approx(rho, abs=0.05)
    assert result.rho.low - 0.02 < rho < result.rho.high + 0.02
    assert result.rho.high - result.rho.low < 0.2


def test_relabelled_replicates_and_unrelated_sequences_have_none():
    result = found(simulate(0.7, variants=2))
    for chance in (result.permuted, result.unrelated):
        assert abs(chance.value) < 0.05
        assert chance.low < 0 < chance.high
    assert result.permuted.high < result.rho.low


def test_the_sums_are_those_of_numpy_over_shared_replicates():
    pairs = simulate(0.5, loci=30, replicates=6)
    pairs.ref[0, :5] = np.nan
    moments = Moments.of(pairs.ref, pairs.alt)
    for row, (ref, alt) in enumerate(zip(pairs.ref, pairs.alt, strict=True)):
        shared = np.isfinite(ref) & np.isfinite(alt)
        freedom = max(shared.sum() - 1, 0)
        assert moments.freedom[row] == freedom
        wanted = np.cov(ref[shared], alt[shared]) * freedom if freedom else np.zeros((2, 2))
        sums = [[moments.ref[row], moments.cross[row]], [moments.cross[row], moments.alt[row]]]
        np.testing.assert_allclose(sums, wanted, atol=1e-12)


def test_two_replicates_are_enough_where_one_correlation_per_pair_would_be_a_sign():
    pairs = simulate(0.5, loci=20_000, replicates=2)
    moments = Moments.of(pairs.ref, pairs.alt)
    used = moments.freedom > 0
    single = moments.cross[used] / np.sqrt(moments.ref[used] * moments.alt[used])
    assert single.mean() < 0.4
    assert moments.rho(np.ones((1, 20_000)))[0] == pytest.approx(0.5, abs=0.05)


def test_variants_of_one_locus_do_not_count_as_new_evidence():
    pairs = simulate(0.3, loci=200)
    thrice = pairs.where(np.tile(np.arange(200), 3))
    once, repeated = found(pairs, draws=2000), found(thrice, draws=2000)
    assert repeated.rho.value == pytest.approx(once.rho.value)
    assert repeated.loci == once.loci <= 200
    width, wide = (result.rho.high - result.rho.low for result in (once, repeated))
    assert wide == pytest.approx(width, rel=0.15)


def test_pairs_without_two_shared_replicates_do_not_count():
    pairs = simulate(0.3, loci=100)
    before = found(pairs)
    empty = replace(pairs, locus=np.char.add("e", pairs.locus), ref=np.full((100, 4), np.nan))
    both = Pairs(
        assay=pairs.assay,
        **{
            name: np.concatenate([getattr(pairs, name), getattr(empty, name)])
            for name in ("locus", "ref_sequence", "alt_sequence", "ref", "alt")
        },
    )
    after = found(both)
    assert (after.pairs, after.loci, after.rho) == (before.pairs, before.loci, before.rho)


SHIFT = np.array([1.0, -2.0, 0.5, 0.5])


def planted(bend: bool) -> tuple[Pairs, np.ndarray]:
    """Uncorrelated pairs after each replicate was shifted, or bent, alike for all rows."""
    pairs = simulate(0.0)
    stacked = np.concatenate([pairs.ref, pairs.alt])
    level = np.nanmean(stacked, axis=1, keepdims=True)
    return pairs, stacked + SHIFT * (np.sin(level) if bend else 1.0)


def rho_of_rows(pairs: Pairs, values: np.ndarray) -> float:
    ref, alt = np.split(values, 2)
    return found(replace(pairs, ref=ref, alt=alt), permutations=2).rho.value


def test_a_replicate_wide_shift_is_mistaken_for_correlation_until_it_is_removed():
    pairs, values = planted(bend=False)
    assert rho_of_rows(pairs, values) > 0.3
    assert rho_of_rows(pairs, without_shifts(values)) == pytest.approx(0, abs=0.05)


def test_a_bent_scale_needs_the_trend_removed():
    pairs, values = planted(bend=True)
    assert rho_of_rows(pairs, without_shifts(values)) > 0.2
    assert rho_of_rows(pairs, without_trends(values)) == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("correct", [without_shifts, without_trends])
def test_corrections_leave_a_real_correlation(correct):
    pairs = simulate(0.5)
    values = correct(np.concatenate([pairs.ref, pairs.alt]))
    assert rho_of_rows(pairs, values) == pytest.approx(0.5, abs=0.06)


def test_shifts_are_found_where_rows_are_missing_for_a_reason():
    rng = np.random.default_rng(0)
    level = rng.normal(size=(300, 1))
    shift = np.array([0.0, 1.0, -1.0])
    values = level + shift
    values[level[:, 0] < 0, 1] = np.nan  # a replicate that saw only the active rows
    corrected = without_shifts(values)
    known = np.isfinite(corrected)
    np.testing.assert_allclose(corrected[known], np.broadcast_to(level, known.shape)[known])


@pytest.mark.parametrize("replicates", [3, 8])
def test_the_implied_variance_holds_with_rho_and_not_without(replicates):
    pairs = simulate(0.4, loci=4000, replicates=replicates)
    checks = check_difference(pairs, draws=200, rng=np.random.default_rng(0))
    everything = checks["all"]
    assert everything.independent.value == pytest.approx(0.6, abs=0.05)
    assert everything.independent.high < 0.8
    assert everything.correlated.value == pytest.approx(1, abs=0.05)
    assert everything.correlated.low < 1.02
    assert everything.correlated.high > 0.98
    assert everything.covariance.value == pytest.approx(0.4 * everything.sd**2, rel=0.15)
    assert sum(checks[name].pairs for name in THIRDS) == everything.pairs


def test_one_rho_does_not_look_larger_where_noise_is_small():
    checks = check_difference(simulate(0.3, loci=6000), draws=100, rng=np.random.default_rng(0))
    quiet, _, noisy = (checks[name] for name in THIRDS)
    assert quiet.sd < noisy.sd
    assert quiet.rho.value < noisy.rho.value


def test_a_shared_part_of_one_size_shows_as_a_rho_that_falls_with_noise():
    pairs = simulate(0.0, replicates=8)
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 0.5, (len(pairs.locus), 8))
    pairs = replace(pairs, ref=pairs.ref + shared, alt=pairs.alt + shared)
    checks = check_difference(pairs, draws=100, rng=rng)
    quiet, _, noisy = (checks[name] for name in THIRDS)
    assert quiet.rho.low > noisy.rho.high
    assert quiet.correlated.value < 0.9 < noisy.correlated.value


def library(names: list[str]) -> Measurements:
    count = len(names)
    return Measurements(
        name="mattioli2018_pool1_K562",
        sequences=[f"{'ACGT' * 3}{'A' * row}" for row in range(count)],
        names=names,
        values=np.arange(count * 4.0).reshape(count, 4),
        n_barcodes=np.full(count, np.nan),
    )


NAMES = [
    "WILDTYPE_SNP_INDIV__x__chr1:1..2,+__7.1.1.0",
    "WILDTYPE_BUT_HAS_SNP__x__chr1:1..2,+__7.1.0.0",
    "WILDTYPE_BUT_HAS_SNP__x__chr1:1..2,+__7.2.0.0",
    "WILDTYPE_SNP_PLUS_HAPLO__x__chr1:1..2,+__7.1.1.1",
    "WILDTYPE_SNP_INDIV__x__chr1:1..2,+__7.1.2.0",
    "WILDTYPE__x__chr1:1..2,+__7.1.0.0",
    "WILDTYPE_SNP_INDIV__x__chr1:1..2,+__7.2.1.0",
]


def test_variants_find_the_reference_of_their_own_locus():
    toy = library(NAMES)
    pairs = pairs_of(toy, toy.values)
    assert pairs.locus.tolist() == ["7.1", "7.1", "7.2"]
    assert pairs.ref[:, 0].tolist() == [4, 4, 8]
    assert pairs.alt[:, 0].tolist() == [0, 16, 24]
    assert pairs.alt_sequence.tolist() == [toy.sequences[row] for row in (0, 4, 6)]
    assert pairs.cell_type == "K562"


@pytest.mark.parametrize(
    "names",
    [NAMES[:1], NAMES[1:4], [*NAMES, NAMES[1]], ["RANDOM__1"]],
    ids=["no reference", "no variant", "two references", "other rows"],
)
def test_a_table_without_clear_pairs_is_refused(names):
    toy = library(names)
    with pytest.raises(DataError, match="not a table of pairs"):
        pairs_of(toy, toy.values)


@pytest.mark.data
def test_real_pairs_differ_in_one_base_and_share_their_noise_more_in_k562(data_dir):
    found_pairs = read_pairs(data_dir)
    shapes = {"K562": 4, "HepG2": 12, "HeLa": 4}
    values = {}
    for of_assay in found_pairs.values():
        assert [*of_assay] == [*CORRECTIONS]
        pairs = of_assay[ALIGNED]
        assert pairs.ref.shape == pairs.alt.shape == (677, shapes[pairs.cell_type])
        assert np.unique(pairs.locus).size == 482
        for ref, alt in zip(pairs.ref_sequence, pairs.alt_sequence, strict=True):
            assert sum(a != b for a, b in zip(ref, alt, strict=True)) == 1
        values[pairs.cell_type] = found(pairs)
    assert values["K562"].permuted.high < values["K562"].rho.value < 0.25
    assert 0 < values["HepG2"].rho.low < values["HepG2"].rho.high < values["K562"].rho.high
