"""Which bases of a construct a model gets to see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.constructs import ADAPTERS, construct_windows
from service.errors import ValidationError
from service.sequence import decode
from training.assays import LENTI_FLANKS

LEFT, RIGHT = ADAPTERS
W = 20
INSERT = "AACCAACCAACCAACCAACC"
bases = st.text("ACGT", max_size=60)


def window(sequence: str, upstream: str = "", downstream: str = "") -> str:
    [codes] = construct_windows([sequence], W, upstream=upstream, downstream=downstream)
    return decode(codes)


def test_the_adapters_are_those_that_the_models_have_inside():
    assert ADAPTERS == LENTI_FLANKS


@pytest.mark.parametrize(
    ("upstream", "sequence", "downstream", "expected"),
    [
        # as long as the window: the flanks are no part of it
        ("GGG" + LEFT, INSERT, RIGHT + "GGG", INSERT),
        ("GGG", INSERT, "GGG", INSERT),
        # with its adapters, which the graph adds: they are not shown twice
        ("", LEFT + INSERT + RIGHT, "", INSERT),
        ("GGG" + LEFT, LEFT + INSERT + RIGHT, RIGHT + "GGG", INSERT),
        ("GGG", "TT" + LEFT + INSERT + RIGHT + "TTTTTTT", "GGG", INSERT),
        ("GGG" + LEFT, INSERT + RIGHT, "GGG", INSERT),
        ("GGG", LEFT + INSERT, RIGHT, INSERT),
        ("GGG" + LEFT[:9], LEFT[9:] + INSERT, RIGHT, INSERT),
        # between adapters that stand off: the bases of the flanks complete the insert
        (LEFT + INSERT[:1], INSERT[1:17], INSERT[17:] + RIGHT, INSERT),
        # longer: the middle of the insert, or of the sequence where nothing says what that is
        ("", LEFT + "TT" + INSERT + "TTT" + RIGHT, "", INSERT),
        ("", "G" * 30 + LEFT + "TT" + INSERT + "TT" + RIGHT, "", INSERT),
        (LEFT, "TT" + INSERT + "TTT", RIGHT, INSERT),
        ("CCC", "TT" + INSERT + "TTT", "CCC", INSERT),
        ("", "TT" + INSERT + "TTT" + RIGHT, "", ("TT" + INSERT + "TTT" + RIGHT)[10:30]),
        # an adapter that is far away says nothing about the sequence
        (LEFT + "C" * 15, "TT" + INSERT + "TT", RIGHT, INSERT),
        (LEFT + "C" * 25, "TT" + INSERT + "TT", RIGHT, INSERT),
        # shorter: its neighbours in the flanks, then N; the odd base goes to the right
        ("CCACCA", "T" * 15, "GGAGGA", "CA" + "T" * 15 + "GGA"),
        ("C", "T" * 10, "GG", "NNNNC" + "T" * 10 + "GGNNN"),
        ("", "T", "", "N" * 9 + "T" + "N" * 10),
        ("CCCCC", "T" * 18, "", "C" + "T" * 18 + "N"),
        ("CCCCC" + LEFT, "T" * 10, RIGHT, LEFT[-5:] + "T" * 10 + RIGHT[:5]),
        ("", INSERT[:10], "", "N" * 5 + INSERT[:10] + "N" * 5),
    ],
)
def test_a_window_is_centred_on_the_insert(upstream, sequence, downstream, expected):
    assert window(sequence, upstream, downstream) == expected
    assert window(sequence.lower(), upstream.lower(), downstream.lower()) == expected


@given(st.lists(st.text("ACGTN", min_size=1, max_size=60), min_size=1, max_size=8), bases, bases)
def test_windows_are_slices_of_the_construct_around_the_middle(sequences, upstream, downstream):
    windows = construct_windows(sequences, W, upstream=upstream, downstream=downstream)
    assert windows.shape == (len(sequences), W)
    for codes, sequence in zip(windows, sequences, strict=True):
        construct = "N" * W + upstream + sequence + downstream + "N" * W
        middle = W + len(upstream) + len(sequence) / 2
        shown = decode(codes)
        starts = [i for i in range(len(construct)) if construct.startswith(shown, i)]
        assert any(abs(start + W / 2 - middle) <= 0.5 for start in starts)


def test_of_long_flanks_the_ends_beside_the_sequence_are_seen():
    upstream, downstream = "T" * 300 + "AACCAACC", "CCAACCAA" + "T" * 300
    assert window("ACTG", upstream, downstream) == "AACCAACCACTGCCAACCAA"


def test_one_sequence_with_adapters_does_not_change_the_others():
    sequences = [INSERT, LEFT + INSERT[::-1] + RIGHT, INSERT[1:]]
    together = construct_windows(sequences, W)
    assert [decode(row) for row in together] == [window(sequence) for sequence in sequences]
    assert np.array_equal(together[:1], construct_windows([INSERT], W))


def test_another_letter_is_refused_even_where_the_model_would_not_see_it():
    for sequences, upstream in (([INSERT, "A" * 40 + "X"], ""), ([INSERT[:9]], "GX")):
        with pytest.raises(ValidationError, match="ACGTN only, found 'X'"):
            construct_windows(sequences, W, upstream=upstream)
