"""The CAGI5 elements: declared files -> where each lies, its bases, the target that scores it.

Nothing here reads a label: `training.evaluation.challenge` is the door to the measured effects.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from service.variants import Variant
from training.datasets.parsers import read_fasta
from training.datasets.sources import (
    SUMS,
    DataError,
    LocatedFile,
    Source,
    file_digest,
    locate,
)

_PREPARED_FROM = (
    "https://github.com/meghegde/regulation-saturation-python/blob/"
    "566ef35b6c76978e31daf8b6b2e8e161be805019/data"
)
_CITATION = (
    "Kircher et al., Nature Communications 2019, doi:10.1038/s41467-019-11526-w; "
    "Shigaki et al., Human Mutation 2019, doi:10.1002/humu.23797"
)
CHALLENGE = Source(
    name="cagi5_challenge",
    path="cagi5/challenge.tsv",
    url=f"{_PREPARED_FROM}/test_labels.csv",
    sha256=None,
    licence="none stated",
    citation=_CITATION,
)
RELEASE = Source(
    name="cagi5_release",
    path="cagi5/release.tsv",
    url=f"{_PREPARED_FROM}/training_all_RegDB.txt",
    sha256=None,
    licence="none stated",
    citation=_CITATION,
)
REFERENCE = Source(
    name="cagi5_reference",
    path="cagi5/reference_grch37.fa",
    url="https://hgdownload.soe.ucsc.edu/goldenPath/hg19/chromosomes/",
    sha256=None,
    licence="none stated",
    citation="Genome Reference Consortium, GRCh37 (UCSC hg19)",
)
MEASUREMENTS = Source(
    name="cagi5_measurements",
    path="cagi5/kircher2019_grch37.tsv.gz",
    url="https://github.com/kircherlab/MPRA_SaturationMutagenesis/blob/"
    "c5cadb46a3ec9bbeb8f678e8dc2b2335191f121b/data/elements.tsv.gz",
    sha256=None,
    licence="none stated for the data; the repository is GPL-3.0",
    citation="Kircher et al., Nature Communications 2019, doi:10.1038/s41467-019-11526-w",
)
CAGI5_SOURCES = (CHALLENGE, RELEASE, REFERENCE)

K562_MATCHED = ("GP1BB", "HBB", "HBG1", "PKLR")
HEPG2_MATCHED = ("F9", "LDLR", "SORT1")
UNMATCHED = (
    "HNF4A",
    "IRF4",
    "IRF6",
    "MSMB",
    "MYCrs6983267",
    "TERT-GBM",
    "TERT-HEK293T",
    "ZFAND3",
)
ELEMENTS = (*K562_MATCHED, *HEPG2_MATCHED, *UNMATCHED)
GROUPS: dict[str, tuple[str, ...]] = {
    "K562-matched (4)": K562_MATCHED,
    "HepG2-matched (3)": HEPG2_MATCHED,
    "matched (7)": (*K562_MATCHED, *HEPG2_MATCHED),
    "all (15)": ELEMENTS,
}
"""Elements whose unweighted means are reported."""


def head_of(element: str) -> str:
    """Target that scores an element: HepG2 for its three, K562 for its four and the unmatched."""
    return "HepG2" if element in HEPG2_MATCHED else "K562"


def locus_of(element: str) -> str:
    """Stretch of genome that an element is; one that was assayed in two cells is one locus.

    >>> locus_of("TERT-GBM")
    'TERT'
    """
    return element.partition("-")[0]


def locate_cagi5(source: Source, data_dir: Path) -> LocatedFile:
    """Find one of these files and, where the folder lists its digests, check it against them.

    Args:
      source: one of `CAGI5_SOURCES`, or `MEASUREMENTS`.
      data_dir: folder that holds cagi5/.

    Raises:
      DataError: missing or altered; names the file and what to do.
    """
    if (data_dir / SUMS).is_file():
        return locate(source, data_dir)
    place = data_dir / source.path
    if not place.is_file():
        raise DataError(
            f"{place}: not found; the tables and the reference of CAGI5 are needed: name the "
            "folder that holds cagi5/"
        )
    return LocatedFile(source, place, file_digest(place))


def reference_path(data_dir: Path) -> Path:
    """GRCh37 slices around the 15 elements, checked."""
    return locate_cagi5(REFERENCE, data_dir).path


def element_spans(data_dir: Path) -> dict[str, tuple[str, int, int]]:
    """Where each element lies: {element: (contig, first, last)}, 1-based inclusive.

    The span of the positions measured in either split, not the slice of genome around them.
    """
    positions = pd.concat(
        pd.read_csv(
            locate_cagi5(split, data_dir).path,
            sep="\t",
            usecols=["element", "chrom", "pos"],
            dtype={"chrom": str},
        )
        for split in (CHALLENGE, RELEASE)
    )
    return {
        str(element): (str(rows["chrom"].iloc[0]), int(rows["pos"].min()), int(rows["pos"].max()))
        for element, rows in positions.groupby("element")
    }


def read_elements(data_dir: Path) -> dict[str, str]:
    """Read the GRCh37 sequence of each element.

    The slices are named `contig:first-last` (1-based, inclusive) and read as plain text, so that no
    index is written beside them.

    Raises:
      DataError: a file is missing or altered, or no slice covers an element.
    """
    path = reference_path(data_dir)
    slices = [(*_place(path, name), sequence) for name, sequence in read_fasta(path).items()]
    elements = {}
    for element, (contig, first, last) in element_spans(data_dir).items():
        covering = (
            sequence[first - start : last - start + 1]
            for slice_contig, start, end, sequence in slices
            if slice_contig == contig and start <= first and last <= end
        )
        elements[element] = next(covering, "")
        if not elements[element]:
            raise DataError(f"{path}: no slice covers {element}, {contig}:{first}-{last}")
    return elements


def _place(path: Path, name: str) -> tuple[str, int, int]:
    """Split `contig:first-last` (1-based, inclusive)."""
    contig, _, region = name.rpartition(":")
    first, _, last = region.partition("-")
    if not (contig and first.isdecimal() and last.isdecimal()):
        raise DataError(f"{path}: record {name!r} is not named contig:first-last")
    return contig, int(first), int(last)


def write_construct_reference(data_dir: Path, folder: Path) -> Path:
    """Write slices that end where the elements end, so that a window holds N outside them.

    The assayed plasmids carry the element alone: what the genome has beside it was not there.

    Returns:
      A FASTA of slices named `contig:first-last`, one per distinct element span.
    """
    bases, spans = read_elements(data_dir), element_spans(data_dir)
    slices = {span: bases[element] for element, span in spans.items()}
    path = folder / "elements.fa"
    with path.open("w", encoding="ascii") as handle:
        for (contig, first, last), sequence in sorted(slices.items()):
            handle.write(f">{contig}:{first}-{last}\n{sequence}\n")
    return path


def variants_of(table: pd.DataFrame) -> list[Variant]:
    """Variants of a table with the columns contig, pos (1-based), ref and alt, in its order."""
    columns = (table[name].tolist() for name in ("contig", "pos", "ref", "alt"))
    return [Variant(*row) for row in zip(*columns, strict=True)]
