"""The queue in front of a model: full batches, two lanes, deadlines, and nothing lost."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest

from service.batcher import Batcher, Lane, _Job
from service.errors import DeadlineError, OverloadedError
from tests.service.slow_model import SlowModel, rows, spelt


@pytest.fixture
def model() -> SlowModel:
    return SlowModel()


@pytest.fixture
def batcher(model) -> Iterator[Batcher]:
    made = Batcher(model, batch_size=8, max_waiting=40)
    yield made
    model.go.set()
    made.close()


async def behind_a_run(batcher, model) -> asyncio.Task:
    """Occupy the session with one sequence; what comes next has to wait."""
    model.hold()
    first = asyncio.create_task(batcher.predict(rows(0, 1)))
    await model.is_running()
    return first


def test_an_idle_session_runs_at_once_and_everyone_gets_their_own(batcher, model):
    async def scenario() -> None:
        first = await behind_a_run(batcher, model)
        others = [asyncio.create_task(batcher.predict(rows(10 * i, 3))) for i in range(1, 6)]
        await asyncio.sleep(0.01)
        model.go.set()
        for number, one in enumerate([first, *others]):
            found = await one
            n = len(found.mu)
            assert found.mu[:, 1, 2].tolist() == list(range(10 * number, 10 * number + n))
            assert (found.sigma == found.mu + 1).all()

    asyncio.run(scenario())
    # The first did not wait for company; 15 sequences that came meanwhile share two runs, filled
    # across requests and in order of arrival.
    assert [spelt(batch) for batch in model.batches] == [
        [0], [10, 11, 12, 20, 21, 22, 30, 31], [40, 41, 42, 50, 51, 52, 32],
    ]  # fmt: skip


def test_a_long_request_does_not_keep_the_others_waiting(batcher, model):
    async def scenario() -> None:
        await behind_a_run(batcher, model)
        long = asyncio.create_task(batcher.predict(rows(100, 30)))
        await asyncio.sleep(0.01)
        short = asyncio.create_task(batcher.predict(rows(50, 2)))
        await asyncio.sleep(0.01)
        model.go.set()
        await short
        assert (await long).mu[:, 0, 0].tolist() == list(range(100, 130))

    asyncio.run(scenario())
    place = next(i for i, batch in enumerate(model.batches) if 50 in spelt(batch))
    assert place == 2, "the batch after the one that was full when it came"


def test_the_batch_lane_comes_second_but_never_stops(batcher, model):
    async def scenario() -> None:
        await behind_a_run(batcher, model)
        batch = asyncio.create_task(batcher.predict(rows(200, 10), lane=Lane.BATCH))
        await asyncio.sleep(0.01)
        quick = [asyncio.create_task(batcher.predict(rows(8 * i, 8))) for i in range(1, 4)]
        await asyncio.sleep(0.01)
        assert batcher.depth(Lane.BATCH) == 10
        assert batcher.depth(Lane.INTERACTIVE) == 24
        model.go.set()
        await asyncio.gather(batch, *quick)
        assert batcher.depth(Lane.BATCH) == batcher.depth(Lane.INTERACTIVE) == 0

    asyncio.run(scenario())
    share = [sum(number >= 200 for number in spelt(batch)) for batch in model.batches]
    # An eighth of each batch while the other lane fills the rest, and all that is left after it.
    assert share == [0, 1, 1, 1, 5, 2]


def test_what_runs_is_reported(batcher, model):
    told = []
    batcher._observers.append(lambda *what: told.append(what))

    async def scenario() -> None:
        await behind_a_run(batcher, model)
        both = [
            asyncio.create_task(batcher.predict(rows(0, n), lane=lane))
            for n, lane in ((3, Lane.INTERACTIVE), (4, Lane.BATCH))
        ]
        await asyncio.sleep(0.01)
        model.go.set()
        await asyncio.gather(*both)
        while len(told) < 2:
            await asyncio.sleep(0.001)

    asyncio.run(scenario())
    name, n, seconds, lanes = told[1]
    assert (name, n, lanes) == ("slow", 7, {Lane.INTERACTIVE: 3, Lane.BATCH: 4})
    assert 0 < seconds < 10
    assert batcher.rate > 0


def test_a_deadline_that_passes_while_waiting(batcher, model):
    async def scenario() -> None:
        first = await behind_a_run(batcher, model)
        start = time.monotonic()
        with pytest.raises(DeadlineError, match="X-Timeout-Seconds"):
            await batcher.predict(rows(10, 3), deadline=start + 0.05)
        assert 0.04 < time.monotonic() - start < 5, "told at the deadline, not after the run"
        assert batcher.depth(Lane.INTERACTIVE) == 0
        model.go.set()
        await first
        assert (await batcher.predict(rows(20, 1))).mu[0, 0, 0] == 20

    asyncio.run(scenario())
    assert [spelt(batch) for batch in model.batches] == [[0], [20]], "it never ran"


@pytest.mark.parametrize("lane", Lane)
def test_what_is_due_when_its_turn_comes_is_told_and_not_taken(model, monkeypatch, lane):
    batcher = Batcher(model, batch_size=8, max_waiting=40)
    batcher.close()  # nobody takes but this test
    monkeypatch.setattr("service.batcher.time", SimpleNamespace(monotonic=lambda: 1000.0))
    loop = asyncio.new_event_loop()
    jobs = [
        _Job(rows(10 * number, 2), lane, deadline, loop.create_future())
        for number, deadline in enumerate((999.9, 1000.0, 1000.1, float("inf")))
    ]
    for job in jobs:
        batcher._queues[lane].add(job)
    pieces = batcher._take(n_free=1)
    assert [piece.job for piece in pieces] == jobs[2:]
    assert batcher.depth(lane) == 0
    loop.run_until_complete(asyncio.sleep(0))
    told = [job.future.exception() if job.future.done() else None for job in jobs]
    assert [type(error) for error in told] == [DeadlineError] * 2 + [type(None)] * 2
    loop.close()


def test_one_that_is_too_late_when_its_turn_comes_does_not_run(batcher, model):
    async def scenario() -> None:
        first = await behind_a_run(batcher, model)
        late = asyncio.create_task(batcher.predict(rows(10, 3), deadline=time.monotonic() + 0.02))
        await asyncio.sleep(0)
        time.sleep(0.05)  # the loop is busy, so its timer is late
        model.go.set()
        await first
        with pytest.raises(DeadlineError):
            await late

    asyncio.run(scenario())
    assert [spelt(batch) for batch in model.batches] == [[0]]


def test_a_caller_that_goes_away_leaves_the_queue(batcher, model):
    async def scenario() -> None:
        first = await behind_a_run(batcher, model)
        gone = asyncio.create_task(batcher.predict(rows(10, 30)))
        stays = asyncio.create_task(batcher.predict(rows(70, 2)))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.wait([gone])
        assert batcher.depth(Lane.INTERACTIVE) == 2
        model.go.set()
        await asyncio.gather(first, stays)

    asyncio.run(scenario())
    assert [spelt(batch) for batch in model.batches] == [[0], [70, 71]]


def test_a_run_that_fails_is_told_to_those_in_it_and_the_next_one_runs(batcher, model):
    async def scenario() -> None:
        model.error = RuntimeError("out of memory")
        both = [batcher.predict(rows(0, 2)), batcher.predict(rows(5, 20))]
        for found in await asyncio.gather(*both, return_exceptions=True):
            assert found is model.error
        assert batcher.is_failing
        model.error = None
        assert (await batcher.predict(rows(7, 1))).mu[0, 0, 0] == 7
        assert not batcher.is_failing
        assert batcher.depth(Lane.INTERACTIVE) == 0

    asyncio.run(scenario())


def test_a_model_that_failed_is_tried_again_although_nobody_asks(batcher, model, monkeypatch):
    monkeypatch.setattr("service.batcher._PROBE_SECONDS", 0.01)
    model.error = RuntimeError("out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        asyncio.run(batcher.predict(rows(0, 2)))
    time.sleep(0.1)
    assert batcher.is_failing
    model.error = None
    end = time.monotonic() + 30
    while batcher.is_failing and time.monotonic() < end:
        time.sleep(0.01)
    assert not batcher.is_failing


def test_no_sequences_need_no_run(batcher, model):
    model.batches.clear()
    found = asyncio.run(batcher.predict(rows(0, 0)))
    assert found.mu.shape == found.sigma.shape == (0, 2, 3)
    assert not model.batches


def test_close_finishes_what_waits_and_takes_no_more(model):
    batcher = Batcher(model, batch_size=8, max_waiting=40)

    async def scenario() -> None:
        first = await behind_a_run(batcher, model)
        second = asyncio.create_task(batcher.predict(rows(30, 20)))
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.sleep(0.01)
        with pytest.raises(OverloadedError, match="shutting down"):
            await batcher.predict(rows(0, 1))
        model.go.set()
        await asyncio.gather(first, closing)
        assert (await second).mu[:, 0, 0].tolist() == list(range(30, 50))

    asyncio.run(scenario())
    assert not any(thread.is_alive() for thread in batcher._threads)


def test_buckets_are_warmed_up_and_padded_to(model):
    batcher = Batcher(model, batch_size=8, max_waiting=40, buckets=(1, 4, 100))
    assert [len(batch) for batch in model.batches] == [1, 4, 8]
    model.batches.clear()

    async def scenario() -> None:
        for n in (1, 3, 4, 5, 8):
            found = await batcher.predict(rows(300, n))
            assert found.mu[:, 0, 0].tolist() == list(range(300, 300 + n))

    asyncio.run(scenario())
    batcher.close()
    assert [len(batch) for batch in model.batches] == [1, 4, 4, 8, 8]
    assert (model.batches[1][3:] == 4).all(), "padded with N"


def test_idle_threads_share_a_request(model):
    """Two of them halve the time of a lone request; its parts may end in either order."""
    batcher = Batcher(model, batch_size=8, max_waiting=40, workers=2)

    async def scenario() -> None:
        for n in (1, 2, 5, 16, 40):
            model.batches.clear()
            found = await batcher.predict(rows(100, n))
            assert found.mu[:, 0, 0].tolist() == list(range(100, 100 + n))
            assert (found.sigma == found.mu + 1).all()
            ran = sorted(number for batch in model.batches for number in spelt(batch))
            assert ran == list(range(100, 100 + n)), "each once"
            assert max(map(len, model.batches)) <= 8
        while batcher._n_idle < 2:  # the last answer comes a little before its thread is free
            await asyncio.sleep(0.001)
        model.hold()
        lone = asyncio.create_task(batcher.predict(rows(7, 4)))
        while len(model.batches) < 2:
            await asyncio.sleep(0.001)
        assert sorted(map(spelt, model.batches)) == [[7, 8], [9, 10]]
        model.go.set()
        await lone

    asyncio.run(scenario())
    batcher.close()


def test_busy_threads_fill_their_batches(model):
    batcher = Batcher(model, batch_size=8, max_waiting=400, workers=3)

    async def scenario() -> None:
        model.hold()
        first = [asyncio.create_task(batcher.predict(rows(number, 1))) for number in range(3)]
        while len(model.batches) < 3:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(batcher.predict(rows(10 * i, 4))) for i in range(1, 25)]
        await asyncio.sleep(0.01)
        model.go.set()
        for number, found in enumerate(await asyncio.gather(*first, *others)):
            start = number if number < 3 else 10 * (number - 2)
            assert found.mu[:, 0, 0].tolist() == list(range(start, start + len(found.mu)))

    asyncio.run(scenario())
    batcher.close()
    assert [len(batch) for batch in model.batches] == [1] * 3 + [8] * 12


@pytest.mark.parametrize(("sizes", "expected"), [((2,) * 40, [32, 32, 16]), ((80,), [8] * 10)])
def test_many_requests_make_larger_batches_and_a_long_one_does_not(model, sizes, expected):
    batcher = Batcher(model, batch_size=8, deep_batch_size=32, max_waiting=400)

    async def scenario() -> None:
        model.hold()
        first = asyncio.create_task(batcher.predict(rows(0, 1)))
        await model.is_running()
        others = [
            asyncio.create_task(batcher.predict(rows(100 * i, n)))
            for i, n in enumerate(sizes, start=1)
        ]
        await asyncio.sleep(0.01)
        model.go.set()
        await first
        for i, found in enumerate(await asyncio.gather(*others), start=1):
            assert found.mu[:, 0, 0].tolist() == list(range(100 * i, 100 * i + len(found.mu)))

    asyncio.run(scenario())
    batcher.close()
    assert [len(batch) for batch in model.batches] == [1, *expected]
    assert batcher._n_running == 0


def test_long_requests_in_deep_batches_do_not_hold_up_a_small_one(model):
    batcher = Batcher(model, batch_size=8, deep_batch_size=32, max_waiting=400)

    async def scenario() -> None:
        model.hold()
        first = asyncio.create_task(batcher.predict(rows(0, 1)))
        await model.is_running()
        others = [
            asyncio.create_task(batcher.predict(rows(100 * i, n)))
            for i, n in enumerate((40, 40, 40, 40, 1), start=1)
        ]
        await asyncio.sleep(0.01)
        model.go.set()
        await asyncio.gather(first, *others)

    asyncio.run(scenario())
    batcher.close()
    _, first, second, *_ = map(spelt, model.batches)
    assert first == [100 * i + n for i in (1, 2, 3, 4) for n in range(8)]
    assert second[0] == 500


def test_requests_of_several_loops_share_a_session(batcher, model):
    results = []

    def ask(first: int) -> None:
        results.append((first, asyncio.run(batcher.predict(rows(first, 3))).mu[0, 0, 0]))

    model.hold()
    threads = [threading.Thread(target=ask, args=(10 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    model.go.set()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [(10 * number, 10 * number) for number in range(4)]


def test_a_device_that_hangs_holds_nobody_but_its_thread(batcher, model, monkeypatch):
    """The event loop, which also answers /health/live, once waited for the lock of a probe."""
    monkeypatch.setattr("service.batcher._PROBE_SECONDS", 0.01)
    model.error = RuntimeError("out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        asyncio.run(batcher.predict(rows(0, 2)))
    model.hold()
    assert model.started.wait(30)  # the probe
    start = time.monotonic()
    with pytest.raises(DeadlineError):
        asyncio.run(batcher.predict(rows(0, 2), deadline=start + 0.05))
    assert time.monotonic() - start < 10
    assert batcher.depth(Lane.INTERACTIVE) == 0


def test_an_observer_that_fails_does_not_make_the_model_fail(batcher, caplog):
    def broken(*_) -> None:
        raise KeyError("a label")

    batcher._observers.append(broken)
    for number in (1, 2):
        assert asyncio.run(batcher.predict(rows(number, 1))).mu[0, 0, 0] == number
    batcher.close()
    assert not batcher.is_failing
    assert [record.message for record in caplog.records] == ["an observer failed"] * 2


def test_a_loop_that_was_closed_meanwhile_costs_no_thread(batcher, model):
    async def leave() -> None:
        await behind_a_run(batcher, model)

    with suppress(asyncio.CancelledError):
        asyncio.run(leave())
    model.go.set()
    assert asyncio.run(batcher.predict(rows(9, 1))).mu[0, 0, 0] == 9
    assert not batcher.is_failing


def test_what_was_left_is_not_kept(batcher, model):
    async def scenario() -> None:
        first = await behind_a_run(batcher, model)
        gone = [asyncio.create_task(batcher.predict(rows(10, 30))) for _ in range(5)]
        await asyncio.sleep(0)
        for one in gone:
            one.cancel()
        await asyncio.wait(gone)
        assert not batcher._queues[Lane.INTERACTIVE].jobs
        model.go.set()
        await first

    asyncio.run(scenario())
