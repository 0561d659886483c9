"""Fixtures: a browser, one server for the session, and tabs that are looked over at their end."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from service.web.keys import add_key
from tests.browser.serving import behind, serving
from tests.browser.visiting import Visit

ROOT = Path(__file__).parents[2]
PREFIX = "/tools/varsigma/"
PATIENCE_MS = 30_000

# With the reference of `examples` and the models that are served.
Serve = Callable[..., Any]


def chromium() -> str | None:
    """Path of the machine's Chromium, None where there is none."""
    given = os.environ.get("CHROMIUM")
    names = [given] if given else ["chromium", "chromium-browser", "google-chrome"]
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine; CHROMIUM names one")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    sync_api.expect.set_options(timeout=PATIENCE_MS)
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a server with the reference of `examples`, which takes jobs."""
    folder = tmp_path_factory.mktemp("served")
    fasta = folder / "chr17.hg19.part.fa"
    shutil.copy(ROOT / "examples" / fasta.name, fasta)
    return {
        "reference": fasta, "assembly": "GRCh37", "device": "cpu", "threads": 1,
        "jobs": folder / "jobs",
    }  # fmt: skip


@pytest.fixture(scope="session")
def server(given: dict[str, Any]) -> Iterator[str]:
    """The server of most tests."""
    with serving(Settings(**given)) as address:
        yield address


@pytest.fixture(scope="session")
def prefixed(toy_models_dir: Path, given: dict[str, Any]) -> Iterator[str]:
    """A server behind a path, as proxies publish one."""
    settings = Settings(**given | {"models": toy_models_dir, "jobs": None})
    with serving(settings, behind(PREFIX)) as address:
        yield address.removesuffix("/") + PREFIX


@pytest.fixture(scope="session")
def keyed(
    toy_models_dir: Path, given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Address of a server that asks for a key, and the key."""
    folder = tmp_path_factory.mktemp("keys")
    key = add_key(folder / "keys.jsonl", "somebody", None)
    more = {"models": toy_models_dir, "keys": folder / "keys.jsonl", "jobs": folder / "jobs"}
    with serving(Settings(**given | more)) as address:
        yield address, key


@pytest.fixture(scope="session")
def bare(toy_models_dir: Path) -> Iterator[str]:
    """A server without a reference, and so without jobs."""
    with serving(Settings(models=toy_models_dir, device="cpu", threads=1)) as address:
        yield address


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Open a tab on a server; at the end it is looked over, see `Visit.assert_clean`."""
    visits = []

    def opened(address: str, **context: Any) -> Visit:
        size = {"viewport": {"width": 1280, "height": 900}}
        tab = browser.new_context(accept_downloads=True, **size | context).new_page()
        tab.set_default_timeout(PATIENCE_MS)
        visits.append(Visit(tab, address))
        return visits[-1]

    yield opened
    for one in visits:
        one.page.context.close()
    for one in visits:
        one.assert_clean()


@pytest.fixture
def tab(visit: Callable[..., Visit], server: str) -> Visit:
    """A tab on the server of most tests."""
    return visit(server)
