"""What an entry keeps: predictions of each member, by the path that users call, and no label."""

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer, ScoringOptions
from tests.toy_models import SumModel, write_model
from tests.training.small_recipe import SMALL
from tests.training.toy_cagi5 import write_cagi5
from tests.training.toy_table import toy_table
from training import cli
from training.ablation.entries import read_entry, write_entry
from training.ablation.store import assay_rows, predict_entry
from training.batches import Scale, assays_of
from training.datasets.cagi5 import reference_path, variants_of
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.datasets.sources import DataError
from training.datasets.table import table_digest
from training.evaluation.challenge import cagi5_variants
from training.members import Member, save_member
from training.zoo import ZOO

TARGETS = ("K562", "HepG2", "WTC11")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """CAGI5 tables with no more than what names a variant, as published order has it."""
    folder = write_cagi5(tmp_path_factory.mktemp("data"))
    for name in ("challenge.tsv", "release.tsv"):
        path = folder / "cagi5" / name
        whole = pd.read_csv(path, sep="\t")
        whole[["element", "chrom", "pos", "ref", "alt"]].to_csv(path, sep="\t", index=False)
    return folder


@pytest.fixture(scope="module")
def table():
    frame = toy_table(40)
    # The first sequence of K562 in either held-out fold was not measured.
    for fold in (VALIDATION_FOLD, TEST_FOLD):
        held_out = (frame["assay"] == "joint_K562") & (frame["fold"] == fold)
        frame.loc[held_out.idxmax(), "activity"] = np.nan
    return frame


