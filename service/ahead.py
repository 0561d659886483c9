"""A bounded queue between two stages: one works ahead in a thread while the other is busy."""

import threading
from collections.abc import Generator, Iterable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

# A thread that waits for input which never comes, or for a model in the middle of a long run, must
# not keep the process from ending.
_PATIENCE_SECONDS = 1.0

NAME = "ahead"
"""Of the threads."""


def ahead(items: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """Yield the items while a thread makes the next ones, at most `depth` of them.

    The thread starts with the first item that is asked for. It ends, and closes `items` if that is
    a generator, when they are used up or when this generator is closed.

    Args:
      items: made in the thread, one after the other.
      depth: items that may be ready, or in the making, before they are asked for.

    Raises:
      BaseException: whatever making an item raised, after the items before it.

    >>> list(ahead(range(3)))
    [0, 1, 2]
    """
    places = threading.Semaphore(depth)
    ready: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    is_closed = threading.Event()

    def work() -> None:
        source = iter(items)
        end: BaseException | None = None
        try:
            places.acquire()
            while not is_closed.is_set():
                try:
                    item = next(source)
                except StopIteration:
                    break
                ready.put((item,))
                del item  # not to be kept alive while this thread waits
                places.acquire()
        except BaseException as error:  # noqa: BLE001  (raised again where the items are used)
            end = error
        try:
            if isinstance(source, Generator):
                source.close()
        except BaseException as error:  # noqa: BLE001  (as above)
            end = end or error
        ready.put(end)

    thread = threading.Thread(target=work, name=NAME, daemon=True)
    thread.start()
    try:
        while (result := ready.get()) is not None:
            if isinstance(result, BaseException):
                raise result
            places.release()
            (item,) = result
            del result
            yield item
            del item
    finally:
        is_closed.set()
        places.release()
        thread.join(_PATIENCE_SECONDS)
