"""The page of a triaged list: whole, readable without eyes, asking for nothing, and true."""

import base64
import dataclasses
import hashlib
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import html5lib
import numpy as np
import pytest

from service.reference import Reference
from service.registry import Registry
from service.report.drawing import full_colour, picture
from service.report.intervals import panels
from service.report.maps import VariantMap, score_maps
from service.report.page import rendered
from service.report.words import NOTHING, signed
from service.saturation import ALTS, Region, effect_map, read_region
from service.triage import TIERS, Tier
from service.triage_facts import EVIDENCE_FACTS, RATIO_FACTS
from service.triage_list import Given, TriageOptions
from service.variants import Edit, Variant
from tests.genomes import write_fasta
from tests.service.test_ranking import (
    BAD,
    FITTED,
    GENOME,
    MODEL,
    VARIANTS,
    WIDTH,
    Curved,
    ranked,
)
from tests.toy_models import write_model

XHTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"
# Known sequence with a hole of N, beside which there is a variant.
HOLE = range(VARIANTS[2].pos + 4, VARIANTS[2].pos + 8)
SEQUENCE = "".join("N" if place in HOLE else base for place, base in enumerate(GENOME))
HOSTILE = "<script>alert(1)</script>$x$'\"\x00\u202e&amp;"
INSERTION = Variant("chr1", 500, GENOME[499], GENOME[499] + "GTA")
DELETION = Variant("chr1", 600, GENOME[599:603], GENOME[599])
SCORED = [*VARIANTS[:12], INSERTION, DELETION]
SPAN = 11


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_model(folder, MODEL, card={"calibration": FITTED})
    path = write_fasta(folder / "g.fa", {"chr1": SEQUENCE})
    with Reference.open(path) as reference:
        yield Curved(Registry(folder).load("sum", threads=1), reference)


def listed(scorer, variants, given=(), **options):
    """A triaged list of variants, before it the inputs that have no score."""
    inputs = [
        Given(contig=v.contig, pos=v.pos, ref=v.ref, alt=v.alt, id=None if n % 3 else f"v{n}")
        for n, v in enumerate(variants)
    ]
    return ranked(
        [*given, *inputs],
        scorer.score(variants),
        scorer,
        TriageOptions(**{"error_rate": 0.3, **options}),
        provenance=scorer.provenance(),
    )


MALFORMED = [
    Given(contig=HOSTILE, pos=None, ref=HOSTILE, alt="C", id=HOSTILE, line=4, problem=HOSTILE),
]


@pytest.fixture(scope="module")
def found(scorer):
    """Of each kind: calls, none, no single-base changes, without a score, no record."""
    return listed(scorer, [*SCORED, *(v for v, _ in BAD)], MALFORMED, compares=True)


@pytest.fixture(scope="module")
def maps(scorer, found):
    return score_maps(found, scorer, span=SPAN)


def written(found, maps, scorer, source="in.vcf") -> str:
    return rendered(found, maps, scorer.model.card, source=source).decode()


@pytest.fixture(scope="module")
def text(scorer, found, maps) -> str:
    return written(found, maps, scorer)


@pytest.fixture(scope="module")
def page(text) -> ET.Element:
    return html5lib.HTMLParser(strict=True).parse(text)  # strict: any parse error raises


def words(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def table(page: ET.Element, caption: str) -> list[list[str]]:
    [chosen] = [
        one
        for one in page.iter(f"{XHTML}table")
        if words(one.find(f"{XHTML}caption")).startswith(caption)
    ]
    return [[words(cell) for cell in row] for row in chosen.iter(f"{XHTML}tr")]


# --- the page ------------------------------------------------------------------------------------


def test_it_asks_for_nothing_and_forbids_that(text, page):
    assert "//" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert not re.search(r"(?i)https?:|@import|javascript:|\son\w+=", text)
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    names = {str(element.tag).rpartition("}")[2] for element in page.iter()}
    assert not names & {
        "script",
        "img",
        "image",
        "iframe",
        "object",
        "base",
        "form",
        "embed",
    }
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    [style] = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert " style=" not in text, "the policy has no place for it"


def test_references_inside_resolve_and_ids_are_unique(text):
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:href="|url\()#([^")]+)', text) + re.findall(r'labelledby="(\w+)"', text)
    assert set(used) <= set(ids)
    assert "v1" in used


