"""The door for bodies: how long, how slow, how packed they may be, and how many at once.

Those of answers too, as far as their readers go: one that takes nothing holds up what writes it.
"""

import asyncio
from collections.abc import Collection

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import (
    BodyTimeoutError,
    EncodingError,
    OverloadedError,
    RequestTooLargeError,
    ServiceError,
)
from service.web import failures

# All bodies that are arriving or being answered hold at most as much as so many full ones.
_FULL_BODIES = 32
_PLAIN = {b"", b"identity"}
_GONE = ServiceError("the client has left")


class BodyDoor:
    """ASGI middleware that takes a whole body in before the app runs, within its bounds.

    A client that does not take a part of its answer in that time counts as gone.

    FastAPI's own limit answers in plain text where a route does not read the body, and bounds
    neither the time nor the sum of all bodies.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, seconds: float, own_limit: Collection[str] = ()
    ) -> None:
        """Wrap an app.

        Args:
          app: what is behind the door.
          max_bytes: longest body.
          seconds: longest time for one to arrive, and for a part of an answer to leave.
          own_limit: paths of routes that read the stream themselves and bound it.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._own_limit = frozenset(own_limit)
        self._free = _FULL_BODIES * max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the body in, then run the app on it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        head: Message | None = None

        async def in_time(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = message  # it leaves with the first part, in one time for both
                return
            try:
                async with asyncio.timeout(self._seconds):
                    if head is not None:
                        start, head = head, None
                        await send(start)
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        headers = dict(scope["headers"])
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if encoding not in _PLAIN:
            error = EncodingError("the body has a Content-Encoding; send it as it is")
            await failures.answer(scope, receive, send, error)
            return
        if scope["path"] in self._own_limit:
            await self._app(scope, receive, in_time)
            return
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and float(declared) > self._max_bytes:
            await failures.answer(scope, receive, send, self._too_long())
            return
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                problem = await self._take(body, receive)
        except TimeoutError:
            problem = BodyTimeoutError(f"the body took longer than {self._seconds:g} s to arrive")
        n_bytes = len(body)
        try:
            if problem is _GONE:
                return
            if problem is not None:
                await failures.answer(scope, receive, send, problem)
                return
            pending: list[Message] = [{"type": "http.request", "body": bytes(body)}]
            body.clear()

            async def replay() -> Message:
                return pending.pop() if pending else await receive()

            await self._app(scope, replay, in_time)
        finally:
            self._free += n_bytes

    async def _take(self, body: bytearray, receive: Receive) -> ServiceError | None:
        """Fill in a body; return what is wrong with it."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return _GONE
            chunk: bytes = message.get("body", b"")
            if len(body) + len(chunk) > self._max_bytes:
                return self._too_long()
            if len(chunk) > self._free:
                return OverloadedError(
                    "too many bodies are held at once; try again later", retry_after=1
                )
            body += chunk
            self._free -= len(chunk)
            if not message.get("more_body", False):
                return None

    def _too_long(self) -> RequestTooLargeError:
        return RequestTooLargeError(
            f"the body is longer than {self._max_bytes} bytes", detail={"limit": self._max_bytes}
        )
