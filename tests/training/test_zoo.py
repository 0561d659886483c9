"""Recipes: what is refused, what a fingerprint sees, and every row of the zoo at work."""

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.training.toy_table import toy_table
from training.architectures.heads import LOG_VAR_BOUND, MeanHeads, MeanVarianceHeads
from training.architectures.motifs import MotifCompact
from training.architectures.network import Network
from training.architectures.trunks import Compact, DreamRNN
from training.assays import ASSAYS
from training.augment import EvoAug
from training.batches import EpochBatches, assays_of, labelled_sequences, training_scale
from training.campaign.data import campaign_table
from training.campaign.injection import LEVELS, SPREAD
from training.campaign.predict import CENTRE, CONTEXT
from training.losses.pairs import HardPairs
from training.losses.ranking import RankStability
from training.losses.regression import MaskedMSE, MeanVariance
from training.recipe import Optim, Recipe, RecipeError, index
from training.samplers import HardNegative
from training.samplers.quantile import MAX_REPEATS, STAGES
from training.zoo import BASELINE, CPU, GPU, PRESETS, REPRESENTATIVES, SEEDS, ZOO, campaign, forms

GOLDEN = Path(__file__).parents[1] / "golden" / "recipes.txt"


def test_the_zoo_equals_its_golden_list():
    # A changed default shows here as a diff of every recipe it touches; files exported from
    # those recipes are then stale.
    lines = [f"{r.name}\t{r.fingerprint}\t{','.join(map(str, r.seeds))}" for r in ZOO.values()]
    lines += [
        f"{name}/{r.name}\t{r.fingerprint}\t{','.join(map(str, r.seeds))}\t{' '.join(r.aliases)}"
        for name, preset in PRESETS.items()
        for r in (*campaign(preset).values(), *forms(preset).values())
    ]
    assert lines == GOLDEN.read_text().splitlines()


def test_constants_that_no_fingerprint_sees_are_those_that_the_records_were_made_with():
    # A fingerprint is of a recipe's fields. One of these changed: every record is of other code.
    assert STAGES == ((0.0, 0.6), (1 / 8, 1.0), (1 / 4, 2.0), (3 / 8, 4.0))
    assert (MAX_REPEATS, LOG_VAR_BOUND, CONTEXT, CENTRE) == (8.0, 10.0, 230, 115)
    assert (LEVELS, SPREAD) == ((0.5, 1.0, 2.0), 0.75)


PUBLISHED = {
    **{"RS": 9, "DH": 9, "CA": 9, "NG": 9, "QS": 6, "QC": 6, "HN": 6, "FE": 9},
    **{"ABL": 8, "BEST": 4},
}
"""{letters: how many runs the study configured under them}."""


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_the_campaign_is_the_study_run_for_run(preset):
    arms = [recipe for recipe in campaign(preset).values() if recipe.name != BASELINE]
    assert len(arms) == 42
    assert sum(len(recipe.seeds) for recipe in arms) == 73
    ids = [alias for recipe in arms for alias in recipe.aliases]
    assert all(len(recipe.aliases) == len(recipe.seeds) for recipe in arms)
    # The two pairs that the study configured twice are one run each.
    assert sorted(alias for alias in ids if "=" in alias) == ["NG8=ABL4", "NG9=ABL1"]
    published = [f"{letters}{n + 1}" for letters, count in PUBLISHED.items() for n in range(count)]
    assert sorted(one for alias in ids for one in alias.split("=")) == sorted(published)


def test_the_study_ids_stand_for_the_settings_that_it_published():
    recipe_of = {
        a: r for r in campaign(GPU).values() for alias in r.aliases for a in alias.split("=")
    }
    assert recipe_of["RS7"].loss.noise_k == 2
    assert (recipe_of["DH8"].loss.lambda_var, recipe_of["DH8"].loss.space) == (2, "linear")
    assert recipe_of["DH7"].architecture.heads.mean == "linear"
    assert recipe_of["DH1"].architecture.heads.mean == "mlp"
    assert (recipe_of["ABL4"].loss.alpha, recipe_of["ABL4"].loss.beta) == (0.5, 0.1)
    assert recipe_of["CA8"].loss.temperature == 0.05
    assert recipe_of["HN5"].sampler.temperature == 2
    assert (recipe_of["QC1"].sampler.n_quantiles, recipe_of["QC1"].sampler.curriculum) == (5, True)
    assert recipe_of["QS4"].sampler.noise_weight == 0.5
    full = recipe_of["BEST4"].architecture.trunk
    assert (full.vib_beta, full.gc_bins, full.channels) == (0.01, 10, 128)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_arms_differ_from_the_baseline_in_their_strategy_alone(preset):
    baseline = campaign(preset)[BASELINE]
    assert baseline.seeds == SEEDS
    for recipe in campaign(preset).values():
        assert recipe.optim == baseline.optim
        assert recipe.seeds == SEEDS[: len(recipe.seeds)]
        if "factorized" not in recipe.name:
            assert recipe.architecture.trunk == baseline.architecture.trunk


def test_every_family_has_a_representative():
    recipes = campaign(CPU)
    families = {recipe.family for recipe in recipes.values()} - {"baseline"}
    assert families == REPRESENTATIVES.keys()
    assert all(recipes[name].family == family for family, name in REPRESENTATIVES.items())


