"""What tests of runs in shards share: a toy model, a made-up cohort, a plan, and a run of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.encoders import encoder_for
from service.folder import discard, work_folder
from service.job import Job
from service.markers import Marker, missing
from service.merge import merge
from service.output import OutputFormat
from service.plan import Plan, make_plan
from service.records import VcfReader
from service.scoring import Scorer, ScoringOptions
from service.shards import ShardWorker
from service.summary import Summary
from service.tally import Tally
from tests.service.cohort import Cohort, read_lines

SHARD_BYTES = 2500


@dataclass
class Shards:
    """Runs in one folder.

    Attributes:
      folder: where outputs go.
      models: folder with the toy model `sum`.
      cohort: the genome and its variants.
    """

    folder: Path
    models: Path
    cohort: Cohort
    _scorers: dict[str, Scorer] = field(default_factory=dict)

    def job(self, style: OutputFormat = OutputFormat.VCF, **changes: Any) -> Job:
        """A job on the cohort; it never stops for REF mismatches."""
        values: dict[str, Any] = {
            "models": self.models,
            "model": "sum",
            "reference": self.cohort.fasta,
            "device": "cpu",
            "threads": 1,
            "options": ScoringOptions(batch_size=64),
            "style": style,
            "mismatch_share": 1.0,
        }
        return Job(**(values | changes))

    def scorer(self, job: Job) -> Scorer:
        """The job's scorer; opened once."""
        key = job.model_dump_json(include={"models", "model", "reference", "threads", "options"})
        if key not in self._scorers:
            self._scorers[key] = job.open()
        return self._scorers[key]

    def plan(
        self,
        vcf: Path | str,
        style: OutputFormat = OutputFormat.VCF,
        *,
        shard_bytes: int = SHARD_BYTES,
        name: str = "out",
        **changes: Any,
    ) -> tuple[Path, Plan]:
        """Plan a run into `<name>.<style>`; returns its work folder and the plan."""
        job = self.job(style, **changes)
        output = self.folder / f"{name}.{style.value}"
        folder = work_folder(output)
        folder.mkdir(exist_ok=True)
        plan = make_plan(
            str(vcf), output, job, self.scorer(job), folder=folder, shard_bytes=shard_bytes
        )
        return folder, plan

    def score(self, folder: Path, plan: Plan, indices: Iterable[int] | None = None) -> list[Marker]:
        """Score shards, by default those that are missing."""
        worker = ShardWorker(folder, plan, scorer=self.scorer(plan.job))
        return list(worker.run(missing(folder, plan) if indices is None else indices))

    def run(
        self, vcf: Path | str, style: OutputFormat = OutputFormat.VCF, **changes: Any
    ) -> tuple[Path, Summary]:
        """Plan, score, merge and remove the folder; returns the output and its summary."""
        folder, plan = self.plan(vcf, style, **changes)
        self.score(folder, plan)
        summary = merge(folder)
        discard(folder)
        return plan.output, summary

    def at_once(self, vcf: Path, style: OutputFormat = OutputFormat.VCF) -> tuple[bytes, Tally]:
        """The text of the output made in one piece, without any shard."""
        scorer = self.scorer(self.job(style))
        reader = VcfReader(read_lines(vcf), str(vcf))
        lines = list(reader)
        variants = [variant for line in lines for variant in getattr(line, "variants", ())]
        scores = scorer.score(variants)
        encoder, tally = encoder_for(style, scorer.provenance()), Tally()
        tally.add_chunk(lines, scores)
        contigs = {c: len(sequence) for c, sequence in self.cohort.genome.items()}
        return encoder.header(reader.header, contigs) + encoder.lines(lines, scores), tally
