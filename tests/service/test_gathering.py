"""Many calls, few trips to the pool; errors go where they belong."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.gathering import Gatherer


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as opened:
        yield opened


def test_what_comes_during_a_trip_goes_with_the_next(pool):
    trips: list[list[int]] = []
    go, started = threading.Event(), threading.Event()

    def work(numbers):
        trips.append(list(numbers))
        started.set()
        assert go.wait(30)
        return [-number for number in numbers]

    async def scenario() -> list[int]:
        gatherer = Gatherer(pool, work, most=4)
        first = asyncio.create_task(gatherer(1))
        while not started.is_set():
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(gatherer(number)) for number in range(2, 9)]
        await asyncio.sleep(0.01)
        others[1].cancel()
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    results = asyncio.run(scenario())
    assert [result for result in results if isinstance(result, int)] == [-1, -2, -4, -5, -6, -7, -8]
    assert isinstance(results[2], asyncio.CancelledError)
    assert trips == [[1], [2, 4, 5, 6], [7, 8]], "at most four at a time, none for who is gone"


def test_calls_that_begin_together_go_together(pool):
    trips: list[int] = []

    def work(numbers):
        trips.append(len(numbers))
        return list(numbers)

    async def scenario() -> None:
        gatherer = Gatherer(pool, work, most=100)
        for n in (5, 3):
            assert await asyncio.gather(*map(gatherer, range(n))) == list(range(n))

    asyncio.run(scenario())
    assert trips == [5, 3]


def test_errors(pool):
    def work(numbers):
        if 13 in numbers:
            raise KeyError("all of it")
        return [ValueError(number) if number < 0 else number for number in numbers]

    async def scenario() -> None:
        gatherer = Gatherer(pool, work, most=100)
        good, bad = await asyncio.gather(gatherer(1), gatherer(-1), return_exceptions=True)
        assert good == 1
        assert isinstance(bad, ValueError)
        results = await asyncio.gather(gatherer(13), gatherer(1), return_exceptions=True)
        assert [type(result) for result in results] == [KeyError, KeyError]
        assert await gatherer(2) == 2, "it carries on"

    asyncio.run(scenario())
