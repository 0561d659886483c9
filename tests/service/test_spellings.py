"""Any common spelling of a variant: one identifier, or a message that helps."""

import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from service.errors import ValidationError
from service.naming import MAX_CHANGE, name_variant
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from service.spellings import resolve, resolve_one
from service.variants import Variant
from tests.genomes import CHR1, CHR_M, genome
from tests.lean_client import ROOT
from tests.service.spelt import ACCESSION, Spelt
from tests.toy_models import write_model

FASTA = ROOT / "examples/chr17.hg19.part.fa"
CHR17 = "".join(FASTA.read_text().split("\n")[1:]).upper()


def spelt(start: int, n_deleted: int, inserted: str) -> Spelt:
    return Spelt(CHR17, start, start + n_deleted, inserted)


VARIANTS = {
    "snv": spelt(31149, 1, "A"),
    "snv in lower case": spelt(25049, 1, "T" if CHR17[25049] != "T" else "C"),
    "snv in a run": spelt(31327, 1, "T"),
    "snv at the first base": spelt(1, 1, "C"),
    "mnv of two": spelt(31149, 2, "AA"),
    "mnv of three": spelt(28000, 3, "GAT"),
    "inversion": spelt(31149, 5, "CTTCC"),
    "deletion of one": spelt(31151, 1, ""),
    "deletion in a run": spelt(31325, 1, ""),
    "deletion of two of a run of 20": spelt(26825, 2, ""),
    "deletion of CA from a repeat": spelt(31938, 2, ""),
    "deletion of CAG from a repeat": spelt(29298, 3, ""),
    "deletion of five": spelt(30000, 5, ""),
    "insertion of one": spelt(31150, 0, "T"),
    "insertion in a run": spelt(25030, 0, "A"),
    "insertion of CA into a repeat": spelt(31940, 0, "CA"),
    "insertion of CAG into a repeat": spelt(29301, 0, "CAG"),
    "insertion of five": spelt(31330, 0, "TGACT"),
    "deletion and insertion": spelt(31149, 2, "TTAT"),
    "deletion and shorter insertion": spelt(31149, 5, "CA"),
}
N_SPELLINGS = 10


@pytest.fixture(scope="module")
def chr17():
    with Reference.open(FASTA, "GRCh37") as opened:
        yield opened


def chosen(change: Spelt) -> list[str]:
    """Ten spellings, of as many kinds as there are, the same in every run."""
    texts = sorted(set(change.spellings()))
    return random.Random(1).sample(texts, N_SPELLINGS)


@pytest.mark.parametrize("name", VARIANTS)
def test_ten_spellings_of_a_change_have_one_name(chr17, name):
    change = VARIANTS[name]
    texts = chosen(change)
    named = [resolve_one(text, chr17) for text in texts]
    assert len(set(texts)) == N_SPELLINGS
    assert len({one.identifier for one in named}) == 1, dict(zip(texts, named, strict=True))
    assert len({(one.spdi, one.variant) for one in named}) == 1
    # The name is that of this change, and both of its forms are spellings too.
    one = named[0]
    assert one.identifier.startswith("GRCh37:chr17:")
    variant = one.variant
    made = Spelt(CHR17, variant.start, variant.end, variant.alt)
    assert made.deleted == variant.ref
    assert made.is_same(change)
    assert resolve_one(one.identifier, chr17).variant == variant
    assert resolve_one(one.spdi, chr17).variant == variant


def test_different_changes_have_different_names(chr17):
    names = {resolve_one(chosen(change)[0], chr17).identifier for change in VARIANTS.values()}
    assert len(names) == len(VARIANTS) == 20


