"""A small service that takes jobs, with toy models on a made-up cohort, and what the tests ask."""

import gzip
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.app import create_app
from service.batch import Crew, score_file
from service.job import Job
from service.jobs.folder import JobFolder
from service.jobs.store import Store
from service.jobs.ticket import Standing, State
from service.jobs.work import Means, outcome
from service.output import OutputFormat
from service.scoring import ScoringOptions
from service.settings import Settings
from tests.service.cohort import Cohort
from tests.toy_models import SumModel, write_model

SHARD_BYTES = 6000
PATIENCE = 60.0


@dataclass
class JobDesk:
    """A service; its processes run inside `open` only, so that a job otherwise stays queued.

    Attributes:
      folder: of all files.
      cohort: genome and variants.
      settings: beyond those of every test.
    """

    folder: Path
    cohort: Cohort
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fasta = self.folder / "genome.fa"
        for name in (self.cohort.fasta, Path(f"{self.cohort.fasta}.fai")):
            if name.exists():
                shutil.copy2(name, self.folder / name.name)
        write_model(self.models)
        self.vcf = self.cohort.write(self.folder / "in.vcf")
        self.content = self.vcf.read_bytes()
        self.records = b"".join(record + b"\n" for record in self.cohort.records())

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs"

    @property
    def store(self) -> Store:
        return Store(self.jobs)

    def app(self, **more: Any) -> FastAPI:
        given = {
            "models": self.models, "reference": self.fasta, "device": "cpu", "threads": 1,
            "jobs": self.jobs, "shard_bytes": SHARD_BYTES, "mismatch_share": 1, "timeout": 60,
        }  # fmt: skip
        return create_app(Settings(**given | self.settings | more))

    def client(self, **more: Any) -> TestClient:
        """Return a client of a service whose jobs stay queued."""
        return TestClient(self.app(**more), raise_server_exceptions=False)

    @contextmanager
    def open(self, **more: Any) -> Iterator[TestClient]:
        """Serve, and score jobs, during a block."""
        with self.client(**more) as client:
            yield client

    def submit(self, client: TestClient, content: bytes | None = None, **query: Any) -> Any:
        return client.post(
            "/v1/jobs", params=query, content=self.content if content is None else content
        )

    def folder_of(self, job: dict[str, Any]) -> JobFolder:
        return JobFolder(self.jobs / job["id"])

    def means(self, client: TestClient) -> Means:
        return client.app.state.desk.supervisor._means

    def score(self, client: TestClient, job: dict[str, Any]) -> Standing:
        """Score a queued job in this process, as its own would, and write what came of it."""
        folder = self.folder_of(job)
        standing = outcome(folder, self.means(client), folder.standing())
        folder.write_standing(standing)
        return standing

    def offline(
        self,
        content: bytes | None = None,
        *,
        style: OutputFormat = OutputFormat.VCF,
        **options: Any,
    ) -> tuple[bytes, bytes]:
        """What `varsigma score` writes for a file: the output and the report of rejects."""
        place = self.folder / "offline"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        (place / "anything").write_bytes(self.content if content is None else content)
        output, rejects = place / f"out.{style.value}", place / "rejects.tsv"
        job = Job(
            models=self.models, model="sum", reference=self.fasta, device="cpu", threads=1,
            options=ScoringOptions(**options), style=style, mismatch_share=1, rejects=rejects,
        )  # fmt: skip
        score_file(
            str(place / "anything"), output, job, shard_bytes=SHARD_BYTES, crew=Crew(workers=1)
        )
        return output.read_bytes(), rejects.read_bytes()

    def vcf_of_contigs(self) -> Path:
        """The VCF as htslib wants it: contigs declared, and nothing that it would not take."""
        records = [
            b"\t".join([*record.split(b"\t")[:5], b".", b"PASS", b"."])
            for record in self.cohort.records()
            if record.split(b"\t")[4].isalpha() and record.split(b"\t")[3].isalpha()
        ]
        header = [b"##fileformat=VCFv4.3"]
        header += [
            b"##contig=<ID=%s>" % name for name in {one.split(b"\t")[0]: 0 for one in records}
        ]
        header += [b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
        path = self.folder / "declared.vcf"
        path.write_bytes(b"".join(line + b"\n" for line in header + records))
        return path

    def replace_model(self) -> None:
        shutil.rmtree(self.models)
        write_model(self.models, SumModel(base_weights=(3.0, 1.0, -2.0, 0.5, 0.0)))

    def litter(self) -> list[str]:
        """What lies in the folder of jobs besides locks and jobs."""
        return [path.name for path in (self.jobs / "uploads").iterdir()]


def finished(client: TestClient, job: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Wait until a job is over."""
    end = time.monotonic() + PATIENCE
    while True:
        found = client.get(f"/v1/jobs/{job['id']}", headers=headers).json()
        if State(found["state"]).is_over:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.05)


def error_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    return response.json()["error"]


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
