"""The documentation site: its pages exist, say what there is, and ask no other host."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import typer
import yaml

import service.cli
import training.cli
import training.zoo
from training.assays import ASSAY_BY_NAME, INSERT, LENTI_FLANKS, Assay
from training.datasets.table import COLUMNS, load_table
from training.folder import read_provenance

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in DOCS.rglob("*.md")}
OWN = PAGES["own_mpra.md"]
APPS = {"varsigma": service.cli.app, "varsigma-train": training.cli.app}
COMMANDS = {program: typer.main.get_command(app).commands for program, app in APPS.items()}


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "_site/hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaves(entry: object) -> list[str]:
    """Pages of a part of mkdocs.yml's nav."""
    if isinstance(entry, str):
        return [entry]
    return [page for part in (entry.values() if isinstance(entry, dict) else entry)
            for page in leaves(part)]  # fmt: skip


def nav() -> list[str]:
    return leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])


def blocks(page: str, language: str, title: str | None = None) -> list[str]:
    named = f' title="{title}"' if title else ""
    return re.findall(rf"^```{language}{re.escape(named)}\n(.*?)^```", page, re.DOTALL | re.M)


# --- what there is -------------------------------------------------------------------------------


def test_every_page_of_the_nav_exists_and_every_page_is_in_it(hooks):
    made = hooks.made_pages()
    listed = nav()
    assert {page for page in made if page.startswith("commands/")} <= set(listed)
    assert set(listed) <= {*PAGES, *made}
    assert set(PAGES) <= set(listed)
    for page in hooks.model_pages():
        assert (ROOT / page).is_file(), page
    assert len(hooks.model_pages()) == 1 + len(list(ROOT.glob("models/*/card.json")))


@pytest.mark.parametrize("program", APPS)
def test_every_command_and_option_is_in_the_reference(hooks, program):
    page = hooks.command_page(program)
    assert COMMANDS[program]
    for name, command in COMMANDS[program].items():
        _, found, after = page.partition(f"## `{program} {name}`\n")
        assert found, name
        section = after.partition("\n## ")[0]
        assert (command.help or "").partition("\n\n")[0] in section
        for parameter in command.params:
            if not parameter.hidden and parameter.param_type_name == "option":
                assert parameter.opts[-1] in section, (name, parameter.opts)
    # The list of commands says all of what each is for.
    assert "...\n" not in page.partition("**Commands**")[2].partition("\n## ")[0]


def test_parts_of_readme_that_pages_take_are_there_once():
    readme = (ROOT / "README.md").read_text()
    taken = [
        (page, end)
        for page, text in PAGES.items()
        for block in re.findall(r"\{%\n(.*?)%\}", text, re.DOTALL)
        for end in re.findall(r'(?:start|end)="(.*?)"\n', block)
    ]
    assert len(taken) > 10
    for page, end in taken:
        assert readme.count(end.replace("\\n", "\n")) == 1, (page, end)


def test_modules_of_the_reference_exist_and_those_that_users_import_are_in_it():
    named = [name for page in PAGES.values() for name in re.findall(r"^::: ([\w.]+)$", page, re.M)]
    assert len(named) == len(set(named))
    for name in named:
        place = ROOT / name.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), name
    referred = {name for page in PAGES.values() for name in re.findall(r"\[([\w.]+)\]\[\]", page)}
    assert len(referred) > 10
    for name in referred:
        assert any(f"{name}.".startswith(f"{module}.") for module in named), name
    imported = {
        name
        for text in [(ROOT / "README.md").read_text(), *PAGES.values()]
        for name in re.findall(r"^(?:>>> )?from ((?:service|training)\.[\w.]+) import", text, re.M)
    }
    assert imported <= set(named)


def test_commands_on_the_pages_exist_with_their_options():
    lines = [
        shlex.split(line.removeprefix(".venv/bin/"), comments=True)
        for page in PAGES.values()
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if re.match(r"(\.venv/bin/)?varsigma(-train)? ", line)
    ]
    assert len(lines) > 5
    for program, name, *arguments in lines:
        known = {
            option
            for one in COMMANDS[program][name].params
            for option in (*one.opts, *one.secondary_opts)
        }
        used = {word for word in arguments if word.startswith("-") and word != "-"}
        assert used <= known, (name, used - known)


def test_extras_on_the_page_are_those_of_the_project():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGES["start.md"], re.M))
    assert listed == set(extras["optional-dependencies"]) - {"bench"}


def test_formulas_are_fenced_one_a_line_with_balanced_braces():
    formulas = [line for block in blocks(PAGES["method.md"], "math") for line in block.splitlines()]
    assert len(formulas) > 15
    for formula in formulas:
        assert formula.count("{") == formula.count("}"), formula


# --- one's own MPRA ------------------------------------------------------------------------------


def write_own_table(path: Path, n: int, seed: int = 0) -> None:
    """A table as the page wants it: n random inserts, three replicates, some of them missing."""
    rng = np.random.default_rng(seed)
    sequences = ["".join(row) for row in rng.choice(list("ACGT"), (n, INSERT))]
    activity = np.array([0.2 * sequence.count("GG") for sequence in sequences])
    rows = pd.DataFrame({"name": [f"oligo{i}" for i in range(n)], "sequence": sequences})
    for replicate in (1, 2, 3):
        rows[f"replicate{replicate}"] = activity + rng.normal(0, 0.2, n)
    rows["n_barcodes"] = rng.integers(5, 60, n)
    rows.loc[3, "replicate2"] = np.nan
    rows.to_csv(path, sep="\t", index=False)


