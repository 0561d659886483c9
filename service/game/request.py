"""The content of a body -> a valid `PredictRequest`.

What is no request of the protocol is a `DecodingError`, what no model of ours can do a
`ValidationError`. Their detail lists the `problems`, for the author of the evaluator.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from service.constructs import construct_windows
from service.errors import DecodingError, RequestTooLargeError, ValidationError
from service.game.codec import shown
from service.game.predictor import SPECIES, Target, closest_target
from service.sequence import Codes, encode

READOUTS = ("point", "track", "interaction_matrix")
SCALES = ("log", "linear")
EXPRESSION = (
    "expression", "expression_mRNA", "expression_pol1", "expression_pol2", "expression_pol3",
)  # fmt: skip
# Types that the protocol has and a reporter assay does not, in every spelling that is in use.
_OTHER_TYPE = re.compile(
    r"accessibility|binding_.+|expression_.+|conformation_.+|chromatin_con(form|firm)ation"
)
_MAX_PROBLEMS = 10
# A few tasks of a whole library; a body half of tasks and half of sequences could ask for a
# thousand times as many.
MAX_NUMBERS = 2_000_000
_TASK_KEYS = ("name", "type", "cell_type", "species")


@dataclass(frozen=True, slots=True)
class Task:
    """One prediction task.

    Attributes:
      name: of the task.
      type: as requested; the same holds for cell_type and species.
      scale: as requested, None where none was.
      target: what answers it.
    """

    name: str
    type: str
    cell_type: str
    species: str
    scale: str | None
    target: Target


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A valid request.

    Attributes:
      tasks: what to predict, in the order of the answer.
      ids: N different names.
      sequences: N sequences of one base or more over ACGTN, either case.
      upstream: flank to the left of every sequence; the other one is downstream.
    """

    tasks: list[Task]
    ids: list[str]
    sequences: list[str]
    upstream: str
    downstream: str

    @property
    def models(self) -> list[str]:
        """Names of the models that the tasks need, each once."""
        return list(dict.fromkeys(task.target.model for task in self.tasks))

    def windows(self, width: int) -> Codes:
        """Return the (N, width) windows that a model of that width reads."""
        return construct_windows(
            self.sequences, width, upstream=self.upstream, downstream=self.downstream
        )


def read_request(content: object, targets: Sequence[Target]) -> PredictRequest:
    """Check a request.

    Args:
      content: what the body holds.
      targets: what is served, the default one first.

    Raises:
      DecodingError: it is no request of the protocol.
      RequestTooLargeError: the answer would be out of proportion.
      ValidationError: it asks for what the models cannot do.
    """
    if not isinstance(content, dict):
        raise DecodingError(f"the request must be an object, got {shown(content)}")
    required = ("readout", "prediction_tasks", "sequences")
    _refuse(DecodingError, (f"{key} is missing" for key in required if key not in content))
    # A null is what a program sends for an optional key that it has no value for.
    ranges = content.get("prediction_ranges")
    flanks: dict[str, Any] = {key: content.get(key) for key in ("upstream_seq", "downstream_seq")}
    flanks = {key: "" if flank is None else flank for key, flank in flanks.items()}
    tasks, sequences = content["prediction_tasks"], content["sequences"]
    _refuse(
        DecodingError,
        chain(
            _one_of(content["readout"], READOUTS, "readout"),
            _bad_tasks(tasks),
            _bad_sequences(sequences),
            _not_text(flanks),
        ),
    )
    if len(tasks) * len(sequences) > MAX_NUMBERS:
        raise RequestTooLargeError(
            f"{len(tasks)} tasks of {len(sequences)} sequences are more than {MAX_NUMBERS:,}"
            " numbers; send them in parts",
            detail={"limit": MAX_NUMBERS, "given": len(tasks) * len(sequences)},
        )
    if ranges is not None:
        _refuse(DecodingError, _bad_ranges(ranges, sequences, sum(map(len, flanks.values()))))
    _refuse(
        ValidationError,
        chain(
            _impossible(content["readout"], tasks),
            _bad_letters(flanks),
            _empty(sequences),
            _bad_letters(sequences, "sequence "),
        ),
    )
    return PredictRequest(
        [_task(task, targets) for task in tasks],
        list(sequences),
        list(sequences.values()),
        upstream=flanks["upstream_seq"],
        downstream=flanks["downstream_seq"],
    )


def _task(task: Mapping[str, Any], targets: Sequence[Target]) -> Task:
    return Task(
        name=task["name"],
        type=task["type"],
        cell_type=task["cell_type"],
        species=task["species"],
        scale=task.get("scale"),
        target=closest_target(task["cell_type"], targets),
    )


# --- checks: each yields what is wrong -----------------------------------------------------------


def _refuse(kind: type[DecodingError | ValidationError], problems: Iterator[str]) -> None:
    """Raise an error that lists the first of the problems, if there are any."""
    found = list(islice(problems, _MAX_PROBLEMS + 1))
    if len(found) > _MAX_PROBLEMS:
        found[-1] = "and more of the like"
    if found:
        raise kind(found[0], detail={"problems": found})


