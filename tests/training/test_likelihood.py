"""Likelihood ratios: a planted one is found, no locus decides, only the release set is read."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from service.likelihood import KEY, LikelihoodRatios
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from tests.toy_models import SumModel, write_model
from tests.training.toy_cagi5 import SPAN, write_cagi5
from training import cli
from training.card import read_card, render_readme
from training.datasets.cagi5 import (
    CHALLENGE,
    HEPG2_MATCHED,
    MEASUREMENTS,
    RELEASE,
    reference_path,
    variants_of,
)
from training.datasets.sources import DataError, file_digest
from training.evaluation.challenge import load_release
from training.evaluation.likelihood import classify, left_out, read_measured
from training.evaluation.likelihood_tables import ALL, LOCI, RATIOS, RELIABILITY
from training.evaluation.likelihood_windows import (
    SUPPORT,
    WINDOW,
    Draws,
    Labelled,
    fit_ratios,
    ratios_without_each,
    reliability,
    window_ratios,
)
from training.evaluation.report import Report
from training.likelihood_command import likelihood

SMALL, LARGE = 0.1, 0.2
"""Means of the planted sizes: exponential without an effect, and with one."""


def planted(sizes: dict[str, tuple[int, int]], seed: int = 0, inverted=()) -> Labelled:
    """Sizes by locus, given as numbers of variants with an effect and without."""
    rng = np.random.default_rng(seed)
    parts = []
    for locus, numbers in sizes.items():
        for is_effect, n in zip((True, False), numbers, strict=True):
            mean = LARGE if is_effect != (locus in inverted) else SMALL
            parts.append((rng.exponential(mean, n), np.full(n, is_effect), np.full(n, locus)))
    score, is_effect, locus = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Labelled(score, is_effect, locus.astype(str), np.arange(len(score)) // 3)


def expected(labelled: Labelled, table, share: float = 0.0) -> np.ndarray:
    """Ratio in each window where a share of the loci has the classes exchanged."""
    low, high = (
        np.array([edge(labelled.score[column]) for column in table.inside.T])
        for edge in (np.min, np.max)
    )
    effect, none = (np.exp(-low / mean) - np.exp(-high / mean) for mean in (LARGE, SMALL))
    return ((1 - share) * effect + share * none) / ((1 - share) * none + share * effect)


EQUAL = {f"L{number}": (120, 240) for number in range(10)}


@pytest.fixture(scope="module")
def equal():
    labelled = planted(EQUAL)
    return labelled, fit_ratios(labelled)


def test_a_planted_ratio_is_found_and_lies_within_its_bounds(equal):
    labelled, table = equal
    truth = expected(labelled, table)
    np.testing.assert_allclose(np.log(table.ratio), np.log(truth), atol=0.4)
    assert truth[0] < 1
    assert truth[-1] > 2
    draws = Draws.of(labelled, 300, np.random.default_rng(1))
    low, high = np.quantile(window_ratios(labelled, table.inside, draws), [0.05, 0.95], axis=0)
    assert ((low <= truth) & (truth <= high)).mean() > 0.85
    assert (low < table.ratio).all()
    assert (table.ratio < high).all()
    # Chance alone would give this spread; counted at both levels it is up to 1.4 times as wide.
    counts = np.stack([table.inside[labelled.is_effect == kind].sum(axis=0) for kind in (1, 0)])
    chance = np.sqrt((1 / counts).sum(axis=0))
    assert 0.9 < np.median(np.log(high / low) / (2 * 1.645) / chance) < 2


def test_loci_that_differ_widen_the_bounds():
    alike, unlike = planted(EQUAL), planted(EQUAL, inverted=("L0", "L1", "L2", "L3"))
    widths = []
    for labelled in (alike, unlike):
        table = fit_ratios(labelled)
        draws = Draws.of(labelled, 200, np.random.default_rng(1))
        low, high = np.quantile(window_ratios(labelled, table.inside, draws), [0.05, 0.95], axis=0)
        widths.append(np.log(high / low)[-3:].mean())
    assert widths[1] > 1.2 * widths[0]


def test_scores_that_say_nothing_have_bounds_about_1():
    labelled = planted(EQUAL)
    labelled = Labelled(
        np.random.default_rng(3).exponential(size=len(labelled.score)),
        labelled.is_effect, labelled.locus, labelled.position,
    )  # fmt: skip
    table = fit_ratios(labelled)
    draws = Draws.of(labelled, 300, np.random.default_rng(1))
    low, high = np.quantile(window_ratios(labelled, table.inside, draws), [0.05, 0.95], axis=0)
    assert ((low <= 1) & (high >= 1)).mean() > 0.75
    found = left_out(labelled, ratios_without_each(labelled), draws)
    assert found.log_loss == pytest.approx(found.of_1, abs=0.02)
    assert found.high > found.of_1


def test_one_large_locus_does_not_decide():
    sizes = EQUAL | {"BIG": (2400, 4800)}
    labelled = planted(sizes, inverted=("BIG",))
    table = fit_ratios(labelled)
    truth = expected(labelled, table, share=1 / len(sizes))
    # It fills the windows, so that each holds fewer of the others: the middle of many is compared.
    assert abs(np.median(np.log(table.ratio / truth))) < 0.1
    assert np.median(np.abs(np.log(table.ratio / truth))) < 0.3
    assert table.ratio[-3:].mean() > 1.5, "by numbers alone, the large one would turn it around"


def test_a_locus_with_many_effects_and_large_scores_is_no_evidence():
    # Within either locus the size says nothing; between them it goes with the share of effects.
    rng = np.random.default_rng(0)
    parts = [
        (locus, *((900, 100) if locus < 3 else (100, 900)), 1 + 9 * (locus < 3))
        for locus in range(6)
    ]
    score = np.concatenate([rng.exponential(scale, a + b) for _, a, b, scale in parts])
    is_effect = np.concatenate([np.arange(a + b) < a for _, a, b, _ in parts])
    locus = np.concatenate([np.full(a + b, f"L{name}") for name, a, b, _ in parts])
    table = fit_ratios(Labelled(score, is_effect, locus, np.arange(len(score))))
    np.testing.assert_allclose(np.median(np.abs(np.log(table.ratio))), 0, atol=0.25)
    assert table.ratio[-5:].max() < 2, "9 by numbers alone"


def test_loci_with_few_variants_of_a_class_weigh_less():
    labelled = planted({"A": (40, 300), "B": (5, 300), "C": (300, 10), "D": (0, 50)})
    assert labelled.weights == {"A": 1.0, "B": 0.25, "C": 0.5, "D": 0.0}


def test_the_table_ends_where_too_few_loci_reach(equal):
    labelled, table = equal
    beyond = labelled.score > table.score_max
    assert len(set(labelled.locus[beyond].tolist())) == SUPPORT - 1
    assert np.isnan(table.at(labelled.score[beyond])).all()
    assert np.isfinite(table.at(labelled.score[~beyond])).all()
    assert (table.inside.sum(axis=0) >= WINDOW).all()


def test_equal_scores_are_one_window_each(equal):
    labelled, _ = equal
    coarse = Labelled(
        np.where(labelled.score > SMALL, 1.0, 0.0),
        labelled.is_effect, labelled.locus, labelled.position,
    )  # fmt: skip
    table = fit_ratios(coarse)
    assert table.score.tolist() == [0.0, 1.0]
    above = np.exp(-SMALL / LARGE), np.exp(-1)
    truth = [(1 - above[0]) / (1 - above[1]), above[0] / above[1]]
    np.testing.assert_allclose(table.ratio, truth, rtol=0.1)


def test_a_locus_is_judged_by_the_others(equal):
    labelled, _ = equal
    draws = Draws.of(labelled, 200, np.random.default_rng(1))
    ratio = ratios_without_each(labelled)
    found = left_out(labelled, ratio, draws)
    assert found.high < found.of_1 == pytest.approx(np.log(2), abs=1e-4)
    for each in reliability(labelled, ratio, draws):
        assert each.found.value == pytest.approx(each.said, abs=0.12)
    # Turned around, the one locus is worse than chance: its own variants play no part.
    turned = planted(EQUAL, inverted=("L0",))
    here = turned.locus == "L0"
    others = fit_ratios(turned.where(~here))
    np.testing.assert_array_equal(ratios_without_each(turned)[here], others.at(turned.score[here]))
    assert left_out(turned.where(here), others.at(turned.score[here]), Draws.of(
        turned.where(here), 50, np.random.default_rng(1))).log_loss > np.log(2)  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"A": (900, 900), "B": (900, 900), "C": (0, 900)}, "2 loci have variants"),
        (dict.fromkeys("ABC", (40, 40)), "240 variants of either class are too few"),
    ],
    ids=["loci", "variants"],
)
def test_too_little_is_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        fit_ratios(planted(sizes))


def test_classes_are_what_they_are_said_to_be():
    value = np.array([1.0, -1.0, 0.21, 0.21, 0.0, 0.0, -0.15, 0.1, np.nan])
    error = np.array([0.1, 0.1, 0.05, 0.1, 0.05, 0.2, 0.02, 0.06, 0.1])
    assert classify(value, error).tolist() == [
        *("effect", "effect", "effect", "neither"),  # the last has p 0.04
        *("none", "neither"),  # not significant, but nobody knows
        *("neither", "neither"),  # significant and small; its interval reaches 0.22
        "neither",
    ]


# --- the command ----------------------------------------------------------------------------------

SPOILT = "never read"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and a release set in which changes that it sees have effects; no challenge labels.

    The file of the challenge is gone, and outside release blocks stands no number.
    """
    folder = tmp_path_factory.mktemp("likelihood")
    weights = tuple(w / 20 for w in (1, 3, 4, 1, 0))
    model = SumModel(base_weights=weights, members=1, targets=("K562", "WTC11", "HepG2"))
    write_model(folder / "models", model)
    data_dir = write_cagi5(folder / "data", block=range(SPAN[0], SPAN[0] + 16))
    release = load_release(data_dir)
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        scorer = Scorer(Registry(folder / "models").load("sum", threads=1), reference)
        effect = np.abs(scorer.score(variants_of(release)).effects.effect)
    size = np.where(release["element"].isin(HEPG2_MATCHED), effect[:, 2], effect[:, 0]).round(5)
    rng = np.random.default_rng(0)
    is_effect = rng.random(len(release)) < np.where(size > 0, 0.6, 0.3)
    release["value"], release["se"], release["barcodes"] = np.where(is_effect, -1.0, 0.01), 0.05, 50
    release.loc[0, "barcodes"] = 9
    others = pd.read_csv(data_dir / CHALLENGE.path, sep="\t").rename(columns={"chrom": "contig"})
    others["value"], others["se"], others["barcodes"] = SPOILT, SPOILT, 50
    late = pd.concat([release, others]).replace({"element": {"PKLR": "PKLR-48h"}})
    early = late[late["element"] == "PKLR-48h"].assign(element="PKLR-24h", se=9.0)
    measured = pd.concat([late, early]).assign(dna=1, rna=1, p_value=SPOILT)
    measured.drop(columns="confidence").rename(columns={"contig": "chrom"}).to_csv(
        data_dir / MEASUREMENTS.path, sep="\t", index=False
    )
    (data_dir / CHALLENGE.path).unlink()
    release["size"], release["is_effect"] = size, is_effect
    release.to_parquet(folder / "planted.parquet")
    before = (folder / "models/sum/card.json").read_bytes()
    said = run(folder, "--no-save")
    assert (folder / "models/sum/card.json").read_bytes() == before
    assert run(folder) == said
    (folder / "said.txt").write_text(said)
    (folder / "before.json").write_bytes(before)
    return folder


