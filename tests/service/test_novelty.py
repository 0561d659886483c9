"""Novelty of windows: what is strange is flagged, what is known is not, and broken cards are."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.composition import K, reversed_kmers
from service.errors import ModelContractError, ValidationError
from service.novelty import ASPECTS, Aspect, Novelty, Tail
from service.sequence import encode, reverse_complement
from tests.service.familiar import WIDTH, entry

NOVELTY = Novelty.from_card(entry(), WIDTH)


def windows(n=200, seed=0, gc=0.5):
    p = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    return np.random.default_rng(seed).choice(4, (n, WIDTH), p=p).astype(np.uint8)


def aspects(scores):
    return {ASPECTS[at] for at in scores.aspect.tolist()}


def test_what_is_familiar_has_a_p_below_a_level_as_often_as_the_level_says():
    p = NOVELTY.score(windows(4000)).p
    for level in (0.05, 0.2, 0.5, 0.8):
        # Ties (GC of 80 bases has few values) may make it rarer, never more frequent.
        assert level - 0.06 < np.mean(p <= level) < level + 0.02


@pytest.mark.parametrize(
    ("strange", "aspect"),
    [
        (windows(1, gc=0.15), Aspect.LOW_GC),
        (windows(1, gc=0.85), Aspect.HIGH_GC),
        (np.resize(encode("CAG"), (1, WIDTH)), Aspect.TANDEM_REPEAT),
        (np.resize(encode("GATTACAGGCCT"), (1, WIDTH)), Aspect.TANDEM_REPEAT),
        (np.zeros((1, WIDTH), np.uint8), Aspect.TANDEM_REPEAT),
        (np.full((1, WIDTH), 4, np.uint8), Aspect.UNKNOWN_BASES),
    ],
)
def test_what_is_strange_is_flagged_by_its_name(strange, aspect):
    scores = NOVELTY.score(strange)
    assert scores.is_novel().all()
    assert aspects(scores) == {aspect}
    assert (scores.score > 2).all()


def test_rare_kmers_are_flagged_where_gc_and_repeats_are_ordinary():
    # Familiar windows hold ACG and CGT as often as chance has it, and those are improbable.
    kmers = np.arange(4**K)
    is_rare = kmers % 64 == int("012", 4)
    is_rare |= is_rare[reversed_kmers(kmers, K)]
    novelty = Novelty.from_card(entry(log_p=np.where(is_rare, -9000, -1000)), WIDTH)
    ordinary = windows(50)
    strange = ordinary.copy()
    places = np.tile(np.arange(0, WIDTH - 3, 4), (50, 1))
    places = np.random.default_rng(1).permuted(places, axis=1)[:, :8]
    for base in range(3):  # ACG
        np.put_along_axis(strange, places + base, base, axis=1)
    scores = novelty.score(strange)
    assert np.median(scores.p) < 0.05
    assert np.median(novelty.score(ordinary).p) > 0.3
    assert np.mean(scores.aspect == ASPECTS.index(Aspect.RARE_KMERS)) > 0.8


def test_more_unknown_bases_are_never_less_novel_and_a_few_flag_nothing():
    ordinary = windows(200)
    p = []
    for n_unknown in range(0, WIDTH + 1, 10):
        masked = ordinary.copy()
        masked[:, : n_unknown // 2] = masked[:, WIDTH - n_unknown + n_unknown // 2 :] = 4
        p.append(NOVELTY.score(masked).p)
    assert np.mean(p[1] < 0.01) < 0.05
    assert (p[-1] < 0.01).all()
    # Beyond the tail of the windows with N, all are flagged; before it, about as many as without.
    shares = [np.mean(each < 0.01) for each in p]
    assert shares[-3:] == [1.0] * 3
    assert max(shares[:4]) < 0.05


@given(st.lists(st.text("ACGTN", min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=3))
def test_the_other_strand_is_as_novel_to_the_last_bit(texts):
    codes = np.stack([encode(text) for text in texts])
    plus, minus = NOVELTY.score(codes), NOVELTY.score(reverse_complement(codes))
    np.testing.assert_array_equal(plus.p, minus.p)
    np.testing.assert_array_equal(plus.aspect, minus.aspect)
    assert ((plus.p > 0) & (plus.p <= 1)).all()


def test_a_variant_is_as_novel_as_its_stranger_allele_averaged_over_passes():
    ordinary, strange = windows(3, seed=1), np.resize(encode("AC"), (3, WIDTH))
    pairs = np.stack(
        [
            np.stack([np.stack([ordinary[0], strange[0]]), np.stack([ordinary[0], strange[0]])]),
            np.stack([np.stack([strange[1], ordinary[1]]), np.stack([ordinary[1], ordinary[1]])]),
            np.stack([np.stack([ordinary[2], ordinary[2]])] * 2),
        ]
    )
    found = NOVELTY.score_variants(pairs)
    alone, repeat = NOVELTY.score(ordinary), NOVELTY.score(strange)
    expected = [repeat.score[0], (repeat.score[1] + alone.score[1]) / 2, alone.score[2]]
    np.testing.assert_allclose(found.score, expected, rtol=1e-9)
    assert found.aspect.tolist() == [repeat.aspect[0], repeat.aspect[1], alone.aspect[2]]
    swapped = NOVELTY.score_variants(pairs[:, :, ::-1])
    np.testing.assert_array_equal(found.p, swapped.p)


def test_no_variants_have_no_scores():
    assert NOVELTY.score_variants(np.empty((0, 2, 2, WIDTH), np.uint8)).p.shape == (0,)


def test_windows_of_another_width_are_refused():
    with pytest.raises(ValidationError, match=rf"shape \(N, {WIDTH}\), got \(2, 30\)"):
        NOVELTY.score(np.zeros((2, 30), np.uint8))


# --- tails ----------------------------------------------------------------------------------------


def test_a_tail_is_exact_at_its_places_monotone_between_and_stops_at_its_ends():
    tail = Tail(values=(0.0, 1.0, 3.0), shares=(1.0, 0.1, 0.001))
    np.testing.assert_allclose(tail.share(np.array([-9, 0, 1, 3, 99.0])), [1, 1, 0.1, 1e-3, 1e-3])
    np.testing.assert_allclose(tail.share(np.array([0.5, 2.0])), [10**-0.5, 0.01])
    assert (np.diff(tail.share(np.linspace(-1, 4, 101))) <= 0).all()


# --- the entry of a card --------------------------------------------------------------------------


def test_an_entry_comes_back_from_json():
    text = json.dumps(entry())
    again = Novelty.from_card(json.loads(text), WIDTH)
    assert json.loads(again.familiar.model_dump_json()) == json.loads(text)
    codes = windows(50, gc=0.7)
    np.testing.assert_array_equal(again.score(codes).p, NOVELTY.score(codes).p)


def test_a_card_without_one_has_none():
    assert Novelty.from_card(None, WIDTH) is None


def broken(**changes):
    return entry() | changes


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ([], r"novelty: Input should be"),
        ({k: v for k, v in entry().items() if k != "combined"}, "novelty.combined: Field required"),
        (broken(more=1), "novelty.more: Extra inputs"),
        (broken(version=2), "novelty.version"),
        (broken(k=6), "novelty.k"),
        (broken(kmers="not base64!"), "novelty.kmers: .*no base64"),
        (broken(kmers="AAAA"), "novelty.kmers: .*3 bytes, expected 16384"),
        (broken(pairs=[0] * 15), "novelty.pairs"),
        (broken(pairs=[0.5] * 16), r"novelty.pairs.0"),
        (broken(n=0), "novelty.n:"),
        (broken(tails={}), "novelty.tails: .*no tail of tandem_repeat, low_gc"),
        (broken(tails=entry()["tails"] | {"colour": {}}), "novelty.tails.colour"),
        (broken(combined={"values": [0.0, 1.0], "shares": [1.0]}), "2 values for 1 shares"),
        (broken(combined={"values": [1.0, 0.0], "shares": [1.0, 0.5]}), "values must ascend"),
        (broken(combined={"values": [0.0, 1.0], "shares": [0.5, 1.0]}), "shares descend"),
        (broken(combined={"values": [0.0, 1.0], "shares": [1.0, 0.0]}), "combined.shares.1"),
        (broken(combined={"values": [0.0, "1"], "shares": [1.0, 0.5]}), "combined.values.1"),
        (broken(combined={"values": [0.0, float("inf")], "shares": [1.0, 0.5]}), "values.1"),
        (broken(window=100), r"novelty.window: it is of windows of 100 bases, the model's have"),
    ],
)
def test_a_broken_entry_is_refused_by_the_key_at_fault(block, message):
    with pytest.raises(ModelContractError, match=message):
        Novelty.from_card(block, WIDTH)


def test_it_keeps_up_with_a_model():
    # A model on one core does a few thousand windows a second; this must not be what limits it.
    codes = windows(4000)
    NOVELTY.score(codes[:600])
    start = time.process_time()
    NOVELTY.score(codes)
    assert len(codes) / (time.process_time() - start) > 5000
