"""What OpenAPI says of `/v1/jobs`, and the bodies of its answers."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from service.jobs.ticket import State
from service.output import OutputFormat
from service.schemas import ErrorDetail
from service.web.failures import documented

MEDIA_TYPES = {
    OutputFormat.VCF: "text/plain",
    OutputFormat.VCF_GZ: "application/gzip",
    OutputFormat.TSV: "text/tab-separated-values",
    OutputFormat.TSV_GZ: "application/gzip",
    OutputFormat.PARQUET: "application/vnd.apache.parquet",
}
UPLOAD_TYPE = "application/octet-stream"
# The bounds belong to the types themselves: of a union pydantic states none in its schema.
_ModelName = Annotated[str, Field(max_length=256)]
_Strands = Annotated[int, Field(ge=1, le=2)]
_SHIFTS = r"^-?[0-9]{1,4}(,-?[0-9]{1,4}){0,8}$"


def _check_shifts(text: str) -> str:
    if not re.fullmatch(_SHIFTS, text):
        raise ValueError("must be whole numbers such as -10,0,10, at most nine")
    return text


_Shifts = Annotated[
    str, AfterValidator(_check_shifts), Field(json_schema_extra={"pattern": _SHIFTS})
]
_Coverage = Annotated[float, Field(gt=0, lt=1)]


class JobQuery(BaseModel):
    """How a file is scored; what is left out is the server's."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[
        _ModelName | SkipJsonSchema[None],
        Field(description="Name of a served model; default: the first one served"),
    ] = None
    strands: Annotated[
        _Strands | SkipJsonSchema[None],
        Field(description="1: the plus strand only; default: the server's"),
    ] = None
    shifts: Annotated[
        _Shifts | SkipJsonSchema[None], Field(description="Window shifts, such as -10,0,10")
    ] = None
    coverage: Annotated[
        _Coverage | SkipJsonSchema[None], Field(description="Probability inside the interval")
    ] = None
    format: Annotated[OutputFormat, Field(description="Of the result")] = OutputFormat.VCF


class JobOptionsBody(BaseModel):
    """How the file is scored."""

    model: str
    strands: int
    shifts: list[int]
    anchorings: list[str]
    coverage: float
    batch_size: int
    format: OutputFormat


class JobProgress(BaseModel):
    """How far it is; counts of bytes are of the unpacked text, without its header."""

    bytes_done: int
    bytes: Annotated[int, Field(description="All of them; 0 until they are counted")]
    alts: Annotated[int, Field(description="Scored, or found to be without a score")]
    shards_done: int
    shards: int
    share: Annotated[float, Field(ge=0, le=1)]
    seconds_left: Annotated[float | None, Field(description="At the rate so far; null: not known")]


class JobFile(BaseModel):
    """A file to be downloaded."""

    bytes: int
    sha256: Annotated[str, Field(description="Its ETag")]
    content_type: str


class JobInput(BaseModel):
    """The upload."""

    bytes: int
    sha256: str


class JobBody(BaseModel):
    """A job: an uploaded file and what becomes of it."""

    id: Annotated[str, Field(description="Digest of file, options, model, reference and version")]
    state: Annotated[State, Field(description="cancelled: it is being removed")]
    created: datetime
    started: Annotated[datetime | None, Field(description="When a process last began with it")]
    finished: datetime | None
    input: JobInput
    options: JobOptionsBody
    progress: JobProgress
    provenance: Annotated[
        dict[str, Any], Field(description="What makes the scores; all of it when the job is done")
    ]
    summary: Annotated[
        dict[str, Any] | None, Field(description="Counts by status, when the job is done")
    ]
    result: JobFile | None
    rejects: Annotated[JobFile | None, Field(description="TSV of what was not scored, and why")]
    error: Annotated[ErrorDetail | None, Field(description="Why it failed")]


class JobList(BaseModel):
    """The caller's jobs, the last one queued first."""

    jobs: list[JobBody]


