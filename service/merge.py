"""Finished shards -> the output, whole: header, shards in order, index, report of rejects.

Nothing is scored here, so it may be killed and repeated.
"""

import errno
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from service.bgzf import END, Packer
from service.durable import NewFile, sync_file, sync_folder
from service.encoders import encoder_for
from service.errors import IncompleteError, InputFileError, ServiceError, ValidationError
from service.folder import MERGED
from service.job import IndexKind
from service.markers import Marker, data_path, marker_path, read_markers, rejects_path
from service.output import OutputFormat, index
from service.parquet import write_parquet
from service.plan import Plan, Shard, load_plan
from service.records import Header, read_header
from service.rejects import RejectsEncoder, shift_lines
from service.summary import Summary
from service.tally import Tally, check_assembly

PARTIAL = ".partial"

_PIECE = 1 << 20
_SHOWN = 5


def merge(folder: Path, *, is_partial: bool = False) -> Summary:
    """Write the output of a work folder, which stays as it is.

    Args:
      folder: the work folder.
      is_partial: write what there is to OUT.partial, which says in its header what is missing, and
        leave OUT alone.

    Raises:
      IncompleteError: a shard is missing, and no partial output was asked for.
      ServiceError: a shard is damaged or of another run, or the output cannot be written.
    """
    plan = load_plan(folder)
    markers = read_markers(folder, plan)
    absent = [shard for shard in plan.shards if shard.index not in markers]
    if absent and not is_partial:
        shown = ", ".join(str(shard.index) for shard in absent[:_SHOWN])
        raise IncompleteError(
            f"{len(absent)} of {len(plan.shards)} shards of {folder} are missing:"
            f" {shown}{', ...' if len(absent) > _SHOWN else ''}; run the command that began it"
            " again, or write what there is with --partial"
        )
    plan.text.verified("the input")
    _check_rejects(plan)
    header = read_header(plan.header_text().splitlines(keepends=True), plan.name)
    gaps = [_gap(plan, group) for group in _neighbours(absent)]
    offsets, tally = _counted(plan, markers)
    if not is_partial:
        check_assembly(tally, plan.job.mismatch_share)
    provenance = plan.provenance | ({"incomplete": "; ".join(gaps)} if gaps else {})
    # In the work folder, so that nothing is left over beside the output if this is killed.
    whole = folder / MERGED / plan.output.name
    whole.parent.mkdir(exist_ok=True)
    _write_output(folder, plan, markers, path=whole, header=header, provenance=provenance)
    made = _index(plan, whole) if plan.job.index and not is_partial else None
    suffix = PARTIAL if is_partial else ""
    if plan.job.rejects is not None:
        report = _named(whole, ".rejects")
        _write_rejects(folder, markers, offsets=offsets, tally=tally, path=report)
        _move(report, _named(plan.job.rejects, suffix))
    if plan.job.style.is_compressed and not is_partial:
        for kind in get_args(IndexKind):  # an older one would not fit the new data
            _named(plan.output, f".{kind}").unlink(missing_ok=True)
    whole.replace(_named(plan.output, suffix))
    if made is not None:
        # After the data: an index that is older than its file is not trusted.
        made.replace(_named(plan.output, made.suffix))
    sync_folder(plan.output.parent)
    return Summary(
        provenance=provenance,
        tally=tally,
        is_rescored=header.is_rescored,
        seconds=sum(marker.seconds for marker in markers.values()),
        gaps=gaps,
    )


def _check_rejects(plan: Plan) -> None:
    """Refuse a report that would take the place of what the run reads or writes.

    Names were compared when the run was planned, but a link may have been made since.
    """
    taken = {"input": plan.text.path, "reference": plan.reference.path, "output": plan.output}
    for what, path in taken.items():
        report = plan.job.rejects
        if report is not None and report.resolve() == path.resolve():
            raise ValidationError(f"--rejects {report} would overwrite the {what} {path}")


