"""Calls from the event loop to a pool of threads, few trips for many calls.

A trip to another thread and back costs more than most of what a small request needs there. So
what is asked for while a trip is under way goes with the next one; an idle pool starts at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Gatherer(Generic[_In, _Out]):
    """One function over lists, called with one element at a time, from one event loop."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        work: Callable[[Sequence[_In]], Sequence[_Out | Exception]],
        most: int,
    ) -> None:
        """Wrap a function.

        Args:
          pool: where it runs.
          work: N inputs to N outputs in their order; an exception in place of an output is raised
            where its input came from.
          most: inputs of one call of it.
        """
        self._pool = pool
        self._work = work
        self._most = most
        self._waiting: list[tuple[_In, asyncio.Future[_Out]]] = []
        self._is_busy = False

    async def __call__(self, one: _In) -> _Out:
        """Return what becomes of one input."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Out] = loop.create_future()
        self._waiting.append((one, future))
        if not self._is_busy:
            self._is_busy = True
            # Not now: requests that arrived together come here one after the other.
            loop.call_soon(self._start, loop)
        return await future

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        alive = [(one, future) for one, future in self._waiting if not future.done()]
        now, self._waiting = alive[: self._most], alive[self._most :]
        self._is_busy = bool(now)
        if now:
            done = loop.run_in_executor(self._pool, self._work, [one for one, _ in now])
            done.add_done_callback(lambda done: self._finish(loop, now, done))

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        asked: list[tuple[_In, asyncio.Future[_Out]]],
        done: asyncio.Future[Sequence[_Out | Exception]],
    ) -> None:
        error = done.exception()
        results = [error] * len(asked) if error else done.result()
        for (_, future), result in zip(asked, results, strict=True):
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        self._start(loop)
