"""A stage that works ahead: same items, same errors, no further ahead than it may, nothing left."""

import gc
import threading
import weakref
from itertools import count, islice

import pytest

from service.ahead import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


@pytest.fixture(autouse=True)
def no_threads_left():
    yield
    assert not threads()


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("n", [0, 1, 5, 50])
def test_the_items_come_in_order(depth, n):
    assert list(ahead(range(n), depth)) == list(range(n))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_is_ahead_by_its_depth_and_no_further(depth):
    made = 0
    is_there = threading.Condition()

    def items():
        nonlocal made
        while True:
            with is_there:
                made += 1
                is_there.notify_all()
            yield made

    stage = ahead(items(), depth)
    for used in range(1, 20):
        assert next(stage) == used
        with is_there:
            limit = used + depth
            assert is_there.wait_for(lambda n=limit: made >= n, timeout=10), "it works ahead"
            assert not is_there.wait_for(lambda n=limit: made > n, timeout=0.01), "and waits"
    stage.close()


def test_two_stages_work_at_the_same_time():
    # Each side waits for the other in every step: one after the other they would never meet.
    meeting = threading.Barrier(2, timeout=10)

    def items():
        yield 0
        for item in range(1, 10):
            meeting.wait()
            yield item

    seen = []
    for item in ahead(items()):
        seen.append(item)
        if item < 9:
            meeting.wait()
    assert seen == list(range(10))


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_comes_after_the_items_before_it(kind):
    def items():
        yield from range(3)
        raise kind("broken")

    seen = []
    with pytest.raises(kind, match="broken") as error:
        seen.extend(ahead(items()))
    assert seen == [0, 1, 2]
    assert [entry.name for entry in error.traceback][-1] == "items", "it says where"


def test_nothing_is_made_before_the_first_is_asked_for():
    made = []
    stage = ahead(made.append(item) for item in range(3))
    assert not made
    assert not threads()
    stage.close()
    assert not made


@pytest.mark.parametrize("used", [1, 4])
def test_closing_it_closes_what_it_reads_from_in_the_thread_that_reads(used):
    closed_in = []

    def items():
        try:
            yield from count()
        finally:
            closed_in.append(threading.current_thread().name)

    stage = ahead(items())
    assert list(islice(stage, used)) == list(range(used))
    assert threads()
    stage.close()
    assert closed_in == ["ahead"]


def test_an_error_in_closing_is_not_lost():
    def items():
        try:
            yield 1
            yield 2
        finally:
            raise OSError("cannot close")

    with pytest.raises(OSError, match="cannot close"):
        list(ahead(items()))


def test_an_error_of_the_user_ends_the_thread():
    def use():
        for item in ahead(count()):
            if item == 3:
                raise ValueError("the user's")

    with pytest.raises(ValueError, match="the user's"):
        use()


def test_stages_in_a_row_end_together():
    first = ahead(count())
    second = ahead(item + 1 for item in first)
    assert list(islice(ahead(item * 2 for item in second), 3)) == [2, 4, 6]
    gc.collect()
    second.close()
    first.close()


def test_items_that_were_used_are_not_kept():
    class Item:
        pass

    items = [Item() for _ in range(3)]
    last_seen = [weakref.ref(item) for item in items]
    stage = ahead(iter(items.pop(0) for _ in range(3)), depth=1)
    next(stage)
    next(stage)
    assert last_seen[0]() is None
    stage.close()
