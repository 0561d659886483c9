"""What the campaign learns from: rows whose replicate noise was measured.

`assay table -> campaign table`. Variances are shrunk anew, with a trend fitted on the training
folds alone, so that no held-out SD enters a training target.
"""

from __future__ import annotations

import pandas as pd

from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.datasets.replicates import shrink_variance
from training.datasets.table import load_table

HELD_OUT = {"validation": VALIDATION_FOLD, "test": TEST_FOLD}
"""Splits that a run predicts, and their folds."""


def campaign_table(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows with a measured SD and refit their shrunk variances.

    The trend of each assay is fitted on its training rows, and so is what they are shrunk to.
    Held-out rows keep no shrunk variance: nothing may learn from them, and metrics read
    `noise_sd`.

    Args:
      table: the assay table, with folds.

    Returns:
      Its rows with `noise_sd`, in their order, numbered from 0.
    """
    measured = table[table["noise_sd"].notna()].reset_index(drop=True)
    is_training = ~measured["fold"].isin(HELD_OUT.values())
    return measured.assign(variance_shrunk=shrink_variance(measured[is_training]))


def held_out_rows(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Rows of the validation or test fold, in the order of the stored predictions."""
    return table[table["fold"] == HELD_OUT[split]]


__all__ = ["HELD_OUT", "campaign_table", "held_out_rows", "load_table"]
