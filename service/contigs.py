"""Contigs of a VCF against those of the reference: their lengths and how they are spelt."""

from service.assemblies import ADVICE, LENGTHS, canonical_name
from service.errors import InputFileError
from service.records import Header
from service.reference import Reference


def contig_of(line: bytes) -> str | None:
    """Return the first column of a record, None where there is none."""
    return line.partition(b"\t")[0].decode("utf-8", "replace") or None


def check_contigs(header: Header, reference: Reference, name: str) -> None:
    """Compare the contig lengths that a VCF declares with the reference, before the work starts.

    Args:
      header: of the VCF.
      reference: its length of a contig counts; where it holds only a part of it, the length in the
        assembly that was stated.
      name: what messages call the VCF.

    Raises:
      InputFileError: a length differs.
    """
    for contig, declared in header.contigs.items():
        known = reference.resolve(contig)
        if declared is None or known is None:
            continue
        length, where = reference.length(known), reference.name
        # A FASTA of less than half is an excerpt; assemblies differ by a few per cent.
        if (length is None or length < declared / 2) and reference.assembly is not None:
            length = LENGTHS[reference.assembly].get(canonical_name(contig))
            where = reference.assembly
        if length is None or length == declared or length < declared / 2:
            continue
        raise InputFileError(
            f"{contig} has {declared:,} bases in the header of {name}, {length:,} in {where}: wrong"
            f" assembly? {ADVICE}",
            detail={"contig": contig, "declared": declared, "length": length},
        )


def contig_lengths(reference: Reference, *, like: str | None = None) -> dict[str, int]:
    """Return bases of the reference's contigs, those of known length, for the header of an output.

    Args:
      reference: the genome.
      like: a contig name of the VCF, if there is one: the names are spelt with or without `chr` as
        it is.
    """
    known = None if like is None else reference.resolve(like)
    if like is None or known is None or like == known:
        spelt = {contig: contig for contig in reference.contigs}
    elif like.startswith("chr") and canonical_name(like) == canonical_name(known):
        spelt = {contig: _with_chr(contig) for contig in reference.contigs}
    elif like == canonical_name(known):
        spelt = {contig: canonical_name(contig) for contig in reference.contigs}
    else:
        return {}
    lengths = {name: reference.length(contig) for contig, name in spelt.items()}
    return {name: length for name, length in lengths.items() if length is not None}


def _with_chr(contig: str) -> str:
    name = canonical_name(contig)
    return "chrM" if name == "MT" else f"chr{name}"
