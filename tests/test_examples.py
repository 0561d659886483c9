"""The files of `examples/` are what their README says: a real slice and a valid VCF on it."""

from hashlib import sha256
from pathlib import Path

import pyfaidx
import pysam
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def slice_() -> str:
    # Read by hand, so that the tested package does not vouch for itself and no index is written.
    header, sequence = (EXAMPLES / "chr17.hg19.part.fa").read_text().split("\n", 1)
    assert header == ">chr17"
    return sequence.replace("\n", "")


@pytest.fixture(scope="module")
def records() -> list[pysam.VariantRecord]:
    with pysam.VariantFile(str(EXAMPLES / "variants.vcf")) as vcf:
        return [record.copy() for record in vcf]


def test_the_slice_is_the_published_file() -> None:
    digest = sha256((EXAMPLES / "chr17.hg19.part.fa").read_bytes()).hexdigest()
    assert digest in (EXAMPLES / "README.md").read_text()


def test_doc2b_starts_where_the_readme_says(slice_: str) -> None:
    first_codons = pyfaidx.complement(slice_[31240:31270].upper())[::-1]
    assert first_codons.startswith("ATGACCCTCCGG")  # M T L R of DOC2B


def test_every_ref_is_the_slice_but_for_the_one_made_wrong(
    slice_: str, records: list[pysam.VariantRecord]
) -> None:
    wrong = [
        record.info["KIND"]
        for record in records
        if record.ref != slice_[record.start : record.start + len(record.ref)].upper()
    ]
    assert wrong == ["ref_mismatch", "outside_the_slice", "contig_not_in_fasta"]


def test_the_vcf_holds_every_kind_of_alt(records: list[pysam.VariantRecord]) -> None:
    alts = [(record.ref, alt) for record in records for alt in record.alts or ("",)]
    bases = [(ref, alt) for ref, alt in alts if set(alt) <= set("ACGT") and alt]
    assert any(len(ref) == len(alt) == 1 for ref, alt in bases), "SNV"
    assert any(len(ref) == len(alt) > 1 for ref, alt in bases), "MNV"
    assert {len(alt) - len(ref) for ref, alt in bases} >= {-12, -1, 0, 1, 9, 64}, "indels"
    assert any(1 < len(alt) < len(ref) for ref, alt in bases), "delins"
    assert {"*", "<DEL>", "", "R"} <= {alt for _, alt in alts}
    assert any("]" in alt for _, alt in alts), "breakend"
    assert any(len(record.alts or ()) == 3 for record in records), "multi-allelic"
    assert [record.id for record in records] == [f"ex{n:02d}" for n in range(1, 24)]
