"""Hostile requests to the whole service, in this process: `python -m tests.fuzz_http`.

Every answer must be one that the interface documents, never 500, complete, valid JSON (no NaN),
with the service's headers, and must tell nothing of files or code. Memory stays within a bound.
A service that is too busy to look at what it gets would pass all that: good requests must be
answered, and few be turned away unread. `--only N` repeats request number N of a seed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
from fastapi import FastAPI

from service.app import create_app
from service.jobs.store import Store
from service.settings import Settings
from service.web.record import record_of
from tests.genomes import CHR1, write_fasta
from tests.hostile import Hostile, hostile
from tests.toy_models import write_model

MAX_BODY_BYTES = 1 << 17
AT_ONCE = 8
PATIENCE = 60.0
# What the guard answers where no route is found.
_NO_ROUTE = {404, 405, 408, 413, 415}
_TELLTALES = (b"Traceback", b'File "', b"/tmp/", b"site-packages", b"root:x:0")
_MIB = 1 << 20
# Nothing scores the jobs that come of uploads: they are removed after so many requests.
_JOBS_LAST = 500
_MAX_JOBS = 500
# Some requests of these families are good ones.
_SOME_GOOD = ("changed", "long", "typed", "upload")
_MAX_BUSY = 0.02
_ENOUGH = 1000


@dataclass
class Report:
    """What came of many requests.

    Attributes:
      statuses: how often each status came.
      families: requests of each family, with the status.
      problems: number of a request and what is wrong with its answer.
      slowest: seconds, number and family.
      n: requests.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    families: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: list[tuple[int, str]] = field(default_factory=list)
    slowest: tuple[float, int, str] = (0.0, 0, "")
    n: int = 0


@dataclass
class Answer:
    """What an app sent to one request."""

    route: str | None
    messages: list[dict[str, Any]]
    seconds: float

    @property
    def status(self) -> int:
        """0 where nothing was sent."""
        return self.messages[0]["status"] if self.messages else 0

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])


def make_app(folder: Path, *, is_debug: bool = False) -> FastAPI:
    """Return the service with toy models, a tiny genome and small limits."""
    write_model(folder / "models")
    fasta = write_fasta(folder / "tiny.fa", {"chr1": CHR1})
    return create_app(
        Settings(
            models=folder / "models",
            reference=fasta,
            device="cpu",
            threads=1,
            max_body_bytes=MAX_BODY_BYTES,
            game_max_body_bytes=2 * MAX_BODY_BYTES,
            body_timeout=5,
            jobs=folder / "jobs",
            max_upload_bytes=2 * MAX_BODY_BYTES,
            max_jobs=_MAX_JOBS,
            debug=is_debug,
        )
    )


