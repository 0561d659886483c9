"""Names and defaults of every setting. Priority: command line > environment > default.

Option `--max-items`, variable `VARSIGMA_MAX_ITEMS` and attribute `max_items` are one setting.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service.errors import ValidationError
from service.job import SHARD_BYTES
from service.scoring import ScoringOptions
from service.session import Device
from service.windows import Anchoring

ENV_PREFIX = "VARSIGMA_"

MAX_TIMEOUT = 3600

_SCORING = ScoringOptions()
# Kubernetes sets VARSIGMA_PORT=tcp://10.0.0.1:8000 in the pods beside a Service named varsigma.
_SERVICE_LINK = "tcp://"


def _split(value: object) -> object:
    """Read `a,b` as two; leave what is no text alone."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("each may be given once only")
    return values


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_different)]
Shifts = Annotated[
    tuple[int, ...],
    NoDecode,
    BeforeValidator(_split),
    AfterValidator(_different),
    Field(min_length=1),
]
Anchorings = Annotated[
    tuple[Anchoring, ...],
    NoDecode,
    BeforeValidator(_split),
    AfterValidator(_different),
    Field(min_length=1),
]


class Settings(BaseSettings):
    """Everything that can be set, checked; `load_settings` looks into the environment."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True
    )

    models: Path | None = Field(
        None, description="folder of models; default: the models that come with varsigma"
    )
    model: Names = Field(
        (), description="model to score with; serve takes several, default all of them"
    )
    reference: Path | None = Field(None, description="indexed FASTA of the genome")
    assembly: Literal["GRCh37", "GRCh38"] | None = Field(
        None, description="GRCh37 or GRCh38; checked against contig lengths"
    )
    device: Device = Field("auto", description="auto, cpu or cuda")
    threads: int | None = Field(
        None,
        ge=1,
        le=512,
        description="inference threads of each worker; default: the cores shared by the workers,"
        " 1 on a Ray cluster",
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="processes that score shards, or that serve; on CUDA one for each GPU; default:"
        " 1, on a Ray cluster as many as fit",
    )
    ray: str | None = Field(
        None, description="Ray cluster to score on: auto, HOST:PORT or ray://HOST:PORT"
    )
    shard_bytes: int = Field(
        SHARD_BYTES, ge=1, description="bytes of VCF text in a shard, unpacked"
    )
    strands: int = Field(
        _SCORING.strands, ge=1, le=2, description="score the plus strand only (1) or both (2)"
    )
    shifts: Shifts = Field(
        _SCORING.shifts, description="window shifts to average over, such as 0,-10,10"
    )
    anchorings: Anchorings = Field(
        _SCORING.anchorings,
        description="what the windows of a change of length share: left, right, centre",
    )
    coverage: FiniteFloat = Field(
        _SCORING.coverage, gt=0, lt=1, description="probability inside the interval"
    )
    batch_size: int = Field(
        _SCORING.batch_size,
        ge=1,
        description="sequences per run of the model, in files and jobs; requests: --micro-batch",
    )
    mismatch_share: FiniteFloat = Field(
        0.1, gt=0, le=1, description="share of REF mismatches that puts the assembly in doubt"
    )
    error_rate: FiniteFloat = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of a triage's calls that may be wrong, by the card's calibration",
    )
    threshold: FiniteFloat = Field(
        0.1, ge=0, description="smallest effect that matters, in log2 units"
    )
    evidence: Path | None = Field(
        None,
        description="table of measured effects, TSV with chrom, pos, ref, alt and value: what was"
        " measured of each change of a triage, or next to it, stands beside it",
    )
    max_triage: int = Field(10_000, ge=1, description="most ALTs of a file that is triaged")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    max_body_bytes: int = Field(8 << 20, ge=1, description="largest request body")
    max_items: int = Field(1000, ge=1, description="most variants or sequence pairs per request")
    game_max_body_bytes: int = Field(
        128 << 20, ge=1, description="largest body of a GAME request, /predict"
    )
    organization: str = Field(
        "not stated", min_length=1, description="who runs the service, for /service-info"
    )
    organization_url: str = Field(
        "about:blank", pattern="^[A-Za-z][A-Za-z0-9+.-]*:", description="their URL"
    )
    body_timeout: FiniteFloat = Field(
        60,
        gt=0,
        description="seconds that a body may take to arrive, or a part of an answer to leave",
    )
    keys: Path | None = Field(
        None, description="file of API keys; without it, no key is needed and nothing is counted"
    )
    metrics: Literal["open", "key", "off"] = Field(
        "open", description="/metrics for everybody (open), for API keys (key) or nobody (off)"
    )
    cors_origins: Names = Field(
        (), description="origins whose pages may call the service, such as https://a.org, or *"
    )
    max_stream_items: int = Field(
        100_000, ge=1, description="most items of a request that is answered as NDJSON"
    )
    max_region: int = Field(3000, ge=1, description="most positions of a saturation request")
    max_waiting_sequences: int = Field(
        16_384, ge=1, description="sequences in progress before requests get 503"
    )
    max_long: int = Field(
        4, ge=1, description="long calls (streams, saturation, GAME) at once before 503"
    )
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="sequences of all requests in one run; default: 16 on the CPU, 64 where many"
        " requests wait; 256 on CUDA",
    )
    timeout: FiniteFloat = Field(
        30, gt=0, le=MAX_TIMEOUT, description="seconds until 504, unless a request says otherwise"
    )
    drain_delay: FiniteFloat = Field(
        2,
        ge=0,
        description="seconds from SIGTERM, when /health/ready says 503, to the end of service",
    )
    drain_timeout: FiniteFloat = Field(
        30, ge=0, description="seconds that accepted requests have to finish after that"
    )
    jobs: Path | None = Field(
        None, description="folder of jobs (/v1/jobs); without it, no job is taken"
    )
    max_upload_bytes: int = Field(4 << 30, ge=1, description="largest upload of a job")
    max_upload_unpacked_bytes: int = Field(
        64 << 30, ge=1, description="most text that an upload may unpack to"
    )
    max_jobs: int = Field(
        16, ge=1, description="unfinished jobs of one API key, or of all callers without keys"
    )
    job_workers: int = Field(1, ge=1, description="jobs that are scored at a time")
    keep_jobs: FiniteFloat = Field(168, gt=0, description="hours that a finished job is kept")
    debug: bool = Field(False, description="show tracebacks; serve: log the messages of bugs")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the caller alone, so that a variable of no use to it breaks nothing."""
        return (init_settings,)

    def scoring_options(self) -> ScoringOptions:
        """Return the settings that the scorer reads."""
        return ScoringOptions(
            strands=self.strands,
            shifts=self.shifts,
            anchorings=self.anchorings,
            coverage=self.coverage,
            batch_size=self.batch_size,
        )


def load_settings(
    *, used: Collection[str] = tuple(Settings.model_fields), **given: object
) -> Settings:
    """Return the settings: what is given and not None, else the environment, else the default.

    Args:
      used: names whose variables are read; the other settings have what is given or the default.
      given: values by name.

    Raises:
      ValidationError: a value is not allowed; the message names the option and the variable.
    """
    stated = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**(_environment(used) | stated))
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][0])
        option = f"--{name.replace('_', '-')}"
        where = option if name in stated else f"{ENV_PREFIX}{name.upper()} (or {option})"
        raise ValidationError(
            f"{where}: {problem['msg']}, got {problem['input']!r}", detail={"setting": name}
        ) from None


def _environment(used: Collection[str]) -> dict[str, Any]:
    values = {name: text for name, text in EnvSettingsSource(Settings)().items() if name in used}
    if str(values.get("port", "")).startswith(_SERVICE_LINK):
        del values["port"]
    return values
