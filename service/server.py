"""The process that listens: uvicorn on uvloop, and an end that loses no accepted request.

On SIGTERM /health/ready says 503 while everything is still answered, so that a balancer turns
away first; then nothing new is accepted, what was accepted is finished, and the process ends with
code 0. SIGINT leaves the first part out.
"""

import gc
import math
import signal
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.engine import Engine
from service.settings import Settings
from service.web import startup
from service.web.logs import uvicorn_log_config
from service.web.protocol import BoundedProtocol

# Longer than a balancer's 60 s, which would otherwise send a request into a closing connection.
_KEEP_ALIVE_SECONDS = 75


class Server(uvicorn.Server):
    """uvicorn's server with a drain before its shutdown."""

    def __init__(self, config: uvicorn.Config, engine: Engine, drain_delay: float) -> None:
        """Wrap a configuration.

        Args:
          config: of uvicorn.
          engine: told when it drains.
          drain_delay: seconds between SIGTERM and the shutdown.
        """
        super().__init__(config)
        self._engine = engine
        self._delay = drain_delay
        self._closes_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on the first SIGTERM, shut down on anything else."""
        if sig == signal.SIGTERM and not self._engine.is_draining:
            self.drain()
        elif sig == signal.SIGTERM:
            # uvicorn would raise it again at the end, and the exit code would speak of a crash.
            self.close()
        else:
            self._engine.is_draining = True
            super().handle_exit(sig, frame)

    def drain(self) -> None:
        """Be not ready from now on, and shut down after the delay."""
        if not self._engine.is_draining:
            self._engine.is_draining = True
            self._closes_at = time.monotonic() + self._delay

    def close(self) -> None:
        """Shut down now: what was accepted is finished."""
        self._engine.is_draining = True
        self._closes_at = -math.inf

    async def on_tick(self, counter: int) -> bool:
        """Say whether it is time to shut down; called every tenth of a second."""
        return await super().on_tick(counter) or time.monotonic() >= self._closes_at


def run(app: FastAPI, settings: Settings, door: socket.socket) -> None:
    """Answer requests on a listening socket until a signal ends it."""
    server = Server(configuration(app, settings), app.state.engine, settings.drain_delay)
    run_server(app, server, door)


def configuration(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn runs an app."""
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",  # nothing here speaks it, and an upgraded connection would leave all bounds
        log_config=uvicorn_log_config(),
        access_log=False,  # the guard writes a line for each request
        server_header=False,
        proxy_headers=False,  # nothing here asks whose address or scheme it was
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout),
    )


def run_server(app: FastAPI, server: Server, door: socket.socket) -> None:
    """Run the server of an app on a listening socket until it ends, and say what it serves."""
    engine: Engine = app.state.engine
    app.state.log.started(startup.facts(engine, door.getsockname()), startup.warnings(engine))
    # What is loaded by now stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    server.run(sockets=[door])
