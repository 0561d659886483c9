"""`varsigma-train ablation`: keep what trained members predict, and compare every lever."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from service.registry import Registry
from training.assays import UNMOVED
from training.datasets.table import TABLE_PATH, load_table
from training.distil.places import trained_members
from training.evaluation.challenge import CHALLENGE_LOG
from training.options import (
    Data,
    Draws,
    Models,
    Offsets,
    TableFile,
    models_dir,
    need_data,
    parse_sums,
)
from training.zoo import ZOO

RUNS = Path("build/runs")
RESULTS = Path("training/results/levers")
REPORTS = Path("training/reports/levers")
BASELINE = "varsigma.plain"

ablation = typer.Typer(
    help="What each lever brought: stored predictions, one table with intervals.",
    no_args_is_help=True,
)
Results = Annotated[Path, typer.Option(help="Folder of the entries, NAME.npz.")]


@ablation.command()
def store(
    name: Annotated[str, typer.Argument(help="Of the entry, such as the recipe's.")],
    recipe: Annotated[
        str | None,
        typer.Option(help="Trained recipe; exported to a temporary folder.", show_default="NAME"),
    ] = None,
    member: Annotated[
        list[int] | None,
        typer.Option(help="Seed of a member; repeat the option.", show_default="the recipe's"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Exported model in place of a recipe's members.")
    ] = None,
    shift: Annotated[
        list[int] | None,
        typer.Option(help="Window shift to average over, in bases; repeat it.", show_default="0"),
    ] = None,
    strands: Annotated[
        int, typer.Option(min=1, max=2, help="Of variants: 1 scores the plus strand alone, 2 both.")
    ] = 2,
    offset: Offsets = None,
    data: Data = None,
    table: TableFile = TABLE_PATH,
    runs: Annotated[Path, typer.Option(help="Folder of training runs: RUNS/RECIPE/SEED.")] = RUNS,
    models: Models = None,
    results: Results = RESULTS,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one operator.")] = 1,
) -> None:
    """Store what members predict: held-out sequences and CAGI5 variants; no label is read."""
    from service.scoring import ScoringOptions  # noqa: PLC0415 (torch takes seconds to load)
    from training.ablation.entries import path_of, write_entry  # noqa: PLC0415 (as above)
    from training.ablation.store import predict_entry  # noqa: PLC0415
    from training.folder import make_model  # noqa: PLC0415

    if model is not None and (recipe is not None or member or offset):
        raise typer.BadParameter("--model stands in place of --recipe, --member and --offset")
    chosen = recipe or name
    if model is None and chosen not in ZOO:
        raise typer.BadParameter(
            f"no recipe {chosen!r}; name one with --recipe, or a --model: there are "
            f"{', '.join(ZOO)}"
        )
    path_of(name, results)
    data_dir = need_data(data)
    options = ScoringOptions(strands=strands, shifts=tuple(shift or (0,)))
    folder = models_dir(models)
    files = trained_members(ZOO[chosen], runs, member or ()) if model is None else []
    if model is not None:
        Registry(folder).card(model)  # there is one
    frame = load_table(table)
    with TemporaryDirectory() if model is None else nullcontext(folder) as place:
        if model is None:
            make_model(
                files,
                name=name,
                models_dir=Path(place),
                table=frame,
                files=(),
                offsets=offset or UNMOVED,
            )
        entry = predict_entry(
            name,
            model_name=model or name,
            models_dir=Path(place),
            table=frame,
            data_dir=data_dir,
            options=options,
            threads=threads,
        )
    written = write_entry(entry, results)
    typer.echo(f"wrote {written}, {written.stat().st_size / 1e6:.2f} MB")


@ablation.command()
def table(
    names: Annotated[
        list[str] | None, typer.Argument(help="Entries.", show_default="all that are stored")
    ] = None,
    combine: Annotated[
        list[str] | None,
        typer.Option(
            help="Members of several entries as one ensemble; repeat it.", metavar="NAME=A+B+C"
        ),
    ] = None,
    baseline: Annotated[
        str, typer.Option(help="Entry that the others get the paired difference to.")
    ] = BASELINE,
    chosen: Annotated[
        str | None,
        typer.Option(help="Row to be served, by entry or combination; set against all others."),
    ] = None,
    is_challenge: Annotated[
        bool,
        typer.Option(
            "--challenge", help="Report the challenge set and the test fold too; logged as a look."
        ),
    ] = False,
    data: Data = None,
    assays: TableFile = TABLE_PATH,
    draws: Draws = 1000,
    log: Annotated[
        Path, typer.Option(help="Where looks at challenge labels are logged.")
    ] = CHALLENGE_LOG,
    results: Results = RESULTS,
    reports: Annotated[Path, typer.Option(help="Folder of what is found.")] = REPORTS,
) -> None:
    """Compare what is stored: evidence for choice, and with --challenge what is reported of it."""
    from training.ablation.entries import names_in  # noqa: PLC0415 (as above)
    from training.ablation.table import levers, write_reports  # noqa: PLC0415

    found = levers(
        names or names_in(results),
        results=results,
        combined=parse_sums("--combine", combine or ()),
        baseline=baseline,
        table=load_table(assays),
        data_dir=need_data(data),
        chosen=chosen,
        is_challenge=is_challenge,
        draws=draws,
        log=log,
        progress=partial(typer.echo, err=True),
    )
    for report in found.values():
        typer.echo(str(report))
    for path in write_reports(found, reports):
        typer.echo(f"wrote {path}", err=True)
