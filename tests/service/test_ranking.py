"""A triaged list: what permutes, what mirrors, what is never called, and what the rate is over."""

import json

import numpy as np
import pytest

from service.errors import Status, ValidationError
from service.ranking import NOT_SINGLE, chosen_targets, ranked
from service.reference import Reference
from service.registry import Registry
from service.scoring import Predictions, Scorer, ScoringOptions
from service.tables import MALFORMED
from service.triage import Tier
from service.triage_list import CALL_NUMBERS, Given, TriageOptions
from service.variants import Variant
from tests.genomes import write_fasta
from tests.toy_models import CALIBRATION, SumModel, write_model

WIDTH = 20
CALLED = {Tier.LOWERS, Tier.RAISES}
TARGETS = ("WTC11", "K562", "HepG2")
# A linear model: one size of effect, up, down or none, of which some are called.
MODEL = SumModel(
    width=WIDTH,
    targets=TARGETS,
    base_weights=(0.01, 0.02, 0.03, 0.12, 0),
    position_weights=tuple(np.linspace(-2, 6, WIDTH).tolist()),
)
SHAPE = CALIBRATION["shape"] | {"small_sd": 0.04, "small_slope": 1.0, "large_slope": 1.0,
                                "large_sd": 0.1, "sd_by_spread": 0.0}  # fmt: skip
FITTED = CALIBRATION | {"targets": ["K562", "HepG2"], "shape": SHAPE}
N = 60
GENOME = "".join(np.random.default_rng(3).choice(list("ACGT"), 40 * N).tolist())


class Curved(Scorer):
    """A scorer whose model is no line, so that no two of the variants have one effect."""

    def predict(self, windows):
        rng = np.random.default_rng(7)
        inner = rng.normal(0, 0.3, (WIDTH, 5, 6))
        outer = rng.normal(0, 1.5, (6, 1, 3)) + rng.normal(0, 0.1, (6, 3, 3))
        hidden = np.tanh(inner[np.arange(WIDTH), windows.sequences].sum(axis=1))
        mu = np.einsum("sh,hmt->smt", hidden, outer)
        return Predictions(mu, np.full_like(mu, 0.3))


def snv(number: int) -> Variant:
    """One far from all others, the ALT by turns."""
    pos = 40 * number + 20
    ref = GENOME[pos - 1]
    return Variant("chr1", pos, ref, "ACGT".replace(ref, "")[number % 3])


VARIANTS = [snv(number) for number in range(N)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, MODEL, card={"calibration": FITTED})
    write_model(folder, MODEL, name="bare")
    return Registry(folder)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    with Reference.open(write_fasta(tmp_path_factory.mktemp("g") / "g.fa", {"chr1": GENOME})) as it:
        yield it


@pytest.fixture(scope="module")
def scorer(models, genome):
    return Curved(models.load("sum", threads=1), genome)


def listed(scorer, variants, **options):
    given = [Given(contig=v.contig, pos=v.pos, ref=v.ref, alt=v.alt) for v in variants]
    return ranked(
        given, scorer.score(variants), scorer, TriageOptions(**options), provenance={"a": 1}
    )


def said(found, target=None):
    """What is said of each input, in their order, its rank left out."""
    return [row.calls[target or found.target] if row.calls else None for row in found.by_input()]


def tiers(found, target=None):
    return [call and call.tier for call in said(found, target)]


def test_the_distribution_is_the_one_whose_numbers_are_reported(scorer):
    scores = scorer.score(VARIANTS)
    true, fitted = scorer.true_effects(scores), [1, 2]
    for name, value in (("expected", true.expectation), ("sd", true.total_sd)):
        assert np.array_equal(value[:, fitted], getattr(scores.effects, name)[:, fitted])
        assert np.isnan(value[:, 0]).all(), "WTC11 is not calibrated"


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_the_calls_keep_the_rate_and_ranks_follow_the_loss(scorer, rate):
    found = listed(scorer, VARIANTS, error_rate=rate)
    assert found.target == "K562"
    assert [row.rank for row in found.rows] == list(range(1, N + 1))
    calls = [row.call for row in found.rows]
    n_calls = sum(call.tier is not Tier.UNKNOWN for call in calls)
    for part in (calls[:n_calls], calls[n_calls:]):
        assert part == sorted(part, key=lambda call: call.expected_loss)
    wrong = [call.p_wrong for call in calls if call.tier in CALLED]
    assert not wrong or np.mean(wrong) <= rate
    assert found.said_wrong("K562") == (pytest.approx(np.mean(wrong)) if wrong else None)
    for call in calls:
        assert call.p_lowers + call.p_raises + call.p_negligible == pytest.approx(1)
        right = {Tier.LOWERS: call.p_lowers, Tier.RAISES: call.p_raises}.get(call.tier)
        assert call.p_wrong == (None if right is None else pytest.approx(1 - right, abs=1e-12))
        assert (call.tier is Tier.UNKNOWN) == (call.p_wrong is None)
    counts = found.counts("K562")
    assert sum(counts.values()) == N
    assert sum(counts[tier] for tier in Tier if tier is not Tier.UNKNOWN) == n_calls


