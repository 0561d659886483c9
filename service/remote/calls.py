"""What a client can ask: `arguments -> Ask`, and how the answers in lines are read."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote

import httpx2 as httpx
import pydantic
from pydantic import BaseModel

from service.remote.exchange import Ask
from service.remote.lines import Form
from service.remote.problems import GivenError
from service.schemas import (
    Live,
    ModelList,
    Ready,
    SaturationRequest,
    SaturationResponse,
    ScoredItem,
    ScoreRequest,
    ScoreResponse,
    SequenceBody,
    SequencePair,
    SequencesRequest,
    SequencesResponse,
    VariantBody,
)
from service.triage_schemas import TriageRequest, TriageResponse
from service.variant_schemas import VariantNames, VariantQuery
from service.variants import Variant

ModelT = TypeVar("ModelT", bound=BaseModel)
Items: TypeAlias = Iterable[Variant | VariantBody] | Iterable[SequencePair]

_JSON = {"Content-Type": "application/json"}
_LINES = {"Accept": "application/x-ndjson"}
# What the first line of a map in lines lacks.
_NO_MAP: dict[str, Any] = {"novelty": [], "novel_as": [], "targets": {}}
_STATES = frozenset({HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE})


class SequenceOptions(TypedDict, total=False):
    """How sequences are read; what is left out is the server's.

    `seconds` is how long the service may take, X-Timeout-Seconds.
    """

    model: str | None
    strands: int | None
    seconds: float | None


class RegionOptions(SequenceOptions, total=False):
    """How a region is scored."""

    shifts: list[int] | None


class ScoreOptions(RegionOptions, total=False):
    """How variants or pairs are scored."""

    coverage: float | None


class TriageOptions(ScoreOptions, total=False):
    """How variants are triaged."""

    target: str | None
    compare: bool
    error_rate: float | None
    threshold: float | None
    likelihood_ratios: bool


def score(items: Items, options: Mapping[str, Any]) -> Ask[ScoreResponse]:
    """Score variants, or pairs of sequences."""
    body = _score_body(ScoreRequest, list(items), options)
    return _post("/v1/score", body, options, ScoreResponse)


def triage(items: Items, options: Mapping[str, Any]) -> Ask[TriageResponse]:
    """Triage variants, or pairs of sequences, as one list."""
    body = _score_body(TriageRequest, list(items), options)
    return _post("/v1/triage", body, options, TriageResponse)


def score_lines(
    items: Items, options: Mapping[str, Any]
) -> tuple[Ask[httpx.Response], Form[ScoreResponse, ScoredItem]]:
    """Score many of them, answered one by one."""
    given = list(items)
    form = Form(
        head=lambda line: ScoreResponse.model_validate(_object(line) | {"results": []}),
        item=ScoredItem.model_validate_json,
        is_last=lambda _, last: (-1 if last is None else last.index) == len(given) - 1,
    )
    return _post_for_lines("/v1/score", _score_body(ScoreRequest, given, options), options), form


def sequences(
    given: Iterable[str | SequenceBody], options: Mapping[str, Any]
) -> Ask[SequencesResponse]:
    """Predict the activity of plain sequences."""
    bodies = []
    for index, one in enumerate(given):
        with _named(f"sequences[{index}]"):
            bodies.append(SequenceBody(sequence=one) if isinstance(one, str) else one)
    with _named():
        body = SequencesRequest(sequences=bodies, **_without_seconds(options))
    return _post("/v1/sequences", body, options, SequencesResponse)


def saturation(
    contig: str, start: int, end: int, options: Mapping[str, Any]
) -> Ask[SaturationResponse]:
    """Score every single-base change of a region; 1-based, both ends included."""
    body = _region(contig, start, end, options)
    return _post("/v1/saturation", body, options, SaturationResponse)


def saturation_lines(
    contig: str, start: int, end: int, options: Mapping[str, Any]
) -> tuple[Ask[httpx.Response], Form[SaturationResponse, SaturationResponse]]:
    """The same, a run of positions after the other."""
    body = _region(contig, start, end, options)
    form = Form(
        head=lambda line: SaturationResponse.model_validate(_object(line) | _NO_MAP),
        item=lambda line: SaturationResponse.model_validate({"provenance": {}} | _object(line)),
        is_last=lambda head, last: last is not None and last.end == head.end,
    )
    return _post_for_lines("/v1/saturation", body, options), form


def variants(spelling: str) -> Ask[VariantNames]:
    """Ask what one variant, in any common spelling, is called."""
    with _named():
        query = VariantQuery(q=spelling)
    return _get("/v1/variants", VariantNames, query=query.model_dump())


def models() -> Ask[ModelList]:
    """List the served models and the limits of a request."""
    return _get("/v1/models", ModelList)


def card(name: str) -> Ask[dict[str, Any]]:
    """Fetch a model's card."""
    path = f"/v1/models/{quote(name, safe='')}"
    return Ask(method="GET", path=path, read=lambda response: dict(response.json()))