def test_all_spellings_of_a_change_have_one_score(chr17, tmp_path):
    write_model(tmp_path)
    scorer = Scorer(Registry(tmp_path).load("sum", threads=1), chr17)
    for change in VARIANTS.values():
        # What the texts resolve to, and the change as a VCF has it at every place where it can lie.
        variants = [resolve_one(text, chr17).variant for text in chosen(change)]
        variants += [Variant("17", *place.anchored) for place in change.slides()]
        scores = scorer.score(variants)
        effect = scores.effects.effect
        assert np.isfinite(effect).all()
        assert (effect == effect[0]).all()
        assert len(set(scores.normalised)) == 1


@given(data=st.data())
@examples(max_examples=40)
def test_a_variant_comes_back_from_every_spelling(chr17, data):
    start = data.draw(st.integers(100, len(CHR17) - 100))
    n_deleted = data.draw(st.integers(0, 6))
    inserted = data.draw(st.text("ACGT", min_size=0 if n_deleted else 1, max_size=6))
    change = spelt(start, n_deleted, inserted)
    pos, ref, alt = change.anchored
    variant = resolve_one(f"chr17:{pos}:{ref}:{alt}", chr17).variant
    texts = data.draw(st.lists(st.sampled_from(change.spellings()), min_size=20, max_size=20))
    for text in texts:
        assert resolve_one(text, chr17).variant == variant, text
    made = Spelt(CHR17, variant.start, variant.end, variant.alt)
    assert made.deleted == variant.ref
    assert made.is_same(change)


PIECES = [
    "chr17", "17", "NC_000017.10", "NC_000017.11", "NM_000546.5", "chrM", "hg19", "GRCh38", ":",
    "-", "_", ">", "/", " ", "\t", ".", ",", "g.", "c.", "m.", "p.", "31150", "31,150", "0", "1",
    "G", "A", "a", "N", "R", "del", "ins", "dup", "inv", "=", "<DEL>", "[", "]", "(", ")", ";",
    "*", "rs12", "+", "99999999999", "\u2212", "\u00bd", "\n", "#", "?",
]  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=9).map("".join)))
@examples(max_examples=200)
def test_any_text_is_named_or_refused(chr17, text):
    try:
        named = resolve(text, chr17)
    except ValidationError as error:
        assert error.message.isascii()
        assert "\n" not in error.message
        assert len(error.message) < 800
    else:
        assert all(resolve(one.identifier, chr17)[0].variant == one.variant for one in named)


HOSTILE = [
    "-" * 20_000, "_1" * 10_000, "1-" * 10_000, "chr17:" + "1," * 9_000, "[" * 20_000,
    "<" * 20_000, "chr17:g.1del" + "ins" * 6_000 + "!", "chr17:g." + "1_" * 9_000,
    "NC_1:" + "a " * 9_000, "chr17:31150 " + "A/" * 9_000, "17 31150 . G " + "A," * 40_000 + "A",
    "\t" * 99_000, "A" * 200_000, "T2T" * 6_000, "chr17:g.100_20000del",
    "chr17:31150:" + "A" * 10_001 + ":G", "A" * 50_000, "chr17:g.1_" + "9" * 9_000 + "del",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:14].strip())
def test_a_hostile_text_is_refused_at_once(chr17, text):
    # One of these took a pattern of the first version two thirds of a second.
    with pytest.raises(ValidationError):
        resolve(text, chr17)


