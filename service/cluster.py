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
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from service.errors import IncompleteError, ServiceError, ValidationError
from service.markers import Marker
from service.plan import Plan
from service.session import CUDA
from service.shards import ShardWorker
from service.texts import of_extra
from service.workers import Losses, OnDone, spare_collector

AUTO = "auto"

_PATIENCE = 5.0  # seconds; Ray itself would wait for minutes where nobody listens
_LOOK_EVERY = 30.0  # seconds without news, after which it is seen whether there is still a machine


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
      IncompleteError: workers are lost again and again, or the last machine for them.
    """
    with _connected(address) as ray:
        n_gpus = int(plan.provenance["providers"][0] == CUDA)
        find_room = partial(_room, ray, plan.job.threads, n_gpus)
        room = find_room()
        actor = ray.remote(num_cpus=plan.job.threads, num_gpus=n_gpus)(_ShardActor)
        new = actor.options(scheduling_strategy="SPREAD").remote
        actors = _Actors(ray, lambda: new(folder.resolve(), plan), find_room)
        size = min(workers or room, len(indices))
        try:
            actors.run(list(indices), size, on_done)
        finally:
            actors.dismiss()


class _ShardActor:
    """A `ShardWorker` in a process of the cluster; nothing is opened before the first shard."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        spare_collector()
        self._worker = ShardWorker(folder, plan)

    def ready(self) -> None:
        """Answer once the process runs."""

    def score(self, index: int) -> Marker | ServiceError:
        """Score one shard; an error is returned, since Ray would make another class of it."""
        try:
            return self._worker.score(index)
        except ServiceError as error:
            return error


class _Actors:
    """The workers of one run, each with one thing to do: to start, or to score a shard.

    A worker gets a shard only when it runs: where the cluster has no room for all of them, the
    others do the work.

    Args:
      ray: Ray, connected.
      hire: starts a worker.
      find_room: raises ValidationError where no machine can hold one.
    """

    def __init__(
        self, ray: ModuleType, hire: Callable[[], Any], find_room: Callable[[], object]
    ) -> None:
        self._ray = ray
        self._hire = hire
        self._find_room = find_room
        self._busy: dict[Any, tuple[Any, int | None]] = {}  # its reference: the actor, its shard

    def run(self, left: list[int], size: int, on_done: OnDone) -> None:
        """Have all shards scored."""
        left.reverse()
        n_open = len(left)
        losses = Losses(size)  # a machine that is lost takes all of its workers with it
        for _ in range(size):
            self._add()
        while n_open:
            reference = self._next()
            actor, shard = self._busy.pop(reference)
            try:
                result = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except self._ray.exceptions.RayError as error:
                losses.add(_why(error))
                if shard is not None:
                    left.append(shard)
                self._ray.kill(actor)  # it may only be out of reach
                self._add()
                continue
            if isinstance(result, ServiceError):
                raise result
            if result is not None:
                n_open -= 1
                losses.reset()
                on_done(result)
            if left:
                shard = left.pop()
                self._busy[actor.score.remote(shard)] = actor, shard
            else:
                self._ray.kill(actor)

    def _next(self) -> object:
        """Wait for a worker to be done with its thing."""
        while True:
            done, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=_LOOK_EVERY)
            if done:
                return done[0]
            # Without a machine to run on, workers wait to be started without end.
            try:
                self._find_room()
            except ValidationError as error:
                raise IncompleteError(error.message) from error

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
        raise ValidationError(f"--ray needs Ray; install it: {of_extra('ray')}")
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
