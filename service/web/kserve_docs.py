"""What OpenAPI says of the KServe V2 routes, whose bodies are read by hand."""

from typing import Any, Literal

from pydantic import BaseModel

from service import __version__
from service.registry import INPUT, OUTPUTS
from service.sequence import BASES


class V2Live(BaseModel):
    """Whether the process runs."""

    live: bool


class V2Ready(BaseModel):
    """Whether inference requests are answered."""

    ready: bool


class V2ModelReady(V2Ready):
    """The same of one model."""

    name: str


class V2Server(BaseModel):
    """What the server is; it has no extensions."""

    name: Literal["varsigma"] = "varsigma"
    version: str = __version__
    extensions: list[str] = []


class V2TensorInfo(BaseModel):
    """An input or output; -1 is an axis of any length."""

    name: str
    datatype: str
    shape: list[int]


class V2Model(BaseModel):
    """What a model reads and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[V2TensorInfo]
    outputs: list[V2TensorInfo]


class V2Tensor(V2TensorInfo):
    """A tensor with its values, the last axis running fastest."""

    data: list[float]


class V2Inference(BaseModel):
    """Answer to an inference request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[V2Tensor]


class V2Error(BaseModel):
    """Every error of this protocol."""

    error: str


def _error(description: str) -> dict[str, Any]:
    return {"model": V2Error, "description": description}


READY: dict[int | str, dict[str, Any]] = {503: {"model": V2Ready, "description": "Not ready"}}
MODEL: dict[int | str, dict[str, Any]] = {
    404: _error("No such model or version"),
    422: _error("A parameter is not allowed"),
}
MODEL_READY = {**MODEL, 503: {"model": V2ModelReady, "description": "Not ready"}}
INFER = {
    **MODEL,
    400: _error("No inference request for this model"),
    503: _error("Too much is waiting; see Retry-After"),
    504: _error("Not done within X-Timeout-Seconds"),
}

_PARAMETERS = {"type": "object", "description": "ignored, except where they ask for binary data"}
INFER_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "parameters": _PARAMETERS,
                    "inputs": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1,
                        "items": {
                            "type": "object",
                            "required": ["name", "shape", "datatype", "data"],
                            "properties": {
                                "name": {"const": INPUT},
                                "shape": {
                                    "type": "array",
                                    "items": {"type": "integer", "minimum": 1},
                                    "minItems": 2,
                                    "maxItems": 2,
                                    "description": "[N, window]",
                                },
                                "datatype": {"const": "UINT8"},
                                "parameters": _PARAMETERS,
                                "data": {
                                    "type": "array",
                                    "description": f"base codes 0 to 4 ({BASES}), flat or by rows",
                                },
                            },
                        },
                    },
                    "outputs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "name": {"enum": list(OUTPUTS)},
                                "parameters": _PARAMETERS,
                            },
                        },
                    },
                },
            },
            "examples": {
                "one": {
                    "summary": "One window of 200 bases, ACGTACGT...",
                    "value": {
                        "id": "42",
                        "inputs": [
                            {
                                "name": INPUT,
                                "shape": [1, 200],
                                "datatype": "UINT8",
                                "data": [0, 1, 2, 3] * 50,
                            }
                        ],
                        "outputs": [{"name": "mu"}],
                    },
                }
            },
        }
    },
}
