from __future__ import annotations

import numpy as np
import pandas as pd

from service.sequence import decode
from training.datasets.overlap import drop_overlaps

GENOME = decode(np.random.default_rng(0).integers(0, 4, 400, dtype=np.uint8))


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
