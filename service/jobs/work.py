"""The process that scores one job: `python -m service.jobs.work FOLDER`, as `varsigma score` would.

It reads `Means` from its first line of standard input and ends when that is closed: when its parent
is gone. It may be killed at any moment; what it has scored stays.
"""

import os
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from service.assemblies import ADVICE
from service.batch import Crew, score_file
from service.durable import file_sha256
from service.entries import digest_of
from service.errors import (
    ConflictError,
    DiskFullError,
    NotFoundError,
    ServiceError,
    ValidationError,
)
from service.folder import SHARDS, Frozen, OtherRunError, discard, lock
from service.identity import Stamp
from service.job import Job
from service.jobs.folder import JobFolder
from service.jobs.ticket import (
    FileFacts,
    Order,
    Problem,
    Progress,
    Standing,
    State,
    Ticket,
    now,
)
from service.jobs.uploads import NAME, check_unpacked, is_full
from service.plan import begun, load_plan
from service.registry import Registry
from service.session import Device
from service.workers import spare_collector

BUSY = 3
"""Exit code where another process holds the job."""
UNSAID = 4
"""Exit code where not even the outcome could be written: the disk is full."""

# Requests come first: a process of this niceness gets about a tenth of a core that another wants.
_NICE = 10
# Linux: what to kill when memory is short, rather than the service.
_OOM_SCORE = "500"
_LOOK_SECONDS = 0.5
_RESUBMIT = "submit the file again"


class Means(Frozen):
    """What a service scores with.

    Attributes:
      models: folder of models.
      reference: the FASTA as the service opened it, None where it has none.
      device: cpu, cuda or auto.
      threads: of a job that was not begun with another number.
      mismatch_share: see `Job`.
      shard_bytes: of text in a shard.
      max_unpacked_bytes: of text in an upload.
    """

    models: Path
    reference: Stamp | None
    device: Device
    threads: int
    mismatch_share: float
    shard_bytes: int
    max_unpacked_bytes: int


def main(folder: Path) -> int:
    """Score a job, and return the exit code."""
    means = Means.model_validate_json(sys.stdin.buffer.readline())
    _step_back()
    job = JobFolder(folder)
    with job.held() as is_mine:
        if not is_mine:
            return BUSY
        try:
            standing = job.standing()
            if standing.state.is_over:
                return 0
            standing = Standing(state=State.RUNNING, queued=standing.queued, started=now())
            job.write_standing(standing)
            job.write_standing(outcome(job, means, standing))
        except NotFoundError:
            return 0  # removed
        except ServiceError as error:
            return UNSAID if is_full(error) else 1
    return 0


def outcome(job: JobFolder, means: Means, standing: Standing) -> Standing:
    """Score a job and say what came of it, also where that is a failure."""
    try:
        standing = standing.model_copy(update=_scored(job, job.ticket(), means))
        job.input.unlink(missing_ok=True)
        return standing.model_copy(update={"state": State.DONE, "finished": now()})
    except ServiceError as error:
        problem = problem_of(error, _names(job, means))
    except Exception:  # noqa: BLE001  (a bug ends the job, not the service)
        traceback.print_exc()  # into the job's log
        problem = Problem(
            type=ServiceError.type,
            message="an internal error; the log of the job has more",
        )
    return standing.model_copy(update={"state": State.FAILED, "finished": now(), "error": problem})


def _scored(job: JobFolder, ticket: Ticket, means: Means) -> dict[str, Any]:
    """Score a job and return what there is to say of it.

    Raises:
      ServiceError: it cannot be scored.
    """
    order = ticket.order
    check_model(order, means)
    reference = check_reference(order, means)
    check_unpacked(job.input, means.max_unpacked_bytes)
    output = job.output(order.style)
    task = Job(
        models=means.models,
        model=order.model,
        reference=reference,
        assembly=order.assembly,
        device=means.device,
        threads=_threads(job, order, means),
        options=order.options,
        style=order.style,
        mismatch_share=means.mismatch_share,
        rejects=job.rejects,
    )

    def run() -> dict[str, Any]:
        summary = score_file(
            str(job.input),
            output,
            task,
            shard_bytes=means.shard_bytes,
            crew=Crew(),
            on_progress=Meter(job, job.work(order.style)).update,
            reference_sha256=order.reference_sha256,
        )
        return summary.as_dict(mismatch_share=means.mismatch_share)

    try:
        told = run()
    except OtherRunError:
        # What was begun by another version, in another place or on another device cannot go on.
        if not _discarded(job.work(order.style)):
            raise
        told = run()
    return {"summary": told, "result": _facts(output), "rejects": _facts(job.rejects)}


