"""`varsigma-train`: measurements -> table -> members -> model folders -> evidence in cards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from service.errors import ServiceError
from training import doubt_command, learned_command, likelihood_command, pair_noise_command
from training.ablation.command import ablation
from training.assays import UNMOVED
from training.campaign.command import campaign
from training.campaign.command import recipes as list_recipes
from training.card import update_calibration, update_headline, update_metrics
from training.datasets.sources import DataError
from training.datasets.table import (
    TABLE_PATH,
    build_table,
    describe,
    load_table,
)
from training.distil.command import RUNS, distil
from training.distil.places import student_members, trained_members
from training.evaluation.calibrate import OCCLUDED
from training.evaluation.challenge import CHALLENGE_LOG
from training.options import (
    Data,
    Draws,
    Models,
    Names,
    Occluded,
    Offsets,
    Save,
    TableFile,
    models_dir,
    need_data,
    require_look,
    table_of,
)
from training.recipe import Recipe
from training.report import command as report_command
from training.zoo import ZOO

app = typer.Typer(
    help="Train, export and validate varsigma's models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(distil)
app.command("recipes")(list_recipes)
app.command()(campaign)
app.command()(report_command.report)
app.command()(pair_noise_command.noise)
app.command()(doubt_command.novelty)
app.command()(doubt_command.background)
app.command()(likelihood_command.likelihood)
app.command()(learned_command.learned)
app.add_typer(ablation, name="ablation")

Runs = Annotated[Path, typer.Option(help="Folder of training runs: RUNS/RECIPE/SEED.")]


def _recipe(name: str) -> Recipe:
    if name not in ZOO:
        raise typer.BadParameter(f"no recipe {name!r}; there are {', '.join(ZOO)}")
    return ZOO[name]


def _members(given: str, runs: Path) -> list[Path]:
    """Files of RECIPE's members, or the one of RECIPE/SEED."""
    recipe, _, seed = given.partition("/")
    if seed and not seed.isdecimal():
        raise typer.BadParameter(f"{given!r}: a seed is a number, as in {recipe}/42")
    return trained_members(_recipe(recipe), runs, [int(seed)] if seed else ())


@app.command()
def data(
    mirror: Annotated[
        Path | None,
        typer.Option(
            envvar="VARSIGMA_DATA",
            help="Folder with the files and their SHA256SUMS; without one they are downloaded.",
        ),
    ] = None,
    cagi5: Annotated[
        Path | None, typer.Option(help="Folder that holds cagi5/, if not the mirror.")
    ] = None,
    table: TableFile = TABLE_PATH,
) -> None:
    """Build the assay table: one row per sequence and assay, with folds by homology."""
    console = Console(stderr=True)
    built = build_table(mirror, cagi5, progress=console.print)
    built.save(table)
    typer.echo(describe(built))
    typer.echo(f"{len(built.frame):,} rows written to {table}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe; `varsigma-train recipes` lists them.")],
    seed: Annotated[
        list[int] | None,
        typer.Option(help="Seeds to train; repeat the option.", show_default="the recipe's"),
    ] = None,
    table: TableFile = TABLE_PATH,
    runs: Runs = RUNS,
    threads: Annotated[
        int,
        typer.Option(min=1, help="CPU threads; a run goes on with the number it began with."),
    ] = 1,
) -> None:
    """Train the members of a recipe; an interrupted run goes on from its last finished epoch."""
    from training.trainer import train_member  # noqa: PLC0415 (Lightning takes seconds to load)

    chosen = _recipe(recipe)
    frame = load_table(table)
    for number in seed or chosen.seeds:
        path = train_member(chosen, number, frame, runs, threads=threads)
        typer.echo(f"{recipe}, seed {number}: {path}")


@app.command()
def export(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE...",
            help="Trained recipes, each with all its members or RECIPE/SEED for one of them. Those "
            "of several recipes become one ensemble, which needs a --name.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the model.", show_default="RECIPE")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="Of a student: the recipe or model that it was distilled from."),
    ] = None,
    seed: Annotated[int, typer.Option(help="With --teacher: of the student's training.")] = 42,
    offset: Offsets = None,
    table: TableFile = TABLE_PATH,
    runs: Runs = RUNS,
    models: Models = None,
) -> None:
    """Export the trained members of a recipe, or of several, as one model folder with its card."""
    from training.folder import make_model, read_provenance  # noqa: PLC0415

    if teacher is None:
        files = [file for given in recipes for file in _members(given, runs)]
    elif len(recipes) == 1:
        files = student_members(recipes[0], runs, seed, teacher)
    else:
        raise typer.BadParameter("a student stands alone: --teacher takes one recipe")
    if name is None and len({given.partition("/")[0] for given in recipes}) > 1:
        raise typer.BadParameter("members of several recipes are one model: give it a --name")
    folder = make_model(
        files,
        name=name or recipes[0].partition("/")[0],
        models_dir=models_dir(models),
        table=load_table(table),
        files=read_provenance(table),
        offsets=offset or UNMOVED,
    )
    typer.echo(f"wrote {folder}")


