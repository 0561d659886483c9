"""A server in a process of its own, and an HTTP client that costs little beside it.

Both share the cores of one machine, so a client that spends a millisecond on a request would
measure itself. This one writes requests that were made beforehand, looks for the length of the
answer, and keeps the bytes; what they say is looked at later.
"""

import asyncio
import itertools
import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
FASTA = ROOT / "examples/chr17.hg19.part.fa"

_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request.

    Attributes:
      number: which request it was.
      status: of HTTP.
      retry_after: seconds of the header, None without it.
      seconds: from the write of the request to the last byte of the answer.
      body: as it came.
    """

    number: int
    status: int
    retry_after: int | None
    seconds: float
    body: bytes


def request_bytes(path: str, body: object, headers: Sequence[str] = ()) -> bytes:
    """Return a POST of JSON as it goes over the wire."""
    content = json.dumps(body, separators=(",", ":")).encode()
    lines = [
        f"POST {path} HTTP/1.1", "host: test", "content-type: application/json",
        f"content-length: {len(content)}", *headers,
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + _HEAD_END + content


class Connection(asyncio.Protocol):
    """One keep-alive connection.

    Attributes:
      answers: all that came, in order.
      is_lost: the line was closed while an answer was due.
      done: set when it is closed.
    """

    def __init__(self, on_free: Callable[["Connection"], None]) -> None:
        """Tell `on_free` whenever the connection can be asked something, or be closed."""
        self._on_free = on_free
        self._buffer = bytearray()
        self._needed = -1
        self._number = -1
        self._began = 0.0
        self.answers: list[Answer] = []
        self.is_lost = False
        self.done = asyncio.get_running_loop().create_future()

    def ask(self, number: int, content: bytes) -> None:
        """Send a request."""
        self._number = number
        self._began = time.perf_counter()
        self._transport.write(content)

    def close(self) -> None:
        """Close the line, once no answer is due."""
        if self._number < 0:
            self._transport.close()
        else:
            self._on_free = Connection.close

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be free for the first time."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._on_free(self)

    def data_received(self, data: bytes) -> None:
        """Collect an answer; when it is whole, be free again."""
        self._buffer += data
        if self._needed < 0:
            end = self._buffer.find(_HEAD_END)
            if end < 0:
                return
            length = _LENGTH.search(self._buffer, 0, end)
            self._needed = end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._buffer) >= self._needed:
            self._keep()
            self._on_free(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Note whether an answer was due."""
        self.is_lost = self._number >= 0
        if not self.done.done():
            self.done.set_result(None)

    def _keep(self) -> None:
        seconds = time.perf_counter() - self._began
        head = bytes(self._buffer[: self._buffer.find(_HEAD_END)])
        status = _STATUS.match(head)
        retry = _RETRY_AFTER.search(head)
        self.answers.append(
            Answer(
                self._number,
                int(status[1]) if status else 0,
                int(retry[1]) if retry else None,
                seconds,
                bytes(self._buffer[len(head) + len(_HEAD_END) : self._needed]),
            )
        )
        del self._buffer[: self._needed]
        self._needed = self._number = -1


async def closed_loop(
    port: int, requests: Sequence[bytes], *, clients: int, seconds: float, first: int = 0
) -> tuple[list[Answer], int, float]:
    """Let clients ask, each again as soon as it is answered.

    Args:
      port: of the server on this machine.
      requests: asked in turn, from `first` on, around and around.
      clients: connections.
      seconds: after which none asks again.
      first: number of the first request.

    Returns:
      The answers, how many requests were lost, and the seconds until the last answer.
    """
    numbers = itertools.count(first)
    end = time.perf_counter() + seconds

    def ask(connection: Connection) -> None:
        if time.perf_counter() >= end:
            connection.close()
        else:
            number = next(numbers)
            connection.ask(number, requests[number % len(requests)])

    began = time.perf_counter()
    made = await _connections(port, clients, ask)
    await asyncio.gather(*(connection.done for connection in made))
    return *_outcome(made), time.perf_counter() - began


async def open_loop(
    port: int, requests: Sequence[bytes], *, rate: float, seconds: float, connections: int
) -> tuple[list[Answer], int, int]:
    """Send requests at a rate, whatever comes back, each over a connection that is free.

    Returns:
      The answers, how many requests were lost, and how many could not be sent because no
      connection was free.
    """
    # Each in its turn, so that none is idle for so long that the server closes it.
    free: deque[Connection] = deque()
    made = await _connections(port, connections, free.append)
    start, number, n_unsent = time.perf_counter(), 0, 0
    while (now := time.perf_counter() - start) < seconds:
        for due in range(number, int(now * rate)):
            if free:
                free.popleft().ask(due, requests[due % len(requests)])
            else:
                n_unsent += 1
        number = int(now * rate)
        await asyncio.sleep(0.002)
    for connection in made:
        connection.close()
    await asyncio.gather(*(connection.done for connection in made))
    return *_outcome(made), n_unsent


async def _connections(
    port: int, n: int, on_free: Callable[[Connection], None]
) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(on_free), "127.0.0.1", port)
        for _ in range(n)
    ]
    return [connection for _, connection in made]


def _outcome(made: Sequence[Connection]) -> tuple[list[Answer], int]:
    answers = [answer for connection in made for answer in connection.answers]
    return answers, sum(connection.is_lost for connection in made)


@dataclass(frozen=True, slots=True)
class Served:
    """A running server.

    Attributes:
      process: its process.
      port: where it listens on this machine.
      log: file with what it wrote to stderr.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def memory(self) -> int:
        """Bytes of memory that it holds."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the server is gone")


@contextmanager
def served(*options: object) -> Iterator[Served]:
    """Run `varsigma serve` with the example reference until the end of the block; it takes jobs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        command = [
            sys.executable, "-m", "service.cli", "serve", "--reference", FASTA, "--assembly",
            "GRCh37", "--port", port, "--jobs", Path(folder, "jobs"), *options,
        ]  # fmt: skip
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=log)
        try:
            _wait(process, port, Path(log.name))
            yield Served(process, port, Path(log.name))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {log.read_text()}")
        try:
            with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=60):
                return
        except (URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError("the server did not start")
