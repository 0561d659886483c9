"""What a worker is told."""

from pathlib import Path

import pydantic
import pytest

from service.job import Job
from service.output import OutputFormat
from service.registry import Registry
from service.scoring import ScoringOptions
from service.windows import Anchoring


def job(**changes) -> Job:
    values = {
        "models": Path("models"),
        "model": "sum",
        "reference": Path("genome.fa"),
        "threads": 2,
        "style": OutputFormat.VCF,
    }
    return Job(**(values | changes))


def test_it_comes_back_from_text_as_it_was():
    options = ScoringOptions(strands=1, shifts=(0, 5), anchorings=(Anchoring.LEFT,), coverage=0.8)
    told = job(options=options, rejects=Path("r.tsv"), index="csi", style=OutputFormat.VCF_GZ)
    assert Job.model_validate_json(told.model_dump_json()) == told
    assert isinstance(Job.model_validate_json(told.model_dump_json()).options, ScoringOptions)


def test_its_paths_hold_in_any_folder():
    told = job(rejects=Path("r.tsv"))
    here = Path.cwd()
    assert (told.models, told.reference, told.rejects) == (
        here / "models", here / "genome.fa", here / "r.tsv",
    )  # fmt: skip
    assert told.has_rejects
    assert not job().has_rejects


@pytest.mark.parametrize("changes", [{"threads": 0}, {"threads": None}, {"index": "gzi"}, {"x": 1}])
def test_what_is_no_job_is_refused(changes):
    with pytest.raises(pydantic.ValidationError):
        job(**changes)


def test_it_opens_model_and_reference(toy_models_dir, tiny_fasta, monkeypatch):
    gpus = []
    load = Registry.load

    def note(registry, name, device, threads, gpu):
        gpus.append(gpu)
        return load(registry, name, device, threads, gpu)

    monkeypatch.setattr(Registry, "load", note)
    options = ScoringOptions(batch_size=3)
    told = job(models=toy_models_dir, reference=tiny_fasta, options=options, device="cpu")
    scorer = told.open(3, reference_sha256="known")
    assert scorer.provenance()["threads"] == 2
    assert scorer.options == options
    assert scorer.reference.sha256 == "known"
    assert told.open().reference.sha256 != "known"
    assert gpus == [3, 0]
