"""The end of a server: not ready first, then nothing new, and every accepted request answered."""

import asyncio
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import pytest
import uvicorn

from service.app import create_app
from service.registry import Model
from service.server import Server, configuration
from service.settings import Settings
from tests.lean_client import closed_loop, request_bytes, served

PAIR = {"ref": "ACGTACGT", "alt": "ACGAACGT"}
BODY = {"model": "sum", "sequences": [PAIR]}


def test_a_drain_answers_what_was_accepted(toy_models_dir, monkeypatch):
    started, release = threading.Event(), threading.Event()
    app = create_app(Settings(models=toy_models_dir, threads=1, device="cpu"))
    original = Model.run

    def slow(self, bases):
        started.set()
        assert release.wait(30)
        return original(self, bases)

    monkeypatch.setattr(Model, "run", slow)
    door = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=30)
    server = Server(config, app.state.engine, drain_delay=0.5)
    running = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    running.start()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(httpx.post, f"{url}/v1/score", json=BODY, timeout=30)
        assert started.wait(30)
        assert httpx.get(f"{url}/health/ready").status_code == 200
        server.handle_exit(signal.SIGTERM, None)
        ready = httpx.get(f"{url}/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "draining")
        second = pool.submit(httpx.post, f"{url}/v1/score", json=BODY, timeout=30)
        deadline = time.monotonic() + 30
        # Refused, or reset where the socket was closed before the connection was accepted.
        with pytest.raises((httpx.ConnectError, httpx.ReadError)):
            while time.monotonic() < deadline:
                httpx.get(f"{url}/health/live")
                time.sleep(0.05)
        assert running.is_alive()
        release.set()
        for answer in (first.result(), second.result()):
            assert answer.status_code == 200, "accepted before or during the drain"
            assert answer.json()["results"][0]["status"] == "ok"
    running.join(30)
    assert not running.is_alive()
    assert not any(thread.is_alive() for thread in app.state.engine.batchers["sum"]._threads)


@pytest.mark.parametrize(
    ("signals", "seconds"),
    [([signal.SIGTERM], 1), ([signal.SIGINT], 0), ([signal.SIGTERM, signal.SIGTERM], 0)],
)
def test_a_signal_ends_it_with_code_zero(toy_models_dir, signals, seconds):
    options = "--models", toy_models_dir, "--drain-delay", 1 if seconds else 30, "--threads", 1
    with served(*options) as server:
        requests = [request_bytes("/v1/score", BODY)]
        answers, n_lost, _ = asyncio.run(closed_loop(server.port, requests, clients=3, seconds=0.2))
        assert n_lost == 0
        assert {answer.status for answer in answers} == {200}
        start = time.monotonic()
        for one in signals:
            server.process.send_signal(one)
            time.sleep(0.2)
        assert server.process.wait(20) == 0
        assert time.monotonic() - start >= seconds
        assert "Traceback" not in server.log.read_text()


def test_no_connection_becomes_another_protocol(toy_models_dir):
    """An upgraded one would leave the bounds of time and the gate of keys, which look at HTTP."""
    settings = Settings(models=toy_models_dir, threads=1, device="cpu")
    config = configuration(create_app(settings), settings)
    config.load()
    assert config.ws_protocol_class is None
