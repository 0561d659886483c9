"""Measured deletions: which are compared, how they are written, the rule of choice, the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from service.errors import Status
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer, ScoringOptions
from service.variants import Edit, Variant, trim
from service.windows import Anchoring, check_variant
from tests.toy_models import SumModel, write_model
from tests.training.toy_cagi5 import SPAN, write_cagi5, write_places
from training import cli
from training.datasets.cagi5 import ELEMENTS, GROUPS, read_elements, reference_path
from training.datasets.deletions import KEPT, place_deletions
from training.evaluation import deletions
from training.evaluation.agreement import Sample
from training.evaluation.challenge import (
    CHALLENGE_LOG,
    Run,
    load_deletions,
    load_release_deletions,
)
from training.evaluation.deletions import (
    ALL,
    CANDIDATES,
    MEAN,
    MIN_ROWS,
    WAYS,
    Measured,
    anchored,
    choose,
    evaluate_deletions,
    measure,
    subsets,
)
from training.evaluation.deletions_tables import _disagree, layout
from training.evaluation.metrics import Statistic

BLOCK = range(SPAN[0], SPAN[0] + 10)
"""The release block of the toy elements: their first half."""
LEFT, RIGHT, CENTRE, BOTH, EVERY = CANDIDATES
RUN = Run(model="m", model_sha256="0" * 64, purpose="test")


@pytest.fixture(scope="module")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cagi5(tmp_path_factory.mktemp("data"), block=BLOCK)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    # Sees G and C on either strand, most of all in the middle of the window.
    weights = tuple(float(min(i, 19 - i)) for i in range(20))
    write_model(folder, SumModel(base_weights=(1, 3, 4, 1, 0), position_weights=weights))
    return folder


@pytest.fixture(scope="module")
def inside(toy_data, models_dir) -> Measured:
    model = Registry(models_dir).load("sum", "cpu", 1)
    with Reference.open(reference_path(toy_data)) as reference:
        return measure(model, reference, load_release_deletions(toy_data), 50, 0)


def rows(*places: tuple[str, int, str, str, int]) -> pd.DataFrame:
    table = pd.DataFrame(places, columns=["element", "pos", "ref", "alt", "barcodes"])
    return table.assign(contig="chr1")


@pytest.fixture
def spelt_out(tmp_path: Path) -> Path:
    """E lies on chr1:1001-1010 and reads GAATTTTCCG; 1002 to 1006 are released. No label."""
    released = range(1002, 1007)
    others = [1001, *range(1007, 1011)]
    return write_places(
        tmp_path, ">chr1:991-1020\nTTTTTTTTTTGAATTTTCCGGGGGGGGGGG\n", released, others
    )


def test_a_deletion_lies_in_a_block_if_its_whole_run_does(spelt_out):
    found = place_deletions(
        rows(
            ("E", 1001, "G", "-", 10),
            ("E", 1003, "A", "-", 10),
            ("E", 1005, "T", "-", 10),  # 1007, the last T of the run, is not released
            ("E", 1010, "G", "-", 10),  # its run ends with the element
        ),
        spelt_out,
    )
    assert found["first"].tolist() == [1001, 1002, 1004, 1010]
    assert found["last"].tolist() == [1001, 1003, 1007, 1010]
    assert found["in_block"].tolist() == [False, True, False, False]
    assert set(found["dropped"]) == {KEPT}


def test_what_is_left_out_says_why(spelt_out):
    found = place_deletions(
        rows(
            ("E", 1002, "A", "C", 10),
            ("E", 1002, "A", "-", 9),
            ("E", 1002, "G", "-", 10),
            ("E", 1011, "G", "-", 10),
            ("F", 1002, "A", "-", 10),
        ),
        spelt_out,
    )
    assert found["alt"].tolist() == ["-"] * 4, "a substitution is no deletion"
    reasons = ["fewer than 10 barcodes", *["not a base of its element"] * 3]
    assert found["dropped"].tolist() == reasons
    assert found["in_block"].tolist() == [True, False, False, False]


def test_pklr_is_the_later_of_its_two_times(toy_data):
    found = load_release_deletions(toy_data)
    pklr = found[found["element"] == "PKLR"]
    late = pklr[pklr["dropped"] == KEPT]
    early = pklr[pklr["dropped"].str.startswith("PKLR at 24 h")]
    assert len(early) == len(late) + (pklr["dropped"] == "fewer than 10 barcodes").sum() > MIN_ROWS
    assert (early["value"] == 99).all()
    assert (late["value"] != 99).all()


def test_a_deletion_is_written_with_the_base_before_it(toy_data):
    table = load_release_deletions(toy_data)
    bases = read_elements(toy_data)
    with Reference.open(reference_path(toy_data)) as reference:
        written = anchored(table, reference)
        for deleted, row in zip(table.itertuples(), written.itertuples(), strict=True):
            variant = Variant(row.contig, row.pos, row.ref, row.alt)
            change = check_variant(reference, variant, 20)
            assert not isinstance(change, Status)
            assert trim(variant) in {  # trimming may slide it by the anchor's base
                Edit(start, start + 1, "") for start in (deleted.pos - 2, deleted.pos - 1)
            }
            whole = bases[row.element]
            at = deleted.pos - SPAN[0]
            if at > 0:
                assert row.ref == whole[at - 1 : at + 1]
            justified = change.justified
            if SPAN[0] < deleted.first and deleted.last < SPAN[1]:
                assert (justified.start, justified.end) == (deleted.first - 1, deleted.last)


def test_an_unknown_contig_gets_a_status(toy_data):
    table = rows(("E", 1040, "A", "-", 10)).assign(contig="chr99")
    with Reference.open(reference_path(toy_data)) as reference:
        written = anchored(table, reference)
        (row,) = written.itertuples()
        found = check_variant(reference, Variant(row.contig, row.pos, row.ref, row.alt), 20)
    assert found is Status.UNKNOWN_CONTIG


def test_each_way_is_what_the_service_answers(toy_data, models_dir, inside):
    model = Registry(models_dir).load("sum", "cpu", 1)
    hbb = (inside.table["element"] == "HBB").to_numpy()
    with Reference.open(reference_path(toy_data)) as reference:
        written = anchored(inside.table[hbb], reference)
        variants = [Variant(r.contig, r.pos, r.ref, r.alt) for r in written.itertuples()]
        options = ScoringOptions(strands=1, anchorings=(Anchoring.RIGHT,))
        scores = Scorer(model, reference, options).score(variants)
    assert scores.status == [Status.OK] * hbb.sum()
    np.testing.assert_allclose(
        inside.effects["right, plus strand"][hbb], scores.effects.effect[:, 0]
    )
    left, right, both = (inside.effects[way.name] for way in (LEFT, RIGHT, BOTH))
    np.testing.assert_allclose(both, (left + right) / 2, atol=1e-4)
    assert np.abs(left - right).max() > 1


def test_correlations_are_those_of_effects_and_values(inside):
    for way in WAYS:
        chosen = (inside.table["element"] == "HBB").to_numpy()
        effect, value = inside.effects[way.name][chosen], inside.table["value"][chosen]
        assert inside.of(way, "HBB", Statistic.SPEARMAN).value == pytest.approx(
            stats.spearmanr(effect, value).statistic
        )
        means = [inside.of(way, element, Statistic.PEARSON).value for element in ELEMENTS]
        assert inside.of(way, MEAN, Statistic.PEARSON).value == pytest.approx(np.mean(means))
    assert inside.of(BOTH, MEAN, Statistic.SPEARMAN).value > 0.3, "the toy model sees the effect"


def test_an_element_with_few_deletions_of_a_subset_is_not_in_its_mean(inside):
    subset = "p < 1e-05"
    sizes = {element: inside.counts[element, subset] for element in ELEMENTS}
    few = {element for element, size in sizes.items() if size < MIN_ROWS}
    assert 0 < len(few) < len(ELEMENTS)
    found = {e: inside.of(LEFT, e, Statistic.PEARSON, subset).value for e in ELEMENTS}
    assert {element for element, value in found.items() if np.isnan(value)} == few
    assert inside.of(LEFT, MEAN, Statistic.PEARSON, subset).value == pytest.approx(
        np.mean([value for element, value in found.items() if element not in few])
    )


def test_spellings_of_one_allele_are_drawn_together(toy_data, models_dir):
    model = Registry(models_dir).load("sum", "cpu", 1)
    table = load_release_deletions(toy_data)
    table = table[table["dropped"] == KEPT].drop_duplicates(["element", "first"])
    # Each allele twice, as if measured at both ends of its run: the same sample, twice as long.
    twice = pd.concat([table.assign(pos=table["first"]), table.assign(pos=table["last"])])
    with Reference.open(reference_path(toy_data)) as reference:
        once, doubled = (measure(model, reference, t, 30, 0) for t in (table, twice))
    assert (twice["pos"] != twice["first"]).any()
    enough = [element for element in ELEMENTS if once.counts[element, ALL] >= MIN_ROWS]
    assert len(enough) > 5
    for element in enough:
        one, two = (found.of(LEFT, element, Statistic.SPEARMAN) for found in (once, doubled))
        np.testing.assert_allclose(one.draws, two.draws, atol=1e-9)


def test_what_cannot_be_scored_or_compared_is_said(toy_data, models_dir):
    model = Registry(models_dir).load("sum", "cpu", 1)
    table = load_release_deletions(toy_data)
    kept = np.flatnonzero(table["dropped"] == KEPT)
    table.loc[kept[0], "contig"] = "chr99"
    with Reference.open(reference_path(toy_data)) as reference:
        found = measure(model, reference, table, 20, 0)
        assert found.dropped["status unknown_contig"] == 1
        assert found.dropped["fewer than 10 barcodes"] > 0
        assert found.dropped.total() + len(found.table) == len(table)
        with pytest.raises(ValueError, match="no deletion of HBB is left"):
            measure(model, reference, table[table["element"] != "HBB"], 20, 0)


def samples(**values: float | tuple[float, float]) -> dict:
    """Means by way, each with the draws' spread about it; all draws rise and fall together."""
    wave = np.sin(np.arange(200.0))
    names = dict(zip(("left", "right", "centre", "both", "every"), CANDIDATES, strict=True))
    found = {}
    for name, given in values.items():
        value, own = given if isinstance(given, tuple) else (given, 0.0)
        found[names[name]] = Sample(value, value + wave + own * np.cos(1.7 * np.arange(200.0)))
    return found


