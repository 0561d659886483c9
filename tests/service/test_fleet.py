"""Several workers behind one socket: together they are one service, and one may die."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from service import engine, fleet
from service.errors import ServerError, ValidationError
from service.settings import Settings
from service.web.keys import add_key
from tests.lean_client import ROOT, Served, closed_loop, request_bytes, served
from tests.service.processes import children, command_of, wait_until
from tests.toy_models import SumModel, write_model

pytestmark = pytest.mark.slow

BODY = {"model": "sum", "sequences": [{"ref": "ACGTACGT", "alt": "ACGAACGT"}]}
OPTIONS = "--workers", 2, "--device", "cpu", "--drain-delay", 0.5
PER_MINUTE = 40


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    return file, {
        name: add_key(file, name, limit) for name, limit in (("a", PER_MINUTE), ("free", None))
    }


@pytest.fixture(scope="module")
def fleet_of_two(toy_models_dir, keys):
    with served("--models", toy_models_dir, "--keys", keys[0], *OPTIONS) as server:
        yield server


def workers(server: Served) -> list[int]:
    """The workers; multiprocessing has another process, which tracks resources."""
    return [pid for pid in children(server.process.pid) if "spawn_main" in command_of(pid)]


def open_sockets(pid: int) -> int:
    n = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            n += str(link.readlink()).startswith("socket:")
    return n


def total(server: Served, name: str, **labels) -> float:
    text = httpx.get(f"http://127.0.0.1:{server.port}/metrics").text
    wanted = "".join(f'(?=.*{key}="{value}")' for key, value in labels.items())
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if re.match(rf"{name}(?:{{{wanted}|\s)", line)
    )


def ask(server: Served, key: str) -> int:
    """Score one pair over a connection of its own; return the status, 0 where there is none."""
    try:
        return httpx.post(
            f"http://127.0.0.1:{server.port}/v1/score",
            json=BODY,
            headers={"x-api-key": key},
            timeout=30,
        ).status_code
    except httpx.TransportError:
        return 0


def test_connections_spread_and_each_worker_tells_of_all(fleet_of_two, keys):
    port, pids = fleet_of_two.port, workers(fleet_of_two)
    assert len(pids) == 2
    before = {pid: open_sockets(pid) for pid in pids}
    answered = total(fleet_of_two, "varsigma_http_requests_total", route="/v1/score")
    request = request_bytes("/v1/score", BODY, [f"x-api-key: {keys[1]['free']}"])

    async def scenario():
        lines = []
        held = Counter()
        # Which of two idle workers wakes first is the system's affair: a few at a time, until
        # both had their turn.
        while min(held[pid] for pid in pids) < 2 and len(lines) < 400:
            new = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
            for _, writer in new:
                writer.write(request)
            heads = [await reader.readuntil(b"\r\n\r\n") for reader, _ in new]
            assert all(head.startswith(b"HTTP/1.1 200") for head in heads)
            lines += new
            held = Counter({pid: open_sockets(pid) - before[pid] for pid in pids})
        for _, writer in lines:
            writer.close()
        return len(lines), held

    n_sent, held = asyncio.run(scenario())
    assert min(held[pid] for pid in pids) >= 2, held
    assert sum(held.values()) >= n_sent - 5, "but for some that were there before"
    # Whoever is asked, over new connections: the sum is the same.
    for _ in range(6):
        counted = total(fleet_of_two, "varsigma_http_requests_total", route="/v1/score")
        assert counted - answered == n_sent
    assert total(fleet_of_two, "varsigma_workers") == 2
    assert total(fleet_of_two, "varsigma_model_run_seconds_count", model="sum") > 0
    assert total(fleet_of_two, "varsigma_queue_sequences", model="sum") == 0
    assert total(fleet_of_two, "varsigma_device_info", model="sum") == 1
    rss = sum(
        int(line.split()[1]) * 1024
        for pid in pids
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )
    assert total(fleet_of_two, "process_resident_memory_bytes") == pytest.approx(rss, rel=0.2)


def test_a_quota_holds_over_all_workers(fleet_of_two, keys):
    with ThreadPoolExecutor(8) as pool:
        told = Counter(pool.map(lambda _: ask(fleet_of_two, keys[1]["a"]), range(PER_MINUTE + 25)))
    assert told == {200: PER_MINUTE, 429: 25}


def test_a_worker_that_is_killed_is_replaced(fleet_of_two, keys):
    victim, other = workers(fleet_of_two)
    stop, told = threading.Event(), []

    def go_on() -> None:
        while not stop.is_set():
            told.append(ask(fleet_of_two, keys[1]["free"]))

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(go_on) for _ in range(2)]
        wait_until(lambda: len(told) > 20)
        before = total(fleet_of_two, "varsigma_http_requests_total", route="/v1/score")
        os.kill(victim, signal.SIGKILL)
        at = len(told)
        wait_until(lambda: total(fleet_of_two, "varsigma_workers") == 2 and len(told) > at + 50)
        wait_until(lambda: len(workers(fleet_of_two)) == 2)
        stop.set()
        for one in asking:
            one.result()
    assert other in workers(fleet_of_two)
    assert victim not in workers(fleet_of_two)
    # Two ask at a time, so that no more than two can have been with the one that was killed.
    counts = Counter(told)
    assert counts.pop(0, 0) <= 2
    assert counts.keys() == {200}
    assert total(fleet_of_two, "varsigma_http_requests_total", route="/v1/score") >= before
    assert "exit code -9; the next one starts in 0 s" in fleet_of_two.log.read_text()


def test_sigterm_answers_what_was_accepted(toy_models_dir):
    with served("--models", toy_models_dir, *OPTIONS) as server:
        pids = workers(server)
        result = []
        asking = threading.Thread(
            target=lambda: result.append(
                asyncio.run(
                    closed_loop(
                        server.port, [request_bytes("/v1/score", BODY)], clients=6, seconds=1
                    )
                )
            )
        )
        asking.start()
        time.sleep(0.8)
        server.process.terminate()
        os.kill(pids[0], signal.SIGTERM)  # as if the whole group of processes was told
        wait_until(lambda: _ready_status(server) == 503, 5)
        asking.join()
        assert server.process.wait(20) == 0
        answers, n_lost, _ = result[0]
        assert n_lost == 0
        assert {answer.status for answer in answers} == {200}
        assert not any(command_of(pid) for pid in pids)
        log = server.log.read_text()
        assert "Traceback" not in log
        assert "exit code" not in log, "nobody was missed"


def _ready_status(server: Served) -> int:
    return httpx.get(f"http://127.0.0.1:{server.port}/health/ready").status_code


def test_a_changed_model_is_not_mixed_with_the_old_one(toy_models_dir, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(toy_models_dir, models)
    with served("--models", models, "--model", "sum", *OPTIONS) as server:
        shutil.rmtree(models / "sum")
        # A sound model of that name, but not the one that the other worker has.
        write_model(models, SumModel(members=1))
        os.kill(workers(server)[0], signal.SIGKILL)
        wait_until(lambda: "cannot load: ServerError" in server.log.read_text(), 20)
        assert str(tmp_path) not in server.log.read_text()
        assert _ready_status(server) == 200
        # And they do not outlive their parent.
        pids = workers(server)
        assert pids
        server.process.kill()
        wait_until(lambda: not any(command_of(pid) for pid in pids), 20)


def test_what_cannot_load_is_told_once(tmp_path, toy_models_dir):
    models = tmp_path / "models"
    shutil.copytree(toy_models_dir, models)
    with (models / "sum/model.onnx").open("ab") as file:
        file.write(b"x")
    command = [
        sys.executable, "-m", "service.cli", "serve", "--port", "0", "--models", str(models),
        *map(str, OPTIONS),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.count("error:") == 1
    assert len(done.stderr.splitlines()) == 1
    assert "model.onnx has SHA-256" in done.stderr


def test_gpus_are_not_shared(monkeypatch):
    monkeypatch.setattr(fleet, "gpu_count", lambda: 2)
    monkeypatch.setattr(fleet, "has_cuda", lambda: True)
    started = []

    def note(self) -> None:
        started.append(self)

    monkeypatch.setattr(fleet._Fleet, "run", note)
    with socket.create_server(("127.0.0.1", 0)) as door:
        for device in ("cuda", "auto"):
            with pytest.raises(ValidationError, match="3, but 2 GPU"):
                fleet.run(Settings(workers=3, device=device), door)
        fleet.run(Settings(workers=2, device="cuda"), door)
        fleet.run(Settings(workers=3, device="cpu"), door)
    assert [len(one._places) for one in started] == [2, 3]


@pytest.mark.parametrize(
    ("workers", "threads", "found"), [(None, None, 8), (3, None, 2), (20, None, 1), (3, 5, 5)]
)
def test_cores_are_shared(monkeypatch, workers, threads, found):
    monkeypatch.setattr(engine, "usable_cores", lambda: 8)
    assert engine.threads_of(Settings(workers=workers, threads=threads)) == found


def test_a_worker_that_does_not_end_is_not_waited_for(monkeypatch, toy_models_dir):
    monkeypatch.setattr(fleet, "_PATIENCE", -1.0)
    with socket.create_server(("127.0.0.1", 0)) as door:
        settings = Settings(workers=1, models=toy_models_dir, drain_timeout=0, device="cpu")
        timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(ServerError, match="did not end"):
            fleet.run(settings, door)
