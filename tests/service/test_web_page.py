"""The page for people as the server sends it: complete, cached, bounded, in need of no other host.

What it does in a browser is tested in `tests/browser`.
"""

import fnmatch
import gzip
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.web import page
from service.web.keys import add_key

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "service/page"
NAMES = sorted(path.name for path in FOLDER.iterdir())
PATHS = ["/", *(f"/page/{name}" for name in NAMES)]
FIRST_VIEW = 200_000  # bytes
STRICT = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'",
    "img-src": "'self' data:", "connect-src": "'self'", "base-uri": "'none'",
    "form-action": "'self'", "frame-ancestors": "'none'",
}  # fmt: skip


@pytest.fixture(scope="module")
def client(toy_models_dir, tmp_path_factory) -> Iterator[TestClient]:
    """A server with keys, without a reference and without jobs."""
    keys = tmp_path_factory.mktemp("page") / "keys.jsonl"
    add_key(keys, "somebody", None)
    settings = Settings(models=toy_models_dir, threads=1, device="cpu", keys=keys)
    with TestClient(create_app(settings)) as opened:
        yield opened


@pytest.mark.parametrize("path", PATHS)
def test_every_file_comes_without_a_key_and_with_a_strict_policy(client, path):
    response = client.get(path)
    assert response.status_code == 200
    name = path.rpartition("/")[2] or "index.html"
    assert response.content == (FOLDER / name).read_bytes()
    headers = response.headers
    kind = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg"}
    assert headers["content-type"].startswith(kind[Path(name).suffix])
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy == STRICT
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"


def test_a_file_that_a_browser_has_is_not_sent_again(client):
    for coding in ("gzip", "identity"):
        first = client.get("/page/app.js", headers={"accept-encoding": coding})
        given = {"accept-encoding": coding, "if-none-match": f'"other", W/{first.headers["etag"]}'}
        again = client.get("/page/app.js", headers=given)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["content-security-policy"] == page.POLICY
        changed = client.get("/page/app.js", headers=given | {"if-none-match": '"other"'})
        assert changed.status_code == 200


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip, br", True),
        ("br;q=1, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("br", False),
        ("", False),
    ],
)
def test_gzip_where_it_is_accepted_alone(client, accepted, is_packed):
    with client.stream("GET", "/page/page.css", headers={"accept-encoding": accepted}) as response:
        raw = b"".join(response.iter_raw())
    assert ("content-encoding" in response.headers) == is_packed
    assert (gzip.decompress(raw) if is_packed else raw) == (FOLDER / "page.css").read_bytes()
    assert response.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path", ["/page/none.js", "/page/", "/page/../app.py", "/page/%2e%2e/app.py"]
)
def test_no_other_file_is_sent(client, path):
    key = {"x-api-key": "nobody's"}
    assert client.get(path, headers=key).status_code in {401, 404}


def test_an_unknown_file_is_an_error_like_any_other(toy_models_dir):
    settings = Settings(models=toy_models_dir, threads=1, device="cpu")
    with TestClient(create_app(settings)) as opened:
        response = opened.get("/page/none.js")
        assert response.status_code == 404
        assert response.json()["error"]["type"] == "not_found"
        assert opened.head("/").status_code == 200
        assert opened.post("/").status_code == 405


def test_facts_say_what_works_here(client, toy_models_dir, tiny_fasta, tmp_path):
    told = client.get("/page/facts.json").json()
    assert (told["needs_key"], told["takes_jobs"], told["reference"]) == (True, False, None)
    settings = Settings(
        models=toy_models_dir, threads=1, device="cpu", reference=tiny_fasta,
        jobs=tmp_path / "jobs", error_rate=0.1, coverage=0.8, max_region=11,
    )  # fmt: skip
    with TestClient(create_app(settings)) as opened:
        told = opened.get("/page/facts.json").json()
    assert (told["needs_key"], told["takes_jobs"], told["reference"]) == (False, True, "tiny.fa")
    assert (told["error_rate"], told["coverage"], told["max_region"]) == (0.1, 0.8, 11)


def test_the_page_is_no_part_of_the_interface_for_programs(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/page")]


def test_the_first_view_is_small_even_without_gzip():
    assert sum((FOLDER / name).stat().st_size for name in NAMES) < FIRST_VIEW


def test_addresses_are_relative_and_of_this_server_alone():
    # A path before them, such as of a proxy, must not break one.
    html = (FOLDER / "index.html").read_text()
    for link in re.findall(r'(?:href|src|action)="([^"]*)"', html):
        assert not re.match(r"/|[a-z]+:", link), link
        if link.startswith("page/"):
            assert link.removeprefix("page/") in NAMES, link
    for name in NAMES:
        text = (FOLDER / name).read_text()
        hosts = set(re.findall(r"https?://[^\"'\s]*", text))
        assert hosts <= {"http://www.w3.org/2000/svg"}, name
        assert not re.search(r"""["'`]/(?:v1|page|docs)""", text), name


def test_every_module_is_loaded_at_once_and_none_is_left_over():
    html = (FOLDER / "index.html").read_text()
    loaded = set(
        re.findall(r'(?:modulepreload" href|script type="module" src)="page/(\w+\.js)"', html)
    )
    modules = {name for name in NAMES if name.endswith(".js")}
    imported = {
        found
        for name in modules
        for found in re.findall(r'from "\./(\w+\.js)"', (FOLDER / name).read_text())
    }
    assert loaded == modules
    assert imported | {"app.js"} == modules


def test_nothing_from_outside_can_become_html_or_script():
    for name in NAMES:
        text = (FOLDER / name).read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
            r"|DOMParser|createContextualFragment|srcdoc|setHTML",
            text,
        ), name
    html = (FOLDER / "index.html").read_text()
    assert not re.search(r'<style|\sstyle="|\son\w+="|javascript:', html)
    assert not re.search(r"<script(?![^>]*\ssrc=)", html)
    assert not re.search(
        r"""setAttribute\(\s*["'](?:style|on)|\bstyle:""",
        "".join((FOLDER / name).read_text() for name in NAMES if name.endswith(".js")),
    )


def test_research_use_only_stands_on_the_page_before_any_script_runs():
    html = (FOLDER / "index.html").read_text()
    assert html.count("esearch use only") >= 3
    assert not re.search(
        r"\b(?:pathogenic|benign)\b", "".join((FOLDER / name).read_text().lower() for name in NAMES)
    )


def test_the_wheel_takes_the_files_along():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = project["targets"]["wheel"]["include"]
    assert all(
        any(fnmatch.fnmatch(f"/service/page/{name}", pattern) for pattern in included)
        for name in NAMES
    )
    assert page.page_files().keys() == set(NAMES)


def test_facts_are_all_that_is_told_without_a_key(client):
    assert client.get("/v1/models").status_code == 401
    told = json.dumps(client.get("/page/facts.json").json())
    assert "/" not in told  # no path of the machine
