"""Validation on CAGI5: heads, groups, subsets, paired differences, and one log line per model."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from service.calibration import Shape
from service.effects import Effects
from service.errors import Status
from service.scoring import Scores
from tests.toy_models import CALIBRATION, SumModel, write_model
from tests.training.toy_cagi5 import SPAN, write_cagi5
from training.datasets.cagi5 import ELEMENTS, GROUPS, head_of, locus_of
from training.evaluation.agreement import compare, position_counts
from training.evaluation.cagi5 import validate
from training.evaluation.challenge import Run, code_version, load_challenge, load_release
from training.evaluation.metrics import Estimate, Statistic
from training.evaluation.report import Report

RUN = Run(model="m", model_sha256="0" * 64, purpose="test")


@pytest.fixture(scope="module")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cagi5(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    # Over both strands a linear model sees only G or C against A or T; one has it upside down.
    write_model(folder, SumModel(base_weights=(1, 3, 4, 1, 0)), name="sees")
    write_model(folder, SumModel(base_weights=(8, 1, 1, 8, 0)), name="inverted")
    write_model(folder, SumModel(targets=("K562",)), name="k562_only")
    return folder


def run(toy_data, models_dir, log, names=("sees", "inverted"), **options) -> dict[str, Report]:
    options = {"draws": 50, "threads": 1} | options
    return validate(names, models_dir=models_dir, data_dir=toy_data, log=log, **options)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "log.jsonl"


@pytest.fixture(scope="module")
def reports(toy_data, models_dir, log) -> dict[str, Report]:
    return run(toy_data, models_dir, log, baseline="inverted")


def lines(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_each_model_leaves_its_means_in_the_log(reports, models_dir, log):
    found = lines(log)
    assert [line["model"] for line in found] == ["sees", "sees", "inverted", "inverted"]
    assert [line["event"] for line in found] == ["started", "finished"] * 2
    for line in found[1::2]:
        card = json.loads((models_dir / line["model"] / "card.json").read_text())
        assert line["model_sha256"] == card["model_sha256"]
        assert line["split"] == "challenge"
        assert line["code"] == code_version()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", line["date"])
        table = reports[line["model"]].table("Means, construct-aware window")
        for group in GROUPS:
            mean = table.cell(group, "spearman all")
            assert line["means"][f"construct-aware, {group}, spearman"] == pytest.approx(
                mean.value, abs=1e-6
            )


@pytest.mark.slow
def test_a_failed_run_is_logged_too(toy_data, models_dir, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"CAGI5 needs the targets \['HepG2'\]"):
        run(toy_data, models_dir, tmp_path / "log", names=["k562_only"])
    assert not (tmp_path / "log").exists(), "nothing was looked at"

    def fail(*_, **__):
        raise ValueError("in the middle of a look")

    monkeypatch.setattr("training.evaluation.cagi5.compare", fail)
    with pytest.raises(ValueError, match="in the middle"):
        run(toy_data, models_dir, tmp_path / "log", names=["sees"])
    line = lines(tmp_path / "log")[-1]
    assert (line["event"], line["model"], line["means"]) == ("failed", "sees", {})


@pytest.mark.slow
def test_the_release_set_is_not_logged(toy_data, models_dir, tmp_path):
    found = run(toy_data, models_dir, tmp_path / "log", names=["sees"], split="release")
    assert not (tmp_path / "log").exists()
    titles = [table.title for table in found["sees"].tables]
    assert "Published means, K562-matched" not in titles
    assert load_release(toy_data)["pos"].isin(range(SPAN[0] + 1, SPAN[1] + 1, 4)).all()


def table_of(toy_data: Path, tmp_path: Path) -> pd.DataFrame:
    with load_challenge(toy_data, RUN, log=tmp_path / "log") as table:
        return table


class Oracle:
    """A scorer that knows the K562 effects and has the HepG2 ones upside down; SD 1."""

    def __init__(self, value: np.ndarray) -> None:
        effect = np.stack([value, -value], axis=1)
        parts = dict.fromkeys(Effects.__dataclass_fields__, np.ones_like(effect))
        self.effects = Effects(**{**parts, "effect": effect})

    def score(self, variants) -> Scores:
        return Scores(
            [Status.OK] * len(variants),
            self.effects,
            calibrated=(True, True),
            normalised=["."] * len(variants),
            novelty=np.full(len(variants), np.nan),
            novel_as=np.full(len(variants), "."),
        )


def test_each_element_is_read_from_its_head(toy_data, tmp_path):
    table = table_of(toy_data, tmp_path)
    scorer = Oracle(table["value"].to_numpy())
    found = compare(scorer, ("K562", "HepG2"), table, draws=20, seed=0)["effect"]
    for element in ELEMENTS:
        sign = -1 if element in ("F9", "LDLR", "SORT1") else 1
        assert head_of(element) == ("HepG2" if sign < 0 else "K562")
        assert found.samples[element, "all", Statistic.SPEARMAN].value == pytest.approx(sign)
    expected = {"K562-matched (4)": 1, "HepG2-matched (3)": -1, "matched (7)": 1 / 7}
    for group, mean in (expected | {"all (15)": 9 / 15}).items():
        assert found.samples[group, "low", Statistic.PEARSON].value == pytest.approx(mean)


def test_what_is_expected_is_compared_too_and_is_of_fits_without_the_locus(toy_data, tmp_path):
    table = table_of(toy_data, tmp_path)
    value = table["value"].to_numpy()
    upright, inverted = (
        Shape(**CALIBRATION["shape"] | {"small_slope": 1.0, "large_slope": 1.0, **more})
        for more in ({}, {"by_occlusion": -10.0})
    )
    # One that believes nothing but what hiding does, and that it does the opposite of the effect.
    scorer = Oracle(value)
    scorer.effects = replace(scorer.effects, occlusion=scorer.effects.effect)
    shapes = dict.fromkeys(map(locus_of, ELEMENTS), upright) | {"TERT": inverted, "HBB": inverted}
    found = compare(scorer, ("K562", "HepG2"), table, draws=20, seed=0, shapes=shapes)
    assert list(found) == ["effect", "expected"]
    for element in ELEMENTS:
        one, two = (found[said].samples[element, "all", Statistic.SPEARMAN] for said in found)
        sign = -1 if locus_of(element) in {"TERT", "HBB"} else 1
        assert two.value == pytest.approx(sign * one.value), element


def test_the_report_says_what_is_gained_over_the_effect(reports):
    for report in reports.values():
        for window in ("genomic window", "construct-aware window"):
            effect, expected = (
                report.table(f"Means, {window}{more}") for more in ("", ", expected")
            )
            gain = report.table(f"Paired difference to effect, {window}, expected")
            for group in GROUPS:
                difference = gain.cell(group, "spearman difference").value
                one, two = (table.cell(group, "spearman all").value for table in (effect, expected))
                assert difference == pytest.approx(two - one, abs=1e-6)
        columns = report.table("Statuses").columns
        assert list(columns) == ["status", "genomic", "construct-aware"]


def test_subsets_follow_the_confidence_column(toy_data, tmp_path):
    table = table_of(toy_data, tmp_path)
    value = table["value"].to_numpy().copy()
    low = table["confidence"].to_numpy() < 0.1
    value[low] = np.random.default_rng(0).normal(size=low.sum())
    found = compare(Oracle(value), ("K562", "HepG2"), table, draws=20, seed=0)["effect"]
    high, low = (
        found.samples["K562-matched (4)", subset, Statistic.SPEARMAN].value
        for subset in ("high", "low")
    )
    assert high == pytest.approx(1)
    assert abs(low) < 0.3


def test_the_variants_of_a_position_and_the_two_tert_sets_are_drawn_together(toy_data, tmp_path):
    table = table_of(toy_data, tmp_path)
    counts = position_counts(table, 30, seed=0)
    by_place = table.groupby(["contig", "pos"]).indices
    for rows in by_place.values():
        assert (counts[:, rows] == counts[:, rows[:1]]).all()
    assert max(map(len, by_place.values())) == 6
    hbb = counts[:, table["element"] == "HBB"]
    assert not np.array_equal(hbb, counts[:, table["element"] == "HBG1"])


def test_a_missing_element_is_refused(toy_data, tmp_path):
    table = table_of(toy_data, tmp_path)
    with pytest.raises(ValueError, match="no variant of HBB"):
        compare(Oracle(np.zeros(3)), ("K562",), table[table["element"] != "HBB"], draws=1, seed=0)


def test_elements_are_counted_and_every_status_shown(reports):
    table = reports["sees"].table("Elements, genomic window")
    assert (table.cell("GP1BB", "n"), table.cell("GP1BB", "scored")) == (45, 44)
    assert (table.cell("HBB", "n"), table.cell("HBB", "scored")) == (45, 45)
    statuses = reports["sees"].table("Statuses")
    for window in ("genomic", "construct-aware"):
        assert statuses.cell("ok", window) == 674
        assert statuses.cell("ref_mismatch", window) == 1


def test_a_group_is_the_unweighted_mean_of_its_elements(reports):
    elements = reports["inverted"].table("Elements, genomic window")
    means = reports["inverted"].table("Means, genomic window")
    for group, members in GROUPS.items():
        mean = np.mean([elements.cell(element, "pearson all").value for element in members])
        found = means.cell(group, "pearson all")
        assert found.value == pytest.approx(mean)
        assert found.low < found.value < found.high


def test_the_difference_to_the_baseline_is_paired(reports):
    title = "Paired difference to inverted, genomic window"
    found = reports["sees"].table(title)
    ours, other = (
        reports[name].table("Means, genomic window").cell("all (15)", "spearman all")
        for name in ("sees", "inverted")
    )
    gain = found.cell("all (15)", "spearman difference")
    assert isinstance(gain, Estimate)
    assert gain.value == pytest.approx(ours.value - other.value)
    assert 0 < gain.low < gain.value
    assert found.cell("all (15)", "P(spearman difference <= 0)") == 0
    with pytest.raises(KeyError):
        reports["inverted"].table(title)


def test_published_figures_stand_beside_ours(reports):
    elements = reports["sees"].table("Elements, genomic window")
    assert elements.cell("HBB", "published: DH7, 1 network") == 0.46473
    assert elements.cell("F9", "published: DH7, 1 network") is None
    assert elements.cell("F9", "published: MSE v4, 9 networks") == 0.3840
    means = reports["sees"].table("Published means, K562-matched")
    assert means.cell("RankNet v4, 9 networks", "spearman all, 4") == 0.4494
    assert "only PKLR was assayed in K562" in str(reports["sees"])


@pytest.mark.slow
def test_each_window_has_its_own_reference(toy_data, models_dir, tmp_path, monkeypatch):
    seen = []

    def watch(scorer, targets, table, **options):
        seen.append((scorer.reference.name, scorer.reference.assembly, scorer.options.strands))
        # The base before the element is known to the genome alone.
        seen.append(int(scorer.reference.codes("chr1", SPAN[0] - 2, SPAN[0] - 1)[0]) < 4)
        return compare(scorer, targets, table, **options)

    monkeypatch.setattr("training.evaluation.cagi5.compare", watch)
    run(toy_data, models_dir, tmp_path / "log", names=["sees"], strands=1)
    genomic, construct = ("reference_grch37.fa", "GRCh37", 1), ("elements.fa", "GRCh37", 1)
    assert seen == [genomic, True, construct, False]


@pytest.mark.slow
def test_one_seed_gives_one_report(reports, toy_data, models_dir, tmp_path):
    alone = run(toy_data, models_dir, tmp_path / "log", names=["inverted"])
    assert alone["inverted"] == reports["inverted"]


def test_an_unknown_baseline_is_refused_before_anything_is_read(toy_data, models_dir, tmp_path):
    with pytest.raises(ValueError, match="baseline 'mse' is not among"):
        run(toy_data, models_dir, tmp_path / "log", baseline="mse")
    assert not (tmp_path / "log").exists()
