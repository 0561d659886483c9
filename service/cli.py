"""The command line: `varsigma score | models | serve | key`. A failure is one line on stderr."""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from typer.main import get_command

from service import __version__
from service import options as opt
from service.batch import score_file
from service.errors import ModelNotFoundError, ValidationError
from service.output import Output, OutputFormat, output_format
from service.reference import Reference
from service.registry import Registry
from service.schemas import ModelSummary
from service.scoring import Scorer
from service.settings import Settings, load_settings
from service.source import Source
from service.summary import EXIT_ERROR
from service.terminal import console, explained, listen, progress

app = typer.Typer(
    help="Effect of DNA variants on regulatory activity, with its uncertainty. Research use only.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def score(
    vcf: Annotated[str, typer.Argument(metavar="IN.vcf[.gz]", help="VCF to score, - for stdin")],
    *,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="OUT", help="OUT.vcf[.gz] or OUT.tsv[.gz], - for stdout"
        ),
    ],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="model to score with")] = None,
    models: opt.Models = None,
    reference: opt.Reference = None,
    assembly: opt.Assembly = None,
    device: opt.Device = None,
    threads: opt.Threads = None,
    strands: opt.Strands = None,
    shifts: opt.Shifts = None,
    fast: Annotated[bool, typer.Option("--fast", help="one pass: --strands 1 --shifts 0")] = False,
    coverage: opt.Coverage = None,
    batch_size: opt.BatchSize = None,
    mismatch_share: opt.MismatchShare = None,
    style: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="|".join(member.value for member in OutputFormat),
            help="format of the output; default: what its name says",
        ),
    ] = None,
) -> None:
    """Score every ALT of a VCF; one output for each, in order, with a status."""
    if fast and (strands is not None or shifts is not None):
        raise ValidationError("--fast is --strands 1 --shifts 0; leave the other two out")
    if fast:
        strands, shifts = 1, "0"
    settings = _settings(
        model=model,
        models=models,
        reference=reference,
        assembly=assembly,
        device=device,
        threads=threads,
        strands=strands,
        shifts=shifts,
        coverage=coverage,
        batch_size=batch_size,
        mismatch_share=mismatch_share,
    )
    if settings.reference is None:
        raise ValidationError("no reference; give --reference FASTA, or set VARSIGMA_REFERENCE")
    chosen = output_format(output, style)
    inputs = (vcf, str(settings.reference))
    # Both files are checked before the slow part: an index may have to be built, a model loaded.
    with (
        Source(vcf) as source,
        Output(output, is_compressed=chosen.is_compressed, inputs=inputs) as target,
    ):
        scorer = _scorer(settings, settings.reference)
        shown = console(sys.stderr)
        with progress(shown, source.size) as bar:
            task = bar.add_task("scoring", total=source.size, alts=0)
            summary = score_file(
                source,
                target,
                scorer,
                style=chosen,
                on_progress=lambda position, n_alts: bar.update(
                    task, completed=position, alts=n_alts
                ),
            )
    summary.show(shown, mismatch_share=settings.mismatch_share, device=settings.device)
    raise typer.Exit(summary.exit_code)


def _settings(**options: object) -> Settings:
    """Read the settings of a command's options, None where one is not given, and no others."""
    return load_settings(used=options.keys(), **options)


def _scorer(settings: Settings, fasta: Path) -> Scorer:
    registry = Registry(settings.models)
    names = settings.model or tuple(registry.names())
    if len(names) != 1:
        raise ValidationError(f"state one --model; there are: {', '.join(names) or 'none'}")
    # The model first: it loads fast, while the reference may have to be indexed.
    model = registry.load(names[0], settings.device, settings.threads)
    reference = Reference.open(fasta, settings.assembly)
    return Scorer(model, reference, settings.scoring_options())


@app.command("models")
def list_models(
    models: opt.Models = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the models with their targets and headline metric."""
    settings = _settings(models=models)
    registry = Registry(settings.models)
    summaries = [ModelSummary.from_card(registry.card(name)) for name in registry.names()]
    if not summaries:
        raise ModelNotFoundError(f"no models in {registry.models_dir}; give --models DIR")
    if as_json:
        typer.echo(json.dumps([summary.model_dump() for summary in summaries], indent=2))
        return
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


@app.command()
def serve(
    *,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"{opt.described('model')}; repeatable")
    ] = None,
    models: opt.Models = None,
    reference: opt.Reference = None,
    assembly: opt.Assembly = None,
    device: opt.Device = None,
    threads: opt.Threads = None,
    strands: opt.Strands = None,
    shifts: opt.Shifts = None,
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
) -> None:
    """Answer HTTP requests; see /docs for the interface."""
    from service.app import create_app  # noqa: PLC0415  (score and models start faster without)
    from service.server import run as run_server  # noqa: PLC0415

    settings = _settings(
        model=",".join(model) if model else None,
        models=models,
        reference=reference,
        assembly=assembly,
        device=device,
        threads=threads,
        strands=strands,
        shifts=shifts,
        coverage=coverage,
        batch_size=batch_size,
        host=host,
        port=port,
        max_body_bytes=max_body_bytes,
        max_items=max_items,
        max_stream_items=max_stream_items,
        max_region=max_region,
        max_waiting_sequences=max_waiting_sequences,
        max_long=max_long,
        micro_batch=micro_batch,
        timeout=timeout,
        drain_delay=drain_delay,
        drain_timeout=drain_timeout,
        body_timeout=body_timeout,
        keys=keys,
        metrics=metrics,
        cors_origins=cors_origins,
        game_max_body_bytes=game_max_body_bytes,
        organization=organization,
        organization_url=organization_url,
    )
    with listen(settings.host, settings.port) as door, suppress(KeyboardInterrupt):
        run_server(create_app(settings), settings, door)


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

    settings = _settings(keys=keys)
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

    `--debug` anywhere, or VARSIGMA_DEBUG, shows the traceback.
    """
    is_debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"] or ["--help"]
    try:
        is_debug = _settings(debug=is_debug or None).debug
        command = get_command(app)
        with command.make_context("varsigma", arguments) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except typer.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        # The reader of a pipe went away; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (the last line of defence)
        if is_debug:
            traceback.print_exc()
        message, code = explained(error)
        sys.stderr.write(f"error: {message}\n")
        return code


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