def fuzz(
    app: FastAPI,
    numbers: range,
    seed: int,
    *,
    max_problems: int = 20,
    on_progress: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Send requests of these numbers, several at once; stop after some problems.

    Args:
      app: the service.
      numbers: of the requests.
      seed: that they are made with.
      max_problems: after which to stop.
      on_progress: told after every tenth.
    """
    step = max(len(numbers) // 10, 1)
    documented = {
        (path, method.upper()): {int(code) for code in operation["responses"]} - {500}
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }
    report = Report()
    left = iter(numbers)

    async def work() -> None:
        for n in left:
            request = hostile(seed, n, MAX_BODY_BYTES)
            found = await _send(app, request)
            report.n += 1
            report.statuses[found.status] += 1
            report.families[request.family, found.status] += 1
            if report.n % _JOBS_LAST == 0:
                _remove_jobs(app)
            report.slowest = max(report.slowest, (found.seconds, n, request.family))
            problem = _problem(request, found, documented)
            if problem:
                report.problems.append((n, problem))
            if report.n % step == 0:
                on_progress(report)
            if len(report.problems) >= max_problems:
                return

    async def everything() -> None:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    asyncio.run(everything())
    return report


def unread(report: Report) -> list[str]:
    """Say which families of many requests had no good answer, or too many of a busy service."""
    by_family = _by_family(report)
    problems = [
        f"{family}: no good answer"
        for family in _SOME_GOOD
        if not any(200 <= status < 300 for status in by_family.get(family, {}))
    ]
    for family, statuses in by_family.items():
        if statuses[503] > _MAX_BUSY * statuses.total():
            problems.append(f"{family}: {statuses[503]} of {statuses.total()} were turned away")
    return problems


def _by_family(report: Report) -> dict[str, Counter[int]]:
    found: dict[str, Counter[int]] = {}
    for (family, status), n in sorted(report.families.items()):
        found.setdefault(family, Counter())[status] = n
    return found


def _remove_jobs(app: FastAPI) -> None:
    store: Store = app.state.desk.store
    for job in store.of(None, sys.maxsize):
        job.cancel()
        store.remove(job)


async def _send(app: FastAPI, request: Hostile) -> Answer:
    messages: list[dict[str, Any]] = []
    last = len(request.chunks) - 1
    incoming = [
        {"type": "http.request", "body": chunk, "more_body": place < last or request.is_cut}
        for place, chunk in enumerate(request.chunks)
    ][::-1]

    async def receive() -> dict[str, Any]:
        if incoming:
            await asyncio.sleep(0)
            return incoming.pop()
        if request.is_cut:
            return {"type": "http.disconnect"}
        await asyncio.sleep(PATIENCE)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": request.method, "path": request.path, "query_string": b"", "root_path": "",
        "raw_path": request.path.encode("utf-8", "replace"), "headers": request.headers,
        "scheme": "http", "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip
    start = time.perf_counter()
    await asyncio.wait_for(app(scope, receive, send), PATIENCE)
    return Answer(record_of(scope).route, messages, time.perf_counter() - start)


def _problem(
    request: Hostile, found: Answer, documented: dict[tuple[str, str], set[int]]
) -> str | None:
    """Return what is wrong with an answer, None where it is as it should be."""
    if not found.messages and request.is_cut:
        return None
    kinds = [message["type"] for message in found.messages]
    if kinds[:1] != ["http.response.start"] or set(kinds[1:]) != {"http.response.body"}:
        return f"messages {kinds[:5]}"
    if found.messages[-1].get("more_body", False) and not request.is_cut:
        return "an answer without an end"
    method = "GET" if request.method == "HEAD" else request.method
    allowed = documented.get((found.route or request.path, method), _NO_ROUTE | {200})
    if found.status not in allowed:
        return f"status {found.status} of {method} {found.route}: {found.body[:300]!r}"
    return _unsound(
        dict(found.messages[0]["headers"]), b"" if request.method == "HEAD" else found.body
    )


def _unsound(headers: dict[bytes, bytes], body: bytes) -> str | None:
    if len(headers.get(b"x-request-id", b"")) < 2 or b"\n" in b"".join(headers.values()):
        return f"headers {headers}"
    if any(telltale in body for telltale in _TELLTALES):
        return f"tells {body[:300]!r}"
    return _unreadable(headers, body) if body else None


def _unreadable(headers: dict[bytes, bytes], body: bytes) -> str | None:
    kind = headers.get(b"content-type", b"").partition(b";")[0]
    try:
        if kind == b"application/json":
            json.loads(body.decode(), parse_constant=_refuse)
        elif kind == b"application/x-ndjson":
            for line in body.decode().splitlines():
                json.loads(line, parse_constant=_refuse)
        elif kind == b"application/msgpack":
            msgpack.unpackb(body)
        elif kind not in {b"text/html", b"text/plain"}:
            return f"content type {kind!r}"
    except ValueError as error:
        return f"{kind!r} is none: {error}: {body[:300]!r}"
    return None


def _refuse(name: str) -> None:
    raise ValueError(name)


def resident_mib() -> float:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / _MIB


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=100_000, help="requests to send")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="send this one only, and show it")
    parser.add_argument(
        "--memory", type=float, default=96, help="MiB that may come on top of the first tenth"
    )
    given = parser.parse_args()
    is_alone = given.only is not None
    if not is_alone:  # log lines are written, as in service, but not shown
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder), is_debug=is_alone)
        if is_alone:
            request = hostile(given.seed, given.only, MAX_BODY_BYTES)
            print(request.method, request.path, request.family, request.headers, request.is_cut)
            print(b"".join(request.chunks)[:2000])
            print(fuzz(app, range(given.only, given.only + 1), given.seed))
            app.state.engine.close()
            return
        memory, start = [resident_mib()], time.perf_counter()

        def show(report: Report) -> None:
            memory.append(resident_mib())
            seconds = time.perf_counter() - start
            print(f"{report.n:>9,} requests, {seconds:7.1f} s, {memory[-1]:6.0f} MiB", flush=True)

        total = fuzz(app, range(given.bodies), given.seed, on_progress=show)
        app.state.engine.close()
    print("statuses", dict(sorted(total.statuses.items())))
    for family, statuses in _by_family(total).items():
        print(f"  {family:<8} {dict(statuses)}")
    print(f"slowest {total.slowest[0]:.3f} s: request {total.slowest[1]}, {total.slowest[2]}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"MiB: {memory[0]:.0f} before, {max(memory):.0f} after a tenth, {peak:.0f} at the peak")
    for n, problem in total.problems:
        print(f"PROBLEM --seed {given.seed} --only {n}: {problem}")
    neglected = unread(total) if total.n >= _ENOUGH else []
    for problem in neglected:
        print(f"PROBLEM {problem}")
    # The peak too: what one request takes for a moment may be all that there is.
    grown = peak - memory[1]
    if grown > given.memory:
        print(f"PROBLEM memory grew by {grown:.0f} MiB after the first tenth")
    sys.exit(bool(total.problems or neglected) or grown > given.memory)


if __name__ == "__main__":
    main()
