"""Options of the command line; help and default of those that are settings are in `Settings`."""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from service.errors import ValidationError
from service.job import IndexKind
from service.output import OutputFormat
from service.settings import Settings, load_settings


def described(name: str) -> str:
    """Return the help text of a setting."""
    field = Settings.model_fields[name]
    shown = "" if field.default in {None, ()} else f" [default: {_shown(field.default)}]"
    return f"{field.description}{shown}"


def _shown(default: object) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


Models = Annotated[Path | None, typer.Option(metavar="DIR", help=described("models"))]
Reference = Annotated[Path | None, typer.Option(metavar="FASTA", help=described("reference"))]
Assembly = Annotated[str | None, typer.Option(metavar="GRCh37|GRCh38", help=described("assembly"))]
Device = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda", help=described("device"))]
Threads = Annotated[int | None, typer.Option(metavar="N", help=described("threads"))]
Workers = Annotated[int | None, typer.Option(metavar="N", help=described("workers"))]
Ray = Annotated[str | None, typer.Option(metavar="ADDRESS", help=described("ray"))]
ShardBytes = Annotated[int | None, typer.Option(metavar="N", help=described("shard_bytes"))]
Strands = Annotated[int | None, typer.Option(metavar="1|2", help=described("strands"))]
Shifts = Annotated[str | None, typer.Option(metavar="N,N", help=described("shifts"))]
Anchorings = Annotated[str | None, typer.Option(metavar="left,right", help=described("anchorings"))]
Coverage = Annotated[float | None, typer.Option(metavar="P", help=described("coverage"))]
BatchSize = Annotated[int | None, typer.Option(metavar="N", help=described("batch_size"))]
MismatchShare = Annotated[float | None, typer.Option(metavar="P", help=described("mismatch_share"))]
ErrorRate = Annotated[float | None, typer.Option(metavar="P", help=described("error_rate"))]
Threshold = Annotated[float | None, typer.Option(metavar="LOG2", help=described("threshold"))]
Evidence = Annotated[Path | None, typer.Option(metavar="TABLE", help=described("evidence"))]
MaxTriage = Annotated[int | None, typer.Option(metavar="N", help=described("max_triage"))]
Host = Annotated[str | None, typer.Option(metavar="ADDRESS", help=described("host"))]
Port = Annotated[int | None, typer.Option(metavar="N", help=described("port"))]
MaxBodyBytes = Annotated[int | None, typer.Option(metavar="N", help=described("max_body_bytes"))]
MaxItems = Annotated[int | None, typer.Option(metavar="N", help=described("max_items"))]
MaxStreamItems = Annotated[
    int | None, typer.Option(metavar="N", help=described("max_stream_items"))
]
MaxRegion = Annotated[int | None, typer.Option(metavar="N", help=described("max_region"))]
MaxWaitingSequences = Annotated[
    int | None, typer.Option(metavar="N", help=described("max_waiting_sequences"))
]
MaxLong = Annotated[int | None, typer.Option(metavar="N", help=described("max_long"))]
MicroBatch = Annotated[int | None, typer.Option(metavar="N", help=described("micro_batch"))]
Timeout = Annotated[float | None, typer.Option(metavar="S", help=described("timeout"))]
DrainDelay = Annotated[float | None, typer.Option(metavar="S", help=described("drain_delay"))]
DrainTimeout = Annotated[float | None, typer.Option(metavar="S", help=described("drain_timeout"))]
BodyTimeout = Annotated[float | None, typer.Option(metavar="S", help=described("body_timeout"))]
Keys = Annotated[Path | None, typer.Option(metavar="FILE", help=described("keys"))]
Metrics = Annotated[str | None, typer.Option(metavar="open|key|off", help=described("metrics"))]
CorsOrigins = Annotated[
    str | None, typer.Option(metavar="ORIGIN,ORIGIN", help=described("cors_origins"))
]
GameMaxBodyBytes = Annotated[
    int | None, typer.Option(metavar="N", help=described("game_max_body_bytes"))
]
Organization = Annotated[str | None, typer.Option(metavar="NAME", help=described("organization"))]
OrganizationUrl = Annotated[
    str | None, typer.Option(metavar="URL", help=described("organization_url"))
]
Jobs = Annotated[Path | None, typer.Option(metavar="DIR", help=described("jobs"))]
MaxUploadBytes = Annotated[
    int | None, typer.Option(metavar="N", help=described("max_upload_bytes"))
]
MaxUploadUnpackedBytes = Annotated[
    int | None, typer.Option(metavar="N", help=described("max_upload_unpacked_bytes"))
]
MaxJobs = Annotated[int | None, typer.Option(metavar="N", help=described("max_jobs"))]
JobWorkers = Annotated[int | None, typer.Option(metavar="N", help=described("job_workers"))]
KeepJobs = Annotated[float | None, typer.Option(metavar="HOURS", help=described("keep_jobs"))]


