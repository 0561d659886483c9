"""`varsigma variant`: the one name of a variant, on standard output."""

import json
from typing import Annotated

import typer

from service import options as opt
from service.orders import stated_reference
from service.reference import Reference
from service.settings import load_settings
from service.spellings import resolve


def variant(
    spelling: Annotated[
        str,
        typer.Argument(
            metavar="VARIANT",
            help="chr17:31150:G:A, 17-31150-G-A, chr17:g.31150G>A, SPDI, a line of a VCF or of VEP",
        ),
    ],
    *,
    reference: opt.Reference = None,
    assembly: opt.Assembly = None,
    as_json: Annotated[bool, typer.Option("--json", help="print names and notes as JSON")] = False,
) -> None:
    """Print the identifier of a variant in any common spelling, one line for each ALT.

    What should be known of how it was read goes to standard error.

    All spellings of a change get the same one. Research use only.
    """
    stated = {"reference": reference, "assembly": assembly}
    settings = load_settings(used=stated.keys(), **stated)
    with Reference.open(stated_reference(settings), settings.assembly) as genome:
        for named in resolve(spelling, genome):
            typer.echo(json.dumps(named.as_dict()) if as_json else named.identifier)
            for note in () if as_json else named.notes:
                typer.echo(f"{named.identifier}: {note}", err=True)
