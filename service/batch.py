"""Score a file in flat memory: `Source -> chunks of records -> Scorer -> VCF | TSV -> Output`."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeAlias

from service.errors import ServiceError, Status
from service.fields import texts
from service.output import Output, OutputFormat
from service.scoring import Scorer
from service.source import Source
from service.summary import Summary
from service.tables import TsvEncoder
from service.variants import Variant
from service.vcf import Passed, Record, VcfEncoder, VcfReader

# A chunk is what is in memory at once. Many ALTs keep the model's batches full; the limit in
# bytes is for records with thousands of samples.
CHUNK_ALTS = 2048
CHUNK_BYTES = 32 << 20

Chunk: TypeAlias = list[Record | Passed]


class Encoder(Protocol):
    """What turns scored records into the bytes of one format."""

    def header(self, reader: VcfReader) -> bytes:
        """Return what comes before the first record."""
        ...

    def record(self, record: Record, statuses: list[Status], rows: list[list[str]]) -> bytes:
        """Return a record with its scores."""
        ...

    def passed(self, line: Passed) -> bytes:
        """Return what becomes of a line that is no record."""
        ...


def score_file(
    source: Source,
    output: Output,
    scorer: Scorer,
    *,
    style: OutputFormat,
    on_progress: Callable[[int, int], None] = lambda position, n_alts: None,
) -> Summary:
    """Score every ALT of a VCF: one output for each, in the order of the input.

    Args:
      source: the VCF.
      output: where the scores go, entered by the caller: its context makes the file whole.
      scorer: model, reference and options.
      style: VCF or TSV.
      on_progress: called after each chunk with the bytes read and the ALTs done.

    Raises:
      DecodingError: the input is no VCF.
      InputFileError: it is truncated; what was scored before that is in PATH.partial.
    """
    started = time.perf_counter()
    summary = Summary(provenance=scorer.provenance())
    reader = VcfReader(source, source.name)
    encoder = _encoder(scorer, style)
    summary.is_rescored = reader.is_rescored
    output.write(encoder.header(reader))
    for chunk in chunks(reader):
        output.write(_score_chunk(chunk, scorer, encoder, summary))
        on_progress(source.position, summary.n_alts)
    summary.seconds = time.perf_counter() - started
    return summary


def chunks(
    lines: Iterable[Record | Passed],
    *,
    max_alts: int = CHUNK_ALTS,
    max_bytes: int = CHUNK_BYTES,
) -> Iterator[Chunk]:
    """Group lines into chunks of about `max_alts` ALTs or `max_bytes`, whichever comes first.

    When the input turns out to be broken, the lines before the break still come out, then the
    error.
    """
    pending: Chunk = []
    n_alts = n_bytes = 0
    try:
        for line in lines:
            pending.append(line)
            n_alts += len(line.variants) if isinstance(line, Record) else 1
            n_bytes += line.n_bytes
            if n_alts >= max_alts or n_bytes >= max_bytes:
                yield pending
                pending, n_alts, n_bytes = [], 0, 0
    except ServiceError:
        if pending:
            yield pending
        raise
    if pending:
        yield pending


def _encoder(scorer: Scorer, style: OutputFormat) -> Encoder:
    targets, provenance = scorer.model.info.targets, scorer.provenance()
    if style.is_table:
        return TsvEncoder(targets, provenance=provenance)
    return VcfEncoder(targets, coverage=scorer.options.coverage, provenance=provenance)


def _score_chunk(chunk: Chunk, scorer: Scorer, encoder: Encoder, summary: Summary) -> bytes:
    variants: list[Variant] = []
    for line in chunk:
        if isinstance(line, Record):
            variants.extend(line.variants)
    scores = scorer.score(variants)
    rows = texts(scores.effects)
    encoded: list[bytes] = []
    first = 0
    for line in chunk:
        if isinstance(line, Passed):
            summary.add_passed(line)
            encoded.append(encoder.passed(line))
            continue
        last = first + len(line.variants)
        statuses = scores.status[first:last]
        summary.add(line, statuses)
        encoded.append(encoder.record(line, statuses, rows[first:last]))
        first = last
    return b"".join(encoded)
