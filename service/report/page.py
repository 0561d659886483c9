"""A triaged list with its maps -> one HTML file: the same bytes from the same numbers.

It asks for nothing, no script, no image, no font, no address; a policy in its head forbids them
all.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from service.fields import provenance_items
from service.novelty import LEVEL
from service.report import words
from service.report.drawing import (
    BOTTOM,
    COLUMN,
    LEFT,
    LETTERS,
    LOGO,
    ROW,
    TOP,
    full_colour,
    picture,
)
from service.report.intervals import look_of, panels
from service.report.letters import outlines
from service.report.maps import Maps
from service.saturation import ALTS
from service.texts import fit
from service.triage import TIERS
from service.triage_list import TriageList

_FOLDER = Path(__file__).parent
_SIZES = {
    "column": COLUMN, "row": ROW, "left": LEFT, "top": TOP, "logo": LOGO, "letters": LETTERS,
    "bottom": BOTTOM,
}  # fmt: skip

_Line: TypeAlias = tuple[tuple[str, ...], str, Callable[..., str]]


@dataclass(frozen=True, slots=True)
class NumberTable:
    """Numbers of one variant that stand together.

    Attributes:
      title: of the table.
      groups: (heading, lines); a line has the names of its numbers, what they mean, and how they
        are written.
    """

    title: str
    groups: tuple[tuple[str, tuple[_Line, ...]], ...]


def number_tables(threshold: float, coverage: str) -> tuple[NumberTable, ...]:
    """Return the tables of a variant: what is said of it, and the distributions behind that."""
    plain, signed, span = words.plain, words.signed, words.span
    finely = partial(signed, digits=3)  # a quantile of 0.996 is not all of them
    calls: tuple[_Line, ...] = (
        (("p_lowers",), f"is below -{threshold:g}", plain),
        (("p_raises",), f"is above {threshold:g}", plain),
        (("p_negligible",), "lies between", plain),
        (("p_sign",), "has the sign of the expected effect", plain),
    )
    decision: tuple[_Line, ...] = (
        (("p_wrong",), "probability that the call is wrong", plain),
        (("expected_loss",), "expected loss of the call, or of the likelier one", plain),
    )
    effect: tuple[_Line, ...] = (
        (("effect",), "predicted", signed),
        (("expected",), "expected of the true effect", signed),
        (("occlusion",), "of hiding the bases around it (occlusion)", signed),
        (("lower", "upper"), f"true effect, {coverage}", span),
        (("repeat_lower", "repeat_upper"), f"a repeat of the assay, {coverage}", span),
        (("quantile",), "quantile among random changes", finely),
    )
    doubt: tuple[_Line, ...] = (
        (("sd",), "true effect, in all", plain),
        (("epistemic",), "networks differ (epistemic)", plain),
        (("representation",), "strands and views differ (representation)", plain),
        (("aleatoric",), "noise of one measurement (aleatoric)", plain),
        (("repeat_sd",), "a repeat of the assay, in all", plain),
    )
    return (
        NumberTable(
            "Call",
            (("Probability that the true effect", calls), ("Decision", decision)),
        ),
        NumberTable(
            "Distributions",
            (("Effect, log2(RNA/DNA)", effect), ("Parts of the doubt, SD in log2 units", doubt)),
        ),
    )


def rendered(found: TriageList, maps: Maps, card: Mapping[str, Any], *, source: str) -> bytes:
    """Write the page of a list.

    Args:
      found: the list.
      maps: of its variants.
      card: of the model.
      source: name of the file that the list was read from.

    Returns:
      HTML in UTF-8.
    """
    options = found.options
    coverage = f"{100 * found.provenance['options']['coverage']:g}\N{NO-BREAK SPACE}%"
    full = full_colour(maps.by_index.values(), options.threshold)
    pictures = {
        index: picture(one, target=found.target, threshold=options.threshold, full=full)
        for index, one in maps.by_index.items()
    }
    style = (_FOLDER / "style.css").read_text(encoding="utf-8")
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            found=found,
            scored=[row for row in found.rows if row.rank is not None],
            maps=maps,
            pictures=pictures,
            full=full,
            panels=list(panels(found)),
            looks=[look_of(t)[1] for t in range(len(found.targets))],
            outlines=outlines(),
            alts=ALTS,
            size=_SIZES,
            groups=number_tables(options.threshold, coverage),
            tiers=TIERS,
            coverage=coverage,
            level=LEVEL,
            card=card,
            provenance=list(provenance_items(found.provenance)),
            source=source,
            style=Markup(style),
            digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        )
    )
    return text.encode()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_fit,
    )
    environment.filters |= {
        name: getattr(words, name) for name in ("signed", "plain", "span", "allele", "fact")
    }
    environment.globals |= {
        "place_name": words.place_name,
        "marks": words.MARKS,
        "facts_of": lambda row: [call.as_dict() for call in row.calls.values()],
    }
    return environment


def _fit(value: object) -> object:
    """What every text of the template goes through before it is escaped."""
    return fit(value) if isinstance(value, str) and not isinstance(value, Markup) else value
