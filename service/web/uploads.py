"""The stream of a request -> a file, bounded in bytes, in time and in number."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from service.errors import BodyTimeoutError, DiskFullError, OverloadedError, RequestTooLargeError
from service.jobs.uploads import Upload
from service.settings import Settings

_AT_ONCE = 8
# Of one API key: a slow upload may keep its place for hours.
_OF_ONE = 2
_RETRY = 10.0
# What is held in memory of each.
_PIECE = 1 << 20


class Uploads:
    """Takes uploads in, a few at a time.

    A slow one may take as long as it keeps the pace that other bodies must have: in every
    `body_timeout` seconds `max_body_bytes`.
    """

    def __init__(self, settings: Settings) -> None:
        """Take the bounds from the settings."""
        self._limit = settings.max_upload_bytes
        self._seconds = settings.body_timeout
        self._pace = settings.body_timeout / settings.max_body_bytes
        self._n_of: Counter[str | None] = Counter()

    @contextmanager
    def place(self, owner: str | None) -> Iterator[None]:
        """Hold one of the places.

        Args:
          owner: who sends it; where there are no API keys, nobody is told from others.

        Raises:
          OverloadedError: none is free, or the owner has enough of them.
        """
        if self._n_of.total() >= _AT_ONCE:
            raise OverloadedError(
                f"{_AT_ONCE} uploads are arriving; try again later", retry_after=_RETRY
            )
        if owner is not None and self._n_of[owner] >= _OF_ONE:
            raise OverloadedError(
                f"{_OF_ONE} uploads of yours are arriving; try again when one is there",
                retry_after=_RETRY,
            )
        self._n_of[owner] += 1
        try:
            yield
        finally:
            self._n_of[owner] -= 1
            if not self._n_of[owner]:
                del self._n_of[owner]

    def check_length(self, request: Request, n_free: int) -> None:
        """Refuse what is too long before any of it is read, if it says so.

        Args:
          request: whose headers say how long.
          n_free: bytes that the disk has left.

        Raises:
          RequestTooLargeError: longer than the limit.
          DiskFullError: longer than what the disk has left.
        """
        declared = request.headers.get("content-length", "")
        n_bytes = int(declared) if declared.isdigit() and len(declared) < 20 else 0
        if n_bytes > self._limit:
            raise self._too_long()
        if n_bytes > n_free:
            raise DiskFullError("there is no space for the upload; ask who runs the service")

    async def receive(self, request: Request, upload: Upload) -> None:
        """Write the body of a request to a file.

        Raises:
          RequestTooLargeError: it is longer than the limit.
          BodyTimeoutError: it comes too slowly.
          DiskFullError: there is no space for it.
          ClientDisconnect: nobody sends the rest.
        """
        piece = bytearray()
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(began + self._seconds) as limit:
                async for chunk in request.stream():
                    piece += chunk
                    n_bytes = upload.n_bytes + len(piece)
                    if n_bytes > self._limit:
                        raise self._too_long()
                    if len(piece) >= _PIECE:
                        await asyncio.to_thread(upload.write, bytes(piece))
                        piece.clear()
                        limit.reschedule(began + self._seconds + n_bytes * self._pace)
        except TimeoutError:
            raise BodyTimeoutError(
                f"the upload came more slowly than {round(1 / self._pace)} bytes a second"
            ) from None
        await asyncio.to_thread(upload.write, bytes(piece))
        await asyncio.to_thread(upload.sync)

    def _too_long(self) -> RequestTooLargeError:
        return RequestTooLargeError(
            f"the upload is longer than {self._limit} bytes; split it",
            detail={"limit": self._limit},
        )