def _one_of(value: object, allowed: Sequence[str], what: str) -> Iterator[str]:
    if not (isinstance(value, str) and value in allowed):
        yield f"{what} must be one of {', '.join(allowed)}, got {shown(value)}"


def _not_text(values: Mapping[Any, object], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if not isinstance(value, str):
            yield f"{prefix}{key} must be a string, got {shown(value)}"


def _bad_tasks(tasks: object) -> Iterator[str]:
    if not isinstance(tasks, list) or not tasks:
        yield f"prediction_tasks must be a list of one task or more, got {shown(tasks)}"
        return
    for number, task in enumerate(tasks):
        where = f"prediction_tasks[{number}]"
        if not isinstance(task, dict):
            yield f"{where} must be an object, got {shown(task)}"
            continue
        given = {key: task[key] for key in _TASK_KEYS if key in task}
        yield from (f"{where}: {key} is missing" for key in _TASK_KEYS if key not in task)
        yield from _not_text(given, f"{where}: ")
        texts = [value for value in given.values() if isinstance(value, str)]
        yield from _unspeakable(texts, where)
        kind = given.get("type")
        if isinstance(kind, str) and not (kind in EXPRESSION or _OTHER_TYPE.fullmatch(kind)):
            yield (
                f"{where}: type must be accessibility, binding_X, conformation_X or one of"
                f" {', '.join(EXPRESSION)}, got {shown(kind)}"
            )
        if task.get("scale") is not None:
            yield from _one_of(task["scale"], SCALES, f"{where}: scale")


def _bad_sequences(sequences: object) -> Iterator[str]:
    if not isinstance(sequences, dict) or not sequences:
        yield f"sequences must be an object of one id and sequence or more, got {shown(sequences)}"
        return
    # The alphabet that the protocol has for ids is not asked of them: names of published
    # libraries, which real evaluators send, hold `:`, `|` and `;`.
    if set(map(type, sequences)) != {str}:
        yield from (
            f"the id {shown(key)} must be a string" for key in sequences if not isinstance(key, str)
        )
        return
    yield from _unspeakable(sequences, "an id of sequences")
    if set(map(type, sequences.values())) != {str}:
        yield from _not_text({shown(key): value for key, value in sequences.items()}, "sequence ")


def _unspeakable(texts: Iterable[str], where: str) -> Iterator[str]:
    """Half of a surrogate pair, which JSON can write and MessagePack cannot answer."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        yield f"{where} holds half of a surrogate pair, which is no text"


def _bad_ranges(ranges: object, sequences: Mapping[str, str], n_around: int) -> Iterator[str]:
    """Ranges say which bases to predict; of a reporter's activity there is only one number."""
    if not isinstance(ranges, dict):
        yield f"prediction_ranges must be an object, got {shown(ranges)}"
        return
    if ranges.keys() != sequences.keys():
        first = next(iter(ranges.keys() ^ sequences.keys()))
        yield f"the ids of prediction_ranges and sequences differ, by {shown(first)} first"
        return
    values = list(ranges.values())
    # Evaluators send few different ranges, so sets say for all what a loop over them says slowly.
    if set(map(type, values)) == {list} and set(map(type, chain.from_iterable(values))) <= {int}:
        shortest = min(map(len, sequences.values())) + n_around
        if all(
            not pair or (len(pair) == 2 and 0 <= pair[0] <= pair[1] < shortest)
            for pair in set(map(tuple, values))
        ):
            return
    for name, value in ranges.items():
        n_bases = len(sequences[name]) + n_around
        is_pair = isinstance(value, list) and [type(each) for each in value] == [int, int]
        if value != [] and not (is_pair and 0 <= value[0] <= value[1] < n_bases):
            yield (
                f"the range of {shown(name)} must be [] or [start, end], two whole numbers with"
                f" 0 <= start <= end < {n_bases} (0-based, inclusive, on the sequence with its"
                f" flanks), got {shown(value)}"
            )


def _impossible(readout: str, tasks: Sequence[Mapping[str, str]]) -> Iterator[str]:
    if readout != READOUTS[0]:
        yield f"readout {readout}: these models have one number a sequence, so only point is served"
    for number, task in enumerate(tasks):
        where = f"prediction_tasks[{number}]"
        if task["type"] not in EXPRESSION:
            yield f"{where}: {shown(task['type'])} is not predicted, only {', '.join(EXPRESSION)}"
        if re.sub(r"[ _]+", "_", task["species"].strip().lower()) != SPECIES:
            yield f"{where}: species {shown(task['species'])} is not served, only {SPECIES}"


def _empty(sequences: Mapping[str, str]) -> Iterator[str]:
    if "" in sequences.values():
        yield from (
            f"sequence {shown(key)} is empty" for key, text in sequences.items() if not text
        )


def _bad_letters(sequences: Mapping[str, str], prefix: str = "") -> Iterator[str]:
    try:
        encode("".join(sequences.values()))
    except ValidationError:
        for key, sequence in sequences.items():
            try:
                encode(sequence)
            except ValidationError as error:
                yield f"{prefix}{shown(key)}: {error.message}"
