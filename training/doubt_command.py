"""The commands `varsigma-train novelty` and `varsigma-train background`.

Both write an entry of the card that the service reads beside model.onnx, and the report of what was
found when it was made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from service.novelty import Novelty
from service.registry import Registry, default_models_dir
from training.card import update_entry
from training.datasets.sources import DataError
from training.datasets.table import TABLE_PATH, load_table, require_digest
from training.evaluation.report import Report

Names = Annotated[list[str], typer.Argument(help="Models, by the names of their folders.")]
TableFile = Annotated[Path, typer.Option("--table", help="Assay table, as `data` wrote it.")]
Models = Annotated[Path | None, typer.Option(help="Folder of models.", show_default="models/")]
Save = Annotated[
    bool, typer.Option("--save/--no-save", help="Put entry and tables into the model cards.")
]


def novelty(
    names: Names,
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="VARSIGMA_DATA",
            help="Folder of the measured tables, for the sequence of its CAGI5 loci.",
            metavar="DIR",
        ),
    ] = None,
    table: TableFile = TABLE_PATH,
    models: Models = None,
    draws: Annotated[int, typer.Option(min=20, help="Bootstrap resamples.")] = 500,
    save: Save = True,
) -> None:
    """Fit what training inserts look like, and see what is flagged as unlike them."""
    from training.evaluation.novelty import fit_familiar  # noqa: PLC0415 (pandas, scipy)
    from training.evaluation.novelty_accuracy import accuracy_by_novelty  # noqa: PLC0415
    from training.evaluation.novelty_tables import evaluate_novelty  # noqa: PLC0415

    if data is None or not data.is_dir():
        raise DataError(
            f"{data or 'no data folder given'}: name the folder of measured tables with --data or "
            "VARSIGMA_DATA"
        )
    folder = models if models is not None else default_models_dir()
    frame = _table_of(names, folder, table)
    familiar = fit_familiar(frame)
    fitted = Novelty(familiar)
    seen = evaluate_novelty(fitted, table=frame, data_dir=data, draws=draws)
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

    folder = models if models is not None else default_models_dir()
    frame = _table_of(names, folder, table)
    for name in names:
        entry, report = make_background(name, models_dir=folder, table=frame, n=variants, threads=1)
        typer.echo(str(report))
        if save:
            update_entry(folder / name, "background", entry, report)


def _table_of(names: list[str], folder: Path, path: Path) -> pd.DataFrame:
    """Load the assay table that all of these models learnt from."""
    registry, frame = Registry(folder), load_table(path)
    require_digest(frame, {name: registry.card(name)["data_digest"] for name in names})
    return frame
