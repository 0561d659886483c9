"""Many variants cut together give what each gives alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.cutting import cut_pairs, cut_variants
from service.errors import Status
from service.sequence import decode
from service.variants import Variant, trim
from service.windows import Anchoring, make_passes, pair_windows, variant_windows
from tests.genomes import genome

WIDTH = 12
PASSES = make_passes(2, (0, -3, 5))
BOTH = (Anchoring.LEFT, Anchoring.RIGHT)
GENOME = {
    "chr1": "ACGTTGCAAGTCCATGGNTCCGTAAACTGATCGTTAGCCATAGGCTTTTTTACG",
    "chr2:101-130": "ACGTTGCAAGTCCATGGATCCGTAAACTGA",
    "chr2:141-150": "GTACGTACGT",
    "chrM": "GATCACAGGT",
}


@st.composite
def some_variants(draw):
    contig = draw(st.sampled_from(["chr1", "1", "chr2", "chrM", "MT", "chr9"]))
    pos = draw(st.integers(0, 60)) + draw(st.sampled_from([0, 95]))
    bases = st.sampled_from("ACGTNacgt")
    single = draw(st.booleans())
    size = 1 if single else 3
    ref = draw(st.text(bases, min_size=1, max_size=size))
    alt = draw(
        st.text(bases, min_size=1, max_size=size) | st.sampled_from([".", "*", "<DEL>", "A[1:2["])
    )
    whole = GENOME.get(contig)
    if whole and draw(st.booleans()):
        ref = whole[pos - 1 : pos - 1 + len(ref)] or ref
    return Variant(contig, pos, ref, alt)


def windows_by_row(windows, n):
    found = [None] * n
    for group in windows.groups:
        for row, index in zip(group.rows.tolist(), group.index, strict=True):
            assert found[row] is None, "a variant is in one group only"
            found[row] = windows.sequences[index]
    return found


@given(st.lists(some_variants(), max_size=25), st.sampled_from([0, 1, 5]))
def test_equal_those_of_each_variant_alone(variants, n_occluded):
    with genome(GENOME) as reference:
        windows = cut_variants(reference, variants, WIDTH, PASSES, BOTH, n_occluded=n_occluded)
        alone = [variant_windows(reference, one, WIDTH, PASSES, BOTH) for one in variants]
    found = windows_by_row(windows, len(variants))
    assert len(windows.status) == len(windows.normalised) == len(variants)
    for variant, one, together, status, form in zip(
        variants, alone, found, windows.status, windows.normalised, strict=True
    ):
        if isinstance(one, Status):
            assert (together, status, form) == (None, one, ".")
        else:
            assert status is Status.OK
            assert np.array_equal(together[:, :2], one)
            assert form != "."
            edit = trim(variant)
            is_single = edit.end - edit.start == len(edit.inserted) == 1
            assert together.shape[1] == (3 if n_occluded and is_single else 2)
            if together.shape[1] == 2:
                continue
            for (ref, _, hidden), way in zip(together, PASSES, strict=True):
                at = WIDTH // 2 + way.shift
                wanted = ref.copy()
                if edit.inserted != variant.ref[edit.start - variant.start].upper():
                    wanted[max(at - n_occluded // 2, 0) : at + n_occluded // 2 + 1] = 4
                assert np.array_equal(hidden, wanted)


def test_positions_far_apart_and_out_of_order(monkeypatch):
    monkeypatch.setattr("service.cutting._MAX_GAP", 4)
    sequence = "ACGTTGCAAGTC" * 20
    places = [200, 3, 90, 91, 3, 150, 240, 1]
    variants = [Variant("1", pos, sequence[pos - 1], "N") for pos in places]
    with genome({"1": sequence}) as reference:
        windows = cut_variants(reference, variants, WIDTH, PASSES, BOTH)
        alone = [variant_windows(reference, one, WIDTH, PASSES) for one in variants]
    for together, one in zip(windows_by_row(windows, len(variants)), alone, strict=True):
        assert np.array_equal(together, one)


def test_alts_of_one_site_share_their_ref_and_an_alt_equal_to_ref_is_it():
    with genome({"1": "ACGTTGCAAGTC" * 3}) as reference:
        variants = [Variant("1", 14, "C", alt) for alt in "AGTC"]
        windows = cut_variants(reference, variants, WIDTH, make_passes(2, (0,)), BOTH)
        hiding = cut_variants(reference, variants, WIDTH, make_passes(2, (0,)), BOTH, n_occluded=3)
    [group], [hidden] = windows.groups, hiding.groups
    for index in (group.index, hidden.index):
        assert len(np.unique(index[:, :, 0])) == 2
        assert (index[3, :, 1:] == index[3, :, :1]).all()
    assert len(np.unique(hidden.index[:3, :, 2])) == 2, "so do they what is hidden"
    assert len(hiding.sequences) == len(windows.sequences) + 2


def test_a_window_that_positions_share_through_shifts_is_there_once():
    sequence = "ACGTTGCAAGTCCATGGATCCGTAAACTGATCGTTAGCCATAGGCT"
    passes = make_passes(2, (0, -3, 3))
    places = range(15, 35)
    variants = [
        Variant("1", pos, sequence[pos - 1], alt)
        for pos in places
        for alt in "ACGT"
        if alt != sequence[pos - 1]
    ]
    with genome({"1": sequence}) as reference:
        found = cut_variants(reference, variants, WIDTH, passes, BOTH).sequences
    assert len(found) == len(np.unique(found, axis=0))
    # Of the reference, one for each place at which a window starts, 3 more on either side.
    assert len(found) == 2 * (len(places) + 6) + len(variants) * len(passes)


def test_pairs_equal_those_of_each_pair_alone():
    pairs = [("ACGT", "ACG"), ("A" * 13, "A"), ("", "A"), ("ACGT", "ACGT")]
    windows = cut_pairs(pairs, WIDTH, PASSES)
    assert windows.status == [
        Status.OK, Status.ALLELE_TOO_LONG, Status.NON_ACGTN, Status.OK,
    ]  # fmt: skip
    found = windows_by_row(windows, len(pairs))
    for pair, together in zip(pairs, found, strict=True):
        if together is not None:
            assert np.array_equal(together, pair_windows(*pair, WIDTH, PASSES))
    assert decode(found[3][0, 0]) == decode(found[3][0, 1])


def test_nothing_gives_nothing():
    with genome(GENOME) as reference:
        windows = cut_variants(reference, [], WIDTH, PASSES, BOTH)
    assert windows.sequences.shape == (0, WIDTH)
    assert windows.groups == ()
