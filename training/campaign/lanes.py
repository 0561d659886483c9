"""Lanes: worker processes that take one run after another.

`runs -> outcomes, as they come`. A lane that is lost (killed, out of memory) is replaced, and its
run goes on from its last finished epoch; a parent that is killed takes its lanes with it.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a lane loads what its work needs, and no more
    from training.campaign.plan import Run

Work = Callable[["Run"], None]
MAX_LOSSES = 3
"""Times that a run may lose its lane before it counts as failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
      run: which.
      error: traceback or reason if it failed.
    """

    run: Run
    error: str | None = None


@dataclass(slots=True)
class _Lane:
    process: SpawnProcess
    connection: Connection
    run: Run | None = None


def run_in_lanes(runs: Sequence[Run], start: Callable[[], Work], n_lanes: int) -> Iterator[Outcome]:
    """Do runs in processes; ending the iteration ends them at once.

    Args:
      runs: in the order in which they are begun.
      start: makes what does one run; called once in each process, so it must be importable.
      n_lanes: processes at a time.

    Yields:
      One outcome per run, in the order in which they end.
    """
    left, losses = deque(runs), dict.fromkeys([run.name for run in runs], 0)
    lanes: list[_Lane] = []
    try:
        while left or lanes:
            while left and len(lanes) < n_lanes:
                lanes.append(_open(start))
                lanes[-1].run = left.popleft()
                lanes[-1].connection.send(lanes[-1].run)
            ready = wait([lane.connection for lane in lanes])
            for lane in [lane for lane in lanes if lane.connection in ready]:
                assert lane.run is not None
                try:
                    error = lane.connection.recv()
                except (EOFError, ConnectionResetError):
                    lane.process.join()
                    lanes.remove(lane)
                    losses[lane.run.name] += 1
                    if losses[lane.run.name] < MAX_LOSSES:
                        left.appendleft(lane.run)
                        continue
                    error = (
                        f"its process was lost {MAX_LOSSES} times, last with exit code "
                        f"{lane.process.exitcode}; is there too little memory?"
                    )
                    yield Outcome(lane.run, error)
                    continue
                done, lane.run = lane.run, left.popleft() if left else None
                lane.connection.send(lane.run)
                if lane.run is None:
                    lane.process.join()
                    lanes.remove(lane)
                yield Outcome(done, error)
    finally:
        for lane in lanes:
            lane.process.kill()
            lane.process.join()


def _open(start: Callable[[], Work]) -> _Lane:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, start), daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return _Lane(process, ours)


def _serve(connection: Connection, start: Callable[[], Work]) -> None:
    # Ctrl-C reaches every process of a terminal; the parent is the one that answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    work = start()
    while (run := connection.recv()) is not None:
        try:
            work(run)
        except Exception:  # noqa: BLE001 (whatever it was: it is recorded, and the next run begins)
            connection.send(traceback.format_exc())
        else:
            connection.send(None)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