def _neighbours(shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    """Group shards that follow each other."""
    for _, group in groupby(enumerate(shards), lambda item: item[1].index - item[0]):
        yield [shard for _, shard in group]


def _gap(plan: Plan, shards: Sequence[Shard]) -> str:
    first, last = shards[0], shards[-1]
    which = (
        f"shard {first.index} is" if first is last else f"shards {first.index} to {last.index} are"
    )
    return (
        f"{which} missing of {len(plan.shards)}: bytes {first.start} to {last.end} of the unpacked"
        f" text of {plan.name}"
    )


def _counted(plan: Plan, markers: dict[int, Marker]) -> tuple[dict[int, int], Tally]:
    """The number of lines before each finished shard, and the counts of all of them together."""
    offsets: dict[int, int] = {}
    n_lines, tally = plan.n_header_lines, Tally()
    for shard in plan.shards:
        marker = markers.get(shard.index)
        if marker is None:
            n_lines += _n_lines(plan, shard)
            continue
        offsets[shard.index] = n_lines
        tally = tally.merged(marker.tally, n_lines)
        n_lines += marker.tally.n_lines
    return offsets, tally


def _n_lines(plan: Plan, shard: Shard) -> int:
    """Lines of a shard that is missing; as many as can be read, if that is why it is missing."""
    count = 0
    with suppress(InputFileError):
        for _ in plan.lines(shard):
            count += 1
    return count


def _write_output(
    folder: Path,
    plan: Plan,
    markers: dict[int, Marker],
    *,
    path: Path,
    header: Header,
    provenance: dict[str, Any],
) -> None:
    """Write a whole file, unless the disk or a shard fails."""
    style = plan.job.style
    if style is OutputFormat.PARQUET:
        rows = (_checked(folder, marker) for marker in markers.values())
        try:
            write_parquet(path, rows, provenance)
            sync_file(path)
        except OSError as error:
            path.unlink(missing_ok=True)
            reason = error.strerror or str(error)
            raise ServiceError(f"{path} cannot be written: {reason}; run it again") from error
        return
    packer = Packer() if style.is_compressed else None
    start = encoder_for(style, provenance).header(header, plan.contigs)
    with NewFile(path) as file:
        file.write(packer.add(start) + packer.finish() if packer else start)
        for marker in markers.values():
            for piece in _pieces(folder, marker):
                file.write(piece)
        if packer:
            file.write(END)


def _pieces(folder: Path, marker: Marker) -> Iterator[bytes]:
    """Yield the data of a shard, then refuse it if they are not what was written."""
    path = data_path(folder, marker.index)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            yield piece
    if digest.hexdigest() != marker.sha256:
        raise _damaged(folder, marker, path)


def _checked(folder: Path, marker: Marker) -> bytes:
    return b"".join(_pieces(folder, marker))


def _damaged(folder: Path, marker: Marker, path: Path) -> ServiceError:
    return ServiceError(
        f"{path} is damaged: its digest is not the one in its marker; delete"
        f" {marker_path(folder, marker.index)} and run the same command again"
    )


def _write_rejects(
    folder: Path,
    markers: dict[int, Marker],
    *,
    offsets: dict[int, int],
    tally: Tally,
    path: Path,
) -> None:
    """Write the report with the numbers that lines have in the whole input."""
    with NewFile(path) as file:
        file.write(RejectsEncoder().header(tally))
        for marker in markers.values():
            part = rejects_path(folder, marker.index)
            rows = part.read_bytes()
            if hashlib.sha256(rows).hexdigest() != marker.rejects_sha256:
                raise _damaged(folder, marker, part)
            file.write(shift_lines(rows, offsets[marker.index]))


def _move(path: Path, target: Path) -> None:
    """Put a file in its place, whole at any moment, which may be on another disk."""
    try:
        path.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with NewFile(target) as file, path.open("rb") as whole:
            while piece := whole.read(_PIECE):
                file.write(piece)
        path.unlink()
    sync_folder(target.parent)


def _index(plan: Plan, whole: Path) -> Path:
    """Index what will be the output."""
    try:
        made = index(whole, plan.job.index or "tbi")
    except InputFileError as error:
        error.add_note("the same command without --index finishes the run: its shards are kept")
        raise
    sync_file(made)
    return made


def _named(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
