"""`/v1/jobs`: a VCF is uploaded, scored as a file, and the result downloaded."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

import httpx2 as httpx
from pydantic import BaseModel, ConfigDict

from service.remote.exchange import Ask, Patience, Sink, Talk, exchange, exchange_on
from service.remote.problems import GivenError

_ROUTE = "/v1/jobs"
_CREATED = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED})
_DELETED = _CREATED | {HTTPStatus.NO_CONTENT}
_FILE = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_FINAL = frozenset({"done", "failed", "cancelled"})


class Job(BaseModel):
    """A job as the service tells of it; further fields are attributes too.

    Attributes:
      id: digest of what it does: the same file with the same options is the same job.
      state: queued, running, done, failed or cancelled.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    state: str

    @property
    def is_final(self) -> bool:
        """Nothing more will happen."""
        return self.state in _FINAL


class JobOptions(TypedDict, total=False):
    """How a file is scored; what is left out is the server's."""

    model: str
    strands: int
    shifts: list[int]
    coverage: float
    format: str


def submitted(vcf: Path, options: Mapping[str, Any]) -> Ask[Job]:
    """Upload a file; the same one again finds the same job."""
    query = {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in options.items()
    }
    return Ask(
        method="POST",
        path=_ROUTE,
        read=_job,
        good=_CREATED,
        query=query,
        headers={"Content-Type": "application/octet-stream"},
        upload=vcf,
    )


def told(job: str) -> Ask[Job]:
    """Ask how far a job is."""
    return Ask(method="GET", path=_path(job), read=_job)


def cancelled(job: str) -> Ask[None]:
    """Cancel a job and delete its files."""
    return Ask(method="DELETE", path=_path(job), read=lambda _: None, good=_DELETED)


def waited(job: str, seconds: float, patience: Patience) -> Talk[Job]:
    """Ask until a job is over."""
    while True:
        found = yield from exchange(told(job), patience)
        if found.is_final:
            return found
        yield seconds


def downloaded(job: str, path: Path, patience: Patience) -> Talk[Path]:
    """Fetch a result; where the line breaks, go on from there. The name appears at the end."""
    if path.is_dir():
        raise GivenError(f"{path} is a folder; name the file that the result is to be")
    sink = Sink(path.with_name(f"{path.name}.partial"))

    def rest() -> Ask[Path]:
        return Ask(
            method="GET",
            path=f"{_path(job)}/result",
            read=lambda _: sink.path.replace(path),
            good=_FILE,
            headers=sink.headers(),
            sink=sink,
        )

    try:
        return (yield from exchange_on(rest, patience, lambda: sink.size))
    finally:
        sink.path.unlink(missing_ok=True)  # of no use to another call, which begins anew


def _path(job: str) -> str:
    return f"{_ROUTE}/{quote(job, safe='')}"


def _job(response: httpx.Response) -> Job:
    return Job.model_validate_json(response.content)
