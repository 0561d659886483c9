"""A file in the browser: uploaded, followed, sorted, filtered, downloaded, reopened."""

import re
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tests.browser.visiting import Visit

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
pytestmark = pytest.mark.browser

VCF = Path(__file__).parents[2] / "examples/variants.vcf"
DROP = """(content) => {
  const data = new DataTransfer();
  data.items.add(new File([content], "dropped.vcf"));
  return data;
}"""


def upload(tab: Visit, kind: str = "tsv") -> str:
    """Upload the examples and wait for the results; returns the id of the job."""
    page = tab.open("?view=file")
    page.get_by_label("VCF, plain").set_input_files(VCF)
    page.get_by_label("Result as").select_option(kind)
    page.get_by_role("button", name="Upload and score").click()
    page.get_by_role("region", name="Results").wait_for()
    return re.search(r"\?job=([0-9a-f]{32})$", page.url)[1]


def column(tab: Visit, name: str) -> list[str]:
    head, *rows = tab.table("Results")
    place = next(n for n, text in enumerate(head) if text.rstrip(" ↑↓") == name)
    return [row[place] for row in rows]


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-").replace("<", ""))


def test_a_file_is_scored_sorted_filtered_and_downloaded(tab):
    job = upload(tab)
    page = tab.page
    expect(page.get_by_role("progressbar", name="Scoring")).to_have_attribute("value", "1")
    expect(page.get_by_text("16 of 26 ALTs scored")).to_be_visible()
    # Every ALT has its row, the ones without a score included, as the server's table has it.
    told = tab.page.request.get(f"{tab.address}v1/jobs/{job}/result").text()
    lines = [line.split("\t") for line in told.splitlines() if not line.startswith("#")]
    at = {name: place for place, name in enumerate(lines[0])}
    assert column(tab, "ID") == [line[at["id"]] for line in lines[1:]]
    assert column(tab, "status") == [
        "scored" if line[at["status"]] == "ok" else line[at["status"]].replace("_", " ")
        for line in lines[1:]
    ]
    # Whose interval nothing measured stands behind: changes of more than one base.
    assert [text.endswith("not calibrated") for text in column(tab, "90 % interval")] == [
        line[at["status"]] == "ok" and line[at["K562_calibrated"]] == "false" for line in lines[1:]
    ]
    # Sorted, both ways; what has no number comes last either way.
    for presses, is_down in ((1, False), (2, True)):
        page.get_by_role("button", name="effect", exact=True).click()
        header = page.get_by_role("columnheader", name="effect", exact=True)
        expect(header).to_have_attribute("aria-sort", "descending" if is_down else "ascending")
        texts = column(tab, "effect")
        values = [number(text) for text in texts if text != "\N{EN DASH}"]
        assert values == sorted(values, reverse=is_down), presses
        assert texts == [*texts[: len(values)], *["\N{EN DASH}"] * (26 - len(values))]
        assert len(values) == 16
    page.get_by_role("button", name="|effect|").press("Enter")
    assert column(tab, "ID")[0] == "ex06"
    assert page.evaluate("document.activeElement.dataset.column") == "size"
    # Filtered, by text, by size, by interval, by status.
    page.get_by_label("Text", exact=True).fill("31,460")
    expect(page.get_by_text("3 of 26 rows")).to_be_visible()
    assert set(column(tab, "ID")) == {"ex12"}
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("|effect| at least").fill("0.3")
    expect(page.get_by_text("2 of 26 rows")).to_be_visible()
    assert column(tab, "ID") == ["ex06", "ex12"]
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Interval").select_option("across")
    effects = [line for line in lines[1:] if line[at["K562_lower"]] != "."]
    across = sum(
        float(one[at["K562_lower"]]) <= 0 <= float(one[at["K562_upper"]]) for one in effects
    )
    expect(page.get_by_text(f"{across} of 26 rows")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Status", exact=True).select_option("not")
    expect(page.get_by_text("10 of 26 rows")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    page.locator("#by-target").select_option(label="WTC11 (not calibrated)")
    expect(
        page.get_by_text("Results on WTC11, 90 % intervals of the true effect, not calibrated")
    ).to_be_visible()
    # The files are those of the server.
    for name, part in (
        ("Download the result", "result"),
        ("Download what was not scored", "rejects"),
    ):
        with page.expect_download() as found:
            page.get_by_role("link", name=re.compile(name)).click()
        content = Path(found.value.path()).read_bytes()
        assert sha256(content).hexdigest() == tab.api(f"v1/jobs/{job}")[part]["sha256"]
        assert found.value.suggested_filename.startswith(f"varsigma-{job[:12]}.")


def test_a_link_reopens_a_job_and_a_row_opens_its_variant(tab):
    job = upload(tab, "vcf")
    shown = tab.table("Results")
    assert len(shown) == 27
    page = tab.open(f"?job={job}")
    page.get_by_role("region", name="Results").wait_for()
    assert tab.table("Results") == shown
    page.get_by_role("link", name="chr17:31,348 GG > G").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:31347:CG:C")
    page.go_back()
    expect(page.get_by_role("region", name="Results")).to_be_visible()


def test_both_formats_give_one_table(tab):
    upload(tab, "tsv")
    first = tab.table("Results")
    upload(tab, "vcf")
    assert tab.table("Results") == first


def test_a_list_is_sorted_into_tiers_at_one_error_rate(tab):
    upload(tab)
    page = tab.page
    page.get_by_role("button", name="Sort into tiers").click()
    expect(page.get_by_text("over this whole list")).to_be_visible()
    scored = [row for row in tab.table("Results")[1:] if row[-1] == "scored"]
    variants = []
    for row in scored:
        place, change = re.fullmatch(r"(\S+) (.*)", row[1]).groups()
        ref, alt = change.split(" > ")
        contig, pos = place.replace(",", "").split(":")
        variants.append({"contig": contig, "pos": int(pos), "ref": ref, "alt": alt, "id": row[2]})
    answer = tab.api("v1/triage", {"variants": variants, "target": "K562", "compare": True})
    assert [one["rank"] for one in answer["results"]] == list(range(1, 17))
    for row, one in zip(scored, answer["results"], strict=True):
        assert one["tier_name"] in row[3]
    page.get_by_label("Call", exact=True).select_option("cannot tell")
    expect(
        page.get_by_text(f"{answer['counts']['K562']['cannot_tell']} of 26 rows")
    ).to_be_visible()


def test_a_dropped_file_is_taken_and_its_job_deleted(tab):
    page = tab.open("?view=file")
    expect(page.get_by_role("button", name="Upload and score")).to_be_enabled()
    page.get_by_label("VCF, plain").set_input_files(VCF)
    content = VCF.read_text().replace("ex01", "dropped")
    data = page.evaluate_handle(DROP, content)
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    expect(page.locator("#file-help")).to_contain_text("dropped.vcf, 2.14 kB")
    # The file that was chosen before would count as chosen still, and could not be chosen again.
    assert page.locator("#file").evaluate("field => field.files.length") == 0
    page.get_by_role("button", name="Upload and score").click()
    page.get_by_role("region", name="Results").wait_for()
    assert column(tab, "ID")[0] == "dropped"
    job = page.url.rpartition("=")[2]
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete the job and its files").click()
    expect(page.get_by_text("The job and its files are deleted.")).to_be_visible()
    tab.allowed = {404}
    tab.open(f"?job={job}")
    expect(page.get_by_role("alert").filter(has_text="No such job")).to_be_visible()


def test_progress_is_shown_and_a_job_can_be_cancelled(tab):
    page = tab.open("?view=file")
    states = iter(["queued", "running", "running"])
    real = tab.api("v1/jobs")["jobs"]
    job = "0" * 32
    base = {
        "id": job, "created": "2026-03-01T12:00:00Z", "input": {"bytes": 10}, "error": None,
        "options": {"model": "dh7", "format": "tsv"}, "provenance": {"assembly": "GRCh37"},
    }  # fmt: skip
    asked = []

    def answer(route) -> None:
        if route.request.method == "DELETE":
            asked.append("DELETE")
            route.fulfill(status=204)
            return
        state = next(states, "running")
        progress = {
            "bytes_done": 30, "bytes": 0 if state == "queued" else 100, "alts": 3, "share": 0.3,
            "seconds_left": 200,
        }  # fmt: skip
        route.fulfill(json=base | {"state": state, "progress": progress})

    page.route(f"**/v1/jobs/{job}", answer)
    tab.open(f"?job={job}")
    bar = page.get_by_role("progressbar", name="Scoring")
    expect(page.get_by_text("Waiting for its turn")).to_be_visible()
    assert bar.get_attribute("value") is None
    expect(page.get_by_text("Scoring: 30 %, 3 ALTs, about 3 min left")).to_be_visible()
    expect(bar).to_have_attribute("value", "0.3")
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_text("The job is cancelled")).to_be_visible()
    assert asked == ["DELETE"]
    assert tab.api("v1/jobs")["jobs"] == real


@pytest.mark.parametrize(
    ("content", "said"),
    [("this is no VCF\n", "VCF"), ("", "empty"), (None, "Choose a file first.")],
    ids=["text", "empty", "none"],
)
def test_a_file_that_is_none_says_so_at_the_field(tab, tmp_path, content, said):
    tab.allowed = {400, 422}
    page = tab.open("?view=file")
    if content is not None:
        (tmp_path / "in.vcf").write_text(content)
        page.get_by_label("VCF, plain").set_input_files(tmp_path / "in.vcf")
    page.get_by_role("button", name="Upload and score").click()
    expect(page.locator("#file-error")).to_contain_text(said)
    expect(page.get_by_label("VCF, plain")).to_have_attribute("aria-invalid", "true")


def test_a_second_upload_takes_the_place_of_the_first(tab):
    page = tab.open("?view=file")
    page.route("**/v1/jobs?*", lambda route: None)  # no answer ever
    page.get_by_label("VCF, plain").set_input_files(VCF)
    for _ in range(2):
        with page.expect_request("**/v1/jobs?*"):
            page.get_by_role("button", name="Upload and score").click()
    # What the end of the first one said, and took away, was the second's.
    page.wait_for_timeout(200)
    expect(page.get_by_role("progressbar", name="Upload")).to_be_visible()
    expect(page.locator("#file-status")).not_to_contain_text("stopped")
    page.get_by_role("button", name="Stop the upload").click()
    expect(page.locator("#file-status")).to_contain_text("The upload was stopped")
    expect(page.get_by_role("progressbar", name="Upload")).to_have_count(0)


def test_who_goes_on_while_a_job_is_deleted_or_sorted_is_left_alone(tab):
    job = upload(tab)
    page = tab.page
    held = []
    page.route("**/v1/triage", lambda route: None)
    with page.expect_request("**/v1/triage"):
        page.get_by_role("button", name="Sort into tiers").click()
    page.route(
        f"**/v1/jobs/{job}",
        lambda route: held.append(route) if route.request.method == "DELETE" else route.continue_(),
    )
    page.on("dialog", lambda dialog: dialog.accept())
    with page.expect_request(lambda request: request.method == "DELETE"):
        page.get_by_role("button", name="Delete the job and its files").click()
    page.get_by_role("link", name="One variant").click()
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        held[0].continue_()
    page.wait_for_timeout(200)
    expect(page.get_by_role("heading", name="Effect of one variant")).to_be_visible()


def test_rows_without_a_place_do_not_upset_the_order_of_the_others(tab):
    job = upload(tab)
    head = "\t".join(["contig", "pos", "id", "ref", "alt", "status", "novelty", "novel_as"])
    places = ["100", ".", "50", ".", "75"]
    rows = [f"chr17\t{pos}\trow{n}\tA\tG\tmalformed\t.\t." for n, pos in enumerate(places)]
    text = "\n".join([head, *rows, ""])
    page = tab.page
    page.route(f"**/v1/jobs/{job}/result", lambda route: route.fulfill(body=text))
    tab.open(f"?job={job}")
    page.get_by_role("button", name="variant", exact=True).click()
    # A place that is no number compared as equal with any other.
    assert column(tab, "ID") == ["row2", "row4", "row0", "row1", "row3"]


@pytest.mark.parametrize("contig", ["chr17", "17", "NC_000017.10"])
def test_a_row_opens_its_own_variant_under_every_name_of_a_contig(tab, contig):
    # The next base is a C too: read as SPDI, whose positions are 0-based, the link showed that one.
    names = ["contig", "pos", "id", "ref", "alt", "status", "novelty", "novel_as"]
    text = "\t".join(names) + f"\n{contig}\t504\t.\tC\tT\tok\t.\t.\n"
    job = upload(tab)
    page = tab.page
    page.route(f"**/v1/jobs/{job}/result", lambda route: route.fulfill(body=text))
    tab.open(f"?job={job}")
    page.get_by_role("link", name=f"{contig}:504 C > T").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("GRCh37:chr17:504:C:T")


def test_sizes_are_rounded_before_their_unit_is_chosen(tab):
    page = tab.open()
    spelt = page.evaluate(
        "async (module) => [999, 1000, 2140, 999_999, 2.5e9].map((await import(module)).bytes)",
        f"{tab.address}page/words.js",
    )
    assert spelt == ["999 bytes", "1.00 kB", "2.14 kB", "1.00 MB", "2.50 GB"]


def test_fifty_thousand_rows_do_not_freeze_the_page(tab):
    job = upload(tab)
    body = tab.api(f"v1/jobs/{job}")
    fields = ["effect", "expected", "lower", "upper", "p_sign", "quantile"]
    known = ["contig", "pos", "id", "ref", "alt", "status", "novelty", "novel_as"]
    lines = ["# use=research use only", "\t".join([*known, *(f"K562_{name}" for name in fields)])]
    for n in range(50_000):
        effect = f"{(n * 7919 % 50_000) / 1e4:.4f}"
        cells = ["chr17", str(n + 1), f"made{n}", "A", "G", "ok", "0.5", ".", effect, effect]
        lines.append("\t".join([*cells, "-0.5", "0.5", "0.6", "0.1"]))
    text = "\n".join([*lines, ""])
    page = tab.page
    page.route(
        f"**/v1/jobs/{job}/result",
        lambda route: route.fulfill(body=text, content_type="text/plain"),
    )
    page.route(f"**/v1/jobs/{job}", lambda route: route.fulfill(json=body))
    tab.open(f"?job={job}")
    expect(page.get_by_text("50,000 rows", exact=True)).to_be_visible()
    assert len(tab.table("Results")) == 51
    page.evaluate("""() => {
      window.longest = 0;
      new PerformanceObserver((list) => {
        const times = list.getEntries().map((one) => one.duration);
        window.longest = Math.max(window.longest, ...times);
      }).observe({ type: "longtask" });
    }""")
    began = time.monotonic()
    page.get_by_role("button", name="|effect|").click()
    assert column(tab, "effect")[0] == "+5.00"
    page.get_by_label("Text", exact=True).fill("made4999")
    expect(page.get_by_text("11 of 50,000 rows")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("button", name="Last").click()
    expect(page.get_by_text("rows 49,951 to 50,000 of 50,000")).to_be_visible()
    assert time.monotonic() - began < 8
    assert page.evaluate("window.longest") < 1000  # ms, on a machine that others share
