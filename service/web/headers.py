"""Headers that every answer has, and whose pages may call the service."""

import re
from collections.abc import Iterable

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message

from service.errors import ValidationError

# Answers are data: no browser is to guess a type, run, frame or keep them.
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
# Of these a route may say otherwise: a page has a policy, a file may be kept.
_UNLESS_GIVEN = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s*]+")
_CORS_METHODS = ("GET", "HEAD", "POST", "DELETE")
_CORS_REQUEST = (
    "Authorization", "X-API-Key", "X-Request-ID", "X-Timeout-Seconds", "Content-Type", "Range",
    "If-Range",
)  # fmt: skip
_CORS_ANSWER = (
    "X-Request-ID", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining",
    "X-RateLimit-Reset", "Content-Range", "ETag", "Location",
)  # fmt: skip


def complete(message: Message, more: Iterable[tuple[bytes, bytes]]) -> None:
    """Add to the headers of an `http.response.start` what it lacks.

    Args:
      message: the message, which is changed.
      more: headers of this answer.
    """
    headers = list(message.get("headers", ()))
    given = {name for name, _ in headers}
    headers += [header for header in _UNLESS_GIVEN if header[0] not in given]
    message["headers"] = [*headers, *_ALWAYS, *more]


def allow_origins(app: FastAPI, origins: Iterable[str]) -> None:
    """Let pages of some origins call the service; `*` is every page, always without cookies.

    Raises:
      ValidationError: one is no origin, so that no page would ever match it.
    """
    origins = tuple(origins)
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValidationError(
                f"--cors-origins: {origin!r} is no origin, such as https://a.org or http://b:8080",
                detail={"setting": "cors_origins"},
            )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=_CORS_METHODS,
        allow_headers=_CORS_REQUEST,
        expose_headers=_CORS_ANSWER,
    )
