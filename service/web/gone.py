"""Work for a client that may leave before it is done: then its place is free for others."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from fastapi import Request, Response

_CLIENT_CLOSED_REQUEST = 499


async def unless_gone(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Wait for an answer as long as there is a client to get it; the body has been read.

    Returns:
      The answer; an empty one, which nobody gets, where the client left and the work was cancelled.
    """
    me = asyncio.current_task()
    assert me is not None
    is_gone = False

    async def watch() -> None:
        nonlocal is_gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        me.cancel()

    watcher = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if not is_gone:
            raise
        me.uncancel()
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
    finally:
        watcher.cancel()
