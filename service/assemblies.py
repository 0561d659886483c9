"""Names and lengths of the human chromosomes in GRCh37 and GRCh38."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

ADVICE: Final = "Check --reference; --mismatch-share 1 scores regardless"
"""Where a file seems to be of another assembly than the reference."""

CHROMOSOMES: Final = (*map(str, range(1, 23)), "X", "Y")
UCSC_HG19_CHRM_LENGTH: Final = 16_571  # NC_001807, another sequence than MT of GRCh37 and GRCh38

# https://www.ncbi.nlm.nih.gov/assembly: GCA_000001405.1 and GCA_000001405.15, primary assembly.
_GRCH37 = (
    249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022,
    141213431, 135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753,
    81195210, 78077248, 59128983, 63025520, 48129895, 51304566, 155270560, 59373566,
)  # fmt: skip
_GRCH38 = (
    248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636,
    138394717, 133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345,
    83257441, 80373285, 58617616, 64444167, 46709983, 50818468, 156040895, 57227415,
)  # fmt: skip
# What the files of an assembly are called.
_FILE_NAMES = {
    "GRCh37": re.compile(r"(?i)hg19|grch37|(?<![a-z])b37|hs37"),
    "GRCh38": re.compile(r"(?i)hg38|grch38|(?<![a-z])b38|hs38"),
}
# RefSeq versions of the chromosomes in GRCh37; GRCh38 has the next one of each.
_GRCH37_VERSIONS = (
    10, 11, 11, 11, 9, 11, 13, 10, 11, 10, 9, 11, 10, 8, 9, 9, 10, 9, 9, 10, 8, 10, 10, 9,
)  # fmt: skip


def _accessions(step: int) -> dict[str, str]:
    versions = (version + step for version in _GRCH37_VERSIONS)
    names = {
        f"NC_{number:06d}.{version}": chromosome
        for number, (version, chromosome) in enumerate(zip(versions, CHROMOSOMES, strict=True), 1)
    }
    return names | {"NC_012920.1": "MT"}


LENGTHS: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "GRCh37": dict(zip(CHROMOSOMES, _GRCH37, strict=True)),
        "GRCh38": dict(zip(CHROMOSOMES, _GRCH38, strict=True)),
    }
)
_ACCESSIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {"GRCh37": _accessions(0), "GRCh38": _accessions(1)}
)


def canonical_name(contig: str, assembly: str | None = None) -> str:
    """Return one name for all spellings of a contig: without `chr`, MT for M, 1 for NC_000001.10.

    Args:
      contig: any spelling.
      assembly: GRCh37 or GRCh38: RefSeq accessions of the other one keep their own name, because
        their coordinates differ. None accepts both.

    >>> canonical_name("chrM"), canonical_name("NC_000023.11"), canonical_name("chrUn_gl000220")
    ('MT', 'X', 'Un_gl000220')
    """
    for known in LENGTHS if assembly is None else (assembly,):
        if contig in _ACCESSIONS[known]:
            return _ACCESSIONS[known][contig]
    plain = contig[3:] if contig[:3].lower() == "chr" else contig
    return "MT" if plain == "M" else plain


def accession(chromosome: str, assembly: str) -> str | None:
    """Return the RefSeq accession of a chromosome, None for any other contig.

    Args:
      chromosome: its canonical name.
      assembly: GRCh37 or GRCh38.

    >>> accession("X", "GRCh37"), accession("MT", "GRCh38"), accession("Un_gl000220", "GRCh37")
    ('NC_000023.10', 'NC_012920.1', None)
    """
    named = (known for known, name in _ACCESSIONS[assembly].items() if name == chromosome)
    return next(named, None)


def named_otherwise(file_name: str, assembly: str | None) -> Iterator[str]:
    """Yield a warning where a reference is named like a file of another assembly than the stated.

    Args:
      file_name: of the FASTA.
      assembly: as it was stated; of None nothing can be said.

    >>> list(named_otherwise("hg19.fa", "GRCh38"))
    ['--assembly GRCh38, but hg19.fa is named like a file of GRCh37']
    """
    for other, pattern in _FILE_NAMES.items():
        if assembly not in {None, other} and pattern.search(file_name):
            yield f"--assembly {assembly}, but {file_name} is named like a file of {other}"