Region = Annotated[
    str,
    typer.Argument(
        metavar="CONTIG:START-END", help="1-based, both ends included: chr17:31,000-31,199"
    ),
]
Vcf = Annotated[
    str,
    typer.Argument(metavar="IN", help="VCF to score, plain, gzip, bgzip or BCF; - for stdin"),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="OUT.vcf[.gz], OUT.tsv[.gz] or OUT.parquet; - for stdout",
    ),
]
Style = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="|".join(member.value for member in OutputFormat),
        help="format of the output; default: what its name says",
    ),
]
Model = Annotated[str | None, typer.Option(metavar="NAME", help="model to score with")]
Fast = Annotated[
    bool, typer.Option("--fast", help="one pass: --strands 1 --shifts 0 --anchorings left")
]
Index = Annotated[
    IndexKind | None,
    typer.Option(metavar="tbi|csi", help="index OUT.vcf.gz too; needs a sorted input"),
]
Rejects = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TSV of the ALTs that were not scored, and why")
]
Summary = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help="the summary as JSON, for programs")
]
Folder = Annotated[
    Path, typer.Argument(metavar="OUT.varsigma", help="work folder that `varsigma plan` made")
]

WHERE: Final = {
    "models": Models,
    "reference": Reference,
    "assembly": Assembly,
    "device": Device,
    "threads": Threads,
}
"""Options of every command that scores on a genome."""
HOW: Final = {
    "strands": Strands,
    "shifts": Shifts,
    "anchorings": Anchorings,
    "fast": Fast,
    "coverage": Coverage,
    "batch_size": BatchSize,
    "mismatch_share": MismatchShare,
}
"""Options of every command that scores a file."""

_Command: TypeAlias = Callable[..., None]
_ONE_PASS = {"strands": 1, "shifts": "0", "anchorings": "left"}


def including(options: Mapping[str, Any], *, after: str) -> Callable[[_Command], _Command]:
    """Give a command further options, which it finds among the parameters of its context.

    Args:
      options: their types by name, without a value where they are not given.
      after: name of the parameter behind which `--help` lists them.
    """

    def extended(command: _Command) -> _Command:
        signature = inspect.signature(command)
        parameters: list[inspect.Parameter] = []
        for own in signature.parameters.values():
            parameters.append(own)
            if own.name == after:
                parameters += [
                    inspect.Parameter(
                        name,
                        inspect.Parameter.KEYWORD_ONLY,
                        default=False if kind is Fast else None,
                        annotation=kind,
                    )
                    for name, kind in options.items()
                ]

        @functools.wraps(command)
        def run(**given: Any) -> None:  # noqa: ANN401  (whatever typer has read)
            command(**{name: given[name] for name in signature.parameters})

        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = command.__annotations__ | dict(options)
        return run

    return extended


def read_settings(**options: object) -> Settings:
    """Read the settings among the options of a command, None where one is not given.

    A command hands over all that its context holds; variables of other settings are not looked at.
    """
    stated = {name: value for name, value in options.items() if name in Settings.model_fields}
    if options.get("fast"):
        if any(stated.get(name) is not None for name in _ONE_PASS):
            raise ValidationError(
                "--fast is --strands 1 --shifts 0 --anchorings left; leave these three out"
            )
        stated |= _ONE_PASS
    return load_settings(used=stated.keys(), **stated)
