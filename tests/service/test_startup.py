"""What a service says when it starts."""

import json
import shutil
from types import SimpleNamespace

import pytest

from service.reference import Reference
from service.settings import Settings
from service.web import startup
from service.web.logs import Log
from tests.lean_client import served
from tests.service.guarded import Lines


def warnings(reference: Reference | None, **settings) -> list[str]:
    engine = SimpleNamespace(settings=Settings(**settings), reference=reference)
    return list(startup.warnings(engine))


@pytest.mark.parametrize(
    ("name", "assembly", "words"),
    [
        ("chr1.hg19.part.fa", "GRCh37", None),
        ("chr1.fa", "GRCh38", None),
        ("chr1.hg19.part.fa", "GRCh38", "chr1.hg19.part.fa is named like a file of GRCh37"),
        ("hs38DH.fa", "GRCh37", "hs38DH.fa is named like a file of GRCh38"),
        ("chr1.hg19.part.fa", None, "no --assembly"),
    ],
)
def test_an_assembly_that_is_perhaps_another_one(tiny_fasta, tmp_path, name, assembly, words):
    shutil.copy(tiny_fasta, tmp_path / name)
    with Reference.open(tmp_path / name, assembly) as reference:
        found = warnings(reference, assembly=assembly)
    assert [words in warning for warning in found] == ([True] if words else [])


def test_what_has_no_effect_without_a_reference(tmp_path):
    [none] = warnings(None)
    assert none.startswith("no --reference")
    assert warnings(None, assembly="GRCh37", jobs=tmp_path, evidence=tmp_path / "t.tsv") == [
        none,
        "--assembly GRCh37 is without effect: there is no --reference",
        "--evidence is without effect: there is no --reference",
        "--jobs is without effect: there is no --reference",
    ]


def test_addresses_and_the_lines_of_the_log(tiny_fasta, tmp_path):
    lines, models = Lines(), {"sum": SimpleNamespace(providers=("CPUExecutionProvider",))}
    with Reference.open(tiny_fasta, "GRCh37") as reference:
        settings = Settings(
            jobs=tmp_path, keys=tmp_path / "keys", evidence=tmp_path / "t.tsv", max_items=7
        )
        engine = SimpleNamespace(settings=settings, reference=reference, models=models)
        facts = startup.facts(engine, ("::1", 8000, 0, 0))
    Log(sink=lines).started(facts, ["careful"])
    told, warning = lines.all
    assert (warning["event"], warning["level"], warning["warning"]) == (
        "start",
        "warning",
        "careful",
    )
    assert (told["event"], told["level"], told["address"]) == ("start", "info", "[::1]:8000")
    assert told["models"] == {"sum": ["CPUExecutionProvider"]}
    assert (told["reference"], told["assembly"]) == (tiny_fasta.name, "GRCh37")
    assert (told["jobs"], told["keys"]) == (str(tmp_path), True)
    assert told["evidence"] == "t.tsv", "its name, and not where it is"
    assert told["limits"]["max_items"] == 7
    assert str(tmp_path / "keys") not in "".join(lines.raw)


def test_a_server_begins_with_it(toy_models_dir):
    options = "--models", toy_models_dir, "--model", "sum", "--device", "cpu"
    with served(*options, "--assembly", "GRCh38") as server:
        log = [json.loads(line) for line in server.log.read_text().splitlines()]
    [told, warned] = [line for line in log if line["event"] == "start"]
    assert told["address"] == f"127.0.0.1:{server.port}"
    assert list(told["models"]) == ["sum"]
    assert (told["reference"], told["assembly"]) == ("chr17.hg19.part.fa", "GRCh38")
    assert (told["jobs"], told["keys"]) == (str(server.log.parent / "jobs"), False)
    assert warned["warning"].endswith("is named like a file of GRCh37")
