"""Kill `varsigma score` at random moments and start it again: same bytes, no shard scored twice.

`python -m tests.kill_resume --kills 100` (Linux). The moments lie anywhere from start-up to the
last rename. Before each new start the inode and the time of change of every finished shard's files
are taken down; they must stay what they are. Whatever a run that is not killed has written must
have the bytes of one that never was.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pysam

from service.folder import work_folder
from tests.commands import Broken, varsigma, verdict
from tests.service.processes import count_shards, wait_until
from tests.synthetic import EVERY_KIND, Genome, write_vcf
from tests.toy_models import SumModel, write_model

PATIENCE = 60.0
"""Seconds that one start may take before it counts as hanging."""
MOST_KILLS = 4
"""Kills of one run before it may come to its end."""

_ROOT = Path(__file__).parents[1]
_STEP = 0.001

Stamps: TypeAlias = dict[Path, tuple[int, int]]


@dataclass(frozen=True)
class Case:
    """One kind of input and output.

    Attributes:
      name: for messages.
      source: file name of the input.
      output: file name of the output.
      options: of the command line.
      is_stdin: whether the input comes through standard input.
    """

    name: str
    source: str
    output: str
    options: tuple[str, ...] = ()
    is_stdin: bool = False


CASES = (
    Case("plain to vcf", "in.vcf", "out.vcf"),
    Case("bgzip to vcf.gz, indexed", "in.vcf.gz", "out.vcf.gz", ("--index", "tbi")),
    Case("standard input to tsv", "in.vcf", "out.tsv", is_stdin=True),
    Case("gzip to tsv.gz", "in.gzip.vcf.gz", "out.tsv.gz"),
    Case("BCF to vcf.gz, two workers", "in.bcf", "out.vcf.gz", ("--workers", "2")),
    Case("plain to vcf, two workers", "in.vcf", "out.vcf", ("--workers", "2")),
)


@dataclass(frozen=True)
class Moment:
    """When to kill: some time after a start has come to a stage.

    Attributes:
      stage: start-up, scoring, merging, renaming or never.
      n_shards: finished shards that make it `scoring`.
      wait: seconds from there on.
    """

    stage: str
    n_shards: int = 0
    wait: float = 0.0

    def has_come(self, output: Path, since_ns: int) -> bool:
        """Whether a run has come to the stage after a point in time."""
        work = work_folder(output)
        match self.stage:
            case "start-up":
                return True
            case "scoring":
                return count_shards(work) >= self.n_shards
            case "merging":
                return _is_newer(work / "merged", since_ns)
            case "renaming":
                return _is_newer(output, since_ns)
        return False


def _is_newer(path: Path, since_ns: int) -> bool:
    return path.exists() and path.stat().st_mtime_ns > since_ns


@dataclass
class Trials:
    """Runs in one folder, killed and started again.

    Attributes:
      folder: for everything.
      n_records: in the input.
      shard_bytes: of text in a shard.
      rng: for the moments.
      n_kills: so far.
      n_shards: of the input.
      seconds_to_start: until there is a work folder.
      n_resumed: runs that were killed, resumed and compared.
      stages: how far the killed starts had come.
    """

    folder: Path
    n_records: int
    shard_bytes: int
    rng: random.Random
    n_kills: int = 0
    n_resumed: int = 0
    n_shards: int = 0
    seconds_to_start: float = 0.0
    stages: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Write model, genome and inputs."""
        write_model(self.folder / "models", SumModel(width=100))
        genome = Genome.random(300_000)
        genome.write(self.folder / "genome.fa")
        plain = write_vcf(self.folder / "in.vcf", genome, self.n_records, mix=EVERY_KIND)
        with pysam.BGZFile(str(self.folder / "in.vcf.gz"), "wb") as packed:
            packed.write(plain.read_bytes())
        (self.folder / "in.gzip.vcf.gz").write_bytes(gzip.compress(plain.read_bytes(), 1))
        with (
            pysam.VariantFile(str(plain)) as records,
            pysam.VariantFile(str(self.folder / "in.bcf"), "wb", header=records.header) as bcf,
        ):
            for record in records:
                bcf.write(record)

    def run(self, case: Case, n_kills: int) -> None:
        """Kill starts of a case so often; each run comes to its end in the end.

        Raises:
          Broken: a promise was not kept.
        """
        place = self._place()
        self._start(case, place, {}, Moment("never"))
        right = read_all(place)
        if case.output not in right or not all(right.values()):
            raise Broken(f"{case.name}: a run that nobody killed wrote {sorted(right)}")
        left = n_kills
        while left:
            # The last start of each run is not killed, and its bytes are compared.
            few = min(left, self.rng.randint(1, MOST_KILLS))
            place = self._place()
            work = work_folder(place / case.output)
            is_killed = True
            for _ in range(few):
                moment = self._moment(count_shards(work))
                is_killed = self._start(case, place, finished(work), moment)
                if not is_killed:
                    break
                self.stages[moment.stage] += 1
                self.n_kills += 1
                left -= 1
            if is_killed:
                self._start(case, place, finished(work), Moment("never"))
            if read_all(place) != right:
                raise Broken(f"{case.name}: a run that was resumed wrote other bytes, see {place}")
            self.n_resumed += is_killed

    def _place(self) -> Path:
        """An empty folder for outputs."""
        place = self.folder / "outputs"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return place

    def _moment(self, n_done: int) -> Moment:
        """Choose when to kill a run of which some shards are done."""
        stages = {"start-up": 30, "scoring": 45, "merging": 15, "renaming": 10}
        stage = self.rng.choices(tuple(stages), tuple(stages.values()))[0]
        if stage == "scoring" and n_done == self.n_shards:
            stage = "merging"
        longest = {
            "start-up": 1.2 * self.seconds_to_start,
            "scoring": 0.03,
            "merging": 0.1,
            "renaming": 0.02,
        }
        n_shards = self.rng.randint(min(n_done + 1, self.n_shards), self.n_shards)
        return Moment(stage, n_shards, self.rng.uniform(0, longest[stage]))

    def _start(self, case: Case, place: Path, done: Stamps, moment: Moment) -> bool:
        """Start a run, and kill it and all its children at a moment, if that comes.

        Args:
          case: what to run.
          place: where its outputs go.
          done: files of finished shards, which must stay as they are.
          moment: when to kill it.

        Returns:
          Whether it was killed; if not, it came to its end.

        Raises:
          Broken: a finished shard was written again, or the run failed or hung.
        """
        output = place / case.output
        work = work_folder(output)
        started, started_ns = time.monotonic(), time.time_ns()
        reached: float | None = None
        with (self.folder / case.source).open("rb") as source, self._log.open("wb") as log:
            process = subprocess.Popen(
                self._command(case, output),
                stdin=source if case.is_stdin else subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                cwd=_ROOT,
            )
        try:
            while process.poll() is None:
                self._look(work, done, time.monotonic() - started)
                now = time.monotonic()
                if reached is None and moment.has_come(output, started_ns):
                    reached = now
                if reached is not None and now >= reached + moment.wait:
                    break
                if now > started + PATIENCE:
                    raise Broken(f"{case.name}: it hangs")
                time.sleep(_STEP)
        finally:
            kill_all(process)
        check_kept(work, done)
        if process.returncode == -signal.SIGKILL:
            return True
        if process.returncode != 0:
            said = self._log.read_text()[-2000:]
            raise Broken(f"{case.name}: it ended with {process.returncode}: {said}")
        return False

    def _look(self, work: Path, done: Stamps, seconds: float) -> None:
        """Learn what there is to know about a run at work."""
        if not self.seconds_to_start and work.exists():
            self.seconds_to_start = seconds
        self.n_shards = max(self.n_shards, count_shards(work))
        check_kept(work, done)

    @property
    def _log(self) -> Path:
        return self.folder / "log.txt"

    def _command(self, case: Case, output: Path) -> list[str]:
        source = "-" if case.is_stdin else self.folder / case.source
        settings = {
            "output": output,
            "models": self.folder / "models",
            "reference": self.folder / "genome.fa",
            "rejects": output.parent / "rejects.tsv",
            "shard-bytes": self.shard_bytes,
            "threads": 1,
            "device": "cpu",
            "mismatch-share": 1,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return varsigma("score", source, *options, *case.options)


def finished(work: Path) -> Stamps:
    """Inode and time of change of all files of shards that have their marker, in a begun run.

    Raises:
      Broken: a shard has its marker, but not its data.
    """
    stamps: Stamps = {}
    if not (work / "plan.json").exists():
        return stamps  # nothing is planned, or all is in place and the folder being removed
    for marker in work.glob("shards/*.json"):
        for path in (marker, marker.with_suffix(".data"), marker.with_suffix(".rejects")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                raise Broken(f"{marker} is there, but {path.name} is not") from None
            stamps[path] = stat.st_ino, stat.st_mtime_ns
    return stamps


def check_kept(work: Path, done: Stamps) -> None:
    """Make sure that files of finished shards are as they were; a finished run removes them.

    Raises:
      Broken: one was written again, or is gone before the run is over.
    """
    for path, before in done.items():
        try:
            stat = path.stat()
        except FileNotFoundError:
            if (work / "plan.json").exists():
                raise Broken(f"{path} of a finished shard is gone") from None
            return
        if (stat.st_ino, stat.st_mtime_ns) != before:
            raise Broken(f"{path} of a finished shard was written again")


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its group, and wait until none of them can write any more."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(group_of(pid) == process.pid for pid in pids()))


def pids() -> list[int]:
    """All processes."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def group_of(pid: int) -> int | None:
    """Process group of a process that still runs."""
    try:
        state, _, group = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[:3]
    except OSError:
        return None
    return None if state in "ZX" else int(group)


def read_all(place: Path) -> dict[str, bytes]:
    """Bytes of all that a run has left, by name."""
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all cases and print what was shown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--shard-bytes", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    started = time.monotonic()
    with verdict(), tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), options.records, options.shard_bytes, random.Random(seed))
        for index, case in enumerate(CASES):
            share = options.kills * (index + 1) // len(CASES) - options.kills * index // len(CASES)
            trials.run(case, share)
            print(f"{case.name}: {share} kills, {trials.n_shards} shards", flush=True)
        stages = ", ".join(f"{n} in {stage}" for stage, n in trials.stages.most_common())
        print(f"killed: {stages}; {trials.n_resumed} runs resumed and compared")
        print(f"{time.monotonic() - started:.0f} s, seed {seed}")
        print(
            f"{trials.n_kills} kills: every resumed output identical, no shard scored twice",
            flush=True,
        )


if __name__ == "__main__":
    main()
