"""JSON and MessagePack bodies -> plain Python values, within bounds."""

import json
from enum import StrEnum
from typing import Any

import msgpack

from service.errors import DecodingError

# A request has one container a sequence, its range, and few others. A body with many more is made
# to fill the memory: an empty list is 1 byte of MessagePack, 2 of JSON and 56 of Python.
MAX_CONTAINERS = 2_000_000
# Names and numbers are small too beside what Python makes of them; a request of 128 MiB with
# sequences of 200 bases has 2.4 million of them.
MAX_VALUES = 4_000_000


class Format(StrEnum):
    """How a body is written; the value is its media type."""

    JSON = "application/json"
    MSGPACK = "application/msgpack"


def decode(body: bytes | bytearray, form: Format) -> Any:  # noqa: ANN401  (whatever it holds)
    """Read a body.

    Raises:
      DecodingError: it is not of that format, repeats a key of an object, or is made to be huge.
    """
    try:
        return _from_json(body) if form is Format.JSON else _from_msgpack(body)
    except DecodingError:
        raise
    except (RecursionError, msgpack.StackError):
        raise DecodingError("the body is nested too deeply") from None
    except Exception as error:  # noqa: BLE001  (MessagePack alone has six unrelated kinds)
        name = "JSON" if form is Format.JSON else "MessagePack"
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DecodingError(f"the body is not {name}: {reason}") from None


def _from_json(body: bytes | bytearray) -> Any:  # noqa: ANN401
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS or body.count(b",") > MAX_VALUES:
        raise _too_many()
    return json.loads(body, object_pairs_hook=unrepeated)


def _from_msgpack(body: bytes | bytearray) -> Any:  # noqa: ANN401
    n_containers = n_values = 0

    def count(content: Any) -> Any:  # noqa: ANN401
        nonlocal n_containers, n_values
        n_containers += 1
        n_values += len(content)
        if n_containers > MAX_CONTAINERS or n_values > MAX_VALUES:
            raise _too_many()
        return content

    # A list has its whole length as soon as it is announced.
    longest = min(len(body), MAX_CONTAINERS)
    return msgpack.unpackb(
        body,
        list_hook=count,
        object_pairs_hook=lambda pairs: unrepeated(count(pairs)),
        max_array_len=longest,
        max_map_len=longest,
    )


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs; a key that is there twice would hide one of its values."""
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DecodingError(f"the key {shown(key)} occurs twice in one object")
            seen.add(key)
    return content


def shown(value: object) -> str:
    """Return a value of a request as a message quotes it: on one line, and not at any length."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"


def _too_many() -> DecodingError:
    return DecodingError(
        f"the body holds more than {MAX_CONTAINERS:,} objects and lists, or {MAX_VALUES:,} values"
    )
