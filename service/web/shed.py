"""Under overload, a request is refused before it costs anything: its body is not even parsed.

A request that wants lines is left alone: it waits in the batch lane, which has places of its own.
"""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from service.engine import Engine
from service.errors import ServiceError, ValidationError
from service.web import failures
from service.web.record import record_of
from service.web.state import seconds_of, wants_lines


class Shed:
    """ASGI middleware that refuses what no model could answer in time, whatever it asks."""

    def __init__(self, app: ASGIApp, *, engine: Engine, paths: frozenset[str]) -> None:
        """Wrap an app.

        Args:
          app: what answers the others.
          engine: of the app.
          paths: of the routes that wait in the interactive lane.
        """
        self._app = app
        self._engine = engine
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, if there is room for the smallest request."""
        is_quick = (
            scope["type"] == "http"
            and scope["path"] in self._paths
            and scope["method"] == "POST"
            and not wants_lines(scope)
        )
        if is_quick:
            error = self._refusal(scope)
            if error is not None:
                record_of(scope).route = scope["path"]  # no router will say it
                await failures.answer(scope, receive, send, error)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> ServiceError | None:
        try:
            seconds = seconds_of(scope)
        except ValidationError as wrong:  # waiting would not help
            return wrong
        deadline = time.monotonic() + (seconds or self._engine.settings.timeout)
        error = None
        for batcher in self._engine.batchers.values():
            error = batcher.refusal(1, deadline)
            if error is None:
                return None
        return error
