"""What a trained member says: held-out rows of the table, and the CAGI5 variants.

`member + table + CAGI5 sequences -> Predictions`. No measured effect is read here: of the CAGI5
tables only what names a variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.sequence import UNKNOWN, encode, reverse_complement
from training.assays import WINDOW
from training.batches import construct_index, labelled_sequences
from training.campaign.data import held_out_rows
from training.datasets.cagi5 import CHALLENGE, head_of, locate_cagi5, reference_path
from training.datasets.parsers import read_fasta
from training.members import Member, predict_constructs

Floats = NDArray[np.float32]
CENTRE = WINDOW // 2
"""Index of the variant in its oriented window, 0-based, as in the study."""
CONTEXT = WINDOW
"""Bases of genome in the window, N beyond; even."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What one run predicts.

    Attributes:
      test_mu: (n_test,) standardised mean of each row of the test fold, in table order.
      test_log_var: (n_test,) its log-variance, or None without a variance head.
      validation_mu: the same of the validation fold.
      validation_log_var: the same of the validation fold.
      cagi5_plus: (n_variants,) effect in the plus strand's window, mean over all assays, in SDs of
        an assay's activity, in the order of the challenge table.
      cagi5_minus: the same in the minus strand's.
      cagi5_cell: (n_variants,) effect over both strands in log2 units, mean over the assays of the
        cell type that stands for the element.
    """

    test_mu: Floats
    test_log_var: Floats | None
    validation_mu: Floats
    validation_log_var: Floats | None
    cagi5_plus: Floats
    cagi5_minus: Floats
    cagi5_cell: Floats

    @property
    def cagi5(self) -> Floats:
        """(n_variants,) mean of both strands."""
        both: Floats = ((self.cagi5_plus + self.cagi5_minus) / 2).astype(np.float32)
        return both


@dataclass(frozen=True, slots=True)
class Variants:
    """The n variants of the challenge table, on the plus strand.

    Attributes:
      heads: (n,) cell type whose assays stand for the variant's element.
      reference: (m, 231) base codes of the distinct reference slices, the variant in the middle.
      slice_of: (n,) index of each variant's reference slice.
      alternative: (n, 231) base codes with the variant in the middle.
    """

    heads: NDArray[np.str_]
    reference: NDArray[np.uint8]
    slice_of: NDArray[np.int64]
    alternative: NDArray[np.uint8]


@cache
def read_variants(data_dir: Path) -> Variants:
    """Cut the 231 bases of genome around every challenge variant, as `variants_of` does.

    Args:
      data_dir: folder that holds cagi5/.

    Raises:
      DataError: a file is missing or altered.
      ValueError: no slice covers a variant.
    """
    columns = ["element", "chrom", "pos", "ref", "alt"]
    path = locate_cagi5(CHALLENGE, data_dir).path
    table = pd.read_csv(path, sep="\t", usecols=columns, dtype={"chrom": str, "ref": str})
    return variants_of(table.rename(columns={"chrom": "contig"}), data_dir)


def variants_of(table: pd.DataFrame, data_dir: Path) -> Variants:
    """Cut the 231 bases of genome around the variants of a table.

    A reference allele that disagrees with the genome is put in its place; beyond the slices of
    the reference stands N.

    Args:
      table: columns element, contig, pos, ref, alt; values are not looked at.
      data_dir: folder that holds cagi5/.

    Raises:
      DataError: the reference is missing or altered.
      ValueError: no slice covers a variant.
    """
    slices = []
    for name, sequence in read_fasta(reference_path(data_dir)).items():
        contig, _, region = name.rpartition(":")
        padded = np.pad(encode(sequence), CENTRE, constant_values=UNKNOWN)
        slices.append((contig, int(region.partition("-")[0]), len(sequence), padded))

    def cut(contig: str, pos: int, ref: str) -> NDArray[np.uint8]:
        for place, first, length, padded in slices:
            at = pos - first
            if place == contig and 0 <= at < length:
                around = padded[at : at + 2 * CENTRE + 1].copy()
                around[CENTRE] = encode(ref)[0]
                return around
        raise ValueError(f"{contig}:{pos}: no slice of the reference covers it")

    places = list(zip(table["contig"], table["pos"], table["ref"], strict=True))
    slice_of, distinct = pd.factorize(pd.Series(places))
    reference = np.stack([cut(*place) for place in distinct])
    alternative = reference[slice_of]
    alternative[:, CENTRE] = encode("".join(table["alt"]))
    heads = np.array([head_of(element) for element in table["element"]])
    return Variants(heads, reference, slice_of.astype(np.int64), alternative)


def predict(member: Member, table: pd.DataFrame, variants: Variants) -> tuple[Predictions, Floats]:
    """Predict everything that a record keeps.

    Args:
      member: a trained one.
      table: of the campaign.
      variants: of the challenge table.

    Returns:
      The predictions, and (A,) slopes of activity on prediction in the validation fold.
    """
    held_out = {}
    for split in ("test", "validation"):
        rows = held_out_rows(table, split)
        data = labelled_sequences(rows, member.assays, member.scale)
        mu, log_var = predict_constructs(member.network, data.codes)
        names = [assay.name for assay in member.assays]
        at = construct_index(rows)[0], rows["assay"].map(names.index).to_numpy()
        held_out[split] = mu[at], None if log_var is None else log_var[at]
        if split == "validation":
            slopes = calibration_slopes(mu, data.activity)
    plus, minus, cell = cagi5_effects(member, variants, slopes)
    return (
        Predictions(
            test_mu=held_out["test"][0],
            test_log_var=held_out["test"][1],
            validation_mu=held_out["validation"][0],
            validation_log_var=held_out["validation"][1],
            cagi5_plus=plus,
            cagi5_minus=minus,
            cagi5_cell=cell,
        ),
        slopes,
    )


def calibration_slopes(mu: Floats, activity: Floats) -> Floats:
    """(A,) least-squares slopes b of activity = a + b mu, over the labels that there are.

    A loss that ranks leaves the scale of its output free, so heads must be brought to one scale
    before they are averaged; what cannot be predicted at all gets a slope near 0.
    """
    slopes = []
    for predicted, measured in zip(mu.T, activity.T, strict=True):
        seen = ~np.isnan(measured)
        f, y = predicted[seen].astype(np.float64), measured[seen].astype(np.float64)
        spread = f.var()
        slopes.append(((f - f.mean()) * (y - y.mean())).mean() / spread if spread > 0 else 0.0)
    return np.array(slopes, dtype=np.float32)


def oriented(codes: NDArray[np.uint8], *, is_minus: bool) -> NDArray[np.uint8]:
    """Windows (n, 230) of slices (n, 231), the variant at index 115 of either strand's.

    The minus strand's window lies one base further down the plus strand: were the same bases
    reversed, the variant would move by one.
    """
    window = reverse_complement(codes[:, 1:]) if is_minus else codes[:, :-1]
    shown = np.zeros(WINDOW, dtype=bool)
    shown[CENTRE - CONTEXT // 2 : CENTRE + CONTEXT // 2] = True
    return np.where(shown, window, UNKNOWN).astype(np.uint8)


def cagi5_effects(
    member: Member, variants: Variants, slopes: Floats
) -> tuple[Floats, Floats, Floats]:
    """Effects (n,): the plus strand's, the minus strand's, and those of the cell type's assays.

    The effect in one assay is slope * (f(alt) - f(ref)). Its mean over all assays is the one that
    arms are compared by; `release.tsv` has both readings, and on the release set it was chosen.
    """
    cell_types = np.array([assay.cell_type for assay in member.assays])
    changes = []
    for is_minus in (False, True):
        reference, alternative = (
            predict_constructs(member.network, oriented(codes, is_minus=is_minus))[0]
            for codes in (variants.reference, variants.alternative)
        )
        changes.append((alternative - reference[variants.slice_of]) * slopes)
    plus, minus = changes
    both = (plus + minus) / 2 * member.scale.sd
    cell = np.empty(len(both), dtype=np.float32)
    for cell_type in np.unique(variants.heads):
        of_cell = variants.heads == cell_type
        cell[of_cell] = both[of_cell][:, cell_types == cell_type].mean(axis=1)
    return plus.mean(axis=1), minus.mean(axis=1), cell
