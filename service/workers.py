"""Shards of a plan -> finished shards on disk, in this process or in processes of this machine.

A worker process that is killed does not end the run: its shard is scored again.
"""

import gc
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.queues import SimpleQueue
from os import _exit
from pathlib import Path
from threading import Thread
from typing import ClassVar, TypeAlias

from service.errors import IncompleteError
from service.markers import Marker
from service.plan import Plan
from service.scoring import Scorer
from service.session import CUDA, gpu_count
from service.shards import ShardWorker

OnDone: TypeAlias = Callable[[Marker], None]

MAX_DEATHS = 3
"""Times that all workers may be lost without a shard finished between."""


def spare_collector() -> None:
    """Search this process for garbage in cycles less often: a chunk is many objects, all in use."""
    gc.set_threshold(100_000)


class Losses:
    """Counts lost workers until a shard is finished, so that a hopeless run comes to an end.

    Args:
      size: workers that can be lost at once, each of which is told of.
    """

    def __init__(self, size: int = 1) -> None:
        """Begin with none."""
        self._n, self._limit = 0, MAX_DEATHS * size

    def reset(self) -> None:
        """Note that a shard was finished."""
        self._n = 0

    def add(self, why: str) -> None:
        """Note that a worker was lost.

        Raises:
          IncompleteError: too many were, one after the other.
        """
        self._n += 1
        if self._n >= self._limit:
            raise IncompleteError(
                f"{self._n} workers were lost and no shard was finished between ({why}); is there"
                " too little memory? Use fewer --workers"
            )


def execute_here(
    folder: Path,
    plan: Plan,
    indices: Sequence[int],
    *,
    on_done: OnDone,
    scorer: Scorer | None = None,
) -> None:
    """Score shards in this process.

    Args:
      folder: work folder of the plan.
      plan: what it holds.
      indices: shards, 0-based.
      on_done: called with each finished shard.
      scorer: one that is open already.

    Raises:
      ServiceError: a shard cannot be scored.
    """
    for marker in ShardWorker(folder, plan, scorer=scorer).run(indices):
        on_done(marker)


def execute_in_processes(
    folder: Path, plan: Plan, indices: Sequence[int], *, workers: int, on_done: OnDone
) -> None:
    """Score shards in worker processes; on CUDA they take turns with the GPUs.

    Args:
      folder: work folder of the plan.
      plan: what it holds.
      indices: shards, 0-based.
      workers: processes, at most one for each shard.
      on_done: called with each finished shard, in the order in which they finish.

    Raises:
      ServiceError: a shard cannot be scored.
      IncompleteError: workers are killed again and again.
    """
    left = dict.fromkeys(indices)
    losses = Losses()  # one lost process breaks the pool, which is told of once
    is_on_cuda = plan.provenance["providers"][0] == CUDA
    while left:
        size = min(workers, len(left))
        gpus = [slot % gpu_count() if is_on_cuda else None for slot in range(size)]
        try:
            with _pool(folder, plan, gpus) as pool:
                for marker in _results(pool, list(left)):
                    del left[marker.index]
                    losses.reset()
                    on_done(marker)
        except BrokenProcessPool:
            losses.add("killed; by the system where memory is short")


def _results(pool: ProcessPoolExecutor, indices: Iterable[int]) -> Iterator[Marker]:
    # This starts the processes, and what is blocked here is blocked in them from their beginning:
    # Ctrl-C reaches every process of a terminal, and the parent is the one that answers it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        futures = [pool.submit(_score, index) for index in indices]
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for future in as_completed(futures):
        yield future.result()


@contextmanager
def _pool(folder: Path, plan: Plan, gpus: Sequence[int | None]) -> Iterator[ProcessPoolExecutor]:
    """A pool of one worker for each GPU number; an exception ends its processes at once."""
    # Spawned, not forked: ONNX Runtime and CUDA do not survive a fork.
    context = get_context("spawn")
    slots: SimpleQueue[int | None] = context.SimpleQueue()
    for gpu in gpus:
        slots.put(gpu)
    before = set(active_children())
    pool = ProcessPoolExecutor(
        len(gpus), mp_context=context, initializer=_start, initargs=(folder, plan, slots)
    )
    try:
        yield pool
    except BaseException:
        for process in set(active_children()) - before:
            process.terminate()
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        slots.close()
    pool.shutdown()


class _Here:
    """What a worker process keeps between shards."""

    worker: ClassVar[ShardWorker]


def _start(folder: Path, plan: Plan, slots: "SimpleQueue[int | None]") -> None:
    """Prepare a worker process."""
    spare_collector()
    Thread(target=_end_with_the_parent, daemon=True).start()
    _Here.worker = ShardWorker(folder, plan, gpu=slots.get())


def _end_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        _exit(1)  # nobody waits for what it scores


def _score(index: int) -> Marker:
    return _Here.worker.score(index)
