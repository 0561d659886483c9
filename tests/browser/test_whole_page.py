"""What holds of every view: access, weight, colours, keys, servers that lack something."""

from contextlib import suppress

import pytest

from tests.browser.conftest import PREFIX
from tests.browser.visiting import SNV, Visit

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)
expect = sync_api.expect
pytestmark = pytest.mark.browser

FIRST_VIEW_BYTES, FIRST_VIEW_MS = 200_000, 1000
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
VIEWS = ["empty", "variant", "bad spelling", "file", "job"]


def assert_accessible(tab: Visit) -> None:
    """axe finds nothing serious or critical."""
    found = axe.Axe().run(tab.page, options=RULES).response
    assert len(found["passes"]) > 10
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"]])
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
    ]
    assert not serious


def open_view(tab: Visit, view: str, job: str) -> None:
    page = tab.page
    if view == "variant":
        tab.show(span="21")  # axe takes its time for each cell
        page.locator("[role=gridcell][tabindex='0']").focus()
        page.get_by_text("What made these numbers").click()
    elif view == "bad spelling":
        tab.allowed = {422}
        tab.open("?variant=nonsense")
        page.locator("#variant-error").wait_for()
    elif view == "job":
        tab.open(f"?job={job}")
        page.get_by_role("button", name="Sort into tiers").click()
        page.get_by_text("over this whole list").wait_for()
    else:
        tab.open("?view=file" if view == "file" else "")
        page.locator("#model option, #file-model option").first.wait_for(state="attached")


@pytest.fixture(scope="module")
def job(server, browser):
    """A finished job."""
    page = browser.new_page()
    content = HEAD + "".join(
        f"chr17\t{pos}\ta-long-name-of-a-variant-{pos}\tG\t{alt}\t.\t.\t.\n"
        for pos in (31463, 31150)
        for alt in "AT"
    )
    answer = page.request.post(f"{server}v1/jobs?format=tsv", data=content.encode())
    found = answer.json()["id"]
    page.goto(f"{server}?job={found}")
    page.get_by_role("region", name="Results").wait_for()
    page.close()
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_accessible_fits_a_narrow_screen_and_has_a_dark_side(
    visit, server, job, view
):
    tab = visit(server, viewport={"width": 360, "height": 740}, color_scheme="light")
    open_view(tab, view, job)
    tab.assert_fits()
    assert_accessible(tab)
    light = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.page.emulate_media(color_scheme="dark")
    dark = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 24, 28)")
    assert_accessible(tab)
    expect(tab.page.get_by_text("Research use only.").first).to_be_visible()
    # Tables that are wide scroll by themselves, and the keyboard can do it.
    wide = tab.page.locator(".scroll").evaluate_all(
        "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth)"
        ".map(box => box.tabIndex === 0 || box.querySelector('[tabindex=\"0\"]') !== null)"
    )
    assert all(wide)
    assert wide or view not in {"variant", "job"}


def test_the_first_view_is_small_and_fast(visit, server):
    times = []
    for _ in range(2):  # once more where others hold the machine up
        tab = visit(server)
        page = tab.open()
        expect(page.get_by_role("button", name="Show the effect")).to_be_enabled()
        found = page.evaluate("""() => {
          const [all, ...rest] = [performance.getEntriesByType("navigation")[0],
                                  ...performance.getEntriesByType("resource")];
          const bytes = [all, ...rest].reduce((sum, one) => sum + one.transferSize, 0);
          return {ms: all.loadEventEnd, bytes, n: 1 + rest.length};
        }""")
        assert 10 < found["n"] < 25
        assert 5000 < found["bytes"] < FIRST_VIEW_BYTES
        times.append(found["ms"])
        if 0 < times[-1] < FIRST_VIEW_MS:
            break
    assert min(times) < FIRST_VIEW_MS


