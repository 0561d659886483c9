"""Connections that send their headers in time and in bounds, which uvicorn leaves to a proxy."""

from asyncio import BaseTransport, TimerHandle, Transport
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# What h11 allows, the other parser of uvicorn.
MAX_HEAD_BYTES = 1 << 16
HEAD_SECONDS = 20.0

_REFUSAL = (
    b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\n"
    b"connection: close\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, but a request line and its headers may be neither endless nor late.

    A client that connects and says nothing counts as late too, and one that sends what belongs to
    no request: blank lines, or the rest of a body that was refused.
    """

    head_seconds = HEAD_SECONDS
    _is_in_head = False
    _n_head_bytes = 0
    _timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Give the first request its time."""
        super().connection_made(cast(Transport, transport))
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time."""
        self._stop()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._is_in_head, self._n_head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Count no further."""
        self._is_in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Parse what came in, unless the head is too long by now."""
        super().data_received(data)
        if not (self._is_in_head or self._is_idle):
            self._stop()
            return
        if self._is_in_head:
            self._n_head_bytes += len(data)
        if self._n_head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, b"Request Header Fields Too Large")
        elif self._timer is None:
            self._start()

    @property
    def _is_idle(self) -> bool:
        """No request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _start(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self._late)

    def _late(self) -> None:
        if self._is_in_head or self.cycle is None:
            self._refuse(408, b"Request Timeout")
        else:  # every request had its answer
            self._stop()
            self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, code: int, reason: bytes) -> None:
        self._stop()
        if not self.transport.is_closing():
            self.transport.write(_REFUSAL % (code, reason))
            self.transport.close()
