"""Members of several recipes in one graph: parity, order, and a card that says which is which."""

import dataclasses
import json

import numpy as np
import onnxruntime
import pytest
import torch

from service.registry import Registry
from service.sequence import encode, reverse_complement
from tests.training.small_recipe import SMALL
from tests.training.test_folder import FILES
from tests.training.toy_table import toy_table
from training import members as members_module
from training.architectures.heads import MeanHeads
from training.architectures.network import Network
from training.architectures.trunks import Compact
from training.batches import Scale, assays_of
from training.card import Card, read_card
from training.datasets.table import table_digest
from training.export import ExportError, ServedModel, build_graph, model_members, parity
from training.folder import make_model, predictor_of
from training.losses.regression import MaskedMSE
from training.members import Member, MemberError, TaughtBy, load_members, save_member

OTHER = dataclasses.replace(
    SMALL, name="other.mean", architecture=Network(Compact(width=24), MeanHeads()), loss=MaskedMSE()
)
RUNS = ((SMALL, 1), (OTHER, 1), (SMALL, 2))


@pytest.fixture(scope="module")
def table():
    return toy_table(30)


def member_of(recipe, seed, table):
    """An untrained member; its scale tells it from the others."""
    torch.manual_seed(seed)
    assays = assays_of(table)
    size = len(assays)
    return Member(
        recipe=recipe.name,
        fingerprint=recipe.fingerprint,
        seed=seed,
        data_digest=table_digest(table),
        assays=assays,
        scale=Scale(np.linspace(-1, 1, size) * seed, np.linspace(0.5, 2, size)),
        residual_sd=tuple(np.linspace(0.4, 0.9, size)),
        network=recipe.architecture.build(assays).eval(),
    )


@pytest.fixture(scope="module")
def files(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    paths = []
    with pytest.MonkeyPatch.context() as patch:
        for recipe in (SMALL, OTHER):
            patch.setitem(members_module.ZOO, recipe.name, recipe)
        for recipe, seed in RUNS:
            paths.append(folder / f"{recipe.name}-{seed}.safetensors")
            save_member(member_of(recipe, seed, table), paths[-1])
        yield paths


@pytest.fixture(scope="module")
def model_dir(files, table, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    return make_model(files, name="mixed", models_dir=models, table=table, files=FILES)


def test_the_graph_agrees_with_torch_and_keeps_the_order_of_members(files):
    members = load_members(files, is_mixed=True)
    graph = build_graph(members, "mixed").SerializeToString()
    assert parity(members, graph) < 1e-5
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    bases = np.random.default_rng(0).integers(0, 4, (3, 200), dtype=np.uint8)
    mu, sigma = session.run(["mu", "sigma"], {"bases": bases})
    assert mu.shape == sigma.shape == (3, 3, 3)
    for number, one in enumerate(members):
        with torch.inference_mode():
            alone = ServedModel([one]).eval()(torch.from_numpy(bases))
        for both, single in zip((mu, sigma), alone, strict=True):
            np.testing.assert_allclose(both[:, number], single.numpy()[:, 0], rtol=1e-4, atol=1e-5)
    assert (sigma.std(axis=0)[[0, 2]] > 0).all(), "variance heads speak"
    np.testing.assert_allclose(sigma[:, 1], np.broadcast_to(sigma[:1, 1], (3, 3)), rtol=1e-5)


def test_the_card_says_of_each_member_what_it_is(model_dir):
    card = read_card(model_dir)
    origins = [(one.recipe, one.fingerprint, one.seed) for one in card.ensemble]
    assert origins == [(recipe.name, recipe.fingerprint, seed) for recipe, seed in RUNS]
    assert (card.members, card.seeds) == (3, (1, 1, 2))
    assert card.recipe == "small+other.mean"
    assert card.fingerprint == f"{SMALL.fingerprint}+{OTHER.fingerprint}"
    page = (model_dir / "README.md").read_text()
    for number, (recipe, seed) in enumerate(RUNS, start=1):
        row = f"`{recipe.name}`, fingerprint `{recipe.fingerprint}`, seed {seed}"
        [line] = [line for line in page.splitlines() if f"member {number} " in line]
        assert row in line
    assert "2 of recipe small" in card.summary
    assert "1 of recipe other.mean (mean only" in card.summary
    for target in card.targets:
        assert "of small: variance head" in target.sigma_source
        assert "of other.mean: one constant" in target.sigma_source


def test_the_service_takes_it_and_the_graph_says_the_same_as_the_card(model_dir, files):
    model = Registry(model_dir.parent).load("mixed")
    assert (model.info.members, model.info.recipe) == (3, "small+other.mean")
    session = onnxruntime.InferenceSession(model_dir / "model.onnx")
    listed = json.loads(session.get_modelmeta().custom_metadata_map["ensemble"])
    assert listed == [dataclasses.asdict(one) for one in read_card(model_dir).ensemble]


def test_members_of_one_seed_lie_beside_each_other_and_come_back_in_order(model_dir, files, table):
    names = {path.name for path in (model_dir / "members").iterdir()}
    assert names == {f"{recipe.name}.{seed}.safetensors" for recipe, seed in RUNS}
    found = [(one.recipe, one.seed) for one in model_members(model_dir)]
    assert found == [(recipe.name, seed) for recipe, seed in RUNS]
    rows = table[table["assay"] == "joint_HepG2"]
    mu, log_var = predictor_of(model_dir)(rows)
    codes = np.stack([encode(sequence) for sequence in rows["sequence"]])
    strands = codes, np.ascontiguousarray(reverse_complement(codes))
    model = Registry(model_dir.parent).load("mixed")
    served = [model.run(strand) for strand in strands]
    np.testing.assert_allclose(np.mean([mu for mu, _ in served], axis=0)[..., 1], mu, atol=1e-5)
    sigma = np.mean([2 * np.log(sigma) for _, sigma in served], axis=0)[..., 1]
    np.testing.assert_allclose(sigma, log_var, atol=1e-4)


def test_what_cannot_stand_side_by_side_is_refused(files, table, tmp_path):
    with pytest.raises(MemberError, match="small, other"):
        load_members(files[:2])
    with pytest.raises(MemberError, match="a seed of its own"):
        load_members([files[0], files[0]], is_mixed=True)
    foreign = tmp_path / "foreign.safetensors"
    save_member(dataclasses.replace(member_of(OTHER, 5, table), data_digest="d" * 12), foreign)
    with pytest.raises(MemberError, match="one table"):
        load_members([files[0], foreign], is_mixed=True)
    pupil = dataclasses.replace(member_of(SMALL, 1, table), teacher=TaughtBy("t", "f", 1))
    with pytest.raises(ExportError, match="beside members of anything else"):
        build_graph([pupil, member_of(SMALL, 2, table)], "toy")


def test_a_card_whose_seeds_are_not_those_of_its_ensemble_is_refused(model_dir):
    value = read_card(model_dir).to_json()
    with pytest.raises(ValueError, match="not those of the ensemble"):
        Card.from_json(value | {"seeds": [1, 2, 1]})
