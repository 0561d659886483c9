"""Entries of a model's card: JSON -> a checked value, or an error that names the key at fault."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict

from service.errors import ModelContractError


class Entry(BaseModel):
    """What a card may hold under one key; nothing in it is unknown, and nothing changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OfPasses(Protocol):
    """What was made of effects that were scored with some passes."""

    @property
    def strands(self) -> int:
        """1 or 2."""

    @property
    def shifts(self) -> tuple[int, ...]:
        """Of the window, in any order."""


class _Fitted(OfPasses, Protocol):
    @property
    def targets(self) -> Collection[str]: ...


def has_passes(entry: OfPasses, strands: int, shifts: tuple[int, ...]) -> bool:
    """Say whether effects scored with these passes are what an entry was made of."""
    return strands == entry.strands and set(shifts) == set(entry.shifts)


class FittedEntry:
    """Mixed into an entry that was fitted to effects on some targets.

    It has no fields: theirs keep the order in which a card writes them.
    """

    def applies_to(
        self: _Fitted, targets: Sequence[str], strands: int, shifts: tuple[int, ...]
    ) -> tuple[bool, ...]:
        """Say for each target whether effects scored with these passes are what was fitted."""
        is_same = has_passes(self, strands, shifts)
        return tuple(is_same and target in self.targets for target in targets)


_Kind = TypeVar("_Kind", bound=Entry)


def read_entry(kind: type[_Kind], key: str, value: object) -> _Kind:
    """Read one entry of a card.

    Args:
      kind: what it must be.
      key: of the card, for messages.
      value: the JSON under it.

    Raises:
      ModelContractError: a key is missing, unknown or malformed; the message says which.
    """
    try:
        return kind.model_validate(value)
    except pydantic.ValidationError as error:
        raise ModelContractError(problem_of(error, key)) from error


def problem_of(error: pydantic.ValidationError, *keys: str) -> str:
    """Return the first problem in one line: where it is, below these keys, and what it is."""
    problem = error.errors(include_url=False)[0]
    said = problem["msg"].removeprefix("Value error, ")
    return f"{'.'.join((*keys, *map(str, problem['loc'])))}: {said}"


def digest_of(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON types, whatever their order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
