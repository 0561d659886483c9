"""What workers count together: exact whoever counts, and free again when a worker is killed."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from service.errors import OverloadedError, RateLimitedError
from service.web.keys import Key
from service.web.limits import Quotas
from service.web.record import Record
from service.web.shared import SharedStorage
from tests.lean_client import ROOT

KEYS = [
    Key(name=name, sha256="0" * 64, per_minute=limit)
    for name, limit in (("a", 10), ("free", None), ("b", 5))
]
HOLD = """
import asyncio, sys, time
from pathlib import Path
from service.web.shared import SharedStorage
async def hold():
    async with SharedStorage(Path(sys.argv[1]), ["a"]).exclusive():
        print("held", flush=True)
        time.sleep(600)
asyncio.run(hold())
"""


def take(quotas: Quotas, name: str, items: int) -> dict[str, int]:
    record = Record("id", "POST")
    key = next(key for key in KEYS if key.name == name)
    asyncio.run(quotas.take(key, items, record))
    return {name.decode(): int(value) for name, value in record.headers}


def test_two_workers_count_one_quota(tmp_path, monkeypatch):
    one, other = Quotas(KEYS, tmp_path), Quotas(KEYS, tmp_path)
    assert take(one, "a", 4)["x-ratelimit-remaining"] == 6
    assert take(other, "a", 5)["x-ratelimit-remaining"] == 1
    for quotas in (one, other):
        with pytest.raises(RateLimitedError) as refused:
            take(quotas, "a", 2)
        assert refused.value.detail == {"limit": 10, "remaining": 1, "given": 2}
    assert take(other, "b", 5)["x-ratelimit-remaining"] == 0, "each key has its own"
    assert take(one, "free", 1000) == {}
    assert take(one, "a", 1)["x-ratelimit-remaining"] == 0, "what is refused does not count"
    later = time.time() + refused.value.retry_after
    monkeypatch.setattr(time, "time", lambda: later)
    told = take(other, "a", 10)
    assert 0 < told.pop("x-ratelimit-reset") <= 61
    assert told == {
        "x-ratelimit-limit": 10, "x-ratelimit-remaining": 0,
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "quotas").stat().st_mode) == 0o600


def test_a_worker_that_is_killed_blocks_nobody(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        storage = SharedStorage(tmp_path, ["a"])
        began = time.monotonic()
        os.kill(holder.pid, signal.SIGKILL)

        async def count() -> int:
            async with storage.exclusive():
                return await storage.incr("a", 60, 3)

        assert asyncio.run(count()) == 3
        assert time.monotonic() - began < 10


def test_while_a_worker_that_is_stopped_holds_the_counts_nothing_goes_uncounted(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        quotas, record = Quotas(KEYS, tmp_path), Record("id", "POST")
        ticks = 0

        async def scenario() -> None:
            nonlocal ticks
            asking = asyncio.create_task(quotas.take(KEYS[0], 4, record))
            while not asking.done():
                await asyncio.sleep(0.01)
                ticks += 1
            with pytest.raises(OverloadedError, match="try again in 1 s") as refused:
                await asking
            assert refused.value.retry_after == 1
            await quotas.take(KEYS[1], 1000, record)  # has no quota to count

        asyncio.run(scenario())
        assert ticks > 5, "the event loop went on meanwhile"
        assert record.headers == []
        holder.kill()
        holder.wait()
    assert take(quotas, "a", 4)["x-ratelimit-remaining"] == 6, "the one refused is not counted"


def test_nothing_is_waited_for_while_others_are_locked_out(tmp_path):
    """The library might: then one worker would count while another one waits."""
    coroutine = Quotas(KEYS, tmp_path).take(KEYS[0], 4, Record("id", "POST"))
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_a_storage_as_the_library_uses_it(tmp_path):
    storage = SharedStorage(tmp_path, ["a", "b"])

    async def scenario() -> None:
        assert await storage.check()
        assert await storage.get("a") == 0
        assert await storage.get_expiry("a") == pytest.approx(time.time(), abs=5)
        await storage.incr("a", 60, 2)
        await storage.incr("b", 60)
        assert await storage.get("a") == 2
        await storage.clear("a")
        assert (await storage.get("a"), await storage.get("b")) == (0, 1)
        await storage.reset()
        assert await storage.get("b") == 0

    asyncio.run(scenario())
