"""Where the measurements come from: declared file -> mirror or download -> checked path.

The repository holds none of these files. Each is declared with its public address at a commit, the
SHA-256 of the public bytes, its licence and its citation. A mirror folder may hold fewer rows of a
public file, so a mirror answers to its own `SHA256SUMS`; a download answers to the declaration.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pooch  # type: ignore[import-untyped]  # ships neither types nor stubs

from training.assays import JOINT_LIBRARY

SUMS = "SHA256SUMS"
_RAW = "https://raw.githubusercontent.com"
_LNCRNA = (
    f"{_RAW}/kmattioli/2018__lncRNA_promoter_MPRA/f60084434467a61dcb48451ef3a94d8d92666cc3/"
    "data/02__activs"
)
_AGARWAL_2025 = "Agarwal et al., Nature 2025, doi:10.1038/s41586-024-08430-9"
_MATTIOLI_2019 = "Mattioli et al., Genome Research 2019, doi:10.1101/gr.242222.118"
_MATTIOLI_2020 = "Mattioli et al., Genome Biology 2020, doi:10.1186/s13059-020-02110-3"
_INOUE_2017 = (
    "Inoue et al., Genome Research 2017, doi:10.1101/gr.212092.116; "
    "Klein et al., Nature Methods 2020, doi:10.1038/s41592-020-0965-y"
)
_NO_LICENCE = "none stated"
_INOUE = ("inoue2017_HepG2",)


class DataError(Exception):
    """A table is missing, altered or not what its declaration says; the message names a remedy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One public file.

    Attributes:
      name: short unique name.
      path: place under a mirror folder.
      url: public address at a commit; for a prepared file, the repository it was prepared from.
      sha256: digest of the public file; None where there is no such file (a prepared table).
      licence: as its repository states it.
      citation: publication with DOI.
      assays: names of the assays that rows are read into; none for a file that is not trained on.
    """

    name: str
    path: str
    url: str
    sha256: str | None
    licence: str
    citation: str
    assays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LocatedFile:
    """A source on this machine whose bytes were checked.

    Attributes:
      source: what was declared.
      path: where it lies.
      sha256: digest of these bytes.
    """

    source: Source
    path: Path
    sha256: str

    @property
    def is_public(self) -> bool:
        """Whether these are the public file's bytes (a mirror may hold fewer rows)."""
        return self.sha256 == self.source.sha256

    def as_dict(self) -> dict[str, Any]:
        """Return the declaration as plain values; `sha256` is of the bytes that were read."""
        public = {"public_sha256": self.source.sha256}
        return {**asdict(self.source), **public, "sha256": self.sha256}


def _pool(name: str, file: str, sha256: str) -> Source:
    return Source(
        name=name,
        path=f"mpra/mattioli2018/{file}",
        url=f"{_LNCRNA}/{file}",
        sha256=sha256,
        licence=_NO_LICENCE,
        citation=_MATTIOLI_2019,
        assays=(name,),
    )


JOINT_ACTIVITY = Source(
    name="agarwal2025_joint_activity",
    path="mpra/agarwal2025/56k_measured_file.xlsx",
    url=f"{_RAW}/de-Boer-Lab/GAME-Agarwal-MPRA-joint-library-evaluator/"
    "24a14e585d6b5b740624c2f0ab640febeca6d54b/"
    "agarwal_joint_library/evaluator_data/2023-03-03628-s5/56k_measured_file.xlsx",
    sha256="69028919cc79fa4eb052db240f2ec769550a08d76ac2c0649e827f32856d8787",
    licence=_NO_LICENCE,
    citation=_AGARWAL_2025,
    assays=JOINT_LIBRARY,
)
JOINT_SEQUENCES = Source(
    name="agarwal2025_joint_sequences",
    path="mpra/agarwal2025/ultra_joint.fa.gz",
    url=f"{_RAW}/kircherlab/ISMB-2025_IGVF-MPRA-Tutorial/"
    "f50c8c0d9fb05861f6be06dacb588f600542b3fd/05_sequence_models/02_data/ultra_joint.fa.gz",
    sha256="5ca681fbf4d8f14f06da48691311041979273ec3fe79bc7fcbdfa62b7c483467",
    licence=_NO_LICENCE,
    citation=_AGARWAL_2025,
    assays=JOINT_LIBRARY,
)
POOL1_K562 = _pool(
    "mattioli2018_pool1_K562",
    "POOL1__pMPRA1__K562__activities_per_element.txt",
    "606ddb5715e8a90dd654a19d642c780d92ac38768d932fc5182aae61218c8697",
)
POOL1_HEPG2 = _pool(
    "mattioli2018_pool1_HepG2",
    "POOL1__pMPRA1__HepG2__activities_per_element.txt",
    "240ff48d7a2d07b814dfe7b52b85a51590eeeebf586f72fd15dbece60882ab72",
)
POOL1_HELA = _pool(
    "mattioli2018_pool1_HeLa",
    "POOL1__pMPRA1__HeLa__activities_per_element.txt",
    "1a8402c4dbf57113e5043fce5ce40e94f4f34a10d2677680168e3211e2d963b8",
)
POOL2_K562 = _pool(
    "mattioli2018_pool2_K562",
    "POOL2__pMPRA1__K562__activities_per_element.txt",
    "cdab324b78a87045653172d1ab50af65589138e9014221a826c2b5c3ff5a7c5c",
)
POOL2_HEPG2 = _pool(
    "mattioli2018_pool2_HepG2",
    "POOL2__pMPRA1__HepG2__activities_per_element.txt",
    "f1d785a3864afbad52e1bf91c37ac06c68a1987773bd0edef6ff8bd6228df800",
)
# Prepared from data/01__design/02__index/index.txt.gz and data/02__mpra/01__counts/, whose digests
# were not recorded: a mirror serves it, a download cannot be checked and so is not offered.
HUES64 = Source(
    name="mattioli2019_HUES64",
    path="mpra/mattioli2019/HUES64_per_replicate.tsv.gz",
    url="https://github.com/kmattioli/2019__cis_trans_MPRA/tree/"
    "55da814dee39f232b746deb6c8110cd15d77c3dd/data",
    sha256=None,
    licence="MIT",
    citation=_MATTIOLI_2020,
    assays=("mattioli2019_HUES64",),
)
INOUE_BARCODES = Source(
    name="inoue2017_barcodes",
    path="mpra/inoue2017/reporter_experiment.barcode.HEPG2.fromFile.default.all.tsv.gz",
    url=f"{_RAW}/visze/MPRAdata/659ca65b6f654ddd9c7ec79dc0abc6204c104a69/"
    "resources/reporter_experiment.barcode.HEPG2.fromFile.default.all.tsv.gz",
    sha256="329044463013a156c9484535710c3a4fbae6e39cc0413ae88f549ba154bc3010",
    licence="MIT",
    citation=_INOUE_2017,
    assays=_INOUE,
)
INOUE_DESIGN = Source(
    name="inoue2017_design",
    path="mpra/inoue2017/design.fa",
    url=f"{_RAW}/kircherlab/MPRAsnakeflow/28f8e0c03971d2b8e6a3095481cd547b513733b0/"
    "resources/assoc_basic/design.fa",
    sha256="07c76fc00b2b4a57f45dd1fd7ccea876a876b91b1e2d2b4c7fde9dbf1dbed5c9",
    licence="MIT",
    citation=_INOUE_2017,
    assays=_INOUE,
)

