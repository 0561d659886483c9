"""Calibration: from a model folder and a release table to a card that the service reads."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from service.calibration import Calibration
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from tests.toy_models import SumModel, write_model
from tests.training.toy_cagi5 import write_cagi5
from training import cli
from training.card import read_card
from training.datasets.cagi5 import CHALLENGE, reference_path, variants_of
from training.datasets.sources import file_digest
from training.evaluation import calibrate as module
from training.evaluation.challenge import load_release
from training.evaluation.report import Report

NOISE = 0.25
"""SD of the toy measurements about the toy model's effects."""


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    """A model whose two targets disagree on the sign of an effect, with an old calibration."""
    folder = tmp_path_factory.mktemp("models")
    weights = tuple(w / 20 for w in (1, 3, 4, 1, 0))
    model = SumModel(base_weights=weights, members=1, targets=("K562", "WTC11", "HepG2"))
    metrics = {"uncertainty_release": Report("old", ()).to_json()}
    old = {"version": 1, "targets": ["K562"], "floor": 9.0}
    write_model(folder, model, card={"calibration": old, "metrics": metrics})
    return folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory, models_dir):
    """A release set measured as the right target of the toy model predicts it, plus noise.

    Both TERT sets are off by 40 SDs. There are no challenge labels to fit on.
    """
    folder = write_cagi5(tmp_path_factory.mktemp("data"))
    table = load_release(folder)
    with Reference.open(reference_path(folder), assembly="GRCh37") as reference:
        scorer = Scorer(Registry(models_dir).load("sum", threads=1, with_entries=False), reference)
        effect = scorer.score(variants_of(table)).effects.effect
    rng = np.random.default_rng(0)
    hepg2 = table["element"].isin(["F9", "LDLR", "SORT1"])
    noise = rng.normal(0, NOISE, len(table))
    noise[table["element"].str.startswith("TERT")] += 40 * NOISE
    table["value"] = np.where(hepg2, effect[:, 2], effect[:, 0]) + noise
    table = table.rename(columns={"contig": "chrom"})
    table.loc[0, "ref"] = "N"  # a mismatch: has no effect, and no part in the fit
    table.to_csv(folder / "cagi5" / "release.tsv", sep="\t", index=False)
    challenge = folder / CHALLENGE.path
    pd.read_csv(challenge, sep="\t").assign(value=np.nan).to_csv(challenge, sep="\t", index=False)
    return folder


@pytest.fixture(scope="module", autouse=True)
def pairs():
    """Errors of both alleles: two that go together, two that do not."""
    made = SimpleNamespace(
        cell_type="K562",
        ref=np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]),
        alt=np.array([[2.0, 4.0, 6.0], [1.0, 0.0, 2.0]]),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_pairs", lambda _: {"pool": {module.ALIGNED: made}})
        yield


@pytest.fixture(scope="module")
def calibrated(models_dir, data_dir):
    """Entry and report, as the command put them into the card."""
    return _calibrated(models_dir, data_dir)


def _calibrated(models_dir, data_dir):
    arguments = ["calibrate", "sum", "--data", str(data_dir), "--models", str(models_dir)]
    done = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    card = read_card(models_dir / "sum")
    return card.calibration, Report.from_json(card.metrics["calibration"])


def test_the_entry_says_what_was_fitted_and_the_service_takes_it(calibrated, data_dir):
    entry, _ = calibrated
    targets = ("K562", "WTC11", "HepG2")
    found = Calibration.from_card(entry, targets)
    assert found.applies_to(targets, 2, (0,)) == (True, False, True)
    assert found.applies_to(targets, 1, (0,)) == (False, False, False)
    n = len(load_release(data_dir)) - 1
    expected = {"version": 2, "variants": "SNV", "n": n, "loci": 14, "strands": 2, "shifts": [0]}
    assert {key: entry[key] for key in expected} == expected
    assert entry["data_sha256"] == file_digest(data_dir / "cagi5" / "release.tsv")
    assert "release" in entry["data"]
    # Covariances 2 and 0.5, variances 1 and 1, 4 and 1.
    assert entry["noise_correlation"] == {"K562": pytest.approx(2.5 / np.sqrt(2 * 5))}
    assert entry["assay_sd"] == pytest.approx(0.02)


def test_each_element_is_read_from_its_target_before_any_calibration(calibrated):
    table = calibrated[1].table("Calibration, one locus left out")
    for element in ("GP1BB", "PKLR", "F9", "LDLR", "SORT1", "ZFAND3"):
        # The other target would be off by a multiple of the effects, which are of several log2. A
        # locus lies 40 times the noise off, and a fit expects a little of that everywhere.
        assert table.cell(element, "RMS error") < 4 * NOISE


@pytest.mark.slow
def test_the_entry_says_what_was_hidden_and_a_look_at_other_sizes_is_not_saved(
    calibrated, models_dir, data_dir
):
    entry, _ = calibrated
    assert entry["n_occluded"] == (module.OCCLUDED if entry["shape"]["by_occlusion"] else 0)
    assert entry["shape"]["by_occlusion"] != 0
    none, _ = module.calibrate("sum", models_dir=models_dir, data_dir=data_dir, n_occluded=0)
    assert (none["n_occluded"], none["shape"]["by_occlusion"]) == (0, 0)
    place = ["--data", str(data_dir), "--models", str(models_dir)]
    for given, said in (
        (["--occluded", "4", "--no-save"], "odd number"),
        (["--occluded", "5"], "--no-save"),
    ):
        for command in ("calibrate", "uncertainty"):
            done = CliRunner().invoke(cli.app, [command, "sum", *given, *place])
            assert (done.exit_code, said in done.output) == (2, True)
    assert read_card(models_dir / "sum").calibration == entry


def test_the_two_tert_sets_are_one_locus_and_left_out_together(calibrated, data_dir):
    table = calibrated[1].table("Calibration, one locus left out")
    sizes = load_release(data_dir)["element"].value_counts()
    assert table.cell("TERT", "n") == sizes["TERT-GBM"] + sizes["TERT-HEK293T"]
    # Had the fit seen either set, it would have widened the intervals of both.
    assert table.cell("TERT", "RMS error") > 9
    assert table.cell("TERT", "RMS sd") < 1
    assert table.cell("TERT", "inside the 95% interval") == 0
    assert table.cell("HBB", "RMS sd") > 1


def test_means_are_of_the_loci_in_every_column(calibrated):
    table = calibrated[1].table("Calibration, one locus left out")
    *loci, mean, exported = table.rows
    np.testing.assert_allclose(mean[1:], np.mean([row[1:] for row in loci], axis=0), atol=1e-5)
    assert (len(loci), mean[0], exported[0]) == (14, "mean of loci", "mean of loci, as exported")
    assert exported[-1] != mean[-1]
    assert np.isfinite(exported[1:]).all()


def test_the_new_entry_serves_and_tables_of_the_old_intervals_are_gone(calibrated, models_dir):
    served = Registry(models_dir).load("sum", threads=1).calibration
    assert served.shape.model_dump() == calibrated[0]["shape"]
    assert set(read_card(models_dir / "sum").metrics) == {"calibration"}
    assert "inside the 90% interval" in (models_dir / "sum" / "README.md").read_text()
