"""A FASTA file -> its pyfaidx index, with one clear error for every way that a file can be bad."""

import shutil
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pyfaidx import Faidx, FastaIndexingError

from service.errors import InputFileError

# What pyfaidx and Biopython raise for malformed text, damaged blocks, indexes of another file and
# duplicate names.
READ_ERRORS: Final = (
    FastaIndexingError,
    OSError,
    ValueError,
    IndexError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_HEADER = 1 << 12
_BGZF_SUBFIELD = b"BC\x02\x00"  # SAM specification section 4.1, at byte 12 of every block


def open_fasta(path: Path) -> Faidx:
    """Index a FASTA and open it.

    The index is written beside the file (`.fai`, and `.gzi` for bgzip) in one rename, so that two
    processes may start at once; where the folder cannot be written it lives in memory only.

    Raises:
      InputFileError: the file is missing, empty, plain gzip or not FASTA, or its index is of
        another file.
    """
    is_compressed = _check_start(path)
    suffixes = (".fai", ".gzi") if is_compressed else (".fai",)
    indexes = [path.with_name(path.name + suffix) for suffix in suffixes]
    try:
        if all(_is_fresh(index, path) for index in indexes):
            faidx = _faidx(path, *indexes)
            if not is_compressed:
                _check_places(faidx, path, indexes[0])
            return faidx
        with TemporaryDirectory() as folder:
            built = [Path(folder, index.name) for index in indexes]
            faidx = _faidx(path, *built)
            for source, target in zip(built, indexes, strict=True):
                with suppress(OSError):
                    _copy(source, target)
            return faidx
    except ImportError as error:
        raise InputFileError(
            f"{path} is compressed: reading that needs Biopython; install it or decompress the file"
        ) from error
    except READ_ERRORS as error:
        raise InputFileError(
            f"cannot index {path} as FASTA ({error}): check that the file is whole, and delete"
            f" {indexes[0].name} if that is of another file"
        ) from error


def _check_start(path: Path) -> bool:
    """Refuse what is not FASTA by its first bytes; say whether it is bgzipped."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError as error:
        raise InputFileError(
            f"the reference FASTA {path} does not exist; give the path of an existing file"
        ) from error
    except OSError as error:
        raise InputFileError(f"cannot read the reference FASTA {path}: {error.strerror}") from error
    if not start:
        raise InputFileError(f"the reference FASTA {path} is empty; download or copy it again")
    if not start.startswith(_GZIP_MAGIC):
        if start[:1] not in b">;\r\n":
            raise InputFileError(f"{path} is not FASTA: it must begin with '>', not {start[:1]!r}")
        return False
    if start[12:16] != _BGZF_SUBFIELD:
        raise InputFileError(
            f"{path} is compressed with gzip, which cannot be read at a position: recompress it"
            f" with `gunzip -c {path.name} | bgzip`, or decompress it"
        )
    if path.suffix not in {".gz", ".bgz"}:
        raise InputFileError(f"{path} is bgzipped: its name must end in .gz")
    return True


def _is_fresh(index: Path, path: Path) -> bool:
    return index.is_file() and index.stat().st_mtime >= path.stat().st_mtime


def _check_places(faidx: Faidx, path: Path, fai: Path) -> None:
    """Refuse an index of another file: the line above each sequence must be the one that names it.

    Otherwise an index that came with an older release of a genome would have the wrong bases read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        for name, record in faidx.index.items():
            if not record.rlen or record.offset > size:
                continue  # of a file that is cut off, what is left can be read
            start = max(0, record.offset - _LONGEST_HEADER)
            file.seek(start)
            before, _, line = file.read(record.offset - start).rstrip(b"\r\n").rpartition(b"\n")
            is_whole = before or not start
            if is_whole and line[1:].split()[:1] != [name.encode()]:
                raise InputFileError(
                    f"{fai} is not the index of {path}: where it says that {name} begins, another"
                    f" line stands; delete {fai.name}, and it is made anew"
                )


def _faidx(path: Path, fai: Path, gzi: Path | None = None) -> Faidx:
    return Faidx(str(path), indexname=str(fai), gzi_indexname=gzi and str(gzi), as_raw=True)


def _copy(source: Path, target: Path) -> None:
    """Put a file into its place whole or not at all."""
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        shutil.copyfile(source, Path(folder, target.name)).replace(target)
