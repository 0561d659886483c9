"""Servers of the page for the tests, in threads of this process, and what a proxy does."""

import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from service.app import create_app
from service.server import configuration
from service.settings import Settings

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
PATIENCE = 60.0


@contextmanager
def serving(settings: Settings, wrap: Callable[[Any], App] | None = None) -> Iterator[str]:
    """Serve an app until the end of the block; yields the address of its page."""
    app = create_app(settings)
    config = configuration(app, settings)
    if wrap:
        config.app = wrap(app)
    config.log_config = None
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        end = time.monotonic() + PATIENCE
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < end
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


def behind(prefix: str) -> Callable[[Any], App]:
    """Return what a proxy does that publishes an app below a path: it takes the path away."""

    def wrap(app: Any) -> App:
        async def proxy(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                assert scope["path"].startswith(prefix), scope["path"]
                path = scope["path"].removeprefix(prefix.rstrip("/"))
                scope = {**scope, "path": path, "raw_path": path.encode()}
            await app(scope, receive, send)

        return proxy

    return wrap
