"""Activities -> the body of an answer, in JSON or MessagePack; errors -> their one shape.

The predictions are written from arrays: as Python values they would be a list for each of them,
and making those takes longer than all the rest.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from service.errors import ServiceError, ValidationError
from service.game.codec import Format, shown
from service.game.predictor import SPECIES, TYPE
from service.game.request import SCALES, PredictRequest, Task

Values = NDArray[np.float64]

# A list of one number, a double with its head, as MessagePack has them.
_CELL = np.dtype([("list", "u1"), ("double", "u1"), ("value", ">f8")])
_LIST_OF_1, _DOUBLE = 0x91, 0xCB


def write_answer(
    request: PredictRequest, activity: Mapping[str, Values], predictor: str, form: Format
) -> bytes:
    """Write the answer to a request.

    Args:
      request: the request.
      activity: (N, T) log2(RNA/DNA) by model.
      predictor: name of the predictor.
      form: how it is written.

    Raises:
      ValidationError: a number is not finite.
    """
    answers = [(_head(task), _values(request, task, activity)) for task in request.tasks]
    write = _json if form is Format.JSON else _msgpack
    return write(predictor, request.ids, answers)


def error_answer(error: ServiceError, predictor: str) -> dict[str, Any]:
    """Return the one shape of every error of this protocol."""
    problems = (error.detail or {}).get("problems")
    if not isinstance(problems, list) or not all(isinstance(each, str) for each in problems):
        problems = [error.message]
    if error.code >= 500:
        key = "server_error"
    else:
        key = "prediction_request_failed" if error.code == 422 else "bad_prediction_request"
    return {"predictor_name": predictor, "error": [{key: problem} for problem in problems]}


def _values(request: PredictRequest, task: Task, activity: Mapping[str, Values]) -> Values:
    """Return the N numbers of a task, in its scale."""
    values = activity[task.target.model][:, task.target.column]
    if task.scale == "linear":
        with np.errstate(over="ignore"):
            values = np.exp2(values)
    is_finite = np.isfinite(values)
    if not is_finite.all():
        name = request.ids[int(is_finite.argmin())]
        raise ValidationError(
            f"task {shown(task.name)}: no finite number for sequence {shown(name)}"
        )
    return values


def _head(task: Task) -> dict[str, Any]:
    """Return what stands beside the predictions of a task."""
    return {
        "name": task.name,
        "type_requested": task.type,
        "type_actual": [TYPE],
        "cell_type_requested": task.cell_type,
        "cell_type_actual": task.target.cell_type,
        "species_requested": task.species,
        "species_actual": SPECIES,
        "scale_prediction_requested": task.scale,
        "scale_prediction_actual": task.scale or SCALES[0],
    }


def _json(predictor: str, ids: list[str], answers: list[tuple[dict[str, Any], Values]]) -> bytes:
    names = _json_items(ids)
    tasks = (
        f'{json.dumps(head)[:-1]},"predictions":{{{",".join(_json_pairs(names, values))}}}}}'
        for head, values in answers
    )
    text = f'{{"predictor_name":{json.dumps(predictor)},"prediction_tasks":[{",".join(tasks)}]}}'
    return text.encode()


def _json_pairs(names: list[str], values: Values) -> Iterator[str]:
    return map("%s:[%s]".__mod__, zip(names, _json_items(values.tolist()), strict=True))


def _json_items(items: list[str] | list[float]) -> list[str]:
    """Write each of many items; a line break is never part of one."""
    return json.dumps(items, separators=("\n", ":"))[1:-1].split("\n")


def _msgpack(predictor: str, ids: list[str], answers: list[tuple[dict[str, Any], Values]]) -> bytes:
    packer = msgpack.Packer()
    pack = packer.pack
    names = list(map(pack, ids))
    parts = [
        packer.pack_map_header(2),
        *map(pack, ("predictor_name", predictor, "prediction_tasks")),
        packer.pack_array_header(len(answers)),
    ]
    for head, values in answers:
        parts.append(packer.pack_map_header(len(head) + 1))
        parts += map(pack, chain.from_iterable(head.items()))
        parts += (pack("predictions"), packer.pack_map_header(len(ids)))
        cells = np.empty(len(ids), _CELL)
        cells["list"], cells["double"], cells["value"] = _LIST_OF_1, _DOUBLE, values
        raw, size = cells.tobytes(), _CELL.itemsize
        packed = (raw[start : start + size] for start in range(0, len(raw), size))
        parts += chain.from_iterable(zip(names, packed, strict=True))
    return b"".join(parts)
