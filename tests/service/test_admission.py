"""Who may wait: no more than fit, and nobody who would miss a deadline."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from service.batcher import Batcher
from service.errors import DeadlineError, OverloadedError
from service.pace import Pace
from tests.service.slow_model import SlowModel


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    made = Batcher(SlowModel(), batch_size=8, max_waiting=40)
    yield made
    made.close()


def test_admission_counts_sequences(batcher):
    with batcher.admitted(30, None), batcher.admitted(10, None):
        with pytest.raises(OverloadedError, match="40 sequences are waiting") as error:
            batcher.admitted(1, None).__enter__()
        assert error.value.retry_after >= 1
        assert error.value.detail == {"limit": 40, "waiting": 40}
    with batcher.admitted(1000, None), pytest.raises(OverloadedError):
        batcher.admitted(1, None).__enter__()
    with batcher.admitted(40, None):
        pass


def test_nothing_is_admitted_that_would_miss_its_deadline(batcher):
    batcher._rate = 100.0
    soon = time.monotonic() + 0.2
    with pytest.raises(DeadlineError, match="30 sequences take"):
        batcher.admitted(30, soon).__enter__()
    with batcher.admitted(15, soon):
        with pytest.raises(OverloadedError, match="the wait would be about"):
            batcher.admitted(5, soon).__enter__()
        with batcher.admitted(10, soon + 10):
            pass


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock of the batcher, which stands still until it is set."""
    time_of = SimpleNamespace(now=1000.0)
    fake = SimpleNamespace(monotonic=lambda: time_of.now, perf_counter=time.perf_counter)
    monkeypatch.setattr("service.batcher.time", fake)
    return time_of


def test_a_rate_that_falls_admits_less(batcher, clock):
    """What else runs on the machine, and all that is not the model, count."""
    batcher._rate = 1000.0
    with batcher.admitted(5, None):
        # 100 sequences a second come through, however fast the model itself is.
        for _ in range(10):
            clock.now += 0.06
            batcher._pace.add(6)
            assert batcher.refusal(1, clock.now + 1) is None
        with batcher.admitted(20, None):
            assert batcher.refusal(1, clock.now + 0.2) is not None
            assert batcher.refusal(1, clock.now + 0.4) is None
        # Nothing comes through any more.
        with batcher.admitted(5, None):
            assert batcher.refusal(1, clock.now + 2) is None
            clock.now += 1
            assert batcher.refusal(1, clock.now + 1.5) is not None
            assert batcher.refusal(30, clock.now + 1.5).retry_after >= 1
    with batcher.admitted(5, None):  # it has stood without work: what was known is forgotten
        assert batcher.refusal(1, clock.now + 0.1) is None


@pytest.mark.parametrize(
    ("come_through", "least"),
    [
        (100.0, 5 * 0.08),  # of what the session alone needs
        (60.0, 5 * 0.08),
        (20.0, 2.5 * 0.4),  # of how they come through, where that is slower
    ],
)
def test_a_wait_is_feared_to_be_longer_than_it_should_be(
    batcher, clock, monkeypatch, come_through, least
):
    batcher._rate = 100.0
    monkeypatch.setattr(batcher._pace, "rate", lambda *_: come_through)
    with batcher.admitted(8, None):
        needed = least + 0.02  # its own two sequences
        assert batcher.refusal(2, clock.now + needed - 0.001) is not None
        assert batcher.refusal(2, clock.now + needed + 0.001) is None


def test_a_slow_model_is_given_time_for_its_runs():
    pace = Pace(8)
    assert pace.rate(0, 4.0, 8) == 4.0
    pace.begin(0)
    assert pace.rate(3.9, 4.0, 8) == 4.0, "a run takes two seconds"
    assert pace.rate(7.9, 4.0, 8) == pytest.approx(8 / 7.9)
    pace.add(8)
    assert pace.rate(8.0, 4.0, 8) == pytest.approx(16 / 8)
    assert pace.rate(9.0, 4.0, 8) == pytest.approx(16 / 8), "as it was in the last window"
    pace.end()
    assert pace.rate(10.0, 4.0, 8) == 4.0


def test_a_busy_event_loop_takes_its_time_twice(batcher, clock):
    batcher._rate = 1000.0
    with batcher.admitted(1, None):
        assert batcher.refusal(1, clock.now + 0.1) is None
        batcher._wake([], None, since=clock.now - 0.3)
        assert batcher.refusal(1, clock.now + 0.5) is not None
        assert batcher.refusal(1, clock.now + 0.7) is None
        for _ in range(20):
            batcher._wake([], None, since=clock.now)
        assert batcher.refusal(1, clock.now + 0.1) is None, "it has time again"


def test_a_long_request_counts_for_a_short_one_as_one_turn(batcher):
    """The short one will not wait for all of it, so it is not refused as if it did."""
    batcher._rate = 100.0
    soon = time.monotonic() + 0.8
    with batcher.admitted(30, None):
        with batcher.admitted(4, soon), batcher.admitted(4, soon):
            pass
        with pytest.raises(OverloadedError):
            batcher.admitted(10 + 5, soon).__enter__()


def test_an_estimate_to_come_back_is_the_time_to_drain(batcher):
    batcher._rate = 4.0
    with batcher.admitted(40, None), pytest.raises(OverloadedError) as error:
        batcher.admitted(1, None).__enter__()
    assert error.value.retry_after == 10


def test_a_long_wait_is_known_better_than_a_short_one():
    """What would be answered in 90 s is not refused by one who allows two minutes."""
    batcher = Batcher(SlowModel(), batch_size=8, max_waiting=100_000)
    batcher._rate = 100.0
    now = time.monotonic()
    with ExitStack() as held:
        for _ in range(1000):
            held.enter_context(batcher.admitted(7, None))
        assert batcher.refusal(7, now + 120) is None
        assert batcher.refusal(7, now + 100) is not None
    batcher.close()
