"""What turns scored lines into bytes, by the format of the output."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from service.output import OutputFormat
from service.records import Header, Passed, Record
from service.scoring import Scores
from service.tables import TsvEncoder
from service.vcf import VcfEncoder


class Encoder(Protocol):
    """What turns scored lines into the bytes of one format."""

    def header(self, header: Header, contigs: Mapping[str, int]) -> bytes:
        """Return what comes before the first record.

        Args:
          header: of the input.
          contigs: bases of the reference's contigs, for an input that declares none.
        """
        ...

    def lines(self, lines: Sequence[Record | Passed], scores: Scores) -> bytes:
        """Return a chunk of lines with the scores of all their ALTs, in order."""
        ...


def encoder_for(style: OutputFormat, provenance: Mapping[str, Any]) -> Encoder:
    """Return the encoder of a format, for scores that were made as the provenance says.

    Parquet is made from the rows of a TSV.
    """
    targets = provenance["targets"]
    if style.is_table:
        return TsvEncoder(targets, provenance=provenance)
    return VcfEncoder(targets, coverage=provenance["options"]["coverage"], provenance=provenance)
