"""An answer in lines of JSON: `bytes -> head, then items as they come`."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.remote.exchange import first_problem
from service.remote.problems import UnreadableError, refusal_in_line

H = TypeVar("H")
T = TypeVar("T")
X = TypeVar("X")


@dataclass(frozen=True, slots=True)
class Form(Generic[H, T]):
    """What the lines of an answer are.

    Attributes:
      head: reads the first line.
      item: reads any other.
      is_last: says of the head and the last item, None where there was none, whether more is due.
    """

    head: Callable[[bytes], H]
    item: Callable[[bytes], T]
    is_last: Callable[[H, T | None], bool]


class LineReader(Generic[H, T]):
    """Reads lines, however they were cut up on their way."""

    def __init__(self, form: Form[H, T]) -> None:
        """Begin before the first byte."""
        self._form = form
        self._rest = b""
        self._lines: deque[bytes] = deque()
        self._last: T | None = None

    @property
    def has_line(self) -> bool:
        """A line is there to be read."""
        return bool(self._lines)

    def feed(self, data: bytes) -> None:
        """Take what came."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines.extend(lines)

    def head(self) -> H:
        """Read the first line.

        Raises:
          UnreadableError: it is none, or there is none.
        """
        if not self._lines:
            raise UnreadableError("the answer has no first line")
        return self._read(self._form.head)

    def items(self) -> Iterator[T]:
        """Yield the items that are there.

        Raises:
          RefusedError: the service says that it failed here.
          UnreadableError: a line is no item.
        """
        while self._lines:
            self._last = self._read(self._form.item)
            yield self._last

    def finish(self, head: H) -> None:
        """Check that nothing is missing.

        Raises:
          UnreadableError: something is.
        """
        if self._rest or not self._form.is_last(head, self._last):
            raise UnreadableError("the answer ended before its last line")

    def _read(self, form: Callable[[bytes], X]) -> X:
        line = self._lines.popleft()
        if problem := refusal_in_line(line):
            raise problem
        try:
            return form(line)
        except ValueError as error:
            raise UnreadableError(f"a line of the answer: {first_problem(error)}") from error
