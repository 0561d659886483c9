"""Quantile and novelty on their way from the card to the scores.

What is compared is written the plain way: every window of every variant by itself.
"""

import numpy as np
import pytest

from service.background import Background
from service.calibration import Calibration
from service.errors import ModelContractError, Status
from service.novelty import ASPECTS, LEVEL, Novelty
from service.registry import Registry
from service.scoring import Scorer, ScoringOptions
from service.sequence import decode
from service.variants import Variant
from service.windows import Anchoring, make_passes, pair_windows, variant_windows
from tests.genomes import genome
from tests.service.familiar import entry
from tests.toy_models import BACKGROUND, CALIBRATION, SumModel, write_model

WIDTH = 80
OPTIONS = [
    ScoringOptions(),
    ScoringOptions(strands=1, anchorings=(Anchoring.LEFT,)),
    ScoringOptions(shifts=(0, 10, -10), anchorings=tuple(Anchoring)),
]


def contig():
    """Sequence rich in GC, then ordinary one, with a microsatellite in it."""
    rng = np.random.default_rng(3)
    rich = rng.choice(4, 110, p=[0.06, 0.44, 0.44, 0.06])
    drawn = np.concatenate([rich, rng.integers(0, 4, 190)]).astype(np.uint8)
    drawn[210:250] = np.resize([0, 1], 40)
    return decode(drawn)


CONTIG = contig()


def variants():
    """Changes of every kind along the contig, three ALTs to a position, some not to be scored."""
    rng = np.random.default_rng(4)
    found = [
        Variant("1", pos, CONTIG[pos - 1], alt) for pos in range(50, 260, 15) for alt in "ACGT"
    ]
    for start in rng.integers(50, 250, 40).tolist():
        ref = CONTIG[start : start + int(rng.integers(1, 9))]
        alt = "".join(rng.choice(list("ACGT"), rng.integers(1, 9)))
        found.append(Variant("1", start + 1, ref, alt))
    return [*found, Variant("2", 5, "A", "C"), Variant("1", 60, CONTIG[59], "*")]


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    card = {"novelty": entry(width=WIDTH), "background": BACKGROUND}
    write_model(folder, SumModel(WIDTH), name="whole", card=card)
    write_model(folder, SumModel(WIDTH), name="bare")
    return Registry(folder)


@pytest.fixture(scope="module")
def model(registry):
    return registry.load("whole", threads=1)


@pytest.fixture(scope="module")
def reference():
    with genome({"1": CONTIG}) as opened:
        yield opened


def plain_novelty(model, reference, variant, options):
    """p and aspect of one variant: of each pass the strangest window, the mean over passes."""
    passes = make_passes(options.strands, options.shifts)
    windows = variant_windows(reference, variant, WIDTH, passes, options.anchorings)
    if isinstance(windows, Status):
        return np.nan, "."
    by_pass = np.array_split(windows, len(passes))
    found = [model.novelty.score(part.reshape(-1, WIDTH)) for part in by_pass]
    p = 10 ** np.mean([np.log10(one.p.min()) for one in found])
    strangest = min(found, key=lambda one: one.p.min())
    aspect = ASPECTS[strangest.aspect[strangest.p.argmin()]]
    return p, aspect if p < LEVEL else "."


@pytest.mark.parametrize("options", OPTIONS, ids=["default", "fast", "all"])
def test_novelty_is_that_of_the_strangest_window_of_each_pass(model, reference, options):
    scores = Scorer(model, reference, options).score(variants())
    p, names = zip(
        *(plain_novelty(model, reference, one, options) for one in variants()), strict=True
    )
    np.testing.assert_allclose(scores.novelty, p, rtol=1e-12)
    assert scores.novel_as.tolist() == list(names)
    assert {"tandem_repeat", "high_gc", "."} <= set(names)
    is_scored = np.array([status is Status.OK for status in scores.status])
    np.testing.assert_array_equal(np.isfinite(scores.novelty), is_scored)
    assert 0 < is_scored.sum() < len(is_scored)


def test_a_variant_has_the_same_bits_alone_and_among_others(model, reference):
    scorer = Scorer(model, reference)
    whole = scorer.score(variants())
    for row, variant in enumerate(variants()):
        alone = scorer.score([variant])
        assert alone.novelty.tobytes() == whole.novelty[row : row + 1].tobytes()
        assert alone.novel_as[0] == whole.novel_as[row]


def test_a_sequence_is_looked_at_once(model, reference, monkeypatch):
    seen = []
    original = Novelty.score
    monkeypatch.setattr(
        Novelty, "score", lambda self, bases: seen.append(bases) or original(self, bases)
    )
    ref = CONTIG[99]
    alts = [alt for alt in "ACGT" if alt != ref]
    Scorer(model, reference).score([Variant("1", 100, ref, alt) for alt in alts])
    [bases] = seen
    assert len(bases) == 2 * (1 + 3), "on each strand the ref once, and three alts"


