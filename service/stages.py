"""Lines -> scored lines, each stage ahead of the next: `read, cut | predict | combine`.

Reading and cutting run in one thread, the model in another, and what uses the scores (encoding,
writing) in the caller's, so that none of them waits for another.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import TypeAlias

from service.ahead import ahead
from service.cutting import Windows
from service.errors import ServiceError
from service.records import Passed, Record
from service.scoring import Predictions, Scorer, Scores
from service.variants import Variant

# A chunk is what goes through the stages at once, and where batches begin anew. Many ALTs keep the
# model's batches full; the limit in bytes is for records with thousands of samples.
CHUNK_ALTS = 2048
CHUNK_BYTES = 32 << 20

Chunk: TypeAlias = list[Record | Passed]


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


def scored(items: Iterable[Chunk], scorer: Scorer) -> Generator[tuple[Chunk, Scores], None, None]:
    """Score chunks, each with the scores of all its ALTs in order.

    Args:
      items: made in another thread; one without lines passes through, as a mark of the caller's.
      scorer: model, reference and options.

    Raises:
      ServiceError: making a chunk failed; the chunks before it came out before the error.
    """

    def cut() -> Iterator[tuple[Chunk, Windows]]:
        for chunk in items:
            yield chunk, scorer.cut(_variants(chunk))

    def predict() -> Iterator[tuple[Chunk, Windows, Predictions]]:
        with closing(ahead(cut())) as ready:
            for chunk, windows in ready:
                yield chunk, windows, scorer.predict(windows)

    with closing(ahead(predict())) as ready:
        for chunk, windows, predictions in ready:
            yield chunk, scorer.combine(windows, predictions)


def _variants(chunk: Chunk) -> list[Variant]:
    return [variant for line in chunk if isinstance(line, Record) for variant in line.variants]
