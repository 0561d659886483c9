"""What a person is told of one variant that has no score."""

import pytest

from service.errors import InputFileError, Status
from service.reasons import reason
from service.reference import Reference
from service.variants import Variant

SEQUENCE = "ACGTTGCAACGTAACCGGTTAACGT"


@pytest.fixture
def open_genome(tmp_path):
    def make(*names: str, assembly: str | None = "GRCh37") -> Reference:
        path = tmp_path / "genome.fa"
        path.write_text("".join(f">{name}\n{SEQUENCE}\n" for name in names))
        return Reference.open(path, assembly)

    return make


def told(status: Status, reference: Reference, contig: str, pos: int = 1, ref: str = "A") -> str:
    return reason(status, Variant(contig, pos, ref, "T"), reference)


@pytest.mark.parametrize(
    ("pos", "ref", "has"),
    [
        (2, "T", "C"),
        (3, "tt", "GT"),
        (1, "T" * 22, f"{SEQUENCE[:20]}..."),
        (1, "T" * 20, SEQUENCE[:20]),
        (25, "GG", "TN"),
    ],
)
def test_a_mismatch_names_what_the_reference_has(open_genome, pos, ref, has):
    with open_genome("chr1") as reference:
        found = told(Status.REF_MISMATCH, reference, "1", pos, ref)
    assert found == f"REF differs from the reference sequence, which has {has} at chr1:{pos}"


def test_a_reference_that_cannot_be_read_any_more_is_not_the_matter(open_genome, monkeypatch):
    def fail(*_: object) -> None:
        raise InputFileError("gone")

    with open_genome("chr1") as reference:
        monkeypatch.setattr(reference, "codes", fail)
        assert told(Status.REF_MISMATCH, reference, "1") == Status.REF_MISMATCH.reason
        assert told(Status.REF_MISMATCH, reference, "7") == Status.REF_MISMATCH.reason


@pytest.mark.parametrize(
    ("contigs", "given", "end"),
    [
        (("chr1", "chr2"), "chrX", "'chrX'; it has chr1, chr2"),
        (("a", "b", "c", "d", "e"), "x\ny", "'x\\ny'; it has a, b, c and 2 more"),
        (("a",), "é" * 50, "'" + r"\xe9" * 40 + "...'; it has a"),
        (
            ("chr17",), "NC_000017.11",
            "'NC_000017.11': that is 17 of GRCh38, the reference is GRCh37",
        ),
        (("chr1",), "NC_000017.11", "'NC_000017.11'; it has chr1"),
    ],
)  # fmt: skip
def test_an_unknown_contig_is_named_beside_those_that_there_are(open_genome, contigs, given, end):
    with open_genome(*contigs) as reference:
        found = told(Status.UNKNOWN_CONTIG, reference, given)
    assert found == f"the reference has no contig {end}"


def test_without_a_stated_assembly_and_of_other_statuses(open_genome):
    with open_genome("chr1", assembly=None) as reference:
        found = told(Status.UNKNOWN_CONTIG, reference, "2")
        assert found == "the reference has no contig '2'; it has chr1"
        assert told(Status.STAR_ALT, reference, "1") == Status.STAR_ALT.reason