def test_pairs_are_as_novel_as_their_windows(model):
    strange = "AC" * 40
    pairs = [
        (CONTIG[120:200], CONTIG[120:200]),
        (CONTIG[120:200], strange),
        (CONTIG[120:140], CONTIG[120:141]),
        ("", "A"),
    ]
    scores = Scorer(model).score_pairs(pairs)
    windows = np.stack([pair_windows(*pair, WIDTH, make_passes(2, (0,))) for pair in pairs[:3]])
    expected = model.novelty.score_variants(windows)
    np.testing.assert_allclose(scores.novelty, [*expected.p, np.nan], rtol=1e-12)
    assert scores.novel_as.tolist() == [".", "tandem_repeat", "unknown_bases", "."]


def test_quantiles_are_ranks_among_the_background(model, reference):
    scores = Scorer(model, reference).score(variants())
    background = Background.from_card(BACKGROUND, model.info.targets)
    ranks = background.ranks(scores.effects.effect, model.info.targets)
    np.testing.assert_array_equal(scores.effects.quantile, ranks.quantile)
    scored = scores.effects.quantile[[status is Status.OK for status in scores.status]]
    assert np.isfinite(scored).all()
    assert (np.abs(scored) < 1).all()
    assert len(np.unique(scored)) > 20
    np.testing.assert_array_equal(np.sign(scores.effects.quantile), np.sign(scores.effects.effect))


@pytest.mark.parametrize(
    "options", [{"strands": 1}, {"shifts": (0, 10)}, {"shifts": (10,)}], ids=str
)
def test_other_passes_have_no_quantile(model, reference, options):
    scorer = Scorer(model, reference, ScoringOptions(**options))
    assert not scorer.is_ranked
    assert np.isnan(scorer.score(variants()[:3]).effects.quantile).all()


def test_coverage_and_anchorings_leave_quantiles_alone(model, reference):
    one = Scorer(model, reference).score(variants()[:9]).effects
    options = ScoringOptions(coverage=0.5, anchorings=(Anchoring.CENTRE,))
    two = Scorer(model, reference, options).score(variants()[:9]).effects
    np.testing.assert_array_equal(one.quantile, two.quantile)


def test_pairs_have_no_quantile_with_a_genome_or_without(model, reference):
    pairs = [(CONTIG[:80], CONTIG[1:81])]
    for opened in (None, reference):
        effects = Scorer(model, opened).score_pairs(pairs).effects
        assert np.isfinite(effects.effect).all()
        assert np.isnan(effects.quantile).all()


def test_a_card_without_the_entries_scores_as_before(registry, model, reference):
    bare = registry.load("bare", threads=1)
    assert (bare.novelty, bare.background) == (None, None)
    assert bare.entry_digests == {"calibration": None, "novelty": None, "background": None}
    one, two = (Scorer(each, reference).score(variants()) for each in (bare, model))
    np.testing.assert_array_equal(one.effects.effect, two.effects.effect)
    assert np.isnan(one.effects.quantile).all()
    assert np.isnan(one.novelty).all()
    assert set(one.novel_as.tolist()) == {"."}


def test_what_the_model_fails_on_has_neither(tmp_path, reference):
    middle = tuple(2.0 if index == WIDTH // 2 else 0.0 for index in range(WIDTH))
    broken = SumModel(WIDTH, base_weights=(1, 2, 4, 3e38, 0), position_weights=middle)
    card = {"novelty": entry(width=WIDTH), "background": BACKGROUND}
    write_model(tmp_path, broken, card=card)
    pos = CONTIG.index("GC", 60) + 1
    scorer = Scorer(Registry(tmp_path).load("sum", threads=1), reference, OPTIONS[1])
    scores = scorer.score([Variant("1", pos, "G", "C"), Variant("1", pos, "G", "T")])
    assert scores.status == [Status.OK, Status.MODEL_NAN]
    assert np.isfinite(scores.novelty).tolist() == [True, False]
    assert scores.novel_as[1] == "."


# --- the card -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "block", "message"),
    [
        ("novelty", {"version": 1}, "model sum: novelty.window: Field required"),
        ("novelty", entry(width=40), "novelty.window: it is of windows of 40 bases"),
        ("novelty", [], "novelty: Input should be"),
        ("background", BACKGROUND | {"n": 0}, "model sum: background.n:"),
        (
            "background",
            BACKGROUND | {"targets": {"K562": BACKGROUND["targets"]["K562"]}},
            "background.targets: the model and its background differ in HepG2",
        ),
    ],
)
def test_a_broken_entry_refuses_the_model_by_the_key_at_fault(tmp_path, key, block, message):
    write_model(tmp_path, SumModel(WIDTH), card={key: block})
    with pytest.raises(ModelContractError, match=message):
        Registry(tmp_path).load("sum")


def test_each_entry_has_its_digest(tmp_path):
    blocks = {
        "calibration": CALIBRATION, "novelty": entry(width=WIDTH), "background": BACKGROUND,
    }  # fmt: skip
    write_model(tmp_path, SumModel(WIDTH), card=blocks)
    write_model(
        tmp_path,
        SumModel(WIDTH),
        name="other",
        card=blocks | {"background": BACKGROUND | {"seed": 1}},
    )
    one, two = (Registry(tmp_path).load(name, threads=1).entry_digests for name in ("sum", "other"))
    assert all(len(digest) == 64 for digest in one.values())
    assert {key for key in one if one[key] != two[key]} == {"background"}
    assert isinstance(Registry(tmp_path).load("sum", threads=1).calibration, Calibration)
