"""KServe V2 (Open Inference Protocol): `/v2`, its health and metadata, and raw inference.

The tensors are those of the model: base codes in, mu and sigma of every member and target out. A
model's version is the beginning of its file's SHA-256, so that a client can ask for exactly it.
"""

import json
from itertools import chain
from typing import Any

import numpy as np
from fastapi import APIRouter, Response
from numpy.typing import NDArray

from service.engine import Engine
from service.errors import DecodingError, ModelContractError, ModelNotFoundError, ServiceError
from service.game.codec import shown, unrepeated
from service.registry import INPUT, OUTPUTS, Model, ModelInfo
from service.sequence import BASES, Codes
from service.web.gone import unless_gone
from service.web.kserve_docs import (
    INFER,
    INFER_BODY,
    MODEL,
    MODEL_READY,
    READY,
    V2Inference,
    V2Live,
    V2Model,
    V2ModelReady,
    V2Ready,
    V2Server,
    V2TensorInfo,
)
from service.web.limits import charge
from service.web.state import Call, Called, Loaded

PLATFORM = "onnx_onnxv1"
_BINARY = "the binary extension is not served: send and ask for tensors as JSON data"

router = APIRouter(prefix="/v2", tags=["KServe V2"])


def error_body(error: ServiceError, _: Engine) -> dict[str, Any]:
    """Return the one shape of this protocol's errors."""
    return {"error": error.message}


@router.get("/health/live")
async def live() -> V2Live:
    """Say that the process runs."""
    return V2Live(live=True)


@router.get("/health/ready", responses=READY)
async def ready(engine: Loaded, response: Response) -> V2Ready:
    """Say whether inference requests are answered."""
    return V2Ready(ready=_is_ready(engine, response))


@router.get("")
async def server() -> V2Server:
    """Say what the server is."""
    return V2Server()


@router.get("/models/{name}", responses=MODEL)
async def model(engine: Loaded, name: str) -> V2Model:
    """Describe the tensors of a model."""
    return _described(_model(engine, name))


@router.get("/models/{name}/versions/{version}", responses=MODEL)
async def model_version(engine: Loaded, name: str, version: str) -> V2Model:
    """Describe the tensors of a model, if it is the one of that version."""
    return _described(_model(engine, name, version))


@router.get("/models/{name}/ready", responses=MODEL_READY)
async def model_ready(engine: Loaded, response: Response, name: str) -> V2ModelReady:
    """Say whether a model answers."""
    _model(engine, name)
    return V2ModelReady(name=name, ready=_is_ready(engine, response))


@router.get("/models/{name}/versions/{version}/ready", responses=MODEL_READY)
async def model_version_ready(
    engine: Loaded, response: Response, name: str, version: str
) -> V2ModelReady:
    """Say whether a model of that version answers."""
    _model(engine, name, version)
    return V2ModelReady(name=name, ready=_is_ready(engine, response))


@router.post(
    "/models/{name}/infer",
    response_model=V2Inference,
    responses=INFER,
    openapi_extra={"requestBody": INFER_BODY},
)
async def infer(call: Called, name: str) -> Response:
    """Run a model on base codes; mu and sigma are not averaged over members or strands."""
    return await _infer(call, _model(call.engine, name))


@router.post(
    "/models/{name}/versions/{version}/infer",
    response_model=V2Inference,
    responses=INFER,
    openapi_extra={"requestBody": INFER_BODY},
)
async def infer_version(call: Called, name: str, version: str) -> Response:
    """Do the same, if the model is the one of that version."""
    return await _infer(call, _model(call.engine, name, version))


async def _infer(call: Call, model: Model) -> Response:
    request = call.request
    if "inference-header-content-length" in request.headers:
        raise DecodingError(_BINARY)
    body = await request.body()
    return await unless_gone(request, _inferred(call, model, body))


async def _inferred(call: Call, model: Model, body: bytes) -> Response:
    engine, name = call.engine, model.info.name
    content, codes, wanted = await engine.offload(read_infer, body, model.info)
    await charge(call.request, items=len(codes), sequences=len(codes))
    if len(codes) <= engine.settings.max_items:
        predictions = await engine.predict(name, codes, deadline=call.deadline)
    else:
        predictions = await engine.predict_long(name, codes, deadline=call.long_deadline)
    tensors = {output: getattr(predictions, output) for output in wanted}
    head = {"model_name": name, "model_version": _version(model.info)}
    if isinstance(content.get("id"), str):
        head["id"] = content["id"]
    answer = await engine.offload(write_infer, head, tensors)
    return Response(answer, media_type="application/json")