def test_of_two_keys_the_last_one_counts(visit, keyed):
    address, key = keyed
    tab = visit(address)
    page = tab.open()
    field, use = page.get_by_label("API key"), page.get_by_role("button", name="Use this key")
    # Such a key could not be sent, and the server was said not to be reached.
    field.fill("a\u200bkey")
    use.click()
    expect(page.locator("#key-error")).to_contain_text("This is no key")
    held = []
    page.route("**/v1/models", lambda route: held.append(route) if not held else route.continue_())
    for text in ("wrong", key):
        field.fill(text)
        with page.expect_request("**/v1/models"):
            use.click()
    expect(page.locator("#model")).to_be_enabled()
    with suppress(sync_api.Error):  # nobody waits for it any more
        held[0].fulfill(status=401, json={"error": {"message": "the API key is unknown"}})
    page.wait_for_timeout(200)
    expect(page.locator("#key-error")).to_be_hidden()


def test_a_key_is_asked_for_used_and_forgotten(visit, keyed):
    address, key = keyed
    tab = visit(address)
    tab.allowed = {401}
    page = tab.open(f"?variant={SNV}&model=sum")
    field = page.get_by_label("API key")
    expect(field).to_be_visible()
    expect(page.get_by_label("Variant", exact=True)).to_have_value(SNV)
    assert not [url for url in tab.requests if "/v1/" in url]  # nothing is asked for in vain
    field.fill("wrong")
    field.press("Enter")
    expect(page.locator("#key-error")).to_contain_text("does not know this API key")
    field.fill(key)
    page.get_by_role("button", name="Use this key").click()
    tab.whole()
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31463:G:T")
    kept = page.evaluate(
        "[Object.values(sessionStorage), Object.values(localStorage), document.cookie]"
    )
    assert kept == [[key], [], ""]
    assert not [url for url in tab.requests if key in url]
    # A file of a job comes with the key too.
    job = page.request.post(
        f"{address}v1/jobs?format=tsv", headers={"X-API-Key": key},
        data=f"{HEAD}chr17\t31463\t.\tG\tT\t.\t.\t.\n".encode(),
    ).json()["id"]  # fmt: skip
    tab.open(f"?job={job}")
    with page.expect_download() as found:
        page.get_by_role("link", name="Download the result").click()
    told = page.request.get(f"{address}v1/jobs/{job}/result", headers={"X-API-Key": key})
    assert found.value.path().read_bytes() == told.body()
    page.get_by_role("button", name="Forget it").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate("Object.values(sessionStorage)") == []


def test_a_server_without_a_reference_says_what_does_not_work(visit, bare):
    page = visit(bare).open()
    expect(page.locator("#no-reference")).to_contain_text("no reference sequence loaded")
    for name in ("variant", "model", "target"):
        expect(page.locator(f"#{name}")).to_be_disabled()
    page.get_by_role("link", name="A VCF").click()
    expect(page.locator("#no-jobs")).to_contain_text(
        "no reference sequence loaded, so it takes no files"
    )
    expect(page.get_by_role("button", name="Upload and score")).to_be_disabled()


def test_behind_a_path_everything_is_found_and_files_may_be_refused(visit, prefixed):
    tab = visit(prefixed)
    page = tab.show()
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31463:G:T")
    assert all(PREFIX in url for url in tab.requests)
    page.get_by_role("link", name="A VCF").click()
    expect(page.locator("#no-jobs")).to_contain_text("starts it with --jobs FOLDER")
    expect(page.get_by_role("button", name="Upload and score")).to_be_disabled()
    assert page.url.startswith(prefixed)


def test_nothing_moves(visit, server):
    page = visit(server).open()
    page.locator("#model option").first.wait_for(state="attached")
    moving = page.evaluate("""[...document.querySelectorAll("*")].filter((one) => {
      const style = getComputedStyle(one);
      return style.transitionDuration !== "0s" || style.animationName !== "none";
    }).length""")
    assert moving == 0


def test_text_from_a_server_is_never_html(visit, prefixed):
    tab = visit(prefixed)
    page = tab.open()
    evil = "<img src=x onerror=document.title='broken'>"
    names = tab.api(f"v1/variants?q={SNV}") | {"notes": [evil], "identifier": evil}
    page.route("**/v1/variants**", lambda route: route.fulfill(json=names))
    page.get_by_label("Variant", exact=True).fill(SNV)
    page.get_by_label("Variant", exact=True).press("Enter")
    tab.whole()
    expect(page.locator("#variant-result dd").filter(has_text=evil)).to_be_visible()
    assert page.locator("#variant-result img").count() == 0
    assert page.title() != "broken"
