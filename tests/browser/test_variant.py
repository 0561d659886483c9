"""One variant in the browser: typed, scored, mapped, compared, reopened."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.visiting import SNV, Visit, signed

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
pytestmark = pytest.mark.browser

PLACE = {"contig": "chr17", "pos": 31463, "ref": "G", "alt": "T"}


def ask(tab: Visit, text: str) -> None:
    """Type a variant and press the button."""
    tab.page.get_by_label("Variant", exact=True).fill(text)
    tab.page.get_by_role("button", name="Show the effect").click()


def assert_table_is_the_answer(tab: Visit, rows: list[list[str]], model: str) -> None:
    """Rows of cell type, call, ..., effect, expected, interval are what the server says."""
    body = {"model": model, "variants": [PLACE]}
    scored = tab.api("v1/score", body)["results"][0]["targets"]
    called = tab.api("v1/triage", body | {"compare": True})["results"][0]["targets"]
    assert [row[0] for row in rows] == list(scored)
    for row in rows:
        numbers = scored[row[0]]
        tier = called.get(row[0], {"tier_name": "cannot tell"})["tier_name"]
        assert any(tier in cell for cell in row[1:3])
        for name, digits in (("effect", 2), ("expected", 2), ("quantile", 3)):
            assert signed(numbers[name], digits) in row
        assert f"{signed(numbers['lower'])} to {signed(numbers['upper'])}" in row
        assert row[-1] == ("yes" if numbers["calibrated"] else "no")


@pytest.fixture
def small(visit, prefixed) -> Visit:
    """A tab on a server of toy models, for what does not depend on a model."""
    return visit(prefixed)


def test_a_variant_is_shown_as_the_server_scores_it(tab):
    page = tab.open()
    expect(page.locator("#model")).to_have_value("dh7")
    ask(tab, " chr17:31,463 G>T ")
    tab.whole()
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31463:G:T")
    expect(page.locator(".headline")).to_contain_text("likely lowers activity on K562")
    expect(page.locator(".headline")).to_contain_text("(calibrated)")
    expect(page.locator(".headline")).to_contain_text("Unlike what the model learnt from: high gc")
    assert_table_is_the_answer(tab, tab.table("Effect in each cell type")[1:], "dh7")
    parts = tab.table("Parts of the doubt")
    scored = tab.api("v1/score", {"model": "dh7", "variants": [PLACE]})["results"][0]["targets"]
    names = ["epistemic", "representation", "aleatoric", "sd", "repeat_sd"]
    for row, name in zip(parts[1:], names, strict=True):
        assert f"({name})" in row[0]
        assert row[1:] == [f"{one[name]:.3f}" for one in scored.values()]
    # One bar for each number, as long as the number says.
    bars = page.locator(".doubt .part").evaluate_all(
        "bars => bars.map(bar => bar.getAttribute('width'))"
    )
    largest = max(one[name] for one in scored.values() for name in names)
    assert bars == [
        f"{100 * one[name] / largest:.1f}%" for name in names for one in scored.values()
    ]
    query = parse_qs(urlsplit(page.url).query)
    assert query == {
        "variant": [" chr17:31,463 G>T "], "assembly": ["GRCh37"], "model": ["dh7"],
        "target": ["K562"],
    }  # fmt: skip
    expect(page.get_by_text("Research use only.").first).to_be_visible()


@pytest.mark.parametrize(
    "text",
    [
        "17-31463-G-T",
        "chr17:g.31463G>T",
        "NC_000017.10:31462:G:T",
        "chr17\t31463\t.\tG\tT\t.\t.\t.",
    ],
    ids=["hyphens", "hgvs", "spdi", "vcf"],
)
def test_every_spelling_leads_to_the_one_name(small, text):
    page = small.open()
    ask(small, text)
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31463:G:T")


def test_whoever_is_faster_than_the_server_loses_nothing(small):
    # Enter before the models were known asked for a model without a name.
    waiting = []

    def hold(route) -> None:
        waiting.append(route)

    small.page.route("**/v1/models", hold)
    page = small.open()
    page.get_by_label("Variant", exact=True).fill(SNV)
    page.keyboard.press("Enter")
    page.wait_for_url("**variant=**")
    waiting[0].continue_()
    small.whole()
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31463:G:T")


@pytest.mark.parametrize("text", ["chr17:31463:A:T", "<img src=x onerror=alert(1)>", "rs\u202e12"])
def test_a_bad_spelling_says_at_the_field_what_is_wrong_and_keeps_it(small, text):
    small.allowed = {422}
    page = small.open()
    ask(small, text)
    field, told = page.get_by_label("Variant", exact=True), page.locator("#variant-error")
    expect(told).to_be_visible()
    answer = page.request.get(f"{small.address}v1/variants", params={"q": text}).json()
    assert told.inner_text().lower().startswith(answer["error"]["message"].lower())
    expect(field).to_have_attribute("aria-invalid", "true")
    assert "variant-error" in field.get_attribute("aria-describedby").split()
    expect(field).to_have_value(text)
    expect(field).to_be_focused()
    field.fill(SNV)
    expect(told).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31463:G:T")


def test_a_cell_type_without_calibration_is_said_to_be_none(tab):
    page = tab.open()
    page.get_by_label("Cell type").select_option("WTC11")
    ask(tab, SNV)
    expect(page.locator(".headline")).to_contain_text("cannot tell on WTC11")
    expect(page.locator(".headline")).to_contain_text("Why no call: measured variant effects")
    expect(page.locator(".headline")).to_contain_text("not calibrated")


def test_an_insertion_has_a_map_and_no_call(tab):
    page = tab.show("chr17:31325:G:GTGACTCAGC")
    expect(page.locator(".headline")).to_contain_text("cannot tell on K562")
    expect(page.locator(".headline")).to_contain_text("single-base changes, and this is none")
    expect(page.get_by_role("gridcell")).to_have_count(41 * 4)
    expect(page.locator(".map .own")).to_have_count(1)  # of the key alone


def names_of_models(tab: Visit) -> list[str]:
    return [model["name"] for model in tab.api("v1/models")["models"]]


def test_models_are_compared_side_by_side(tab):
    tab.show()
    head, *rows = tab.table("Models compared")
    models = names_of_models(tab)
    assert len(models) > 1
    for model in models:
        own = [[row[0], *row[2:]] for row in rows if row[1] == model]
        assert_table_is_the_answer(tab, own, model)
    assert [row[:2] for row in rows] == [
        [target, model] for target in ("K562", "HepG2", "WTC11") for model in models
    ]
    assert head[-1] == "calibrated"


def map_of(tab: Visit) -> dict:
    found = tab.api("v1/saturation", {"contig": "chr17", "start": 31443, "end": 31483})
    return found | found["targets"]["K562"]


def test_the_map_shows_values_to_a_pointer(tab):
    page, found = tab.show(), map_of(tab)
    cells = page.get_by_role("gridcell")
    expect(cells).to_have_count(41 * 4)
    for place, column in ((0, 0), (20, 2), (40, 3)):
        # row by row: all changes to A, then to C ...
        cells.nth(column * 41 + place).hover()
        value, base = found["effect"][place][column], found["sequence"][place]
        name = f"chr17:{31443 + place:,} {base} > {'ACGT'[column]}"
        said = page.locator(".reading")
        if base == "ACGT"[column]:
            expect(said).to_contain_text("base of the reference")
            expect(page.get_by_role("link", name="Open this change")).to_be_hidden()
        else:
            expected = signed(found["expected"][place][column])
            expect(said).to_contain_text(f"{name}: effect {signed(value)}, expected {expected}")
    page.get_by_role("link", name="Open this change").click()
    expect(page.get_by_role("heading", level=2)).to_have_text(re.compile("chr17:31483"))


def test_the_map_is_walked_by_arrows_and_a_cell_opened_by_enter(tab):
    page, found = tab.show(), map_of(tab)
    page.locator("[role=gridcell][tabindex='0']").focus()
    said = page.locator(".reading")
    expect(said).to_have_attribute("aria-live", "polite")
    expect(said).to_contain_text("chr17:31,463 G > T: effect")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    value = found["effect"][21][1]
    expect(said).to_contain_text(f"chr17:31,464 G > C: effect {signed(value)}")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == f"chr17:31,464 G > C: effect {signed(value)}"
    # One cell alone is in the tab order.
    assert page.locator("[role=gridcell][tabindex='0']").count() == 1
    for key, place in (("Home", 0), ("ArrowLeft", 0), ("End", 40), ("ArrowRight", 40)):
        page.keyboard.press(key)
        expect(said).to_contain_text(f"chr17:{31443 + place:,} ")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    base = found["sequence"][0]
    if base == "C":  # the reference's own base opens nothing
        expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31463:G:T")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31443:C:A")


def test_a_link_reopens_a_result_and_back_goes_back(tab):
    page = tab.show(model="mse", target="HepG2", span="21", assembly="GRCh37")
    expect(page.locator(".headline")).to_contain_text("on HepG2")
    expect(page.locator("#model")).to_have_value("mse")
    expect(page.get_by_role("gridcell")).to_have_count(21 * 4)
    shown = page.locator("#variant-result").inner_text()
    link = page.get_by_role("link", name="Link to this result").get_attribute("href")
    ask(tab, "chr17:31150:G:A")
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31150:G:A")
    page.go_back()
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31463:G:T")
    page.goto(tab.address + link)
    tab.whole()
    assert page.locator("#variant-result").inner_text() == shown
    assert "chr17:31463" in page.title()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"assembly": "GRCh38"},
            "This link is for GRCh38, but the reference of this server is GRCh37",
        ),
        ({"model": "gone"}, "This server has no model gone. It has {models}"),
        ({"target": "HeLa"}, "The model dh7 has no cell type HeLa"),
    ],
    ids=["assembly", "model", "target"],
)
def test_a_link_that_does_not_fit_this_server_says_so_and_scores_nothing(tab, more, said):
    page = tab.open(
        f"?variant={SNV}&" + "&".join(f"{name}={value}" for name, value in more.items())
    )
    said = said.format(models=", ".join(names_of_models(tab)))
    expect(page.get_by_role("alert").filter(has_text=said)).to_be_visible()
    expect(page.get_by_label("Variant", exact=True)).to_have_value(SNV)
    assert not [url for url in tab.requests if "/v1/score" in url or "/v1/variants" in url]


@pytest.mark.parametrize("path", ["v1/variants**", "v1/score", "v1/saturation"])
def test_a_lost_connection_is_said_and_can_be_tried_again(small, path):
    page = small.open()
    page.route(f"**/{path}", lambda route: route.abort())
    ask(small, SNV)
    expect(page.get_by_text("The server cannot be reached")).to_be_visible()
    expect(page.get_by_label("Variant", exact=True)).to_have_value(SNV)
    assert any("ERR_FAILED" in message for message in small.messages)
    small.messages.clear()
    page.unroute(f"**/{path}")
    page.get_by_role("button", name="Try again").click()
    small.whole()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (429, "asked for as much as it may in this minute. Try again in 7 s."),
        (503, "busy or restarting. Try again in 7 s."),
        (504, "did not finish in time. Try again in 7 s."),
        (502, "Something broke on the server. Try again in 7 s."),
    ],
)
def test_a_refusal_says_when_to_come_again(small, code, said):
    small.allowed = {code}
    page = small.open()
    page.route("**/v1/score", lambda route: route.fulfill(
        status=code, headers={"Retry-After": "7"}, body="<html>a proxy's</html>",
    ))  # fmt: skip
    ask(small, SNV)
    expect(page.get_by_role("alert").filter(has_text=said)).to_be_visible()


def test_the_keyboard_alone_leads_through_a_query(tab):
    page = tab.open()
    expect(page.get_by_role("button", name="Show the effect")).to_be_enabled()

    def tab_to(what: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            seen = page.evaluate(
                "(() => { const e = document.activeElement; const s = getComputedStyle(e);"
                " return [e.id || e.getAttribute('role') || e.textContent,"
                " s.outlineStyle !== 'none' || e.matches('.cell')]; })()"
            )
            assert seen[1], f"the focus on {seen[0]} cannot be seen"
            if seen[0] == what:
                return
        raise AssertionError(f"no way to {what}")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to("variant")
    page.keyboard.type("17-31463-G-T")
    tab_to("target")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Cell type")).to_have_value("HepG2")
    tab_to("Show the effect")
    page.keyboard.press("Enter")
    tab.whole()
    expect(page.locator(".headline")).to_contain_text("on HepG2")
    tab_to("gridcell")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".map .cursor").first).to_be_visible()
    page.keyboard.press("Enter")
    heading = page.get_by_role("heading", level=2)
    expect(heading).to_have_text("GRCh37:chr17:31463:G:C")
    expect(heading).to_be_focused()


def test_a_map_keeps_to_the_positions_that_the_server_allows(small):
    facts = small.api("page/facts.json") | {"max_region": 40}
    small.page.route("**/page/facts.json", lambda route: route.fulfill(json=facts))
    with small.page.expect_request("**/v1/saturation") as asked:
        small.show()
    region = asked.value.post_data_json
    # An even limit gave one position too many, and no map.
    assert region["end"] - region["start"] + 1 == 39
