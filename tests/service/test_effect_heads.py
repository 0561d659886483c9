"""Which heads speak of an effect: weights on the card, and nothing but effects that they change."""

import numpy as np
import pytest

from service.effect_heads import EffectHeads
from service.effects import effect_distribution
from service.errors import ModelContractError
from service.registry import Registry
from service.scoring import Scorer
from tests.service.test_doubt import CONTIG, WIDTH, variants
from tests.service.test_effects import outputs
from tests.toy_models import EFFECT_HEADS, SumModel, write_model

TARGETS = ("K562", "HepG2")


def with_weights(weights):
    return EFFECT_HEADS | {"weights": weights}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, SumModel(WIDTH), name="own")
    write_model(folder, SumModel(WIDTH), name="shared", card={"effect_heads": EFFECT_HEADS})
    registry = Registry(folder)
    return [registry.load(name, threads=1, with_entries=False) for name in ("own", "shared")]


def test_a_target_that_is_not_listed_is_spoken_of_by_its_own_head():
    matrix = EffectHeads.from_card(EFFECT_HEADS, TARGETS).matrix(TARGETS)
    np.testing.assert_array_equal(matrix, [[0.25, 0.75], [0, 1]])
    assert EffectHeads.from_card(None, TARGETS) is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (with_weights({"K562": {"K562": 0.5}}), "K562: weights add up to 0.5; divide each by that"),
        (with_weights({"K562": {"K562": 0.0, "HepG2": 1.0}}), "K562.K562: .*greater than 0"),
        (with_weights({"K562": {"liver": 1.0}}), "liver: no target of the model, which has K562"),
        (with_weights({"liver": {"K562": 1.0}}), "liver: no target of the model"),
        (with_weights({}), "effect_heads.weights: "),
        (EFFECT_HEADS | {"version": 2}, "effect_heads.version: "),
        (EFFECT_HEADS | {"more": 1}, "effect_heads.more: "),
        ([], "effect_heads: "),
    ],
)
def test_a_broken_entry_refuses_the_model_by_the_key_at_fault(tmp_path, entry, message):
    write_model(tmp_path, SumModel(WIDTH), card={"effect_heads": entry})
    with pytest.raises(ModelContractError, match=message):
        Registry(tmp_path).load("sum")


def test_effects_of_each_member_and_pass_are_weighted_and_sigma_is_not():
    mu, sigma = outputs(np.random.default_rng(1))
    heads = EffectHeads.from_card(EFFECT_HEADS, TARGETS).matrix(TARGETS)
    told = effect_distribution(mu, sigma, 0.9, None, heads)
    mixed = mu.astype("f8")
    mixed[..., 0] = 0.25 * mu[..., 0] + 0.75 * mu[..., 1]
    expected = effect_distribution(mixed, sigma, 0.9, None)
    for name in ("effect", "epistemic", "representation", "aleatoric", "lower", "p_sign"):
        np.testing.assert_allclose(getattr(told, name), getattr(expected, name), atol=1e-6)
    own = effect_distribution(mu, sigma, 0.9, None)
    assert not np.allclose(told.effect[:, 0], own.effect[:, 0])
    np.testing.assert_array_equal(told.effect[:, 1], own.effect[:, 1])


def test_swapping_the_alleles_negates_the_answer():
    mu, sigma = outputs(np.random.default_rng(2))
    heads = EffectHeads.from_card(EFFECT_HEADS, TARGETS).matrix(TARGETS)
    one = effect_distribution(mu, sigma, 0.8, None, heads)
    two = effect_distribution(mu[:, :, ::-1], sigma[:, :, ::-1], 0.8, None, heads)
    np.testing.assert_allclose(two.effect, -one.effect)
    np.testing.assert_allclose(two.lower, -one.upper)


def test_variants_and_pairs_are_read_alike(models, reference):
    own, shared = (Scorer(model, reference).score(variants()).effects.effect for model in models)
    np.testing.assert_allclose(shared[:, 0], own @ [0.25, 0.75], rtol=1e-12)
    np.testing.assert_array_equal(shared[:, 1], own[:, 1])
    pair = [(CONTIG[:WIDTH], CONTIG[: WIDTH // 2] + "A" + CONTIG[WIDTH // 2 + 1 : WIDTH])]
    own, shared = (Scorer(model, reference).score_pairs(pair).effects.effect for model in models)
    np.testing.assert_allclose(shared[:, 0], own @ [0.25, 0.75], rtol=1e-12)


def test_the_weights_are_part_of_what_identifies_a_score(models, reference):
    own, shared = models
    assert "effect_heads" not in own.entry_digests
    assert len(shared.entry_digests["effect_heads"]) == 64
    said = Scorer(shared, reference).provenance()["card_sha256"]
    assert said["effect_heads"] == shared.entry_digests["effect_heads"]