def test_the_best_mean_is_chosen_where_it_is_clear_of_the_noise():
    choice = choose(samples(left=0.2, right=0.1, both=0.3, every=0.25))
    assert choice.way is choice.best is BOTH
    assert choice.as_good == (BOTH,)


def test_a_tie_within_the_noise_goes_to_the_fewest_windows_then_the_best_mean():
    choice = choose(samples(left=(0.25, 0.2), right=(0.27, 0.2), centre=0.1, both=0.3, every=0.2))
    assert (choice.best, choice.way) == (BOTH, RIGHT)
    assert set(choice.as_good) == {LEFT, RIGHT, BOTH}


def test_a_cheap_best_is_not_left_for_a_dear_tie():
    assert choose(samples(left=0.3, both=(0.29, 0.2))).way is LEFT


def test_only_both_strands_may_be_chosen():
    assert {way.strands for way in CANDIDATES} == {2}
    assert [way.windows for way in CANDIDATES] == [2, 2, 2, 4, 6]
    assert {way.windows for way in WAYS} - {2, 4, 6} == {1}


def test_disagreement_by_hand():
    left, right = np.array([1.0, 2.0, -1.0, 0.0]), np.array([3.0, 2.0, 2.0, 0.0])
    apart, effect, ratio, larger, opposite = _disagree(left, right)
    assert (apart, effect) == (1.0, 1.25)  # of 2, 0, 3, 0 and 2, 2, 0.5, 0
    assert ratio == 0.5  # of 1, 0, 6, 0
    assert (larger, opposite) == (0.25, 0.25)
    assert np.isnan(_disagree(left[:0], right[:0])).all()


