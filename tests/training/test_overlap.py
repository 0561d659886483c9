from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from service.sequence import decode
from training.datasets.overlap import drop_overlaps, read_elements
from training.datasets.sources import DataError

GENOME = decode(np.random.default_rng(0).integers(0, 4, 400, dtype=np.uint8))
HEADER = "element\tchrom\tpos\tref\talt\tvalue\tconfidence\n"


@pytest.fixture
def cagi5(tmp_path: Path) -> Path:
    """Two elements on one slice, chr1:1001-1400; E1 spans 1101 to 1160 over both splits."""
    folder = tmp_path / "cagi5"
    folder.mkdir()
    rows = {"challenge": [("E1", 1120), ("E1", 1160), ("E2", 1300)], "release": [("E1", 1101)]}
    for split, places in rows.items():
        lines = [f"{element}\tchr1\t{pos}\tA\tC\t0.1\t0.5\n" for element, pos in places]
        (folder / f"{split}.tsv").write_text(HEADER + "".join(lines))
    (folder / "reference_grch37.fa").write_text(f">chr1:1001-1400\n{GENOME}\n")
    return tmp_path


def test_an_element_is_the_span_of_its_measured_variants(cagi5):
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


def test_missing_table_names_file_and_remedy(cagi5):
    (cagi5 / "cagi5" / "release.tsv").unlink()
    with pytest.raises(DataError, match=r"release\.tsv: not found; .* name the folder"):
        read_elements(cagi5)


def test_overlaps_go_and_are_counted_once_per_library():
    element, inside, beside = GENOME[100:160], GENOME[90:240], GENOME[131:300]  # beside: 29 bases
    frame = pd.DataFrame(
        {
            "sequence": [inside, beside, inside, beside],
            "assay": ["pool_K562", "pool_K562", "pool_HepG2", "other_HepG2"],
        }
    )
    kept, dropped = drop_overlaps(frame, [element])
    assert kept["sequence"].tolist() == [beside, beside]
    assert kept.index.tolist() == [0, 1]
    assert dropped == {"pool": 1, "other": 0}
