"""The folder of one job: what lies in it under which name.

```
<id>/job.json       what is asked for          written once
     state.json     how it stands              by the holder of `lock`
     progress.json  how far it is              by the process that scores
     input          the upload                 until the job is done
     result.vcf     the output, beside its work folder while it is made
     rejects.tsv    what was not scored, and why
     cancel         there once somebody wants it gone
     log            what the process that scores said on stderr
     lock
```
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pydantic

from service.durable import write_file
from service.errors import NotFoundError, ServiceError
from service.folder import work_folder
from service.jobs.locks import PRIVATE, held
from service.jobs.ticket import Progress, Standing, State, Ticket
from service.output import OutputFormat

_Kind = TypeVar("_Kind", bound=pydantic.BaseModel)

INPUT = "input"
STATE = "state.json"


class JobFolder:
    """One job on disk, which may be removed at any moment by another process.

    Attributes:
      path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        """Name it; nothing is read yet."""
        self.path = path

    @property
    def id(self) -> str:
        """Id of the job."""
        return self.path.name

    @property
    def input(self) -> Path:
        """The upload."""
        return self.path / INPUT

    @property
    def rejects(self) -> Path:
        """The report of what was not scored."""
        return self.path / "rejects.tsv"

    @property
    def log(self) -> Path:
        """What the process that scores says on stderr; for the operator, never served."""
        return self.path / "log"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the job."""
        return self.path / "lock"

    def output(self, style: OutputFormat) -> Path:
        """The output of a format."""
        return self.path / f"result.{style.value}"

    def work(self, style: OutputFormat) -> Path:
        """The work folder of the batch scorer."""
        return work_folder(self.output(style))

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody wants it gone."""
        return (self.path / "cancel").exists()

    def cancel(self) -> None:
        """Ask whoever holds it to let it go."""
        with suppress(FileNotFoundError):
            (self.path / "cancel").touch(PRIVATE)

    @contextmanager
    def held(self, *, waits: bool = False) -> Iterator[bool]:
        """Hold its lock; yield whether it could be had."""
        with held(self.lock, waits=waits) as is_mine:
            yield is_mine

    def ticket(self) -> Ticket:
        """Return what is asked for.

        Raises:
          NotFoundError: the job is gone.
          ServiceError: the file is damaged.
        """
        return _parsed(Ticket, self._read("job.json"))

    def standing(self) -> Standing:
        """Return how it stands; cancelled where it is about to go.

        Raises:
          NotFoundError: the job is gone.
          ServiceError: the file is damaged.
        """
        standing = self.written()
        if self.is_cancelled:
            return standing.model_copy(update={"state": State.CANCELLED})
        return standing

    def written(self) -> Standing:
        """Return the same, but for whether it is about to go.

        Raises:
          NotFoundError: the job is gone.
          ServiceError: the file is damaged.
        """
        return _parsed(Standing, self._read(STATE))

    def progress(self) -> Progress:
        """Return how far it is."""
        try:
            return Progress.model_validate_json((self.path / "progress.json").read_bytes())
        except (OSError, pydantic.ValidationError):
            return Progress()

    def write_ticket(self, ticket: Ticket) -> None:
        """Say what is asked for.

        Raises:
          ServiceError: it cannot be written.
        """
        self._write("job.json", ticket)

    def write_standing(self, standing: Standing) -> None:
        """Say how it stands.

        Raises:
          ServiceError: it cannot be written.
        """
        self._write(STATE, standing)

    def write_progress(self, progress: Progress) -> None:
        """Say how far it is; a word that is lost does no harm, so nothing waits for the disk."""
        path = self.path / "progress.json"
        temporary = path.with_suffix(".tmp")
        with suppress(OSError):
            temporary.write_bytes(progress.model_dump_json().encode())
            temporary.replace(path)

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise no_such_job() from None

    def _write(self, name: str, content: pydantic.BaseModel) -> None:
        path = self.path / name
        write_file(path, content.model_dump_json().encode())
        path.chmod(PRIVATE)


def _parsed(kind: type[_Kind], content: bytes) -> _Kind:
    try:
        return kind.model_validate_json(content)
    except pydantic.ValidationError as error:
        raise ServiceError("the files of the job are damaged; ask who runs the service") from error


def no_such_job() -> NotFoundError:
    """Return the error for an id that is no job of the caller's."""
    return NotFoundError("there is no such job; GET /v1/jobs lists yours")