def check_model(order: Order, means: Means) -> None:
    """Make sure that a model is the one that a job was made for.

    Raises:
      ConflictError: it is another one.
      ServiceError: it is gone, or broken.
    """
    card = Registry(means.models).card(order.model)
    found = {"model_sha256": card["model_sha256"], "card_sha256": digest_of(card)}
    for key, what in (("model_sha256", "model"), ("card_sha256", "card of the model")):
        wanted = getattr(order, key)
        if found[key] != wanted:
            raise ConflictError(
                f"the {what} {order.model!r} has changed: the job was made for SHA-256 {wanted},"
                f" there is {found[key]}; put that one back and {_RESUBMIT}, or {_RESUBMIT} as"
                " another job once the service was started anew",
                detail={"model": order.model, "expected": wanted, "found": found[key]},
            )


def check_reference(order: Order, means: Means) -> Path:
    """Make sure that the reference is the one that a job was made for, and return it.

    Raises:
      ConflictError: it is another one.
      ServiceError: it is gone, or the service has none.
    """
    if means.reference is None:
        raise ValidationError(f"the server has no reference now; start it with one and {_RESUBMIT}")
    path = means.reference.path
    found = means.reference.sha256 if means.reference.is_untouched() else file_sha256(path)
    if found != order.reference_sha256:
        raise ConflictError(
            f"the reference has changed: the job was made for SHA-256 {order.reference_sha256},"
            f" there is {found}; put that one back and {_RESUBMIT}",
            detail={"expected": order.reference_sha256, "found": found},
        )
    return path


def problem_of(error: ServiceError, names: Mapping[str, str]) -> Problem:
    """Say an error without the paths in it."""
    if is_full(error) and not isinstance(error, DiskFullError):
        error = DiskFullError(
            f"the disk of the service is full; what is scored is kept: {_RESUBMIT} to go on"
        )
    detail = None if error.detail is None else _renamed(error.detail, names)
    return Problem(type=error.type, message=_renamed(error.message, names), detail=detail)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401  (any JSON)
    if isinstance(value, str):
        for path in sorted(names, key=len, reverse=True):
            value = value.replace(path, names[path])
        return value
    if isinstance(value, Mapping):
        return {key: _renamed(one, names) for key, one in value.items()}
    return [_renamed(one, names) for one in value] if isinstance(value, list) else value


def _names(job: JobFolder, means: Means) -> dict[str, str]:
    """What messages call the paths that they may hold, and an advice to the operator."""
    names = {str(job.input): NAME, str(job.path): "the job", str(means.models): "the models"}
    names[ADVICE] = "It must be that of the server's reference"  # which only the operator can set
    with suppress(ServiceError):
        work = job.work(job.ticket().order.style)
        names |= {str(work): "the unfinished job", f"{work}/": ""}
    if means.reference is not None:
        names[str(means.reference.path)] = "the reference"
    return names


def _threads(job: JobFolder, order: Order, means: Means) -> int:
    """The number that a job was begun with, else the service's."""
    with suppress(ValidationError):
        plan = begun(job.work(order.style))
        if plan is not None:
            return plan.job.threads
    return means.threads


def _discarded(work: Path) -> bool:
    """Remove what was begun; say whether there was anything."""
    if not work.exists():
        return False
    with lock(work):
        discard(work)
    return True


def _facts(path: Path) -> FileFacts:
    return FileFacts(n_bytes=path.stat().st_size, sha256=file_sha256(path))


@dataclass
class Meter:
    """Writes how far a job is, now and then.

    Attributes:
      job: where to.
      work: the work folder of the batch scorer.
    """

    job: JobFolder
    work: Path
    _n_shards: int = field(default=0, init=False)
    _n_done: int = field(default=0, init=False)
    _began: tuple[float, int] | None = field(default=None, init=False)
    _next: float = field(default=0.0, init=False)

    def update(self, position: int, n_alts: int, size: int | None) -> None:
        """Take note of a shard; the first call tells of what an earlier attempt has done."""
        at = time.monotonic()
        if self._began is None:
            self._began = at, position
            self._n_shards = len(load_plan(self.work).shards)
            self._n_done = sum(path.suffix == ".json" for path in (self.work / SHARDS).iterdir())
        else:
            self._n_done += 1
        if at < self._next and position != size:
            return
        self._next = at + _LOOK_SECONDS
        seconds, done = at - self._began[0], position - self._began[1]
        left = (size or 0) - position
        self.job.write_progress(
            Progress(
                bytes_done=position,
                n_bytes=size or 0,
                alts=n_alts,
                shards_done=self._n_done,
                shards=self._n_shards,
                seconds_left=round(left * seconds / done, 1) if done else None,
            )
        )


def _step_back() -> None:
    """Give way to the service, keep files private, and end when the parent does."""
    os.nice(_NICE)
    os.umask(0o077)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    spare_collector()
    Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    # Below its buffer, which would be locked at the end of the process by a read that waits.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
