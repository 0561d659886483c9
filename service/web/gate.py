"""The gate that lets nobody without an API key past: `headers -> Key`."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import UnauthorisedError
from service.web import failures
from service.web.keys import KeyRing
from service.web.record import record_of

# What a prober, a scraper or a newcomer reads before they have a key.
OPEN = frozenset({
    "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready",
    "/docs", "/openapi.json", "/service-info",
})  # fmt: skip
_MOST_BYTES = 512


class KeyGate:
    """ASGI middleware that lets nobody without a key past, except to health and documentation."""

    def __init__(self, app: ASGIApp, *, ring: KeyRing, open_paths: Iterable[str] = ()) -> None:
        """Wrap an app.

        Args:
          app: what is behind the gate.
          ring: the keys.
          open_paths: further paths that need no key.
        """
        self._app = app
        self._ring = ring
        self._open = OPEN.union(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out who calls; answer 401 where nobody knows."""
        if scope["type"] == "http" and scope["path"] not in self._open:
            text = _given(scope)
            key = self._ring.find(text) if text else None
            if key is None:
                problem = "is unknown" if text else "is missing"
                error = UnauthorisedError(
                    f"the API key {problem}; send it as `Authorization: Bearer KEY` or X-API-Key"
                )
                await failures.answer(scope, receive, send, error)
                return
            record_of(scope).key = key
        await self._app(scope, receive, send)


def _given(scope: Scope) -> bytes:
    """Return the key in the headers, empty where there is none."""
    headers = dict(scope["headers"])
    text: bytes = headers.get(b"x-api-key", b"")
    scheme, _, rest = headers.get(b"authorization", b"").partition(b" ")
    if not text and scheme.lower() == b"bearer":
        text = rest.strip()
    return text[:_MOST_BYTES]
