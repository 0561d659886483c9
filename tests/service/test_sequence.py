"""Codes are A0 C1 G2 T3 N4; everything else follows from properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ValidationError
from service.sequence import decode, encode, reverse_complement
from tests.genomes import reversed_complement

bases = st.text("ACGTN", max_size=60)


def test_the_order_of_the_contract():
    assert encode("ACGTN").tolist() == [0, 1, 2, 3, 4]
    assert encode(b"acgtn").tolist() == [0, 1, 2, 3, 4]
    assert encode("ACGTN").dtype == np.uint8


@given(bases)
def test_decode_undoes_encode(sequence):
    assert decode(encode(sequence)) == sequence
    assert decode(encode(sequence.lower())) == sequence


@given(bases)
def test_reverse_complement_is_that_of_the_text(sequence):
    codes = encode(sequence)
    assert decode(reverse_complement(codes)) == reversed_complement(sequence)
    assert np.array_equal(reverse_complement(reverse_complement(codes)), codes)


def test_reverse_complement_works_along_the_last_axis():
    pair = np.stack([encode("AACG"), encode("TTNC")])
    assert [decode(row) for row in reverse_complement(pair)] == ["CGTT", "GNAA"]


@pytest.mark.parametrize("letter", ["R", "U", "-", ".", "*", " ", "\n", "é", "Ā"])
def test_another_letter_is_named_with_its_place(letter):
    with pytest.raises(ValidationError) as caught:
        encode(f"ACG{letter}A")
    assert repr(letter) in caught.value.message
    assert "position 4" in caught.value.message
    assert caught.value.detail == {"position": 4}


def test_genomes_may_hold_ambiguous_bases_but_no_other_letters():
    assert decode(encode("ARryKMSWBDHVUacx"[:-1], ambiguous_as_n=True)) == "A" + "N" * 12 + "AC"
    with pytest.raises(ValidationError, match="'X'"):
        encode("ACX", ambiguous_as_n=True)