def test_the_subsets_split_the_runs(inside):
    found = subsets(inside.table)
    run = inside.table["last"] - inside.table["first"] + 1
    parts = [found[name] for name in ("no run: one place", "run of 2 or 3", "run of 4 or more")]
    assert (np.sum(parts, axis=0) == 1).all()
    assert (run[parts[0]] == 1).all()
    assert (run[parts[1]].isin([2, 3])).all()
    assert found[ALL].all()


def test_the_rest_is_reported_once_and_logged(toy_data, models_dir, tmp_path):
    log = tmp_path / "log"
    options = {"models_dir": models_dir, "data_dir": toy_data, "threads": 1, "draws": 30}
    choice, found = evaluate_deletions("sum", is_release_only=False, log=log, **options)
    start, end = (json.loads(line) for line in log.read_text().splitlines())
    assert (start["event"], end["event"]) == ("started", "finished")
    assert f"best on release blocks {choice.best.name}" in start["purpose"]
    card = json.loads((models_dir / "sum" / "card.json").read_text())
    assert end["model_sha256"] == card["model_sha256"]
    report = layout("sum", choice, found, draws=30)
    table = report.table("Means, rest")
    assert set(end["means"]) == {
        f"{w.name}, {g}, {s}" for w in WAYS for g in GROUPS for s in Statistic
    }
    for way in WAYS:
        assert end["means"][f"{way.name}, {MEAN}, spearman"] == pytest.approx(
            table.cell(way.name, f"spearman, {MEAN}").value, abs=1e-6
        )
    counts = report.table("Deletions")
    assert counts.cell("measured", "release blocks") + counts.cell("measured", "rest") == 320
    # The choice is of the release blocks, whatever the rest says.
    again, alone = evaluate_deletions("sum", is_release_only=True, log=log, **options)
    assert list(alone) == ["release blocks"]
    assert again == choice
    assert len(log.read_text().splitlines()) == 2, "nobody looked at the rest"