@app.command()
def evaluate(
    names: Names,
    table: TableFile = TABLE_PATH,
    models: Models = None,
    draws: Draws = 1000,
    save: Save = True,
) -> None:
    """Held-out sequences: accuracy of each served target beside a 6-mer ridge regression."""
    from training.evaluation.held_out import evaluate as run  # noqa: PLC0415

    folder = models_dir(models)
    frame = table_of(names, folder, table)
    for name, report in run(names, models_dir=folder, table=frame, draws=draws).items():
        typer.echo(str(report))
        if save:
            update_metrics(folder / name, "held_out", report)


@app.command()
def sigma(
    names: Names,
    data: Data = None,
    table: TableFile = TABLE_PATH,
    models: Models = None,
    draws: Draws = 1000,
    save: Save = True,
) -> None:
    """Predicted sigma against the measured replicate SD, each replicated assay by itself."""
    from training.evaluation.sigma import evaluate_sigma, replicate_values  # noqa: PLC0415
    from training.folder import predictor_of  # noqa: PLC0415

    folder = models_dir(models)
    frame = table_of(names, folder, table)
    replicates = replicate_values(need_data(data))
    for name in names:
        report = evaluate_sigma(
            name, predictor_of(folder / name), table=frame, replicates=replicates, draws=draws
        )
        typer.echo(str(report))
        if save:
            update_metrics(folder / name, "sigma", report)


@app.command()
def validate(
    names: Names,
    data: Data = None,
    split: Annotated[
        Literal["challenge", "release"],
        typer.Option(help="challenge: for reporting, logged; release: for choices."),
    ] = "challenge",
    baseline: Annotated[
        str | None,
        typer.Option(help="One of the models; the others get the paired difference to it."),
    ] = None,
    models: Models = None,
    draws: Draws = 1000,
    save: Save = True,
) -> None:
    """CAGI5 saturation mutagenesis, scored through the service's own scorer."""
    from training.evaluation.cagi5 import validate as run  # noqa: PLC0415

    folder = models_dir(models)
    reports = run(
        names,
        models_dir=folder,
        data_dir=need_data(data),
        split=split,
        baseline=baseline,
        draws=draws,
    )
    for name, report in reports.items():
        typer.echo(str(report))
        if save:
            update_metrics(folder / name, f"cagi5_{split}", report)
        if save and split == "challenge":
            means = report.table("Means, genomic window")
            figure = means.cell("K562-matched (4)", "spearman all")
            update_headline(folder / name, "CAGI5 K562-matched mean Spearman", figure)


@app.command()
def calibrate(
    names: Names,
    data: Data = None,
    n_occluded: Occluded = OCCLUDED,
    models: Models = None,
    save: Save = True,
) -> None:
    """Fit the distribution of effects to the CAGI5 release set."""
    from training.evaluation.calibrate import calibrate as run  # noqa: PLC0415

    require_look(n_occluded, save=save)
    folder = models_dir(models)
    for name in names:
        entry, report = run(
            name, models_dir=folder, data_dir=need_data(data), n_occluded=n_occluded
        )
        typer.echo(str(report))
        if save:
            update_calibration(folder / name, entry)
            update_metrics(folder / name, "calibration", report)


@app.command()
def uncertainty(
    names: Names,
    data: Data = None,
    split: Annotated[
        Literal["challenge", "release"],
        typer.Option(help="challenge: for reporting, logged; release: for choices."),
    ] = "challenge",
    models: Models = None,
    draws: Draws = 1000,
    n_occluded: Occluded = OCCLUDED,
    log: Annotated[
        Path, typer.Option(help="Where looks at challenge labels are logged.")
    ] = CHALLENGE_LOG,
    save: Save = True,
) -> None:
    """Do the intervals hold? Coverage, scores, signs and risk, one locus left out of the fit."""
    from training.evaluation.uncertainty import uncertainty as run  # noqa: PLC0415

    require_look(n_occluded, save=save)
    folder = models_dir(models)
    for name in names:
        report = run(
            name,
            models_dir=folder,
            data_dir=need_data(data),
            split=split,
            draws=draws,
            n_occluded=n_occluded,
            log=log,
        )
        typer.echo(str(report))
        if save:
            update_metrics(folder / name, f"uncertainty_{split}", report)


@app.command()
def deletions(
    model: Annotated[str, typer.Argument(help="A model, by the name of its folder.")],
    data: Data = None,
    is_release_only: Annotated[
        bool,
        typer.Option(
            "--release-only",
            help="Leave the deletions outside release blocks alone; a look at them is logged.",
        ),
    ] = False,
    models: Models = None,
    draws: Draws = 1000,
) -> None:
    """Measured 1-bp deletions: which windows should be averaged where a change alters length."""
    from training.evaluation.deletions import evaluate_deletions  # noqa: PLC0415
    from training.evaluation.deletions_tables import layout  # noqa: PLC0415

    choice, found = evaluate_deletions(
        model,
        models_dir=models_dir(models),
        data_dir=need_data(data),
        is_release_only=is_release_only,
        draws=draws,
    )
    typer.echo(str(layout(model, choice, found, draws=draws)))


def main() -> None:
    """Run the command line; a failure is one line on stderr and exit code 1."""
    try:
        app()
    except (DataError, ServiceError, ValueError, RuntimeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