def test_a_looser_rate_makes_more_calls(scorer):
    found = [listed(scorer, VARIANTS, error_rate=rate) for rate in (0.001, 0.02, 0.1)]
    called = [{i for i, tier in enumerate(tiers(one)) if tier in CALLED} for one in found]
    assert called[0] < called[1] < called[2]
    assert set(Tier) == set(tiers(found[1]))


def test_a_permuted_list_gets_the_permuted_answer(scorer):
    found = listed(scorer, VARIANTS, error_rate=0.05)
    order = np.random.default_rng(0).permutation(N)
    other = listed(scorer, [VARIANTS[i] for i in order], error_rate=0.05)
    assert said(other) == [said(found)[i] for i in order]
    ranks = [row.rank for row in found.by_input()]
    assert [row.rank for row in other.by_input()] == [ranks[i] for i in order]


def test_swapped_alleles_swap_the_tiers_of_what_lies_about_zero(scorer, models, tmp_path):
    swapped = [Variant(v.contig, v.pos, v.alt, v.ref) for v in VARIANTS]
    bases = list(GENOME)
    for one in swapped:
        bases[one.start] = one.ref
    with Reference.open(write_fasta(tmp_path / "g.fa", {"chr1": "".join(bases)})) as mirrored:
        other = listed(Curved(models.load("sum", threads=1), mirrored), swapped, error_rate=0.1)
    mirror = {Tier.LOWERS: Tier.RAISES, Tier.RAISES: Tier.LOWERS}
    found = listed(scorer, VARIANTS, error_rate=0.1)
    assert tiers(other) == [mirror.get(tier, tier) for tier in tiers(found)]
    for one, two in zip(said(found), said(other), strict=True):
        assert (one.p_lowers, one.p_wrong) == pytest.approx((two.p_raises, two.p_wrong))


BAD = [
    (Variant("chrX", 5, "A", "C"), "unknown_contig"),
    (Variant("chr1", 5, GENOME[4], "<DEL>"), "symbolic_alt"),
    (Variant("chr1", 5, "ACGT".replace(GENOME[4], "")[0], GENOME[4]), "ref_mismatch"),
]


def test_bad_records_keep_their_place_and_change_nobody_else(scorer):
    alone = listed(scorer, VARIANTS, error_rate=0.05)
    places = (0, 10, 30)
    mixed = list(VARIANTS)
    for place, (variant, _) in zip(places, BAD, strict=True):
        mixed.insert(place, variant)
    given = [Given(contig=v.contig, pos=v.pos, ref=v.ref, alt=v.alt) for v in mixed]
    given.insert(20, Given(contig="chr1", ref="A", alt="", line=9, problem="ALT is empty"))
    scores = scorer.score(mixed)
    found = ranked(given, scores, scorer, TriageOptions(error_rate=0.05), provenance={})
    rows = found.by_input()
    assert [row.given for row in rows] == given
    assert [row.index for row in rows] == list(range(N + 4))
    bad = [row for row in rows if row.status != Status.OK]
    expected = [BAD[0][1], BAD[1][1], MALFORMED, BAD[2][1]]
    assert [row.status for row in bad] == expected
    assert list(found.rows[-4:]) == bad, "at the end, in the order of the input"
    assert bad[2].reason == "ALT is empty"
    for row in bad:
        assert (row.rank, row.call, row.as_dict()["targets"]) == (None, None, None)
        assert row.reason
    assert [row.call for row in rows if row.call] == said(alone)
    assert [row.rank for row in rows if row.call] == [row.rank for row in alone.by_input()]
    assert found.n_unscored == 4


OTHERS = [
    Variant("chr1", 101, GENOME[100:102], GENOME[100]),
    Variant("chr1", 141, GENOME[140], GENOME[140] + "TTTT"),
    Variant("chr1", 181, GENOME[180:182], GENOME[180:182].translate(str.maketrans("ACGT", "CGTA"))),
    Variant("chr1", 221, GENOME[220], GENOME[220]),
    Variant("chr1", 261, GENOME[260], "N"),
]  # fmt: skip


