"""Ranks among random variants: by hand, by property, through JSON; broken cards are refused."""

import json
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.background import Background
from service.errors import ModelContractError

EFFECT = [-2.0, -1.0, -0.5, 0.5, 3.0]
MAGNITUDE = [0.25, 0.5, 1.0, 2.0, 4.0]
LEVELS = [0.1, 0.3, 0.5, 0.7, 0.9]
TARGETS = ("K562", "HepG2")


def entry(**changes):
    targets = {
        "K562": {"effect": EFFECT, "magnitude": MAGNITUDE},
        "HepG2": {"effect": [10 * value for value in EFFECT], "magnitude": [0, 0, 0, 1, 2]},
    }
    block = {
        "version": 1,
        "levels": LEVELS,
        "targets": targets,
        "strands": 2,
        "shifts": [0],
        "variants": "SNV",
        "scheme": "by hand",
        "n": 5,
        "seed": 0,
        "data": "none",
        "data_sha256": "0",
    }
    return json.loads(json.dumps(block | changes))


BACKGROUND = Background.from_card(entry(), TARGETS)


def ranks(*effects, target="K562"):
    return BACKGROUND.ranks(np.array(effects, float)[:, None], (target,))


def test_ranks_by_hand():
    found = ranks(-1.0, 1.0, 0.75, -0.75, 1.75)
    np.testing.assert_allclose(found.quantile[:, 0], [-0.5, 0.5, 0.4, -0.4, 0.65])
    np.testing.assert_allclose(found.rank[:, 0], [0.3, 0.74, 0.72, 0.4, 0.8])


def test_beyond_the_ends_ranks_stop_at_the_ends_levels():
    found = ranks(1e9, -1e9, 1e-9, -1e-9)
    np.testing.assert_allclose(found.quantile[:, 0], [0.9, -0.9, 0.1, -0.1])
    np.testing.assert_allclose(found.rank[:2, 0], [0.9, 0.1])


def test_no_effect_has_quantile_0_and_none_has_none():
    found = ranks(0.0, np.nan)
    assert found.quantile[0, 0] == 0
    assert found.rank[0, 0] == 0.6, "losses are more frequent than gains here"
    assert np.isnan(found.quantile[1, 0])
    assert np.isnan(found.rank[1, 0])


def test_equal_effects_have_the_mean_of_their_levels():
    # Three levels of HepG2 have size 0, as where most changes leave a model unmoved.
    found = ranks(1e-300, 1.0, target="HepG2")
    np.testing.assert_allclose(found.quantile[:, 0], [0.3, 0.7])


def test_every_target_has_its_own_background_whatever_the_order():
    effect = np.array([[1.0, 1.0]])
    both = BACKGROUND.ranks(effect, TARGETS)
    swapped = BACKGROUND.ranks(effect[:, ::-1], TARGETS[::-1])
    np.testing.assert_array_equal(both.quantile, swapped.quantile[:, ::-1])
    np.testing.assert_array_equal(both.rank, swapped.rank[:, ::-1])
    assert both.rank[0, 0] > both.rank[0, 1]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_ranks_ascend_with_the_effect_inside_their_ranges(values):
    values = np.sort(values)
    for target in TARGETS:
        found = ranks(*values, target=target)
        quantile, rank = found.quantile[:, 0], found.rank[:, 0]
        assert (np.diff(quantile) >= 0).all()
        assert (np.diff(rank) >= 0).all()
        assert (np.abs(quantile) < 1).all()
        assert ((rank > 0) & (rank < 1)).all()
        np.testing.assert_array_equal(np.sign(quantile), np.sign(values))
        # A swap of the alleles turns the sign of both the effect and its quantile.
        np.testing.assert_array_equal(ranks(*-values, target=target).quantile[:, 0], -quantile)


def test_ranks_of_the_kind_of_variant_they_come_from_are_uniform():
    levels = [NormalDist().cdf(z) for z in np.linspace(-3.5, 3.5, 201)]
    normal = [NormalDist().inv_cdf(level) for level in levels]
    folded = [NormalDist().inv_cdf(0.5 + level / 2) for level in levels]
    target = {"K562": {"effect": normal, "magnitude": folded}}
    background = Background.from_card(entry(levels=levels, targets=target), ("K562",))
    drawn = np.random.default_rng(0).normal(size=(20_000, 1))
    found = background.ranks(drawn, ("K562",))
    for level in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99):
        tolerance = 4 * np.sqrt(level * (1 - level) / len(drawn))
        assert np.mean(found.rank < level) == pytest.approx(level, abs=tolerance)
        assert np.mean(np.abs(found.quantile) < level) == pytest.approx(level, abs=tolerance)


# --- the entry of a card --------------------------------------------------------------------------


def test_an_entry_comes_back_from_json():
    again = Background.from_card(json.loads(BACKGROUND.model_dump_json()), TARGETS)
    assert again == BACKGROUND


def test_a_card_without_one_has_none():
    assert Background.from_card(None, TARGETS) is None


def test_it_holds_for_the_passes_it_was_made_with():
    assert BACKGROUND.applies_to(2, (0,))
    assert not BACKGROUND.applies_to(1, (0,))
    assert not BACKGROUND.applies_to(2, (0, 20))


def of_target(**changes):
    return entry(targets=entry()["targets"] | {"K562": entry()["targets"]["K562"] | changes})


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (3, "background: Input should be"),
        ({k: v for k, v in entry().items() if k != "seed"}, "background.seed: Field required"),
        (entry(more=1), "background.more: Extra inputs"),
        (entry(version=2), "background.version"),
        (entry(n=0), "background.n:"),
        (entry(n="5"), "background.n:"),
        (entry(levels=[0.1, 0.3, 0.3, 0.7, 0.9]), "background.levels: .*ascend inside"),
        (entry(levels=[0.1, 0.3, 0.5, 0.7, 1.0]), "background.levels: .*ascend inside"),
        (entry(levels=[0.1, 0.9]), "K562: 5 quantiles for 2 levels"),
        (of_target(effect=EFFECT[::-1]), "targets.K562.effect: .*must ascend"),
        (of_target(magnitude=[-1.0, 0, 1, 2, 3]), "targets.K562.magnitude: .*at least 0"),
        (of_target(effect=[*EFFECT[:4], "3"]), "targets.K562.effect.4"),
        (of_target(effect=[*EFFECT[:4], float("nan")]), "targets.K562.effect.4"),
        (entry(targets={"K562": entry()["targets"]["K562"]}), "differ in HepG2"),
    ],
)
def test_a_broken_entry_is_refused_by_the_key_at_fault(block, message):
    with pytest.raises(ModelContractError, match=message):
        Background.from_card(block, TARGETS)
