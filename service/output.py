"""The formats of an output, and the index of one."""

import gzip
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pysam

from service.errors import InputFileError, ValidationError
from service.source import STANDARD, quiet_htslib

_SHOWN = 40  # bytes of a line
_TBI_END = 1 << 29  # https://samtools.github.io/hts-specs/tabix.pdf: 512 Mbp


class OutputFormat(StrEnum):
    """How scores are written; `.gz` is BGZF, so that tabix can index it."""

    VCF = "vcf"
    VCF_GZ = "vcf.gz"
    TSV = "tsv"
    TSV_GZ = "tsv.gz"
    PARQUET = "parquet"

    @property
    def is_compressed(self) -> bool:
        """Whether the bytes are BGZF."""
        return self.value.endswith(".gz")

    @property
    def is_table(self) -> bool:
        """Whether it has one row per ALT; Parquet is made from the rows of a TSV."""
        return not self.value.startswith("vcf")


def output_format(path: str, stated: str | None = None) -> OutputFormat:
    """Return the stated format, or the one that the name of the output asks for.

    Raises:
      ValidationError: neither says which, they contradict each other, or a Parquet file would go
        to standard output.

    >>> output_format("cohort.vcf.bgz").value
    'vcf.gz'
    """
    named = _named_format(path)
    known = [member.value for member in OutputFormat]
    if stated is not None and stated not in known:
        raise ValidationError(f"--format {stated} is unknown; choose {', '.join(known)}")
    if stated is not None and named is not None and named != stated:
        raise ValidationError(
            f"--output {path} is named as {named.value}, but --format says {stated}; change one"
        )
    if stated is not None:
        style = OutputFormat(stated)
    elif named is not None:
        style = named
    elif path == STANDARD:
        style = OutputFormat.VCF
    else:
        raise ValidationError(
            f"--output {path}: the format is unknown; end the name in .{', .'.join(known)}, or say"
            " --format"
        )
    if style is OutputFormat.PARQUET and path == STANDARD:
        raise ValidationError("Parquet cannot go to standard output; give --output a file name")
    return style


def _named_format(path: str) -> OutputFormat | None:
    """The format that the end of a name stands for, if it does for any."""
    name = Path(path).name.lower()
    if name.endswith(".bgz"):
        name = name.removesuffix(".bgz") + ".gz"
    return next((member for member in OutputFormat if name.endswith(f".{member.value}")), None)


def index(path: Path, kind: Literal["tbi", "csi"]) -> Path:
    """Index a bgzipped VCF by position and return the index, PATH.tbi or PATH.csi.

    Raises:
      InputFileError: the records are not sorted, one is malformed, or one lies beyond what a .tbi
        can hold.
    """
    target = Path(f"{path}.{kind}")
    try:
        with quiet_htslib():
            pysam.tabix_index(
                str(path), preset="vcf", force=True, csi=kind == "csi", index=str(target)
            )
    except (OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        raise InputFileError(f"{path.name} cannot be indexed: {_obstacle(path)}") from error
    return target


def _obstacle(path: Path) -> str:
    """What in a VCF keeps it from being indexed; read only after indexing failed."""
    seen: set[bytes] = set()
    contig, last = b"", 0
    # Not BGZFile, which ends at an empty line.
    with gzip.open(path) as lines:
        # No line numbers: they would be those of the output, whose header is longer.
        for whole in lines:
            line = whole.rstrip(b"\r\n")
            fields = line.split(b"\t", 2)
            if line.startswith(b"#"):
                continue
            if not line:
                after = f"the record at {contig.decode('utf-8', 'replace')}:{last}"
                return (
                    f"there is an empty line after {after if contig else 'the header'}; take it out"
                    " of the input, or leave --index out"
                )
            if len(fields) < 3 or not fields[1].isdigit():
                shown = ascii(line[:_SHOWN].decode("utf-8", "replace"))
                return (
                    f"the line that begins {shown} is malformed; mend it in the input, or leave"
                    " --index out"
                )
            pos = int(fields[1])
            here = f"{fields[0].decode('utf-8', 'replace')}:{pos}"
            if (fields[0] != contig and fields[0] in seen) or (fields[0] == contig and pos < last):
                before = f"{contig.decode('utf-8', 'replace')}:{last}"
                return (
                    f"the record at {here} is not in order, it comes after {before}; sort the"
                    " input: bcftools sort"
                )
            if pos > _TBI_END:
                return f"the record at {here} lies beyond what a .tbi can hold; use --index csi"
            contig, last = fields[0], pos
            seen.add(contig)
    return "htslib could not write the index; is the disk full?"
