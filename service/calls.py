"""What one request asks of the engine: a body in, JSON bytes out, as coroutines.

cut (pool) -> predict (the batcher's thread) -> combine and write (pool).
"""

import asyncio
import functools
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from service.activity import activities, sequence_windows
from service.answers import (
    encoded,
    given_of,
    joined,
    region_head,
    score_outcomes,
    score_results,
    sequence_results,
    triage_answer,
    with_map,
)
from service.batcher import Lane
from service.cutting import Windows
from service.engine import Engine, Setup
from service.errors import InputFileError, RequestTooLargeError, ServerError, ServiceError
from service.joining import join, split
from service.ranking import chosen_targets, ranked
from service.reference import Reference
from service.saturation import Map, Region, effect_map, read_region
from service.schemas import (
    SaturationRequest,
    ScoreRequest,
    SequencePair,
    SequencesRequest,
    VariantBody,
)
from service.scoring import Predictions
from service.triage_facts import ratios_of, with_evidence, with_likelihood_ratios
from service.triage_list import TriageList, TriageOptions
from service.triage_schemas import TriageRequest

# A long call is cut up: this many items, or positions, are cut, run and written at a time, so many
# such parts at once.
_PART = 64
_PARTS_AT_ONCE = 3
# Requests of so many items, at most, are cut and combined together with others.
_SMALL = 8

