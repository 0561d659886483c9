"""An answer in lines, as it comes: bytes of a response -> its head, then its items."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Generic, Self, TypeVar

import httpx2 as httpx

from service.remote.exchange import unreachable
from service.remote.lines import Form, LineReader

H = TypeVar("H")
T = TypeVar("T")


class Lines(Generic[H, T]):
    """An answer in lines, as it comes: iterate over its items once.

    Attributes:
      head: what stands beside them.
    """

    def __init__(self, response: httpx.Response, form: Form[H, T]) -> None:
        """Read the head.

        Raises:
          CallError: it does not come.
        """
        self._reader = LineReader(form)
        self._parts = response.iter_bytes()
        with _told():
            while not self._reader.has_line and (data := next(self._parts, None)):
                self._reader.feed(data)
        self.head = self._reader.head()

    def __iter__(self) -> Iterator[T]:
        """Yield the items.

        Raises:
          CallError: one does not come.
        """
        yield from self._reader.items()
        with _told():
            for data in self._parts:
                self._reader.feed(data)
                yield from self._reader.items()
        self._reader.finish(self.head)


class AsyncLines(Generic[H, T]):
    """The same, awaited; `opened` makes it.

    Attributes:
      head: what stands beside them.
    """

    head: H

    def __init__(self, response: httpx.Response, form: Form[H, T]) -> None:
        """Begin before the first line."""
        self._reader = LineReader(form)
        self._parts = response.aiter_bytes()

    async def opened(self) -> Self:
        """Read the head.

        Raises:
          CallError: it does not come.
        """
        with _told():
            while not self._reader.has_line and (data := await anext(self._parts, None)):
                self._reader.feed(data)
        self.head = self._reader.head()
        return self

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield the items.

        Raises:
          CallError: one does not come.
        """
        for item in self._reader.items():
            yield item
        with _told():
            async for data in self._parts:
                self._reader.feed(data)
                for item in self._reader.items():
                    yield item
        self._reader.finish(self.head)


@contextmanager
def _told() -> Iterator[None]:
    """Say what a broken line is."""
    try:
        yield
    except httpx.RequestError as error:
        raise unreachable(error) from error