def live() -> Ask[Live]:
    """Ask whether the process runs."""
    return _get("/health/live", Live)


def ready() -> Ask[Ready]:
    """Ask whether it answers, and where; that it does not is an answer too."""
    return _get("/health/ready", Ready, good=_STATES)


def _score_body(
    kind: type[ScoreRequest], items: list[Any], options: Mapping[str, Any]
) -> ScoreRequest:
    chosen = _without_seconds(options)
    if all(isinstance(item, SequencePair) for item in items):  # of nothing too: needs no reference
        with _named():
            return kind(sequences=items, **chosen)
    if any(isinstance(item, SequencePair) for item in items):
        raise GivenError("one request holds either variants or pairs of sequences")
    bodies = [_variant(index, item) for index, item in enumerate(items)]
    with _named():
        return kind(variants=bodies, **chosen)


def _variant(index: int, item: Variant | VariantBody) -> VariantBody:
    if not isinstance(item, Variant):
        return item
    with _named(f"variants[{index}] ({item})"):
        return VariantBody(contig=item.contig, pos=item.pos, ref=item.ref, alt=item.alt)


def _region(contig: str, start: int, end: int, options: Mapping[str, Any]) -> SaturationRequest:
    with _named():
        return SaturationRequest(contig=contig, start=start, end=end, **_without_seconds(options))


@contextmanager
def _named(record: str = "") -> Iterator[None]:
    """Say in one line what is wrong with a record, or with an option."""
    try:
        yield
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        message = problem["msg"].removeprefix("Value error, ")
        parts = (record, ".".join(map(str, problem["loc"])), message)
        raise GivenError(": ".join(filter(None, parts))) from None


def _without_seconds(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "seconds"}


def _get(
    path: str,
    model: type[ModelT],
    *,
    query: Mapping[str, str] = MappingProxyType({}),
    good: frozenset[HTTPStatus] = frozenset({HTTPStatus.OK}),
) -> Ask[ModelT]:
    return Ask(method="GET", path=path, read=_reader(model), query=query, good=good)


def _post(
    path: str, body: BaseModel, options: Mapping[str, Any], model: type[ModelT]
) -> Ask[ModelT]:
    return Ask(
        method="POST",
        path=path,
        read=_reader(model),
        headers=_JSON,
        content=_encoded(body),
        seconds=options.get("seconds"),
    )


def _post_for_lines(path: str, body: BaseModel, options: Mapping[str, Any]) -> Ask[httpx.Response]:
    return Ask(
        method="POST",
        path=path,
        read=lambda response: response,
        headers=_JSON | _LINES,
        content=_encoded(body),
        is_stream=True,
        seconds=options.get("seconds"),
    )


def _object(line: bytes) -> dict[str, Any]:
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _encoded(body: BaseModel) -> bytes:
    return body.model_dump_json(exclude_none=True).encode()


def _reader(model: type[ModelT]) -> Callable[[httpx.Response], ModelT]:
    return lambda response: model.model_validate_json(response.content)
