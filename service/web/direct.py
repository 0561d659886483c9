"""The way to the routes that score, past everything that they do not need.

The router tries one route after the other, and each request passes its machinery for dependencies,
exceptions and telemetry on the way: together about as much as all that is done for a small request
here. `python -m tests.bench_guard` measures what this saves.
"""

from collections.abc import Iterable

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import ServiceError
from service.web import failures
from service.web.jsonroute import JsonRoute


class Direct:
    """ASGI middleware that answers a POST to one of some fixed paths itself."""

    def __init__(self, app: ASGIApp, *, routes: Iterable[BaseRoute]) -> None:
        """Wrap an app.

        Args:
          app: what answers all other requests, the same paths with other methods included.
          routes: of the app; those that are a `JsonRoute` are answered here.
        """
        self._app = app
        self._routes = {
            route.path: (route, route.get_route_handler())
            for route in routes
            if isinstance(route, JsonRoute) and route.methods == {"POST"}
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or run the app on it."""
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or (found := self._routes.get(scope["path"])) is None
        ):
            await self._app(scope, receive, send)
            return
        scope["route"], handler = found
        try:
            response = await handler(Request(scope, receive, send))
        except ServiceError as error:
            response = failures.response(scope, error)
        except RequestValidationError as error:
            response = failures.response(scope, failures.problem_of(error))
        await response(scope, receive, send)
