"""Options that commands of `varsigma-train` share, and what they ask of their values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from service.registry import Registry, default_models_dir
from training.assays import checked_offsets
from training.datasets.sources import DataError
from training.datasets.table import load_table, require_digest
from training.evaluation.calibrate import OCCLUDED


def _odd_or_none(n_occluded: int) -> int:
    if n_occluded and n_occluded % 2 == 0:
        raise typer.BadParameter("an odd number: the variant is in the middle of what is hidden")
    return n_occluded


def _offsets(given: list[int] | None) -> list[int] | None:
    try:
        return list(checked_offsets(given)) if given else given
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Data = Annotated[
    Path | None,
    typer.Option(
        envvar="VARSIGMA_DATA",
        help="Folder of the measured tables (mpra/ and cagi5/).",
        metavar="DIR",
    ),
]
TableFile = Annotated[Path, typer.Option("--table", help="Assay table, as `data` wrote it.")]
Models = Annotated[Path | None, typer.Option(help="Folder of models.", show_default="models/")]
Names = Annotated[list[str], typer.Argument(help="Models, by the names of their folders.")]
Offsets = Annotated[
    list[int] | None,
    typer.Option(
        "--offset",
        callback=_offsets,
        help="Move the construct by so many bases, -15 to 15, to the right in the window of the "
        "networks, and take the mean over all that are given; repeat it.",
        show_default="0",
    ),
]
Occluded = Annotated[
    int,
    typer.Option(
        "--occluded",
        min=0,
        callback=_odd_or_none,
        help="Bases around a single-base change to hide and to read of, odd; 0 for none.",
    ),
]
Draws = Annotated[int, typer.Option(min=100, help="Bootstrap resamples.")]
Save = Annotated[
    bool, typer.Option("--save/--no-save", help="Put what was found into the model cards.")
]


def require_look(n_occluded: int, *, save: bool) -> None:
    """Refuse to put into a card what was measured with other hidden bases than cards are of.

    Raises:
      BadParameter: it would be.
    """
    if save and n_occluded != OCCLUDED:
        raise typer.BadParameter(f"cards are of {OCCLUDED} hidden bases: add --no-save")


def models_dir(models: Path | None) -> Path:
    """Return the folder of models that was given, else the project's own."""
    return models if models is not None else default_models_dir()


def table_of(names: list[str], folder: Path, path: Path) -> pd.DataFrame:
    """Load the assay table that all of these models learnt from.

    Raises:
      DataError: there is no such table, or a model learnt from another one.
      ModelNotFoundError: there is no such model.
    """
    registry, frame = Registry(folder), load_table(path)
    require_digest(frame, {name: registry.card(name)["data_digest"] for name in names})
    return frame


def need_data(data: Path | None) -> Path:
    """Return the folder of measured tables.

    Raises:
      DataError: none was given, or there is none.
    """
    if data is None or not data.is_dir():
        raise DataError(
            f"{data or 'no data folder given'}: name the folder of measured tables with --data or "
            "VARSIGMA_DATA"
        )
    return data


def parse_sums(option: str, given: Sequence[str]) -> dict[str, list[str]]:
    """NAME=a+b+c -> {NAME: [a, b, c]}.

    Args:
      option: that it was given to, for the message.
      given: each of that form.

    Raises:
      DataError: one is not of that form, or a name comes twice.

    >>> parse_sums("--combine", ["mixed=varsigma.plain+varsigma.evo"])
    {'mixed': ['varsigma.plain', 'varsigma.evo']}
    """
    found: dict[str, list[str]] = {}
    for one in given:
        name, equals, parts = one.partition("=")
        split = parts.split("+")
        if not (name and equals and all(split)) or name in found:
            raise DataError(f"{option} {one}: give it as NAME=A+B, and each NAME once")
        found[name] = split
    return found
