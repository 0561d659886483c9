"""Small genomes in FASTA files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from service.reference import Reference

CHR1 = (
    "ACGTTGCAAGTCCATGGATCCGTAAACTGATCGTTAGCCATAGGCTAACGTAGCTTGACCATGCAATTCGGACTTACGGATACA"
    "TTTTTTACGCGCGCATCAG"
)
CHR_M = "GATCACAGGTCTATCACCCTATTAACCACTCACGGGAGCTCTCCATGCATTTGGTATTTTCGTCTGGGGGGTATGCACGCGAT"

_COMPLEMENT = str.maketrans("ACGTNacgtn", "TGCANtgcan")


def write_fasta(path: Path, records: dict[str, str], line: int = 30) -> Path:
    """Write records in lines of equal length."""
    with path.open("w") as file:
        for name, sequence in records.items():
            file.write(f">{name}\n")
            file.writelines(
                f"{sequence[first : first + line]}\n" for first in range(0, len(sequence), line)
            )
    return path


@contextmanager
def genome(records: dict[str, str], assembly: str | None = None) -> Iterator[Reference]:
    """Open a reference made of these records."""
    with TemporaryDirectory() as folder:
        path = write_fasta(Path(folder, "genome.fa"), records)
        with Reference.open(path, assembly) as reference:
            yield reference


def reversed_complement(sequence: str) -> str:
    """Return the other strand, on strings: the naive twin of the coded one."""
    return sequence.translate(_COMPLEMENT)[::-1]
