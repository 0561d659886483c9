"""An assay table of structured sequence: a source with memory, designed inserts, shorter tiles."""

from __future__ import annotations

import numpy as np
import pandas as pd

from service.sequence import decode
from training.evaluation.strange_sequences import random_bases

MEMORY = 3
"""Bases that the source remembers."""


def source(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """(n, length) bases, each drawn by the three before it."""
    p = np.random.default_rng(99).dirichlet(np.full(4, 0.7), 4**MEMORY).cumsum(axis=1)
    codes = rng.integers(0, 4, (n, length + 50), dtype=np.uint8)
    for at in range(MEMORY, codes.shape[1]):
        before = codes[:, at - 3] * 16 + codes[:, at - 2] * 4 + codes[:, at - 1]
        codes[:, at] = np.minimum((rng.random(n)[:, None] > p[before]).sum(axis=1), 3)
    return codes[:, 50:]


def structured_table(n: int = 2000, seed: int = 0) -> pd.DataFrame:
    """n library inserts and 40 designed ones in three assays; 200 tiles, as many scrambled ones."""
    rng = np.random.default_rng(seed)
    inserts = [decode(row) for row in source(n, 200, rng)]
    designed = [decode(row) for row in random_bases(40, 200, 0.5, rng)]
    names = [f"peak{i}" for i in range(n)] + [
        f"seq{i}_shuffled_1" if i % 2 else f"C:SLEA_{i}" for i in range(40)
    ]
    library = pd.DataFrame({"sequence": inserts + designed, "name": names})
    tiles = pd.DataFrame(
        {
            "sequence": [decode(row) for row in source(200, 114, rng)]
            + [decode(row) for row in random_bases(200, 114, 0.5, rng)],
            "name": [f"WILDTYPE__{i}" for i in range(200)]
            + [f"SCRAMBLED__{i}" for i in range(200)],
        }
    )
    parts = [
        library.assign(assay="joint_K562"),
        library.assign(assay="joint_HepG2"),
        tiles.assign(assay="mattioli2018_pool1_K562"),
    ]
    table = pd.concat(parts, ignore_index=True)
    cluster = pd.factorize(table["sequence"])[0]
    gc = table["sequence"].str.count("[GC]") / table["sequence"].str.len()
    return table.assign(
        cluster=cluster,
        fold=cluster % 10,
        cell_type=table["assay"].str.rpartition("_")[2],
        activity=gc + rng.normal(0, 0.02, len(table)),
        noise_sd=np.nan,
        variance_shrunk=np.nan,
    )
