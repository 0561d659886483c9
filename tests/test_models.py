"""The models in `models/`: each is what its card, the zoo and the folder's index say.

Parametrised over what is there; that `dh7` is there is itself a test.
"""

import json
import tomllib
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from service.registry import Model, Registry
from training.card import read_card, render_readme
from training.export import member_names, served_model
from training.zoo import ZOO

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
NAMES = sorted(path.name for path in MODELS.glob("*/"))


@pytest.fixture(scope="module", params=NAMES)
def folder(request: pytest.FixtureRequest) -> Path:
    return MODELS / request.param


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return Registry(MODELS).load(folder.name, threads=1)


def test_the_default_model_is_there() -> None:
    assert "dh7" in NAMES


def test_a_folder_holds_what_a_model_needs(folder: Path) -> None:
    files = {path.name for path in folder.iterdir()}
    assert {"model.onnx", "card.json", "README.md", "members"} <= files
    assert not list(folder.rglob("*.partial"))


def test_the_card_is_complete_and_of_this_file(folder: Path) -> None:
    card = read_card(folder)
    assert card.name == folder.name
    assert card.model_sha256 == sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert json.loads(json.dumps(card.to_json())) == json.loads((folder / "card.json").read_text())
    assert (folder / "README.md").read_text() == render_readme(card)


def test_the_recipe_is_still_the_one_in_the_zoo(folder: Path) -> None:
    card = read_card(folder)
    names = dict.fromkeys(one.recipe for one in card.ensemble or ()) or [card.recipe]
    assert card.recipe == "+".join(names)
    fingerprint = "+".join(ZOO[name].fingerprint for name in names)
    assert card.fingerprint == fingerprint, "retrain, or take the change to the recipe back"
    for name in names:
        seeds = [one.seed for one in card.ensemble or () if one.recipe == name] or card.seeds
        # Heads of a student are numbered where the members that teach are of several recipes.
        is_numbered = list(seeds) == list(range(1, card.members + 1))
        is_student = ZOO[name].architecture.needs_teacher
        assert set(seeds) <= set(ZOO[name].seeds) or (is_student and is_numbered)


def test_the_contract_holds(model: Model) -> None:
    # Loading has compared metadata, tensors and card; what is left is to run it on more than that.
    bases = np.random.default_rng(0).integers(0, 5, (7, model.info.window), dtype=np.uint8)
    mu, sigma = model.run(bases)
    assert mu.shape == sigma.shape == (7, model.info.members, len(model.info.targets))
    assert mu.dtype == sigma.dtype == np.float32
    alone = np.concatenate([model.run(row[None])[0] for row in bases])
    np.testing.assert_allclose(alone, mu, atol=1e-4)


def test_the_graph_is_that_of_the_members_beside_it(folder: Path, model: Model) -> None:
    served = served_model(folder)
    bases = np.random.default_rng(3).integers(0, 5, (7, model.info.window), dtype=np.uint8)
    with torch.inference_mode():
        expected = served(torch.from_numpy(bases))
    for got, wanted in zip(model.run(bases), expected, strict=True):
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-4)


def test_sigma_is_positive_and_varies_where_the_recipe_predicts_it(model: Model) -> None:
    bases = np.random.default_rng(1).integers(0, 4, (64, model.info.window), dtype=np.uint8)
    mu, sigma = model.run(bases)
    assert np.isfinite(sigma).all()
    assert (sigma > 0).all()
    assert (mu.std(axis=0) > 1e-3).all(), "every member and target tells sequences apart"
    recipes = [ZOO[name] for name in model.info.recipe.split("+")]
    if all(recipe.architecture.predicts_variance for recipe in recipes):
        assert (sigma.std(axis=0) / sigma.mean(axis=0) > 1e-3).all()
    elif len(recipes) == 1:
        np.testing.assert_allclose(sigma, np.broadcast_to(sigma[:1], sigma.shape), rtol=1e-5)


def test_members_differ(model: Model) -> None:
    bases = np.random.default_rng(2).integers(0, 4, (64, model.info.window), dtype=np.uint8)
    mu, _ = model.run(bases)
    assert len({member.tobytes() for member in np.moveaxis(mu, 1, 0)}) == model.info.members


def test_the_index_lists_it(folder: Path) -> None:
    index = (MODELS / "README.md").read_text()
    assert index.count(f"[{folder.name}]({folder.name}/README.md)") == 1


def test_training_weights_stay_out_of_wheel_and_image(folder: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["include"]
    ignored = (ROOT / ".dockerignore").read_text().split()
    card = read_card(folder)
    files = [file.relative_to(ROOT) for file in folder.rglob("*.safetensors")]
    assert {file.name for file in files} == set(member_names(card.seeds, card.ensemble))
    for file in files:
        # fnmatch lets * cross a slash: it matches more than the build and Docker would.
        assert not [pattern for pattern in included if fnmatch(f"/{file}", pattern)]
        assert any(
            file.parent.match(pattern) for pattern in ignored if pattern.startswith("models")
        )