def test_the_choice_is_made_on_release_blocks_alone(toy_data, models_dir, tmp_path, monkeypatch):
    seen = []
    original = deletions.choose
    monkeypatch.setattr(deletions, "choose", lambda means: seen.append(means) or original(means))
    _, found = evaluate_deletions(
        "sum",
        is_release_only=False,
        log=tmp_path / "log",
        models_dir=models_dir,
        data_dir=toy_data,
        threads=1,
        draws=30,
    )
    [means] = seen
    inside, rest = (
        [found[region].of(way, MEAN, Statistic.SPEARMAN).estimate for way in means]
        for region in ("release blocks", "rest")
    )
    assert [sample.estimate for sample in means.values()] == inside
    assert inside != rest


def test_the_report_pairs_every_way_with_the_left_fixed_window(toy_data, models_dir, inside):
    choice = choose({way: inside.of(way, MEAN, Statistic.SPEARMAN) for way in CANDIDATES})
    report = layout("sum", choice, {"release blocks": inside}, draws=50)
    table = report.table("Paired difference to left, release blocks")
    expected = inside.of(BOTH, MEAN, Statistic.SPEARMAN).minus(
        inside.of(LEFT, MEAN, Statistic.SPEARMAN)
    )
    assert table.cell("left+right", f"spearman, {MEAN}") == expected.estimate
    assert table.cell("left+right", f"P(spearman, {MEAN} <= 0)") == expected.p_not_above
    assert [row[0] for row in table.rows] == [way.name for way in WAYS if way is not LEFT]
    verdicts = report.table("Choice, release blocks")
    assert "chosen" in verdicts.cell(choice.way.name, "verdict")
    assert "ships" in verdicts.cell("left+right", "verdict")
    assert "best mean" in verdicts.cell(choice.best.name, "verdict")
    elements = report.table("Elements, spearman, release blocks")
    assert elements.cell("HBB", "left") == inside.of(LEFT, "HBB", Statistic.SPEARMAN).estimate
    assert (elements.cell("HBB", "head"), elements.cell("F9", "head")) == ("K562", "HepG2")


def test_the_command_leaves_the_rest_alone_if_told_so(toy_data, models_dir):
    before = CHALLENGE_LOG.read_bytes()
    arguments = ["--data", str(toy_data), "--models", str(models_dir), "--draws", "100"]
    done = CliRunner().invoke(cli.app, ["deletions", "sum", "--release-only", *arguments])
    assert done.exit_code == 0, done.output
    assert "### Means, release blocks" in done.output
    assert ", rest" not in done.output
    assert CHALLENGE_LOG.read_bytes() == before


@pytest.mark.data
def test_the_real_deletions(data_dir, tmp_path):
    inside = load_release_deletions(data_dir)
    with load_deletions(data_dir, RUN, log=tmp_path / "log") as table:
        rest = table.drop(columns="value")
    assert len(inside) + len(rest) == 2_837
    for part, kept, few in ((inside, 325, 273), (rest, 1_076, 794)):
        reasons = part["dropped"].value_counts()
        assert reasons[KEPT] == kept
        assert reasons["fewer than 10 barcodes"] == few
        assert "not a base of its element" not in reasons
    compared = pd.concat([inside, rest]).query("dropped == @KEPT")
    assert set(compared["element"]) == set(ELEMENTS)
    sizes = inside.query("dropped == @KEPT")["element"].value_counts()
    assert sizes.min() >= MIN_ROWS
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        for row in anchored(compared, reference).itertuples():
            variant = Variant(row.contig, row.pos, row.ref, row.alt)
            assert not isinstance(check_variant(reference, variant, 200), Status), variant
