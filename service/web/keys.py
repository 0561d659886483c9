"""API keys: a file of their hashes; `gate` asks for them. `text -> Key`."""

import hashlib
import os
import secrets
from collections.abc import Iterable
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Self

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from service.errors import InputFileError, ValidationError

# What a secret scanner can look for.
PREFIX = "varsigma_"


class Key(BaseModel):
    """One line of the file: who may call the service, and how much.

    Attributes:
      name: what logs call the caller.
      sha256: hash of the key, hexadecimal. Keys are random, so that no salt is needed.
      per_minute: variants, pairs or sequences in one minute; None for no limit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")]
    per_minute: Annotated[int, Field(ge=1)] | None = None


class KeyRing:
    """The keys of a file, one JSON object a line."""

    def __init__(self, keys: Iterable[Key]) -> None:
        """Take keys of different names."""
        self._keys = [(key, bytes.fromhex(key.sha256)) for key in keys]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a file.

        Raises:
          InputFileError: it cannot be read, a line is no key, a name is there twice, or it is
            empty: a service that nobody may call is a mistake.
        """
        keys = read_keys(path)
        if not keys:
            raise InputFileError(f"{path}: no keys; make one with `varsigma key NAME`")
        return cls(keys)

    @property
    def keys(self) -> list[Key]:
        """All keys, in the order of the file."""
        return [key for key, _ in self._keys]

    def find(self, text: bytes) -> Key | None:
        """Return the key of which this is the text; the time that takes says nothing of it."""
        digest = hashlib.sha256(text).digest()
        found = None
        for key, known in self._keys:
            if compare_digest(known, digest):
                found = key
        return found


def read_keys(path: Path) -> list[Key]:
    """Read the keys of a file, of which there may be none.

    Raises:
      InputFileError: it cannot be read, a line is no key, or a name is there twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputFileError(f"cannot read the keys in {path}: {reason}") from error
    keys: dict[str, Key] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            key = Key.model_validate_json(line)
        except pydantic.ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, problem["loc"])) or "the line"
            raise InputFileError(f"{path}:{number}: {where}: {problem['msg']}") from None
        if key.name in keys:
            raise InputFileError(f"{path}:{number}: there is a key {key.name!r} already")
        keys[key.name] = key
    return list(keys.values())


def add_key(path: Path, name: str, per_minute: int | None) -> str:
    """Make a key, append its hash to a file, and return its text, which is nowhere else.

    Args:
      path: the file; made if it is not there, for its owner alone to read.
      name: what logs will call the caller.
      per_minute: most variants, pairs or sequences in one minute, None for no limit.

    Raises:
      ValidationError: the name or the limit is not allowed, or the name is taken.
      InputFileError: the file is there and is no file of keys.
    """
    text = PREFIX + secrets.token_urlsafe(32)
    try:
        key = Key(
            name=name, sha256=hashlib.sha256(text.encode()).hexdigest(), per_minute=per_minute
        )
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise ValidationError(
            f"{problem['loc'][0]}: {problem['msg']}, got {problem['input']!r}"
        ) from None
    if path.exists() and any(known.name == name for known in read_keys(path)):
        raise ValidationError(
            f"{path} has a key {name!r} already; take another name, or delete that line, which ends"
            " the key when the service starts again"
        )
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        separator = b"" if file.read(1) in {b"", b"\n"} else b"\n"
        file.write(separator + key.model_dump_json().encode() + b"\n")
    return text
