"""A CAGI5 folder of 15 tiny elements, shaped like the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from service.sequence import decode
from training.datasets.cagi5 import ELEMENTS

FIRST = 1001
"""1-based coordinate of the first base of every slice of 100 bases."""
SPAN = 1040, 1059
"""Measured positions of every element, 1-based inclusive."""


def write_cagi5(data_dir: Path, seed: int = 0) -> Path:
    """Write cagi5/ with 60 challenge variants per element less the release position; one bad REF.

    The value of a variant grows with the hydrogen bonds it adds, so the toy models can see it.
    """
    rng = np.random.default_rng(seed)
    folder = data_dir / "cagi5"
    folder.mkdir(parents=True)
    genome: dict[str, str] = {}
    rows = []
    for number, element in enumerate(ELEMENTS, start=1):
        contig = "chr5" if element.startswith("TERT") else f"chr{number if number != 5 else 20}"
        bases = genome.setdefault(contig, decode(rng.integers(0, 4, 100, dtype=np.uint8)))
        for pos in range(SPAN[0], SPAN[1] + 1):
            ref = bases[pos - FIRST]
            for alt in sorted(set("ACGT") - {ref}):
                value = (alt in "CG") - (ref in "CG") + rng.normal(0, 0.2)
                rows.append((element, contig, pos, ref, alt, value, abs(rng.normal(0.1, 0.1))))
    columns = ["element", "chrom", "pos", "ref", "alt", "value", "confidence"]
    table = pd.DataFrame(rows, columns=columns)
    released = table["pos"] % 4 == 1
    challenge = table[~released].reset_index(drop=True)
    challenge.loc[0, "ref"] = next(iter(set("ACGT") - set(challenge.loc[0, ["ref", "alt"]])))
    challenge.to_csv(folder / "challenge.tsv", sep="\t", index=False)
    table[released].to_csv(folder / "release.tsv", sep="\t", index=False)
    text = "".join(f">{c}:{FIRST}-{FIRST + 99}\n{bases}\n" for c, bases in genome.items())
    (folder / "reference_grch37.fa").write_text(text)
    return data_dir
