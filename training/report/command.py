"""The command `varsigma-train report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RECORDS, REPORTS = Path("training/results"), Path("training/reports")


def report(
    preset: Annotated[str, typer.Option(help="Whose records.")] = "cpu",
    records: Annotated[Path, typer.Option(help="Folder of records: RECORDS/PRESET.")] = RECORDS,
    out: Annotated[Path, typer.Option(help="Gets OUT/PRESET/index.html and figures.")] = REPORTS,
) -> None:
    """Draw the campaign's figures and write its page, from what `campaign --analyse` left."""
    from training.report.page import write  # noqa: PLC0415 (matplotlib takes seconds to load)

    typer.echo(f"wrote {write(records / preset, out / preset)}")
