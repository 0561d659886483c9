"""One request until it is answered, with its retries, as a generator: `Ask -> Talk -> answer`.

A talk yields what is to be done next, an `Ask` to send or seconds to wait, and is sent what came of
it. Whoever drives it decides whether that blocks or awaits; nothing else differs between the two.
"""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Generic, TypeAlias, TypeVar

import httpx2 as httpx
import pydantic

from service.remote.problems import (
    BUSY,
    CallError,
    UnreachableError,
    UnreadableError,
    refusal,
    retry_after,
)

T = TypeVar("T")

_OK = frozenset({HTTPStatus.OK})
_FIRST_WAIT = 0.5
# After these nothing was answered, and all that the client asks may be asked twice. A time-out of
# an answer is none of them: the next would take as long.
_RETRIED = (
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.NetworkError,
    httpx.RemoteProtocolError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Generic[T]):
    """A request and how its answer is read.

    Attributes:
      method: of HTTP.
      path: below the address of the service.
      read: makes the result of an answer whose status is in `good`.
      good: statuses that are no refusal.
      headers: of this request.
      query: what stands after `?`.
      content: the body, None for none.
      upload: a file that is the body.
      sink: where the body of a good answer goes.
      is_stream: a good answer is handed over before its body has come.
      seconds: that the service may take, None for its own limit.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    good: frozenset[HTTPStatus] = _OK
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    upload: Path | None = None
    sink: "Sink | None" = None
    is_stream: bool = False
    seconds: float | None = None

    def is_answered_by(self, response: httpx.Response) -> bool:
        """Say whether an answer is one to `read`."""
        return response.status_code in self.good


Came: TypeAlias = httpx.Response | httpx.RequestError | None
Step: TypeAlias = Ask[Any] | float
Talk: TypeAlias = Generator[Step, Came, T]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and how long, the client tries again.

    Attributes:
      retries: after a first try; 0 for none.
      longest_wait: seconds; a service that asks for more is left alone.
    """

    retries: int
    longest_wait: float

    def wait(self, attempt: int, problem: CallError, seconds: float | None) -> float:
        """Return the seconds before another try.

        Args:
          attempt: how many tries there were before the one that failed.
          problem: what became of that.
          seconds: that the service asks for, None where it does not say.

        Raises:
          CallError: the problem, where no further try is due.
        """
        # Not all clients at once: some of the wait is chance.
        wait: float = max(seconds or 0.0, _FIRST_WAIT * 2**attempt * random.uniform(0.5, 1))
        if attempt >= self.retries or wait > self.longest_wait:
            raise problem
        return wait


def exchange(ask: Ask[T], patience: Patience) -> Talk[T]:
    """Ask until there is an answer, or no reason to go on.

    Raises:
      CallError: see `problems`.
    """
    return (yield from exchange_on(lambda: ask, patience, lambda: 0))


def exchange_on(
    next_ask: Callable[[], Ask[T]], patience: Patience, n_bytes: Callable[[], int]
) -> Talk[T]:
    """Do the same where each try goes on from the last.

    Args:
      next_ask: makes the request of a try.
      patience: counted anew where something came.
      n_bytes: how much has come by now.

    Raises:
      CallError: see `problems`.
    """
    attempt = 0
    while True:
        before, ask = n_bytes(), next_ask()
        came = yield ask
        if n_bytes() > before:
            attempt = 0
        wait = _wait_after(ask, came, attempt, patience)
        if wait is None:
            assert isinstance(came, httpx.Response)
            return _result(ask, came)
        yield wait
        attempt += 1


def _wait_after(ask: Ask[T], came: Came, attempt: int, patience: Patience) -> float | None:
    """Return the seconds before another try, None where the answer is there.

    Raises:
      CallError: there will be none.
    """
    if isinstance(came, httpx.Response):
        if ask.is_answered_by(came):
            return None
        refused = refusal(came)
        if came.status_code not in BUSY:
            raise refused
        return patience.wait(attempt, refused, retry_after(came.headers))
    assert came is not None
    failed = unreachable(came)
    failed.__cause__ = came
    if not isinstance(came, _RETRIED):
        raise failed
    return patience.wait(attempt, failed, None)


def unreachable(error: httpx.RequestError) -> UnreachableError:
    """Return what a failure of the transport is called here."""
    reason = str(error) or type(error).__name__
    return UnreachableError(f"no answer to {error.request.method} {error.request.url}: {reason}")


def _result(ask: Ask[T], response: httpx.Response) -> T:
    """Read an answer.

    Raises:
      UnreadableError: it does not look like one.
    """
    try:
        return ask.read(response)
    except (ValueError, KeyError) as error:  # pydantic's is a ValueError
        raise UnreadableError(
            f"the answer to {ask.method} {ask.path} is not what varsigma"
            f" answers: {first_problem(error)}"
        ) from error


def first_problem(error: Exception) -> str:
    """Return one line of an error, without the data that pydantic would quote."""
    if isinstance(error, pydantic.ValidationError):
        problem = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg']}"
    return str(error)


class Sink:
    """A file that grows by what comes, and goes on where it broke off.

    Attributes:
      path: of the file.
      tag: ETag of what it is a part of.
    """

    def __init__(self, path: Path) -> None:
        """Begin with nothing."""
        self.path = path
        self.tag: str | None = None
        path.write_bytes(b"")

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size

    def headers(self) -> dict[str, str]:
        """Ask for the rest, if the whole is still the same."""
        if not self.size or self.tag is None:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self.tag}

    def opened(self, response: httpx.Response) -> IO[bytes]:
        """Return the file at the place where the body of an answer belongs."""
        self.tag = response.headers.get("etag")
        is_rest = response.status_code == HTTPStatus.PARTIAL_CONTENT
        if is_rest and f"bytes {self.size}-" not in response.headers.get("content-range", ""):
            raise UnreadableError(
                "the service sent another part of the file than the one asked for"
            )
        return self.path.open("ab" if is_rest else "wb")
