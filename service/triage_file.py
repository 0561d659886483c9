"""A VCF of candidates -> a triaged list, all of it in memory."""

import time
from collections.abc import Iterable, Iterator

from service.contigs import check_contigs
from service.errors import RequestTooLargeError, Status, ValidationError
from service.ranking import chosen_targets, ranked
from service.reasons import reason
from service.records import Header, Passed, Record, VcfReader
from service.reference import Reference
from service.scoring import Scorer, Scores
from service.source import Source
from service.stages import Chunk, chunks, scored
from service.stream import OnProgress, ignore
from service.summary import Summary
from service.tables import copied_columns, malformed_columns
from service.tally import Tally, check_assembly
from service.triage_list import Given, TriageList, TriageOptions


def read_list(source: Source, limit: int) -> tuple[Header, list[Record | Passed]]:
    """Read a VCF without the samples of its records and without its blank lines.

    Raises:
      DecodingError: it is no VCF.
      InputFileError: it is truncated.
      RequestTooLargeError: more than `limit` ALTs and malformed lines together.
    """
    reader = VcfReader(source, source.name)
    lines: list[Record | Passed] = []
    n_rows = 0
    for line in reader:
        if isinstance(line, Passed):
            if line.problem is None:
                continue
            n_rows += 1
            lines.append(line)
        else:
            n_rows += len(line.variants)
            lines.append(line._replace(line=line.line[: line.start], end=line.start))
        if n_rows > limit:
            raise RequestTooLargeError(
                f"{source.name} has more than {limit:,} ALTs, the most that one triage takes"
                " (--max-triage): choose among them, or score them all with `varsigma score`",
                detail={"limit": limit},
            )
    return reader.header, lines


def triage_file(
    source: Source,
    lines: tuple[Header, list[Record | Passed]],
    scorer: Scorer,
    options: TriageOptions,
    *,
    mismatch_share: float = 1.0,
    on_progress: OnProgress = ignore,
) -> tuple[TriageList, Summary]:
    """Score and triage what `read_list` has read.

    Args:
      source: what it was read from.
      lines: of it.
      scorer: model, reference and options.
      options: of the triage.
      mismatch_share: share of REF mismatches at which the assembly is taken to be wrong; 1 never.
      on_progress: called with what is done and all there is, in ALTs.

    Raises:
      ValidationError: the model has no such target; or there is no reference.
      InputFileError: the file is of another assembly by its header.
      WrongAssemblyError: by its REFs.
    """
    started = time.perf_counter()
    header, records = lines
    reference = scorer.reference
    if reference is None:
        raise ValidationError("variants need a reference FASTA")
    chosen_targets(scorer, options)
    if mismatch_share < 1:
        check_contigs(header, reference, source.name)
    n_all = sum(len(line.variants) for line in records if isinstance(line, Record))
    tally = Tally()
    given: list[Given] = []
    parts: list[Scores] = [scorer.score([])]
    on_progress(0, 0, n_all)
    for chunk, scores in scored(chunks(records), scorer):
        tally.add_chunk(chunk, scores)
        check_assembly(tally, mismatch_share)
        given += _given(chunk, scores.status, reference)
        parts.append(scores)
        on_progress(tally.n_alts, tally.n_alts, n_all)
    provenance = scorer.provenance()
    found = ranked(given, Scores.joined(parts), scorer, options, provenance=provenance)
    seconds = time.perf_counter() - started
    return found, Summary(provenance=found.provenance, tally=tally, seconds=seconds)


def _given(lines: Chunk, statuses: Iterable[Status], reference: Reference) -> Iterator[Given]:
    status = iter(statuses)
    for line in lines:
        if isinstance(line, Passed):
            yield _malformed(line)
            continue
        copied, alts = copied_columns(line)
        contig, _, name, ref = _text(copied).split("\t")
        for alt, variant in zip(_text(b",".join(alts)).split(","), line.variants, strict=True):
            found = next(status)
            yield Given(
                contig=contig,
                pos=variant.pos,
                id=None if name in {"", "."} else name,
                ref=ref,
                alt=alt,
                line=line.number,
                reason=None if found is Status.OK else reason(found, variant, reference),
            )


def _malformed(line: Passed) -> Given:
    contig, pos, name, ref, alt = map(_text, malformed_columns(line))
    return Given(
        contig=contig,
        pos=int(pos) if pos.isascii() and pos.isdigit() and len(pos) < 11 else None,
        id=None if name in {"", "."} else name,
        ref=ref,
        alt=alt,
        line=line.number,
        problem=line.problem,
    )


def _text(field: bytes) -> str:
    return field.decode("utf-8", "replace")
