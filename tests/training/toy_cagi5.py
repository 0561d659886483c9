"""A CAGI5 folder of 15 tiny elements, shaped like the real one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from service.sequence import decode
from training.datasets.cagi5 import ELEMENTS, MEASUREMENTS

FIRST = 1001
"""1-based coordinate of the first base of every slice of 100 bases."""
SPAN = 1040, 1059
"""Measured positions of every element, 1-based inclusive."""


def write_cagi5(data_dir: Path, seed: int = 0, block: range | None = None) -> Path:
    """Write cagi5/ with 60 variants per element, one bad REF, and the deletion of every position.

    The value of a variant grows with the hydrogen bonds it adds, so the toy models can see it.

    Args:
      data_dir: where cagi5/ is made.
      seed: of bases and values.
      block: positions of the release set; by default every fourth.
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
    released = table["pos"] % 4 == 1 if block is None else table["pos"].isin(block)
    challenge = table[~released].reset_index(drop=True)
    challenge.loc[0, "ref"] = next(iter(set("ACGT") - set(challenge.loc[0, ["ref", "alt"]])))
    challenge.to_csv(folder / "challenge.tsv", sep="\t", index=False)
    table[released].to_csv(folder / "release.tsv", sep="\t", index=False)
    text = "".join(f">{c}:{FIRST}-{FIRST + 99}\n{bases}\n" for c, bases in genome.items())
    (folder / "reference_grch37.fa").write_text(text)
    write_measurements(data_dir, table, seed)
    return data_dir


def write_places(
    data_dir: Path, fasta: str, released: Iterable[int], others: Iterable[int]
) -> Path:
    """Write cagi5/ with one element, E on chr1, by its positions in either split: no label."""
    folder = data_dir / "cagi5"
    folder.mkdir()
    (folder / "reference_grch37.fa").write_text(fasta)
    for split, positions in {"release": released, "challenge": others}.items():
        lines = "".join(f"E\tchr1\t{pos}\n" for pos in positions)
        (folder / f"{split}.tsv").write_text(f"element\tchrom\tpos\n{lines}")
    return data_dir


def write_measurements(data_dir: Path, variants: pd.DataFrame, seed: int) -> None:
    """Write the SNVs with a standard error of 0.02 and the deletion of each place; PKLR twice.

    The SNVs have values that nobody should read. 100 barcodes are behind most deletions; the first
    of each element has 9.
    """
    rng = np.random.default_rng([seed, 1])
    places = variants.drop_duplicates(["element", "pos"])
    columns = ["element", "chrom", "pos", "ref"]
    deletions = places[columns].assign(alt="-", barcodes=100, dna=1, rna=1)
    deletions["value"] = rng.normal(0, 0.2, len(places)) - places["ref"].isin(["C", "G"])
    deletions["p_value"] = rng.uniform(0, 2e-5, len(places))
    deletions["se"] = 0.1
    deletions.loc[deletions["pos"] == SPAN[0], "barcodes"] = 9
    snvs = variants[[*columns, "alt"]].assign(barcodes=50, dna=1, rna=1, value=99.0, p_value=0.5)
    snvs["se"] = 0.02
    odd = deletions.iloc[[5]].assign(alt="N", value=99.0)
    table = pd.concat([deletions, snvs, odd])
    early = table[table["element"] == "PKLR"].assign(element="PKLR-24h", value=99.0, se=9.0)
    late = table.assign(element=table["element"].replace("PKLR", "PKLR-48h"))
    pd.concat([late, early]).to_csv(data_dir / MEASUREMENTS.path, sep="\t", index=False)
