"""How much each key may ask for in a minute, counted in variants: `charge` before any work."""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter

from service.errors import RateLimitedError, RequestTooLargeError
from service.web.keys import Key
from service.web.record import Record, record_of
from service.web.shared import SharedStorage


class Quotas:
    """What each key has left of this minute, in all workers of the service together.

    A minute is fixed: it begins with the first request and ends for all at once, so that
    Retry-After is exact and a request of any allowed size passes then.
    """

    def __init__(self, keys: Iterable[Key], shared: Path | None = None) -> None:
        """Begin with nothing used.

        Args:
          keys: all that there are.
          shared: folder of a service of several workers, which know the same keys.
        """
        self._exclusive: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
        storage: Storage = MemoryStorage()
        if shared is not None:
            counted = [_limit(key).key_for(key.name) for key in keys if key.per_minute is not None]
            storage = SharedStorage(shared, counted)
            self._exclusive = storage.exclusive
        self._limiter = FixedWindowRateLimiter(storage)

    async def take(self, key: Key, items: int, record: Record) -> None:
        """Count items, at least one, and tell the record what its answer says of the quota.

        Raises:
          RequestTooLargeError: more items than a whole minute allows.
          RateLimitedError: more than are left.
          OverloadedError: another worker, which the system stopped, keeps the counts.
        """
        if key.per_minute is None:
            return
        cost = max(items, 1)
        if cost > key.per_minute:
            raise RequestTooLargeError(
                f"{cost} items, but the key {key.name!r} may ask for {key.per_minute} in a minute;"
                " split the request",
                detail={"limit": key.per_minute, "given": cost},
            )
        limit = _limit(key)
        async with self._exclusive():  # nothing inside waits, where there are other workers
            # `hit` alone would count what it refuses.
            is_allowed = await self._limiter.test(limit, key.name, cost=cost)
            is_allowed = is_allowed and await self._limiter.hit(limit, key.name, cost=cost)
            reset_time, remaining = await self._limiter.get_window_stats(limit, key.name)
        seconds = max(1, round(reset_time - time.time() + 0.5))
        record.headers += [
            (b"x-ratelimit-limit", b"%d" % key.per_minute),
            (b"x-ratelimit-remaining", b"%d" % remaining),
            (b"x-ratelimit-reset", b"%d" % seconds),
        ]
        if not is_allowed:
            raise RateLimitedError(
                f"{cost} items, but {remaining} of the {key.per_minute} of this minute are left;"
                f" try again in {seconds} s",
                detail={"limit": key.per_minute, "remaining": remaining, "given": cost},
                retry_after=seconds,
            )


def _limit(key: Key) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(key.per_minute or 0)


async def charge(request: Request, *, items: int, sequences: int = 0) -> None:
    """Say what a request asks for, once, before any work on it: to log, metrics and quota.

    Args:
      request: whose body has been read.
      items: variants, pairs or plain sequences.
      sequences: sequences that the model will read for them, 0 where that is not known yet.

    Raises:
      RequestTooLargeError: its key may never ask for that many.
      RateLimitedError: its key may not ask for that many now.
      OverloadedError: that cannot be counted now.
    """
    record = record_of(request.scope)
    record.items, record.sequences = items, sequences
    quotas: Quotas | None = getattr(request.app.state, "quotas", None)
    if record.key is not None and quotas is not None:
        await quotas.take(record.key, items, record)
