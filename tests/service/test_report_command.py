"""`varsigma triage --report`: what is refused before the work, and what is there after it."""

import sys

import pytest

import service.report.page
from service.cli import run
from tests.genomes import write_fasta
from tests.service.test_ranking import BAD, FITTED, GENOME, MODEL, VARIANTS
from tests.toy_models import write_model

HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    write_model(folder / "models", MODEL, card={"calibration": FITTED})
    write_fasta(folder / "g.fa", {"chr1": GENOME})
    variants = [*VARIANTS[:3], *(variant for variant, _ in BAD)]
    lines = [
        f"{v.contig}\t{v.pos}\tv{n}\t{v.ref}\t{v.alt}\t.\t.\t.\n" for n, v in enumerate(variants)
    ]
    (folder / "in.vcf").write_text(HEAD + "".join(lines))
    return folder


def triage(place, out, *options: object) -> int:
    given = ["--reference", place / "g.fa", "--models", place / "models", "--threads", 1]
    words = ["triage", place / "in.vcf", "-o", out, *given, "--device", "cpu", *options]
    return run(list(map(str, words)))


def test_the_page_stands_beside_the_list_and_the_seconds_are_said(place, tmp_path, capsys):
    out, page = tmp_path / "out.tsv", tmp_path / "page.html"
    options = ("--compare", "--report", page, "--map-span", 5, "--map-limit", 2)
    assert triage(place, out, *options) == 0
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "<h1>Triage of <bdi>in.vcf</bdi></h1>" in text
    assert text.count('<figure class="map') == 2
    assert text.count("not scored</b>") == len(BAD)
    error = capsys.readouterr().err
    assert "2 maps, 30 changes scored in " in error
    assert " s; page drawn in " in error
    assert out.is_file()
    assert (
        triage(place, tmp_path / "again.tsv", *options[:2], tmp_path / "again.html", *options[3:])
        == 0
    )
    assert (tmp_path / "again.html").read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "again.html", "again.tsv", "out.tsv", "page.html",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--report", "no/page.html"],
            "--report no/page.html cannot be written: there is no folder",
        ),
        (["--report", "."], "--report . is a folder"),
        (["--report", "page.pdf"], "--report page.pdf would be HTML; end the name in .html"),
        (["--report", "out.tsv"], "would overwrite --output out.tsv"),
        (["--report", "in.html", "--summary", "in.html"], "would overwrite --report in.html"),
        (["--map-span", "5"], "--map-span and --map-limit are about a report"),
        (
            ["--report", "page.html", "--map-span", "202"],
            "'--map-span': Input should be less than or equal to 201",
        ),
        (
            ["--report", "page.html", "--map-limit", "-1"],
            "'--map-limit': Input should be greater than or equal to 0",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_the_work(
    place, tmp_path, monkeypatch, capsys, options, message
):
    monkeypatch.chdir(tmp_path)
    assert triage(place, "out.tsv", *options) != 0
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_library_names_the_extra(place, tmp_path, monkeypatch, capsys):
    def find_spec(name: str) -> object:
        return None if name == "matplotlib" else object()

    monkeypatch.setattr("service.report.libraries.find_spec", find_spec)
    assert triage(place, tmp_path / "out.tsv", "--report", tmp_path / "page.html") == 1
    error = capsys.readouterr().err
    assert 'a report needs matplotlib; install what is missing: pip install ".[report]"' in error
    assert not list(tmp_path.iterdir())


def test_a_page_that_fails_leaves_the_list_and_the_page_before_it(
    place, tmp_path, monkeypatch, capsys
):
    def failing(*_: object, **__: object) -> bytes:
        raise ValueError("no page")

    page = tmp_path / "page.html"
    page.write_text("an older one")
    monkeypatch.setattr(service.report.page, "rendered", failing)
    assert triage(place, tmp_path / "out.tsv", "--report", page, "--map-span", 0) == 1
    assert "no page" in capsys.readouterr().err
    assert (tmp_path / "out.tsv").read_text().count("\n") > 6
    assert page.read_text() == "an older one"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_list_alone_needs_no_drawing_library(place, tmp_path, monkeypatch):
    for name in ("jinja2", "matplotlib", "service.report.page"):
        monkeypatch.setitem(sys.modules, name, None)
    assert triage(place, tmp_path / "out.tsv") == 0
