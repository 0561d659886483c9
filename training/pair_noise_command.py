"""The command `varsigma-train noise`."""

from __future__ import annotations

import typer

from training.card import update_metrics
from training.datasets.table import TABLE_PATH
from training.options import (
    Data,
    Draws,
    Models,
    Names,
    Save,
    TableFile,
    models_dir,
    need_data,
    table_of,
)

KEY = "pair_noise"
"""Of the report in a card."""


def noise(
    names: Names,
    *,
    data: Data = None,
    table: TableFile = TABLE_PATH,
    models: Models = None,
    draws: Draws = 1000,
    save: Save = True,
) -> None:
    """Noise of a measured difference: shared by its alleles, and foreseen by the model."""
    from training.evaluation.pair_noise_report import evaluate_noise  # noqa: PLC0415 (as below)
    from training.folder import predictor_of  # noqa: PLC0415 (torch takes seconds to load)

    folder, data_dir = models_dir(models), need_data(data)
    frame = table_of(names, folder, table)
    predictors = {name: predictor_of(folder / name) for name in names}
    reports = evaluate_noise(
        predictors, models_dir=folder, data_dir=data_dir, table=frame, draws=draws
    )
    for name, report in reports.items():
        typer.echo(str(report))
        if save:
            update_metrics(folder / name, KEY, report)
