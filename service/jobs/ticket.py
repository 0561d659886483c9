"""What a job is, how it stands, and how far it is: the small files of its folder."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from service import __version__
from service.entries import digest_of
from service.folder import Frozen
from service.output import OutputFormat
from service.scoring import ScoringOptions

_ID = re.compile("[0-9a-f]{32}")


def is_id(text: str) -> bool:
    """Say whether a text can be the id of a job; nothing else is ever made a path of."""
    return _ID.fullmatch(text) is not None


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


class State(StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens unless somebody asks for it."""
        return self not in {State.QUEUED, State.RUNNING}


class Order(Frozen):
    """What is asked for: the same order is the same job.

    Attributes:
      owner: the API key that it belongs to, None where no keys are used.
      input_sha256: digest of the uploaded bytes.
      model: name of a model.
      model_sha256: of its file.
      card_sha256: of its card, which holds the calibration.
      reference_sha256: of the FASTA.
      assembly: as the service states it.
      options: passes, coverage and batch size.
      style: format of the output.
      version: of varsigma.
    """

    owner: str | None
    input_sha256: str
    model: str
    model_sha256: str
    card_sha256: str
    reference_sha256: str
    assembly: str | None
    options: ScoringOptions
    style: OutputFormat
    version: str = __version__

    @property
    def id(self) -> str:
        """Half of its SHA-256, hexadecimal."""
        return digest_of(self.model_dump(mode="json"))[:32]


class Ticket(Frozen):
    """A job as it was accepted; `job.json`.

    Attributes:
      order: what is asked for.
      created: when.
      n_bytes: uploaded.
    """

    order: Order
    created: datetime
    n_bytes: int


class FileFacts(Frozen):
    """A file to be downloaded.

    Attributes:
      n_bytes: its size.
      sha256: its digest.
    """

    n_bytes: int
    sha256: str


class Problem(Frozen):
    """Why a job failed; tells of no path of this machine.

    Attributes:
      type: stable identifier, as in the body of an error.
      message: one line.
      detail: particulars, or None.
    """

    type: str
    message: str
    detail: dict[str, Any] | None = None


class Standing(Frozen):
    """How a job stands; `state.json`, written by whoever holds the job's lock.

    Attributes:
      state: never CANCELLED here: see `JobFolder`.
      queued: when it got into the queue last.
      started: when a process last began with it.
      finished: when that ended.
      error: why it failed.
      summary: what became of its variants, when it is done.
      result: what it wrote.
      rejects: the report of what was not scored.
    """

    state: State
    queued: datetime
    started: datetime | None = None
    finished: datetime | None = None
    error: Problem | None = None
    summary: dict[str, Any] | None = None
    result: FileFacts | None = None
    rejects: FileFacts | None = None


class Progress(Frozen):
    """How far a job is; `progress.json`.

    Attributes:
      bytes_done: of unpacked text.
      n_bytes: all of it.
      alts: scored.
      shards_done: finished ones.
      shards: all of them.
      seconds_left: at the rate of this attempt, None where that is not known yet.
    """

    bytes_done: int = 0
    n_bytes: int = 0
    alts: int = 0
    shards_done: int = 0
    shards: int = 0
    seconds_left: float | None = None

    @property
    def share(self) -> float:
        """Part that is done."""
        return self.bytes_done / self.n_bytes if self.n_bytes else 0.0
