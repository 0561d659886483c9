"""`varsigma-train distil`: one network that speaks for each member of a recipe or a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.registry import Registry
from training.assays import UNMOVED
from training.card import read_card
from training.datasets.table import TABLE_PATH, load_table
from training.distil.places import trained_members
from training.options import Models, Offsets, models_dir
from training.zoo import STUDENT, ZOO

RUNS = Path("build/runs")


def distil(
    teacher: Annotated[
        str,
        typer.Argument(
            help="A recipe with variance heads that was trained in --runs, else a model of such "
            "members in --models."
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
    offset: Offsets = None,
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

    if student not in ZOO:
        raise typer.BadParameter(f"no recipe {student!r}; there are {', '.join(ZOO)}")
    files, offsets = _teacher_of(teacher, runs, models_dir(models), member or (), offset or ())
    paths = distil_student(
        ZOO[student],
        seed,
        files,
        load_table(table),
        runs,
        teacher_name=teacher,
        offsets=offsets,
        threads=threads,
    )
    for path in paths or ():
        typer.echo(f"{student}, taught by {teacher}, head {path.stem}: {path}")


def _teacher_of(
    teacher: str, runs: Path, models: Path, seeds: Sequence[int], offsets: Sequence[int]
) -> tuple[list[Path], tuple[int, ...]]:
    """Files of the members that teach, and the offsets that they are averaged over.

    What was trained here goes before what was exported.
    """
    from training.export import model_files  # noqa: PLC0415 (torch takes seconds to load)

    names = Registry(models).names() if models.is_dir() else []
    if teacher in ZOO and ((runs / teacher).is_dir() or teacher not in names):
        return trained_members(ZOO[teacher], runs, seeds), tuple(offsets) or UNMOVED
    if teacher not in names:
        raise typer.BadParameter(
            f"no recipe and no model {teacher!r}; recipes are {', '.join(ZOO)}; models are "
            f"{', '.join(names) or 'none'}"
        )
    if seeds:
        raise typer.BadParameter("--member chooses among a recipe's; all members of a model teach")
    if offsets:
        raise typer.BadParameter("--offset is for members of a recipe; a model has its own")
    Registry(models).card(teacher)  # there is one
    files = model_files(models / teacher)
    if missing := [str(file) for file in files if not file.exists()]:
        raise typer.BadParameter(f"not there: {', '.join(missing)}; export the model again")
    return files, read_card(models / teacher).placements
