"""A mirror with every declared file, a few dozen sequences each, in the published formats."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from service.sequence import decode
from training.assays import LENTI_FLANKS
from training.datasets import sources
from training.datasets.sources import SUMS

ROWS = 40


class TinyMirror:
    """Writes the mirror; `element` lies on chr1:101-160 and `genome[90:]` overlaps it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.generator = np.random.default_rng(0)
        self.genome = self.random(1, 400)[0]
        self.element = self.genome[100:160]
        self.joint = [*self.random(ROWS, 200), self.genome[90:290]]
        # One tile of pool 1 is a piece of a joint sequence, another shares the CAGI5 element.
        self.pool1 = [*self.random(ROWS, 114), self.joint[3][20:134], self.genome[120:234]]
        self.write_joint()
        for pool, replicates in (
            (sources.POOL1_K562, 4),
            (sources.POOL1_HEPG2, 6),
            (sources.POOL1_HELA, 4),
            (sources.POOL2_K562, 4),
            (sources.POOL2_HEPG2, 5),
        ):
            tiles = self.pool1 if "pool1" in pool.name else self.random(ROWS, 113)
            self.write_pool(pool.path, tiles, replicates)
        self.write_hues64()
        self.write_inoue()
        self.write_cagi5()
        self.write_sums()

    def random(self, n: int, length: int) -> list[str]:
        return [decode(row) for row in self.generator.integers(0, 4, (n, length), dtype=np.uint8)]

    def place(self, path: str) -> Path:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def replicates(self, n: int, replicates: int) -> np.ndarray:
        noise = self.generator.normal(0, 0.3, (n, replicates))
        return self.generator.normal(0, 1.5, (n, 1)) + noise

    def write_joint(self) -> None:
        names = [f"seq{i}" for i in range(len(self.joint))]
        columns = [f"{cell} [log2(rna/dna)]" for cell in ("HepG2", "K562", "WTC11")]
        sheet = pd.DataFrame(self.replicates(len(names), 3), columns=columns)
        sheet.insert(0, "name", names)
        sheet.to_excel(self.place(sources.JOINT_ACTIVITY.path), index=False)
        left, right = LENTI_FLANKS
        pairs = zip(names, self.joint, strict=True)
        fasta = "".join(f">{name}\n{left}{insert}{right}\n" for name, insert in pairs)
        self.place(sources.JOINT_SEQUENCES.path).write_bytes(gzip.compress(fasta.encode()))

    def write_pool(self, path: str, tiles: list[str], replicates: int) -> None:
        values = self.replicates(len(tiles), replicates)
        values[0, 1:] = np.nan  # one replicate: a mean without an SD
        values[1] = np.nan  # none: no row
        columns = [f"rna_{k}" for k in range(1, replicates + 1)]
        table = pd.DataFrame(values, columns=columns)
        table.insert(0, "unique_id", [f"WILDTYPE__{i}" for i in range(len(tiles))])
        table.insert(1, "element", tiles)
        table.to_csv(self.place(path), sep="\t", index=False)

    def write_hues64(self) -> None:
        tiles = self.random(ROWS, 144)
        table = pd.DataFrame(self.replicates(ROWS, 3), columns=["rep_1", "rep_2", "rep_3"])
        table.insert(0, "seq", tiles)
        table.insert(1, "name", [f"tile{i}" for i in range(ROWS)])
        table.insert(2, "kind", "WILDTYPE")
        table.insert(3, "n_barcodes", self.generator.integers(3, 20, ROWS))
        table.to_csv(self.place(sources.HUES64.path), sep="\t", index=False)

    def write_inoue(self) -> None:
        names = [f"R:oligo_{i}" for i in range(ROWS)]
        counts = {
            f"{kind}_count_{k}": self.generator.poisson(3, ROWS * 12) + 1
            for k in (1, 2, 3)
            for kind in ("dna", "rna")
        }
        table = pd.DataFrame({"barcode": range(ROWS * 12), "oligo_name": names * 12, **counts})
        table.to_csv(self.place(sources.INOUE_BARCODES.path), sep="\t", index=False)
        pairs = zip(names, self.random(ROWS, 171), strict=True)
        fasta = "".join(f">{name}\n{sequence}\n" for name, sequence in pairs)
        self.place(sources.INOUE_DESIGN.path).write_text(fasta)

    def write_cagi5(self) -> None:
        header = "element\tchrom\tpos\tref\talt\tvalue\tconfidence\n"
        for split, pos in (("challenge", 101), ("release", 160)):
            row = f"E1\tchr1\t{pos}\tA\tC\t0.1\t0.5\n"
            self.place(f"cagi5/{split}.tsv").write_text(header + row)
        self.place("cagi5/reference_grch37.fa").write_text(f">chr1:1-400\n{self.genome}\n")

    def write_sums(self) -> None:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        lines = [
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(self.folder)}\n"
            for path in files
            if path.name != SUMS
        ]
        self.place(SUMS).write_text("".join(lines))
