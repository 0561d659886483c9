"""Alleles that can be scored, and the smallest edit that a variant makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Status
from service.records import parse_line
from service.variants import Edit, Variant, allele_status, trim

alleles = st.text("ACGTNacgtn", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("ref", "alt", "status"),
    [
        ("A", "C", Status.OK),
        ("acgtn", "N", Status.OK),
        ("A", "A", Status.OK),
        ("A", "", Status.NON_ACGTN),
        ("", "", Status.NON_ACGTN),
        ("A", ".", Status.NO_ALT),
        ("A", "*", Status.STAR_ALT),
        ("A", "<DEL>", Status.SYMBOLIC_ALT),
        ("A", "<*>", Status.SYMBOLIC_ALT),
        ("A", "<NON_REF>", Status.SYMBOLIC_ALT),
        ("A", "<INS:ME:ALU>", Status.SYMBOLIC_ALT),
        ("G", "G]17:198982]", Status.BREAKEND_ALT),
        ("T", "]13:123456]T", Status.BREAKEND_ALT),
        ("C", "C[<ctg1>:7[", Status.BREAKEND_ALT),
        ("G", "G.", Status.BREAKEND_ALT),
        ("G", ".G", Status.BREAKEND_ALT),
        ("A", "R", Status.NON_ACGTN),
        ("A", "A-", Status.NON_ACGTN),
        ("A", "AC\n", Status.NON_ACGTN),
        ("R", "A", Status.NON_ACGTN),
        ("", "A", Status.NON_ACGTN),
        (".", "A", Status.NON_ACGTN),
        ("R", "*", Status.STAR_ALT),
    ],
)
def test_allele_status(ref, alt, status):
    assert allele_status(ref, alt) is status


def test_the_empty_part_of_an_alt_is_a_malformed_allele():
    record = parse_line(b"1\t7\t.\tA\tC,,G,\t.\t.\t.\n", 3)
    ok, bad = Status.OK, Status.NON_ACGTN
    assert [allele_status(one.ref, one.alt) for one in record.variants] == [ok, bad, ok, bad]
    assert "empty" in bad.reason


def test_coordinates_are_1_based_outside_and_half_open_inside():
    variant = Variant("chr1", 10, "acg", "T")
    assert (variant.start, variant.end) == (9, 12)
    assert (variant.ref, variant.alt) == ("acg", "T"), "alleles stay as they came"
    assert str(variant) == "chr1:10:acg>T"


@pytest.mark.parametrize(
    ("name", "pos", "ref", "alt", "edit"),
    [
        ("snv", 10, "A", "C", Edit(9, 10, "C")),
        ("lower case", 10, "a", "c", Edit(9, 10, "C")),
        ("snv written long", 10, "TAG", "TCG", Edit(10, 11, "C")),
        ("mnv", 10, "AG", "CT", Edit(9, 11, "CT")),
        ("insertion", 10, "A", "ATT", Edit(10, 10, "TT")),
        ("deletion", 10, "ATT", "A", Edit(10, 12, "")),
        ("deletion in a repeat: suffix first", 10, "CTT", "CT", Edit(10, 11, "")),
        ("deletion-insertion", 10, "ACGT", "ATT", Edit(10, 12, "T")),
        ("nothing", 10, "AC", "ac", Edit(9, 11, "AC")),
        ("overlapping ends", 10, "ATA", "A", Edit(9, 11, "")),
    ],
)
def test_trim(name, pos, ref, alt, edit):
    assert trim(Variant("1", pos, ref, alt)) == edit, name


@given(st.text("ACGT", max_size=5), alleles, alleles, st.text("ACGT", max_size=5))
def test_the_edit_makes_the_alternative_haplotype_and_is_smallest(left, ref, alt, right):
    variant = Variant("1", len(left) + 1, ref, alt)
    genome = left + ref.upper() + right
    edit = trim(variant)
    assert genome[: edit.start] + edit.inserted + genome[edit.end :] == left + alt.upper() + right
    assert variant.start <= edit.start <= edit.end <= variant.end
    removed = genome[edit.start : edit.end]
    if removed and edit.inserted and removed != edit.inserted:
        assert removed[0] != edit.inserted[0]
        assert removed[-1] != edit.inserted[-1]
