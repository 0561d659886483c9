"""How fast requests come through: sequences that ran, counted over a window of the last moments."""

import math

# Seconds of a window, or runs of the model if they take longer; what is newest is believed after
# half of it.
_WINDOW = 0.5
_WINDOW_RUNS = 4


class Pace:
    """How fast requests are cut, run and answered, whatever else the machine does.

    The rate of the session alone says nothing of the time that everything around it takes, which
    under overload is most of it. Sequences that ran are counted from when there was one to wait
    for, so that a service without work is not called a slow one.
    """

    def __init__(self, most_at_once: int) -> None:
        """Begin without work.

        Args:
          most_at_once: sequences that run at any moment, at most.
        """
        self._most_at_once = most_at_once
        self._began: float | None = None
        self._n = 0
        self._last = math.inf

    def begin(self, now: float) -> None:
        """There is work from now on, on the monotonic clock."""
        self._began, self._n, self._last = now, 0, math.inf

    def end(self) -> None:
        """There is none any more."""
        self._began = None

    def add(self, n_sequences: int) -> None:
        """Count what ran; called by one thread at a time."""
        self._n += n_sequences

    def rate(self, now: float, best: float, in_progress: int) -> float:
        """Return sequences a second, at most `best`.

        Args:
          now: on the monotonic clock.
          best: what the session can do if nothing else happens.
          in_progress: sequences that run now, not counted yet.
        """
        if self._began is None:
            return best
        window = max(_WINDOW, _WINDOW_RUNS * self._most_at_once / best)
        seconds, newest = now - self._began, math.inf
        if seconds >= window / 2:
            newest = (self._n + in_progress) / seconds
        found = min(best, newest, self._last)
        if seconds >= window:
            self._began, self._n, self._last = now, 0, newest
        return found
