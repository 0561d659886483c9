"""Every spelling of a change has one justified and one normal form, that of bcftools norm."""

import pysam
import pysam.bcftools
from hypothesis import assume, given
from hypothesis import strategies as st

from service.placement import Nearby, justify, normal_form
from service.variants import Edit, Variant, trim
from tests.genomes import genome, write_fasta

LETTERS = st.sampled_from(["AC", "ACGT"])


@st.composite
def changes(draw):
    """A contig with repeats, and a variant on it."""
    contig = draw(st.text(draw(LETTERS), min_size=1, max_size=30))
    start = draw(st.integers(0, len(contig) - 1))
    ref = contig[start : start + draw(st.integers(1, 6))]
    alt = draw(st.text(draw(LETTERS), min_size=1, max_size=6) | st.just(ref[0]) | st.just(ref * 2))
    assume(ref != alt)
    return contig, start, ref, alt


def forms(contig, start, ref, alt):
    edit = trim(Variant("1", start + 1, ref, alt))
    with genome({"1": contig}) as reference:
        bases = Nearby(reference, "1", edit.start, edit.end)
        justified = justify(bases, edit)
        return edit, justified, normal_form(bases, edit, justified)


@given(changes())
def test_the_justified_form_makes_the_same_haplotype_and_covers_every_place(change):
    contig, start, ref, alt = change
    edit, whole, _ = forms(*change)
    changed = contig[:start] + alt + contig[start + len(ref) :]
    assert contig[: whole.start] + whole.inserted + contig[whole.end :] == changed
    if (edit.end > edit.start) == bool(edit.inserted):
        assert whole == edit
        return
    n_deleted, n_inserted = edit.end - edit.start, len(edit.inserted)
    # The places from which the same number of bases can be taken or added with the same outcome.
    places = [
        first
        for first in range(len(contig) - n_deleted + 1)
        if contig[:first] == changed[:first]
        and contig[first + n_deleted :] == changed[first + n_inserted :]
    ]
    assert (whole.start, whole.end) == (places[0], places[-1] + n_deleted)


@given(changes(), st.integers(0, 8), st.integers(0, 8))
def test_longer_spellings_have_the_same_forms(change, left, right):
    contig, start, ref, alt = change
    end = start + len(ref)
    left, right = max(start - left, 0), min(end + right, len(contig))
    longer = (contig[left:right], contig[left:start] + alt + contig[end:right])
    assert forms(*change)[1:] == forms(contig, left, *longer)[1:]


def test_the_normal_form_is_that_of_bcftools_norm(tmp_path):
    contig = "GATTTTTACACACACAGGCATCATCATGA" + "C" * 80 + "TGAGAGAC"
    places = [
        (3, 1, "TT"), (7, 1, "TT"), (6, 2, "T"), (9, 3, "C"), (10, 1, "ACA"), (16, 3, "A"),
        (21, 4, "T"), (20, 1, "ATCA"), (14, 2, "ACAC"), (109, 2, "T"), (30, 3, "C"), (1, 1, "TG"),
        (1, 2, "A"), (2, 2, "GC"), (2, 4, "ACT"), (111, 5, "GAG"), (5, 3, "TGT"),
    ]  # fmt: skip
    written = [(pos, contig[pos - 1 : pos - 1 + size], alt) for pos, size, alt in places]
    fasta = write_fasta(tmp_path / "a.fa", {"1": contig}, line=50)
    vcf = tmp_path / "a.vcf"
    head = f"##fileformat=VCFv4.3\n##contig=<ID=1,length={len(contig)}>\n"
    rows = "".join(
        f"1\t{pos}\tv{number}\t{ref}\t{alt}\t.\t.\t.\n"
        for number, (pos, ref, alt) in enumerate(written)
    )
    vcf.write_text(f"{head}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{rows}")
    pysam.faidx(str(fasta))
    text = pysam.bcftools.norm("-f", str(fasta), str(vcf))
    expected = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            _, pos, number, ref, alt, *_ = line.split("\t")
            expected[number] = f"{pos}:{ref}:{alt}"
    assert len(expected) == len(written)
    for number, (pos, ref, alt) in enumerate(written):
        assert forms(contig, pos - 1, ref, alt)[2] == expected[f"v{number}"], (pos, ref, alt)


def test_nothing_slides_through_unknown_bases():
    assert forms("ACNNNNC", 2, "NN", "N")[1] == Edit(2, 3, "")
    assert forms("NNTTTNN", 3, "T", "TT")[1] == Edit(2, 5, "TTTT")
