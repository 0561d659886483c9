"""What stands before every route: request ids, headers, logs, metrics, keys, body limits, errors.

```
Guard (record, headers, log line, metrics, bugs) -> CORS -> KeyGate -> BodyDoor -> routes
```
"""

from pathlib import Path

from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ValidationError
from service.settings import Settings
from service.web import docs, failures, game, gate, headers, kserve, metrics, page
from service.web.body import BodyDoor
from service.web.keys import KeyRing
from service.web.limits import Quotas
from service.web.logs import Log, Sink
from service.web.record import open_record, route_of

# These read the stream themselves.
OWN_BODY_LIMIT = ("/predict", "/v1/jobs")

_SHAPES: dict[str, failures.Shape] = {
    "/v2": kserve.error_body,
    "/formats": game.error_body,
    "/help": game.error_body,
    "/predict": game.error_body,
}


def install(
    app: FastAPI, settings: Settings, *, sink: Sink | None = None, shared: Path | None = None
) -> None:
    """Put an app behind its guard.

    Args:
      app: the app; `app.state.engine` is there already.
      settings: which parts are on, and their bounds.
      sink: where log lines go; stderr by default.
      shared: folder of a service of several workers: `service.web.shared`.

    Raises:
      InputFileError: the file of keys cannot be read.
      ValidationError: metrics are for keys only, and there are no keys.
    """
    if settings.metrics == "key" and settings.keys is None:
        raise ValidationError("--metrics key needs --keys FILE", detail={"setting": "metrics"})
    failures.add_error_handlers(app, _SHAPES)
    counts = app.state.metrics = metrics.Metrics(app.state.engine, shared)
    if settings.metrics != "off":
        app.include_router(counts.router())
    docs.install(
        app, has_keys=settings.keys is not None, open_paths=gate.OPEN, other_shapes=_SHAPES
    )
    # The last one added is the first that a request meets.
    app.add_middleware(
        BodyDoor,
        max_bytes=settings.max_body_bytes,
        seconds=settings.body_timeout,
        own_limit=OWN_BODY_LIMIT,
    )
    if settings.keys is not None:
        ring = KeyRing.open(settings.keys)
        app.state.quotas = Quotas(ring.keys, shared)
        is_open = settings.metrics == "open"
        app.add_middleware(
            gate.KeyGate,
            ring=ring,
            open_paths=page.open_paths().union((metrics.PATH,) if is_open else ()),
        )
    if settings.cors_origins:
        headers.allow_origins(app, settings.cors_origins)
    log = app.state.log = Log(is_debug=settings.debug, sink=sink)
    app.add_middleware(Guard, log=log, counts=counts)


class Guard:
    """ASGI middleware around all others: nothing leaves without headers, a log line and a count."""

    def __init__(self, app: ASGIApp, *, log: Log, counts: metrics.Metrics) -> None:
        """Wrap an app."""
        self._app = app
        self._log = log
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app on a request and report what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = open_record(scope)
        record.headers.append((b"x-request-id", record.request_id.encode()))

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers.complete(message, record.headers)
            await send(message)

        try:
            await self._app(scope, receive, completed)
        except ClientDisconnect:
            pass  # a route that reads its own stream found nobody at the other end
        except Exception as error:  # noqa: BLE001  (a bug is reported here and goes no further)
            record.route = route_of(scope) or record.route
            record.error = failures.bug(scope).type
            self._log.broken(record, error)
            # Where an answer has begun, the server sees that it has no end and closes the line.
            if record.status is None:
                await failures.answer(scope, receive, completed, failures.bug(scope))
        finally:
            record.route = route_of(scope) or record.route
            self._log.answered(record)
            self._counts.answered(record)
