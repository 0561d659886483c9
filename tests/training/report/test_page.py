"""The page by itself: valid, whole, and asking nothing of any other machine."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import html5lib
import pytest

from training.report.campaign import Campaign, challenge
from training.report.claims import CLAIMS
from training.report.page import PLATES
from training.report.statements import STATEMENTS

pytestmark = pytest.mark.slow
XHTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def text(report: Path) -> str:
    return report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> ET.Element:
    return html5lib.HTMLParser(strict=True).parse(text)  # strict: any parse error raises


def words(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_asks_for_nothing(text: str, page: ET.Element) -> None:
    without_names = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    assert "//" not in without_names  # no address at all, with or without a scheme
    assert "@import" not in text
    assert {"script", "link", "img", "image", "iframe", "object"}.isdisjoint(
        str(element.tag).rpartition("}")[2] for element in page.iter()
    )
    assert set(re.findall(r"url\(([^)])", text)) <= {"#"}


def test_references_inside_resolve_and_ids_are_unique(text: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    assert used
    assert used <= set(ids)


def test_all_figures_are_there(report: Path, page: ET.Element) -> None:
    assert [plate.number for plate in PLATES] == [*range(1, 10)]
    sections = page.findall(f".//{XHTML}section[@class='figure']")
    assert len(sections) == len(PLATES)
    for plate, section in zip(PLATES, sections, strict=True):
        heading = section.find(f"{XHTML}h2")
        assert heading is not None
        assert words(heading) == f"Figure {plate.number}. {plate.title}"
        pictures = section.findall(f".//{SVG}svg")
        assert len(pictures) == len(plate.panels)
        assert all(len(picture.get("aria-label", "")) > 40 for picture in pictures)
        assert all(picture.get("role") == "img" for picture in pictures)
        png = report.parent / "figures" / f"{plate.stem}.png"
        assert png.read_bytes().startswith(b"\x89PNG")
        assert ET.parse(png.with_suffix(".svg")).getroot().tag == f"{SVG}svg"


def test_headings_descend_and_tables_are_named(page: ET.Element) -> None:
    levels = [int(str(e.tag)[-1]) for e in page.iter() if re.fullmatch(r".*\}h[1-6]", str(e.tag))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tables = page.findall(f".//{XHTML}table")
    assert len(tables) >= 7
    for table in tables:
        caption = table.find(f"{XHTML}caption")
        assert caption is not None
        assert words(caption)
        assert all(cell.get("scope") for cell in table.iter(f"{XHTML}th"))


def test_every_claim_stands_beside_its_figure_with_our_sentence(
    page: ET.Element, campaign: Campaign
) -> None:
    assert set(STATEMENTS) == {claim.key for claim in CLAIMS}
    for claim in CLAIMS:
        where = page.find(f".//{XHTML}section[@id='figure-{claim.figure}']")
        said = words(page if where is None else where)
        assert (where is None) == (claim.figure == 0)
        assert claim.arithmetic in said
        assert " ".join(STATEMENTS[claim.key](campaign).split()) in said


def test_first_paragraph_is_the_verdict(page: ET.Element) -> None:
    first = next(page.iter(f"{XHTML}p"))
    assert words(first).startswith(
        "Does any noise-resistant strategy beat MSE on CAGI5 here? Not shown. The baseline's mean"
    )


def test_numbers_are_those_of_the_table(page: ET.Element, campaign: Campaign) -> None:
    """Means recomputed from metrics.tsv alone."""
    rows = campaign.rows
    chosen = rows[
        (rows["level"] == 0)
        & (rows["split"] == "challenge")
        & (rows["metric"] == "spearman")
        & (rows["element"] == "K562-matched (4)")
    ]
    groups = chosen.groupby("arm")["value"]
    tables = {words(t[0]): t for t in page.findall(f".//{XHTML}table")}
    table = next(t for name, t in tables.items() if name.startswith("Representatives against"))
    shown = {
        words(row[0]): [words(cell) for cell in row]
        for row in table.findall(f"{XHTML}tbody/{XHTML}tr")
    }
    assert len(shown) == 8
    base = groups.mean()["mse"]
    for arm, cells in shown.items():
        values = groups.get_group(arm)
        assert cells[3] == f"{values.mean():.3f} \N{PLUS-MINUS SIGN} {values.std():.3f}"
        assert cells[2] == "5"
        assert len(values) == 5
        if arm != "mse":
            assert cells[4] == f"{values.mean() - base:+.3f}"


def cells(page: ET.Element, title: str) -> dict[str, list[list[str]]]:
    """Rows of the table whose title begins so, by their first cell."""
    tables = {words(t[0]): t for t in page.findall(f".//{XHTML}table")}
    table = next(t for name, t in tables.items() if name.startswith(title))
    found: dict[str, list[list[str]]] = {}
    for row in table.findall(f"{XHTML}tbody/{XHTML}tr"):
        head, *rest = (words(cell) for cell in row)
        found.setdefault(head, []).append(rest)
    return found


def test_other_scorings_stand_beside_the_one_that_is_used(
    page: ET.Element, campaign: Campaign
) -> None:
    shown = cells(page, "CAGI5 Spearman, mean of four, by how variants are scored")
    assert set(shown) == {"mse", *(arm.name for arm in campaign.representatives)}
    rows = campaign.rows.query("arm == 'dh7' and metric == 'spearman' and level == 0")
    splits = ("challenge", "challenge_plus", "challenge_minus", "challenge_cell")
    # And the one list in which the variants of all four are ranked.
    rows = rows[rows["split"].isin(splits)]
    means = [
        rows.query("split == @split and element == 'K562-matched (4)'")["value"].mean()
        for split in splits
    ]
    assert [cell.split()[0] for cell in shown["dh7"][0][1:-1]] == [f"{mean:.3f}" for mean in means]


def test_batches_have_a_row_for_each_stage_that_differs(page: ET.Element) -> None:
    shown = cells(page, "Composition of sampled batches")
    assert shown["shuffled"] == [["-", "0.100", "0.100"]]
    assert shown["quantile_noise"] == [["0%", "0.300", "0.300"]]
    assert shown["quantile_curriculum"] == [["0%", "0.300", "0.300"], ["12%", "0.400", "0.400"]]


def test_says_what_was_trained_and_on_what(page: ET.Element) -> None:
    said = words([*page.iter(f"{XHTML}p")][1])
    assert "weak networks, of 50,123 parameters (the baseline's), that learn from 3" in said
    assert "the published MSE baseline reached 0.386 on the same variants" in said


def test_says_what_is_not_here(page: ET.Element) -> None:
    section = page.find(f".//{XHTML}section[@id='not-here']")
    assert section is not None
    for part in ("best validation epoch", "assayed construct", "one locus", "tried again"):
        assert part in words(section)


def test_the_floor_is_a_row_of_the_arms(page: ET.Element) -> None:
    shown = cells(page, "All arms, mean")
    assert shown["6-mer ridge"] == [["-", "no seed", "0.434", "-", "0.123", *["-"] * 4]]


def test_the_choice_and_the_difference_on_the_release_set(page: ET.Element) -> None:
    chosen = cells(page, "Release set, Spearman of the baseline's runs by reading")
    assert chosen["mse/42"] == [["0.200", "0.180"] * 3]
    shown = cells(page, "Release set, Spearman, mean of four")
    assert shown["dh7"][0][0] == "5 of 5"
    assert shown["dh7"][0][2] == "-0.040"
    assert shown["mse"][0][2] == "-"


def test_folds_and_epochs_are_printed(page: ET.Element) -> None:
    folds = cells(page, "Held-out folds")
    assert folds["mattioli2018_pool2_K562"] == [["600", "300", "9", "500", "200", "125"]]
    coverage = cells(page, "Held-out likelihood of a measurement (nats, of activities on the")
    assert coverage
    titles = [words(t[0]) for t in page.findall(f".//{XHTML}table")]
    assert any("a large part in mattioli2018_pool2_K562 (25%)" in title for title in titles)
    assert cells(page, "Epochs")["mse"] == [["5", "8.0", "7.0", "0.710", "0.700", "9.0"]]


def test_counts_are_printed(page: ET.Element) -> None:
    assert "50 of 50 finished; baseline seeds 5 of 5; extra seeds 16 of 16;" in words(page)


def test_heat_map_shows_the_baseline_and_the_best(page: ET.Element, campaign: Campaign) -> None:
    section = page.find(f".//{XHTML}section[@id='figure-5']")
    assert section is not None
    written = [words(node) for node in section.iter(f"{SVG}text")]
    best = campaign.ranked(challenge("spearman"), campaign.others)[0]
    assert "mse (5)" in written
    for arm in (campaign.baseline, best):
        assert arm is not None
        assert f"{arm.means[challenge('spearman', 'HBB')].value:.3f}" in written
