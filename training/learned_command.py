"""The command `varsigma-train learned`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.evaluation.challenge import CHALLENGE_LOG
from training.options import Data, Draws, Models, models_dir, need_data

REPORTS = Path("training/reports/learned")


def learned(
    model: Annotated[str, typer.Argument(help="A model, by the name of its folder.")],
    *,
    is_challenge: Annotated[
        bool,
        typer.Option(
            "--challenge", help="Predict the challenge set with the same fits; logged as a look."
        ),
    ] = False,
    data: Data = None,
    models: Models = None,
    draws: Draws = 1000,
    log: Annotated[
        Path, typer.Option(help="Where looks at challenge labels are logged.")
    ] = CHALLENGE_LOG,
    reports: Annotated[Path, typer.Option(help="Folder of what is found.")] = REPORTS,
) -> None:
    """Whether effects get better by simple fits to measured effects of other loci."""
    from training.ablation.table import write_reports  # noqa: PLC0415 (pandas, scipy)
    from training.evaluation.learned import learn  # noqa: PLC0415 (scikit-learn takes seconds)

    found = learn(
        model,
        models_dir=models_dir(models),
        data_dir=need_data(data),
        is_challenge=is_challenge,
        threads=1,
        draws=draws,
        log=log,
    )
    for name, report in found:
        typer.echo(str(report))
        for path in write_reports({name: report}, reports):
            typer.echo(f"wrote {path}", err=True)