# `examples/variants.vcf`, scored with dh7; some keys of the provenance and the summary.
EXAMPLE: dict[str, Any] = {
    "id": "d4597028e56eb8294a3b79691fe56c21",
    "state": "done",
    "created": "2026-03-01T12:00:00Z",
    "started": "2026-03-01T12:00:01Z",
    "finished": "2026-03-01T12:00:02Z",
    "input": {
        "bytes": 2136,
        "sha256": "7d600c539446f85ae120f15f4f73d54571172bd2ca54a7d7640c76f056c5859a",
    },
    "options": {
        "model": "dh7",
        "strands": 2,
        "shifts": [0],
        "anchorings": ["left", "right"],
        "coverage": 0.9,
        "batch_size": 256,
        "format": "vcf",
    },
    "progress": {
        "bytes_done": 1379,
        "bytes": 1379,
        "alts": 26,
        "shards_done": 1,
        "shards": 1,
        "share": 1.0,
        "seconds_left": 0.0,
    },
    "provenance": {"model": "dh7", "assembly": "GRCh37", "use": "research use only"},
    "summary": {"n_records": 23, "n_alts": 26, "n_scored": 16},
    "result": {
        "bytes": 26562,
        "sha256": "0d52c27e06163024fd64cb93ce7cb4f6f0f3a605351a1eae8d12897b9ae7faa1",
        "content_type": "text/plain",
    },
    "rejects": {
        "bytes": 1083,
        "sha256": "cdc3ef592b44494e3c3c94644fde6c8bbb03d0b039c109343de10d9440324c0a",
        "content_type": "text/tab-separated-values",
    },
    "error": None,
}
WAITING: dict[str, Any] = EXAMPLE | {
    "state": "queued", "started": None, "finished": None, "summary": None, "result": None,
    "rejects": None,
    "progress": dict.fromkeys(EXAMPLE["progress"], 0) | {"seconds_left": None},
}  # fmt: skip

_VCF = (
    "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    "chr17\t31150\t.\tG\tA\t.\t.\t.\n"
)
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A VCF: plain, gzip, bgzip, or BCF; the Content-Type does not matter",
        "content": {
            UPLOAD_TYPE: {
                "schema": {"type": "string", "format": "binary"},
                "examples": {"vcf": {"summary": "A VCF of one record", "value": _VCF}},
            }
        },
    }
}


def answer(value: object, description: str, model: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI entry of a good answer."""
    content = {"application/json": {"example": value}}
    return {"description": description, "content": content, "model": model}


def refusals(**told: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of errors, with what they mean here: `refusals(_404="...")`."""
    entries = documented(*(int(code[1:]) for code in told))
    for code, description in told.items():
        entries[int(code[1:])]["description"] = description
    return entries


NO_JOB = "No such job, or another's; or the server takes no jobs"
SUBMITTED: dict[int | str, dict[str, Any]] = {
    200: answer(EXAMPLE, "The same job is there already", JobBody),
    201: answer(WAITING, "A new job", JobBody),
    202: answer(WAITING, "The same job had failed, and goes on where it was", JobBody),
    **refusals(
        _400="The upload is no VCF",
        _404="No such model; or the server takes no jobs",
        _408="The upload came too slowly",
        _413="The upload is longer than the published limit",
        _422="An option is not allowed, or the upload is empty, truncated or corrupt",
        _503="Too many jobs are waiting, or uploads arriving; see Retry-After",
        _507="There is no space for the upload",
    ),
}
_HEADERS = {
    name: {"description": description, "schema": {"type": "string"}}
    for name, description in {
        "ETag": "Strong: the SHA-256 of the whole file",
        "Accept-Ranges": "bytes",
        "Content-Disposition": "A name for the file, made of the job's id",
    }.items()
}


def file_answers(what: str, *media_types: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route that sends a file."""
    content = {
        kind: {"schema": {"type": "string", "format": "binary"}}
        for kind in dict.fromkeys(media_types)
    }
    part = {"Content-Range": {"description": "Which bytes", "schema": {"type": "string"}}}
    return {
        200: {"description": what, "headers": _HEADERS, "content": content},
        206: {"description": "A range of it", "headers": _HEADERS | part, "content": content},
        304: {"description": "It is the one that If-None-Match names"},
        **refusals(
            _404=NO_JOB,
            _409="The job is not done",
            _412="It is not the one that If-Match names",
            _416="It has no such bytes",
        ),
    }