SOURCES: tuple[Source, ...] = (
    JOINT_ACTIVITY,
    JOINT_SEQUENCES,
    POOL1_K562,
    POOL1_HEPG2,
    POOL1_HELA,
    POOL2_K562,
    POOL2_HEPG2,
    HUES64,
    INOUE_BARCODES,
    INOUE_DESIGN,
)


def locate(source: Source, mirror: Path | None) -> LocatedFile:
    """Find a source in the mirror, or download it, and check its digest.

    Raises:
      DataError: missing, altered or not obtainable; names the file and what to do.
    """
    if mirror is None:
        return _download(source)
    return LocatedFile(source, *check_mirrored(source.path, mirror))


def mirror_digests(mirror: Path) -> dict[str, str]:
    """Read a mirror's `SHA256SUMS` as {relative path: digest}."""
    sums = mirror / SUMS
    if not sums.is_file():
        raise DataError(
            f"{sums}: not found; a mirror vouches for its files with this list. Write it with "
            f"`sha256sum` in {mirror}, or leave the mirror out to download the public files"
        )
    pairs = (line.split(maxsplit=1) for line in sums.read_text().splitlines() if line.strip())
    return {path.strip().removeprefix("*").removeprefix("./"): digest for digest, path in pairs}


def check_mirrored(path: str, mirror: Path) -> tuple[Path, str]:
    """Check `mirror / path` against the mirror's list and return its place and digest."""
    place = mirror / path
    expected = mirror_digests(mirror).get(path)
    if not place.is_file():
        raise DataError(f"{place}: not found; copy it into the mirror or choose another --mirror")
    if expected is None:
        raise DataError(f"{place}: not listed in {mirror / SUMS}; add its SHA-256 to that list")
    actual = file_digest(place)
    if actual != expected:
        raise DataError(
            f"{place}: SHA-256 is {actual}, {SUMS} says {expected}; the copy is truncated or "
            "altered: copy it into the mirror again"
        )
    return place, actual


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(source: Source) -> LocatedFile:
    if source.sha256 is None:
        raise DataError(
            f"{source.path}: prepared from {source.url}, not a public file with a known digest; "
            "give a mirror folder that holds it (--mirror DIR or VARSIGMA_DATA)"
        )
    folder = pooch.os_cache("varsigma") / Path(source.path).parent
    try:
        place = pooch.retrieve(
            source.url, f"sha256:{source.sha256}", fname=Path(source.path).name, path=folder
        )
    except ValueError as error:  # pooch's word for a digest that does not match
        raise DataError(
            f"{source.path}: {source.url} does not have SHA-256 {source.sha256}; the download "
            "broke off or the file changed: try again, or give a mirror folder (--mirror DIR)"
        ) from error
    except OSError as error:
        raise DataError(
            f"{source.path}: cannot download {source.url} ({error}); check the network, or give a "
            "mirror folder (--mirror DIR or VARSIGMA_DATA)"
        ) from error
    return LocatedFile(source, Path(place), source.sha256)
