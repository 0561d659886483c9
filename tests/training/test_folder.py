"""A model folder: served as it was trained, with a card that says so."""

import json
import shutil

import numpy as np
import pytest
import torch

from service.registry import Registry
from service.sequence import encode, reverse_complement
from tests.training.small_recipe import SMALL
from tests.training.toy_table import toy_table
from training import folder as folder_module
from training import members as members_module
from training.card import Card, read_card, render_readme
from training.datasets.homology import TEST_FOLD
from training.datasets.sources import DataError
from training.export import ServedModel
from training.folder import make_model, predictor_of, read_provenance
from training.members import load_member
from training.trainer import train_member

ASSAYS_OF = {
    "agarwal2025_joint_activity": ["joint_K562", "joint_HepG2", "joint_WTC11"],
    "mattioli2018_pool1_K562": ["mattioli2018_pool1_K562"],
    "inoue2017_barcodes": ["inoue2017_HepG2"],
    "mattioli2019_HUES64": ["mattioli2019_HUES64"],
}
FILES = [
    {"name": name, "citation": "c", "licence": "none stated", "url": "u", "sha256": "0" * 64}
    | {"assays": assays}
    for name, assays in ASSAYS_OF.items()
]


@pytest.fixture(scope="module")
def table():
    return toy_table(60)


@pytest.fixture(scope="module")
def model_dir(table, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(members_module.ZOO, "small", SMALL)
        assert folder_module.ZOO is members_module.ZOO
        runs, models = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("models")
        files = [train_member(SMALL, s, table, runs, progress=False) for s in (1, 2)]
        yield make_model(files, name="toy", models_dir=models, table=table, files=FILES)


def test_the_service_serves_what_was_exported(model_dir, table):
    model = Registry(model_dir.parent).load("toy")
    assert model.info.targets == ("K562", "HepG2", "WTC11")
    assert (model.info.members, model.info.window, model.info.recipe) == (2, 200, "small")
    rows = table[(table["assay"] == "joint_HepG2") & (table["fold"] == TEST_FOLD)]
    codes = np.stack([encode(sequence) for sequence in rows["sequence"]])
    strands = [model.run(codes), model.run(np.ascontiguousarray(reverse_complement(codes)))]
    mu, log_var = predictor_of(model_dir)(rows)
    np.testing.assert_allclose(np.mean([mu for mu, _ in strands], axis=0)[:, :, 1], mu, atol=1e-5)
    served = np.mean([2 * np.log(sigma) for _, sigma in strands], axis=0)[:, :, 1]
    np.testing.assert_allclose(served, log_var, atol=1e-4)


def test_a_model_that_moves_constructs_says_so_and_is_read_as_it_is_served(
    model_dir, table, tmp_path
):
    files = [model_dir / "members" / f"{seed}.safetensors" for seed in (1, 2)]
    folder = make_model(
        files, name="toy", models_dir=tmp_path, table=table, files=FILES, offsets=(0, 1)
    )
    card = read_card(folder)
    assert (card.offsets, read_card(model_dir).offsets) == ((0, 1), None)
    for wrong in ([], [99], [0, 0], [0.5], "x", 7, {}):
        with pytest.raises(ValueError, match="export it again"):
            Card.from_json({**card.to_json(), "offsets": wrong})
    assert "moved by 0 and 1 bases" in render_readme(card)
    assert "on average over constructs moved by 0, 1 bases" in card.summary
    assert "on average over" not in read_card(model_dir).summary
    test_the_service_serves_what_was_exported(folder, table)
    rows = table[table["assay"] == "joint_K562"]
    moved, still = predictor_of(folder)(rows)[0], predictor_of(model_dir)(rows)[0]
    assert np.abs(moved - still).max() > 1e-4


def test_a_prediction_depends_on_the_assay_it_is_asked_for(model_dir, table):
    predict = predictor_of(model_dir)
    means = {}
    for assay in ("mattioli2018_pool1_K562", "mattioli2018_pool1_HepG2"):
        means[assay], log_var = predict(table[table["assay"] == assay])
        assert means[assay].shape == log_var.shape == (60, 2)
    first, second = means.values()
    assert np.abs(first - second).max() > 1e-3


def test_the_card_says_where_things_came_from(model_dir):
    card = read_card(model_dir)
    assert (card.seeds, card.recipe, card.fingerprint) == ((1, 2), "small", SMALL.fingerprint)
    sources = {target.name: target.sigma_source for target in card.targets}
    assert "mattioli2018_pool1_K562" in sources["K562"]
    assert "inoue2017_HepG2" in sources["HepG2"]
    assert "replicate" not in sources["WTC11"]
    assert "residuals of joint_WTC11" in sources["WTC11"]
    n_train = {row.name: row.n_train for row in card.training_data}
    assert n_train == {  # 8 folds of 60 rows in three, one and one assays
        "agarwal2025_joint_activity": 144,
        "mattioli2018_pool1_K562": 48,
        "inoue2017_barcodes": 48,
        "mattioli2019_HUES64": 0,  # not in this table
    }


def test_members_of_another_table_are_refused(model_dir, table, tmp_path):
    file = model_dir / "members" / "1.safetensors"
    other = table.assign(fold=9 - table["fold"])
    with pytest.raises(DataError, match="another table"):
        make_model([file], name="toy", models_dir=tmp_path, table=other, files=FILES)
    assert not (tmp_path / "toy").exists()


def test_members_lie_beside_the_graph_in_its_order(model_dir):
    copies = [load_member(model_dir / "members" / f"{seed}.safetensors") for seed in (1, 2)]
    model = Registry(model_dir.parent).load("toy")
    codes = np.random.default_rng(0).integers(0, 4, (3, 200), dtype=np.uint8)
    mu, _ = model.run(codes)
    served = ServedModel(copies).eval()
    with torch.inference_mode():
        np.testing.assert_allclose(served(torch.from_numpy(codes))[0].numpy(), mu, atol=1e-5)


def test_an_export_leaves_no_member_of_an_earlier_one(model_dir, table, tmp_path):
    folder = tmp_path / "toy"
    shutil.copytree(model_dir, folder)
    make_model(
        [model_dir / "members" / "2.safetensors"],
        name="toy",
        models_dir=tmp_path,
        table=table,
        files=FILES,
    )
    assert [path.name for path in (folder / "members").iterdir()] == ["2.safetensors"]
    assert predictor_of(folder)(table[table["assay"] == "joint_K562"])[0].shape == (60, 1)


def test_provenance_lies_beside_the_table(tmp_path):
    (tmp_path / "assays.json").write_text(json.dumps({"digest": "d", "files": FILES}))
    assert read_provenance(tmp_path / "assays.parquet") == FILES