@pytest.fixture(scope="module")
def models(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    model = SumModel(200, TARGETS, 2, base_weights=(0.01, 0.03, 0.04, 0.02, 0))
    described = [
        {"name": name, "cell_type": name, "assay": f"joint_{name}", "sigma_source": "-"}
        for name in TARGETS
    ]
    digest = {"data_digest": table_digest(table)}
    write_model(folder, model, metadata=digest, card={**digest, "targets": described})
    return folder


@pytest.fixture(scope="module")
def entry(models, table, data):
    return predict_entry("lever", model_name="sum", models_dir=models, table=table, data_dir=data)


def test_the_mean_over_members_is_the_effect_that_users_get(entry, models, data):
    with Reference.open(reference_path(data), assembly="GRCh37") as reference:
        scorer = Scorer(Registry(models).load("sum", threads=1), reference)
        for name, effects in entry.effects.items():
            variants, _ = cagi5_variants(data, name)
            scores = scorer.score(variants_of(variants))
            assert effects.shape == (2, len(variants), 3)
            np.testing.assert_allclose(effects.mean(axis=0), scores.effects.effect, atol=1e-6)
            # The two members of this model are one network at two scales.
            np.testing.assert_allclose(effects[1], 2 * effects[0], atol=1e-4)
    assert np.isnan(entry.effects["challenge"]).all(axis=(0, 2)).sum() == 1, "the bad REF"
    assert np.isfinite(entry.effects["release"]).all()


def test_held_out_sequences_are_those_with_an_activity_in_table_order(entry, models, table):
    model = Registry(models).load("sum", threads=1)
    for split in ("validation", "test"):
        for t, target in enumerate(TARGETS):
            rows = assay_rows(table, f"joint_{target}", split)
            n = 3 if target == "K562" else 4
            assert len(rows) == n and rows["activity"].notna().all()
            found = entry.inserts[split, target]
            assert found.shape == (2, n)
            sums = SumModel(200, TARGETS, 2, base_weights=(0.01, 0.03, 0.04, 0.02, 0))
            codes = np.array([["ACGT".index(b) for b in s] for s in rows["sequence"]], np.uint8)
            strands = sums.mu(codes), sums.mu(3 - codes[:, ::-1])
            np.testing.assert_allclose(found.T, np.mean(strands, axis=0)[:, :, t], rtol=1e-5)
    assert model.info.members == 2


def test_a_shift_moves_the_variants_and_not_the_inserts(entry, models, table, data):
    options = ScoringOptions(shifts=(10,))
    moved = predict_entry(
        "moved", model_name="sum", models_dir=models, table=table, data_dir=data, options=options
    )
    assert moved.provenance["shifts"] == [10]
    for key, values in entry.inserts.items():
        np.testing.assert_array_equal(values, moved.inserts[key])
    difference = np.abs(moved.effects["release"] - entry.effects["release"])
    assert np.nanmax(difference) > 1e-3


def test_one_strand_is_the_effect_that_its_users_get(entry, models, table, data):
    options = ScoringOptions(strands=1)
    found = predict_entry(
        "one", model_name="sum", models_dir=models, table=table, data_dir=data, options=options
    )
    assert (found.provenance["strands"], entry.provenance["strands"]) == (1, 2)
    variants, _ = cagi5_variants(data, "release")
    with Reference.open(reference_path(data), assembly="GRCh37") as reference:
        scorer = Scorer(Registry(models).load("sum", threads=1), reference, options)
        told = scorer.score(variants_of(variants)).effects.effect
    np.testing.assert_allclose(found.effects["release"].mean(axis=0), told, atol=1e-6)
    assert not np.allclose(found.effects["release"], entry.effects["release"])
    for key, values in entry.inserts.items():
        np.testing.assert_array_equal(values, found.inserts[key])


def test_an_entry_comes_back_and_the_same_one_is_the_same_file(entry, tmp_path):
    path = write_entry(entry, tmp_path)
    first = path.read_bytes()
    assert write_entry(entry, tmp_path).read_bytes() == first
    found = read_entry("lever", tmp_path)
    assert found.provenance == entry.provenance
    for key, values in entry.inserts.items():
        np.testing.assert_allclose(found.inserts[key], values, rtol=1e-3)
    for name, values in entry.effects.items():
        np.testing.assert_allclose(found.effects[name], values, rtol=1e-6)
    assert [one["seed"] for one in found.provenance["origins"]] == [0, 1]
    assert found.provenance["use"] == "research use only"


def test_what_is_no_entry_is_refused_with_a_remedy(entry, tmp_path):
    path = write_entry(entry, tmp_path)
    with pytest.raises(DataError, match="there are: lever"):
        read_entry("absent", tmp_path)
    with pytest.raises(DataError, match="cannot name an entry"):
        read_entry("../lever", tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="store lever again"):
        read_entry("lever", tmp_path)
    with path.open("wb") as handle:
        np.savez(handle, provenance=np.frombuffer(b'{"version": 1}', np.uint8))
    with pytest.raises(DataError, match="lacks assays"):
        read_entry("lever", tmp_path)


def test_members_of_a_recipe_are_stored_without_a_model_folder(table, data, tmp_path, monkeypatch):
    monkeypatch.setitem(ZOO, "small", SMALL)
    monkeypatch.chdir(tmp_path)
    assays = assays_of(table)
    n = len(assays)
    for seed in SMALL.seeds:
        torch.manual_seed(seed)
        folder = tmp_path / "runs" / "small" / str(seed)
        folder.mkdir(parents=True)
        member = Member(
            recipe="small",
            fingerprint=SMALL.fingerprint,
            seed=seed,
            data_digest=table_digest(table),
            assays=assays,
            scale=Scale(np.zeros(n), np.ones(n)),
            residual_sd=(1.0,) * n,
            network=SMALL.architecture.build(assays).eval(),
        )
        save_member(member, folder / "member.safetensors")
    table.to_parquet("assays.parquet")
    given = ["ablation", "store", "one", "--recipe", "small", "--member", "2", "--runs", "runs"]
    given += ["--table", "assays.parquet", "--data", str(data), "--results", "results"]
    given += ["--strands", "1"]
    done = CliRunner().invoke(cli.app, given)
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.iterdir()} == {"assays.parquet", "results", "runs"}
    found = read_entry("one", tmp_path / "results")
    assert found.seeds == (2,)
    assert found.provenance["strands"] == 1
    assert found.provenance["origins"] == [
        {"recipe": "small", "fingerprint": SMALL.fingerprint, "seed": 2}
    ]
    assert found.effects["challenge"].shape == (1, 675, 3)
    assert "offsets" not in found.provenance
    given[2] = "moved"
    done = CliRunner().invoke(cli.app, [*given, "--offset", "0", "--offset", "1"])
    assert done.exit_code == 0, done.output
    moved = read_entry("moved", tmp_path / "results")
    assert moved.provenance["offsets"] == [0, 1]
    assert np.nanmax(np.abs(moved.effects["release"] - found.effects["release"])) > 1e-5
    key = ("test", "HepG2")
    assert np.abs(moved.inserts[key] - found.inserts[key]).max() > 1e-5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["absent"], "no recipe 'absent'"),
        (["x", "--model", "m", "--recipe", "mse"], "in place of --recipe"),
        (["x", "--model", "m", "--offset", "1"], "in place of --recipe"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(given, said, data, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(cli.app, ["ablation", "store", *given, "--data", str(data)])
    assert done.exit_code == 2
    assert said in done.output
