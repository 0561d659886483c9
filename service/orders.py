"""Options of a command -> what is to be scored and where it goes, checked before the slow part."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from service.errors import ValidationError
from service.job import IndexKind, Job
from service.output import OutputFormat
from service.parquet import require_pyarrow
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from service.session import usable_cores
from service.settings import Settings
from service.source import STANDARD
from service.stream import is_standard_output


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One file to score.

    Attributes:
      vcf: the input, - for standard input.
      output: the output, - for standard output.
      style: its format.
      settings: all of them, checked.
      reference: the FASTA.
      model: name of the model.
      rejects: where the report of what was not scored goes.
      summary: where the summary goes, as JSON.
      index: the index of the output to make.

    A path that is a link stands for the file that it leads to, so that the link stays.

    Raises:
      ValidationError: two of them do not go together, or a file cannot be written.
    """

    vcf: str
    output: str
    style: OutputFormat
    settings: Settings
    reference: Path
    model: str
    rejects: Path | None = None
    summary: Path | None = None
    index: IndexKind | None = None

    def __post_init__(self) -> None:
        """Follow links, then check it."""
        if not self.output:
            raise ValidationError("--output is empty; give a file name, or - for standard output")
        if self.is_sharded:
            object.__setattr__(self, "output", str(followed(Path(self.output))))
        for name in ("rejects", "summary"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, followed(getattr(self, name)))
        if self.style is OutputFormat.PARQUET:
            require_pyarrow()
        if self.index and self.style is not OutputFormat.VCF_GZ:
            raise ValidationError(
                f"--index is for OUT.vcf.gz, and --output {self.output} is {self.style.value}"
            )
        if not self.is_sharded:
            self._check_stream()
        taken = {
            self.vcf: "the input",
            str(self.reference): "the reference",
            f"{self.reference}.fai": "the index of the reference",
        }
        for option, path in self._written():
            check_file(option, path, taken)
            taken[str(path)] = option

    @property
    def is_sharded(self) -> bool:
        """Whether the output is a file, written in shards, or a pipe or device, in one pass."""
        return not is_standard_output(self.output) and not _is_special(Path(self.output))

    def _check_stream(self) -> None:
        stated = {
            "--index": self.index,
            "--workers": self.settings.workers,
            "--ray": self.settings.ray,
            "--format parquet": self.style is OutputFormat.PARQUET or None,
        }
        for option, value in stated.items():
            if value is not None:
                raise ValidationError(
                    f"{option} needs a file, and --output {self.output} is a stream"
                )

    def _written(self) -> Iterator[tuple[str, Path]]:
        path = Path(self.output)
        if self.output != STANDARD and (self.is_sharded or path.is_file()):
            yield "--output", path
        if self.is_sharded and self.style is OutputFormat.VCF_GZ:
            # One is made or not, and what an earlier run has made is removed.
            for kind in get_args(IndexKind):
                yield "the index", path.with_name(f"{path.name}.{kind}")
        if self.rejects:
            yield "--rejects", self.rejects
        if self.summary:
            yield "--summary", self.summary

    def job(self, threads: int) -> Job:
        """Return what every worker has to know."""
        return Job(
            models=Registry(self.settings.models).models_dir.absolute(),
            model=self.model,
            reference=self.reference.absolute(),
            assembly=self.settings.assembly,
            device=self.settings.device,
            threads=threads,
            options=self.settings.scoring_options(),
            style=self.style,
            mismatch_share=self.settings.mismatch_share,
            rejects=self.rejects.absolute() if self.rejects else None,
            index=self.index,
        )


def stated_reference(settings: Settings) -> Path:
    """Return the FASTA of the genome.

    Raises:
      ValidationError: nobody named one.
    """
    if settings.reference is None:
        raise ValidationError("no reference; give --reference FASTA, or set VARSIGMA_REFERENCE")
    return settings.reference


def open_scorer(settings: Settings, threads: int | None = None) -> Scorer:
    """Load the one model and open the reference of a run that is over in one go.

    Args:
      settings: all of them.
      threads: inside one operator on the CPU; None for what the settings say, or all cores.

    Raises:
      ServiceError: one of them is not named, or cannot be opened.
    """
    threads = threads or settings.threads or usable_cores()
    model = Registry(settings.models).load(only_model(settings), settings.device, threads)
    reference = Reference.open(stated_reference(settings), settings.assembly)
    return Scorer(model, reference, settings.scoring_options())


def only_model(settings: Settings) -> str:
    """Return the one model to score with.

    Raises:
      ModelNotFoundError: there is no folder of models.
      ValidationError: there are several to choose from, or none.
    """
    names = settings.model or tuple(Registry(settings.models).names())
    if len(names) != 1:
        raise ValidationError(f"state one --model; there are: {', '.join(names) or 'none'}")
    return names[0]


def followed(path: Path) -> Path:
    """Return the file that a link leads to, which need not be there yet; else the path itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() and not _is_special(path) else path


def check_file(option: str, path: Path, taken: Mapping[str, str] = MappingProxyType({})) -> None:
    """Refuse a name that cannot be written, or that another file of the run has.

    Raises:
      ValidationError: it is so.
    """
    if path.is_dir() or _is_special(path):
        kind = "folder" if path.is_dir() else "pipe or device"
        raise ValidationError(f"{option} {path} is a {kind}; give a file name")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValidationError(
            f"{option} {path} cannot be written: there is no folder {folder}; make it first"
        )
    if not os.access(folder, os.W_OK):
        raise ValidationError(
            f"{option} {path} cannot be written: Permission denied in {folder}; give another folder"
        )
    for other, what in taken.items():
        if other != STANDARD and _is_same(path, Path(other)):
            raise ValidationError(
                f"{option} {path} would overwrite {what} {other}; give another name"
            )


def _is_special(path: Path) -> bool:
    """Whether it is a pipe or a device."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _is_same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.absolute() == other.absolute()