MALFORMED = [
    ("", "''", "for example chr17:31150:G:A"),
    ("hello", "hello", "chr17:g.31150G>A"),
    ("chr17", "chr17", "chr17:31150:G:A"),
    ("chr17:31150", "chr17:31150", "add REF and ALT"),
    ("chr17:31,150-31,160", "chr17:31,150-31,160", "add REF and ALT"),
    ("chr17:31150:G", "chr17:31150:G", "write both"),
    ("chr17:31150:G:", "chr17:31150:G:", "write the base before"),
    ("chr17:31150::A", "chr17:31150::A", "write the base before"),
    ("chr17:31150:G:R", "'R'", "write A, C, G and T"),
    ("chr17:31150:G:U", "'U'", "write A, C, G and T"),
    ("chr17:31150:1:A", "'1'", "write A, C, G and T"),
    ("chr17:31150:G>A>T", "'A>T'", "write A, C, G and T"),
    ("chr17:31150:G:<DEL>", "<DEL>", "write REF and ALT"),
    ("chr17 31150 . G <DUP>", "<DUP>", "write A, C, G and T"),
    ("17 31150 . G G]17:198982]", "G]17:198982]", "write A, C, G and T"),
    ("17 31150 . G *", "'*'", "write A, C, G and T"),
    ("17 31150 . G .", "'.'", "write A, C, G and T"),
    ("chr17:31150:G:A[2]", "G:A[2]", "write REF and ALT"),
    ("chr17:31150-31160 DEL", "DEL", "write REF and ALT"),
    ("#CHROM POS ID REF ALT", "#CHROM", "a line below it"),
    ("chr17:31150:G:A\nchr17:31151:G:A", "2 lines", "one variant"),
    ("chr17 31149 31150 G A", "chr17 31149 31150 G A", "BED"),
    ("17 31150 . G A,C", "2 ALTs", "GRCh37:chr17:31150:G:A, GRCh37:chr17:31150:G:C"),
    ("chr17:0:G:A", "'0'", "the first base of a contig is 1"),
    ("chr17:3,1150:G:A", "'3,1150'", "31,150"),
    ("chr17:99999999999:G:A", "'99999999999'", "whole number"),
    ("chr17:90000:G:A", "chr17:90000", "check the position"),
    ("chr17:31150:T:A", "'T' at chr17:31150, but the reference has 'G'", "check the assembly"),
    ("NC_000017.10:31150:A:G", "'A' at chr17:31151", "0-based in SPDI"),
    ("chr17:g.31150delT", "'T'", "check the assembly"),
    ("chr17:g.31150_31152delGG", "'GG' has 2 bases", "leave the bases away"),
    ("chr17:g.31150_31152del2", "31150_31152del2", "leave the number away"),
    ("chr18:31150:G:A", "'chr18'", "a contig that the reference has"),
    ("hg38:chr17:31150:G:A", "'hg38'", "coordinates in GRCh37"),
    ("chr17:31150 G>A (GRCh38)", "'GRCh38'", "coordinates in GRCh37"),
    ("mm10:chr17:31150:G:A", "'mm10'", "coordinates in GRCh37"),
    ("NC_000017.11:g.31150G>A", "NC_000017.11", "place in GRCh37"),
    ("NC_000017.9:g.31150G>A", "NC_000017.9", "NC_000017.10 in GRCh37"),
    ("NC_000017:g.31150G>A", "NC_000017", "NC_000017.10 in GRCh37"),
    ("rs123", "rs123", "place on the genome"),
    ("VCV000012345", "VCV000012345", "place on the genome"),
    ("NM_000546.5:c.215C>G", "NM_000546.5", "place on the genome"),
    ("ENST00000269305.4:c.215C>G", "ENST00000269305.4", "place on the genome"),
    ("NG_017013.2:g.16397C>G", "NG_017013.2", "place on the genome"),
    ("c.215C>G", "c.215C>G", "place on the genome"),
    ("p.Pro72Arg", "p.Pro72Arg", "place on the genome"),
    ("BRAF V600E", "BRAF V600E", "place on the genome"),
    ("17p13.1", "17p13.1", "place on the genome"),
    ("g.31150G>A", "g.31150G>A", "chr17:g.31150G>A"),
    ("chr17:m.31150G>A", "chr17:m.", "chr17:g.31150G>A"),
    ("chr17:g.31150", "31150", "g.31150del"),
    ("chr17:g.31150insA", "31150insA", "g.31150_31151insA"),
    ("chr17:g.31150_31153insA", "31150_31153insA", "g.31150_31151insA"),
    ("chr17:g.31150_31151ins", "31150_31151ins", "write them"),
    ("chr17:g.31150_31151insAUG", "'U'", "write A, C, G and T"),
    ("chr17:g.31153_31150del", "31153_31150del", "smaller position first"),
    ("chr17:g.(31150_31153)del", "(31150_31153)del", "exact positions"),
    ("chr17:g.31150+1G>A", "31150+1G>A", "whole numbers"),
    ("chr17:g.31150GG>A", "31150GG>A", "g.31150_31151delinsA"),
    ("chr17:g.31150CAG[4]", "31150CAG[4]", "write the bases"),
    ("chr17:g.[31150G>A;31151G>A]", "[31150G>A;31151G>A]", "one at a time"),
    ("chr17:g.31150_31151ins29300_29310", "31150_31151ins29300_29310", "write them out"),
    ("chr17:g.31150inv", "31150inv", "g.31150_31151inv"),
    ("17 31150 31155 G/A", "31150-31155", "ends at 31150"),
    ("17 31150 31150 G/A forward", "'forward'", "+ or -"),
    ("chr17:31150 -/A", "-/A", "g.31150_31151insA"),
    ("NC_000017.10:31149::", "chr17:31150", "write both"),
    ("NC_000017.10:-5:G:A", "'-5'", "whole number"),
]


