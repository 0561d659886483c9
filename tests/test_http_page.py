"""docs/http.md: its commands run against a live service and print what the page says."""

import json
import math
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings
from service.web import docs, metrics
from tests.lean_client import ROOT, Served, served

PAGE = (ROOT / "docs/http.md").read_text()
ADDRESS = "localhost:8000"
NOT_IN_OPENAPI = {("GET", metrics.PATH), ("GET", docs.PATH), ("GET", "/openapi.json")}


@dataclass(frozen=True)
class Example:
    """Commands of the page and what it says that they print, if it does."""

    commands: str
    kind: str
    printed: str

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Method and path of each request."""
        return [called(words) for words in re.split(r"\bcurl ", self.commands)[1:]]


def called(words: str) -> tuple[str, str]:
    """Method and path of the arguments of one curl."""
    [path] = re.findall(rf"{ADDRESS}(/[^\s'\"?]*)", words)
    stated = re.search(r"-X (\w+)", words)
    if stated:
        return stated[1], path
    return "POST" if re.search(r" (-d|--data-binary) ", words) else "GET", path


def examples() -> list[Example]:
    found = re.findall(
        r"^```sh\n(.*?)^```\n(?:\n```(json|text)\n(.*?)^```\n)?", PAGE, re.DOTALL | re.MULTILINE
    )
    return [Example(*parts) for parts in found if "curl " in parts[0]]


EXAMPLES = examples()


@pytest.fixture(scope="module")
def routes(toy_models_dir) -> set[tuple[str, str]]:
    app = create_app(Settings(models=toy_models_dir, device="cpu", threads=1))
    paths = app.openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("--device", "cpu") as server:
        yield server


def documents(text: str) -> list[Any]:
    """JSON values, one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def assert_shows(shown: Any, actual: Any, where: str = "answer") -> None:
    """Check that what is shown is there: keys may be left out, numbers are rounded."""
    if isinstance(shown, dict):
        assert isinstance(actual, dict), where
        for key, value in shown.items():
            assert key in actual, f"{where} has no {key}"
            assert_shows(value, actual[key], f"{where}.{key}")
    elif isinstance(shown, list):
        assert isinstance(actual, list), where
        assert len(shown) == len(actual), where
        for place, (one, other) in enumerate(zip(shown, actual, strict=True)):
            assert_shows(one, other, f"{where}[{place}]")
    elif isinstance(shown, float):
        assert math.isclose(shown, actual, abs_tol=6e-4), f"{where}: {shown} is {actual}"
    else:
        assert shown == actual, where


def run(example: Example, server: Served, folder: Path) -> str:
    (folder / "examples").symlink_to(ROOT / "examples")
    commands = example.commands.replace(ADDRESS, f"127.0.0.1:{server.port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: "+".join(
    path for _, path in example.calls))  # fmt: skip
def test_a_command_prints_what_the_page_says(example, server, tmp_path):
    printed = run(example, server, tmp_path)
    assert example.printed, "the page says nothing of what it prints"
    if example.kind == "json":
        assert_shows(documents(example.printed), documents(printed))
    else:
        lines = printed.splitlines()
        for shown in example.printed.splitlines():
            assert any(line.startswith(shown) for line in lines), (shown, printed)


def test_every_route_is_on_the_page_and_every_call_is_of_one(routes):
    called = {call for example in EXAMPLES for call in example.calls}
    known = set()
    for method, path in routes | NOT_IN_OPENAPI:
        pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
        matching = {(m, p) for m, p in called if m == method and pattern.fullmatch(p)}
        assert matching, (method, path)
        known |= matching
    assert called - known == set()


def test_the_page_begins_with_the_service_that_it_speaks_to():
    [line] = re.findall(r"^varsigma serve (.*)$", PAGE, re.MULTILINE)
    given = dict(zip(*[iter(line.split())] * 2, strict=True))
    assert (ROOT / given["--reference"]).is_file()
    assert given["--port"] == ADDRESS.partition(":")[2]


def test_links_of_the_page_exist():
    for name in re.findall(r"`((?:service|examples|docs)/[\w./]+)`", PAGE):
        assert (ROOT / name).exists(), name
