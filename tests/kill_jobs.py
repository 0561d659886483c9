"""Kill a service in the middle of a job, again and again: its file is what `varsigma score` writes.

`python -m tests.kill_jobs --records 50000 --kills 5 [--model dh7] [--workers 2]` (Linux). The whole
service is killed with SIGKILL at random moments between the upload and the end of the job, started
again on the same folder, and asked for the same job by its id. No shard that was finished is scored
a second time, no process outlives the service, and no litter stays.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from service.job import SHARD_BYTES
from service.registry import default_models_dir
from tests.commands import Broken, run_varsigma, varsigma, verdict
from tests.kill_resume import check_kept, finished, kill_all
from tests.service.processes import command_of, count_shards, wait_until
from tests.synthetic import EVERY_KIND, Genome, write_vcf
from tests.toy_models import SumModel, write_model

PATIENCE = 1800.0
"""Seconds that a job may take in all."""

_STEP = 0.02
_START_SECONDS = 120.0


class Service:
    """`varsigma serve` in a process group of its own, which can be killed as a whole.

    Args:
      folder: for its log.
      options: of the command line, by name.
    """

    def __init__(self, folder: Path, **options: object) -> None:
        """Start nothing yet."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._log = folder / "serve.log"
        self._options = options | {"port": self.port}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
          Broken: it does not.
        """
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self._options.items()]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                varsigma("serve", *options), stderr=log, start_new_session=True
            )
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                self.ask("GET", "/health/ready")
                return
            except (URLError, ConnectionError):
                time.sleep(0.05)
        raise Broken(f"the service does not start: {self._log.read_text()[-2000:]}")

    def ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Send a request and return the answer, read as JSON where it is."""
        request = Request(f"http://127.0.0.1:{self.port}{path}", body, method=method)
        with urlopen(request, timeout=60) as answer:
            content = answer.read()
            is_json = answer.headers.get("content-type") == "application/json"
            return json.loads(content) if is_json else content

    def kill(self) -> None:
        """Kill it as the system would, without a word to the processes that it started."""
        assert self.process is not None
        self.process.kill()
        kill_all(self.process)

    def stop(self) -> int:
        """End it as an operator does, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@dataclass
class Trial:
    """One job, killed and taken up again.

    Attributes:
      folder: for everything.
      n_records: of the upload.
      rng: for the moments.
      options: of the service beyond those of every trial.
      model: one that comes with varsigma; None for a toy.
      shard_bytes: of text in a shard.
      n_kills: so far.
      n_kept: shards that were finished before a kill and never scored again.
    """

    folder: Path
    n_records: int
    rng: random.Random
    options: dict[str, object] = field(default_factory=dict)
    model: str | None = None
    shard_bytes: int = SHARD_BYTES
    n_kills: int = 0
    n_kept: int = 0

    def __post_init__(self) -> None:
        """Write model, genome and upload."""
        self.models = default_models_dir() if self.model else self.folder / "models"
        if not self.model:
            write_model(self.models, SumModel(width=100))
        genome = Genome.random(300_000)
        genome.write(self.folder / "genome.fa")
        self.vcf = write_vcf(self.folder / "in.vcf", genome, self.n_records, mix=EVERY_KIND)
        self.settings: dict[str, object] = {
            "models": self.models,
            "model": self.model or "sum",
            "reference": self.folder / "genome.fa",
            "shard_bytes": self.shard_bytes,
            "threads": 1,
            "device": "cpu",
            "mismatch_share": 1,
        }

    def offline(self) -> bytes:
        """What `varsigma score` writes with the same settings, never killed."""
        output = self.folder / "offline.vcf"
        options = [f"--{name.replace('_', '-')}={one}" for name, one in self.settings.items()]
        run_varsigma("score", self.vcf, "--output", output, *options)
        return output.read_bytes()

    def run(self, n_kills: int) -> None:
        """Have the file scored and kill the service so many times meanwhile.

        Raises:
          Broken: a promise was not kept.
        """
        expected = self.offline()
        service = Service(
            self.folder,
            jobs=self.folder / "jobs",
            drain_delay=0,
            **self.settings | self.options,
        )
        service.start()
        try:
            job = service.ask("POST", "/v1/jobs", self.vcf.read_bytes())["id"]
            work = self.folder / "jobs" / job / "result.vcf.varsigma"
            for number in range(n_kills):
                done = finished(work)
                self._wait(service, job, work, (number + 1) / (n_kills + 1))
                check_kept(work, done)
                service.kill()
                self.n_kills += 1
                wait_until(lambda: not _workers(job))
                self.n_kept = max(self.n_kept, count_shards(work))
                service.start()
            before = finished(work)
            end = time.monotonic() + PATIENCE
            while (told := service.ask("GET", f"/v1/jobs/{job}"))["state"] != "done":
                if told["state"] not in {"queued", "running"} or time.monotonic() > end:
                    raise Broken(f"the job is {told['state']}: {told['error']}")
                check_kept(work, before)
                time.sleep(_STEP)
            if service.ask("GET", f"/v1/jobs/{job}/result") != expected:
                raise Broken("the result is not what `varsigma score` writes")
            service.ask("DELETE", f"/v1/jobs/{job}")
            wait_until(lambda: not list((self.folder / "jobs" / "uploads").iterdir()))
            if service.stop() != 0:
                raise Broken("the service did not end with 0")
        finally:
            service.kill()

    def _wait(self, service: Service, job: str, work: Path, share: float) -> None:
        """Wait for a moment before a share of the job is done."""
        share *= self.rng.uniform(0.5, 1)
        end = time.monotonic() + PATIENCE
        while True:
            told = service.ask("GET", f"/v1/jobs/{job}")
            if told["state"] not in {"queued", "running"}:
                raise Broken(f"the job is {told['state']}, before the service was killed")
            n, done = told["progress"]["shards"], count_shards(work)
            if n and done >= share * n:
                break
            if time.monotonic() > end:
                raise Broken("the job does not get on")
            time.sleep(_STEP)
        time.sleep(self.rng.uniform(0, 0.05))


def _workers(job: str) -> list[int]:
    """Processes that score a job."""
    numbers = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [
        number
        for number in numbers
        if "service.jobs.work" in (command := command_of(number)) and job in command
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a trial and print what was shown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--model", help="one that comes with varsigma; default: a toy")
    parser.add_argument("--shard-bytes", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    started = time.monotonic()
    with verdict(), tempfile.TemporaryDirectory() as folder:
        trial = Trial(
            Path(folder),
            options.records,
            random.Random(seed),
            {} if options.workers == 1 else {"workers": options.workers},
            options.model,
            options.shard_bytes,
        )
        trial.run(options.kills)
        print(f"{time.monotonic() - started:.0f} s, seed {seed}, {os.cpu_count()} cores")
        print(
            f"{trial.n_kills} kills of the service in a job of {options.records:,} records: the"
            f" result is that of `varsigma score`, {trial.n_kept} finished shards not scored again"
        )


if __name__ == "__main__":
    main()