@pytest.mark.parametrize(("text", "part", "remedy"), MALFORMED, ids=[case[0] for case in MALFORMED])
def test_a_malformed_text_is_explained(chr17, text, part, remedy):
    with pytest.raises(ValidationError) as caught:
        resolve_one(text, chr17)
    message = caught.value.message
    assert part in message
    assert remedy in message
    assert caught.value.detail["field"] == "q"


def test_there_are_enough_malformed_texts():
    assert len({text for text, *_ in MALFORMED}) >= 50


def test_four_parts_between_colons_are_0_based_behind_a_refseq_sequence_only(chr17):
    pos = 31150
    one = resolve_one(f"chr17:{pos}:G:A", chr17)
    assert one == resolve_one(f"17:{pos}:G:A", chr17)
    zero = resolve_one(f"{ACCESSION}:{pos - 1}:G:A", chr17)
    assert (zero.identifier, zero.variant) == (one.identifier, one.variant)
    assert "0-based" in " ".join(zero.notes)
    assert one.notes == ()
    # With any other sign than four colons an accession has 1-based positions like all else.
    assert resolve_one(f"{ACCESSION}:{pos} G>A", chr17).identifier == one.identifier


def test_hgvs_is_read_without_its_g_too(chr17):
    named = resolve_one("chr17:31348_31349delGG", chr17)
    assert named.variant == resolve_one("chr17:g.31348_31349del", chr17).variant
    assert named.notes[0] == "read as HGVS with g."


def test_a_variant_without_bases_has_no_name(chr17):
    with pytest.raises(ValidationError, match=r"symbolic.*for example"):
        name_variant(Variant("17", 31150, "G", "<DEL>"), chr17)


def test_several_alts_are_several_variants(chr17):
    named = resolve("17\t31150\t.\tG\tA,C,GT\t.\tPASS\t.", chr17)
    assert [one.identifier for one in named] == [
        "GRCh37:chr17:31150:G:A", "GRCh37:chr17:31150:G:C", "GRCh37:chr17:31150:G:GT",
    ]  # fmt: skip
    assert resolve("chr17:31150 G>A,C", chr17) == named[:2]
    assert resolve("17 31150 31150 G/A/C", chr17) == named[:2]


def test_no_change_has_a_name_of_its_own(chr17):
    names = {
        resolve_one(text, chr17).identifier
        for text in ("chr17:g.31150=", "chr17:g.31150G=", "chr17:31150:G:G")
    }
    assert names == {"GRCh37:chr17:31150:G:G"}


