"""Novelty fitted on a source with memory: shuffles are told apart, ordinary inserts are not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from service.composition import UNIT, K, reversed_kmers, unpack
from service.novelty import ASPECTS, Aspect, Novelty, NoveltyScores
from service.registry import Registry
from tests.toy_models import SumModel, write_model
from tests.training.structured import structured_table
from tests.training.toy_cagi5 import write_cagi5
from training.datasets.table import table_digest
from training.evaluation import novelty_tables
from training.evaluation.novelty import (
    codes_of,
    fit_familiar,
    library_inserts,
    log_probabilities,
    tail_of,
)
from training.evaluation.novelty_accuracy import ACCURACY, accuracy_by_novelty
from training.evaluation.novelty_tables import (
    BY_LENGTH,
    CAGI5,
    FALSE_FLAGS,
    FLAGGED,
    TOLD_APART,
    VARIANTS,
    Scored,
    auroc,
    evaluate_novelty,
)
from training.evaluation.strange_sequences import (
    random_bases,
    shuffled,
    shuffled_pairs,
    with_repeat,
    with_run,
    with_variant,
)


@pytest.fixture(scope="module")
def table():
    return structured_table()


@pytest.fixture(scope="module")
def novelty(table):
    return Novelty(fit_familiar(table))


@pytest.fixture(scope="module")
def report(novelty, table):
    return evaluate_novelty(novelty, table=table, draws=40)


def test_p_values_of_inserts_of_the_test_fold_are_uniform(novelty, table):
    inserts = library_inserts(table)
    p = novelty.score(codes_of(inserts[inserts["fold"] == 0])).p
    for level in (0.1, 0.3, 0.5, 0.7):
        assert np.mean(p <= level) == pytest.approx(level, abs=0.12)


def test_shuffles_of_a_structured_source_score_higher(report):
    found = report.table(TOLD_APART)
    area = {row[0]: row[3].value for row in found.rows}
    assert area["bases shuffled"] > 0.95
    assert area["bases shuffled, pairs kept"] > 0.9, "the source remembers three bases"
    assert area["40 bp of tandem repeat, unit 2 to 6"] > 0.9
    assert area["200 A in a row"] > 0.99
    assert area["mattioli2018: SCRAMBLED"] > 0.8
    assert found.cell("bases shuffled, pairs kept", "n") == 200
    for row in found.rows:
        assert row[3].low <= row[3].value <= row[3].high


def test_few_ordinary_inserts_are_flagged_and_designed_ones_counted_apart(report):
    found = report.table(FALSE_FLAGS)
    assert found.cell(VARIANTS, "genomic flagged").value < 0.05
    assert found.cell("joint_K562", "genomic flagged").value < 0.05
    assert found.cell("joint_K562", "n") == 204
    assert found.cell("joint_K562", "n genomic") == 200
    assert found.cell("mattioli2018_pool1_K562", "genomic flagged").value < 0.15
    everything = found.cell("mattioli2018_pool1_K562", FLAGGED).value
    assert everything > 0.3, "its scrambled tiles are flagged"
    assert found.cell("mattioli2018_pool1_K562", "n") == 40


def test_inserts_cut_to_the_lengths_of_other_assays_are_counted(report, table):
    found = report.table(BY_LENGTH)
    lengths = sorted(table["sequence"].str.len().unique(), reverse=True)
    assert [row[0] for row in found.rows] == [f"{length} bases" for length in lengths]
    assert len(lengths) > 1
    assert {row[1] for row in found.rows} == {200}, "the same inserts, whole and cut"
    for _, _, share, _ in found.rows:
        assert share.low <= share.value <= share.high < 0.2


def test_the_fit_sees_training_folds_alone(table, novelty):
    other = table.copy()
    held_out = other["fold"].isin([0, 1])
    other.loc[held_out, "sequence"] = "A" * 200
    assert fit_familiar(other).kmers == novelty.familiar.kmers
    assert fit_familiar(other).combined == novelty.familiar.combined
    training = library_inserts(table[~held_out])
    assert novelty.familiar.n == len(training) == 1600
    assert novelty.familiar.data_sha256 == table_digest(table)


def test_designed_inserts_teach_nothing(table, novelty):
    is_designed = table["name"].str.contains("SLEA|_shuffled_")
    familiar = fit_familiar(table[~is_designed])
    assert familiar.kmers == novelty.familiar.kmers
    assert familiar.tails[Aspect.RARE_KMERS] == novelty.familiar.tails[Aspect.RARE_KMERS]


def test_the_tail_of_unknown_bases_is_that_of_all_assays(novelty):
    tail = novelty.familiar.tails[Aspect.UNKNOWN_BASES]
    n_tiles, n = 320, 1600 + 32 + 320
    assert tail.share(np.array([0.0]))[0] == 1
    assert tail.share(np.array([0.43]))[0] == pytest.approx(n_tiles / n, rel=1e-4)
    assert tail.share(np.array([0.44]))[0] == pytest.approx(1 / n, rel=1e-4)


def test_one_training_fold_is_too_few(table):
    with pytest.raises(ValueError, match="two or more training folds are needed, got 1"):
        fit_familiar(table[table["fold"].isin([0, 1, 2])])


def test_the_entry_is_small_and_comes_back_from_json(novelty, table):
    text = novelty.familiar.model_dump_json()
    assert len(text) < 60_000
    again = Novelty.from_card(json.loads(text), 200)
    codes = codes_of(library_inserts(table)[:100])
    np.testing.assert_array_equal(again.score(codes).p, novelty.score(codes).p)


# --- parts of the fit -----------------------------------------------------------------------------


def test_log_probabilities_are_those_of_the_source_and_alike_on_both_strands():
    # A source of independent bases: P depends on the last base alone.
    p = np.array([0.3, 0.2, 0.2, 0.3])
    counts = np.rint(2e6 * np.prod(np.meshgrid(*[p] * K, indexing="ij"), axis=0)).astype(np.int64)
    log_p, pairs = log_probabilities(counts.ravel())
    other = reversed_kmers(np.arange(4**K), K)
    np.testing.assert_array_equal(log_p, log_p[other])
    kmers = np.arange(4**K)
    expected = UNIT * (np.log(p[kmers % 4]) + np.log(p[other % 4])) / 2
    np.testing.assert_allclose(log_p, expected, atol=60)
    np.testing.assert_allclose(pairs.reshape(4, 4), UNIT * np.tile(np.log(p), (4, 1)), atol=5)


def test_a_context_never_seen_falls_back_on_shorter_ones():
    counts = np.zeros(4**K, np.int64)
    counts[0] = 1000  # AAAAAAA, and so TTTTTTT on the other strand
    log_p, _ = log_probabilities(counts)
    unseen = int("1111110", 4), int("1111111", 4)  # CCCCCCA, CCCCCCC: A or T, by all that is known
    assert log_p[unseen[0]] > log_p[unseen[1]]


def test_a_tail_is_exact_at_its_places_and_ends_at_one_over_n():
    values = np.random.default_rng(0).integers(0, 30, 500).astype(float)
    tail = tail_of(values)
    for place, share in zip(tail.values[:-1], tail.shares[:-1], strict=True):
        assert share == pytest.approx(np.mean(values >= place), rel=1e-4)
    assert tail.shares[0] == 1
    assert tail.values[-2] == values.max() < tail.values[-1] < values.max() + 1e-3
    assert tail.shares[-1] == pytest.approx(1 / 500)


def test_what_is_learnt_is_packed_whole(novelty):
    assert (unpack(novelty.familiar.kmers) < 0).all()


# --- sequences that are made ----------------------------------------------------------------------

rng = np.random.default_rng(3)
CODES = rng.choice(4, (60, 50), p=[0.6, 0.1, 0.1, 0.2]).astype(np.uint8)


def pair_counts(row):
    return np.bincount(row[:-1].astype(int) * 4 + row[1:], minlength=16).tolist()


def test_shuffles_keep_bases_or_pairs_and_change_the_order():
    for made, count in ((shuffled(CODES, rng), np.bincount), (shuffled_pairs(CODES, rng), None)):
        for before, after in zip(CODES, made, strict=True):
            assert (
                np.bincount(before, minlength=4).tolist()
                == np.bincount(after, minlength=4).tolist()
            )
            if count is None:
                assert pair_counts(before) == pair_counts(after)
        assert (made != CODES).any(axis=1).mean() > 0.9


def test_every_shuffle_that_keeps_pairs_is_as_likely():
    # ACAGATA: the orders of the loops AC, AG and AT are six, each kept by one walk.
    row = np.array([[0, 1, 0, 2, 0, 3, 0]], np.uint8)
    found = [tuple(shuffled_pairs(row, rng)[0, 1::2].tolist()) for _ in range(1200)]
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert counts.min() > 140


def test_random_bases_have_their_gc():
    made = random_bases(400, 50, 0.8, rng)
    assert np.isin(made, (1, 2)).mean() == pytest.approx(0.8, abs=0.02)


def test_repeats_and_runs_are_written_over_one_place():
    repeats, runs = with_repeat(CODES, 30, (2, 2), rng), with_run(CODES, 20, 0, rng)
    assert (repeats.shape, runs.shape) == (CODES.shape, CODES.shape)
    for row in repeats:
        assert b"\1" * 28 in (row[2:] == row[:-2]).tobytes()
    assert all(bytes(20) in row.tobytes() for row in runs)


def test_a_variant_changes_the_middle_base_alone():
    pairs = with_variant(CODES, rng)
    assert pairs.shape == (60, 1, 2, 50)
    differs = pairs[:, 0, 0] != pairs[:, 0, 1]
    assert differs.sum(axis=1).tolist() == [1] * 60
    assert differs[:, 25].all()
    assert pairs.max() < 4


# --- tables ---------------------------------------------------------------------------------------


def scored(p):
    return Scored(NoveltyScores(np.array(p), np.zeros(len(p), int)), np.arange(len(p)))


def test_the_area_counts_pairs_and_half_of_ties():
    strange, ordinary = scored([0.001, 0.1]), scored([0.1, 0.5, 0.9])
    found = auroc(strange, ordinary, 60, np.random.default_rng(0))
    assert found.value == pytest.approx((3 + 2.5) / 6)
    assert found.low <= found.value <= found.high <= 1
    same = auroc(ordinary, ordinary, 60, np.random.default_rng(0))
    assert same.value == pytest.approx(0.5)


def test_the_reason_is_that_of_most_of_the_flagged():
    scores = NoveltyScores(np.array([0.5, 0.001, 0.002, 0.003]), np.array([0, 1, 2, 2]))
    assert Scored(scores, np.arange(4)).reason == ASPECTS[2].value
    assert scored([0.5, 0.6]).reason is None


def test_windows_around_the_elements_of_cagi5_are_scored_without_a_label(
    novelty, table, tmp_path, monkeypatch
):
    # Slices of 100 bases hold no window of 200: widen them; and labels that are no numbers.
    folder = write_cagi5(tmp_path)
    fasta = folder / "cagi5" / "reference_grch37.fa"
    records = [
        line.replace("1001-1100", "901-1200") if line[0] == ">" else "C" * 100 + line + "A" * 100
        for line in fasta.read_text().split()
    ]
    fasta.write_text("\n".join(records) + "\n")
    for split in ("challenge", "release"):
        path = folder / "cagi5" / f"{split}.tsv"
        header, *lines = path.read_text().splitlines()
        blank = ["\t".join([*line.split("\t")[:5], "no", "no"]) for line in lines]
        path.write_text("\n".join([header, *blank]) + "\n")
    monkeypatch.setattr(novelty_tables, "_comparisons", lambda *_: iter(()))
    found = evaluate_novelty(novelty, table=table, data_dir=folder, draws=20).table(CAGI5)
    assert len(found.rows) == 14, "the two TERT sets are one locus"
    assert {row[1] for row in found.rows} == {20}
    assert all(0 <= row[2] <= 1 for row in found.rows)


def test_accuracy_is_given_for_ordinary_and_novel_inserts_apart(novelty, table, tmp_path):
    flat = SumModel(200, base_weights=(0, 1, 1, 0, 0), position_weights=tuple(np.ones(200)))
    write_model(tmp_path, flat)
    model = Registry(tmp_path).load("sum", threads=1)
    found = accuracy_by_novelty(model, novelty, table=table, draws=20).table(ACCURACY)
    assert [row[0] for row in found.rows] == [
        "joint_K562",
        "joint_HepG2",
        "mattioli2018_pool1_K562",
    ]
    ordinary = found.cell("joint_K562", "spearman, ordinary")
    assert ordinary.value > 0.6
    assert found.cell("joint_K562", "n ordinary") + found.cell("joint_K562", "n novel") == 204
    assert found.cell("joint_K562", "spearman, novel") is None, "too few"
