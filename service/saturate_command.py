"""`varsigma saturate`: a region -> the effect of every single-base change in it."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from service import options as opt
from service.assemblies import named_otherwise
from service.durable import write_file
from service.engine import CPU_BATCH, CUDA_BUCKETS
from service.errors import RequestTooLargeError, ValidationError
from service.orders import check_file, followed, open_scorer, stated_reference
from service.region_tables import region_json, region_tsv
from service.saturation import Region, parse_region, read_region, score_region
from service.scoring import Scorer, Scores
from service.session import CUDA, usable_cores
from service.settings import Settings
from service.source import STANDARD
from service.stream import Output, is_standard_output
from service.terminal import Bar, console, terminable
from service.texts import fit
from service.triage_tables import ListFormat, list_format


@opt.including(opt.WHERE, after="style")
def saturate(
    context: typer.Context,
    region: opt.Region,
    *,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="OUT", help="OUT.tsv or OUT.json; - for stdout"),
    ] = STANDARD,
    model: opt.Model = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="the one target to write; default: all of the model"),
    ] = None,
    style: Annotated[
        ListFormat | None,
        typer.Option("--format", help="format of the output; default: what its name says, or tsv"),
    ] = None,
    strands: opt.Strands = None,
    shifts: opt.Shifts = None,
    fast: opt.Fast = False,
    coverage: opt.Coverage = None,
    max_region: opt.MaxRegion = None,
) -> None:
    """Score every single-base change of a region: a saturation map.

    A TSV has one row per change, with the columns of `varsigma score`; JSON is what
    `POST /v1/saturation` answers. Nothing is kept of a run that is interrupted. Research use only.
    """
    settings = opt.read_settings(**context.params)
    genome = stated_reference(settings)
    place = parse_region(region)
    n_positions = place[2] - place[1]
    if n_positions > settings.max_region:
        raise RequestTooLargeError(
            f"{region} has {n_positions:,} positions, at most {settings.max_region:,} go in one"
            " run; split it, or raise --max-region",
            detail={"limit": settings.max_region, "given": n_positions},
        )
    kind = list_format(output, style)
    is_stream, path = is_standard_output(output), followed(Path(output))
    if not is_stream:
        taken = {
            str(genome): "the reference",
            f"{genome}.fai": "the index of the reference",
        }
        check_file("--output", path, taken)
    shown = console(sys.stderr)
    with terminable():
        scorer, runs = opened(settings)
        assert scorer.reference is not None
        chosen = _chosen(scorer, target)
        known = read_region(scorer.reference, *place)
        started = time.perf_counter()
        with Bar(shown) as bar:
            n_changes = len(known.variants())
            scores = score_region(known, scorer, lambda n: bar.update(n, n, n_changes), runs)
        seconds = time.perf_counter() - started
        content = _content(known, scores, scorer, chosen, kind)
        if is_stream:
            with Output(output, is_compressed=False) as stream:
                stream.write(content)
        else:
            write_file(path, content)
    rate = n_changes / seconds
    said = (
        f"{n_changes:,} changes of {len(known.codes):,} positions scored in {seconds:.1f} s"
        f" ({rate:,.0f} changes/s); model {scorer.model.info.name}; research use only"
    )
    shown.print(escape(said), soft_wrap=True)
    # A region has no REF that would tell a wrong assembly.
    for warning in named_otherwise(scorer.reference.name, scorer.reference.assembly):
        shown.print(f"warning: {escape(fit(warning))}", style="yellow", soft_wrap=True)


def opened(settings: Settings) -> tuple[Scorer, int]:
    """Return what scores, and how many runs of the model go on at once: on a CPU as in `serve`."""
    scorer = open_scorer(settings, threads=1)
    on_cuda = scorer.model.providers[0] == CUDA
    options = replace(scorer.options, batch_size=CUDA_BUCKETS[-1] if on_cuda else CPU_BATCH)
    runs = 1 if on_cuda else settings.threads or usable_cores()
    return Scorer(scorer.model, scorer.reference, options), runs


def _chosen(scorer: Scorer, target: str | None) -> list[int]:
    """Places of the targets to write."""
    targets = scorer.model.info.targets
    if target is not None and target not in targets:
        raise ValidationError(
            f"{scorer.model.info.name} has no target {target!r}; it has {', '.join(targets)}"
        )
    return [place for place, name in enumerate(targets) if target in {None, name}]


def _content(
    region: Region, scores: Scores, scorer: Scorer, chosen: list[int], kind: ListFormat
) -> bytes:
    write = region_json if kind is ListFormat.JSON else region_tsv
    targets = [scorer.model.info.targets[place] for place in chosen]
    return write(region, scores.on(chosen), targets, provenance=scorer.provenance())
