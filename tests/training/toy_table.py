"""A small assay table with a planted signal, shaped like the real one."""

from __future__ import annotations

import numpy as np
import pandas as pd

LENGTHS = {
    "joint_K562": 200,
    "joint_HepG2": 200,
    "joint_WTC11": 200,
    "mattioli2018_pool1_K562": 114,
    "mattioli2018_pool1_HepG2": 114,
    "inoue2017_HepG2": 171,
}


def toy_table(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """n sequences per assay; activity counts GGs, replicate noise grows with the count of As.

    The assays of one length share their sequences, as those of one library do.
    """
    rng = np.random.default_rng(seed)
    pools = {
        length: ["".join(row) for row in rng.choice(list("ACGT"), (n, length))]
        for length in sorted(set(LENGTHS.values()))
    }
    fold_of = {s: i % 10 for pool in pools.values() for i, s in enumerate(pool)}
    rows = []
    for assay, length in LENGTHS.items():
        for sequence in pools[length]:
            noise = np.nan
            if not assay.startswith("joint"):
                noise = np.exp(10 * (sequence.count("A") / length - 0.25)) * rng.uniform(0.3, 0.4)
            rows.append(
                {
                    "sequence": sequence,
                    "assay": assay,
                    "cell_type": assay.split("_")[-1],
                    "activity": 0.2 * sequence.count("GG") + rng.normal(0, 0.1),
                    "noise_sd": noise,
                    "variance_shrunk": noise**2,
                    "n_replicates": 0 if np.isnan(noise) else 3,
                    "n_barcodes": np.nan,
                    "fold": fold_of[sequence],
                }
            )
    return pd.DataFrame(rows)
