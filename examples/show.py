"""Print a VCF that `varsigma score` wrote as a table: one line per ALT.

Usage: python examples/show.py scored.vcf
"""

import sys
from collections.abc import Iterator

import pysam
from rich.console import Console
from rich.table import Table

STATUS = "VARSIGMA_STATUS"
NOVEL_AS = "VARSIGMA_NOVEL_AS"
EFFECT = "_EFFECT"
WIDTH = 150  # where nobody looks at a terminal


def targets(header: pysam.VariantHeader) -> dict[str, str]:
    """Return {prefix of a target's INFO fields: the target's name}."""
    return {
        field.removesuffix(EFFECT): header.info[field].description.rpartition(" ")[2]
        for field in header.info
        if field.startswith("VARSIGMA_") and field.endswith(EFFECT)
    }


def shortened(allele: str) -> str:
    """Return an allele of at most 14 characters."""
    return allele if len(allele) <= 14 else f"{allele[:4]}..{len(allele)} bases"


def interval(numbers: tuple[float | None, float | None, float | None], calibrated: str) -> str:
    """Return effect [lower, upper], marked if uncalibrated; nothing where there is no score."""
    effect, lower, upper = numbers
    if effect is None:
        return ""
    mark = "" if calibrated == "true" else " *"
    return f"{effect:+.2f} [{lower:+.2f}, {upper:+.2f}]{mark}"


def rows(vcf: pysam.VariantFile, prefixes: list[str]) -> Iterator[list[str]]:
    """Yield the cells of each ALT, in the order of the file."""
    for record in vcf:
        info = record.info
        for index, alt in enumerate(record.alts or (".",)):
            cells = [
                str(record.id),
                f"{record.chrom}:{record.pos:,}",
                f"{record.ref} > {shortened(alt)}",
                info[STATUS][index],
                "" if info[NOVEL_AS][index] == "." else info[NOVEL_AS][index],
            ]
            for prefix in prefixes:
                fields = (f"{prefix}_{name}" for name in ("EFFECT", "LOWER", "UPPER"))
                effect, lower, upper = (info[field][index] for field in fields)
                calibrated = info[f"{prefix}_CALIBRATED"][index]
                cells.append(interval((effect, lower, upper), calibrated))
            yield cells


def main() -> None:
    """Show one file."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    table = Table(box=None)
    with pysam.VariantFile(sys.argv[1]) as vcf:
        names = targets(vcf.header)
        for column in ("id", "position", "ref > alt", "status", "novel as"):
            table.add_column(column, no_wrap=True, min_width=4)
        for name in names.values():
            table.add_column(name, no_wrap=True)
        for cells in rows(vcf, list(names)):
            # Brackets of intervals and breakends are text, not colours.
            table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    console.print(table)
    console.print(r"effect of alt against ref, log2(RNA/DNA) \[lower, upper]; research use only")
    console.print("*: not calibrated, no measured effects of such changes stand behind it")
    console.print("novel as: in what the sequence is unlike what the model learnt from")


if __name__ == "__main__":
    main()
