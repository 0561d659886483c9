"""The CAGI5 files: declared, checked, and read for places and bases alone."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from service.reference import Reference
from service.sequence import decode
from service.windows import make_passes, variant_windows
from tests.training.toy_cagi5 import SPAN, write_cagi5
from training.datasets.cagi5 import (
    CAGI5_SOURCES,
    CHALLENGE,
    ELEMENTS,
    REFERENCE,
    element_spans,
    head_of,
    locate_cagi5,
    locus_of,
    read_elements,
    reference_path,
    variants_of,
    write_construct_reference,
)
from training.datasets.sources import SOURCES, SUMS, DataError
from training.evaluation.challenge import load_release

GENOME = decode(np.random.default_rng(0).integers(0, 4, 400, dtype=np.uint8))


@pytest.fixture
def cagi5(tmp_path: Path) -> Path:
    """Two elements on one slice, chr1:1001-1400; E1 spans 1101 to 1160 over both splits. No label.

    Whatever reads these files does without.
    """
    folder = tmp_path / "cagi5"
    folder.mkdir()
    rows = {"challenge": [("E1", 1120), ("E1", 1160), ("E2", 1300)], "release": [("E1", 1101)]}
    for split, places in rows.items():
        lines = [f"{element}\tchr1\t{pos}\n" for element, pos in places]
        (folder / f"{split}.tsv").write_text("element\tchrom\tpos\n" + "".join(lines))
    (folder / "reference_grch37.fa").write_text(f">chr1:1001-1400\n{GENOME}\n")
    return tmp_path


@pytest.fixture(scope="module")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cagi5(tmp_path_factory.mktemp("data"))


def test_the_files_are_declared_with_their_origin_and_feed_no_assay():
    for source in CAGI5_SOURCES:
        assert source not in SOURCES
        assert source.assays == ()
        assert source.url.startswith("https://")
        assert source.citation
        if source is not REFERENCE:
            assert re.search(r"/[0-9a-f]{40}/", source.url)
            assert "doi:10." in source.citation


def test_an_element_is_the_span_of_its_measured_variants(cagi5):
    assert element_spans(cagi5) == {"E1": ("chr1", 1101, 1160), "E2": ("chr1", 1300, 1300)}
    assert read_elements(cagi5) == {"E1": GENOME[100:160], "E2": GENOME[299:300]}


def test_reading_leaves_no_index_beside_the_reference(cagi5):
    read_elements(cagi5)
    assert len([*(cagi5 / "cagi5").iterdir()]) == 3


def test_element_outside_every_slice_is_refused(cagi5):
    (cagi5 / "cagi5" / "reference_grch37.fa").write_text(f">chr1:1110-1509\n{GENOME}\n")
    with pytest.raises(DataError, match=r"grch37\.fa: no slice covers E1, chr1:1101-1160"):
        read_elements(cagi5)


def test_reference_without_coordinates_is_refused(cagi5):
    (cagi5 / "cagi5" / "reference_grch37.fa").write_text(f">chr1\n{GENOME}\n")
    with pytest.raises(DataError, match=r"grch37\.fa: record 'chr1' is not named"):
        read_elements(cagi5)


@pytest.mark.parametrize("source", CAGI5_SOURCES, ids=lambda source: source.name)
def test_a_missing_or_altered_file_is_named_with_the_remedy(cagi5, source):
    place = cagi5 / source.path
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    assert locate_cagi5(source, cagi5).sha256 == digest, "a folder without a list"
    listed = [f"{'0' * 64}  {other.path}\n" for other in CAGI5_SOURCES if other is not source]
    (cagi5 / SUMS).write_text("".join(listed) + f"{digest}  {source.path}\n")
    assert locate_cagi5(source, cagi5).path == place
    with place.open("a") as stream:
        stream.write("\n")
    with pytest.raises(DataError, match=r"SHA-256 is .* copy it into the mirror again"):
        locate_cagi5(source, cagi5)
    (cagi5 / SUMS).unlink()
    place.unlink()
    with pytest.raises(DataError, match=rf"{place.name}: not found; .* name the folder"):
        read_elements(cagi5)


def test_no_file_is_used_before_it_is_checked(cagi5):
    for altered in CAGI5_SOURCES:
        lines = [
            f"{hashlib.sha256((cagi5 / source.path).read_bytes()).hexdigest()}  {source.path}\n"
            for source in CAGI5_SOURCES
            if source is not altered
        ]
        (cagi5 / SUMS).write_text("".join(lines) + f"{'0' * 64}  {altered.path}\n")
        with pytest.raises(DataError, match=rf"{Path(altered.path).name}: SHA-256 is"):
            read_elements(cagi5)


def test_heads_and_loci():
    assert [e for e in ELEMENTS if head_of(e) == "HepG2"] == ["F9", "LDLR", "SORT1"]
    assert locus_of("TERT-GBM") == locus_of("TERT-HEK293T") != locus_of("HBB")
    assert len({locus_of(element) for element in ELEMENTS}) == 14
    assert CHALLENGE.name != REFERENCE.name


def test_the_construct_window_is_blank_outside_the_element(toy_data, tmp_path):
    table = load_release(toy_data)
    path = write_construct_reference(toy_data, tmp_path)
    passes = make_passes(1, (0,))
    with Reference.open(path) as construct, Reference.open(reference_path(toy_data)) as genome:
        for variant in variants_of(table)[:60]:
            whole = variant_windows(genome, variant, 30, passes)[0]
            cut = variant_windows(construct, variant, 30, passes)[0]
            place = np.arange(variant.pos - 15, variant.pos + 15)
            inside = (place >= SPAN[0]) & (place <= SPAN[1])
            assert (cut[:, ~inside] == 4).all()
            np.testing.assert_array_equal(cut[:, inside], whole[:, inside])
            assert (whole != 4).all()
    assert path.read_text().count(">") == 14


@pytest.mark.data
def test_the_construct_reference_is_the_genome_between_its_ends(data_dir, tmp_path):
    path = write_construct_reference(data_dir, tmp_path)
    with Reference.open(path) as construct, Reference.open(reference_path(data_dir)) as genome:
        spans = set(element_spans(data_dir).values())
        assert len(spans) == 14
        for contig, first, last in spans:
            left, right = (r.codes(contig, first - 1, last) for r in (construct, genome))
            np.testing.assert_array_equal(left, right)
            assert (construct.codes(contig, first - 11, first - 1) == 4).all()
            assert (construct.codes(contig, last, last + 10) == 4).all()
