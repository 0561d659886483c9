"""Predictions: rows in table order, windows around variants, effects on one scale."""

import numpy as np
import pandas as pd
import pytest
import torch

from service.sequence import decode
from tests.training.campaign.tiny import TINY
from tests.training.toy_cagi5 import FIRST, write_cagi5
from tests.training.toy_table import toy_table
from training.assays import ASSAY_BY_NAME, WINDOW, window_codes
from training.campaign.data import campaign_table, held_out_rows
from training.campaign.predict import (
    CENTRE,
    Variants,
    cagi5_effects,
    calibration_slopes,
    oriented,
    predict,
    read_variants,
)
from training.datasets.parsers import read_fasta
from training.members import Member, predict_constructs
from training.trainer import split
from training.zoo import campaign


def member_of(table, recipe="mse"):
    """A network as it was drawn: what it says is arbitrary, and that suffices here."""
    train, _, scale = split(table)
    torch.manual_seed(1)
    return Member(
        recipe=recipe,
        fingerprint="",
        seed=1,
        data_digest="",
        assays=train.assays,
        scale=scale,
        residual_sd=(1.0,) * len(train.assays),
        network=campaign(TINY)[recipe].architecture.build(train.assays).eval(),
    )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_cagi5(tmp_path_factory.mktemp("data"))


def complement(bases):
    return bases[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_windows_stand_around_the_variant(data_dir):
    variants = read_variants(data_dir)
    table = pd.read_csv(data_dir / "cagi5/challenge.tsv", sep="\t")
    genome = {
        name.partition(":")[0]: bases
        for name, bases in read_fasta(data_dir / "cagi5/reference_grch37.fa").items()
    }
    assert len(variants.alternative) == len(table)
    # Alleles of one position share the window of their reference.
    assert len(variants.reference) < 0.5 * len(table)
    windows = [
        [oriented(codes, is_minus=minus) for codes in (variants.reference, variants.alternative)]
        for minus in (False, True)
    ]
    for number, (row, at) in enumerate(zip(table.itertuples(), variants.slice_of, strict=True)):
        bases, index = genome[row.chrom], row.pos - FIRST
        padded = "N" * WINDOW + bases + "N" * WINDOW
        for strand, (reference, alternative) in enumerate(windows):
            start = WINDOW + index - CENTRE + strand
            plain = padded[start : start + WINDOW]
            alleles = row.ref, row.alt  # row 0 disagrees with the genome
            if strand:
                plain, alleles = complement(plain), [complement(a) for a in alleles]
            expected = [plain[:CENTRE] + a + plain[CENTRE + 1 :] for a in alleles]
            assert [decode(reference[at]), decode(alternative[number])] == expected
    hepg2 = set(table["element"][variants.heads == "HepG2"])
    assert hepg2 == {"F9", "LDLR", "SORT1"}


def test_held_out_rows_get_the_prediction_of_their_construct_and_assay(data_dir):
    table = campaign_table(toy_table(60)).sample(frac=1, random_state=0, ignore_index=True)
    member = member_of(table, "dh7")
    predictions, _ = predict(member, table, read_variants(data_dir))
    names = [assay.name for assay in member.assays]
    for name, of_split in {
        "test": (predictions.test_mu, predictions.test_log_var),
        "validation": (predictions.validation_mu, predictions.validation_log_var),
    }.items():
        rows = held_out_rows(table, name)
        assert len(rows) == len(of_split[0])
        for number, row in enumerate(rows.itertuples()):
            codes = window_codes([row.sequence], ASSAY_BY_NAME[row.assay].flanks)
            mu, log_var = predict_constructs(member.network, codes)
            column = names.index(row.assay)
            assert of_split[0][number] == pytest.approx(mu[0, column], abs=1e-5)
            assert of_split[1][number] == pytest.approx(log_var[0, column], abs=1e-5)


def test_assays_are_weighed_by_their_validation_labels_and_by_no_test_label(data_dir):
    table = campaign_table(toy_table(60))
    member, variants = member_of(table), read_variants(data_dir)
    plain, slopes = predict(member, table, variants)
    for fold, is_same in (("test", True), ("validation", False)):
        other, rows = table.copy(), held_out_rows(table, fold).index
        other.loc[rows, "activity"] = other.loc[rows, "activity"].to_numpy()[::-1] * 3
        found, others = predict(member, other, variants)
        assert (others == slopes).all() == is_same
        assert (found.cagi5 == plain.cagi5).all() == is_same
        assert (found.cagi5_cell == plain.cagi5_cell).all() == is_same


def test_slopes_undo_any_scale_and_offset():
    rng = np.random.default_rng(0)
    activity = rng.normal(size=(200, 2)).astype(np.float32)
    activity[:50, 1] = np.nan
    mu = (5 + activity.astype(np.float32) * np.array([4.0, -0.5])).astype(np.float32)
    mu[:50, 1] = 3.0
    assert calibration_slopes(mu, activity) == pytest.approx([0.25, -2.0], rel=1e-4)
    assert calibration_slopes(np.ones_like(mu), activity).tolist() == [0, 0]


def test_effects_are_means_over_all_assays_and_over_a_cell_types_in_log2_units():
    table = campaign_table(toy_table(40))
    member = member_of(table)
    names = [assay.cell_type for assay in member.assays]
    assert names == ["K562", "HepG2", "HepG2"]
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 4, (3, WINDOW + 1)).astype(np.uint8)
    alternative = reference[[0, 1, 2, 2]]
    alternative[:, CENTRE] = (alternative[:, CENTRE] + 1) % 4
    slice_of = np.array([0, 1, 2, 2])
    heads = np.array(["K562", "HepG2", "K562", "HepG2"])
    slopes = np.array([2.0, 1.0, 3.0], dtype=np.float32)
    found = cagi5_effects(member, Variants(heads, reference, slice_of, alternative), slopes)
    plus, minus, cell = found
    changes = []
    for is_minus, effects in ((False, plus), (True, minus)):
        before, after = (
            predict_constructs(member.network, oriented(codes, is_minus=is_minus))[0]
            for codes in (reference[slice_of], alternative)
        )
        changes.append((after - before) * slopes)
        assert effects == pytest.approx(changes[-1].mean(axis=1), abs=1e-5)
        assert np.abs(effects).min() > 0
    assert (plus != minus).all()
    change = (changes[0] + changes[1]) / 2 * member.scale.sd
    expected = [change[0, 0], change[1, 1:].mean(), change[2, 0], change[3, 1:].mean()]
    assert cell == pytest.approx(expected, abs=1e-5)


def test_a_variant_without_a_slice_is_refused(tmp_path):
    folder = write_cagi5(tmp_path)
    path = folder / "cagi5/challenge.tsv"
    path.write_text(path.read_text().replace("chr1\t1042", "chr1\t9042"))
    with pytest.raises(ValueError, match="chr1:9042"):
        read_variants(folder)


def test_the_reader_of_variants_sees_no_label(data_dir, tmp_path):
    # Everything but what names a variant may be missing.
    folder = tmp_path / "cagi5"
    folder.mkdir()
    table = pd.read_csv(data_dir / "cagi5/challenge.tsv", sep="\t")
    table.drop(columns=["value", "confidence"]).to_csv(
        folder / "challenge.tsv", sep="\t", index=False
    )
    (folder / "reference_grch37.fa").write_bytes(
        (data_dir / "cagi5/reference_grch37.fa").read_bytes()
    )
    assert len(read_variants(tmp_path).alternative) == len(table)
