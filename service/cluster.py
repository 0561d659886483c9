"""Shards of a plan -> finished shards on disk, by workers on the machines of a Ray cluster.

Every machine has this version of varsigma and sees the model, the reference, the input and the
work folder under the same paths. Ray runs a `ShardWorker`, the same as everywhere; a worker that is
lost is replaced, and its shard is scored again.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from service.errors import ValidationError
from service.plan import Plan
from service.session import CUDA
from service.shards import Marker, ShardWorker
from service.workers import Losses, OnDone, spare_collector

AUTO = "auto"

_PATIENCE = 5.0  # seconds; Ray itself would wait for minutes where nobody listens


def is_installed() -> bool:
    """Say whether the extra is there."""
    return find_spec("ray") is not None


def execute_on_ray(
    folder: Path,
    plan: Plan,
    indices: Sequence[int],
    *,
    address: str,
    workers: int | None,
    on_done: OnDone,
) -> None:
    """Score shards on a Ray cluster.

    Each worker holds as many CPUs as the plan has threads, and on CUDA a GPU.

    Args:
      folder: work folder of the plan, on a file system that all machines share.
      plan: what it holds.
      indices: shards, 0-based.
      address: of the cluster: auto, HOST:PORT or ray://HOST:PORT.
      workers: how many, None for as many as the cluster can hold now.
      on_done: called with each finished shard, in the order in which they finish.

    Raises:
      ValidationError: Ray is not installed, not there, or no machine is large enough.
      ServiceError: a shard cannot be scored.
      IncompleteError: workers are lost again and again.
    """
    with _connected(address) as ray:
        n_gpus = int(plan.provenance["providers"][0] == CUDA)
        room = _room(ray, plan.job.threads, n_gpus)
        actor = ray.remote(num_cpus=plan.job.threads, num_gpus=n_gpus)(_ShardActor)
        new = actor.options(scheduling_strategy="SPREAD").remote
        crew = _Crew(ray, lambda: new(folder.resolve(), plan))
        size = min(workers or room, len(indices))
        try:
            crew.run(list(indices), size, on_done)
        finally:
            crew.dismiss()


class _ShardActor:
    """A `ShardWorker` in a process of the cluster; nothing is opened before the first shard."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        spare_collector()
        self._worker = ShardWorker(folder, plan)

    def ready(self) -> None:
        """Answer once the process runs."""

    def score(self, index: int) -> Marker:
        """Score one shard."""
        return self._worker.score(index)


class _Crew:
    """The workers of one run, each with one thing to do: to start, or to score a shard.

    A worker gets a shard only when it runs: where the cluster has no room for all of them, the
    others do the work.
    """

    def __init__(self, ray: ModuleType, hire: Callable[[], Any]) -> None:
        self._ray = ray
        self._hire = hire
        self._busy: dict[Any, tuple[Any, int | None]] = {}  # its reference: the actor, its shard

    def run(self, left: list[int], size: int, on_done: OnDone) -> None:
        """Have all shards scored."""
        left.reverse()
        n_open = len(left)
        losses = Losses()
        for _ in range(size):
            self._add()
        while n_open:
            [reference], _ = self._ray.wait(list(self._busy), num_returns=1)
            actor, shard = self._busy.pop(reference)
            try:
                marker = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except self._ray.exceptions.RayError as error:
                losses.add(_why(error))
                if shard is not None:
                    left.append(shard)
                self._ray.kill(actor)  # it may only be out of reach
                self._add()
                continue
            if marker is not None:
                n_open -= 1
                losses.reset()
                on_done(marker)
            if left:
                shard = left.pop()
                self._busy[actor.score.remote(shard)] = actor, shard
            else:
                self._ray.kill(actor)

    def _add(self) -> None:
        actor = self._hire()
        self._busy[actor.ready.remote()] = actor, None

    def dismiss(self) -> None:
        """End the workers that are left."""
        for actor, _ in self._busy.values():
            self._ray.kill(actor)


def _why(error: Exception) -> str:
    """The last line of Ray's message: the others tell of processes and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@contextmanager
def _connected(address: str) -> Iterator[ModuleType]:
    """Ray, connected; a connection that was there before stays."""
    # It would report usage to its makers over the internet.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not is_installed():
        raise ValidationError("--ray needs the extra varsigma[ray]: pip install 'varsigma[ray]'")
    import ray  # noqa: PLC0415

    if ray.is_initialized():
        yield ray
        return
    _check_listener(address)
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValidationError(
            f"--ray {address}: no Ray cluster answers ({_why(error)}); start one with `ray start"
            " --head`, and score on one of its machines"
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_terminate)  # Ray has put its own in that place
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_listener(address: str) -> None:
    """Refuse an address at which nobody listens.

    Raises:
      ValidationError: it is of another form, or there is nobody.
    """
    if address == AUTO:
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme not in {"", "ray"}:
        raise ValidationError(f"--ray {address}: give auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, port), _PATIENCE).close()
    except OSError as error:
        raise ValidationError(
            f"--ray {address}: nobody answers there ({error.strerror or error}); start a cluster"
            " with `ray start --head`"
        ) from error


def _room(ray: ModuleType, n_cpus: int, n_gpus: int) -> int:
    """Workers that the cluster can hold.

    Raises:
      ValidationError: not one.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(
        int(
            min(
                machine.get("CPU", 0) // n_cpus,
                machine.get("GPU", 0) // n_gpus if n_gpus else float("inf"),
            )
        )
        for machine in machines
    )
    if not room:
        largest = int(max((machine.get("CPU", 0) for machine in machines), default=0))
        needs = f"{n_cpus} CPUs and a GPU" if n_gpus else f"{n_cpus} CPUs"
        raise ValidationError(
            f"no machine of the Ray cluster has {needs} for one worker, the largest has {largest}"
            " CPUs; give fewer --threads"
        )
    return room
