"""`varsigma-train recipes` and `campaign`: list the zoo, run it, say how far it is, judge it."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from training.campaign.plan import SUITES, plan, select
from training.campaign.status import status as status_of
from training.datasets.sources import DataError
from training.datasets.table import TABLE_PATH
from training.evaluation.challenge import CHALLENGE_LOG
from training.evaluation.report import Cell, Table
from training.zoo import PRESETS, ZOO, forms
from training.zoo import campaign as zoo_of

RUNS = Path("build/campaign")
RESULTS = Path("training/results")


def recipes(
    preset: Annotated[
        str | None, typer.Option(help=f"The campaign's at this size: {' or '.join(PRESETS)}.")
    ] = None,
) -> None:
    """List the zoo: every recipe with its fingerprint, seeds and published ids."""
    if preset is not None and preset not in PRESETS:
        raise typer.BadParameter(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    columns = ("recipe", "trunk", "heads", "loss", "sampler", "seeds", "published", "fingerprint")
    zoo = ZOO if preset is None else zoo_of(PRESETS[preset]) | forms(PRESETS[preset])
    rows: list[tuple[Cell, ...]] = []
    for recipe in zoo.values():
        parts = (recipe.architecture.trunk, recipe.architecture.heads, recipe.loss, recipe.sampler)
        kinds = [type(part).__name__ for part in parts]
        ids = " ".join(recipe.aliases)
        seeds = ", ".join(map(str, recipe.seeds))
        rows.append((recipe.name, *kinds, seeds, ids, recipe.fingerprint))
    typer.echo(Table("Zoo", columns, tuple(rows)).to_markdown())


def campaign(
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Recipes or RECIPE/SEED by pattern, such as 'noise_gated*'.", metavar="GLOB"
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help=f"Size: {' or '.join(PRESETS)}.")] = "cpu",
    suite: Annotated[str, typer.Option(help=f"Which runs: {', '.join(SUITES)} or all.")] = "all",
    lanes: Annotated[int, typer.Option(min=1, help="Runs at a time, one thread each.")] = 2,
    is_status: Annotated[
        bool, typer.Option("--status", help="Say what is finished, and run nothing.")
    ] = False,
    is_analysing: Annotated[
        bool,
        typer.Option(
            "--analyse", help="Score what is recorded, into metrics.tsv and analysis.json; logged."
        ),
    ] = False,
    is_partial: Annotated[
        bool, typer.Option("--partial", help="With --analyse: although runs are still to be done.")
    ] = False,
    is_releasing: Annotated[
        bool,
        typer.Option(
            "--release",
            help="Score stored members on the release set, free to read, into release.tsv.",
        ),
    ] = False,
    log: Annotated[
        Path, typer.Option(help="With --analyse: where looks at challenge labels are logged.")
    ] = CHALLENGE_LOG,
    is_retrying: Annotated[bool, typer.Option("--retry", help="Failed runs again.")] = False,
    table: Annotated[Path, typer.Option(help="Assay table, as `data` wrote it.")] = TABLE_PATH,
    data: Annotated[
        Path | None,
        typer.Option(envvar="VARSIGMA_DATA", help="Folder that holds cagi5/.", metavar="DIR"),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of checkpoints and members.")] = RUNS,
    records: Annotated[Path, typer.Option(help="Folder of records, one folder a run.")] = RESULTS,
) -> None:
    """Run the zoo under one protocol; the same command goes on where it was interrupted."""
    if preset not in PRESETS:
        raise typer.BadParameter(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    if suite not in (*SUITES, "all"):
        raise typer.BadParameter(f"no suite {suite!r}; there are {', '.join(SUITES)} and all")
    everything = plan(PRESETS[preset])
    if is_status:
        typer.echo("\n".join(status_of(everything, records / preset)))
        return
    if data is None or not data.is_dir():
        raise DataError("name the folder that holds cagi5/ with --data or VARSIGMA_DATA")
    if is_releasing:
        from training.campaign.release import score_release  # noqa: PLC0415 (as below)

        place = score_release(
            everything,
            records=records / preset,
            runs=runs / preset,
            data_dir=data,
            progress=partial(typer.echo, err=True),
        )
        typer.echo(f"wrote {place}")
        return
    if is_analysing:
        from training.campaign.analysis import analyse  # noqa: PLC0415 (as below)

        written = analyse(
            PRESETS[preset],
            records=records / preset,
            table=table,
            data_dir=data,
            log=log,
            is_partial=is_partial,
            progress=partial(typer.echo, err=True),
        )
        typer.echo("\n".join(f"wrote {path}" for path in written))
        return
    from training.campaign.lanes import Outcome  # noqa: PLC0415 (Lightning takes seconds to load)
    from training.campaign.runner import Places, pending, run_campaign  # noqa: PLC0415

    places = Places(table, data, runs / preset, records / preset)
    chosen = select(everything, SUITES if suite == "all" else [suite], only or [])
    left = pending(chosen, places.records, is_retrying=is_retrying)
    typer.echo(f"{len(chosen) - len(left)} of {len(chosen)} runs are recorded; {len(left)} to do")

    def tell(outcome: Outcome, n_left: int, seconds: float) -> None:
        done = len(left) - n_left
        end = "failed" if outcome.error else "finished"
        minutes = seconds / done * n_left / 60
        typer.echo(
            f"{len(chosen) - n_left} of {len(chosen)}: {outcome.run.name} {end}; "
            f"about {minutes // 60:.0f} h {minutes % 60:.0f} min left"
        )

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        run_campaign(left, places, n_lanes=lanes, on_done=tell)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from the last finished epochs", err=True)
        raise typer.Exit(130) from None
    typer.echo("\n".join(status_of(everything, places.records)))


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
