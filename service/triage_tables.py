"""A triaged list -> TSV, JSON, or a table on a terminal.

TSV has one row per input: first what the deciding target says, under names that do not depend on
it, then the same of each compared target, its name before each column.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.errors import ValidationError
from service.fields import EFFECT_FIELDS, MISSING, provenance_items
from service.source import STANDARD
from service.tables import one_line_each
from service.texts import fit
from service.triage import Tier
from service.triage_list import CALL_NUMBERS, Call, Row, TriageList

_CALL = ("tier", "tier_name", *CALL_NUMBERS, "no_call")
_GIVEN = ("index", "line", "contig", "pos", "id", "ref", "alt")
_FACTS = ("normalised", "window_index", "novelty", "novel_as")
_NUMBERS = (*(one.name for one in EFFECT_FIELDS), "calibrated")
_TOP = 20
_LONGEST_ALLELE = 14
_UNCALIBRATED = " *"
_COLOURS = {Tier.LOWERS: "blue", Tier.RAISES: "red", Tier.UNKNOWN: "dim"}

_Cell: TypeAlias = str | int | float | bool | None


class ListFormat(StrEnum):
    """How a triaged list is written."""

    TSV = "tsv"
    JSON = "json"


def list_format(path: str, stated: ListFormat | None = None) -> ListFormat:
    """Return the stated format, or the one that the name of the output asks for.

    Raises:
      ValidationError: neither says which, or they contradict each other.

    >>> list_format("calls.json").value, list_format("-").value
    ('json', 'tsv')
    """
    known = {f".{member.value}": member for member in ListFormat}
    named = known.get(Path(path).suffix.lower())
    if stated and named and stated is not named:
        raise ValidationError(
            f"--output {path} is named as {named.value}, but --format says {stated.value}; change"
            " one"
        )
    if style := stated or named or (ListFormat.TSV if path == STANDARD else None):
        return style
    raise ValidationError(
        f"--output {path}: the format is unknown; end the name in {' or '.join(known)}, or say"
        " --format"
    )


def encoded_list(found: TriageList, style: ListFormat) -> bytes:
    """Return a list in a format; rows by rank, those without a score last."""
    return _json(found) if style is ListFormat.JSON else _tsv(found)


def _json(found: TriageList) -> bytes:
    results = [
        {name: getattr(row.given, name) for name in ("line", "contig", "pos", "ref", "alt")}
        | row.as_dict()
        for row in found.rows
    ]
    content = json.dumps(found.head() | {"results": results}, indent=1, allow_nan=False)
    return f"{content}\n".encode()


def _tsv(found: TriageList) -> bytes:
    compared = found.targets[1:]
    more = list(dict.fromkeys(name for row in found.rows for name in row.more))
    names = [
        "rank", *_CALL, "status", "reason", *_GIVEN, *_FACTS, "target", *_NUMBERS,
        *(f"{target}_{name}" for target in compared for name in (*_CALL, *_NUMBERS)), *more,
    ]  # fmt: skip
    comments = [f"# {name}={value}" for name, value in provenance_items(found.provenance)]
    comments += [f"# not called on {target}: {why}" for target, why in found.no_calls.items()]
    rows = ("\t".join(map(_text, _cells(row, found, more))) for row in found.rows)
    text = "".join(f"{line}\n" for line in (*comments, "\t".join(names), *rows))
    return one_line_each(text.encode())


def _cells(row: Row, found: TriageList, more: Sequence[str]) -> Iterable[_Cell]:
    yield row.rank
    yield from _of(row.call, _CALL)
    yield row.status
    yield row.reason
    yield row.index
    given = row.given
    yield from (given.line, given.contig, given.pos, given.id, given.ref, given.alt)
    yield row.normalised
    yield ",".join(map(str, row.window_index)) or None
    yield row.novelty
    yield row.novel_as
    yield found.target
    yield from _of(row.call, _NUMBERS)
    for target in found.targets[1:]:
        yield from _of(row.calls.get(target), (*_CALL, *_NUMBERS))
    yield from (row.more.get(name) for name in more)


def _of(call: Call | None, names: Sequence[str]) -> Iterable[_Cell]:
    facts: Mapping[str, Any] = call.as_dict() if call else {}
    return (facts.get(name) for name in names)


def _text(value: _Cell) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def show_list(found: TriageList, console: Console, *, has_rows: bool = True) -> None:
    """Print how many are in each tier, why there are no calls, and the first rows.

    Args:
      found: the list.
      console: where to.
      has_rows: whether to print rows.
    """
    if has_rows:
        console.print(_first_rows(found))
    counts = Table("tier", *found.targets, box=None, pad_edge=False)
    for column in counts.columns[1:]:
        column.justify = "right"
    for tier in Tier:
        each = (f"{found.counts(target)[tier]:,}" for target in found.targets)
        counts.add_row(tier.plain_name, *each)
    counts.add_row("not scored", *(f"{found.n_unscored:,}" for _ in found.targets))
    console.print(counts)
    if has_rows and any(
        not call.calibrated for row in found.rows[:_TOP] for call in row.calls.values()
    ):
        console.print(
            "* not calibrated: no measured effects of such changes stand behind it", soft_wrap=True
        )
    for line in _remarks(found):
        console.print(escape(line), soft_wrap=True)


def _remarks(found: TriageList) -> Iterable[str]:
    options = found.options
    yield (
        f"calls at an error rate of {options.error_rate:g}, effects beyond {options.threshold:g}"
        f" log2; {found.target} decides the rank; research use only"
    )
    for target in found.targets:
        share = found.said_wrong(target)
        if share is not None:
            yield f"{target}: {share:.3f} of the calls are said to be wrong"
    for why in found.no_calls.values():
        yield f"warning: no calls: {why}"
    n_other = sum(
        row.call is not None and row.call.no_call not in {None, found.no_calls.get(found.target)}
        for row in found.rows
    )
    if n_other:
        yield f"{n_other:,} ALTs are no single-base changes, which no measured effect calibrates"


def _first_rows(found: TriageList) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "call", "p wrong", "id", "position", "ref > alt", "novel as"):
        table.add_column(name, no_wrap=True, justify="right" if name in {"rank"} else "left")
    for target in found.targets:
        table.add_column(target, no_wrap=True, justify="right")
    scored = [(row, row.call) for row in found.rows if row.call]
    for row, call in scored[:_TOP]:
        given = row.given
        cells = [
            str(row.rank),
            call.tier.plain_name,
            "" if call.p_wrong is None else f"{call.p_wrong:.3f}",
            given.id or "",
            f"{given.contig}:{given.pos:,}" if given.pos is not None else "",
            f"{_shortened(given.ref)} > {_shortened(given.alt)}",
            row.novel_as or "",
            *map(_interval, row.calls.values()),
        ]
        table.add_row(*(escape(fit(cell)) for cell in cells), style=_COLOURS[call.tier])
    if len(scored) > _TOP:
        table.add_row("...")
    return table


def _shortened(allele: str) -> str:
    is_short = len(allele) <= _LONGEST_ALLELE
    return allele if is_short else f"{allele[:4]}..{len(allele)} bases"


def _interval(call: Call) -> str:
    expected, lower, upper = (call.numbers[name] for name in ("expected", "lower", "upper"))
    if expected is None or lower is None or upper is None:
        return "" if expected is None else f"{expected:+.2f}"
    # Beside a calibrated one it may be far narrower, and means less.
    mark = "" if call.calibrated else _UNCALIBRATED
    return f"{expected:+.2f} [{lower:+.2f}, {upper:+.2f}]{mark}"