def test_what_is_no_single_base_change_is_never_called_and_leaves_the_rate_alone(scorer):
    alone = listed(scorer, VARIANTS, error_rate=0.3)
    found = listed(scorer, [*OTHERS, *VARIANTS], error_rate=0.3)
    rows = found.by_input()
    for row in rows[: len(OTHERS)]:
        assert (row.status, row.call.tier, row.call.no_call) == ("ok", Tier.UNKNOWN, NOT_SINGLE)
        assert [getattr(row.call, name) for name in CALL_NUMBERS] == [None] * 5
        assert row.call.calibrated is False
        assert row.call.numbers["effect"] is not None
        assert row.rank > N
    assert said(found)[len(OTHERS) :] == said(alone)
    # Written with a base too many, it is a single-base change all the same.
    pos = VARIANTS[0].pos
    long = Variant("chr1", pos - 1, GENOME[pos - 2 : pos], GENOME[pos - 2] + VARIANTS[0].alt)
    assert said(listed(scorer, [long, *VARIANTS[1:]], error_rate=0.3)) == said(alone)


@pytest.mark.parametrize(
    ("model", "scoring", "options", "why"),
    [
        ("sum", {}, {"target": "WTC11"}, "calibrate K562, HepG2, not WTC11"),
        ("sum", {"strands": 1}, {}, "strands 2 and shifts 0, and these scores were made with"),
        ("sum", {"shifts": (-1, 0, 1)}, {}, "made with strands 2 and shifts -1,0,1"),
        ("bare", {}, {}, "the card of bare has no calibration"),
    ],
)
def test_what_is_not_calibrated_is_never_called_and_says_why(
    models, genome, model, scoring, options, why
):
    scorer = Scorer(models.load(model, threads=1), genome, ScoringOptions(**scoring))
    found = listed(scorer, VARIANTS, error_rate=0.9, **options)
    assert set(tiers(found)) == {Tier.UNKNOWN}
    assert why in found.no_calls[found.target]
    assert {call.no_call for call in said(found)} == {found.no_calls[found.target]}
    assert {call.p_lowers for call in said(found)} == {None}
    assert [row.index for row in found.rows] == list(range(N)), "nothing to rank by"


def test_pairs_are_never_called(scorer, models):
    pairs = [("ACGTACGT", "ACGAACGT"), ("T" * 20, "T" * 20), ("ACG", "AC"), ("R", "A")]
    given = [Given(ref=ref, alt=alt) for ref, alt in pairs]
    for one in (scorer, Scorer(models.load("sum", threads=1))):
        scores = one.score_pairs(pairs)
        found = ranked(given, scores, one, TriageOptions(), provenance={})
        assert found.target == "K562"
        assert "never calibrated" in found.no_calls["K562"]
        assert tiers(found) == [Tier.UNKNOWN] * 3 + [None]
        # 8 bases start at index 6 of 20; what is alike has no change; A starts at 8.
        assert [row.window_index for row in found.by_input()] == [(9,), (), (10,), ()]


def test_compared_targets_keep_their_rate_each(scorer):
    both = listed(scorer, VARIANTS, error_rate=0.1, target="HepG2", compares=True)
    assert both.targets == ("HepG2", "K562")
    for target in both.targets:
        alone = listed(scorer, VARIANTS, error_rate=0.1, target=target)
        assert alone.targets == (target,)
        assert said(both, target) == said(alone)
    assert [row.index for row in both.rows] == [
        row.index for row in listed(scorer, VARIANTS, error_rate=0.1, target="HepG2").rows
    ]
    odd = listed(scorer, VARIANTS, target="WTC11", compares=True)
    assert odd.targets == ("WTC11", "K562", "HepG2")
    assert set(tiers(odd)) == {Tier.UNKNOWN} != set(tiers(odd, "K562"))
    assert odd.no_calls.keys() == {"WTC11"}


def test_a_target_that_is_not_there_is_named_before_anything_is_scored(scorer):
    with pytest.raises(ValidationError, match="has no target 'Hela'; it has WTC11, K562") as error:
        chosen_targets(scorer, TriageOptions(target="Hela"))
    assert error.value.detail["available"] == ["WTC11", "K562", "HepG2"]


def test_the_change_stands_where_it_is_said_to(models, genome):
    scorer = Scorer(models.load("sum", threads=1), genome, ScoringOptions(shifts=(-3, 0, 4)))
    [row] = listed(scorer, VARIANTS[:1]).rows
    assert row.window_index == (7, 10, 14)
    windows = scorer.cut(VARIANTS[:1])
    [group] = windows.groups
    for way, index in enumerate(row.window_index):
        ref, alt = (windows.sequences[k] for k in group.index[0, way])
        assert np.flatnonzero(ref != alt).tolist() == [index]


def test_an_empty_list(scorer):
    found = listed(scorer, [])
    assert (found.rows, found.n_unscored) == ((), 0)
    assert json.dumps(found.head())
    assert found.provenance["triage"]["targets"] == ["K562"]
