"""One shard of a plan -> its part of the output on disk, with a marker that says it is whole.

`shards/000007.data`, `.rejects` and, last, `.json` each get their names in one rename, so a process
may be killed at any moment: a shard that has its marker is never scored again.
"""

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pydantic

from service.bgzf import Packer
from service.durable import NewFile, sync_folder, write_file
from service.errors import ServiceError, ValidationError, WrongAssemblyError
from service.identity import Frozen, Identity
from service.plan import SHARDS, Plan, Shard, load_plan
from service.rejects import RejectsEncoder
from service.scoring import Scorer, Scores
from service.stages import Chunk, chunks, scored
from service.summary import Tally
from service.tables import encoder_for
from service.vcf import parse_lines

# So many ALTs whose REF was compared say enough about the assembly.
ENOUGH = 1000


class Marker(Frozen):
    """Says that a shard is finished.

    Attributes:
      index: of the shard.
      fingerprint: of the run.
      tally: counts; line numbers count from 1 in the shard.
      n_bytes: of the data file.
      sha256: of the data file.
      rejects_sha256: of the report of what was not scored, None where none is asked for.
      seconds: what it took.
    """

    index: int
    fingerprint: str
    tally: Tally
    n_bytes: int
    sha256: str
    rejects_sha256: str | None
    seconds: float


def data_path(folder: Path, index: int) -> Path:
    """Return where a shard's part of the output is."""
    return folder / SHARDS / f"{index:06d}.data"


def rejects_path(folder: Path, index: int) -> Path:
    """Return where a shard's report of what was not scored is."""
    return folder / SHARDS / f"{index:06d}.rejects"


def marker_path(folder: Path, index: int) -> Path:
    """Return where a shard's marker is."""
    return folder / SHARDS / f"{index:06d}.json"


def read_marker(folder: Path, plan: Plan, index: int) -> Marker | None:
    """Return the marker of a shard, None where it is still to be scored.

    Raises:
      ValidationError: the marker is no marker, or of another run, or there is no such shard.
    """
    if not 0 <= index < len(plan.shards):
        raise ValidationError(
            f"there is no shard {index}: {folder} has {len(plan.shards)}, counted from 0"
        )
    path = marker_path(folder, index)
    try:
        marker = Marker.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, pydantic.ValidationError) as error:
        raise ValidationError(
            f"{path} is damaged; delete it, and the same command scores that shard again"
        ) from error
    if marker.fingerprint != plan.fingerprint or marker.index != index:
        raise ValidationError(
            f"{path} is of another run than {folder}; delete it, and the same command scores that"
            " shard again"
        )
    paths = [data_path(folder, index)]
    if marker.rejects_sha256 is not None:
        paths.append(rejects_path(folder, index))
    return marker if all(path.exists() for path in paths) else None


def read_markers(folder: Path, plan: Plan) -> dict[int, Marker]:
    """Return the markers of all finished shards, in order.

    Raises:
      ValidationError: one is damaged or of another run.
    """
    found = {shard.index: read_marker(folder, plan, shard.index) for shard in plan.shards}
    return {index: marker for index, marker in found.items() if marker is not None}


def missing(folder: Path, plan: Plan) -> list[int]:
    """Return the shards that are still to be scored, in order.

    Raises:
      ValidationError: a marker is damaged or of another run.
    """
    done = read_markers(folder, plan)
    return [shard.index for shard in plan.shards if shard.index not in done]


def score_shard(folder: Path, index: int, worker: "ShardWorker | None" = None) -> Marker:
    """Score one shard of a work folder, or find that this was done.

    Args:
      folder: the work folder.
      index: 0-based.
      worker: one that is open, for many shards.

    Raises:
      ServiceError: see `ShardWorker`.
    """
    worker = worker or ShardWorker(folder, load_plan(folder))
    return worker.score(index)


def check_assembly(tally: Tally, share: float) -> None:
    """Stop a run on the wrong genome before it has taken the night.

    Args:
      tally: of what was scored so far.
      share: of REF mismatches from which on to stop; 1 never stops.

    Raises:
      WrongAssemblyError: there are as many, among 1,000 ALTs or more whose REF was compared.
    """
    compared, mismatched = tally.n_compared, tally.n_mismatched
    if share < 1 and compared >= ENOUGH and mismatched >= share * compared:
        raise WrongAssemblyError(
            f"REF differs from the reference in {mismatched:,} of {compared:,} ALTs"
            f" ({mismatched / compared:.1%}): wrong assembly? Check --reference; --mismatch-share 1"
            " scores regardless",
            detail={"compared": compared, "mismatched": mismatched},
        )