def test_names_do_not_depend_on_how_the_reference_spells_its_contigs():
    seen = set()
    for name in ("chr17", "17", ACCESSION):
        with genome({name: CHR17[:400]}, "GRCh37") as reference:
            named = resolve_one(f"{ACCESSION}:g.101del", reference)
            assert named.variant.contig == name
            seen.add((named.identifier, named.spdi))
    assert len(seen) == 1


def test_without_an_assembly_nothing_is_claimed_of_it(reference):
    named = resolve_one("hg38:1:41:" + CHR1[40] + ":N", reference)
    assert named.identifier == f"chr1:41:{CHR1[40]}:N"
    assert (named.spdi, named.assembly) == (None, None)
    assert "hg38 was not checked" in named.notes[0]


def test_sequences_without_a_common_name_keep_theirs():
    contigs = {"GL000220.1": CHR1, "NT_113878.1": CHR1, "chrUn_gl000220": CHR1, "HLA_1": CHR1}
    with genome(contigs, "GRCh37") as reference:
        for contig in contigs:
            named = resolve_one(f"{contig}:5 T>A", reference)
            assert contig in named.identifier
            assert named.variant == Variant(contig, 5, "T", "A")
            again = resolve_one(named.identifier, reference)
            assert again.variant == named.variant
            if "NT_" not in contig:
                assert resolve_one(f"{contig}_5_T_A", reference).variant == named.variant


def test_the_mitochondrion_of_ucsc_hg19_is_another_sequence():
    """16,571 bases: not the one of the assembly, whose name it must not get."""
    sequence = (CHR_M * 250)[:16_571]
    with genome({"chrM": sequence}, "GRCh37") as reference:
        named = resolve_one(f"chrM:100:{sequence[99]}:N", reference)
        assert named.identifier.startswith("GRCh37:NC_001807.4:99:")
        assert resolve_one(named.identifier, reference).variant == named.variant
    with genome({"chrM": sequence[:-2]}, "GRCh37") as reference:
        named = resolve_one(f"chrM:m.100{sequence[99]}>N", reference)
        assert named.identifier.startswith("GRCh37:chrM:100:")
        assert named.spdi.startswith("NC_012920.1:99:")
        with pytest.raises(ValidationError, match=r"no contig 'NC_001807\.4'"):
            resolve(f"NC_001807.4:99:{sequence[99]}:N", reference)


def test_changes_at_the_ends_of_a_contig(chr17):
    for text, identifier in [
        ("chr17:g.1del", "GRCh37:chr17:1:AA:A"),
        (f"{ACCESSION}:0::T", "GRCh37:chr17:1:A:TA"),
        (f"{ACCESSION}:40000::C", "GRCh37:chr17:40000:G:GC"),
        ("chr17:g.40000del", "GRCh37:chr17:39998:AG:A"),
    ]:
        named = resolve_one(text, chr17)
        assert resolve_one(named.identifier, chr17).identifier == named.identifier
        if not text.endswith("40000del"):
            assert named.identifier == identifier


def test_a_slice_of_a_contig_is_known_up_to_its_edge():
    with genome({"chr1:101-203": CHR1}) as reference:
        assert resolve_one(f"chr1:g.101{CHR1[0]}>N", reference).variant.pos == 101
        with pytest.raises(ValidationError, match="edge of the known sequence"):
            resolve("chr1:g.101del", reference)
        with pytest.raises(ValidationError, match="only parts of chr1"):
            resolve("chr1:g.100del", reference)


def test_the_longest_change(chr17):
    last = 100 + MAX_CHANGE - 1
    assert len(resolve_one(f"chr17:g.100_{last}del", chr17).variant.ref) == MAX_CHANGE + 1
    with pytest.raises(ValidationError, match="10,000"):
        resolve(f"chr17:g.100_{last + 1}del", chr17)


def test_blanks_that_fit_everywhere_take_no_time(chr17):
    start = time.process_time()
    with pytest.raises(ValidationError):
        resolve("NC_000017.10:" + " " * 19_000 + "x\ty", chr17)
    assert time.process_time() - start < 1
