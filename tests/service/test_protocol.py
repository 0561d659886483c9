"""Connections: heads that never end or come too slowly, over a real socket."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from service.web.protocol import MAX_HEAD_BYTES, BoundedProtocol
from tests.service.guarded import guarded


class Hasty(BoundedProtocol):
    head_seconds = 0.3


@contextlib.contextmanager
def served(protocol) -> Iterator[int]:
    """A server on a free port, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        config = uvicorn.Config(guarded(), http=protocol, log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield door.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    with served(Hasty) as number:
        yield number


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def answer(line: socket.socket) -> bytes:
    """Everything until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := line.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
REFUSED = b"POST /v1/echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"


def test_ordinary_requests_are_answered_on_one_connection(port):
    with connect(port) as line:
        for _ in range(3):
            line.sendall(GET + b"\r\n")
            time.sleep(0.2)  # longer altogether than one head may take
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 200")
        line.sendall(GET[:9])
        time.sleep(0.1)
        line.sendall(GET[9:] + b"connection: close\r\n\r\n")
        assert answer(line).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("start", [b"", GET, GET + b"\r\n" + GET])
def test_a_head_that_does_not_come_to_its_end_is_given_up(port, start):
    with connect(port) as line:
        began = time.perf_counter()
        line.sendall(start)
        found = answer(line)
        assert b"HTTP/1.1 408" in found
        assert 0.25 < time.perf_counter() - began < 5


def test_the_head_of_a_later_request_has_its_time_too(port):
    with connect(port) as line:
        line.sendall(GET + b"\r\n")
        first = b""
        while not first.endswith(b"}"):  # its head and its body may come one by one
            first += line.recv(1 << 16)
        assert first.startswith(b"HTTP/1.1 200")
        began = time.perf_counter()
        line.sendall(GET)
        line.settimeout(5)
        assert answer(line).startswith(b"HTTP/1.1 408")
        assert time.perf_counter() - began > 0.25


@pytest.mark.parametrize("start", [b"", GET + b"\r\n", REFUSED])
def test_what_belongs_to_no_request_keeps_no_connection(port, start):
    with connect(port) as line:
        line.settimeout(5)
        if start:
            line.sendall(start)
            line.recv(1 << 16)
        began = time.perf_counter()
        line.sendall(b"\r\n")
        answer(line)
        assert 0.25 < time.perf_counter() - began < 4


def test_a_body_has_the_time_of_bodies(port):
    with connect(port) as line:
        line.sendall(b"POST /v1/echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n")
        for part in (b"ab", b"cd", b"ef"):
            time.sleep(0.2)
            line.sendall(part)
        answered = line.recv(1 << 16)
        while not answered.endswith(b"abcdef"):  # it may come in parts
            part = line.recv(1 << 16)
            assert part, answered
            answered += part


def test_a_head_that_drips_is_given_up(port):
    with connect(port) as line:
        line.sendall(GET)
        with pytest.raises(OSError, match=r"reset|pipe"):
            for _ in range(500):
                line.sendall(b"a: b\r\n")
                time.sleep(0.01)


@pytest.mark.parametrize("part", [b"a: " + b"b" * 1000 + b"\r\n", b"a" * 1000])
def test_an_endless_head_is_cut_off(port, part):
    with connect(port) as line:
        line.sendall(GET)
        n_sent = 0
        with contextlib.suppress(ConnectionError):
            while n_sent < 64 * MAX_HEAD_BYTES:
                n_sent += line.send(part)
        # What the sockets hold of it comes on top of what the server took in.
        assert n_sent < 64 * MAX_HEAD_BYTES
