"""The command `varsigma-train noise`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.registry import Registry, default_models_dir
from training.card import update_metrics
from training.datasets.sources import DataError
from training.datasets.table import TABLE_PATH, load_table, require_digest

KEY = "pair_noise"
"""Of the report in a card."""


def noise(
    names: Annotated[list[str], typer.Argument(help="Models, by the names of their folders.")],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="VARSIGMA_DATA",
            help="Folder of the measured tables (mpra/ and cagi5/).",
            metavar="DIR",
        ),
    ] = None,
    table: Annotated[
        Path, typer.Option("--table", help="Assay table, as `data` wrote it.")
    ] = TABLE_PATH,
    models: Annotated[
        Path | None, typer.Option(help="Folder of models.", show_default="models/")
    ] = None,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap resamples.")] = 1000,
    save: Annotated[
        bool, typer.Option("--save/--no-save", help="Put tables into the model cards.")
    ] = True,
) -> None:
    """Noise of a measured difference: shared by its alleles, and foreseen by the model."""
    from training.evaluation.pair_noise_report import evaluate_noise  # noqa: PLC0415 (as below)
    from training.folder import predictor_of  # noqa: PLC0415 (torch takes seconds to load)

    if data is None or not data.is_dir():
        raise DataError(
            f"{data or 'no data folder given'}: name the folder of measured tables with --data or "
            "VARSIGMA_DATA"
        )
    folder = models if models is not None else default_models_dir()
    registry, frame = Registry(folder), load_table(table)
    require_digest(frame, {name: registry.card(name)["data_digest"] for name in names})
    predictors = {name: predictor_of(folder / name) for name in names}
    reports = evaluate_noise(predictors, models_dir=folder, data_dir=data, table=frame, draws=draws)
    for name, report in reports.items():
        typer.echo(str(report))
        if save:
            update_metrics(folder / name, KEY, report)
