"""`varsigma-train distil`: one network that speaks for each member of another recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.datasets.table import TABLE_PATH, load_table
from training.distil.places import trained_members
from training.zoo import STUDENT, ZOO

RUNS = Path("build/runs")


def distil(
    teacher: Annotated[str, typer.Argument(help="A trained recipe with variance heads.")],
    student: Annotated[str, typer.Option(help="Recipe of the student.")] = STUDENT,
    seed: Annotated[int, typer.Option(help="Of the student's training.")] = 42,
    member: Annotated[
        list[int] | None,
        typer.Option(
            help="Seed of a member that teaches; repeat the option.",
            show_default="those of the recipe",
        ),
    ] = None,
    table: Annotated[
        Path, typer.Option("--table", help="Assay table, as `data` wrote it.")
    ] = TABLE_PATH,
    runs: Annotated[
        Path, typer.Option(help="Folder of training runs; this one is STUDENT/SEED-TEACHER in it.")
    ] = RUNS,
    threads: Annotated[
        int,
        typer.Option(min=1, help="CPU threads; a run goes on with the number it began with."),
    ] = 1,
) -> None:
    """Distil the members of a recipe into one trunk with a head for each; `export` serves it."""
    from training.distil.trainer import distil_student  # noqa: PLC0415 (Lightning takes seconds)

    for name in (teacher, student):
        if name not in ZOO:
            raise typer.BadParameter(f"no recipe {name!r}; there are {', '.join(ZOO)}")
    files = trained_members(ZOO[teacher], runs, member or ())
    paths = distil_student(ZOO[student], seed, files, load_table(table), runs, threads=threads)
    for path in paths or ():
        typer.echo(f"{student}, taught by {teacher}, seed {path.stem}: {path}")
