"""A file that never changes -> an answer, whole or a part of it (RFC 9110, sections 13 and 14)."""

import os
import re
from collections.abc import AsyncGenerator, Mapping
from io import FileIO
from pathlib import Path

import anyio
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.errors import PreconditionError, RangeError
from service.jobs.ticket import FileFacts
from service.web.head import is_head

_PIECE = 1 << 18
# One range; several at once, and other units, are answered with the whole, which is allowed.
_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")
_TAG = re.compile(r'(W/)?"[^"]*"')


async def download(
    request: Request, path: Path, facts: FileFacts, *, media_type: str, name: str
) -> Response:
    """Answer GET or HEAD for a file.

    Args:
      request: its headers.
      path: of the file.
      facts: its size and digest; the digest is its ETag.
      media_type: of its bytes.
      name: what the client is told to call it: letters, digits, dots and hyphens.

    Raises:
      PreconditionError: If-Match names other files.
      RangeError: the file has no such bytes.
      FileNotFoundError: it is gone.
    """
    headers = {
        "ETag": f'"{facts.sha256}"',
        "Accept-Ranges": "bytes",
        "Content-Type": media_type,
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    given, tag = request.headers, headers["ETag"]
    if "if-match" in given and not _names(given["if-match"], tag, is_strong=True):
        raise PreconditionError(f"the file is {tag}, not one of those that If-Match names")
    if "if-none-match" in given and _names(given["if-none-match"], tag, is_strong=False):
        return Response(status_code=304, headers={"ETag": tag})
    if is_head(request.scope):  # a range has a meaning for GET alone
        return Response(headers=headers | {"Content-Length": str(facts.n_bytes)})
    part = _part(given, tag, facts.n_bytes)
    first, end = part or (0, facts.n_bytes)
    headers["Content-Length"] = str(end - first)
    if part:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{facts.n_bytes}"
    # Opened here: the file may be removed while it is sent, and is sent nevertheless.
    file = await anyio.to_thread.run_sync(lambda: path.open("rb", buffering=0))
    return _Sent(file, first, end, status_code=206 if part else 200, headers=headers)


class _Sent(StreamingResponse):
    """A part of an open file, which is closed whatever becomes of the client."""

    def __init__(
        self, file: FileIO, first: int, end: int, *, status_code: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(_pieces(file.fileno(), first, end), status_code, headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not in the generator: one that never began, as nobody took the first byte, has no end.
        with self._file:
            await super().__call__(scope, receive, send)


async def _pieces(handle: int, first: int, end: int) -> AsyncGenerator[bytes]:
    while first < end:
        piece = await anyio.to_thread.run_sync(os.pread, handle, min(_PIECE, end - first), first)
        if not piece:
            raise OSError("a result has become shorter")
        first += len(piece)
        yield piece


def _part(headers: Mapping[str, str], tag: str, size: int) -> tuple[int, int] | None:
    """Return first byte and end of the part that is asked for, None for the whole.

    Raises:
      RangeError: it lies beyond the end.
    """
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", "").lower())
    if found is None or headers.get("if-range", tag).strip() != tag:
        return None
    first, last = (None if text is None else int(text) for text in found.groups())
    if first is None and last is None:
        return None
    if first is None:
        first, last = max(size - (last or 0), 0), size - 1 if last else -1
    elif last is not None and last < first:
        return None  # not valid, and to be ignored
    if first >= size or last == -1:
        raise RangeError(f"the file has {size} bytes", detail={"size": size})
    return first, min(size if last is None else last + 1, size)


def _names(condition: str, tag: str, *, is_strong: bool) -> bool:
    """Whether a list of tags names a file, or is `*`."""
    if condition.strip() == "*":
        return True
    tags = (found.group() for found in _TAG.finditer(condition))
    return any(one == tag or (not is_strong and one == f"W/{tag}") for one in tags)