class ShardWorker:
    """Scores shards of one plan; it opens model and reference when the first one is due.

    Args:
      folder: the work folder.
      plan: what it holds.
      gpu: 0-based number of the GPU to use, where there are several.
      scorer: one for the plan's job that is open already.
    """

    def __init__(
        self, folder: Path, plan: Plan, *, gpu: int | None = None, scorer: Scorer | None = None
    ) -> None:
        """Open nothing yet."""
        self._folder, self._plan, self._gpu = folder, plan, gpu
        self._given = scorer
        self._scorer: Scorer | None = None
        self._text = plan.text
        # Shards of long records are too small to tell the assembly: counted over several of them.
        self._recent = Tally()

    def score(self, index: int) -> Marker:
        """Score one shard, unless it has its marker.

        Raises:
          ServiceError: it cannot be read, scored or written, or this process would not give the
            scores that were planned.
        """
        with closing(self.run([index])) as markers:
            return next(markers)

    def run(self, indices: Iterable[int]) -> Generator[Marker, None, None]:
        """Score shards one after the other and yield each marker when it is on disk.

        Those that have their marker come first. The stages run on from one shard into the next, so
        that the model does not wait.

        Raises:
          ServiceError: as `score`; the shards before the one that fails are finished.
        """
        due: list[Shard] = []
        for index in indices:
            marker = read_marker(self._folder, self._plan, index)
            if marker is None:
                due.append(self._plan.shards[index])
            else:
                yield marker
        if not due:
            return
        scorer = self._open()
        with closing(scored(self._chunks(due), scorer)) as items:
            for shard in due:
                yield self._write(shard.index, items)

    def _open(self) -> Scorer:
        """Open model and reference once, and make sure that they are the plan's."""
        if self._scorer is None:
            plan, job = self._plan, self._plan.job
            known = plan.reference.sha256 if plan.reference.is_untouched() else None
            scorer = self._given or job.open(self._gpu, reference_sha256=known)
            mine = Identity.of(
                scorer,
                job,
                input_sha256=plan.identity.input_sha256,
                shard_bytes=plan.identity.shard_bytes,
            )
            if differences := plan.identity.differences(mine):
                raise ServiceError(
                    f"this process cannot go on with {self._folder}: it differs from the one that"
                    f" planned the run in {'; '.join(differences)}"
                )
            self._text = plan.text.verified("the input")
            self._scorer = scorer
        return self._scorer

    def _chunks(self, due: Iterable[Shard]) -> Iterator[Chunk]:
        """Yield the chunks of all shards, each shard's followed by an empty one."""
        for shard in due:
            yield from chunks(parse_lines(self._plan.lines(shard), 1))
            self._text = self._text.verified("the input")
            yield []

    def _write(self, index: int, items: Iterator[tuple[Chunk, Scores]]) -> Marker:
        """Take the chunks of one shard, write its files and return its marker."""
        started = time.perf_counter()
        identity = self._plan.identity
        encoder = encoder_for(identity.style, identity.provenance)
        packer = Packer() if identity.style.is_compressed else None
        rejected = RejectsEncoder() if identity.has_rejects else None
        tally = Tally()
        with ExitStack() as files:
            data = files.enter_context(NewFile(data_path(self._folder, index)))
            rejects = None
            if rejected:
                rejects = files.enter_context(NewFile(rejects_path(self._folder, index)))
            for lines, scores in items:
                if not lines:
                    break
                tally.add_chunk(lines, scores)
                self._check(tally)
                text = encoder.lines(lines, scores)
                data.write(packer.add(text) if packer else text)
                if rejected and rejects:
                    rejects.write(rejected.lines(lines, scores))
            if packer:
                data.write(packer.finish())
        marker = Marker(
            index=index,
            fingerprint=self._plan.fingerprint,
            tally=tally,
            n_bytes=data.n_bytes,
            sha256=data.sha256,
            rejects_sha256=rejects.sha256 if rejects else None,
            seconds=time.perf_counter() - started,
        )
        self._recent = self._with_recent(tally)
        sync_folder(self._folder / SHARDS)
        write_file(marker_path(self._folder, index), marker.model_dump_json().encode())
        sync_folder(self._folder / SHARDS)
        return marker

    def _check(self, tally: Tally) -> None:
        check_assembly(self._with_recent(tally), self._plan.job.mismatch_share)

    def _with_recent(self, tally: Tally) -> Tally:
        enough = self._recent.n_compared >= ENOUGH
        return tally if enough else self._recent.merged(tally)
