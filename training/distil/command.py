"""`varsigma-train distil`: one network that speaks for each member of another recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.registry import Registry
from training.datasets.table import TABLE_PATH, load_table
from training.distil.places import trained_members
from training.options import Models, models_dir
from training.zoo import STUDENT, ZOO

RUNS = Path("build/runs")


def distil(
    teacher: Annotated[
        str,
        typer.Argument(
            help="A trained recipe with variance heads, or the model of such members in --models."
        ),
    ],
    student: Annotated[str, typer.Option(help="Recipe of the student.")] = STUDENT,
    seed: Annotated[int, typer.Option(help="Of the student's training.")] = 42,
    member: Annotated[
        list[int] | None,
        typer.Option(
            help="Seed of a member that teaches; repeat the option.",
            show_default="those of the recipe, or of the model",
        ),
    ] = None,
    table: Annotated[
        Path, typer.Option("--table", help="Assay table, as `data` wrote it.")
    ] = TABLE_PATH,
    runs: Annotated[
        Path, typer.Option(help="Folder of training runs; this one is STUDENT/SEED-TEACHER in it.")
    ] = RUNS,
    models: Models = None,
    threads: Annotated[
        int,
        typer.Option(min=1, help="CPU threads; a run goes on with the number it began with."),
    ] = 1,
) -> None:
    """Distil members into one trunk with a head for each; `export` serves it."""
    from training.distil.trainer import distil_student  # noqa: PLC0415 (Lightning takes seconds)
    from training.export import model_files  # noqa: PLC0415 (as above)

    if student not in ZOO:
        raise typer.BadParameter(f"no recipe {student!r}; there are {', '.join(ZOO)}")
    names, folder = [], models_dir(models)
    if folder.is_dir():
        names = Registry(folder).names()
    if teacher in ZOO and ((runs / teacher).is_dir() or teacher not in names):
        files = trained_members(ZOO[teacher], runs, member or ())
    elif teacher not in names:
        raise typer.BadParameter(
            f"no recipe and no model {teacher!r}; recipes are {', '.join(ZOO)}; models are "
            f"{', '.join(names) or 'none'}"
        )
    elif member:
        raise typer.BadParameter("--member chooses among a recipe's; all members of a model teach")
    else:
        files = model_files(folder / teacher)
    paths = distil_student(
        ZOO[student], seed, files, load_table(table), runs, name=teacher, threads=threads
    )
    for path in paths or ():
        typer.echo(f"{student}, taught by {teacher}, seed {path.stem}: {path}")
