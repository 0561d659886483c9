"""What is asked of a run: everything that a worker needs to open a model and a reference."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from service.folder import Frozen
from service.output import OutputFormat
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer, ScoringOptions
from service.session import Device

# Workers may run in other folders.
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
IndexKind: TypeAlias = Literal["tbi", "csi"]

# What a kill loses at most, and what a worker gets at a time: 4,000 records with one sample, 30,000
# with none. Much smaller ones would spend their time on flushing to disk.
SHARD_BYTES = 1 << 20


class Job(Frozen):
    """Settings of one run, resolved; a worker reads them from the plan.

    Attributes:
      models: folder of models.
      model: name of one of them.
      reference: indexed FASTA.
      assembly: GRCh37, GRCh38, or None where it is not stated.
      device: cpu, cuda or auto.
      threads: threads inside one operator on the CPU, of each worker.
      options: passes, coverage and batch size.
      style: format of the output.
      mismatch_share: share of REF mismatches, among ALTs whose REF was compared, from which a run
        stops as one of the wrong assembly; 1 never stops.
      rejects: where the report of what was not scored goes, if anywhere.
      index: the index of the output to make, if any.
    """

    models: AbsolutePath
    model: str
    reference: AbsolutePath
    assembly: str | None = None
    device: Device = "auto"
    threads: int = Field(ge=1)
    options: ScoringOptions = ScoringOptions()
    style: OutputFormat
    mismatch_share: float = 0.1
    rejects: AbsolutePath | None = None
    index: IndexKind | None = None

    @property
    def has_rejects(self) -> bool:
        """Whether what is not scored is reported."""
        return self.rejects is not None

    def open(self, gpu: int | None = None, *, reference_sha256: str | None = None) -> Scorer:
        """Load the model and open the reference.

        Args:
          gpu: 0-based number among the visible GPUs, for the worker that has one of several.
          reference_sha256: digest of the FASTA where it is known.

        Raises:
          ServiceError: one of them cannot be opened.
        """
        # The model first: it loads fast, while the reference may have to be indexed.
        model = Registry(self.models).load(self.model, self.device, self.threads, gpu or 0)
        reference = Reference.open(self.reference, self.assembly, sha256=reference_sha256)
        return Scorer(model, reference, self.options)
