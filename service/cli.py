"""The command line: `varsigma score | plan | score-shard | merge | triage | saturate | ...`.

Every failure is one line on standard error.
"""

import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from typer.main import get_command

from service import __version__, ahead
from service import options as opt
from service.batch import merge_plan, plan_order, score_order, score_some
from service.errors import ModelContractError, ModelNotFoundError, ValidationError
from service.job import IndexKind
from service.markers import Marker
from service.options import read_settings
from service.orders import Order, check_file, followed, only_model, stated_reference
from service.output import output_format
from service.registry import Registry, broken
from service.saturate_command import saturate
from service.schemas import ModelSummary
from service.settings import Settings
from service.summary import EXIT_ERROR
from service.terminal import Bar, console, explained, finish, listen, terminable
from service.triage_command import triage
from service.variant_command import variant
from service.workers import spare_collector

app = typer.Typer(
    help="Effect of DNA variants on regulatory activity, with its uncertainty. Research use only.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
@opt.including(opt.HOW, after="ray")
@opt.including(opt.WHERE, after="model")
def score(
    context: typer.Context,
    vcf: opt.Vcf,
    *,
    output: opt.Output,
    model: opt.Model = None,
    workers: opt.Workers = None,
    ray: opt.Ray = None,
    shard_bytes: opt.ShardBytes = None,
    style: opt.Style = None,
    index: opt.Index = None,
    rejects: opt.Rejects = None,
    summary: opt.Summary = None,
) -> None:
    """Score every ALT of a VCF; one output for each, in order, with a status.

    A run into a file that was interrupted goes on where it stopped when it is started again.
    """
    settings = read_settings(**context.params)
    order = _order(
        vcf, output, settings, style=style, index=index, rejects=rejects, summary=summary
    )
    shown = console(sys.stderr)
    with terminable(), Bar(shown) as bar:
        done = score_order(order, bar.update)
    finish(done, settings.mismatch_share, settings.device, order.summary)


@app.command()
@opt.including(opt.HOW, after="threads")
@opt.including(opt.WHERE, after="model")
def plan(
    context: typer.Context,
    vcf: opt.Vcf,
    *,
    output: opt.Output,
    model: opt.Model = None,
    shard_bytes: opt.ShardBytes = None,
    style: opt.Style = None,
    index: opt.Index = None,
    rejects: opt.Rejects = None,
) -> None:
    """Cut a VCF into shards for a scheduler; print the work folder, a tab and their number.

    Score shards 0 to N - 1 with `score-shard`, in any order, anywhere; then `merge`.
    """
    settings = read_settings(**context.params)
    order = _order(vcf, output, settings, style=style, index=index, rejects=rejects)
    with terminable():
        folder, n_shards = plan_order(order)
    typer.echo(f"{folder}\t{n_shards}")


@app.command("score-shard")
def score_shards(
    folder: opt.Folder,
    indices: Annotated[list[int], typer.Argument(metavar="INDEX...", help="shards, from 0")],
) -> None:
    """Score shards of a plan; one that is done already is left alone."""

    def tell(marker: Marker) -> None:
        sys.stderr.write(f"shard {marker.index}: {marker.tally.n_alts:,} ALTs\n")

    with terminable():
        score_some(folder, indices, tell)


@app.command("merge")
def merge_shards(
    folder: opt.Folder,
    *,
    partial: Annotated[
        bool, typer.Option("--partial", help="write the shards that there are to OUT.partial")
    ] = False,
    summary: opt.Summary = None,
) -> None:
    """Join the shards of a plan into its output, and remove the work folder."""
    if summary is not None:
        summary = followed(summary)
        check_file("--summary", summary)
    with terminable():
        job, done = merge_plan(folder, is_partial=partial)
    finish(done, job.mismatch_share, job.device, summary)


def _order(
    vcf: str,
    output: str,
    settings: Settings,
    *,
    style: str | None,
    index: IndexKind | None,
    rejects: Path | None,
    summary: Path | None = None,
) -> Order:
    chosen = output_format(output, style)
    return Order(
        vcf=vcf,
        output=output,
        style=chosen,
        settings=settings,
        reference=stated_reference(settings),
        model=only_model(settings),
        index=index,
        rejects=rejects,
        summary=summary,
    )


app.command()(triage)
app.command()(saturate)


@app.command("models")
def list_models(
    models: opt.Models = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the models with their targets and headline metric.

    One that is damaged hides no other: it is named on standard error, and the exit code is 1.
    """
    settings = read_settings(models=models)
    registry = Registry(settings.models)
    names = registry.names()
    if not names:
        raise ModelNotFoundError(
            f"no models in {registry.models_dir}; give --models DIR, the folder that"
            " holds their folders"
        )
    summaries: list[ModelSummary] = []
    problems: list[str] = []
    for name in names:
        try:
            summaries.append(_model_summary(registry, name))
        except ModelContractError as error:
            problems.append(explained(error)[0])
    if as_json:
        typer.echo(json.dumps([summary.model_dump() for summary in summaries], indent=2))
    elif summaries:
        _show_models(summaries)
    for problem in problems:
        sys.stderr.write(f"error: {problem}\n")
    if problems:
        raise typer.Exit(EXIT_ERROR)


def _model_summary(registry: Registry, name: str) -> ModelSummary:
    card = registry.checked_card(name)
    try:
        return ModelSummary.from_card(card)
    except ModelContractError as error:
        raise broken(name, error.message) from error


def _show_models(summaries: Sequence[ModelSummary]) -> None:
    table = Table("name", "targets", "window", "members", "calibrated", "headline", "summary")
    for summary in summaries:
        headline = summary.headline
        table.add_row(
            summary.name,
            ", ".join(summary.targets),
            f"{summary.window} bp",
            str(summary.members),
            ", ".join(summary.calibrated_targets) or "no",
            f"{headline.name} {headline.value:.3f}" if headline else "-",
            escape(summary.summary),
        )
    console(sys.stdout).print(table)


app.command()(variant)


@app.command()
@opt.including(opt.WHERE, after="model")
def serve(
    context: typer.Context,
    *,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"{opt.described('model')}; repeatable")
    ] = None,
    workers: opt.Workers = None,
    strands: opt.Strands = None,
    shifts: opt.Shifts = None,
    anchorings: opt.Anchorings = None,
    coverage: opt.Coverage = None,
    batch_size: opt.BatchSize = None,
    host: opt.Host = None,
    port: opt.Port = None,
    max_body_bytes: opt.MaxBodyBytes = None,
    max_items: opt.MaxItems = None,
    max_stream_items: opt.MaxStreamItems = None,
    max_region: opt.MaxRegion = None,
    max_waiting_sequences: opt.MaxWaitingSequences = None,
    max_long: opt.MaxLong = None,
    micro_batch: opt.MicroBatch = None,
    timeout: opt.Timeout = None,
    drain_delay: opt.DrainDelay = None,
    drain_timeout: opt.DrainTimeout = None,
    body_timeout: opt.BodyTimeout = None,
    keys: opt.Keys = None,
    metrics: opt.Metrics = None,
    cors_origins: opt.CorsOrigins = None,
    game_max_body_bytes: opt.GameMaxBodyBytes = None,
    organization: opt.Organization = None,
    organization_url: opt.OrganizationUrl = None,
    jobs: opt.Jobs = None,
    max_upload_bytes: opt.MaxUploadBytes = None,
    max_upload_unpacked_bytes: opt.MaxUploadUnpackedBytes = None,
    max_jobs: opt.MaxJobs = None,
    job_workers: opt.JobWorkers = None,
    keep_jobs: opt.KeepJobs = None,
    shard_bytes: opt.ShardBytes = None,
    mismatch_share: opt.MismatchShare = None,
    error_rate: opt.ErrorRate = None,
    threshold: opt.Threshold = None,
    evidence: opt.Evidence = None,
) -> None:
    """Answer HTTP requests; see /docs for the interface."""
    from service import fleet, server  # noqa: PLC0415  (score and models start faster without)

    settings = read_settings(
        **context.params | {"model": ",".join(model or ()) or None, "debug": context.obj or None}
    )
    with listen(settings.host, settings.port) as door, suppress(KeyboardInterrupt):
        if (settings.workers or 1) > 1:
            fleet.run(settings, door)
        else:
            from service.app import create_app  # noqa: PLC0415  (workers import it, see there)

            server.run(create_app(settings), settings, door)


@app.command("key")
def new_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="what logs call the caller")],
    keys: opt.Keys = None,
    per_minute: Annotated[
        int | None,
        typer.Option(metavar="N", help="most variants or sequences in a minute; default: no limit"),
    ] = None,
) -> None:
    """Make an API key: print it, this once, and add its hash to the file of keys."""
    from service.web.keys import add_key  # noqa: PLC0415  (nothing else needs it)

    settings = read_settings(keys=keys)
    if settings.keys is None:
        raise ValidationError("no file of keys; give --keys FILE, or set VARSIGMA_KEYS")
    typer.echo(add_key(settings.keys, name, per_minute))


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"varsigma {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version_: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Effect of DNA variants on regulatory activity, with its uncertainty. Research use only."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; print a failure as one line.

    `--debug` anywhere, or VARSIGMA_DEBUG, shows the traceback; `serve` logs messages of bugs too.
    """
    is_debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"] or ["--help"]
    try:
        is_debug = read_settings(debug=is_debug or None).debug
        command = get_command(app)
        with command.make_context("varsigma", arguments, obj=is_debug) as context:
            command.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return 0
    except typer.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        # The reader of a pipe went away; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write("error: the reader of standard output went away\n")
        return EXIT_ERROR
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (the last line of defence)
        if is_debug:
            traceback.print_exc()
        message, code = explained(error)
        sys.stderr.write(f"error: {message}\n")
        return code


def main() -> None:
    """Entry point of the console script."""
    spare_collector()
    code = run(sys.argv[1:])
    if any(thread.name == ahead.NAME for thread in threading.enumerate()):
        # Interrupted in the middle of a run of the model: an ordinary end would pull its thread
        # away under ONNX Runtime, which aborts the process.
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with suppress(OSError, ValueError):  # broken, or closed already
                    stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