def read_infer(body: bytes, info: ModelInfo) -> tuple[dict[str, Any], Codes, list[str]]:
    """Read an inference request.

    Returns:
      The request, its (N, W) codes and the names of the outputs that it asks for.

    Raises:
      DecodingError: it is none for this model.
    """
    try:
        content = json.loads(body, object_pairs_hook=unrepeated)
    except (ValueError, RecursionError) as error:
        raise DecodingError(f"the body is not JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise DecodingError("the request must be an object")
    if not isinstance(content.get("id") or "", str):
        raise DecodingError("id must be a string")
    inputs = content.get("inputs")
    if not (isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict)):
        raise DecodingError(f"inputs must be a list of one tensor, {INPUT}")
    outputs = content.get("outputs") or []
    if not (isinstance(outputs, list) and all(isinstance(output, dict) for output in outputs)):
        raise DecodingError("outputs must be a list of objects")
    for described in (content, *inputs, *outputs):
        parameters = described.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise DecodingError("parameters must be an object")
        if any("binary" in str(key) and value for key, value in parameters.items()):
            raise DecodingError(_BINARY)
    wanted = [output.get("name") for output in outputs] or list(OUTPUTS)
    if not all(output in OUTPUTS for output in wanted):
        raise DecodingError(f"outputs may name {' and '.join(OUTPUTS)} only")
    return content, _codes(inputs[0], info.window), wanted


def _codes(tensor: dict[str, Any], width: int) -> Codes:
    if tensor.get("name") != INPUT or tensor.get("datatype") != "UINT8":
        raise DecodingError(f"the input must be named {INPUT}, with datatype UINT8")
    shape, data = tensor.get("shape"), tensor.get("data")
    if (
        not isinstance(shape, list)
        or [type(axis) for axis in shape] != [int, int]
        or (shape[0] < 1 or shape[1] != width)
    ):
        raise DecodingError(f"{INPUT} must have the shape [N, {width}], N at least 1")
    if not isinstance(data, list):
        raise DecodingError(f"{INPUT} must have data, a list")
    if data and set(map(type, data)) == {list}:
        if len(data) != shape[0]:
            raise DecodingError(f"data has {len(data)} rows, the shape {shape} asks for {shape[0]}")
        if set(map(len, data)) != {width}:
            row = next(row for row, codes in enumerate(data) if len(codes) != width)
            raise DecodingError(f"data[{row}] holds {len(data[row])} numbers, not {width}")
        data = list(chain.from_iterable(data))
    if set(map(type, data)) != {int}:
        place = next((at for at, code in enumerate(data) if type(code) is not int), 0)
        raise DecodingError(f"data must hold whole numbers only{_where(place, data, width)}")
    if len(data) != shape[0] * width:
        n = shape[0] * width
        raise DecodingError(f"data holds {len(data)} numbers, the shape {shape} asks for {n}")
    if not (min(data) >= 0 and max(data) < len(BASES)):
        place = next(at for at, code in enumerate(data) if not 0 <= code < len(BASES))
        raise DecodingError(
            f"data must hold codes from 0 to {len(BASES) - 1} ({BASES}){_where(place, data, width)}"
        )
    return np.frombuffer(bytes(data), np.uint8).reshape(-1, width)


def _where(place: int, data: list[Any], width: int) -> str:
    """Name an element, by its place in the flat list and in the shape."""
    if not data:
        return ""
    return f"; element {place} ([{place // width}, {place % width}]) is {shown(data[place])}"


def write_infer(head: dict[str, str], tensors: dict[str, NDArray[np.float32]]) -> bytes:
    """Write the answer to an inference request.

    Raises:
      ModelContractError: the model returned NaN or infinity, which JSON does not have.
    """
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise ModelContractError("the model returned NaN or infinity for one of the sequences")
    outputs = [
        {
            "name": name,
            "datatype": "FP32",
            "shape": list(tensor.shape),
            "data": tensor.ravel().tolist(),
        }
        for name, tensor in tensors.items()
    ]
    return json.dumps(head | {"outputs": outputs}, separators=(",", ":")).encode()


def _version(info: ModelInfo) -> str:
    return info.model_sha256[:12]


def _model(engine: Engine, name: str, version: str | None = None) -> Model:
    """Return a served model.

    Raises:
      ModelNotFoundError: it is not served, or not in that version.
    """
    found = engine.model(name)
    served = _version(found.info)
    if version is not None and version != served:
        raise ModelNotFoundError(f"no version {version!r} of model {name}; served is {served}")
    return found


def _described(model: Model) -> V2Model:
    info = model.info
    shape = [-1, info.members, len(info.targets)]
    return V2Model(
        name=info.name,
        versions=[_version(info)],
        platform=PLATFORM,
        inputs=[V2TensorInfo(name=INPUT, datatype="UINT8", shape=[-1, info.window])],
        outputs=[V2TensorInfo(name=output, datatype="FP32", shape=shape) for output in OUTPUTS],
    )


def _is_ready(engine: Engine, response: Response) -> bool:
    """Say whether requests are answered, by the status of the response too."""
    is_ready = engine.state == "ready"
    response.status_code = 200 if is_ready else 503
    return is_ready
