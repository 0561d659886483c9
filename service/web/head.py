"""HEAD wherever there is GET: the same answer without its body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SLOT = "varsigma.head"


def is_head(scope: Scope) -> bool:
    """Say whether the body of an answer is kept back, for what would take long to make."""
    return _SLOT in scope


class HeadAsGet:
    """ASGI middleware that asks the app for GET and keeps the body back."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A scope of its own: the server looks into its one for what was asked.
        inner = {**scope, "method": "GET", _SLOT: True}
        await self._app(inner, receive, without_body)
        scope.setdefault("route", inner.get("route"))
