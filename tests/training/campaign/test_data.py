"""The campaign's table: measured noise alone, and no held-out SD in a training target."""

import numpy as np

from tests.training.toy_table import toy_table
from training.campaign.data import campaign_table, held_out_rows


def test_rows_without_a_measured_sd_are_left_out():
    table = toy_table(40)
    kept = campaign_table(table)
    assert len(kept) == 3 * 40
    assert kept["noise_sd"].notna().all()
    assert kept.index.tolist() == list(range(len(kept)))


def test_held_out_sds_do_not_touch_training_variances():
    # The table's own variances were shrunk with a trend over all folds.
    table = toy_table(100)
    before = campaign_table(table)
    is_held_out = table["fold"].isin([0, 1]) & table["noise_sd"].notna()
    table.loc[is_held_out, "noise_sd"] *= 100
    after = campaign_table(table)
    training = ~before["fold"].isin([0, 1])
    assert before.loc[training, "variance_shrunk"].notna().all()
    np.testing.assert_array_equal(before["variance_shrunk"], after["variance_shrunk"])
    assert before.loc[~training, "variance_shrunk"].isna().all()
    shrunk, raw = before.loc[training, "variance_shrunk"], before.loc[training, "noise_sd"] ** 2
    assert np.log(shrunk).std() < np.log(raw).std()  # towards the trend
    assert np.corrcoef(np.log(shrunk), np.log(raw))[0, 1] > 0.2


def test_held_out_rows_keep_the_order_of_the_table():
    table = campaign_table(toy_table(40))
    for split, fold in {"test": 0, "validation": 1}.items():
        rows = held_out_rows(table, split)
        assert (rows["fold"] == fold).all()
        assert rows.index.is_monotonic_increasing
        assert len(rows) == (table["fold"] == fold).sum()
