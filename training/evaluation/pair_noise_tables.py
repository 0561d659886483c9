"""What was found on the noise of pairs, laid out for reading: facts -> report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from training.evaluation.pair_noise import THIRDS, DifferenceCheck, NoiseCorrelation
from training.evaluation.pair_noise_cagi5 import TwinAgreement, Twins
from training.evaluation.pair_noise_data import ALIGNED, CORRECTIONS
from training.evaluation.pair_noise_effects import SpreadAgreement
from training.evaluation.report import Cell, Report, Table, rows_of

_Found = NoiseCorrelation | DifferenceCheck | SpreadAgreement | TwinAgreement
CORRELATION = "Correlation of the noise of reference and alternative allele"
DIFFERENCE = "Variance of a measured difference"
SPREAD = "Predicted SD of an effect against replicates (Mattioli pool 1)"
TWICE = "Predicted aleatoric SD against two measurements of one effect (CAGI5 release blocks)"
_CORRELATION_COLUMNS = (
    "cell type, replicates",
    "pairs",
    "loci",
    "rho",
    "replicates relabelled",
    "variant of another locus",
)
_DIFFERENCE_COLUMNS = (
    "cell type, pairs",
    "n",
    "SD of one allele",
    "rho",
    "covariance",
    "measured / implied, rho 0",
    "measured / implied, rho of other loci",
)
_SPREAD_COLUMNS = (
    "cell type, pairs",
    "n",
    "loci",
    "replicates",
    "predicted SD",
    "given effect size",
    "given effect size and activity",
    "split-half ceiling",
    "attainable",
    "predicted / measured SD",
)
_TWICE_COLUMNS = (
    "experiments",
    "n",
    "positions",
    "aleatoric",
    "aleatoric, given barcodes and effect size",
    "fewer barcodes",
    "measured SE",
    "measured SE, given barcodes and effect size",
    "attainable",
    "difference / SE",
)


def layout(
    name: str,
    *,
    correlations: Mapping[tuple[str, str], NoiseCorrelation],
    differences: Mapping[str, Mapping[str, DifferenceCheck]],
    spreads: Mapping[tuple[str, str], SpreadAgreement],
    twins: Mapping[tuple[Twins, str], TwinAgreement],
    draws: int,
) -> Report:
    """Write the report of one model.

    Args:
      name: of the model.
      correlations: {(cell type, correction of replicates): what was found}.
      differences: {cell type: {which pairs: what was found}}.
      spreads: {(cell type, which pairs): what was found}.
      twins: {(experiments, scale): what was found}.
      draws: bootstrap resamples.
    """
    tables = (
        _table(CORRELATION, _CORRELATION_COLUMNS, correlations),
        _table(
            DIFFERENCE,
            _DIFFERENCE_COLUMNS,
            {
                (cell, which): row
                for cell, rows in differences.items()
                for which, row in rows.items()
            },
        ),
        _table(SPREAD, _SPREAD_COLUMNS, spreads),
        _table(
            TWICE,
            _TWICE_COLUMNS,
            {
                (f"{twin.first} and {twin.second} ({twin.apart})", scale): row
                for (twin, scale), row in twins.items()
            },
        ),
    )
    return Report(f"Noise of a difference: {name}", tables, _notes(draws))


def _table(title: str, columns: tuple[str, ...], found: Mapping[tuple[str, str], _Found]) -> Table:
    """One row for each dataclass found, its fields in their order after the label."""
    rows: list[Sequence[Cell]] = [
        [", ".join(label), *(getattr(row, field.name) for field in fields(row))]
        for label, row in found.items()
    ]
    return Table(title, columns, rows_of(rows))


def _notes(draws: int) -> tuple[str, ...]:
    _, shifts, trends = CORRECTIONS
    quiet, _, noisy = THIRDS
    return (
        "rho: deviations of each replicate from its allele's own mean, over the replicates that "
        "both alleles have; with c_p, v_p, w_p the covariance and variances of pair p by R_p - 1 "
        "degrees of freedom, rho = sum (R_p - 1) c_p / sqrt(sum (R_p - 1) v_p * sum (R_p - 1) "
        "w_p). It is a property of the measurements, not of the model: that these pairs also "
        "train the model does not matter to it.",
        f"{ALIGNED}: each replicate by one offset and one slope, as labels and training variances "
        f"are. {shifts}: its mean over all rows of the library is then taken off. {trends}: as "
        "well as its median deviation at rows of like activity; what this lowers is an error of "
        "the replicate's scale, which all sequences of that activity share.",
        "replicates relabelled: mean and central 95 % of rho when the replicates of references are "
        "permuted, alike for the variants of one locus: what independence gives. variant of "
        "another locus: rho of references and unrelated sequences of about the same activity "
        "(interval over the loci of the references alone).",
        f"{quiet} to {noisy}: by the mean variance of both alleles. measured / implied: variance "
        "over replicates of the difference, pooled, over sigma_ref^2 + sigma_alt^2 - 2 rho "
        "sigma_ref sigma_alt from the measured SDs (their product corrected for small samples), "
        "rho 0 or that of all pairs of other loci. Where rho differs between thirds no one rho "
        "fits each of them; the pooled one fits the mean variance. Under one rho for all pairs the "
        f"{quiet} would show less of it, not more: low variances select low covariances.",
        "predicted SD: sqrt(sigma_ref^2 + sigma_alt^2 - 2 rho sigma_ref sigma_alt) of the assay "
        f"({ALIGNED}), Spearman with the SD over replicates of the measured difference. Only pairs "
        "of the test fold were never trained on. The table has no barcode counts. given: partial "
        "Spearman; effect size is |mean measured effect|. split-half ceiling: Spearman between the "
        "SDs of two halves of the replicates; attainable: about what a perfect prediction would "
        "reach.",
        "CAGI5: Spearman with |difference of the two measured effects|, SNVs in release blocks "
        "alone, read from the K562 target. Two cell types or two time points are not replicates: "
        "they stand in for them, and what truly differs counts as noise. attainable: what the "
        "measured standard error would reach if it were exactly the SD of the difference; "
        "difference / SE: root mean squares, 1 for replicates. one scale: the two experiments "
        "aligned as replicates are.",
        f"[low, high]: 95 % bootstrap ({draws} draws) over loci, over positions for CAGI5.",
    )
