"""What OpenAPI says of the GAME routes, whose bodies are read by hand: schemas and examples."""

from typing import Any

from service import __version__
from service.game.codec import Format
from service.game.request import EXPRESSION, READOUTS, SCALES

PREDICTOR = f"varsigma_dh7_{__version__}_47d01328"
REQUEST: dict[str, Any] = {
    "readout": "point",
    "prediction_tasks": [
        {
            "name": "library_k562",
            "type": "expression",
            "cell_type": "lymphoblasts (K562)",
            "species": "homo_sapiens",
            "scale": "log",
        }
    ],
    "sequences": {"seq1": "GGGCGCGGGGCCGGGCGGAGCGCGGTGACTCAGCGCGC", "seq2": "TTGACTCAGGCTGAGTCATT"},
    "upstream_seq": "CTGGCCGCTTGACG",
    "downstream_seq": "CACTGCGGCTCCTG",
    "prediction_ranges": {"seq1": [0, 10], "seq2": []},
}
ANSWER: dict[str, Any] = {
    "predictor_name": PREDICTOR,
    "prediction_tasks": [
        {
            "name": "library_k562",
            "type_requested": "expression",
            "type_actual": ["expression"],
            "cell_type_requested": "lymphoblasts (K562)",
            "cell_type_actual": "K562",
            "species_requested": "homo_sapiens",
            "species_actual": "homo_sapiens",
            "scale_prediction_requested": "log",
            "scale_prediction_actual": "log",
            "predictions": {"seq1": [0.8036], "seq2": [1.0016]},
        }
    ],
}

_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}


def _object(properties: dict[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


_TASK = _object(
    {
        "name": _TEXT,
        "type": {
            "type": "string",
            "description": f"one of {', '.join(EXPRESSION)}; other types of GAME get 422",
        },
        "cell_type": {"type": "string", "description": "free text, such as `lymphoblasts (K562)`"},
        "species": {"type": "string", "description": "homo_sapiens; others get 422"},
        "scale": {"enum": [*SCALES, None], "description": "log2 (the default), or linear"},
    },
    required=["name", "type", "cell_type", "species"],
)
_REQUEST = _object(
    {
        "readout": {"enum": list(READOUTS), "description": "point; the others get 422"},
        "prediction_tasks": {"type": "array", "minItems": 1, "items": _TASK},
        "sequences": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "string", "minLength": 1},
            "description": "bases (ACGTN, either case) by id",
        },
        "upstream_seq": {"type": ["string", "null"], "description": "flank of every sequence"},
        "downstream_seq": {"type": ["string", "null"], "description": "flank of every sequence"},
        "prediction_ranges": {
            "type": ["object", "null"],
            "additionalProperties": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "maxItems": 2,
            },
            "description": "0-based inclusive [start, end] on the flanked sequence, or [], for the"
            " same ids; checked, and without effect on a point readout",
        },
    },
    required=["readout", "prediction_tasks", "sequences"],
)
_ANSWERED_TASK = _object(
    {
        "name": _TEXT,
        "type_requested": _TEXT,
        "type_actual": _TEXTS,
        "cell_type_requested": _TEXT,
        "cell_type_actual": _TEXT,
        "species_requested": _TEXT,
        "species_actual": _TEXT,
        "scale_prediction_requested": {"enum": [*SCALES, None]},
        "scale_prediction_actual": {"enum": list(SCALES)},
        "predictions": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "number"}},
        },
    }
)
_ANSWER = _object(
    {
        "predictor_name": _TEXT,
        "prediction_tasks": {"type": "array", "items": _ANSWERED_TASK},
    }
)
_ERROR = _object(
    {
        "predictor_name": _TEXT,
        "error": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": _TEXT},
        },
    }
)


def _error(key: str, description: str) -> dict[str, Any]:
    body = {"predictor_name": PREDICTOR, "error": [{key: "what is wrong"}]}
    json_content = {"application/json": {"schema": _ERROR, "example": body}}
    return {"description": description, "content": json_content}


def _ok(schema: dict[str, Any], example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"schema": schema, "example": example}}}}


FORMATS = _ok(
    _object(
        {
            "predictor_name": _TEXT,
            "predictor_supported_request_formats": _TEXTS,
            "predictor_supported_response_formats": _TEXTS,
        }
    ),
    {
        "predictor_name": PREDICTOR,
        "predictor_supported_request_formats": [form.value for form in Format],
        "predictor_supported_response_formats": [form.value for form in Format],
    },
)
HELP = _ok(
    _object(
        {
            "predictor_name": _TEXT,
            "model": _TEXT,
            "version": _TEXT,
            "game_schema_version": _TEXT,
            "publication": _TEXT,
            "features": _TEXTS,
            "cell_types": _TEXTS,
            "species": _TEXTS,
            "container_authors": _TEXT,
            "model_authors": _TEXT,
            "input_size": {"type": "integer"},
            "expression_strand_specific": {"type": "boolean"},
        }
    ),
    {
        "predictor_name": PREDICTOR,
        "model": "dh7",
        "version": __version__,
        "game_schema_version": "1.0",
        "publication": "none; GET /v1/models/{name} returns the model's card",
        "features": ["expression", "expression", "expression"],
        "cell_types": ["K562", "HepG2", "WTC11"],
        "species": ["homo_sapiens"],
        "container_authors": "the varsigma authors",
        "model_authors": "the varsigma authors",
        "input_size": 200,
        "expression_strand_specific": False,
    },
)
PREDICT: dict[int | str, dict[str, Any]] = {
    **_ok(_ANSWER, ANSWER),
    400: _error("bad_prediction_request", "No request of the protocol"),
    408: _error("bad_prediction_request", "The body came too slowly"),
    413: _error("bad_prediction_request", "The body is too long, or its answer would be"),
    422: _error("prediction_request_failed", "A request that these models cannot do"),
    500: _error("server_error", "A bug"),
    503: _error("server_error", "Too much is waiting; see Retry-After"),
    504: _error("server_error", "Not done within X-Timeout-Seconds"),
}
PREDICT[200]["content"][Format.MSGPACK.value] = {}
PREDICT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": _REQUEST,
            "examples": {"library": {"summary": "Two sequences, one task", "value": REQUEST}},
        },
        Format.MSGPACK.value: {},
    },
}
