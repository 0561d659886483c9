"""`varsigma saturate`: a region as the table that `varsigma score` would write of its changes."""

import json
import threading
import time

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.cli import run
from service.errors import ValidationError
from service.saturation import parse_region, read_region, score_region
from service.scoring import Scorer, ScoringOptions
from service.sequence import BASES
from tests.genomes import CHR1
from tests.service.api.asking import settings
from tests.service.test_cli import fails
from tests.service.test_triage_command import table

REGION = "chr1:31-45"
SHIFTS = ["--shifts", "0,-3,3"]


@pytest.fixture
def options(tiny_fasta, toy_models_dir) -> list[str]:
    given = ["--reference", tiny_fasta, "--models", toy_models_dir, "--model", "sum"]
    return [*map(str, given), "--threads", "2", "--device", "cpu"]


def score_vcf(tmp_path, options: list[str], rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """What `varsigma score` makes of the same changes."""
    lines = [f"{r['contig']}\t{r['pos']}\t.\t{r['ref']}\t{r['alt']}\t.\t.\t.\n" for r in rows]
    head = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "in.vcf").write_text(head + "".join(lines))
    assert run(["score", str(tmp_path / "in.vcf"), "-o", str(tmp_path / "out.tsv"), *options]) == 0
    return table((tmp_path / "out.tsv").read_text())


@pytest.mark.parametrize("passes", [[], SHIFTS, ["--fast"]], ids=["default", "shifts", "fast"])
def test_every_change_has_the_row_that_scoring_it_gives(capfd, tmp_path, options, passes):
    assert run(["saturate", REGION, *options, *passes]) == 0
    out = capfd.readouterr().out
    assert "# use=research use only" in out.splitlines()
    assert "# region=chr1:31-45" in out.splitlines()
    rows = table(out)
    assert [(row["contig"], row["pos"], row["ref"], row["alt"]) for row in rows] == [
        ("chr1", str(pos), CHR1[pos - 1], alt)
        for pos in range(31, 46)
        for alt in BASES[:4]
        if alt != CHR1[pos - 1]
    ]
    scored = score_vcf(tmp_path, [*options, *passes], rows)
    for row, other in zip(rows, scored, strict=True):
        assert other | row == other, "columns of the same names hold the same"
    assert rows[0].keys() == scored[0].keys() - {"id", "alt_index"}


def test_a_reference_named_like_another_assembly_is_warned_of(capfd, options, tiny_fasta, tmp_path):
    (tmp_path / "hg19.fa").write_bytes(tiny_fasta.read_bytes())
    place = ["--reference", str(tmp_path / "hg19.fa"), "--assembly"]
    for assembly, n_warnings in (("GRCh38", 1), ("GRCh37", 0)):
        assert run(["saturate", REGION, *options, *place, assembly]) == 0
        error = capfd.readouterr().err
        assert error.count("hg19.fa is named like a file of GRCh37") == n_warnings


def test_one_target_of_several(capfd, options):
    assert run(["saturate", REGION, *options, "--target", "HepG2"]) == 0
    chosen = table(capfd.readouterr().out)
    assert run(["saturate", REGION, *options]) == 0
    every = table(capfd.readouterr().out)
    assert {name.partition("_")[0] for name in chosen[0] if "_" in name} == {"HepG2", "novel"}
    assert [one | other for one, other in zip(every, chosen, strict=True)] == every
    fails(capfd, ["saturate", REGION, *options, "--target", "HeLa"], "'HeLa'", "K562, HepG2")


def test_json_is_the_answer_of_the_service(tmp_path, capsys, options, tiny_fasta, toy_models_dir):
    path = tmp_path / "map.json"
    assert run(["saturate", "1:31-45", *options, *SHIFTS, "-o", str(path)]) == 0
    assert "45 changes of 15 positions" in capsys.readouterr().err
    body = {"contig": "chr1", "start": 31, "end": 45, "shifts": [0, -3, 3]}
    served = settings(toy_models_dir, reference=tiny_fasta, model=("sum",))
    with TestClient(create_app(served)) as client:
        answer = client.post("/v1/saturation", json=body).json()
    written = json.loads(path.read_text())
    made = {"batch_size": None}
    for one in (written, answer):
        one["provenance"]["options"] |= made
    assert written == answer
    assert list(tmp_path.glob("*.tmp")) == []


def test_windows_run_once_however_many_run_at_once(toy_model, reference):
    seen: list[np.ndarray] = []
    lock = threading.Lock()

    class Slow:
        """The model, slower with its first batch, so that the others overtake it."""

        def __getattr__(self, name):
            return getattr(toy_model, name)

        def run(self, bases):
            with lock:
                is_first = not seen
                seen.append(bases)
            if is_first:
                time.sleep(0.05)
            return toy_model.run(bases)

    region = read_region(reference, "chr1", 30, 45)
    options = ScoringOptions(shifts=(0, -3, 3), batch_size=16)
    told: list[int] = []
    found = score_region(region, Scorer(Slow(), reference, options), told.append, runs=3)
    expected = Scorer(toy_model, reference, options).score(region.variants())
    assert np.array_equal(found.effects.effect, expected.effects.effect)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, len(region.variants()))
    assert len(told) > 10
    every = np.concatenate(seen)
    assert len(every) == len(np.unique(every, axis=0))


def test_a_run_that_fails_leaves_what_was_there(tmp_path, monkeypatch, capsys, options):
    path = tmp_path / "map.tsv"
    path.write_text("of before")

    def broken(*_, **__):
        raise ValidationError("no luck")

    monkeypatch.setattr("service.saturate_command.score_region", broken)
    fails(capsys, ["saturate", REGION, *options, "-o", path], "no luck")
    assert path.read_text() == "of before"
    assert list(tmp_path.glob("*.tmp")) == []


@pytest.mark.parametrize(
    ("region", "parts"),
    [
        ("chr1", ("'chr1' is no region", "CONTIG:START-END")),
        ("chr1:31", ("is no region",)), ("chr1:0-5", ("is no region", "1-based")),
        ("chr1:,-,", ("is no region",)), ("chr1:1-" + "9" * 5000, ("is no region",)),
        # Commas anywhere were taken out: this was chr1:31-45.
        ("chr1:3,1-4,5", ("is no region",)), ("chr1:45-31", ("ends before it starts",)),
        ("chr9:1-5", ("no contig 'chr9'; it has chr1",)),
        ("chr1:100-104", ("known sequence", "bases of chr1", "check the positions")),
        ("chr1:1-3,001", ("3,001 positions", "3,000", "--max-region")),
    ],
)  # fmt: skip
def test_regions_that_cannot_be_scored(capsys, options, region, parts):
    fails(capsys, ["saturate", region, *options], *parts)


def test_the_reference_is_not_overwritten(capsys, options, tiny_fasta):
    command = ["saturate", REGION, *options, "-o", tiny_fasta, "--format", "tsv"]
    fails(capsys, command, "would overwrite the reference")


def test_names_of_contigs_may_hold_colons():
    assert parse_region("HLA-A*01:01:01:01:1,001-1,002") == ("HLA-A*01:01:01:01", 1000, 1002)
