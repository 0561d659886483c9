"""The files of a finished shard, and the marker that says that they are whole."""

from pathlib import Path

import pydantic

from service.errors import ValidationError
from service.folder import SHARDS, Frozen, OtherRunError
from service.plan import Plan
from service.tally import Tally


class Marker(Frozen):
    """Says that a shard is finished.

    Attributes:
      index: of the shard.
      fingerprint: of the run.
      tally: counts; line numbers count from 1 in the shard.
      n_bytes: of the data file.
      sha256: of the data file.
      rejects_sha256: of the report of what was not scored, None where none is asked for.
      seconds: what it took.
    """

    index: int
    fingerprint: str
    tally: Tally
    n_bytes: int
    sha256: str
    rejects_sha256: str | None
    seconds: float


def data_path(folder: Path, index: int) -> Path:
    """Return where a shard's part of the output is."""
    return folder / SHARDS / f"{index:06d}.data"


def rejects_path(folder: Path, index: int) -> Path:
    """Return where a shard's report of what was not scored is."""
    return folder / SHARDS / f"{index:06d}.rejects"


def marker_path(folder: Path, index: int) -> Path:
    """Return where a shard's marker is."""
    return folder / SHARDS / f"{index:06d}.json"


def read_marker(folder: Path, plan: Plan, index: int) -> Marker | None:
    """Return the marker of a shard, None where it is still to be scored.

    Raises:
      OtherRunError: the marker is no marker, or of another run.
      ValidationError: there is no such shard.
    """
    if not 0 <= index < len(plan.shards):
        raise ValidationError(
            f"there is no shard {index}: {folder} has {len(plan.shards)}, counted from 0"
        )
    path = marker_path(folder, index)
    try:
        marker = Marker.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, pydantic.ValidationError) as error:
        raise OtherRunError(
            f"{path} is damaged; delete it, and the same command scores that shard again"
        ) from error
    if marker.fingerprint != plan.fingerprint or marker.index != index:
        raise OtherRunError(
            f"{path} is of another run than {folder}; delete it, and the same command scores that"
            " shard again"
        )
    paths = [data_path(folder, index)]
    if marker.rejects_sha256 is not None:
        paths.append(rejects_path(folder, index))
    return marker if all(path.exists() for path in paths) else None


def read_markers(folder: Path, plan: Plan) -> dict[int, Marker]:
    """Return the markers of all finished shards, in order.

    Raises:
      OtherRunError: one is damaged or of another run.
    """
    found = {shard.index: read_marker(folder, plan, shard.index) for shard in plan.shards}
    return {index: marker for index, marker in found.items() if marker is not None}


def missing(folder: Path, plan: Plan) -> list[int]:
    """Return the shards that are still to be scored, in order.

    Raises:
      OtherRunError: a marker is damaged or of another run.
    """
    done = read_markers(folder, plan)
    return [shard.index for shard in plan.shards if shard.index not in done]
