from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.assays import ASSAY_BY_NAME, LENTI_FLANKS
from training.datasets.parsers import (
    JOINT_COLUMNS,
    read_agarwal_joint,
    read_fasta,
    read_hues64,
    read_inoue,
    read_mattioli_pool,
)
from training.datasets.sources import DataError

INSERT = "ACGT" * 50


def write_joint(folder: Path, records: dict[str, str]) -> tuple[Path, Path]:
    sheet = pd.DataFrame(
        {
            "name": ["one", "two"],
            "HepG2 [log2(rna/dna)]": [0.1, 0.2],
            "K562 [log2(rna/dna)]": [1.1, 1.2],
            "WTC11 [log2(rna/dna)]": [2.1, 2.2],
        }
    )
    activity, sequences = folder / "sheet.xlsx", folder / "library.fa.gz"
    sheet.to_excel(activity, index=False)
    text = "".join(f">{name}\n{sequence}\n" for name, sequence in records.items())
    sequences.write_bytes(gzip.compress(text.encode()))
    return activity, sequences


def between_adapters(insert: str) -> str:
    return LENTI_FLANKS[0] + insert + LENTI_FLANKS[1]


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(row.replace(" ", "\t") for row in rows) + "\n")
    return path


def test_fasta_lines_are_joined_and_upper_cased(tmp_path):
    path = tmp_path / "a.fa"
    path.write_text(">one more words\nacg\nTN\n>two\r\nA\r\n")
    assert read_fasta(path) == {"one more words": "ACGTN", "two": "A"}


def test_fasta_name_that_occurs_twice_is_refused(tmp_path):
    path = tmp_path / "a.fa"
    path.write_text(">one\nA\n>one\nC\n")
    with pytest.raises(DataError, match=r"a\.fa: record 'one' occurs twice"):
        read_fasta(path)


def test_joint_library_joins_by_name_and_takes_the_adapters_off(tmp_path):
    two = "G" * 200
    # In another order than the sheet, with a sequence that has no measurement.
    records = {"two": two, "extra": "C" * 200, "one": INSERT}
    paths = write_joint(tmp_path, {name: between_adapters(s) for name, s in records.items()})
    assays = {assay.name: assay for assay in read_agarwal_joint(*paths)}
    assert set(assays) == set(JOINT_COLUMNS.values())
    for assay, base in (("joint_HepG2", 0), ("joint_K562", 1), ("joint_WTC11", 2)):
        assert assays[assay].sequences == [INSERT, two]
        assert assays[assay].values.ravel().tolist() == [base + 0.1, base + 0.2]
        assert not assays[assay].has_replicates


def test_joint_sequence_outside_its_adapters_is_refused(tmp_path):
    shifted = "A" + between_adapters(INSERT)[:-1]
    paths = write_joint(tmp_path, {"one": between_adapters(INSERT), "two": shifted})
    with pytest.raises(DataError, match=r"library\.fa\.gz: 'two' does not lie between"):
        read_agarwal_joint(*paths)


def test_joint_name_without_sequence_is_refused(tmp_path):
    paths = write_joint(tmp_path, {"one": between_adapters(INSERT)})
    with pytest.raises(DataError, match=r"library\.fa\.gz: no sequence for 'two'"):
        read_agarwal_joint(*paths)


def test_pool_keeps_missing_replicates_missing(tmp_path):
    path = write(tmp_path / "p.txt", "unique_id element rna_3 rna_10", "a ACG 1.5 ", "b acc -1 2")
    assay = read_mattioli_pool(path, "pool_HepG2")
    assert assay.sequences == ["ACG", "ACC"]
    np.testing.assert_array_equal(assay.values, [[1.5, np.nan], [-1, 2]])
    assert np.isnan(assay.n_barcodes).all()


def test_pool_without_its_columns_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"p\.txt: lacks the columns \['element'\]"):
        read_mattioli_pool(write(tmp_path / "p.txt", "unique_id rna_1 rna_2", "a 1 2"), "p")
    with pytest.raises(DataError, match=r"q\.txt: needs two or more replicate columns rna_k"):
        read_mattioli_pool(write(tmp_path / "q.txt", "unique_id element", "a ACG"), "q")


def test_hues64_reads_replicates_and_barcodes(tmp_path):
    path = write(
        tmp_path / "h.tsv",
        "seq name kind n_barcodes rep_1 rep_2 rep_3",
        "ACG tile1 WILDTYPE 12 1.7 1.6 1.5",
    )
    assay = read_hues64(path)
    assert assay.values.tolist() == [[1.7, 1.6, 1.5]]
    assert assay.n_barcodes.tolist() == [12]
    assert assay.name in ASSAY_BY_NAME


def inoue_files(folder: Path) -> tuple[Path, Path]:
    """Replicate 1: x has 2 barcodes, y 3; replicate 2: x has 1, y 2."""
    barcodes = write(
        folder / "b.tsv",
        "barcode oligo_name dna_count_1 rna_count_1 dna_count_2 rna_count_2",
        "AA y 1 2 2 4",
        "AC y 1 2 2 4",
        "AG y 2 4  ",
        "CA x 2 1 4 8",
        "CC x 2 7  ",
    )
    design = folder / "d.fa"
    design.write_text(">y\nGG\n>x\nCC\n>unused\nTT\n")
    return barcodes, design


def test_inoue_is_the_log_ratio_of_library_shares(tmp_path):
    assay = read_inoue(*inoue_files(tmp_path), min_barcodes=1)
    assert assay.names == ["x", "y"]
    assert assay.sequences == ["CC", "GG"]
    x = [np.log2((8 / 16) / (4 / 8)), np.log2((8 / 16) / (4 / 8))]
    y = [np.log2((8 / 16) / (4 / 8)), np.log2((8 / 16) / (4 / 8))]
    np.testing.assert_allclose(assay.values, [x, y])
    assert assay.n_barcodes.tolist() == [1.5, 2.5]
    assert assay.name in ASSAY_BY_NAME


def test_inoue_depth_cancels(tmp_path):
    barcodes, design = inoue_files(tmp_path)
    shallow = read_inoue(barcodes, design, min_barcodes=1).values
    table = pd.read_csv(barcodes, sep="\t")
    table["rna_count_1"] *= 7
    table.loc[0, "rna_count_2"] += 3  # and a true difference does not
    table.to_csv(barcodes, sep="\t", index=False)
    deep = read_inoue(barcodes, design, min_barcodes=1).values
    np.testing.assert_allclose(deep[:, 0], shallow[:, 0])
    assert (deep[1, 1] > shallow[1, 1]) and (deep[0, 1] < shallow[0, 1])


def test_inoue_replicate_with_too_few_barcodes_is_missing(tmp_path):
    assay = read_inoue(*inoue_files(tmp_path), min_barcodes=3)
    np.testing.assert_array_equal(np.isfinite(assay.values), [[False, False], [True, False]])
    np.testing.assert_array_equal(assay.n_barcodes, [np.nan, 3])


def test_inoue_oligo_without_sequence_is_refused(tmp_path):
    barcodes, design = inoue_files(tmp_path)
    design.write_text(">y\nGG\n")
    with pytest.raises(DataError, match=r"d\.fa: no sequence for 'x', which .*b\.tsv counts"):
        read_inoue(barcodes, design)
