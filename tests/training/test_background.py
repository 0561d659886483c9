"""The background of a model: variants sit in the middle, ranks of others come out uniform."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from service.background import Background
from service.cutting import cut_variants
from service.reference import Reference
from service.registry import Registry
from service.sequence import decode
from service.windows import Anchoring, make_passes
from tests.genomes import reversed_complement, write_fasta
from tests.toy_models import SumModel, write_model
from tests.training.structured import structured_table
from training.evaluation.background import (
    MIDDLES,
    SIZES,
    UNIFORMITY,
    draw_variants,
    make_background,
    quantiles_of,
    score_variants,
)
from training.evaluation.novelty import library_inserts

WEIGHTS = (0.0, 0.25, 0.75, 0.125, 0.0)
MODEL = SumModel(200, base_weights=WEIGHTS, members=2)


@pytest.fixture(scope="module")
def table():
    return structured_table(600)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, MODEL)
    return folder


@pytest.fixture(scope="module")
def made(table, models_dir):
    return make_background("sum", models_dir=models_dir, table=table, n=110, threads=1)


def inserts(n=400, seed=0):
    return [decode(row) for row in np.random.default_rng(seed).integers(0, 4, (n, 200), np.uint8)]


def test_variants_are_drawn_once_per_place_with_the_ratio_of_polymorphisms():
    sequences = inserts(2000)
    rows, variants = draw_variants(sequences, 4000, np.random.default_rng(1))
    assert len({(v.contig, v.pos) for v in variants}) == 4000
    assert {v.pos - 1 for v in variants} == set(MIDDLES)
    for row, variant in zip(rows.tolist(), variants, strict=True):
        assert variant.contig == f"insert{row}"
        assert sequences[row][variant.pos - 1] == variant.ref != variant.alt
    changes = Counter(v.ref + v.alt for v in variants)
    transitions = sum(changes[change] for change in ("AG", "GA", "CT", "TC"))
    assert transitions / (4000 - transitions) == pytest.approx(2.1, abs=0.25)
    assert len(changes) == 12, "either transversion is drawn"


def test_a_place_without_a_base_is_passed_over_and_too_few_are_an_error():
    sequences = inserts(5)
    sequences[0] = sequences[0][:100] + "N" + sequences[0][101:]
    rows, variants = draw_variants(sequences, 9, np.random.default_rng(0))
    assert Counter(rows.tolist()) == {0: 1, 1: 2, 2: 2, 3: 2, 4: 2}
    assert {v.ref for v in variants} <= set("ACGT")
    with pytest.raises(ValueError, match="9 middle bases of inserts are too few for 10 variants"):
        draw_variants(sequences, 10, np.random.default_rng(0))


def test_the_insert_is_the_window_of_its_variant_on_one_strand(tmp_path):
    sequences = inserts(3)
    _, variants = draw_variants(sequences, 6, np.random.default_rng(0))
    fasta = {f"insert{row}": bases for row, bases in enumerate(sequences)}
    with Reference.open(write_fasta(tmp_path / "inserts.fa", fasta, 200)) as reference:
        windows = cut_variants(reference, variants, 200, make_passes(2, (0,)), (Anchoring.LEFT,))
    for group in windows.groups:
        for row, index in zip(group.rows.tolist(), group.index, strict=True):
            insert = fasta[variants[row].contig]
            shown = [decode(windows.sequences[at]) for at in index[:, 0]]
            whole = {insert, reversed_complement(insert)}
            assert len(whole & set(shown)) == 1
            assert sorted(window.count("N") for window in shown) == [0, 1]


def test_effects_are_those_of_the_model_on_both_strands(models_dir):
    sequences = inserts(40)
    _, variants = draw_variants(sequences, 80, np.random.default_rng(0))
    effect = score_variants(Registry(models_dir).load("sum", threads=1), sequences, variants)
    weight = dict(zip("ACGT", WEIGHTS, strict=False))
    complement = dict(zip("ACGT", "TGCA", strict=True))
    for variant, found in zip(variants, effect, strict=True):
        plus = weight[variant.alt] - weight[variant.ref]
        minus = weight[complement[variant.alt]] - weight[complement[variant.ref]]
        # The middle position weighs 101, the members 1 and 2, the targets 1 and 2.
        expected = 101 * (plus + minus) / 2 * 1.5 * np.array([1, 2])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_a_variant_that_cannot_be_scored_is_an_error(models_dir):
    sequences = inserts(5)
    _, variants = draw_variants(sequences, 5, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"insert.*ref_mismatch|insert.*unknown_contig"):
        score_variants(
            Registry(models_dir).load("sum", threads=1), inserts(5, seed=9)[:3], variants
        )


def test_quantiles_of_effects_rank_other_effects_uniformly():
    rng = np.random.default_rng(0)
    drawn = rng.standard_t(3, (6000, 2)) * np.array([0.1, 2.0]) - 0.02
    kept = quantiles_of(drawn, ("a", "b"))
    half = Background(
        version=1, strands=2, shifts=(0,), variants="SNV", scheme="", n=6000, seed=0, data="",
        data_sha256="", **kept,
    )  # fmt: skip
    other = rng.standard_t(3, (6000, 2)) * np.array([0.1, 2.0]) - 0.02
    found = half.ranks(other, ("a", "b"))
    for level in (0.01, 0.1, 0.5, 0.9, 0.99):
        tolerance = 5 * np.sqrt(2 * level * (1 - level) / 6000)
        for column in range(2):
            assert np.mean(found.rank[:, column] < level) == pytest.approx(level, abs=tolerance)
            sizes = np.abs(found.quantile[:, column])
            assert np.mean(sizes < level) == pytest.approx(level, abs=tolerance)
    # The largest of n effects ranks n / (n + 1), and nothing ranks higher.
    top = half.ranks(np.array([[1e9, 1e9]]), ("a", "b"))
    np.testing.assert_allclose(top.rank, 6000 / 6001, atol=1e-6)
    np.testing.assert_allclose(top.quantile, 6000 / 6001, atol=1e-6)


def test_the_entry_is_read_by_the_service_and_says_where_it_comes_from(made, table):
    entry, _ = made
    text = json.dumps(entry, allow_nan=False)
    background = Background.from_card(json.loads(text), ("K562", "HepG2"))
    assert background.n == 110
    assert background.applies_to(2, (0,))
    assert "2.1:1" in background.scheme
    # HepG2 has twice the effects of K562, so ranks agree.
    effect = np.array([[10.0, 20.0], [-30.0, -60.0]])
    found = background.ranks(effect, ("K562", "HepG2"))
    np.testing.assert_allclose(found.quantile[:, 0], found.quantile[:, 1], atol=1e-3)


def test_it_is_drawn_from_the_test_fold_and_by_its_seed(made, table, models_dir):
    def make(frame, seed=0):
        return make_background(
            "sum", models_dir=models_dir, table=frame, n=110, seed=seed, threads=1
        )[0]

    changed = table.copy()
    changed.loc[changed["fold"] != 0, "sequence"] = "A" * 200
    assert make(changed)["targets"] == made[0]["targets"]
    assert make(table, seed=1)["targets"] != made[0]["targets"]
    test = library_inserts(table[table["fold"] == 0])
    assert len(test) == 60
    with pytest.raises(ValueError, match="120 middle bases"):
        make_background("sum", models_dir=models_dir, table=table, n=121, threads=1)


def test_the_report_tells_sizes_and_how_uniform_ranks_are(made):
    report = made[1]
    sizes, uniform = report.table(SIZES), report.table(UNIFORMITY)
    assert sizes.cell("HepG2", "50.0% of sizes below") == pytest.approx(
        2 * sizes.cell("K562", "50.0% of sizes below"), rel=1e-4
    )
    assert sizes.cell("K562", "n") == 110
    assert 20 < uniform.cell("K562", "n") < 90
    assert 0 <= uniform.cell("K562", "largest deviation of rank") <= 1
