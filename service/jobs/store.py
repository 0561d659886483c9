"""All jobs of a service in one folder, which several processes may share.

```
JOBS/<id>/                a job: see `JobFolder`
     uploads/<random>/    what is arriving, and what is being removed
     admission.lock       held while a job is taken in
     supervisor.lock      held by the one process that has jobs scored
```
A folder is made under a random name and gets its id by one rename; it goes the same way back.
"""

import asyncio
import os
import shutil
import time
from collections import Counter
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from typing import ClassVar

from service.durable import sync_folder
from service.errors import NotFoundError, OverloadedError, ServiceError, ValidationError
from service.jobs.folder import STATE, JobFolder, no_such_job
from service.jobs.locks import PRIVATE, held
from service.jobs.ticket import Order, Standing, State, Ticket, is_id, now
from service.jobs.uploads import Upload, stored, sweep

_HOUR = 3600.0
# What a caller may be kept waiting for a job that is about to go.
_PATIENCE = 30.0
_STEP = 0.05
_RETRY = 60.0
_SOON = 1.0


class Admission(StrEnum):
    """What became of an upload."""

    NEW = "new"
    AGAIN = "again"
    KNOWN = "known"


class Store:
    """The jobs in a folder.

    Attributes:
      root: the folder.

    Raises:
      ValidationError: it cannot be made or written.
    """

    SUPERVISOR: ClassVar = "supervisor.lock"

    def __init__(self, root: Path) -> None:
        """Make the folder where there is none."""
        self.root = root.absolute()
        self.uploads = self.root / "uploads"
        try:
            self.root.mkdir(0o700, exist_ok=True)
            self.uploads.mkdir(0o700, exist_ok=True)
        except OSError as error:
            is_there = self.root.is_dir()
            raise ValidationError(
                f"--jobs {root} cannot be {'written' if is_there else 'made'}: {error.strerror};"
                " give a folder that the service may write",
                detail={"setting": "jobs"},
            ) from error
        if not os.access(self.uploads, os.W_OK):
            raise ValidationError(f"--jobs {root} cannot be written", detail={"setting": "jobs"})
        self._known: dict[str, tuple[tuple[int, int], Standing, str | None]] = {}

    def new_upload(self) -> Upload:
        """Begin an upload.

        Raises:
          DiskFullError: there is no space.
        """
        return Upload(self.uploads)

    def job(self, order: Order) -> JobFolder:
        """Return where the job of an order is, or would be."""
        return JobFolder(self.root / order.id)

    def find(self, id_: str, owner: str | None) -> JobFolder:
        """Return a job of an owner.

        Raises:
          NotFoundError: there is none, or it is another's.
        """
        if not is_id(id_):
            raise no_such_job()
        folder = JobFolder(self.root / id_)
        if folder.ticket().order.owner != owner:
            raise no_such_job()
        return folder

    def standings(self) -> list[tuple[str, Standing, str | None]]:
        """Return id, standing and owner of every job; what has not changed is not read again."""
        found, seen = [], {}
        with os.scandir(self.root) as entries:
            ids = [entry.name for entry in entries if is_id(entry.name)]
        for id_ in ids:
            folder = JobFolder(self.root / id_)
            try:
                stat = (folder.path / STATE).stat()
                stamp = stat.st_ino, stat.st_mtime_ns
                known = self._known.get(id_)
                if known is None or known[0] != stamp:
                    known = stamp, folder.written(), folder.ticket().order.owner
            except (OSError, ServiceError):  # it has just gone
                continue
            seen[id_] = known
            _, standing, owner = known
            if folder.is_cancelled:
                standing = standing.model_copy(update={"state": State.CANCELLED})
            found.append((id_, standing, owner))
        self._known = seen
        return found

    def counts(self) -> Counter[State]:
        """Count the jobs by state."""
        return Counter(standing.state for _, standing, _ in self.standings())

    def of(self, owner: str | None, limit: int) -> list[JobFolder]:
        """Return the jobs of an owner, the last one queued first."""
        mine = [(one.queued, id_) for id_, one, whose in self.standings() if whose == owner]
        return [JobFolder(self.root / id_) for _, id_ in sorted(mine, reverse=True)[:limit]]

    def check_room(self, owner: str | None, limit: int) -> None:
        """Refuse another job of an owner who has so many that are not over.

        Raises:
          OverloadedError: it is so.
        """
        n = sum(not one.state.is_over for _, one, whose in self.standings() if whose == owner)
        if n >= limit:
            raise OverloadedError(
                f"{n} jobs of yours are not finished, and no more may wait; try again later",
                detail={"limit": limit},
                retry_after=_RETRY,
            )

    def admit(self, upload: Upload, order: Order, limit: int) -> tuple[JobFolder, Admission]:
        """Make a job of an upload, or find that it is one already.

        Args:
          upload: whole, and durable.
          order: what is asked for.
          limit: jobs of one owner that are not over.

        Raises:
          OverloadedError: there are too many, or the same job is about to go: see `until_gone`.
          DiskFullError: there is no space.
        """
        job = self.job(order)
        try:
            with upload.busy(), stored():
                return job, self._admitted(job, upload, order, limit)
        except NotFoundError:
            raise OverloadedError(
                "the same job is being removed; try again", retry_after=_SOON
            ) from None

    def _admitted(self, job: JobFolder, upload: Upload, order: Order, limit: int) -> Admission:
        """Do that, unless the job goes meanwhile."""
        with held(self.root / "admission.lock", waits=True, makes=True):
            if job.path.exists():
                return self._again(job, upload, limit)
            self.check_room(order.owner, limit)
            made = JobFolder(upload.folder)
            made.write_ticket(Ticket(order=order, created=now(), n_bytes=upload.n_bytes))
            made.write_standing(Standing(state=State.QUEUED, queued=now()))
            made.lock.touch(PRIVATE)
            sync_folder(made.path)
            made.path.rename(job.path)
            sync_folder(self.root)
            return Admission.NEW

    def _again(self, job: JobFolder, upload: Upload, limit: int) -> Admission:
        """Queue a job once more, if it failed."""
        state = job.standing().state
        if state is State.CANCELLED:
            raise no_such_job()
        if state is not State.FAILED:
            return Admission.KNOWN
        with job.held(waits=True) as is_mine:
            standing = job.standing()
            if not is_mine or standing.state is not State.FAILED:
                return Admission.KNOWN
            self.check_room(job.ticket().order.owner, limit)
            upload.path.replace(job.input)
            job.write_standing(Standing(state=State.QUEUED, queued=now()))
        return Admission.AGAIN

    async def until_gone(self, job: JobFolder) -> None:
        """Wait until a job is removed, if it is cancelled, and hold no thread meanwhile.

        Raises:
          OverloadedError: who scores it did not stop yet; it will, and the job goes then.
        """

        def is_gone() -> bool:
            return not job.is_cancelled or self.remove(job)

        end = time.monotonic() + _PATIENCE
        while not await asyncio.to_thread(is_gone):
            if time.monotonic() > end:
                raise OverloadedError("the job is still stopping; try again", retry_after=_SOON)
            await asyncio.sleep(_STEP)

    def remove(self, job: JobFolder) -> bool:
        """Remove the files of a job that is cancelled, unless somebody holds it.

        Returns:
          Whether it is gone; a new job of the same id may be in its place, and stays.
        """
        gone = self.uploads / f"gone-{token_hex(16)}"
        with job.held() as is_mine:
            if not job.is_cancelled:
                return True
            if not is_mine:
                return False
            job.path.rename(gone)
        sync_folder(self.root)
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def tidy(self, keep_hours: float) -> None:
        """Remove jobs that were over long ago, and what a crash has left behind."""
        oldest = now() - timedelta(hours=keep_hours)
        for id_, standing, _ in self.standings():
            if standing.state.is_over and (standing.finished or standing.queued) < oldest:
                job = JobFolder(self.root / id_)
                job.cancel()
                self.remove(job)
        for gone in self.uploads.glob("gone-*"):
            shutil.rmtree(gone, ignore_errors=True)
        sweep(self.uploads, is_old=time.time() - _HOUR)