def test_it_can_be_read_without_eyes(page):
    assert page.get("lang") == "en"
    levels = [int(str(e.tag)[-1]) for e in page.iter() if re.fullmatch(r".*\}h[1-6]", str(e.tag))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for one in page.iter(f"{XHTML}table"):
        assert words(one.find(f"{XHTML}caption"))
        assert all(cell.get("scope") and words(cell) for cell in one.iter(f"{XHTML}th"))
    pictures = [one for one in page.iter(f"{SVG}svg") if one.get("aria-hidden") != "true"]
    assert len(pictures) == len(SCORED) + 1, "a map each, and one panel of intervals"
    for one in pictures:
        assert one.get("role") == "img"
        assert len(one.get("aria-label", "")) > 40
    for one in page.iter():
        if one.get("tabindex"):
            assert (one.get("role"), bool(one.get("aria-label"))) == ("region", True)


def test_research_use_only_comes_first(page):
    assert words(next(page.iter(f"{XHTML}p"))).startswith("Research use only.")
    assert not re.search(r"(?i)pathogenic|benign", words(page.find(f"{XHTML}body")))


def test_every_input_has_a_row_with_its_numbers_or_its_reason(page, found):
    rows = table(page, "All ")[1:]
    assert len(rows) == len(found.rows)
    for cells, row in zip(rows, found.rows, strict=True):
        call = row.call
        if call is None:
            assert cells[2].startswith("not scored: ")
            assert cells[2].endswith(f"({row.status})")
            continue
        name = row.given.id or f"chr1:{row.given.pos:,}"
        assert cells[:2] == [str(row.rank), name]
        assert cells[2].endswith(call.tier.plain_name)
        assert cells[4] == signed(call.numbers["effect"])
        assert cells[5] == f"{signed(call.numbers['lower'])} to {signed(call.numbers['upper'])}"
        other = row.calls["HepG2"]
        assert cells[8].endswith(other.tier.plain_name)
        assert cells[9] == signed(other.numbers["effect"])
    reasons = {cells[2] for cells in rows if cells[0] == NOTHING}
    assert len(reasons) == len(BAD) + 1


def test_counts_are_those_of_the_list(page, found):
    head, *rows = table(page, "Inputs in each tier")
    assert head[1:] == ["K562", "HepG2"]
    expected = [[found.counts(target)[tier] for target in found.targets] for tier in TIERS]
    expected.append([found.n_unscored] * 2)
    assert [list(map(int, row[1:])) for row in rows] == expected
    assert min(found.counts("K562")[tier] for tier in (Tier.LOWERS, Tier.RAISES)) > 0


def test_each_variant_says_what_stands_behind_it(page, found):
    articles = page.findall(f".//{XHTML}article")
    assert len(articles) == len(SCORED)
    for article, row in zip(articles, found.rows, strict=False):
        said, call = words(article), row.calls["HepG2"]
        assert f"{row.rank}. " in said
        assert row.normalised in said
        facts = {
            words(line[0]): [words(cell) for cell in line[1:]]
            for line in article.iter(f"{XHTML}tr")
        }
        assert facts["networks differ (epistemic)"][1] == f"{call.numbers['epistemic']:.3f}"
        assert facts["quantile among random changes"] == [NOTHING, NOTHING], "no background"
        assert "is below -0.1" in facts


def test_hostile_text_is_shown_as_text(page, text):
    shown = "<script>alert(1)</script>$x$'\"\ufffd\ufffd&amp;"
    [row] = [cells for cells in table(page, "All ") if "malformed_record" in cells[2]]
    assert row[1] == f"{shown} line 4"
    assert shown in row[2]
    assert "<script" not in text
    assert "\u202e" not in text


def test_hostile_names_are_shown_as_text_in_plots_too(scorer):
    given = Given(contig="chr1", pos=VARIANTS[0].pos, ref="A", alt="C", id="<b>$\\x\x07\u4e2d")
    variants = VARIANTS[:1]
    found = ranked(
        [given], scorer.score(variants), scorer, TriageOptions(), provenance=scorer.provenance()
    )
    [panel] = panels(found)
    svg = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parseFragment(panel.svg)
    assert "1.  <b>$\\x\ufffd\u4e2d" in [one.text for one in svg.iter(f"{SVG}text")]
    html5lib.HTMLParser(strict=True).parse(
        written(found, score_maps(found, scorer, span=0), scorer, source="<i>\x01.vcf")
    )


def test_the_same_input_gives_the_same_bytes(scorer, found, text):
    assert written(found, score_maps(found, scorer, span=SPAN), scorer) == text


def test_a_list_without_a_score_is_a_page_too(scorer):
    found = listed(scorer, [v for v, _ in BAD], MALFORMED)
    page = html5lib.HTMLParser(strict=True).parse(written(found, score_maps(found, scorer), scorer))
    assert len(table(page, "All ")) == len(BAD) + 2
    assert not page.findall(f".//{XHTML}article")
    assert not [one for one in page.iter(f"{SVG}svg") if one.get("aria-hidden") != "true"]


def test_facts_that_others_add_to_rows_are_shown(scorer, found, maps):
    found.rows[0].more.update({"nearest_measured": "<b>3 bp away</b>"})
    text = written(found, maps, scorer)
    found.rows[0].more.clear()
    assert "<dt>nearest measured</dt><dd>&lt;b&gt;3 bp away&lt;/b&gt;</dd>" in text


def test_facts_are_said_to_a_person_and_where_there_are_none_too(scorer, found, maps):
    """Of the first row a measurement and a ratio, of the others neither."""
    made = {
        "evidence": {"file": "<b>.tsv", "within": 7},
        "likelihood_ratios": {"effect": "p < 0.001", "none": "p > 0.05", "confidence": 0.95},
    }
    names = (*EVIDENCE_FACTS, *RATIO_FACTS)
    values = [False, 2, 3, 0.30000000000000004, None, 1e-30, "<i>", "1:5:A:C", 4.48151, 2.5, 8.0]
    rows = [
        dataclasses.replace(row, more=dict.fromkeys(names) | (dict(zip(names, values, strict=True))
                            if row is found.rows[0] else {}))
        for row in found.rows
    ]  # fmt: skip
    told = dataclasses.replace(found, rows=tuple(rows), provenance={**found.provenance, **made})
    page = html5lib.HTMLParser(strict=True).parse(written(told, maps, scorer))
    first, second, *_ = page.iter(f"{XHTML}article")
    assert [words(cell) for cell in first.find(f"{XHTML}dl")] == [
        "measured is exact", "no", "measured distance", "2", "measured n", "3", "measured value",
        "0.3", "measured p value", "1e-30", "measured element", "<i>", "measured as", "1:5:A:C",
        "likelihood ratio", "4.482", "likelihood ratio lower", "2.5", "likelihood ratio upper", "8",
    ]  # fmt: skip
    assert [words(cell) for cell in second.find(f"{XHTML}dl")] == [
        "measured", "nothing within 7 bases",
        "likelihood ratio", "none: the table says nothing of such a change",
    ]  # fmt: skip
    [method] = [s for s in page.iter(f"{XHTML}section") if s.get("id") == "method"]
    said = words(method)
    for part in ("the table <b>.tsv says", "The one kind: p < 0.001. The other: p > 0.05.",
                 "bounds of 95", "never about disease", "larger than is usual"):  # fmt: skip
        assert part in said
    plain = words(html5lib.HTMLParser(strict=True).parse(written(found, maps, scorer)))
    assert "Likelihood ratio" not in plain
    assert "measured as" not in plain


def test_a_quantile_near_its_end_is_not_the_end(scorer, found, maps):
    one = found.rows[0]
    calls = {
        target: dataclasses.replace(call, numbers={**call.numbers, "quantile": 0.9962})
        for target, call in one.calls.items()
    }
    rows = (dataclasses.replace(one, calls=calls), *found.rows[1:])
    page = html5lib.HTMLParser(strict=True).parse(
        written(dataclasses.replace(found, rows=rows), maps, scorer)
    )
    assert table(page, "All ")[1][7] == "+0.996"
    first = next(page.iter(f"{XHTML}article"))
    lines = [[words(cell) for cell in line] for line in first.iter(f"{XHTML}tr")]
    [line] = [cells for cells in lines if cells[0] == "quantile among random changes"]
    assert line[1:] == ["+0.996"] * 2


# --- the maps ------------------------------------------------------------------------------------


def test_maps_are_those_of_a_saturation_of_the_region(scorer, found, maps):
    t = MODEL.targets.index("K562")
    n_changes = 0
    for row in found.rows[:4]:
        one, pos = maps.by_index[row.index], row.given.pos
        region = read_region(scorer.reference, "chr1", pos - 1 - SPAN // 2, pos + SPAN // 2)
        assert one.region.sequence == region.sequence
        expected = effect_map(region, scorer.score(region.variants())).effect[:, :, t]
        np.testing.assert_array_equal(one.effect, expected)
        n_changes += np.isfinite(expected).sum()
    assert n_changes > 3 * 3 * SPAN


def test_a_maps_own_change_has_the_effect_of_the_row(found, maps):
    for row in found.rows[: len(SCORED)]:
        one = maps.by_index[row.index]
        if row.normalised in {"500:" + INSERTION.ref + ":" + INSERTION.alt}:
            assert one.own is None
            assert len(one.places) == 0
        elif len(row.given.ref) > 1:
            assert one.own is None
            assert len(one.places) == 3
        else:
            assert one.own == (SPAN // 2, ALTS.index(row.given.alt))
            assert one.effect[one.own] == pytest.approx(row.call.numbers["effect"], rel=1e-6)


def test_what_is_not_known_is_hatched(found, maps, page):
    [row] = [row for row in found.rows if row.given.pos == VARIANTS[2].pos]
    one = maps.by_index[row.index]
    n_unknown = one.region.sequence.count("N")
    assert n_unknown > 0
    assert np.isnan(one.effect[[base == "N" for base in one.region.sequence]]).all()
    [article] = [a for a in page.iter(f"{XHTML}article") if a.get("id") == f"v{row.index}"]
    hatched = [p for p in article.iter(f"{SVG}path") if p.get("class") == "unknown"]
    assert len(hatched) == 4 * n_unknown


def test_the_beginning_of_a_contig_is_not_known_before(scorer):
    variant = Variant("chr1", 2, SEQUENCE[1], "ACGT".replace(SEQUENCE[1], "")[0])
    found = listed(scorer, [variant])
    [one] = score_maps(found, scorer, span=SPAN).by_index.values()
    assert one.region.sequence == "N" * 4 + SEQUENCE[:7]
    drawn = picture(one, target="K562", threshold=0.1, full=1.0)
    assert (drawn.first, drawn.last) == (NOTHING, "7")
    assert f", chr1:{NOTHING} to 7. Lowest effect" in drawn.label


def test_shared_changes_are_scored_once(scorer):
    pos = VARIANTS[0].pos
    near = [
        Variant("chr1", p, SEQUENCE[p - 1], "ACGT".replace(SEQUENCE[p - 1], "")[0])
        for p in (pos, pos + 1, pos)
    ]
    assert score_maps(listed(scorer, near), scorer, span=SPAN).n_changes == 3 * (SPAN + 1)


def test_maps_go_to_the_first_ranks_and_none_are_made_for_a_span_of_0(scorer, found):
    some = score_maps(found, scorer, span=3, limit=2)
    assert list(some.by_index) == [row.index for row in found.rows[:2]]
    assert f"first 2 of {len(SCORED)} scored" in written(found, some, scorer)
    none = score_maps(found, scorer, span=0)
    assert (none.span, none.n_changes, none.by_index) == (0, 0, {})
    text = written(found, none, scorer)
    assert "How to read a map" not in text
    assert text.count("<article") == len(SCORED)


def drawn_of(effect):
    """A picture of a region of AAA.. on which the effects are these, (L, 4)."""
    effect = np.array(effect, float)
    codes = np.zeros(len(effect), np.uint8)
    effect[:, 0] = np.nan
    region = Region("chr1", 100, codes)
    one = VariantMap(region, effect, Edit(101, 102, "C"))
    return one, picture(one, target="K562", threshold=0.1, full=0.5)


def test_letters_are_minus_the_mean_effect():
    one, drawn = drawn_of([[0, -0.3, -0.2, -0.1], [0, 0.1, 0.3, 0.2], [0, np.nan, -0.4, 0]])
    np.testing.assert_allclose(one.heights, [0.2, -0.2, 0.2])
    up, down, again = [letter.height for letter in drawn.letters]
    assert up == -down == again > 20
    assert [text for _, text in drawn.ticks] == ["0", "+0.20", "-0.20"]
    assert (one.own, drawn.own) == ((1, 1), (52, 14 + 66 + 14 + 12))


def test_cells_say_in_colour_sign_and_words_what_they_are():
    _, drawn = drawn_of([[0, -0.25, 0.05, 2.0], [0, np.nan, -0.05, 0.1], [0, 0, 0, 0]])
    cells = [(cell.kind, cell.strength, cell.sign) for cell in drawn.cells]
    assert cells[:8] == [
        ("none", "", ""), ("down", "0.50", "-"), ("up", "0.10", ""), ("up", "1.00", "+"),
        ("none", "", ""), ("unknown", "", ""), ("down", "0.10", ""), ("up", "0.20", "+"),
    ]  # fmt: skip
    assert drawn.cells[1].title == "101 A>C -0.25"
    assert drawn.label == (
        "Saturation map on K562, chr1:101 to 103. Lowest effect -0.25 at 101 A to C; highest effect"
        " +2.00 at 101 A to T."
    )
    assert drawn.numbers[0] == ("101", "A", ("", "-0.25", "+0.05", "+2.00"))


def test_a_quiet_map_looks_quiet():
    one, drawn = drawn_of([[0, 0.01, -0.01, 0.01]] * 5)
    assert all(abs(letter.height) < 66 * 0.1 for letter in drawn.letters)
    assert full_colour([one], 0.1) == 0.2
    assert full_colour([], 0.1) == 0.2


def test_nothing_known_can_be_drawn():
    _, drawn = drawn_of(np.full((WIDTH, 4), np.nan))
    assert drawn.letters == ()
    assert "No change in it has a score" in drawn.label
    assert {cell.kind for cell in drawn.cells} == {"none", "unknown"}
