"""Entries of a model's card: JSON -> a checked value, or an error that names the key at fault."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict

from service.errors import ModelContractError


class Entry(BaseModel):
    """What a card may hold under one key; nothing in it is unknown, and nothing changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
        problem = error.errors(include_url=False)[0]
        where = ".".join((key, *map(str, problem["loc"])))
        raise ModelContractError(f"{where}: {problem['msg']}") from error


def digest_of(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON types, whatever their order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