_Items: TypeAlias = Sequence[VariantBody | SequencePair]
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks for.

    Attributes:
      setup: model and options.
      items: variants or pairs.
      has_place: they are variants.
    """

    setup: Setup
    items: _Items
    has_place: bool

    @property
    def head(self) -> bytes:
        return self.setup.variants_head if self.has_place else self.setup.pairs_head

    @property
    def reference(self) -> Reference | None:
        return self.setup.scorer.reference

    @property
    def n_sequences(self) -> int:
        """Sequences that it needs at most: a longer change needs no window with hidden bases."""
        options = self.setup.scorer.options
        n_anchored = sum(len(item.ref) != len(item.alt) for item in self.items)
        n_looks = len(self.items) + n_anchored * (len(options.anchorings) - 1)
        n_windows = self.setup.scorer.n_windows if self.has_place else 2
        return n_windows * options.strands * len(options.shifts) * n_looks


@dataclass(frozen=True, slots=True)
class _Predicted:
    """The same with what the model says of its windows."""

    asked: _Asked
    windows: Windows
    found: Predictions


async def score(engine: Engine, request: ScoreRequest, deadline: float | None = None) -> bytes:
    """Score all items of a request and return the JSON of a `ScoreResponse`.

    Args:
      engine: what scores.
      request: what to score.
      deadline: on the monotonic clock, None for none.

    Raises:
      ModelNotFoundError: the model is not served.
      RequestTooLargeError: more items than the published limit.
      ValidationError: variants, but no reference; or a shift beyond the window.
      OverloadedError: too much is waiting.
      DeadlineError: the answer cannot come, or did not, before the deadline.
    """
    asked = _scoring(engine, request)
    _check_items(
        engine,
        asked,
        "split it, ask for application/x-ndjson, or score a file with `varsigma score`",
    )
    with asked.setup.batcher.admitted(asked.n_sequences, deadline):
        predicted = await _predicted(engine, asked, deadline)
        if len(asked.items) <= _SMALL:
            return await engine.gather(_answer_many, predicted)
        return await engine.offload(_answer, predicted)


async def triage(engine: Engine, request: TriageRequest, deadline: float | None = None) -> bytes:
    """Score all items of a request, triage them as one list, return a `TriageResponse`'s JSON.

    What was measured stands beside each row where the service has a table of it.

    Raises:
      ServiceError: like `score`; and the model has no such target, or no likelihood ratios where
        they are asked for.
    """
    asked = _scoring(engine, request)
    settings = engine.settings
    _check_items(engine, asked, "choose among them, or triage a file with `varsigma triage`")
    options = request.triage_options(error_rate=settings.error_rate, threshold=settings.threshold)
    chosen_targets(asked.setup.scorer, options)
    if request.likelihood_ratios:
        ratios_of(asked.setup.scorer.model)
    with asked.setup.batcher.admitted(asked.n_sequences, deadline):
        predicted = await _predicted(engine, asked, deadline)

        def answer() -> bytes:
            found = _triaged(predicted, options)
            if engine.evidence:
                with _own_files():
                    found = with_evidence(found, engine.evidence)
            if request.likelihood_ratios:
                scorer = asked.setup.scorer
                found = with_likelihood_ratios(found, scorer.model, scorer.options)
            return triage_answer(found)

        return await engine.offload(answer)


async def _predicted(engine: Engine, asked: _Asked, deadline: float | None) -> _Predicted:
    if len(asked.items) <= _SMALL:
        windows = await engine.gather(_cut_many, asked)
    else:
        windows = await engine.offload(_cut, asked)
    found = await asked.setup.batcher.predict(windows.sequences, deadline=deadline)
    return _Predicted(asked, windows, found)


async def score_lines(
    engine: Engine, request: ScoreRequest, deadline: float | None = None
) -> AsyncGenerator[bytes]:
    """Score the items of a request, many of them, a part at a time.

    Yields:
      Lines of JSON: what stands beside the results of a `ScoreResponse`, then its results in
      order. After the first, a failure is the last line, in the shape of an error's body.

    Raises:
      ServiceError: like `score`, before the first line.
    """
    asked = _scoring(engine, request)
    batcher, n_items = asked.setup.batcher, len(asked.items)
    _check_length(n_items, engine.settings.max_stream_items, "items", "split it")

    async def lines(first: int) -> bytes:
        part = replace(asked, items=asked.items[first : first + _PART])
        windows = await engine.offload(_cut, part)
        found = await batcher.predict(windows.sequences, lane=Lane.BATCH, deadline=deadline)
        return await engine.offload(_lines, _Predicted(part, windows, found), first)

    with engine.long_place():
        yield asked.head + b"\n"
        async with aclosing(_told(lines, range(0, n_items, _PART))) as parts:
            async for part in parts:
                yield part


async def sequences(
    engine: Engine, request: SequencesRequest, deadline: float | None = None
) -> bytes:
    """Predict the activity of plain sequences; return the JSON of a `SequencesResponse`.

    Raises:
      ServiceError: like `score`.
    """
    items = request.sequences
    strands = request.strands or engine.defaults.strands
    setup = engine.setup(request.model, replace(engine.defaults, strands=strands, shifts=(0,)))
    _check_length(len(items), engine.settings.max_items, "sequences", "split it")
    with setup.batcher.admitted(len(items) * strands, deadline):
        texts, width = [item.sequence for item in items], setup.scorer.model.info.window
        windows = await engine.offload(sequence_windows, texts, width, strands)
        found = await setup.batcher.predict(windows.sequences, deadline=deadline)

        def answer() -> bytes:
            sums = activities(windows, found)
            head = encoded({"provenance": dict(setup.pairs_provenance)})
            return joined(head, sequence_results(items, windows.status, sums, setup.targets))

        return await engine.offload(answer)


async def saturation(
    engine: Engine, request: SaturationRequest, deadline: float | None = None
) -> bytes:
    """Score every single-base change of a region; return the JSON of a `SaturationResponse`.

    Raises:
      ServiceError: like `score`; and the region is too long or not known sequence.
    """
    setup, region = await _region(engine, request)
    with engine.long_place():
        work = functools.partial(_map, engine, setup, deadline)
        async with aclosing(_in_order(work, _parts(setup, region))) as parts:
            maps = [found async for found in parts]

    def answer() -> bytes:
        head = _region_head(setup, region)
        return with_map(head, Map.joined(maps), setup.targets, setup.scorer.calibrated)

    return await engine.offload(answer)


async def saturation_lines(
    engine: Engine, request: SaturationRequest, deadline: float | None = None
) -> AsyncGenerator[bytes]:
    """Score every single-base change of a region, a few positions at a time.

    Yields:
      Lines of JSON: a `SaturationResponse` without targets, then one for each run of
      positions, without provenance. After the first, a failure is the last line.

    Raises:
      ServiceError: like `saturation`, before the first line.
    """
    setup, region = await _region(engine, request)

    async def line(part: Region) -> bytes:
        found = await _map(engine, setup, deadline, part)

        def answer() -> bytes:
            head = encoded(region_head(part))
            return with_map(head, found, setup.targets, setup.scorer.calibrated) + b"\n"

        return await engine.offload(answer)

    with engine.long_place():
        yield _region_head(setup, region) + b"\n"
        async with aclosing(_told(line, _parts(setup, region))) as parts:
            async for part in parts:
                yield part


def _scoring(engine: Engine, request: ScoreRequest) -> _Asked:
    setup = engine.setup(request.model, request.options(engine.defaults))
    if request.variants is not None:
        engine.genome("variants")
    return _Asked(setup, request.items, request.variants is not None)


def _check_items(engine: Engine, asked: _Asked, remedy: str) -> None:
    _check_length(len(asked.items), engine.settings.max_items, "items", remedy)


def _check_length(given: int, limit: int, what: str, remedy: str) -> None:
    if given > limit:
        raise RequestTooLargeError(
            f"{given} {what}, at most {limit} are allowed in one request; {remedy}",
            detail={"limit": limit, "given": given},
        )


@contextmanager
def _own_files() -> Iterator[None]:
    """Say that a reference which cannot be read any more is no fault of the request."""
    try:
        yield
    except InputFileError as error:
        raise ServerError(error.message, detail=error.detail) from error


# --- in the pool ---------------------------------------------------------------------------------


def _cut(asked: _Asked) -> Windows:
    scorer = asked.setup.scorer
    if asked.has_place:
        variants = [item.variant() for item in asked.items if isinstance(item, VariantBody)]
        with _own_files():
            return scorer.cut(variants)
    return scorer.cut_pairs([(item.ref, item.alt) for item in asked.items])


def _cut_many(requests: Sequence[_Asked]) -> list[Windows | Exception]:
    """Cut small requests, those of a kind together."""
    return _by_kind(requests, lambda asked: asked, _cut_alike)


def _cut_alike(requests: Sequence[_Asked]) -> list[Windows]:
    if len(requests) == 1:
        return [_cut(requests[0])]
    every = [item for asked in requests for item in asked.items]
    return split(_cut(replace(requests[0], items=every)), [len(one.items) for one in requests])


def _answer(predicted: _Predicted) -> bytes:
    [answer] = _answer_alike([predicted])
    return answer


def _answer_many(requests: Sequence[_Predicted]) -> list[bytes | Exception]:
    """Combine and write small requests, those of a kind together."""
    return _by_kind(requests, lambda predicted: predicted.asked, _answer_alike)


def _answer_alike(requests: Sequence[_Predicted]) -> list[bytes]:
    first = requests[0]
    windows, found = first.windows, first.found
    if len(requests) > 1:
        windows, found = join([one.windows for one in requests], [one.found for one in requests])
    asked = first.asked
    scores = asked.setup.scorer.combine(windows, found, has_place=asked.has_place)
    outcomes = iter(score_outcomes(scores, asked.setup.targets))
    return [
        joined(asked.head, score_results(one.asked.items, outcomes, reference=asked.reference))
        for one in requests
    ]


def _triaged(predicted: _Predicted, options: TriageOptions) -> TriageList:
    asked = predicted.asked
    setup, scorer = asked.setup, asked.setup.scorer
    scores = scorer.combine(predicted.windows, predicted.found, has_place=asked.has_place)
    given = [
        given_of(item, status, asked.reference)
        for item, status in zip(asked.items, scores.status, strict=True)
    ]
    provenance = setup.variants_provenance if asked.has_place else setup.pairs_provenance
    return ranked(given, scores, scorer, options, provenance=provenance)


def _lines(predicted: _Predicted, first: int) -> bytes:
    asked = predicted.asked
    scores = asked.setup.scorer.combine(
        predicted.windows, predicted.found, has_place=asked.has_place
    )
    outcomes = score_outcomes(scores, asked.setup.targets)
    results = score_results(asked.items, outcomes, first, reference=asked.reference)
    return b"".join(line + b"\n" for line in results)


def _by_kind(
    requests: Sequence[_In],
    asked: Callable[[_In], _Asked],
    work: Callable[[Sequence[_In]], Sequence[_Out]],
) -> list[_Out | Exception]:
    """Work on requests of one setup and one kind of items at a time; fail for each alone."""
    kinds: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for place, one in enumerate(requests):
        kinds[id(asked(one).setup), asked(one).has_place].append(place)
    results: dict[int, _Out | Exception] = {}
    for places in kinds.values():
        results |= zip(places, _tried(work, [requests[place] for place in places]), strict=True)
    return [results[place] for place in range(len(requests))]


def _tried(
    work: Callable[[Sequence[_In]], Sequence[_Out]], requests: Sequence[_In]
) -> Sequence[_Out | Exception]:
    try:
        return work(requests)
    except Exception as error:  # noqa: BLE001  (it belongs to a request, and goes there)
        if len(requests) == 1:
            return [error]
        return [result for one in requests for result in _tried(work, [one])]


# --- regions -------------------------------------------------------------------------------------


async def _region(engine: Engine, request: SaturationRequest) -> tuple[Setup, Region]:
    setup = engine.setup(request.model, request.options(engine.defaults))
    reference = engine.genome("contig")
    n_positions = request.end - request.start + 1
    _check_length(n_positions, engine.settings.max_region, "positions", "split the region")
    where = request.contig, request.start - 1, request.end
    with _own_files():
        return setup, await engine.offload(read_region, reference, *where)


def _parts(setup: Setup, region: Region) -> Iterator[Region]:
    """Cut a region up. With shifts, positions of a part share windows: longer parts share more."""
    return region.parts(_PART * len(setup.scorer.options.shifts))


def _region_head(setup: Setup, region: Region) -> bytes:
    return encoded({"provenance": dict(setup.variants_provenance)} | region_head(region))


async def _map(engine: Engine, setup: Setup, deadline: float | None, region: Region) -> Map:
    with _own_files():
        windows = await engine.offload(lambda: setup.scorer.cut(region.variants()))
    found = await setup.batcher.predict(windows.sequences, lane=Lane.BATCH, deadline=deadline)
    return await engine.offload(lambda: effect_map(region, setup.scorer.combine(windows, found)))


# --- parts ---------------------------------------------------------------------------------------


async def _in_order(
    work: Callable[[_In], Coroutine[Any, Any, _Out]], inputs: Iterable[_In]
) -> AsyncGenerator[_Out]:
    """Work on a few inputs at once and yield what comes of them in their order."""
    tasks: deque[asyncio.Task[_Out]] = deque()
    try:
        for one in inputs:
            tasks.append(asyncio.create_task(work(one)))
            if len(tasks) == _PARTS_AT_ONCE:
                yield await tasks.popleft()
        while tasks:
            yield await tasks.popleft()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _told(
    work: Callable[[_In], Coroutine[Any, Any, bytes]], inputs: Iterable[_In]
) -> AsyncGenerator[bytes]:
    """The same for lines, the last of which says what went wrong, if something did."""
    async with aclosing(_in_order(work, inputs)) as parts:
        try:
            async for part in parts:
                yield part
        except ServiceError as error:
            yield encoded(error.body()) + b"\n"