def own_assay() -> Assay:
    [line] = blocks(OWN, "python", "training/assays.py")
    assay = eval(line.strip(), {"Assay": Assay, "LENTI_FLANKS": LENTI_FLANKS})
    return assay


def test_the_script_of_the_page_makes_a_table_that_training_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assay = own_assay()
    monkeypatch.setitem(ASSAY_BY_NAME, assay.name, assay)
    write_own_table(tmp_path / "mine.tsv", 80)
    [script] = blocks(OWN, "python", "build_table.py")
    exec(compile(script, "build_table.py", "exec"), {"__name__": "__main__"})
    table = load_table(tmp_path / "build/assays.parquet")
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 80
    assert set(table["fold"]) == set(range(10))
    assert table["n_replicates"].tolist() == [3] * 3 + [2] + [3] * 76
    assert table["variance_shrunk"].gt(0).all()
    [file] = read_provenance(tmp_path / "build/assays.parquet")
    assert file["assays"] == [assay.name]
    assert "80 sequences in 80 clusters" in capsys.readouterr().out


def test_the_recipes_of_the_page_are_some_that_the_zoo_would_take():
    namespace = dict(vars(training.zoo))
    [line] = blocks(OWN, "python", "training/zoo.py")
    inline = re.findall(r"`(Recipe\(.*?\))`", OWN)
    recipes = [eval(text.strip(), namespace) for text in [line, *inline]]
    assert [recipe.architecture.predicts_variance for recipe in recipes] == [True, False]
    for recipe in recipes:
        assert recipe.name not in training.zoo.ZOO
        assert recipe.name in OWN


@pytest.mark.slow
def test_the_steps_of_the_page_lead_from_a_table_to_scores(tmp_path):
    # As the page has it, in a checkout of its own, with fewer rows, epochs and seeds.
    for name in ("service", "training", "examples"):
        ignored = shutil.ignore_patterns("results", "reports", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    [assay] = blocks(OWN, "python", "training/assays.py")
    [recipe] = blocks(OWN, "python", "training/zoo.py")
    small = "Optim(cycles=(Cycle(1, 2e-3),), batch_size=64), seeds=(1, 2)"
    recipe = recipe.replace("Optim(batch_size=64), seeds=TRIO", small)
    assert small in recipe
    for path, before, line in (
        ("training/assays.py", "ASSAYS: tuple[Assay, ...] = (\n", assay),
        ("training/zoo.py", "ZOO = index(\n    [\n", recipe),
    ):
        text = (tmp_path / path).read_text()
        assert text.count(before) == 1
        (tmp_path / path).write_text(text.replace(before, f"{before}{line.strip()},\n"))
    write_own_table(tmp_path / "mine.tsv", 700)
    [script] = blocks(OWN, "python", "build_table.py")
    lines = [
        shlex.split(line.removeprefix(".venv/bin/"))
        for block in blocks(OWN, "sh")
        for line in block.splitlines()
        if "varsigma" in line
    ]
    assert [words[1] for words in lines] == ["train", "export", "evaluate", "background", "score"]
    # One process: what takes long is to import.
    driver = "\n".join([
        "import service.cli, training.cli",
        script,
        *(f"training.cli.app({words[1:]!r}, standalone_mode=False)" for words in lines[:-1]),
        f"assert service.cli.run({lines[-1][1:]!r}) == 0",
    ])  # fmt: skip
    (tmp_path / "steps.py").write_text(driver)
    done = subprocess.run(
        [sys.executable, "steps.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    card = (tmp_path / "build/models/lab.dh7/README.md").read_text()
    assert "Served targets are HEK293T;" in card
    assert "joint library" not in card
    assert "K562" not in card
    assert "VARSIGMA_HEK293T_EFFECT=" in (tmp_path / "build/mine.vcf").read_text()


# --- the built site ------------------------------------------------------------------------------


class Requests(HTMLParser):
    """What a browser fetches for a page by itself; a link that a reader may follow is none."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.styles: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        fetched = {"src", "srcset", "poster", "data", "action", "formaction"}
        self.urls += [value for name, value in given.items() if name in fetched]
        follows = tag == "a" or (
            tag == "link" and given.get("rel") in {"canonical", "next", "prev"}
        )
        if "href" in given and not follows:
            self.urls.append(given["href"])
        self.styles.append(given.get("style", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed: make docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_has_every_page(site, hooks):
    for page in {*nav(), *hooks.made_pages()}:
        built = page.replace("README.md", "index.md").removesuffix(".md") + ".html"
        assert (site / built).is_file(), page
    assert not (site / "_site").exists()
    method = (site / "method.html").read_text()
    assert method.count("<math") > 15
    assert "\\frac" not in method
    assert "MathJax" not in method
    # Examples of docstrings are code, not quotations.
    assert '<span class="gp">&gt;&gt;&gt; </span>' in (site / "reference/scoring.html").read_text()
    for page in (site / "reference").glob("*.html"):
        assert "<blockquote>" not in page.read_text(), page


@pytest.mark.slow
def test_the_site_asks_no_other_host_for_anything(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    styles = [path.read_text() for path in site.rglob("*.css")]
    for page in pages:
        text = page.read_text()
        parser = Requests()
        parser.feed(text)
        assert [url for url in parser.urls if urlsplit(url).netloc] == [], page
        styles += [*parser.styles, *re.findall(r"<style.*?</style>", text, re.DOTALL)]
        # The theme's script would fetch these from elsewhere: diagrams, and facts of a repository.
        assert 'class="mermaid"' not in text
        assert 'data-md-component="source"' not in text
    for style in styles:
        for url in re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s;]+)", style):
            assert not urlsplit(url).netloc, url
