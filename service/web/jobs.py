"""A whole file as a job: `POST /v1/jobs`, its state, its result.

The bytes go to disk as they come and are scored by a process of their own, not by the batchers, so
that the result is what `varsigma score` writes, byte for byte.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.engine import Engine
from service.entries import digest_of
from service.errors import ConflictError, NotFoundError, ValidationError
from service.identity import Stamp
from service.jobs.folder import JobFolder, no_such_job
from service.jobs.store import Admission, Store
from service.jobs.supervisor import Supervisor
from service.jobs.ticket import FileFacts, Order, State
from service.jobs.uploads import check_head
from service.jobs.work import Means
from service.output import OutputFormat
from service.parquet import require_pyarrow
from service.registry import Registry
from service.scoring import ScoringOptions
from service.session import usable_cores
from service.settings import Settings
from service.web import jobs_docs as docs
from service.web.download import download
from service.web.limits import charge
from service.web.logs import Log
from service.web.metrics import Metrics
from service.web.record import record_of
from service.web.state import Loaded
from service.web.uploads import Uploads

_TSV = docs.MEDIA_TYPES[OutputFormat.TSV]
_CODES = {Admission.NEW: 201, Admission.AGAIN: 202, Admission.KNOWN: 200}
_MOST_LISTED = 1000

router = APIRouter(tags=["jobs"])


@dataclass(frozen=True)
class Desk:
    """Where jobs are handed in.

    Attributes:
      settings: as the service was started.
      store: the jobs.
      supervisor: has them scored.
      uploads: the places for what is arriving.
    """

    settings: Settings
    store: Store
    supervisor: Supervisor
    uploads: Uploads

    def watch(self, log: Log, metrics: Metrics) -> None:
        """Tell of jobs in the log, and count them."""
        self.supervisor.on_change, self.supervisor.on_trouble = log.job, log.trouble
        metrics.watch(JobsCollector(self.store))


def open_desk(settings: Settings, engine: Engine) -> Desk | None:
    """Return the desk of a service that takes jobs, else None; nothing is started yet.

    Raises:
      ValidationError: the folder cannot be used.
    """
    if settings.jobs is None:
        return None
    store = Store(settings.jobs)
    reference = engine.reference
    means = Means(
        models=Registry(settings.models).models_dir.absolute(),
        reference=(
            Stamp.of(settings.reference.absolute(), reference.sha256)
            if settings.reference and reference
            else None
        ),
        device=settings.device,
        threads=settings.threads or max(usable_cores() // settings.job_workers, 1),
        mismatch_share=settings.mismatch_share,
        shard_bytes=settings.shard_bytes,
        max_unpacked_bytes=settings.max_upload_unpacked_bytes,
    )
    supervisor = Supervisor(
        store, means, n_workers=settings.job_workers, keep_hours=settings.keep_jobs
    )
    return Desk(settings, store, supervisor, Uploads(settings))


async def _desk(request: Request) -> Desk:
    desk: Desk | None = request.app.state.desk
    if desk is None:
        raise NotFoundError("this server takes no jobs; start it with --jobs FOLDER")
    return desk


Open = Annotated[Desk, Depends(_desk)]


@router.post(
    "/v1/jobs",
    status_code=201,
    response_model=docs.JobBody,
    responses=docs.SUBMITTED,
    openapi_extra=docs.BODY,
)
async def submit(
    request: Request,
    response: Response,
    desk: Open,
    engine: Loaded,
    query: Annotated[docs.JobQuery, Query()],
) -> docs.JobBody:
    """Score a whole VCF in the background: the body is the file.

    The same file with the same options is the same job, for the same API key. One that failed goes
    on where it was. An upload counts as one item of the key's quota; `max_jobs` bounds how many
    jobs of a key may wait.
    """
    names = Counter(name for name, _ in request.query_params.multi_items())
    if repeated := [name for name, n in names.items() if n > 1]:
        raise ValidationError(f"{repeated[0]} is given twice")
    engine.genome("the upload")
    model = engine.model(query.model)
    options = _options(query, engine.defaults)
    engine.setup(model.info.name, options)  # refuses shifts that leave the window
    if query.format is OutputFormat.PARQUET:
        try:
            require_pyarrow()
        except ValidationError:
            raise ValidationError(
                "this server lacks pyarrow and writes no Parquet; choose another format"
            ) from None
    owner = _owner(request)
    await charge(request, items=1)
    store, limit = desk.store, desk.settings.max_jobs
    await asyncio.to_thread(store.check_room, owner, limit)
    desk.uploads.check_length(
        request, (await asyncio.to_thread(shutil.disk_usage, store.root)).free
    )
    with desk.uploads.place(owner):
        upload = await asyncio.to_thread(store.new_upload)
        try:
            await desk.uploads.receive(request, upload)
            await asyncio.to_thread(check_head, upload.path)
            order = Order(
                owner=owner,
                input_sha256=upload.sha256,
                model=model.info.name,
                model_sha256=model.info.model_sha256,
                card_sha256=digest_of(model.card),
                reference_sha256=engine.genome("the upload").sha256,
                assembly=desk.settings.assembly,
                options=options,
                style=query.format,
            )
            await store.until_gone(store.job(order))
            job, admission = await asyncio.to_thread(store.admit, upload, order, limit)
        finally:
            await asyncio.to_thread(upload.close)
    desk.supervisor.wake()
    response.status_code = _CODES[admission]
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return await asyncio.to_thread(_body, job)


@router.get(
    "/v1/jobs",
    responses={
        200: docs.answer({"jobs": [docs.EXAMPLE]}, "The caller's jobs", docs.JobList),
        **docs.refusals(_404="The server takes no jobs"),
    },
)
async def jobs(request: Request, desk: Open) -> docs.JobList:
    """List the jobs of the caller, the last one queued first, a thousand at most."""
    owner = _owner(request)

    def all_of_them() -> docs.JobList:
        return docs.JobList(jobs=_bodies(desk.store.of(owner, _MOST_LISTED)))

    return await asyncio.to_thread(all_of_them)


@router.get(
    "/v1/jobs/{id}",
    responses={
        200: docs.answer(docs.EXAMPLE, "The job", docs.JobBody),
        **docs.refusals(_404=docs.NO_JOB),
    },
)
async def job(id: str, request: Request, desk: Open) -> docs.JobBody:
    """Say how a job stands, and how far it is."""
    owner = _owner(request)
    return await asyncio.to_thread(lambda: _body(desk.store.find(id, owner)))


@router.get(
    "/v1/jobs/{id}/result",
    response_class=Response,
    responses=docs.file_answers("The scores", *docs.MEDIA_TYPES.values()),
)
async def result(id: str, request: Request, desk: Open) -> Response:
    """Download the scores of a job that is done.

    `Range` with `If-Range` goes on with a download that broke off.
    """
    return await _file(id, request, desk, lambda job: job.standing().result)


@router.get(
    "/v1/jobs/{id}/rejects",
    response_class=Response,
    responses=docs.file_answers("What was not scored, and why", _TSV),
)
async def rejects(id: str, request: Request, desk: Open) -> Response:
    """Download the report of what was not scored."""
    return await _file(id, request, desk, lambda job: job.standing().rejects, is_report=True)


@router.delete(
    "/v1/jobs/{id}",
    status_code=204,
    response_class=Response,
    responses=docs.refusals(_404=docs.NO_JOB, _503="It is still stopping; see Retry-After"),
)
async def cancel(id: str, request: Request, desk: Open) -> Response:
    """Cancel a job, if it is not over, and delete its files."""
    job = await asyncio.to_thread(desk.store.find, id, _owner(request))
    await asyncio.to_thread(job.cancel)
    desk.supervisor.wake()
    await desk.store.until_gone(job)
    return Response(status_code=204)


class JobsCollector(Collector):
    """Counts jobs by state when Prometheus asks."""

    def __init__(self, store: Store) -> None:
        """Count nothing yet."""
        self._store = store

    def collect(self) -> list[Metric]:
        """Return the gauge."""
        counts = self._store.counts()
        gauge = GaugeMetricFamily("varsigma_jobs", "Jobs on disk", labels=("state",))
        for state in State:
            gauge.add_metric((state.value,), counts[state])
        return [gauge]


def _owner(request: Request) -> str | None:
    """Say whose a job is: a name alone may be given to another key one day."""
    key = record_of(request.scope).key
    return f"{key.name} {key.sha256}" if key else None


def _options(query: docs.JobQuery, defaults: ScoringOptions) -> ScoringOptions:
    shifts = tuple(map(int, query.shifts.split(","))) if query.shifts else defaults.shifts
    return replace(
        defaults,
        strands=query.strands or defaults.strands,
        shifts=shifts,
        coverage=query.coverage or defaults.coverage,
    )


async def _file(
    id_: str,
    request: Request,
    desk: Desk,
    facts_of: Callable[[JobFolder], FileFacts | None],
    *,
    is_report: bool = False,
) -> Response:
    """Send a file of a job.

    Raises:
      NotFoundError: there is no such job.
      ConflictError: it is not done.
    """
    job = await asyncio.to_thread(desk.store.find, id_, _owner(request))
    facts = await asyncio.to_thread(facts_of, job)
    if facts is None:
        state = (await asyncio.to_thread(job.standing)).state
        raise ConflictError(f"the job is {state}, not done", detail={"state": state.value})
    style = (await asyncio.to_thread(job.ticket)).order.style
    path = job.rejects if is_report else job.output(style)
    kind = _TSV if is_report else docs.MEDIA_TYPES[style]
    end = "rejects.tsv" if is_report else style.value
    try:
        return await download(
            request, path, facts, media_type=kind, name=f"varsigma-{job.id[:12]}.{end}"
        )
    except FileNotFoundError:
        raise no_such_job() from None


def _bodies(jobs: list[JobFolder]) -> list[docs.JobBody]:
    found = []
    for job in jobs:
        try:
            found.append(_body(job))
        except NotFoundError:
            continue  # removed meanwhile
    return found


def _body(job: JobFolder) -> docs.JobBody:
    ticket, standing, progress = job.ticket(), job.standing(), job.progress()
    order, options = ticket.order, ticket.order.options
    fixed = {
        "varsigma_version": order.version,
        "model": order.model,
        "model_sha256": order.model_sha256,
        "assembly": order.assembly,
        "reference_sha256": order.reference_sha256,
    }
    summary = dict(standing.summary or {})
    return docs.JobBody.model_validate(
        {
            "id": job.id,
            "state": standing.state,
            "created": ticket.created,
            "started": standing.started,
            "finished": standing.finished,
            "input": {"bytes": ticket.n_bytes, "sha256": order.input_sha256},
            "options": asdict(options) | {"model": order.model, "format": order.style},
            "progress": {
                "bytes_done": progress.bytes_done,
                "bytes": progress.n_bytes,
                "alts": progress.alts,
                "shards_done": progress.shards_done,
                "shards": progress.shards,
                "share": 1.0 if standing.state is State.DONE else progress.share,
                "seconds_left": progress.seconds_left,
            },
            "provenance": summary.pop("provenance", fixed),
            "summary": summary or None,
            "result": _facts(standing.result, docs.MEDIA_TYPES[order.style]),
            "rejects": _facts(standing.rejects, _TSV),
            "error": standing.error.model_dump() if standing.error else None,
        }
    )


def _facts(facts: FileFacts | None, kind: str) -> dict[str, Any] | None:
    if facts is None:
        return None
    return {"bytes": facts.n_bytes, "sha256": facts.sha256, "content_type": kind}