def run(folder, *arguments) -> str:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(likelihood)
    words = ["sum", "--data", folder / "data", "--models", folder / "models", "--draws", "100"]
    done = CliRunner().invoke(app, [*map(str, words), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_values_outside_release_blocks_do_not_reach_the_parser(folder):
    # Had one, the column would be text.
    found = read_measured(folder / "data")
    assert found[["value", "se", "barcodes"]].dtypes.eq(float).all()
    assert len(found) == len(load_release(folder / "data"))
    assert not (found["se"] > 1).any(), "PKLR is that of 48 h"


def test_the_entry_holds_what_was_planted(folder):
    card = read_card(folder / "models/sum")
    found = LikelihoodRatios.from_card(card.likelihood_ratios, ("K562", "WTC11", "HepG2"))
    table = pd.read_parquet(folder / "planted.parquet")[1:]
    # The toy model tells two kinds of changes apart: those that move GC, and the others.
    assert len(found.score) == 2
    seen = table.assign(seen=table["size"] > 0).groupby("is_effect")["seen"].mean()
    truth = [(1 - seen[True]) / (1 - seen[False]), seen[True] / seen[False]]
    np.testing.assert_allclose(found.ratio, truth, rtol=0.15)
    assert found.lower[1] > 1 > found.upper[0]
    assert (found.n, found.loci) == (len(table), 14)
    # HepG2 is on three times the scale: its large ones are too few for a window.
    within = table[table["size"] <= found.score_max]["is_effect"]
    assert (sum(found.n_effect), sum(found.n_none)) == (within.sum(), (~within).sum())
    assert len(within) < len(table)
    assert found.targets == ("K562", "HepG2")
    assert found.data_sha256 == file_digest(folder / "data" / RELEASE.path)
    assert found.left_out.log_loss < found.left_out.of_1


def test_the_service_serves_it_and_the_page_shows_it(folder):
    model = Registry(folder / "models").load("sum", threads=1)
    effect = np.array([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]])
    found = model.likelihood_ratios.ratios(
        effect, model.info.targets, strands=2, shifts=(0,), is_snv=np.array([True, True])
    )
    assert np.isfinite(found.ratio).tolist() == [[True, False, True], [False] * 3]
    page, card = (folder / "models/sum/README.md").read_text(), read_card(folder / "models/sum")
    report = Report.from_json(card.metrics[KEY])
    assert str(report).strip() == (folder / "said.txt").read_text().strip()
    assert str(report).strip() in page
    assert [table.title for table in report.tables] == [RATIOS, LOCI, RELIABILITY]
    assert report.table(LOCI).cell(ALL, "n effect") > sum(model.likelihood_ratios.n_effect)
    assert "1 measured with fewer than 10 barcodes or not at all" in page
    assert "Research use only." in report.notes[0]
    assert not re.search("pathogenic|benign", str(report))


def test_only_this_entry_changes_on_the_card(folder):
    before = json.loads((folder / "before.json").read_text())
    after = json.loads((folder / "models/sum/card.json").read_text())
    assert after.pop(KEY)
    assert after["metrics"].pop(KEY)
    assert after == before | {"headline": None}, "what cards of networks have"
    card = read_card(folder / "models/sum")
    assert (folder / "models/sum/README.md").read_text() == render_readme(card)


def test_without_measured_tables_the_option_is_named(monkeypatch):
    monkeypatch.delenv("VARSIGMA_DATA", raising=False)
    with pytest.raises(DataError, match="VARSIGMA_DATA"):
        likelihood(["sum"])


def test_the_command_is_one_of_the_program():
    assert "likelihood" in typer.main.get_command(cli.app).commands
