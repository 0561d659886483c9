"""Windows against a naive twin on strings, and the properties that make two strands one answer."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.errors import Status, ValidationError
from service.sequence import decode, encode, reverse_complement
from service.variants import Variant
from service.windows import Anchoring, Pass, make_passes, pair_windows, variant_windows
from tests.genomes import CHR1, genome, reversed_complement

WIDTH = 40
ALL = tuple(Anchoring)
PASSES = make_passes(2, (0, -7, 5))
FORWARD = (Pass(reverse=False, shift=0),)
REVERSE = (Pass(reverse=True, shift=0),)


def shown(windows):
    assert isinstance(windows, np.ndarray), windows
    return [tuple(map(decode, pair)) for pair in windows]


def naive_windows(contig, start, ref, alt, width, way, anchoring=Anchoring.LEFT):
    """The windows of one pass from whole haplotypes, on strings (contig without N)."""
    ref, alt = ref.upper(), alt.upper()
    end = start + len(ref)
    if way.reverse:
        ref, alt = reversed_complement(ref), reversed_complement(alt)
        start, end = len(contig) - end, len(contig) - start
        contig = reversed_complement(contig)
    changed = contig[:start] + alt + contig[end:]
    # Of all edits that make this haplotype: the smallest, and of those the leftmost.
    edits = []
    for first in range(len(contig) + 1):
        if contig[:first] != changed[:first]:
            break
        last = 0
        while (
            last < min(len(contig), len(changed)) - first
            and contig[-1 - last] == changed[-1 - last]
        ):
            last += 1
        edits.append((len(contig) + len(changed) - 2 * (first + last), first))
    size = min(edits)[0]
    firsts = [first for length, first in edits if length == size]
    # From the first place where the smallest edit can lie to the last base that it can touch.
    region_start, n_after = (
        min(firsts),
        len(contig) - max(firsts) - (size + len(contig) - len(changed)) // 2,
    )
    padding = "N" * 2 * width
    found = []
    for haplotype in (contig, changed):
        region_end = len(haplotype) - n_after
        anchor = {
            Anchoring.LEFT: region_start,
            Anchoring.RIGHT: region_end - 1,
            Anchoring.CENTRE: (region_start + region_end) // 2,
        }[Anchoring.LEFT if len(contig) == len(changed) else anchoring]
        left = anchor - width // 2 - way.shift
        found.append(f"{padding}{haplotype}{padding}"[left + 2 * width : left + 3 * width])
    return tuple(found)


@st.composite
def variants(draw):
    """A contig of ACGT, at most as long as a window, and a variant on it that changes it."""
    letters = draw(st.sampled_from(["ACGT", "AC"]))
    contig = draw(st.text(letters, min_size=1, max_size=WIDTH))
    start = draw(st.integers(0, len(contig) - 1))
    ref = contig[start : start + draw(st.integers(1, 9))]
    alt = draw(st.text("ACGT", min_size=1, max_size=9) | st.just(ref[0]) | st.just(ref + ref))
    assume(ref != alt)  # what changes nothing has no place of its own
    return contig, start, ref, alt


@given(variants())
def test_windows_equal_those_of_the_naive_twin(drawn):
    contig, start, ref, alt = drawn
    with genome({"1": contig}) as reference:
        variant = Variant("chr1", start + 1, ref, alt)
        windows = variant_windows(reference, variant, WIDTH, PASSES, ALL)
    keeps_length = len(ref) == len(alt)
    assert shown(windows) == [
        naive_windows(contig, start, ref, alt, WIDTH, way, anchoring)
        for way in PASSES
        for anchoring in (ALL[:1] if keeps_length else ALL)
    ]


@given(variants())
def test_a_reverse_complemented_genome_gives_the_mirrored_windows(drawn):
    contig, start, ref, alt = drawn
    with genome({"1": contig, "2": reversed_complement(contig)}) as reference:
        one = variant_windows(reference, Variant("1", start + 1, ref, alt), WIDTH, PASSES, ALL)
        mirrored = Variant(
            "2",
            len(contig) - start - len(ref) + 1,
            reversed_complement(ref),
            reversed_complement(alt),
        )
        two = variant_windows(reference, mirrored, WIDTH, PASSES, ALL)
    assert isinstance(one, np.ndarray)
    assert isinstance(two, np.ndarray)
    by_strand = len(one) // 2
    assert np.array_equal(one, np.concatenate((two[by_strand:], two[:by_strand])))


@given(variants(), st.integers(0, 5), st.integers(0, 5))
def test_every_spelling_of_one_change_gives_the_same_windows(drawn, left, right):
    contig, start, ref, alt = drawn
    end = start + len(ref)
    left, right = max(start - left, 0), min(end + right, len(contig))
    longer = Variant(
        "1", left + 1, contig[left:right], contig[left:start] + alt + contig[end:right]
    )
    with genome({"1": contig}) as reference:
        short = variant_windows(reference, Variant("1", start + 1, ref, alt), WIDTH, PASSES, ALL)
        long = variant_windows(reference, longer, WIDTH, PASSES, ALL)
    assert shown(short) == shown(long)


def test_an_indel_may_be_placed_anywhere_in_its_repeat():
    contig = "GGCATTTTTTCAGGAC"  # T at 4 to 9
    spellings = [(4, "AT", "A"), (6, "TT", "T"), (9, "TTC", "TC"), (10, "TC", "C")]
    with genome({"1": contig}) as reference:
        for pos, ref, alt in spellings:
            variant = Variant("1", pos, ref, alt)
            assert shown(variant_windows(reference, variant, 12, make_passes(2, (0,)))) == [
                ("NNGGCATTTTTT", "NNGGCATTTTTC"),  # the first T of the plus strand at 6
                ("GTCCTGAAAAAA", "GTCCTGAAAAAT"),  # the first A of the minus strand at 6
            ]


#                  0         1         2         3
#                  0123456789012345678901234567890123456789
CONTIG = "ACGTTGCAAGTCCATGGATCCGTAAACTGATCGTTAGCCA"


@pytest.mark.parametrize(
    ("name", "pos", "ref", "alt", "forward", "reverse"),
    [
        (
            "snv: index 4 of 8 on both strands",
            15, "T", "G",
            ("TCCATGGA", "TCCAGGGA"),
            ("ATCCATGG", "ATCCCTGG"),
        ),
        (
            "mnv: its first base in each direction",
            15, "TG", "CA",
            ("TCCATGGA", "TCCACAGA"),
            ("GATCCATG", "GATCTGTG"),
        ),
        (
            "insertion: its first base; ref has the base after it",
            15, "T", "TA",
            ("CCATGGAT", "CCATAGGA"),
            ("ATCCATGG", "ATCCTATG"),
        ),
        (
            "deletion: its first base in each direction",
            15, "TGG", "T",
            ("CCATGGAT", "CCATATCC"),
            ("GGATCCAT", "GGATATGG"),
        ),
    ],
)  # fmt: skip
def test_where_the_change_lies(name, pos, ref, alt, forward, reverse):
    with genome({"1": CONTIG}) as reference:
        variant = Variant("1", pos, ref, alt)
        windows = variant_windows(reference, variant, 8, make_passes(2, (0,)))
    assert shown(windows) == [forward, reverse], name


def test_shifts_mirror_with_the_strand():
    variant = Variant("1", 20, "C", "T")
    with genome({"1": CONTIG}) as reference:
        windows = variant_windows(reference, variant, 10, make_passes(2, (0, 3, -5)))
    differs = [[i for i in range(10) if ref[i] != alt[i]] for ref, alt in shown(windows)]
    assert differs == [[5], [8], [0]] * 2


def test_contig_ends_and_unknown_sequence_are_n():
    with genome({"1": "ACGT", "2:11-14": "ACGT", "2:17-20": "ACGT"}) as reference:
        end = variant_windows(reference, Variant("1", 4, "T", "C"), 8, FORWARD)
        gap = variant_windows(reference, Variant("2", 13, "G", "T"), 8, FORWARD)
    assert shown(end) == [("NACGTNNN", "NACGCNNN")]
    assert shown(gap) == [("NNACGTNN", "NNACTTNN")]


def test_an_indel_does_not_move_through_unknown_bases():
    with genome({"1": "ANNNNC"}) as reference:
        windows = variant_windows(reference, Variant("1", 4, "NN", "N"), 8, FORWARD)
    assert shown(windows) == [("NANNNNCN", "NANNNCNN")]


@pytest.mark.parametrize(
    ("variant", "status"),
    [
        (Variant("chr2", 5, "A", "C"), Status.UNKNOWN_CONTIG),
        (Variant("chr1", 5, "A", "C"), Status.REF_MISMATCH),
        (Variant("chr1", 5, "TT", "T"), Status.REF_MISMATCH),
        (Variant("chr1", 4, "TTGN", "T"), Status.REF_MISMATCH),
        (Variant("chr1", 0, "A", "C"), Status.WINDOW_OFF_CONTIG),
        (Variant("chr1", -3, "A", "C"), Status.WINDOW_OFF_CONTIG),
        (Variant("chr1", 41, "A", "C"), Status.WINDOW_OFF_CONTIG),
        (Variant("chr1", 39, "CAC", "C"), Status.WINDOW_OFF_CONTIG),
        (Variant("chr1", 10**12, "A", "C"), Status.WINDOW_OFF_CONTIG),
        (Variant("chr1", 1, "A", "<DEL>"), Status.SYMBOLIC_ALT),
        (Variant("chr9", 1, "A", "*"), Status.STAR_ALT),
        (Variant("chr1", 1, CONTIG[:12], "A"), Status.ALLELE_TOO_LONG),
        (Variant("chr1", 1, "A", "A" + "C" * 11), Status.ALLELE_TOO_LONG),
        (Variant("chr1", 2, CONTIG[1:14], "A"), Status.ALLELE_TOO_LONG),
        (Variant("chr1", 1, "C" * 30, "A"), Status.REF_MISMATCH),
    ],
)
def test_what_cannot_be_scored_has_a_status(variant, status):
    with genome({"1": CONTIG}) as reference:
        assert variant_windows(reference, variant, WIDTH, PASSES) is status


def test_length_counts_after_trimming():
    with genome({"1": CONTIG}) as reference:
        exactly = Variant("1", 1, "A", "A" + "C" * 10)
        padded = Variant("1", 1, CONTIG[:30], "T" + CONTIG[1:30])
        for variant in (exactly, padded):
            assert isinstance(variant_windows(reference, variant, WIDTH, PASSES), np.ndarray)


def test_a_genome_n_matches_n_only():
    with genome({"1": "ACNGT"}) as reference:
        assert isinstance(
            variant_windows(reference, Variant("1", 3, "N", "A"), 8, FORWARD), np.ndarray
        )
        assert (
            variant_windows(reference, Variant("1", 3, "A", "C"), 8, FORWARD) is Status.REF_MISMATCH
        )
        assert (
            variant_windows(reference, Variant("1", 2, "N", "A"), 8, FORWARD) is Status.REF_MISMATCH
        )


def test_ref_equal_to_alt_gives_equal_windows():
    with genome({"1": CONTIG}) as reference:
        windows = variant_windows(reference, Variant("1", 15, "TG", "tg"), 8, make_passes(2, (0,)))
    # They lie where those of another ALT of the same length lie, so REF is shared.
    assert shown(windows) == [("TCCATGGA", "TCCATGGA"), ("GATCCATG", "GATCCATG")]


class TestPairs:
    def test_the_longer_one_is_centred_between_n_and_the_shorter_one_starts_with_it(self):
        pairs = [("ACG", "acgt"), ("ACGT", "AGT"), ("ACG", "ATG")]
        windows = [shown(pair_windows(*pair, 8, FORWARD + REVERSE)) for pair in pairs]
        assert windows == [
            [("NNACGNNN", "NNACGTNN"), ("NNCGTNNN", "NNACGTNN")],
            [("NNACGTNN", "NNAGTNNN"), ("NNACGTNN", "NNACTNNN")],
            [("NNACGNNN", "NNATGNNN"), ("NNNCGTNN", "NNNCATNN")],
        ]

    @given(st.text("ACGTN", min_size=1, max_size=9), st.data())
    def test_of_equal_length_have_their_reverse_complement_in_the_reverse_pass(self, ref, data):
        alt = data.draw(st.text("ACGTN", min_size=len(ref), max_size=len(ref)))
        windows = pair_windows(ref, alt, 9, FORWARD + REVERSE)
        assert isinstance(windows, np.ndarray)
        assert np.array_equal(windows[1], reverse_complement(windows[0]))

    @given(variants(), st.booleans())
    def test_are_what_the_variant_gives_where_the_windows_coincide(self, drawn, is_reverse):
        # The contig is the ref sequence. One shift of the variant puts it where the pair has it.
        contig, start, ref, alt = drawn
        changed = contig[:start] + alt + contig[start + len(ref) :]
        width = 2 * WIDTH
        [pair] = pair_windows(contig, changed, width, (Pass(is_reverse, 0),))
        shifts = tuple(Pass(is_reverse, shift) for shift in range(-width // 2, width // 2))
        with genome({"chr1": contig}) as reference:
            variant = Variant("chr1", start + 1, ref, alt)
            windows = variant_windows(reference, variant, width, shifts)
        assert any(np.array_equal(pair, window) for window in windows)

    def test_a_shift_moves_the_sequence_right_in_the_oriented_window(self):
        windows = pair_windows("ACG", "ATG", 9, make_passes(2, (0, 2, -4)))
        assert shown(windows) == [
            ("NNNACGNNN", "NNNATGNNN"),
            ("NNNNNACGN", "NNNNNATGN"),
            ("CGNNNNNNN", "TGNNNNNNN"),
            ("NNNCGTNNN", "NNNCATNNN"),
            ("NNNNNCGTN", "NNNNNCATN"),
            ("GTNNNNNNN", "ATNNNNNNN"),
        ]

    @pytest.mark.parametrize(
        ("ref", "alt", "status"),
        [
            ("A" * 9, "A" * 8, Status.ALLELE_TOO_LONG),
            ("A", "C" * 9, Status.ALLELE_TOO_LONG),
            ("A", "", Status.NON_ACGTN),
            ("", "A", Status.NON_ACGTN),
            ("A", "AXC", Status.NON_ACGTN),
            ("A", "<DEL>", Status.SYMBOLIC_ALT),
        ],
    )
    def test_what_cannot_be_scored_has_a_status(self, ref, alt, status):
        assert pair_windows(ref, alt, 8, FORWARD) is status


class TestPasses:
    def test_are_every_combination_plus_strand_first(self):
        assert make_passes(2, (0, 5)) == (
            Pass(reverse=False, shift=0),
            Pass(reverse=False, shift=5),
            Pass(reverse=True, shift=0),
            Pass(reverse=True, shift=5),
        )
        assert make_passes(1, (0,)) == FORWARD

    @pytest.mark.parametrize(("strands", "shifts"), [(0, (0,)), (3, (0,)), (2, ()), (2, (1, 1))])
    def test_must_be_different_and_exist(self, strands, shifts):
        with pytest.raises(ValidationError):
            make_passes(strands, shifts)

    @pytest.mark.parametrize("shift", [4, -5, 100])
    def test_must_keep_the_variant_in_the_window(self, shift):
        with (
            genome({"1": CHR1}) as reference,
            pytest.raises(ValidationError, match=f"shift of {shift} leaves the window of 8"),
        ):
            variant_windows(reference, Variant("1", 1, "A", "C"), 8, make_passes(1, (shift,)))


def test_codes_are_uint8_as_the_contract_says():
    with genome({"1": CHR1}) as reference:
        windows = variant_windows(reference, Variant("1", 50, CHR1[49], "N"), 20, PASSES)
    assert isinstance(windows, np.ndarray)
    assert windows.dtype == np.uint8
    assert windows.shape == (6, 2, 20)
    assert windows[0, 1, 10] == encode("N")[0]


def test_an_indel_slides_through_a_repeat_longer_than_the_window():
    contig = "ACGT" + "CA" * 300 + "GGTC"
    first, last = Variant("1", 4, "TCA", "T"), Variant("1", 603, "CAG", "G")
    with genome({"1": contig}) as reference:
        one = variant_windows(reference, first, WIDTH, PASSES, ALL)
        two = variant_windows(reference, last, WIDTH, PASSES, ALL)
    assert shown(one) == shown(two)


def test_each_anchoring_shares_what_it_says():
    insertion, deletion = Variant("1", 20, "C", "CTTTT"), Variant("1", 20, CONTIG[19:24], "C")
    with genome({"1": CONTIG}) as reference:
        for variant in (insertion, deletion):
            windows = variant_windows(reference, variant, 16, FORWARD, ALL)
            (ref_l, alt_l), (ref_r, alt_r), (ref_c, alt_c) = shown(windows)
            assert ref_l[:8] == alt_l[:8]
            assert ref_l[8:] != alt_l[8:]
            assert ref_r[9:] == alt_r[9:]
            assert ref_r[:9] != alt_r[:9]
            # Half of the change on either side.
            assert (ref_c[2:6], ref_c[10:14]) in {
                (alt_c[:4], alt_c[12:16]), (alt_c[4:8], alt_c[8:12]),
            }  # fmt: skip
