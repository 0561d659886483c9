"""Learning from measured effects of other loci: what a fit may see, and what the command writes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from service.sequence import UNKNOWN, reverse_complement
from tests.toy_models import SumModel, write_model
from tests.training.toy_cagi5 import write_cagi5
from training import cli
from training.datasets.cagi5 import ELEMENTS, GROUPS, head_of, locus_of, reference_path, variants_of
from training.datasets.sources import file_digest
from training.evaluation import learned as module
from training.evaluation.calibrate import OCCLUDED, OPTIONS
from training.evaluation.challenge import Run, load_challenge, load_release
from training.evaluation.learned_features import Features, Kind, read_features
from training.evaluation.learned_tables import (
    DIFFERENCES,
    FITS,
    HEADLINES,
    MODEL,
    SPEARMAN,
    VALUES,
)
from training.evaluation.metrics import spearman
from training.evaluation.report import Report

FEW = "GP1BB", "HBB", "F9", "TERT-GBM", "TERT-HEK293T"
EACH = 40
LABELS = [learner.name for learner in module.LEARNERS]
SUM = SumModel(
    base_weights=tuple(weight / 20 for weight in (1, 3, 4, 1, 0)),
    members=2,
    targets=("K562", "WTC11", "HepG2"),
)


@pytest.fixture(scope="module", autouse=True)
def few_fits():
    """One penalty and few trees: what a fit sees, not how well it fits, is the matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PENALTIES", (1.0,))
        patch.setattr(module, "BOOSTING", {**module.BOOSTING, "max_iter": 20})
        yield


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, SUM)
    return folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_cagi5(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def scorer(models_dir, data_dir):
    model = Registry(models_dir).load("sum", threads=1, with_entries=False)
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        yield Scorer(model, reference, OPTIONS, n_occluded=OCCLUDED)


# --- features ------------------------------------------------------------------------------------


def test_features_read_no_label(scorer, data_dir):
    table = load_release(data_dir)
    named = table[["element", "contig", "pos", "ref", "alt"]]
    np.testing.assert_array_equal(
        read_features(scorer, named).values, read_features(scorer, table).values
    )


def test_features_are_what_the_model_says_of_both_strands(scorer, data_dir):
    table = load_release(data_dir).groupby("element").head(4).reset_index(drop=True)
    found = read_features(scorer, table)
    column = dict(zip(found.names, found.values.T, strict=True))
    effects = scorer.score(variants_of(table)).effects
    for number, target in enumerate(SUM.targets):
        np.testing.assert_array_equal(column[f"effect ({target})"], effects.effect[:, number])
        np.testing.assert_array_equal(column[f"epistemic ({target})"], effects.epistemic[:, number])
    for row, variant in enumerate(variants_of(table)):
        own = SUM.targets.index(head_of(table["element"][row]))
        first = variant.start - SUM.width // 2
        plus = scorer.reference.codes(variant.contig, first, first + SUM.width)
        minus = scorer.reference.codes(variant.contig, first + 1, first + 1 + SUM.width)
        ref = np.stack([plus, reverse_complement(minus)])
        hidden = ref.copy()
        hidden[:, SUM.width // 2 - 3 : SUM.width // 2 + 4] = UNKNOWN
        said, without = (SUM.mu(codes)[:, :, own].mean() for codes in (ref, hidden))
        assert column["activity of ref (own target)"][row] == pytest.approx(said, rel=1e-5)
        assert column["hiding 7 bases (own target)"][row] == pytest.approx(without - said, rel=1e-4)
        assert column["effect (own target)"][row] == effects.effect[row, own]
        assert [column[f"ref {base}"][row] for base in "ACGT"].index(1) == "ACGT".index(variant.ref)
        assert [column[f"alt {base}"][row] for base in "ACGT"].index(1) == "ACGT".index(variant.alt)
    assert found.usable.all()


def test_mean_sigma_is_over_both_alleles(scorer, data_dir):
    table = load_release(data_dir).head(1)
    windows = scorer.cut(variants_of(table))
    found = read_features(scorer, table)
    (group,) = windows.groups
    sigma = SUM.sigma(windows.sequences[group.index[0, :, :2].ravel()])
    for number, target in enumerate(SUM.targets):
        (value,) = found.values[:, found.names.index(f"sigma ({target})")]
        assert value == pytest.approx(sigma[:, :, number].mean(), rel=1e-6)


def test_a_reference_mismatch_has_no_features_and_takes_none_from_its_neighbours(scorer, data_dir):
    table = load_release(data_dir).head(6)
    whole = read_features(scorer, table)
    table.loc[2, "ref"] = "N"
    found = read_features(scorer, table)
    assert found.usable.tolist() == [row != 2 for row in range(6)]
    np.testing.assert_array_equal(found.values[found.usable], whole.values[found.usable])


def test_one_member_has_no_spread_among_members(tmp_path, data_dir):
    write_model(tmp_path, SumModel(members=1))
    model = Registry(tmp_path).load("sum", threads=1, with_entries=False)
    with Reference.open(reference_path(data_dir)) as reference:
        found = read_features(
            Scorer(model, reference, OPTIONS, n_occluded=OCCLUDED), load_release(data_dir).head(3)
        )
    assert found.usable.all()
    assert not [name for name in found.names if name.startswith("epistemic")]


def test_a_model_without_a_target_that_an_element_needs_is_refused(tmp_path, data_dir):
    write_model(tmp_path, SumModel(targets=("K562",)))
    model = Registry(tmp_path).load("sum", threads=1, with_entries=False)
    with (
        Reference.open(reference_path(data_dir)) as reference,
        pytest.raises(ValueError, match=r"CAGI5 needs the targets \['HepG2'\]"),
    ):
        scorer = Scorer(model, reference, OPTIONS, n_occluded=OCCLUDED)
        read_features(scorer, load_release(data_dir))


def test_a_scorer_that_hides_nothing_is_refused(models_dir, data_dir):
    model = Registry(models_dir).load("sum", threads=1, with_entries=False)
    with (
        Reference.open(reference_path(data_dir)) as reference,
        pytest.raises(ValueError, match="hides no bases"),
    ):
        read_features(Scorer(model, reference, OPTIONS), load_release(data_dir))


# --- fits ----------------------------------------------------------------------------------------


def features_of(n):
    """Independent features, one of each kind and a second effect that the model does not read."""
    kinds = Kind.EFFECT, Kind.EFFECT, Kind.SPREAD, Kind.ACTIVITY, Kind.HIDING, Kind.BASES
    names = "effect (own target)", "effect (WTC11)", *(str(kind) for kind in kinds[2:])
    values = np.random.default_rng(0).normal(size=(n, len(kinds)))
    return Features(names=names, kinds=kinds, values=values)


@pytest.fixture(scope="module")
def few():
    """Features, elements and labels, of which the last row has no features."""
    element = np.repeat(FEW, EACH)
    features = features_of(len(element))
    value = features.values[:, 1] + features.values[:, 4]
    features.values[-1, 0] = np.nan
    return features, element, value


def fit_and_predict(features, element, value):
    fits = module.fit_without_each(features, value, element)
    return module.predict_left_out(fits, features, element)


@pytest.fixture(scope="module")
def said(few):
    features, element, value = few
    return fit_and_predict(features, element, value)


@pytest.mark.parametrize("altered", ["HBB", "TERT-GBM"])
def test_a_locus_is_never_in_its_own_fit_and_is_in_that_of_every_other(few, said, altered):
    features, element, value = few
    other = fit_and_predict(features, element, np.where(element == altered, 9 - value, value))
    within = np.array([locus_of(name) == locus_of(altered) for name in element])
    for label in LABELS:
        np.testing.assert_array_equal(other[label][within], said[label][within])
        for name in set(element[~within]):
            here = (element == name) & features.usable
            assert not np.allclose(other[label][here], said[label][here]), (label, name)
    np.testing.assert_array_equal(other[MODEL], said[MODEL])


def test_what_is_learnt_is_what_a_row_reads(few, said):
    features, _, value = few
    usable = features.usable
    assert all(np.isnan(said[label][~usable]).all() for label in said)
    found = {label: spearman(said[label][usable], value[usable]) for label in said}
    assert abs(found[MODEL]) < 0.2
    assert 0.5 < found["ridge, effects alone"] < 0.85
    assert found["ridge, effects and hiding"] > 0.99
    assert found["ridge, all features"] > 0.98
    assert found["boosting, all features"] > 0.7


def test_a_label_without_features_says_nothing(few, said):
    features, element, value = few
    other = fit_and_predict(features, element, np.where(features.usable, value, 1e6))
    for label in said:
        np.testing.assert_array_equal(other[label], said[label])


def test_elements_weigh_the_same_however_many_variants_they_have(few, monkeypatch):
    monkeypatch.setattr(module, "PENALTIES", (1e-9,))
    monkeypatch.setattr(module, "LEARNERS", module.LEARNERS[:1])
    features, element, value = few
    # Elements that contradict each other, so that their weights matter.
    value = np.where(element == "HBB", -3 * value, value)
    rows = np.r_[np.arange(len(element)), np.tile(np.flatnonzero(element == "HBB"), 4)]
    more = Features(names=features.names, kinds=features.kinds, values=features.values[rows])
    fits = module.fit_without_each(more, value[rows], element[rows])
    found = module.predict_left_out(fits, features, element)[LABELS[0]]
    expected = fit_and_predict(features, element, value)[LABELS[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_penalty_is_chosen_on_whole_loci(monkeypatch):
    # Each locus has a level and a feature that tells it apart: of use for rows of the same locus
    # alone. Leaving single rows out would keep it, leaving loci out shrinks it away.
    monkeypatch.setattr(module, "PENALTIES", (1e-3, 1e6))
    locus = np.repeat([f"locus {n}" for n in range(8)], 25)
    rng = np.random.default_rng(0)
    level = np.repeat(rng.permutation(np.linspace(-1, 1, 8)), 25)
    x = (locus[:, None] == np.unique(locus)) + 0.01 * rng.normal(size=(200, 8))
    fitted = module.fit_ridge(x, level + 0.1 * rng.normal(size=200), np.ones(200), locus)
    assert fitted[-1].alpha_ == 1e6
    by_row = RidgeCV(alphas=module.PENALTIES).fit(StandardScaler().fit_transform(x), level)
    assert by_row.alpha_ == 1e-3


# --- command -------------------------------------------------------------------------------------


def quick_ridge(x, y, weight, _):
    """As the real one, which is tested above, but for how it chooses its penalty."""
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=[1.0]))
    return ridge.fit(x, y, ridgecv__sample_weight=weight)


QUICK = tuple(
    replace(one, fit=quick_ridge) if one.fit is module.fit_ridge else one for one in module.LEARNERS
)


def command(place, data_dir, models_dir, *options):
    """Run it; its reports and its log lie in a folder of their own."""
    words = ["learned", "sum", "--data", data_dir, "--models", models_dir, "--draws", 100]
    words += ["--reports", place / "reports", "--log", place / "log", *options]
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def report_in(place, name):
    text = (place / "reports" / f"{name}.json").read_text()
    return Report.from_json(json.loads(text))


@pytest.fixture(scope="module")
def looked(tmp_path_factory, data_dir, models_dir):
    """What a run with a look left, and what it said."""
    place = tmp_path_factory.mktemp("looked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LEARNERS", QUICK)
        done = command(place, data_dir, models_dir, "--challenge")
    assert done.exit_code == 0, done.output
    return place, done.stdout


def test_the_reports_are_written_as_they_were_said(looked):
    place, said = looked
    assert sorted(path.name for path in (place / "reports").iterdir()) == [
        "challenge.json",
        "challenge.md",
        "release.json",
        "release.md",
    ]
    for name in ("release", "challenge"):
        report = report_in(place, name)
        page = (place / "reports" / f"{name}.md").read_text()
        assert page.startswith(f"# {report.title}\n")
        assert f"#{page}" in said.replace("\n###", "\n##")
        values, differences = report.table(VALUES.format(name)), report.table(DIFFERENCES)
        assert [row[0] for row in values.rows] == [MODEL, *LABELS]
        assert [row[0] for row in differences.rows] == LABELS
        for part, statistic in HEADLINES:
            key = f"{statistic}, {part}"
            own = values.cell(MODEL, key)
            for label in LABELS:
                gain = differences.cell(label, key)
                found = values.cell(label, key).value
                assert gain.value == pytest.approx(found - own.value, abs=1e-5)
                assert gain.low <= gain.value <= gain.high
        notes = " ".join(report.notes)
        for words in (
            "Research use only",
            "Fitted on measured effects of the CAGI5 release set; no shipped weight is",
            "Leave one locus out",
            "over positions within these elements",
        ):
            assert words in notes


@pytest.mark.parametrize("name", ["release", "challenge"])
def test_reports_are_of_fits_on_the_release_set_without_the_locus(
    looked, name, scorer, data_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "LEARNERS", QUICK)
    release = load_release(data_dir)
    run = Run(model="toy", model_sha256="0" * 64, purpose="test")
    with load_challenge(data_dir, run, log=tmp_path / "log") as labels:
        table = release if name == "release" else labels
        fits = module.fit_without_each(
            read_features(scorer, release),
            release["value"].to_numpy(),
            release["element"].to_numpy(str),
        )
        element, value = table["element"].to_numpy(str), table["value"].to_numpy()
        said = module.predict_left_out(fits, read_features(scorer, table), element)
    values = report_in(looked[0], name).table(VALUES.format(name))
    for part, statistic in HEADLINES:
        correlation = {"spearman": spearmanr, "pearson": pearsonr}[str(statistic)]
        for label, predicted in said.items():
            by_element = []
            for one in GROUPS[part]:
                rows = (element == one) & np.isfinite(predicted)
                by_element.append(correlation(predicted[rows], value[rows]).statistic)
            cell = values.cell(label, f"{statistic}, {part}")
            assert cell.value == pytest.approx(np.mean(by_element), abs=1e-5)


def test_each_set_has_its_variants_and_a_mismatch_no_score(looked):
    place, _ = looked
    for name, scored in (("release", 15), ("challenge", 44)):
        table = report_in(place, name).table(SPEARMAN)
        assert [row[0] for row in table.rows] == list(ELEMENTS)
        assert table.cell("GP1BB", "scored") == scored
    fits = report_in(place, "release").table(FITS)
    assert [row[0] for row in fits.rows] == sorted(set(map(locus_of, ELEMENTS)))
    assert fits.cell("TERT", "elements fitted on") == len(ELEMENTS) - 2
    assert fits.cell("HBB", "variants fitted on") == 14 * 15


def test_a_look_is_logged_with_what_it_found(looked, models_dir):
    place, _ = looked
    start, end = (json.loads(line) for line in (place / "log").read_text().splitlines())
    assert (start["event"], end["event"]) == ("started", "finished")
    assert start["split"] == "challenge"
    assert start["model"] == "sum"
    assert start["model_sha256"] == file_digest(models_dir / "sum" / "model.onnx")
    assert start["purpose"].startswith("learned: ")
    table = report_in(place, "challenge").table(VALUES.format("challenge"))
    assert end["means"] == {
        f"{label}, {part}, {statistic}": pytest.approx(
            table.cell(label, f"{statistic}, {part}").value, abs=1e-5
        )
        for label in (MODEL, *LABELS)
        for part, statistic in HEADLINES
    }


@pytest.fixture
def one_learner(monkeypatch):
    monkeypatch.setattr(module, "LEARNERS", QUICK[:1])


def refuse(*_, **__):
    raise AssertionError("the challenge set was opened")


@pytest.mark.usefixtures("one_learner")
def test_without_the_option_nobody_looks(tmp_path, data_dir, models_dir, monkeypatch):
    opened = []
    read = module.cagi5_variants
    monkeypatch.setattr(
        module, "cagi5_variants", lambda folder, split: opened.append(split) or read(folder, split)
    )
    monkeypatch.setattr(module, "load_challenge", refuse)
    done = command(tmp_path, data_dir, models_dir)
    assert done.exit_code == 0, done.output
    assert opened == ["release"]
    assert not (tmp_path / "log").exists()
    assert not (tmp_path / "reports" / "challenge.md").exists()


@pytest.mark.usefixtures("one_learner")
def test_the_release_report_is_kept_where_the_look_fails(tmp_path, data_dir, models_dir):
    (tmp_path / "log").mkdir()  # cannot be written to
    done = command(tmp_path, data_dir, models_dir, "--challenge")
    assert isinstance(done.exception, OSError)
    assert report_in(tmp_path, "release").tables
    assert not (tmp_path / "reports" / "challenge.md").exists()


def test_an_absent_element_is_named(tmp_path, models_dir):
    folder = write_cagi5(tmp_path)
    path = folder / "cagi5" / "release.tsv"
    table = pd.read_csv(path, sep="\t")
    table[table["element"] != "HBB"].to_csv(path, sep="\t", index=False)
    learn = partial(module.learn, "sum", models_dir=models_dir, data_dir=folder, threads=1)
    with pytest.raises(ValueError, match="CAGI5 release table has no variant of HBB"):
        next(learn())
