"""Input without offsets (gzip, BCF, a stream) -> its text in BGZF, to be read from anywhere."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from service.bgzf import END, Packer
from service.durable import NewFile, file_sha256, sync_folder, write_file
from service.errors import InputFileError
from service.folder import SPOOL, SPOOL_NOTE, OtherRunError
from service.source import Source

# It is read once or twice and then removed: speed counts for more than size.
_LEVEL = 1
_PIECE = 1 << 20


def spool(source: Source, folder: Path, *, expected: str | None = None) -> str:
    """Write the text of an input to `folder`/spool.vcf.gz, unless an earlier run has done so.

    Args:
      source: nothing read of it yet.
      folder: of the run.
      expected: digest of the input that the run was begun with, if it was begun.

    Returns:
      The digest of the input: SHA-256 of the bytes of a file, of the text of a stream.

    Raises:
      InputFileError: the input is truncated, corrupt, or changes while it is read.
      ServiceError: the spool cannot be written.
      OtherRunError: the input is another one than `expected`; the spool of that stays.
    """
    path, note = folder / SPOOL, folder / SPOOL_NOTE
    digest = None if source.size is None else file_sha256(Path(source.name))
    if digest is not None:
        if expected not in {None, digest}:
            raise other_run(folder, ["the input"])
        if _is_of(path, note, digest):
            return digest
    note.unlink(missing_ok=True)
    with NewFile(path) as file:
        text_sha256 = _pack(source, file)
        if digest is None and expected not in {None, text_sha256}:
            raise other_run(folder, ["the input"])
        if digest is not None and file_sha256(Path(source.name)) != digest:
            raise InputFileError(f"{source.name} changes while it is read; wait until it is whole")
    digest = digest or text_sha256
    write_file(note, json.dumps({"input_sha256": digest, "n_bytes": file.n_bytes}).encode())
    sync_folder(folder)
    return digest


def other_run(folder: Path, differences: Iterable[str]) -> OtherRunError:
    """Return the error for a folder that holds the shards of another run."""
    return OtherRunError(
        f"{folder} holds an unfinished run that differs in {'; '.join(differences)}: repeat the"
        " command of that run to go on with it, delete the folder to begin anew, or give another"
        " --output"
    )


def _is_of(path: Path, note: Path, digest: str) -> bool:
    """Whether there is a complete spool of an input."""
    with suppress(OSError, ValueError):
        known = json.loads(note.read_bytes())
        return bool(known == {"input_sha256": digest, "n_bytes": path.stat().st_size})
    return False


def _pack(source: Source, file: NewFile) -> str:
    """Write the text and return its digest."""
    digest, packer = hashlib.sha256(), Packer(_LEVEL)
    for piece in _pieces(source):
        digest.update(piece)
        file.write(packer.add(piece))
    file.write(packer.finish() + END)
    return digest.hexdigest()


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines until there are enough of them."""
    held: list[bytes] = []
    n_bytes = 0
    for line in lines:
        held.append(line)
        n_bytes += len(line)
        if n_bytes >= _PIECE:
            yield b"".join(held)
            held, n_bytes = [], 0
    yield b"".join(held)
