from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.tiny_mirror import ROWS, TinyMirror
from training.assays import ASSAY_BY_NAME
from training.datasets.cagi5 import read_elements
from training.datasets.homology import canonical_kmers
from training.datasets.parsers import Measurements
from training.datasets.sources import SOURCES, DataError
from training.datasets.table import (
    COLUMNS,
    AssayTable,
    build_table,
    describe,
    load_table,
    require_digest,
    summarise,
    table_digest,
    tabulate,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyMirror:
    return TinyMirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture(scope="module")
def built(tiny: TinyMirror) -> AssayTable:
    return build_table(tiny.folder)


def measurements(sequences: list[str], values: list[list[float]], **other) -> Measurements:
    return Measurements(
        name="mattioli2018_pool1_K562",
        sequences=sequences,
        names=[f"name{i}" for i in range(len(sequences))],
        values=np.array(values, dtype=float),
        n_barcodes=np.array(other.pop("n_barcodes", [np.nan] * len(sequences))),
        **other,
    )


# --- one assay ---------------------------------------------------------------------------------


def test_repeated_sequences_become_one_row_of_replicate_means():
    rows = tabulate(
        measurements(
            ["ACG", "TTT", "ACG"], [[1, 3], [0, 1], [3, np.nan]], n_barcodes=[2.0, 5.0, 4.0]
        )
    )
    assert rows["sequence"].tolist() == ["ACG", "TTT"]
    assert rows["activity"].tolist() == [2.5, 0.5]  # replicates (2, 3) and (0, 1)
    assert rows["n_barcodes"].tolist() == [6, 5]
    assert rows["name"].tolist() == ["name0", "name1"]


def test_a_published_summary_has_no_replicates_and_no_noise():
    rows = tabulate(measurements(["ACG", "TTT"], [[1], [2]], has_replicates=False))
    assert rows["n_replicates"].tolist() == [0, 0]
    assert rows["noise_sd"].isna().all()
    assert rows["activity"].tolist() == [1, 2]


def test_letters_outside_the_alphabet_are_refused():
    with pytest.raises(DataError, match=r"pool1_K562: 'AXG' holds a letter outside ACGTN"):
        tabulate(measurements(["ANG", "AXG"], [[1, 2], [1, 2]]))


# --- all of them -------------------------------------------------------------------------------


def test_table_has_every_assay_in_one_shape(built):
    frame = built.frame
    assert tuple(frame.columns) == COLUMNS
    assert set(frame["assay"]) == set(ASSAY_BY_NAME)
    cell_types = frame.groupby("assay")["cell_type"].unique()
    assert {a: [*c] for a, c in cell_types.items()} == {
        assay.name: [assay.cell_type] for assay in ASSAY_BY_NAME.values()
    }
    assert not frame.duplicated(["assay", "sequence"]).any()
    assert frame[["activity", "cluster", "fold"]].notna().all(axis=None)
    assert (frame["sequence"].str.len() <= 200).all()


def test_noise_is_measured_or_missing(built):
    frame = built.frame
    few = frame["n_replicates"] < 2
    pd.testing.assert_series_equal(frame["noise_sd"].isna(), few, check_names=False)
    pd.testing.assert_series_equal(frame["variance_shrunk"].isna(), few, check_names=False)
    assert frame.loc[frame["assay"].str.startswith("joint"), "noise_sd"].isna().all()
    pools = frame["assay"].str.startswith("mattioli2018")
    assert frame[pools & few].groupby("assay").size().tolist() == [1] * 5
    assert frame.loc[~frame["assay"].str.startswith(("joint", "mattioli2018")), "noise_sd"].all()


def test_overlap_with_an_element_is_dropped_and_counted(tiny, built):
    assert built.dropped == {
        "joint": 1,
        "mattioli2018_pool1": 1,
        "mattioli2018_pool2": 0,
        "mattioli2019": 0,
        "inoue2017": 0,
    }
    assert not built.frame["sequence"].isin([tiny.joint[-1], tiny.pool1[-1]]).any()
    assert (built.frame["assay"] == "joint_K562").sum() == ROWS
    assert (built.frame["assay"] == "mattioli2018_pool1_HeLa").sum() == ROWS  # 42 - empty - dropped


def test_relatives_share_a_fold_across_assays(tiny, built):
    frame = built.frame.drop_duplicates("sequence").set_index("sequence")
    assert frame.loc[tiny.joint[3], "cluster"] == frame.loc[tiny.pool1[-2], "cluster"]
    assert frame.loc[tiny.joint[3], "fold"] == frame.loc[tiny.pool1[-2], "fold"]
    assert frame["cluster"].nunique() == len(frame) - 1


def test_saved_table_comes_back_with_its_provenance(built, tmp_path):
    path = tmp_path / "folder" / "assays.parquet"
    built.save(path)
    pd.testing.assert_frame_equal(load_table(path), built.frame)
    provenance = json.loads(path.with_suffix(".json").read_text())
    assert provenance["digest"] == table_digest(built.frame)
    assert [file["name"] for file in provenance["files"]] == [source.name for source in SOURCES]
    assert provenance["dropped"] == built.dropped
    rows = built.frame["assay"].value_counts()
    for file in provenance["files"]:
        assert rows[file["assays"]].min() > 0, "the assays that a file feeds are in the table"


def test_missing_table_says_how_to_build_it(tmp_path):
    with pytest.raises(DataError, match=r"assays\.parquet: not found; .*varsigma-train data"):
        load_table(tmp_path / "assays.parquet")


def test_same_files_give_the_same_table(tiny, built):
    again = build_table(tiny.folder, tiny.folder)
    pd.testing.assert_frame_equal(again.frame, built.frame)


@pytest.mark.parametrize("column", ["activity", "noise_sd", "variance_shrunk", "fold"])
def test_digest_sees_what_training_reads(built, column):
    changed = built.frame.copy()
    changed.loc[changed.index[-1], column] += 1
    assert table_digest(changed) != table_digest(built.frame)
    assert table_digest(built.frame.assign(name="other")) == table_digest(built.frame)


def test_a_table_that_a_model_did_not_learn_from_is_refused(built):
    digest = table_digest(built.frame)
    require_digest(built.frame, {"one": digest, "two": digest})
    dealt_anew = built.frame.assign(fold=(built.frame["fold"] + 1) % 10)
    with pytest.raises(DataError, match=rf"two: trained on another table \({digest[:12]}, this"):
        require_digest(dealt_anew, {"two": digest})


def test_description_tells_counts_and_differing_copies(built):
    text = describe(built)
    assert "joint 1, mattioli2018_pool1 1," in text
    assert text.count("differs from the public file") == 9  # all but the prepared table
    counts = summarise(built.frame)
    assert counts[["train", "validation", "test"]].sum(axis=None) == len(built.frame)


def test_overlap_check_is_not_skipped_for_want_of_data(tiny):
    with pytest.raises(DataError, match=r"cagi5/: no folder given"):
        build_table(None)


def test_altered_reference_is_refused(tmp_path):
    mirror = TinyMirror(tmp_path)
    reference = tmp_path / "cagi5" / "reference_grch37.fa"
    reference.write_text(f">chr1:1-400\n{'A' * 400}\n")
    with pytest.raises(DataError, match=r"reference_grch37\.fa: SHA-256 is"):
        build_table(mirror.folder)


# --- the measured tables -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(data_dir: Path) -> AssayTable:
    return build_table(data_dir)


@pytest.mark.data
def test_measured_counts(table):
    counts = table.frame["assay"].value_counts().to_dict()
    # Rows of the mirror (pool 1: 5,724 of the public 7,152), less those without any value and those
    # that overlap CAGI5; Inoue: oligos with 10 barcodes in some replicate.
    assert counts == {
        "joint_K562": 56_972,
        "joint_HepG2": 56_972,
        "joint_WTC11": 56_972,
        "mattioli2018_pool1_K562": 5_092,
        "mattioli2018_pool1_HepG2": 5_546,
        "mattioli2018_pool1_HeLa": 4_050,
        "mattioli2018_pool2_K562": 7_022,
        "mattioli2018_pool2_HepG2": 8_132,
        "mattioli2019_HUES64": 15_138,
        "inoue2017_HepG2": 1_534,
    }


@pytest.mark.data
def test_measured_overlap_with_cagi5(table):
    assert table.dropped == {
        "joint": 3,
        "mattioli2018_pool1": 10,
        "mattioli2018_pool2": 17,
        "mattioli2019": 6,
        "inoue2017": 1,
    }


@pytest.mark.data
def test_elements_are_the_measured_spans(data_dir):
    elements = read_elements(data_dir)
    assert len(elements) == 15
    assert elements["TERT-GBM"] == elements["TERT-HEK293T"]
    assert all(180 <= len(sequence) <= 610 for sequence in elements.values())


@pytest.mark.data
def test_no_forty_bases_are_shared_across_folds(table):
    unique = table.frame.drop_duplicates("sequence")
    assert table.frame.groupby("sequence")["fold"].nunique().max() == 1
    hashes, owners = canonical_kmers(unique["sequence"].tolist(), 40)
    folds = unique["fold"].to_numpy()[owners]
    order = np.argsort(hashes, kind="stable")
    hashes, folds = hashes[order], folds[order]
    same = hashes[1:] == hashes[:-1]
    assert same.sum() > 100_000  # there are relatives
    assert (folds[1:][same] == folds[:-1][same]).all()


@pytest.mark.data
def test_folds_are_balanced_and_large_families_are_trained_on(table):
    frame = table.frame
    counts = frame.groupby(["assay", "fold"]).size().unstack()
    assert ((counts.max(axis=1) - counts.min(axis=1)) <= 4).all()
    unique = frame.drop_duplicates("sequence")
    sizes = unique["cluster"].value_counts()
    assert sizes.iloc[0] < 0.01 * len(unique)
    held_out = unique[unique["fold"].isin([0, 1])]
    assert held_out["cluster"].value_counts().iloc[0] < 150


@pytest.mark.data
def test_measured_noise(table):
    frame = table.frame
    few = frame["n_replicates"] < 2
    pd.testing.assert_series_equal(frame["noise_sd"].isna(), few, check_names=False)
    pd.testing.assert_series_equal(frame["variance_shrunk"].isna(), few, check_names=False)
    joint = frame["assay"].str.startswith("joint")
    assert (frame.loc[joint, "n_replicates"] == 0).all()
    assert (frame.loc[~joint, "n_replicates"] > 0).all()
    full = frame[(frame["assay"] == "mattioli2018_pool1_HepG2") & (frame["n_replicates"] == 12)]
    assert full["noise_sd"].median() == pytest.approx(0.31, abs=0.01)
    k562 = frame[frame["assay"] == "mattioli2018_pool1_K562"]
    assert k562["noise_sd"].median() == pytest.approx(0.57, abs=0.02)  # 0.87 before alignment
    assert k562["activity"].std() == pytest.approx(2.0, abs=0.05)


@pytest.mark.data
def test_public_copies_are_byte_identical(table):
    altered = {file.source.name for file in table.files if not file.is_public}
    assert altered <= {
        "mattioli2018_pool1_K562",
        "mattioli2018_pool1_HepG2",
        "mattioli2018_pool1_HeLa",
        "mattioli2019_HUES64",
    }