def test_wrong_pairings_are_refused():
    plain, gauss = Network(Compact(), MeanHeads()), Network(Compact(), MeanVarianceHeads())
    with pytest.raises(RecipeError, match="needs a variance head"):
        Recipe("x", plain, MeanVariance())
    with pytest.raises(RecipeError, match="no gradient"):
        Recipe("x", gauss, MaskedMSE())
    with pytest.raises(RecipeError, match="HardPairs needs mined pairs; Shuffled makes none"):
        Recipe("x", plain, HardPairs())
    with pytest.raises(RecipeError, match="seeds"):
        Recipe("x", plain, seeds=(1, 1))
    with pytest.raises(RecipeError, match="more aliases"):
        Recipe("x", plain, seeds=(1,), aliases=("A1", "A2"))
    assert Recipe("x", plain, HardPairs(), HardNegative()).sampler.makes_pairs


def test_repeats_are_refused():
    first = Recipe("first", Network(Compact(), MeanHeads()))
    with pytest.raises(RecipeError, match="two recipes are named first"):
        index([first, dataclasses.replace(first, optim=Optim(ema=0.5))])
    with pytest.raises(RecipeError, match="second repeats first"):
        index([first, dataclasses.replace(first, name="second", seeds=(7,))])


@pytest.mark.parametrize(
    "change",
    [
        {"optim": Optim(ema=0.9)},
        {"optim": Optim(precision="bf16-mixed")},
        {"architecture": Network(Compact(dropout=0.2), MeanVarianceHeads())},
        {"architecture": Network(Compact(), MeanVarianceHeads(mean="mlp"))},
        {"loss": MeanVariance(space="linear")},
        {"augment": EvoAug()},
        {"augment": EvoAug(mutate=0.1)},
        {"architecture": Network(MotifCompact(), MeanVarianceHeads())},
    ],
)
def test_a_fingerprint_sees_every_hyper_parameter(change):
    recipe = dataclasses.replace(ZOO["dh7"], start=None)
    assert recipe.fingerprint != ZOO["dh7"].fingerprint  # where it began counts as well
    assert dataclasses.replace(recipe, **change).fingerprint != recipe.fingerprint
    assert dataclasses.replace(recipe, name="y", seeds=(1,)).fingerprint == recipe.fingerprint


def toy_batches(recipe, n=40, batch_size=32):
    table = campaign_table(toy_table(n))
    if recipe in ZOO.values():
        table, batch_size = toy_table(n), 12  # assays without replicates
    assays = assays_of(table)
    data = labelled_sequences(table, assays, training_scale(table, assays))
    return assays, EpochBatches(
        data, recipe.sampler, batch_size, seed=1, epochs=2, augments=[recipe.augment] * 2
    )


def narrow(architecture):
    """The same network, where it is large with fewer channels."""
    if not isinstance(architecture.trunk, DreamRNN):
        return architecture
    trunk = dataclasses.replace(architecture.trunk, channels=32, hidden=16, features=32)
    return dataclasses.replace(architecture, trunk=trunk)


LEARNERS = [recipe for recipe in ZOO.values() if not recipe.architecture.needs_teacher]
EVERY = [*LEARNERS, *list(campaign(CPU).values())[1:], *forms(CPU).values()]


@pytest.mark.parametrize("recipe", EVERY, ids=lambda recipe: recipe.name)
def test_every_recipe_learns_a_fixed_batch_with_every_parameter(recipe):
    assays, batches = toy_batches(recipe)
    batches.epoch = 1  # half of the run is over: ramps and curricula are under way
    batch = next(iter(batches))
    torch.manual_seed(1)
    architecture = narrow(recipe.architecture)
    network = architecture.build(assays)
    architecture.initialise(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        torch.manual_seed(2)  # the same dropout: the loss is a function of the weights
        optimizer.zero_grad()
        prediction = network(batch.codes)
        loss = recipe.loss(prediction, batch)
        total = loss + sum(prediction.aux_losses.values())
        total.backward()
        losses.append(loss.item())
        without = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
        # An order is blind to offsets.
        assert without <= ({"heads.mean.bias"} if isinstance(recipe.loss, RankStability) else set())
        optimizer.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("recipe", EVERY[len(LEARNERS) :], ids=lambda recipe: recipe.name)
def test_one_seed_is_one_result_with_every_recipe(recipe):
    def weights():
        assays, batches = toy_batches(recipe)
        torch.manual_seed(3)
        network = recipe.architecture.build(assays)
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
        for batch, _ in zip(batches, range(2), strict=False):
            optimizer.zero_grad()
            prediction = network(batch.codes)
            (recipe.loss(prediction, batch) + sum(prediction.aux_losses.values())).backward()
            optimizer.step()
        return network.state_dict()

    one, two = weights(), weights()
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("name", ["dh7", "dh7.linear"])
def test_every_cell_type_and_every_assay_teaches_its_sigma(name):
    # The joint library has no replicates: a sigma supervised by replicates alone would leave the
    # offsets of its three assays, and the whole head of WTC11, as they were drawn.
    table = toy_table(60)
    assays = tuple(assay for assay in ASSAYS if assay.name in set(table["assay"]))
    data = labelled_sequences(table, assays, training_scale(table, assays))
    batch = next(iter(EpochBatches(data, ZOO[name].sampler, 128, seed=1)))
    network = ZOO[name].architecture.build(assays).eval()
    ZOO[name].loss(network(batch.codes), batch).backward()
    assert (network.heads.offset.grad != 0).all()
    assert network.heads.variance[-1].weight.grad.any(dim=1).all()
