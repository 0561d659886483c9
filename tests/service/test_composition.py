"""What is measured of a window: every number against a slow twin on strings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.composition import (
    PACKED_BYTES,
    PERIODS,
    UNIT,
    K,
    KmerScores,
    Measures,
    kmer_places,
    pack,
    reversed_kmers,
    unpack,
)
from service.sequence import decode, encode, reverse_complement
from tests.genomes import reversed_complement

WIDTH = 40
rng = np.random.default_rng(0)


def symmetric(values):
    other = reversed_kmers(np.arange(4**K), K)
    return -np.minimum(values, values[other]).astype(np.int64)


LOG_P = symmetric(rng.integers(1, 5000, 4**K))
PAIRS = -rng.integers(1, 3000, 16)
SCORES = KmerScores.build(LOG_P, PAIRS)

windows = st.text("ACGTN", min_size=WIDTH, max_size=WIDTH)


def number(kmer):
    return int("".join("ACGT".index(base).__str__() for base in kmer), 4)


def slow_gain(kmer):
    last = PAIRS[number(kmer[-2:])] + PAIRS[number(reversed_complement(kmer)[-2:])]
    return LOG_P[number(kmer)] - last // 2


def slow_repeat(window):
    longest = 0
    for period in PERIODS:
        run = 0
        for here, before in zip(window[period:], window, strict=False):
            run = run + 1 if here == before != "N" else 0
            longest = max(longest, run)
    return longest


@given(windows)
def test_every_measure_equals_its_slow_twin(window):
    found = Measures.of(encode(window)[None], SCORES)
    kmers = [window[at : at + K] for at in range(WIDTH - K + 1)]
    known = [kmer for kmer in kmers if "N" not in kmer]
    n_known = WIDTH - window.count("N")
    assert found.known[0] == n_known / WIDTH
    assert found.complete[0] == len(known) / len(kmers)
    gc = (window.count("G") + window.count("C")) / n_known if n_known else 0.5
    assert found.gc[0] == pytest.approx(gc)
    n = max(len(known), 1)
    assert found.log_p[0] * UNIT == pytest.approx(sum(LOG_P[number(k)] for k in known) / n)
    assert found.gain[0] * UNIT == pytest.approx(sum(map(slow_gain, known)) / n)
    assert found.repeat[0] == slow_repeat(window)


@given(st.lists(windows, min_size=1, max_size=4))
def test_the_other_strand_measures_the_same_to_the_last_bit(texts):
    codes = np.stack([encode(text) for text in texts])
    plus, minus = (Measures.of(strand, SCORES) for strand in (codes, reverse_complement(codes)))
    for name in Measures.__slots__:
        np.testing.assert_array_equal(getattr(plus, name), getattr(minus, name))


def test_windows_measured_together_measure_as_they_do_alone():
    # More than one chunk, with N in the last one only.
    codes = rng.integers(0, 4, (1200, WIDTH), dtype=np.uint8)
    codes[-1, 5] = 4
    together = Measures.of(codes, SCORES)
    for row in (0, 511, 512, 1199):
        alone = Measures.of(codes[row : row + 1], SCORES)
        for name in Measures.__slots__:
            assert getattr(together, name)[row] == getattr(alone, name)[0]


def test_no_windows_have_no_measures():
    found = Measures.of(np.empty((0, WIDTH), np.uint8), SCORES)
    assert {len(getattr(found, name)) for name in Measures.__slots__} == {0}


def test_a_kmer_has_the_number_of_its_letters():
    places = kmer_places(encode("ACGTACGTN")[None])[0]
    assert places.tolist() == [number("ACGTACG"), number("CGTACGT"), 4**K]


def test_reverse_complements_of_numbers_are_those_of_letters():
    kmers = rng.integers(0, 4, (50, K), dtype=np.uint8)
    found = reversed_kmers(kmer_places(kmers)[:, 0].astype(np.int64), K)
    assert found.tolist() == [number(reversed_complement(decode(row))) for row in kmers]


def test_packed_values_come_back():
    text = pack(LOG_P)
    np.testing.assert_array_equal(unpack(text), LOG_P)
    assert len(text) == -(-PACKED_BYTES // 3) * 4
