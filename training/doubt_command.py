"""The commands `varsigma-train novelty` and `varsigma-train background`.

Both write an entry of the card that the service reads beside model.onnx, and the report of what was
found when it was made.
"""

from __future__ import annotations

from typing import Annotated

import typer

from service.novelty import Novelty
from service.registry import Registry
from training.card import update_entry
from training.datasets.table import TABLE_PATH
from training.evaluation.report import Report
from training.options import Data, Models, Names, Save, TableFile, models_dir, need_data, table_of


def novelty(
    names: Names,
    *,
    data: Data = None,
    table: TableFile = TABLE_PATH,
    models: Models = None,
    draws: Annotated[int, typer.Option(min=20, help="Bootstrap resamples.")] = 500,
    save: Save = True,
) -> None:
    """Fit what training inserts look like, and see what is flagged as unlike them."""
    from training.evaluation.novelty import fit_familiar  # noqa: PLC0415 (pandas, scipy)
    from training.evaluation.novelty_accuracy import accuracy_by_novelty  # noqa: PLC0415
    from training.evaluation.novelty_tables import evaluate_novelty  # noqa: PLC0415

    folder, data_dir = models_dir(models), need_data(data)
    frame = table_of(names, folder, table)
    familiar = fit_familiar(frame)
    fitted = Novelty(familiar)
    seen = evaluate_novelty(fitted, table=frame, data_dir=data_dir, draws=draws)
    for name in names:
        model = Registry(folder).load(name, "cpu", threads=1, with_entries=False)
        accuracy = accuracy_by_novelty(model, fitted, table=frame, draws=draws)
        report = Report(
            f"Novelty: {name}",
            (*seen.tables, *accuracy.tables),
            tuple(dict.fromkeys((*seen.notes, *accuracy.notes))),
        )
        typer.echo(str(report))
        if save:
            update_entry(folder / name, "novelty", familiar.model_dump(mode="json"), report)


def background(
    names: Names,
    *,
    table: TableFile = TABLE_PATH,
    models: Models = None,
    variants: Annotated[int, typer.Option(min=100, help="Random variants to score.")] = 10_000,
    save: Save = True,
) -> None:
    """Score random variants, among which the effects of others are ranked."""
    from training.evaluation.background import make_background  # noqa: PLC0415 (as above)

    folder = models_dir(models)
    frame = table_of(names, folder, table)
    for name in names:
        entry, report = make_background(name, models_dir=folder, table=frame, n=variants, threads=1)
        typer.echo(str(report))
        if save:
            update_entry(folder / name, "background", entry, report)
