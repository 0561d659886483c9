"""The pipeline on a model that can be counted by hand, and what must hold for any model."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from statistics import stdev

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import __version__
from service.calibration import Shape
from service.effects import Effects
from service.entries import digest_of
from service.errors import Status, ValidationError
from service.registry import Registry
from service.scoring import Scorer, ScoringOptions
from service.sequence import encode
from service.variants import Variant, is_single
from service.windows import Anchoring
from tests.genomes import CHR1, genome, reversed_complement
from tests.toy_models import CALIBRATION, SumModel, write_model

NAMES = tuple(field.name for field in fields(Effects))
PLUS_ONLY = ScoringOptions(strands=1, anchorings=(Anchoring.LEFT,))
POS = 50
REF = CHR1[POS - 1]
EVERY_STATUS = [
    (Variant("chr1", POS, REF, "T"), Status.OK),
    (Variant("1", POS, REF, "T"), Status.OK),
    (Variant("chr7", POS, REF, "T"), Status.UNKNOWN_CONTIG),
    (Variant("chr1", POS, "N", "T"), Status.REF_MISMATCH),
    (Variant("chr1", POS, REF, "."), Status.NO_ALT),
    (Variant("chr1", POS, REF, "<DUP>"), Status.SYMBOLIC_ALT),
    (Variant("chr1", POS, REF, "*"), Status.STAR_ALT),
    (Variant("chr1", POS, REF, f"{REF}[chr2:1["), Status.BREAKEND_ALT),
    (Variant("chr1", POS, REF, "R"), Status.NON_ACGTN),
    (Variant("chr1", 104, "A", "T"), Status.WINDOW_OFF_CONTIG),
    (Variant("chr1", POS, REF, REF + "ACGTAC"), Status.ALLELE_TOO_LONG),
    (Variant("chr1", POS, REF.lower(), REF + "AC"), Status.OK),
]


def in_lines(sequence, length=30):
    return "".join(
        f"{sequence[first : first + length]}\n" for first in range(0, len(sequence), length)
    )


def as_rows(effects):
    return np.stack([getattr(effects, name) for name in NAMES])


@pytest.fixture(scope="module")
def scorer(toy_model):
    with genome({"chr1": CHR1}) as reference:
        yield Scorer(toy_model, reference)


def random_variants(rng, n):
    starts = rng.integers(0, len(CHR1), n).tolist()
    found = []
    for start in starts:
        ref = CHR1[start : start + int(rng.integers(1, 5))]
        alt = "".join(rng.choice(list("ACGT"), rng.integers(1, 5)))
        found.append(Variant("chr1", start + 1, ref, alt))
    return found


def test_an_snv_counted_by_hand(scorer):
    assert CHR1[25] == "A"
    scores = scorer.score([Variant("chr1", 26, "A", "C")])
    # A weighs 1, C 2, T 8, G 4; the changed base has weight 11, index 10, on both strands.
    plus, minus = 11 * (2 - 1), 11 * (4 - 8)
    one = (plus + minus) / 2
    members = [one, 2 * one, 3 * one]
    assert scores.status == [Status.OK]
    assert scores.effects.effect.tolist() == [[2 * one, 4 * one]]
    assert scores.effects.epistemic == pytest.approx(np.array([[1, 2]]) * stdev(members))
    spread = stdev([2 * plus, 2 * minus])
    assert scores.effects.representation == pytest.approx(np.array([[1, 2]]) * spread)
    n_g = CHR1[15:35].count("G")
    n_c = CHR1[16:36].count("C")  # minus strand: index 10 of 20 is the variant again
    counts = [1 + n_g, 1 + n_g, 1 + n_c, 1 + n_c + 1]
    noise = [np.square(counts).sum() / 2 * (m / 4) ** 2 for m in (1, 2, 3)]
    assert scores.effects.aleatoric[0, 0] == pytest.approx(np.sqrt(np.mean(noise)))


def test_an_insertion_and_a_deletion_counted_by_hand(toy_model):
    #         0123456789
    contig = "ACGTACGTAC" * 4
    with genome({"1": contig}) as reference:
        scores = Scorer(toy_model, reference, PLUS_ONLY).score(
            [Variant("1", 21, "A", "AGG"), Variant("1", 21, "ACG", "A")]
        )
    weights = {"A": 1, "C": 2, "G": 4, "T": 8}
    expected = []
    for changed in (contig[:21] + "GG" + contig[21:], contig[:21] + contig[23:]):
        sums = [
            sum((i + 1) * weights[base] for i, base in enumerate(text[11:31]))
            for text in (contig, changed)
        ]
        expected.append(2 * (sums[1] - sums[0]))
    assert scores.effects.effect[:, 0].tolist() == expected


def test_every_input_has_one_outcome_in_order(scorer):
    variants = [variant for variant, _ in EVERY_STATUS]
    scores = scorer.score(variants)
    assert scores.status == [status for _, status in EVERY_STATUS]
    scored = np.array([status is Status.OK for status in scores.status])
    values = as_rows(scores.effects)
    assert values.shape == (len(NAMES), len(variants), 2)
    # This model's calibration reads nothing of hiding bases.
    is_read = np.array([name != "occlusion" for name in NAMES])
    assert np.isfinite(values[is_read][:, scored]).all()
    assert np.isnan(values[~is_read]).all()
    assert np.isnan(values[:, ~scored]).all()


def test_no_input_and_nothing_to_score(scorer):
    assert scorer.score([]).status == []
    assert scorer.score([]).effects.effect.shape == (0, 2)
    scores = scorer.score([Variant("chr1", POS, REF, "*")])
    assert scores.status == [Status.STAR_ALT]
    assert np.isnan(scores.effects.effect).all()


def test_alt_equal_to_ref_has_exactly_no_effect(scorer):
    scores = scorer.score(
        [Variant("chr1", POS, REF, REF.lower()), Variant("chr1", 3, "GTT", "GTT")]
    )
    assert scores.status == [Status.OK, Status.OK]
    assert (scores.effects.effect == 0).all()
    assert (scores.effects.epistemic == 0).all()
    assert (scores.effects.p_sign == 0.5).all()


@given(st.integers(0, 2**16), st.sampled_from([1, 3, 256]), st.data())
def test_grouping_and_batch_size_change_nothing(toy_model, seed, batch_size, data):
    variants = random_variants(np.random.default_rng(seed), 12)
    order = data.draw(st.permutations(range(12)))
    with genome({"chr1": CHR1}) as reference:
        together = Scorer(toy_model, reference).score(variants)
        other = Scorer(toy_model, reference, ScoringOptions(batch_size=batch_size))
        shuffled = other.score([variants[index] for index in order])
        alone = [other.score([variant]) for variant in variants]
    assert [together.status[index] for index in order] == shuffled.status
    expected = as_rows(together.effects)
    np.testing.assert_allclose(as_rows(shuffled.effects), expected[:, order], atol=1e-6)
    single = np.concatenate([as_rows(scores.effects) for scores in alone], axis=1)
    np.testing.assert_allclose(single, expected, atol=1e-6)


@given(st.integers(0, 2**16))
def test_a_reverse_complemented_genome_gives_the_same_answer(toy_model, seed):
    variants = random_variants(np.random.default_rng(seed), 8)
    variants = [variant for variant in variants if variant.ref != variant.alt]
    mirrored = [
        Variant(
            "chr1",
            len(CHR1) - variant.end + 1,
            reversed_complement(variant.ref),
            reversed_complement(variant.alt),
        )
        for variant in variants
    ]
    options = ScoringOptions(shifts=(0, 4, -3))
    with (
        genome({"chr1": CHR1}) as reference,
        genome({"chr1": reversed_complement(CHR1)}) as other_strand,
    ):
        one = Scorer(toy_model, reference, options, n_occluded=5).score(variants)
        two = Scorer(toy_model, other_strand, options, n_occluded=5).score(mirrored)
        plain = Scorer(toy_model, reference, options).score(variants)
    assert one.status == two.status
    singles = [is_single(form) for form in one.normalised]
    assert np.isfinite(one.effects.occlusion).all(axis=1).tolist() == singles
    # What is hidden changes nothing that is said of the alleles.
    for name in ("effect", "epistemic", "representation"):
        np.testing.assert_array_equal(getattr(one.effects, name), getattr(plain.effects, name))
    np.testing.assert_array_equal(one.novelty, plain.novelty)
    assert one.novel_as.tolist() == plain.novel_as.tolist()
    np.testing.assert_allclose(as_rows(one.effects), as_rows(two.effects), atol=1e-9)


@given(st.integers(0, 2**16))
def test_swapping_the_alleles_negates_the_effect(toy_model, seed):
    [variant] = random_variants(np.random.default_rng(seed), 1)
    changed = CHR1[: variant.start] + variant.alt + CHR1[variant.end :]
    back = Variant("chr1", variant.pos, variant.alt, variant.ref)
    with genome({"chr1": CHR1}) as reference, genome({"chr1": changed}) as other:
        one = Scorer(toy_model, reference).score([variant]).effects
        two = Scorer(toy_model, other).score([back]).effects
    np.testing.assert_allclose(two.effect, -one.effect, atol=1e-9)
    np.testing.assert_allclose(two.lower, -one.upper, atol=1e-9)
    np.testing.assert_allclose(two.sd, one.sd, atol=1e-9)


def test_members_stay_paired(toy_model, tmp_path):
    # A member alone gives its own effect: the ensemble's spread is that of these.
    write_model(tmp_path, SumModel(members=1))
    alone = Registry(tmp_path).load("sum", threads=1)
    variants = random_variants(np.random.default_rng(5), 6)
    with genome({"chr1": CHR1}) as reference:
        ensemble = Scorer(toy_model, reference).score(variants).effects
        first = Scorer(alone, reference).score(variants).effects
    assert np.isnan(first.epistemic).all()
    np.testing.assert_allclose(ensemble.effect, 2 * first.effect, atol=1e-9)
    np.testing.assert_allclose(ensemble.epistemic, np.abs(first.effect), atol=1e-9)


def test_a_variant_for_which_the_model_fails_is_alone_in_that(tmp_path):
    # The middle base counts alone, and T there overflows float32.
    middle = tuple(2.0 if index == 10 else 0.0 for index in range(20))
    write_model(tmp_path, SumModel(base_weights=(1, 2, 4, 3e38, 0), position_weights=middle))
    model = Registry(tmp_path).load("sum", threads=1)
    start = CHR1.index("GC")
    variants = [Variant("chr1", start + 1, "G", alt) for alt in "CTN"]
    with genome({"chr1": CHR1}) as reference:
        scores = Scorer(model, reference, PLUS_ONLY).score(variants)
    assert scores.status == [Status.OK, Status.MODEL_NAN, Status.OK]
    values = as_rows(scores.effects)
    assert np.isnan(values[:, 1]).all()
    assert scores.effects.effect[:, 0].tolist()[::2] == [2 * 2 * (2 - 4), 2 * 2 * (0 - 4)]


class CountingModel:
    """A model that remembers its batches."""

    def __init__(self, model):
        self.info, self.card = model.info, model.card
        self.calibration, self.providers = model.calibration, model.providers
        self.novelty, self.background = model.novelty, model.background
        self.batches = []
        self._run = model.run

    def run(self, bases):
        self.batches.append(bases.copy())
        return self._run(bases)


def test_batches_have_a_fixed_maximum_and_no_sequence_is_needed_twice(toy_model):
    model = CountingModel(toy_model)
    sites = [(pos, CHR1[pos - 1]) for pos in range(20, 60)]
    variants = [Variant("chr1", pos, ref, alt) for pos, ref in sites for alt in "ACGT"]
    with genome({"chr1": CHR1}) as reference:
        Scorer(model, reference, ScoringOptions(batch_size=32)).score(variants)
    # REF once and the three other bases for each site and strand; the ALT that equals its REF is
    # cut, but not looked at.
    sizes = [len(batch) for batch in model.batches]
    assert sizes == [32] * (40 * 5 * 2 // 32) + [16]


def test_memory_is_flat_in_the_number_of_variants(toy_model, monkeypatch):
    monkeypatch.setattr("service.scoring._ITEMS_PER_CHUNK", 16)
    variants = random_variants(np.random.default_rng(1), 100)
    with genome({"chr1": CHR1}) as reference:
        scorer = Scorer(CountingModel(toy_model), reference)
        at_once = []
        original = scorer.predict
        scorer.predict = lambda windows: at_once.append(len(windows.status)) or original(windows)
        scores = scorer.score(variants)
        monkeypatch.setattr("service.scoring._ITEMS_PER_CHUNK", 1000)
        whole = Scorer(toy_model, reference).score(variants)
    assert at_once == [16] * 6 + [4]
    assert (scores.status, scores.normalised) == (whole.status, whole.normalised)
    np.testing.assert_allclose(as_rows(scores.effects), as_rows(whole.effects), atol=1e-6)


class TestPairs:
    def test_are_scored_like_the_windows_they_fill(self, toy_model):
        pairs = [(CHR1[10:30], CHR1[10:20] + "A" + CHR1[21:30]), ("acgt", "ACGA")]
        scores = Scorer(toy_model, options=PLUS_ONLY).score_pairs(pairs)
        assert scores.status == [Status.OK, Status.OK]
        weights = {"A": 1, "C": 2, "G": 4, "T": 8}
        assert scores.effects.effect[:, 0].tolist() == [
            2 * 11 * (weights["A"] - weights[CHR1[20]]),
            2 * 12 * (weights["A"] - weights["T"]),
        ]

    def test_give_one_outcome_each(self, toy_model):
        pairs = [("ACGT", "ACGA"), ("A" * 21, "A"), ("A", ""), ("A", "X"), ("ACGT", "ACGT")]
        scores = Scorer(toy_model).score_pairs(pairs)
        assert scores.status == [
            Status.OK, Status.ALLELE_TOO_LONG, Status.NON_ACGTN, Status.NON_ACGTN, Status.OK,
        ]  # fmt: skip
        assert scores.effects.effect[4].tolist() == [0, 0]

    def test_of_an_indel_equal_the_variant_that_lies_where_the_pair_has_it(self, toy_model):
        # The contig is the ref sequence: 10 bases, padded by 5; base 5 of it has index 10 of 20.
        contig = "ACGTGCATTA"
        changes = [("GCA", "G", 5), ("G", "GCC", 5), ("GCAT", "GGA", 5)]
        variants = [Variant("1", pos, ref, alt) for ref, alt, pos in changes]
        pairs = [(contig, contig[:4] + alt + contig[4 + len(ref) :]) for ref, alt, _ in changes]
        with genome({"1": contig}) as reference:
            one = Scorer(toy_model, reference, PLUS_ONLY).score(variants)
        two = Scorer(toy_model, options=PLUS_ONLY).score_pairs(pairs)
        for row in (0, 2):
            np.testing.assert_array_equal(
                as_rows(one.effects)[:, row], as_rows(two.effects)[:, row]
            )
        # The insertion makes the longer sequence 12 bases: a shift of 1 puts it back.
        moved = ScoringOptions(strands=1, shifts=(1,))
        three = Scorer(toy_model, options=moved).score_pairs(pairs[1:2])
        np.testing.assert_array_equal(as_rows(one.effects)[:, 1], as_rows(three.effects)[:, 0])

    def test_of_whole_windows_equal_the_variant(self, toy_model):
        # With one strand, the window of an SNV is the pair of its two windows.
        variant = Variant("chr1", POS, REF, "T")
        left = POS - 1 - 10
        pair = (CHR1[left : left + 20], CHR1[left : POS - 1] + "T" + CHR1[POS : left + 20])
        with genome({"chr1": CHR1}) as reference:
            scorer = Scorer(toy_model, reference, PLUS_ONLY)
            one, two = scorer.score([variant]), scorer.score_pairs([pair])
        assert np.array_equal(as_rows(one.effects), as_rows(two.effects), equal_nan=True)


def test_one_strand_and_one_shift_have_no_representation_spread(toy_model):
    with genome({"chr1": CHR1}) as reference:
        effects = Scorer(toy_model, reference, PLUS_ONLY).score([EVERY_STATUS[0][0]]).effects
    assert np.isnan(effects.representation).all()
    assert np.isfinite(effects.sd).all()


def fitted_shape():
    return Shape(**CALIBRATION["shape"])


class TestCalibration:
    """A model like the real ones: fitted for K562 and HepG2 with two strands, not for WTC11."""

    TARGETS = ("K562", "HepG2", "WTC11")
    VARIANT = EVERY_STATUS[0][0]

    @pytest.fixture
    def models(self, tmp_path):
        block = CALIBRATION | {"targets": ["K562", "HepG2"]}
        model = SumModel(targets=self.TARGETS)
        write_model(tmp_path, model, name="raw")
        write_model(tmp_path, model, name="fitted", card={"calibration": block})
        registry = Registry(tmp_path)
        return registry.load("raw", threads=1), registry.load("fitted", threads=1)

    @pytest.fixture
    def reference(self):
        with genome({"chr1": CHR1}) as opened:
            yield opened

    def test_sets_the_widths_of_the_targets_it_was_fitted_for(self, models, reference):
        raw, fitted = (Scorer(model, reference).score([self.VARIANT]) for model in models)
        assert (raw.calibrated, fitted.calibrated) == ((False,) * 3, (True, True, False))
        one, two = raw.effects, fitted.effects
        np.testing.assert_array_equal(two.effect, one.effect)
        np.testing.assert_array_equal(as_rows(two)[:, :, 2], as_rows(one)[:, :, 2])
        shape = fitted_shape()
        for target in (0, 1):
            said = one.effect, one.epistemic, one.occlusion
            true = shape.distribution(*(part[:, target] for part in said))
            np.testing.assert_allclose(two.sd[:, target], true.total_sd)
            repeat = true.widened(CALIBRATION["assay_sd"])
            np.testing.assert_allclose(two.repeat_sd[:, target], repeat.total_sd)
        # K562 has a correlation of the errors of both alleles, HepG2 has none.
        assert two.aleatoric[0, 0] < one.aleatoric[0, 0]
        assert two.aleatoric[0, 1] == one.aleatoric[0, 1]

    def test_reads_what_hiding_does_where_it_holds(self, tmp_path, reference):
        shape = CALIBRATION["shape"] | {"by_occlusion": 0.5}
        block = CALIBRATION | {"targets": ["K562", "HepG2"], "shape": shape, "n_occluded": 5}
        model = SumModel(targets=self.TARGETS)
        write_model(tmp_path, model, name="hides", card={"calibration": block})
        write_model(tmp_path, model, name="raw")
        registry = Registry(tmp_path)
        hides, raw = (registry.load(name, threads=1) for name in ("hides", "raw"))
        scorer = Scorer(hides, reference)
        assert (scorer.n_occluded, scorer.n_windows) == (5, 3)
        same = replace(self.VARIANT, alt=self.VARIANT.ref)
        longer = replace(self.VARIANT, alt=self.VARIANT.ref + "G")
        found = scorer.score([self.VARIANT, same, longer])
        plain = Scorer(raw, reference).score([self.VARIANT])
        effects = found.effects
        np.testing.assert_array_equal(effects.effect[:1], plain.effects.effect)
        # N weighs nothing in this model: hidden are the five bases with the variant in the middle.
        start = self.VARIANT.pos - 1
        codes = [
            encode(CHR1[start - 10 : start + 10]),
            encode(reversed_complement(CHR1[start - 9 : start + 11])),
        ]
        lost = []
        for ref in codes:
            hidden = ref.copy()
            hidden[8:13] = 4
            lost.append(model.mu(hidden[None]) - model.mu(ref[None]))
        occlusion = np.mean(lost, axis=(0, 1, 2))
        np.testing.assert_allclose(effects.occlusion[0, :2], occlusion[:2], rtol=1e-6)
        assert np.isnan(effects.occlusion[:, 2]).all(), "this target is not calibrated"
        assert (effects.occlusion[1, :2] == 0).all()
        assert (effects.expected[1] == 0).all()
        assert np.isnan(effects.occlusion[2]).all(), "of one base for another alone"
        assert np.isfinite(effects.expected[2]).all()
        for target in (0, 1):
            moved = effects.effect[:1, target] + 0.5 * occlusion[target]
            true = fitted_shape().distribution(
                moved, effects.epistemic[:1, target], np.full(1, np.nan)
            )
            np.testing.assert_allclose(effects.expected[:1, target], true.expectation, rtol=1e-6)
            np.testing.assert_allclose(effects.sd[:1, target], true.total_sd, rtol=1e-6)
        np.testing.assert_array_equal(effects.expected[:1, 2], plain.effects.expected[:, 2])
        np.testing.assert_allclose(
            scorer.true_effects(found).expectation[:, :2], effects.expected[:, :2]
        )
        # A calibration does not hold where other bases are hidden than it reads of.
        for n_occluded in (0, 7):
            other = Scorer(hides, reference, n_occluded=n_occluded)
            assert (other.n_occluded, any(other.calibrated)) == (n_occluded, False)
        for n_occluded in (4, -5):
            with pytest.raises(ValidationError, match="odd number"):
                Scorer(hides, reference, n_occluded=n_occluded)
        # Nothing is hidden where nothing reads it.
        for other in (
            Scorer(hides, reference, ScoringOptions(strands=1)),
            Scorer(hides),
            Scorer(raw, reference),
        ):
            assert (other.n_occluded, other.n_windows) == (0, 2)

    @pytest.mark.parametrize(
        "options",
        [{"strands": 1}, {"shifts": (0, 3)}, {"shifts": (3,)}, {"strands": 1, "shifts": (0, 3)}],
    )
    def test_says_nothing_of_other_passes(self, models, reference, options):
        scorers = [Scorer(model, reference, ScoringOptions(**options)) for model in models]
        raw, fitted = (scorer.score([self.VARIANT]) for scorer in scorers)
        assert fitted.calibrated == (False,) * 3
        np.testing.assert_array_equal(as_rows(fitted.effects), as_rows(raw.effects))
        found = scorers[1].provenance()
        assert (found["calibrated"], found["calibrated_targets"]) == (False, [])

    def test_holds_for_any_coverage_and_batch_size(self, models, reference):
        options = ScoringOptions(coverage=0.5, batch_size=2)
        assert Scorer(models[1], reference, options).calibrated == (True, True, False)

    def test_says_nothing_of_sequence_pairs(self, models, reference):
        pair = ("ACGTACGT", "ACGAACGT")
        for genome_or_none in (None, reference):
            raw, fitted = (Scorer(model, genome_or_none).score_pairs([pair]) for model in models)
            assert fitted.calibrated == (False,) * 3
            np.testing.assert_array_equal(as_rows(fitted.effects), as_rows(raw.effects))
            found = Scorer(models[1], genome_or_none).provenance(fitted)
            assert (found["calibrated"], found["calibrated_targets"]) == (False, [])

    def test_is_in_the_provenance_of_variants(self, models, reference):
        raw, fitted = (Scorer(model, reference).provenance() for model in models)
        assert (raw["calibrated"], raw["calibrated_targets"]) == (False, [])
        assert (fitted["calibrated"], fitted["calibrated_targets"]) == (True, ["K562", "HepG2"])
        assert Scorer(models[1]).provenance()["calibrated"] is False, "nothing but pairs to score"


def test_variants_without_a_reference_are_refused(toy_model):
    with pytest.raises(ValidationError, match="need a reference FASTA"):
        Scorer(toy_model).score([EVERY_STATUS[0][0]])


@pytest.mark.parametrize(
    "options",
    [
        {"strands": 3},
        {"shifts": ()},
        {"shifts": (0, 0)},
        {"coverage": 1.0},
        {"coverage": 0.0},
        {"batch_size": 0},
        {"anchorings": ()},
        {"anchorings": (Anchoring.LEFT, Anchoring.LEFT)},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValidationError):
        ScoringOptions(**options)


@pytest.mark.parametrize("shift", [10, -11])
def test_a_shift_beyond_the_window_is_refused_at_once(toy_model, shift):
    with pytest.raises(ValidationError, match=f"shift of {shift} leaves the window of 20"):
        Scorer(toy_model, options=ScoringOptions(shifts=(shift,)))


def test_provenance_says_how_the_scores_were_made(toy_model, toy_models_dir):
    with genome({"chr1": CHR1}, "GRCh37") as reference:
        found = Scorer(toy_model, reference, ScoringOptions(shifts=(0, 2))).provenance()
    card = Registry(toy_models_dir).card("sum")
    digest = hashlib.sha256(f">chr1\n{in_lines(CHR1)}".encode()).hexdigest()
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "varsigma_version": __version__,
        "model": "sum",
        "model_sha256": card["model_sha256"],
        "contract_version": "1",
        "recipe": "sum",
        "fingerprint": "toy-fingerprint",
        "targets": ["K562", "HepG2"],
        "members": 3,
        "units": "log2(RNA/DNA)",
        "data_digest": "toy-data",
        "card_sha256": {
            "calibration": None,
            "novelty": digest_of(card["novelty"]),
            "background": digest_of(card["background"]),
        },
        "onnxruntime": ort.__version__,
        "providers": ["CPUExecutionProvider"],
        "threads": 1,
        "precision": "float32",
        "assembly": "GRCh37",
        "reference": "genome.fa",
        "reference_sha256": digest,
        "options": {
            "strands": 2,
            "shifts": [0, 2],
            "anchorings": ["left", "right"],
            "coverage": 0.9,
            "batch_size": 256,
        },
        "calibrated": False,
        "calibrated_targets": [],
        "use": "research use only",
    }
    pairs_only = Scorer(toy_model).provenance()
    assert (pairs_only["assembly"], pairs_only["reference"]) == (None, None)


def test_threads_may_share_a_scorer(scorer):
    groups = [random_variants(np.random.default_rng(seed), 40) for seed in range(8)]
    expected = [as_rows(scorer.score(group).effects) for group in groups]
    with ThreadPoolExecutor(4) as pool:
        found = [as_rows(scores.effects) for scores in pool.map(scorer.score, groups)]
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9)
