"""The work folder of a run: its name, what lies in it, its lock and its end.

It stands beside the output until that is whole.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
from pydantic import BaseModel, ConfigDict

from service.durable import TEMPORARY, sync_folder
from service.errors import ValidationError

PLAN = "plan.json"
SPOOL = "spool.vcf.gz"
SPOOL_NOTE = "spool.json"
SHARDS = "shards"
MERGED = "merged"
LOCK = "lock"

_OURS = (PLAN, SPOOL, SPOOL_NOTE, SHARDS, MERGED)


class Frozen(BaseModel):
    """A part of a file of a work folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def work_folder(output: Path) -> Path:
    """Return the folder of the unfinished run that writes an output."""
    return output.with_name(f"{output.name}.varsigma")


class OtherRunError(ValidationError):
    """What lies in a work folder is damaged, or of another run, and cannot be gone on with."""


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a work folder, and make it where there is none.

    Raises:
      ValidationError: it cannot be made, or another process holds it.
    """
    try:
        folder.mkdir(exist_ok=True)
        held = filelock.FileLock(folder / LOCK, timeout=0)
        held.acquire()
    except filelock.Timeout as error:
        raise ValidationError(
            f"another run is writing {folder.name.removesuffix('.varsigma')} (it holds {folder});"
            " wait for it or end it"
        ) from error
    except OSError as error:
        raise ValidationError(f"{folder} cannot be made or locked: {error.strerror}") from error
    try:
        yield
    finally:
        held.release()


def discard(folder: Path) -> None:
    """Remove a work folder that the caller holds; what is not ours stays in it.

    The plan goes first: a folder that is only half removed is then no unfinished run. The lock goes
    last, so that nobody else begins in a folder that is still being emptied.
    """
    if not folder.exists():
        return
    (folder / PLAN).unlink(missing_ok=True)
    sync_folder(folder)
    for path in list(folder.iterdir()):
        if not _is_ours(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    (folder / LOCK).unlink(missing_ok=True)
    with suppress(OSError):  # something of another's is in it
        folder.rmdir()


def _is_ours(name: str) -> bool:
    is_temporary = name.endswith(TEMPORARY) and name.startswith(tuple(f"{one}." for one in _OURS))
    return name in _OURS or is_temporary
