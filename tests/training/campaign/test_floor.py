"""The floor: fitted on training rows alone, and on CAGI5 what its coefficients say."""

import numpy as np
import pytest

from service.sequence import decode
from tests.training.toy_cagi5 import write_cagi5
from tests.training.toy_table import toy_table
from training.batches import assays_of, training_scale
from training.campaign import floor
from training.campaign.data import campaign_table, held_out_rows
from training.campaign.predict import calibration_slopes, oriented, read_variants
from training.evaluation.ridge import fit_floor, kmer_counts


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_cagi5(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def table():
    return campaign_table(toy_table(120))


@pytest.fixture(scope="module")
def fitted(table, data_dir):
    return floor.fit(table, data_dir)


def regressions(table):
    """{assay: (regression, slope, SD)} written out for one assay at a time."""
    scale = training_scale(table, assays_of(table))
    found = {}
    for number, assay in enumerate(assays_of(table)):
        part = table[table["assay"] == assay.name]
        y = (part["activity"] - scale.mean[number]) / scale.sd[number]
        counts = [
            (kmer_counts(part["sequence"][rows].tolist()), y[rows].to_numpy())
            for rows in (~part["fold"].isin([0, 1]), part["fold"] == 1)
        ]
        model, _ = fit_floor(*counts)
        mu = model.predict(counts[1][0])[:, None].astype(np.float32)
        slope = calibration_slopes(mu, counts[1][1][:, None].astype(np.float32))[0]
        found[assay.name] = model, slope, scale.sd[number]
    return found


def test_held_out_rows_get_the_regression_of_their_assay(table, fitted):
    models = regressions(table)
    rows = held_out_rows(table, "test")
    expected = [
        models[row.assay][0].predict(kmer_counts([row.sequence]))[0] for row in rows.itertuples()
    ]
    assert fitted.predictions.test_mu == pytest.approx(expected, abs=1e-5)
    assert fitted.predictions.test_log_var is None


def test_effects_are_made_as_those_of_a_network(table, fitted, data_dir):
    models, cut = regressions(table), read_variants(data_dir)
    both = []
    for is_minus in (False, True):
        change = []
        for model, slope, _ in models.values():
            reference, alternative = (
                model.predict(kmer_counts([decode(c) for c in oriented(codes, is_minus=is_minus)]))
                for codes in (cut.reference, cut.alternative)
            )
            change.append(slope * (alternative - reference[cut.slice_of]))
        both.append(np.array(change))
    assert fitted.predictions.cagi5_plus == pytest.approx(both[0].mean(axis=0), abs=1e-5)
    assert fitted.predictions.cagi5_minus == pytest.approx(both[1].mean(axis=0), abs=1e-5)
    # Of the three toy assays one is of K562 cells.
    cells = [assay.cell_type for assay in assays_of(table)]
    change = np.mean(both, axis=0) * np.array([sd for *_, sd in models.values()])[:, None]
    for cell_type in ("K562", "HepG2"):
        mine = cut.heads == cell_type
        expected = change[np.array(cells) == cell_type][:, mine].mean(axis=0)
        assert fitted.predictions.cagi5_cell[mine] == pytest.approx(expected, abs=1e-5)


def test_test_labels_reach_nothing(table, fitted, data_dir):
    other = table.copy()
    is_test = other["fold"] == 0
    other.loc[is_test, "activity"] = other.loc[is_test, "activity"].to_numpy()[::-1]
    again = floor.fit(other, data_dir)
    assert again.penalties == fitted.penalties
    assert again.digest == fitted.digest
    assert (again.predictions.test_mu == fitted.predictions.test_mu).all()
