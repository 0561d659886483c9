"""A VCF in, scores out: `plan -> shards -> merge` into a file.

A run into a file may be interrupted at any time; the same command goes on from there.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from service.cluster import execute_on_ray
from service.errors import IncompleteError, ServiceError, ValidationError
from service.folder import PLAN, discard, lock, work_folder
from service.job import Job
from service.markers import Marker, read_markers
from service.merge import merge
from service.orders import Order
from service.plan import Plan, begun, load_plan, make_plan
from service.scoring import Scorer
from service.session import usable_cores
from service.source import Source
from service.stream import OnProgress, Output, ignore, score_stream
from service.summary import Summary
from service.workers import OnDone, execute_here, execute_in_processes

_GO_ON = "run the same command to go on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who scores the shards of a run. The scores depend on the threads, on nothing else of it.

    Attributes:
      workers: processes; None for 1, or for as many as the Ray cluster can hold.
      ray: address of a Ray cluster, None for this machine.
    """

    workers: int | None = None
    ray: str | None = None

    def threads(self, stated: int | None, folder: Path) -> int:
        """Return the threads of each worker.

        Args:
          stated: what the user says, which counts before all else.
          folder: a plan that is there already says it next, so that a run may go on with another
            number of workers.
        """
        if stated is not None:
            return stated
        plan = begun(folder)
        if plan is not None:
            return plan.job.threads
        # A cluster has machines of different sizes; one thread fits all of them.
        return 1 if self.ray else max(1, usable_cores() // (self.workers or 1))

    def execute(
        self,
        folder: Path,
        plan: Plan,
        indices: Sequence[int],
        *,
        on_done: OnDone,
        scorer: Scorer,
    ) -> None:
        """Have shards scored.

        Args:
          folder: work folder of the plan.
          plan: what it holds.
          indices: shards, 0-based.
          on_done: called with each finished shard.
          scorer: an open one, used where this process scores.

        Raises:
          ServiceError: a shard cannot be scored, or workers are lost again and again.
        """
        if not indices:
            return
        if self.ray:
            execute_on_ray(
                folder, plan, indices, address=self.ray, workers=self.workers, on_done=on_done
            )
        elif (self.workers or 1) > 1:
            execute_in_processes(folder, plan, indices, workers=self.workers or 1, on_done=on_done)
        else:
            execute_here(folder, plan, indices, on_done=on_done, scorer=scorer)


def score_order(order: Order, on_progress: OnProgress = ignore) -> Summary:
    """Score one file, in shards or in one pass as its output wants it.

    Raises:
      ServiceError: see `score_file` and `score_stream`.
    """
    settings = order.settings
    crew = Crew(workers=settings.workers, ray=settings.ray)
    folder = work_folder(Path(order.output))
    if order.is_sharded:
        return score_file(
            order.vcf,
            Path(order.output),
            order.job(crew.threads(settings.threads, folder)),
            shard_bytes=settings.shard_bytes,
            crew=crew,
            on_progress=on_progress,
        )
    job = order.job(settings.threads or usable_cores())
    # Both are looked at before the slow part: an index may have to be built, a model loaded.
    with (
        Source(order.vcf) as source,
        Output(order.output, is_compressed=order.style.is_compressed) as output,
    ):
        return score_stream(
            source,
            output,
            job.open(),
            style=order.style,
            rejects=order.rejects,
            mismatch_share=settings.mismatch_share,
            on_progress=on_progress,
        )


def plan_order(order: Order) -> tuple[Path, int]:
    """Plan one file for a scheduler and return the work folder and the number of shards.

    Raises:
      ValidationError: the output is no file.
      ServiceError: see `score_file`.
    """
    if not order.is_sharded:
        raise ValidationError(f"a plan needs a file, and --output {order.output} is a stream")
    output, settings = Path(order.output), order.settings
    folder = work_folder(output)
    job = order.job(Crew().threads(settings.threads, folder))
    with _held(folder), _kept(folder):
        plan = make_plan(
            order.vcf, output, job, job.open(), folder=folder, shard_bytes=settings.shard_bytes
        )
    return folder, len(plan.shards)


def score_some(folder: Path, indices: Sequence[int], on_done: OnDone) -> None:
    """Score shards of a plan, 0-based, and tell of each when it is done.

    Raises:
      ValidationError: there is no plan, or no such shard.
      ServiceError: a shard cannot be scored.
      IncompleteError: interrupted.
    """
    plan = load_plan(folder)
    n_shards = len(plan.shards)
    for index in indices:
        if not 0 <= index < n_shards:
            raise ValidationError(
                f"{folder} has {n_shards} shards, 0 to {n_shards - 1}; there is no shard {index}"
            )
    with _kept(folder):
        execute_here(folder, plan, indices, on_done=on_done)


def merge_plan(folder: Path, *, is_partial: bool = False) -> tuple[Job, Summary]:
    """Write the output of a plan and remove its folder, or write what there is and keep it.

    Raises:
      IncompleteError: shards are missing.
      ServiceError: there is no plan, or its shards are not what they were.
    """
    job = load_plan(folder).job
    with lock(folder):
        summary = merge(folder, is_partial=is_partial)
        if not is_partial:
            _end(folder)
    return job, summary


def score_file(
    vcf: str,
    output: Path,
    job: Job,
    *,
    shard_bytes: int,
    crew: Crew,
    on_progress: OnProgress = ignore,
    reference_sha256: str | None = None,
) -> Summary:
    """Score every ALT of a VCF into a file, in shards; go on where an earlier run stopped.

    Args:
      vcf: the input, - for standard input.
      output: the file; its work folder is beside it until it is whole.
      job: model, reference and options.
      shard_bytes: of VCF text in a shard.
      crew: who scores.
      on_progress: called first with what an earlier run has done, then after each shard.
      reference_sha256: digest of the FASTA where it is known.

    Raises:
      ServiceError: something cannot be used or scored; finished shards stay.
      IncompleteError: the run was interrupted, or workers were lost again and again.
    """
    started = time.perf_counter()
    folder = work_folder(output)
    with _held(folder):
        with _kept(folder):
            scorer = job.open(reference_sha256=reference_sha256)
            plan = make_plan(vcf, output, job, scorer, folder=folder, shard_bytes=shard_bytes)
            sizes = [shard.n_bytes for shard in plan.shards]
            size = sum(sizes)
            done = read_markers(folder, plan)
            position = sum(sizes[index] for index in done)
            n_alts = sum(marker.tally.n_alts for marker in done.values())
            on_progress(position, n_alts, size)

            def on_done(marker: Marker) -> None:
                nonlocal position, n_alts
                position += sizes[marker.index]
                n_alts += marker.tally.n_alts
                on_progress(position, n_alts, size)

            left = [index for index in range(len(sizes)) if index not in done]
            crew.execute(folder, plan, left, on_done=on_done, scorer=scorer)
            summary = merge(folder)
        _end(folder)
    return replace(summary, seconds=time.perf_counter() - started)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a work folder; one in which nothing was planned that could go on is removed again."""
    with lock(folder):
        try:
            yield
        except ServiceError:
            if not (folder / PLAN).exists():
                discard(folder)
            raise


def _end(folder: Path) -> None:
    """Remove the folder of a run whose output is whole: nobody is to be told to go on with it."""
    try:
        discard(folder)
    except KeyboardInterrupt:
        discard(folder)


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Say of a run that ends early what is kept of it, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise IncompleteError(f"interrupted: {_state(folder)}; {_GO_ON}") from None
    except IncompleteError as error:
        raise IncompleteError(f"{error.message}; {_state(folder)}; {_GO_ON}") from error
    except ServiceError as error:
        if _n_done(folder)[0]:
            error.add_note(f"{_state(folder)}: `varsigma merge {folder} --partial` writes them out")
        raise


def _state(folder: Path) -> str:
    n_done, n_all = _n_done(folder)
    return f"{n_done} of {n_all} shards done" if n_all else "no shard done"


def _n_done(folder: Path) -> tuple[int, int]:
    """Count the shards that are done, and all of them; none where the folder cannot be read.

    This is asked when there is an error already, which must not be hidden by another.
    """
    with suppress(ServiceError):
        plan = begun(folder)
        if plan is not None:
            return len(read_markers(folder, plan)), len(plan.shards)
    return 0, 0
