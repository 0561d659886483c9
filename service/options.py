"""The command-line options that are settings; their help and defaults come from `Settings`."""

from pathlib import Path
from typing import Annotated

import typer

from service.settings import Settings


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
Strands = Annotated[int | None, typer.Option(metavar="1|2", help=described("strands"))]
Shifts = Annotated[str | None, typer.Option(metavar="N,N", help=described("shifts"))]
Coverage = Annotated[float | None, typer.Option(metavar="P", help=described("coverage"))]
BatchSize = Annotated[int | None, typer.Option(metavar="N", help=described("batch_size"))]
MismatchShare = Annotated[float | None, typer.Option(metavar="P", help=described("mismatch_share"))]
Host = Annotated[str | None, typer.Option(metavar="ADDRESS", help=described("host"))]
Port = Annotated[int | None, typer.Option(metavar="N", help=described("port"))]
MaxBodyBytes = Annotated[int | None, typer.Option(metavar="N", help=described("max_body_bytes"))]
MaxItems = Annotated[int | None, typer.Option(metavar="N", help=described("max_items"))]
MaxWaiting = Annotated[int | None, typer.Option(metavar="N", help=described("max_waiting"))]
