"""One shard of a plan -> its part of the output on disk, with a marker that says it is whole.

`shards/000007.data`, `.rejects` and, last, `.json` each get their names in one rename, so a process
may be killed at any moment: a shard that has its marker is never scored again.
"""

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from service.bgzf import Packer
from service.durable import NewFile, sync_folder, write_file
from service.encoders import encoder_for
from service.errors import ServiceError, ValidationError
from service.folder import SHARDS
from service.identity import Identity
from service.markers import Marker, data_path, marker_path, read_marker, rejects_path
from service.plan import Plan, Shard, load_plan
from service.records import parse_lines
from service.rejects import RejectsEncoder
from service.scoring import Scorer, Scores
from service.stages import Chunk, chunks, scored
from service.tally import Tally, check_assembly


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


class FirstShards:
    """The counts of a run from its first record on, as far as shards are finished without a gap.

    They are what tells a wrong assembly, however the run is shared out: a shard with many
    mismatches, amid others without, is none.

    Args:
      folder: the work folder.
      plan: what it holds.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Count nothing yet."""
        self._folder, self._plan = folder, plan
        self._tally, self._n_shards = Tally(), 0

    def before(self, index: int) -> Tally | None:
        """Return the counts before a shard, None where an earlier one is still to be scored.

        Raises:
          WrongAssemblyError: the finished ones are of the wrong assembly.
        """
        with suppress(ValidationError):  # who needs a marker says that it is damaged
            while self._n_shards < index:
                marker = read_marker(self._folder, self._plan, self._n_shards)
                if marker is None:
                    break
                self._tally = self._tally.merged(marker.tally)
                self._n_shards += 1
        check_assembly(self._tally, self._plan.job.mismatch_share)
        return self._tally if self._n_shards == index else None


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
        self._first_shards = FirstShards(folder, plan)

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
                input_reader=plan.identity.input_reader,
                shard_bytes=plan.identity.shard_bytes,
            )
            if plan.identity != mine:
                differences = "; ".join(plan.identity.differences(mine))
                raise ServiceError(
                    f"this process cannot go on with {self._folder}: it differs from the one that"
                    f" planned the run in {differences}"
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
        before, tally = self._first_shards.before(index), Tally()
        with ExitStack() as files:
            data = files.enter_context(NewFile(data_path(self._folder, index)))
            rejects = None
            if rejected:
                rejects = files.enter_context(NewFile(rejects_path(self._folder, index)))
            for lines, scores in items:
                if not lines:
                    break
                tally.add_chunk(lines, scores)
                if before is not None:
                    check_assembly(before.merged(tally), self._plan.job.mismatch_share)
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
        sync_folder(self._folder / SHARDS)
        write_file(marker_path(self._folder, index), marker.model_dump_json().encode())
        sync_folder(self._folder / SHARDS)
        return marker
