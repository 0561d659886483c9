"""What a run depends on, and a digest of all of it: equal fingerprints, equal bytes."""

import hashlib
import json
import platform
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np

from service.durable import file_sha256
from service.errors import InputFileError
from service.folder import Frozen
from service.job import Job
from service.output import OutputFormat
from service.registry import ENTRIES
from service.scoring import Scorer
from service.stages import CHUNK_ALTS, CHUNK_BYTES


class Stamp(Frozen):
    """A file as it was when its digest was taken.

    Attributes:
      path: absolute.
      sha256: of its bytes.
      size: in bytes.
      mtime_ns: its time of change.
    """

    path: Path
    sha256: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path, sha256: str) -> Self:
        """Take down a file whose digest is known."""
        stat = path.stat()
        return cls(path=path, sha256=sha256, size=stat.st_size, mtime_ns=stat.st_mtime_ns)

    def is_untouched(self) -> bool:
        """Whether the file has the same size and time of change."""
        try:
            stat = self.path.stat()
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)

    def verified(self, what: str) -> Self:
        """Make sure that the file is still the same, and return how it is now.

        A file with another time of change is read again.

        Args:
          what: it is, for the message.

        Raises:
          InputFileError: it is another one, or gone.
        """
        if self.is_untouched():
            return self
        if file_sha256(self.path) == self.sha256:
            return self.of(self.path, self.sha256)
        raise InputFileError(
            f"{what} {self.path} has changed since the run was planned: put the old file back, or"
            " delete the work folder and begin anew"
        )


class Identity(Frozen):
    """Everything that decides the bytes of the output.

    Attributes:
      input_sha256: of the bytes of an input file, or of the text of a stream.
      code_sha256: of the source of this package.
      provenance: model, reference, options, versions, providers, threads: see `Scorer`.
      input_reader: what turned the input into text, where that is a matter of its version.
      libraries: versions of those whose results go into the output.
      machine: the kind of processor.
      style: format of the output.
      has_rejects: whether what is not scored is reported.
      shard_bytes: bytes of text in a shard.
      chunk: most ALTs and most bytes of a chunk, in which batches begin anew.
    """

    input_sha256: str
    code_sha256: str
    provenance: dict[str, Any]
    input_reader: str | None
    libraries: dict[str, str]
    machine: str
    style: OutputFormat
    has_rejects: bool
    shard_bytes: int
    chunk: tuple[int, int] = (CHUNK_ALTS, CHUNK_BYTES)

    @classmethod
    def of(
        cls,
        scorer: Scorer,
        job: Job,
        *,
        input_sha256: str,
        input_reader: str | None,
        shard_bytes: int,
    ) -> Self:
        """Return the identity of a run by this process."""
        libraries = {"numpy": np.__version__, "zlib": zlib.ZLIB_RUNTIME_VERSION}
        if job.style is OutputFormat.PARQUET:
            libraries["pyarrow"] = version("pyarrow")
        return cls(
            input_sha256=input_sha256,
            code_sha256=code_sha256(),
            # As it will come out of plan.json.
            provenance=json.loads(json.dumps(scorer.provenance())),
            input_reader=input_reader,
            libraries=libraries,
            machine=platform.machine(),
            style=job.style,
            has_rejects=job.has_rejects,
            shard_bytes=shard_bytes,
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it, as canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, other: "Identity") -> list[str]:
        """Say in what another identity differs: `threads (1 there, 2 here)`, here being `other`."""
        there, here = (dict(_facts(one.model_dump(mode="json"))) for one in (self, other))
        return [
            _MEANING.get(key)
            or f"{key.removeprefix('provenance.')} ({there.get(key)} there, {here.get(key)} here)"
            for key in there | here
            if there.get(key, _ABSENT) != here.get(key, _ABSENT)
        ]


_ABSENT = object()
# What the names and values, digests mostly, would not tell a person.
_MEANING = {
    "input_sha256": "the input",
    "code_sha256": "the code of varsigma",
    "has_rejects": "whether there is --rejects",
    "provenance.model_sha256": "the model",
    "provenance.reference_sha256": "the reference",
    **{f"provenance.card_sha256.{key}": f"the {key} on the model's card" for key in ENTRIES},
}


@cache
def code_sha256(package: Path = Path(__file__).parent) -> str:
    """Return the digest of the source of a package, this one."""
    digest = hashlib.sha256()
    for path in sorted(package.glob("*.py")):
        digest.update(f"{path.name}\n{path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _facts(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings, by names such as `provenance.options.strands`."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _facts(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
