"""`varsigma variant`: identifiers on standard output, one line each."""

import json

import pytest

from service.cli import run
from tests.lean_client import ROOT
from tests.service.test_cli import fails

FASTA = str(ROOT / "examples/chr17.hg19.part.fa")
OPTIONS = ["--reference", FASTA, "--assembly", "GRCh37"]


def shown(capsys, *arguments: str, notes: str = "") -> list[str]:
    assert run(["variant", *arguments]) == 0
    out, err = capsys.readouterr()
    assert notes in err
    assert bool(err) == bool(notes)
    return out.splitlines()


@pytest.mark.parametrize(
    ("text", "identifiers", "notes"),
    [
        ("chr17:g.31150G>A", ["GRCh37:chr17:31150:G:A"], ""),
        ("NC_000017.10:g.31350del", ["GRCh37:chr17:31347:CG:C"], "left-aligned"),
        ("NC_000017.10:31150:G:A", ["GRCh37:chr17:31151:G:A"], "0-based"),
        ("17 31150 . G A,C", ["GRCh37:chr17:31150:G:A", "GRCh37:chr17:31150:G:C"], ""),
    ],
)
def test_it_prints_one_identifier_for_each_alt(capsys, text, identifiers, notes):
    assert shown(capsys, text, *OPTIONS, notes=notes) == identifiers


def test_json_holds_all_names_and_notes(capsys):
    [line] = shown(capsys, "NC_000017.10:31349:1:", "--json", *OPTIONS)
    assert json.loads(line) == {
        "identifier": "GRCh37:chr17:31347:CG:C",
        "spdi": "NC_000017.10:31347:GGGG:GGG",
        "contig": "chr17",
        "pos": 31347,
        "ref": "CG",
        "alt": "C",
        "assembly": "GRCh37",
        "notes": [
            "read as SPDI, whose positions are 0-based",
            "in normal form, left-aligned and parsimonious: 31347:CG:C",
        ],
        "use": "research use only",
    }


def test_the_environment_may_state_the_reference(capsys, monkeypatch):
    monkeypatch.setenv("VARSIGMA_REFERENCE", FASTA)
    notes = "nobody stated the assembly"
    assert shown(capsys, "chr17:31150:G:A", notes=notes) == ["chr17:31150:G:A"]


def test_a_failure_is_one_line(capsys):
    fails(capsys, ["variant", "rs123", *OPTIONS], "rs123", "chr17:31150:G:A")
    fails(capsys, ["variant", "chr17:31150:T:A", *OPTIONS], "'T'", "'G'")
    fails(capsys, ["variant", "chr17:31150:G:A"], "--reference")
    fails(capsys, ["variant", "chr17:1:A:C", "--reference", FASTA, "--assembly", "GRCh38x"], "GRCh")
