"""`varsigma triage`: candidates in a VCF -> calls, ranked, at an error rate that the user sets."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from service import options as opt
from service.durable import write_file
from service.errors import ValidationError
from service.evidence import Evidence
from service.orders import check_file, followed, open_scorer, stated_reference
from service.report.libraries import require_libraries
from service.report.maps import LIMIT, MAX_SPAN, SPAN, score_maps
from service.scoring import Scorer
from service.source import STANDARD, Source
from service.stream import Output, is_standard_output
from service.terminal import Bar, console, finish, terminable
from service.texts import fit
from service.triage_facts import ratios_of, remarks, with_evidence, with_likelihood_ratios
from service.triage_file import read_list, triage_file
from service.triage_list import TriageList, TriageOptions
from service.triage_tables import ListFormat, encoded_list, list_format, show_list


@opt.including(opt.HOW, after="threads")
@opt.including(opt.WHERE, after="likelihood_ratios")
def triage(
    context: typer.Context,
    vcf: opt.Vcf,
    *,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="OUT", help="OUT.tsv or OUT.json; - for stdout"),
    ] = STANDARD,
    model: opt.Model = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="target (assay in a cell type) that decides tier and rank; default: the model's"
            " first calibrated one",
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="tiers on all calibrated targets, the rate of each kept by itself",
        ),
    ] = False,
    error_rate: opt.ErrorRate = None,
    threshold: opt.Threshold = None,
    max_triage: opt.MaxTriage = None,
    style: Annotated[
        ListFormat | None,
        typer.Option("--format", help="format of the output; default: what its name says, or tsv"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="the list as one HTML page that opens offline: table, intervals, maps, method;"
            " needs the extra `report`",
        ),
    ] = None,
    map_span: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=MAX_SPAN,
            help="bases of the saturation map around each variant of the report; 0 for none"
            f" [default: {SPAN}]",
        ),
    ] = None,
    map_limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help=f"variants that get a map, from the first rank on [default: {LIMIT}]",
        ),
    ] = None,
    evidence: opt.Evidence = None,
    likelihood_ratios: Annotated[
        bool,
        typer.Option(
            "--likelihood-ratios",
            help="how strongly the size of each effect speaks for one that an assay would find, as"
            " the model's card has it",
        ),
    ] = False,
    summary: opt.Summary = None,
) -> None:
    """Rank the ALTs of a short VCF by how surely something can be said of them.

    Each ALT gets a tier: likely lowers activity, likely raises activity, or cannot tell. The error
    rate is a false-discovery rate over the whole list: of all calls together, so many are expected
    to be wrong (the true effect is not beyond the threshold in the direction that was called), as
    far as the model's calibration holds. "Cannot tell" is no call: it is what is left, and does not
    mean that there is no effect, which is never called. Only single-base changes on calibrated
    targets are ever called. Research use only.
    """
    settings = opt.read_settings(**context.params)
    genome = stated_reference(settings)
    kind = list_format(output, style)
    is_stream = is_standard_output(output)
    path, (report, summary) = _checked(
        vcf,
        output,
        genome,
        {"--report": report, "--summary": summary},
        settings.evidence,
        is_stream=is_stream,
    )
    if report is not None:
        if report.suffix.lower() not in {".html", ".htm"}:
            raise ValidationError(f"--report {report} would be HTML; end the name in .html")
        require_libraries()
    elif (map_span, map_limit) != (None, None):
        raise ValidationError("--map-span and --map-limit are about a report; give --report FILE")
    options = TriageOptions(
        target=target,
        compares=compare,
        error_rate=settings.error_rate,
        threshold=settings.threshold,
    )
    shown = console(sys.stderr)
    with terminable(), Source(vcf) as source:
        # The list first: it is read in a moment, while a model takes seconds to load.
        lines = read_list(source, settings.max_triage)
        scorer = open_scorer(settings)
        measured = settings.evidence and Evidence.open(settings.evidence, scorer.reference)
        if likelihood_ratios:
            ratios_of(scorer.model)
        with Bar(shown) as bar:
            found, done = triage_file(
                source,
                lines,
                scorer,
                options,
                mismatch_share=settings.mismatch_share,
                on_progress=bar.update,
            )
        if measured:
            found = with_evidence(found, measured)
        if likelihood_ratios:
            found = with_likelihood_ratios(found, scorer.model, scorer.options)
        content = encoded_list(found, kind)
        # Before the report: whatever becomes of that, the list is there.
        if is_stream:
            with Output(output, is_compressed=False) as stream:
                stream.write(content)
        else:
            write_file(path, content)
        said = None
        if report is not None:
            said = _report(
                report,
                found,
                scorer,
                span=SPAN if map_span is None else map_span,
                limit=LIMIT if map_limit is None else map_limit,
                source=Path(source.name).name,
                shown=shown,
            )
    show_list(found, shown, has_rows=not is_stream)
    for line in remarks(found):
        shown.print(escape(fit(line)), soft_wrap=True)
    if said is not None:
        shown.print(escape(fit(said)), soft_wrap=True)
    finish(done, settings.mismatch_share, settings.device, summary)


def _report(
    path: Path,
    found: TriageList,
    scorer: Scorer,
    *,
    span: int,
    limit: int,
    source: str,
    shown: Console,
) -> str:
    """Score the maps, draw and write the page; return what was made, and the seconds of each."""
    from service.report.page import rendered  # noqa: PLC0415  (an extra)

    started = time.perf_counter()
    with Bar(shown) as bar:
        maps = score_maps(found, scorer, span=span, limit=limit, on_progress=bar.update)
    scored = time.perf_counter()
    content = rendered(found, maps, scorer.model.card, source=source)
    write_file(path, content)
    drawn = time.perf_counter()
    return (
        f"{path}: {len(maps.by_index):,} maps, {maps.n_changes:,} changes scored in"
        f" {scored - started:.1f} s; page drawn in {drawn - scored:.1f} s,"
        f" {len(content) / 1e6:.1f} MB"
    )


def _checked(
    vcf: str,
    output: str,
    reference: Path,
    others: Mapping[str, Path | None],
    evidence: Path | None,
    *,
    is_stream: bool,
) -> tuple[Path, list[Path | None]]:
    """Follow links, and refuse what cannot be written, before the slow part.

    Args:
      vcf: the input.
      output: the list, or - for standard output.
      reference: of the run.
      others: further files by their options, None for one that is not asked for.
      evidence: a table to read.
      is_stream: whether `output` is a stream.

    Returns:
      The output and the further files, links followed.

    Raises:
      ValidationError: one cannot be written.
    """
    path = followed(Path(output))
    taken = {
        vcf: "the input",
        str(reference): "the reference",
        f"{reference}.fai": "the index of the reference",
    }
    if evidence is not None:
        taken[str(evidence)] = "the measured effects"
    if not is_stream:
        check_file("--output", path, taken)
        taken[str(path)] = "--output"
    found = {option: other and followed(other) for option, other in others.items()}
    for option, other in found.items():
        if other is not None:
            check_file(option, other, taken)
            taken[str(other)] = option
    return path, list(found.values())
