"""What the site is given while it is built: command pages, model cards, the tutorial, formulas.

MkDocs calls the functions named `on_...`; mkdocs.yml names this file.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.cli import get_docs_for_click

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
COMMANDS = {"varsigma": "service.cli", "varsigma-train": "training.cli"}
"""{program: module of its typer app}."""
TUTORIAL = "tutorial.md"
"""The page that `tutorial.ipynb` becomes."""


def command_page(program: str) -> str:
    """Markdown of a program: usage, arguments and options of each command, as `--help` has them."""
    command = typer.main.get_command(import_module(COMMANDS[program]).app)
    assert isinstance(command, typer.core.TyperGroup)  # both programs have several commands
    groups = [command]
    for group in groups:
        for one in group.commands.values():
            # The list of commands would cut what they are for after 45 characters.
            one.short_help = (one.help or "").partition("\n\n")[0]
            if isinstance(one, typer.core.TyperGroup):
                groups.append(one)
    context = typer.Context(command, info_name=program)
    return get_docs_for_click(obj=command, ctx=context, name=program)


def model_pages() -> list[str]:
    """Pages of the models: `models/README.md` and the card of each, by their paths from here."""
    cards = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("models/*/README.md"))
    return ["models/README.md", *cards]


def made_pages() -> list[str]:
    """Sources of all pages that are not files of docs/."""
    return [*(f"commands/{program}.md" for program in COMMANDS), *model_pages(), TUTORIAL]


def tutorial() -> tuple[str, dict[str, bytes]]:
    """Markdown of the notebook, run now, and its pictures by their names."""
    import nbformat  # noqa: PLC0415  (tests read this file without it)
    from nbconvert import MarkdownExporter  # noqa: PLC0415  (as above)
    from nbconvert.preprocessors import ExecutePreprocessor  # noqa: PLC0415  (as above)

    path = ROOT / "docs/tutorial.ipynb"
    notebook = nbformat.read(path, 4)
    run = ExecutePreprocessor(timeout=600, coalesce_streams=True)
    run.preprocess(notebook, {"metadata": {"path": str(path.parent)}})
    names = {"unique_key": "tutorial", "output_files_dir": "tutorial_files"}
    text, made = MarkdownExporter().from_notebook_node(notebook, names)
    alts = iter([cell.metadata["alt"] for cell in notebook.cells if "alt" in cell.metadata])
    text = re.sub(r"!\[png\]", lambda _: f"![{next(alts)}]", text)
    title, rest = text.strip().split("\n", 1)
    link = "A [notebook](tutorial.ipynb), and what it printed when this page was built."
    return f"{title}\n\n{link}\n{rest}\n", made["outputs"]


def math(source: str, *_: object, **__: object) -> str:
    """A fenced block `math` as MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert  # noqa: PLC0415  (tests read this file without it)

    formulas = (convert(line, display="block") for line in source.splitlines() if line.strip())
    return f'<div class="formulas">{"".join(formulas)}</div>'


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the fence of formulas, and the cards to the navigation."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {})
    fences["custom_fences"] = [{"name": "math", "class": "formulas", "format": math}]
    entries: list[dict[str, Any]] = config.nav or []
    [models] = [entry["Models"] for entry in entries if "Models" in entry]
    models.extend({Path(page).parent.name: page} for page in model_pages()[1:])
    return config


def readme_places() -> dict[str, str]:
    """Where the headings of README are on the site, by their anchors: `triage` -> `triage.md`."""
    from markdown.extensions.toc import slugify  # noqa: PLC0415  (as above)

    pages = {path.name: path.read_text() for path in ROOT.glob("docs/*.md")}
    page_of = {
        title: name
        for name, text in pages.items()
        for title in re.findall(r'start="\\n## (.*?)\\n"', text)
    }
    places: dict[str, str] = {}
    page = None
    for level, title in re.findall(r"^(##+) (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE):
        page = page_of.get(title) if level == "##" else page
        if page is not None:
            anchor = slugify(title, "-")
            is_title = level == "##" and f"\n## {title}\n" not in pages[page]
            places[anchor] = page if is_title else f"{page}#{anchor}"
    return places


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Turn links of README into links from here: into docs/, and to headings of other pages."""
    markdown = markdown.replace("](docs/", "](")
    for anchor, place in readme_places().items():
        if place.partition("#")[0] != page.file.src_uri:
            markdown = markdown.replace(f"](#{anchor})", f"]({place})")
    return markdown


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are not files of docs/."""
    from mkdocs.structure.files import File  # noqa: PLC0415  (as above)

    for program in COMMANDS:
        content = command_page(program)
        files.append(File.generated(config, f"commands/{program}.md", content=content))
    for page in model_pages():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / page)))
    page, pictures = tutorial()
    files.append(File.generated(config, TUTORIAL, content=page))
    for name, picture in pictures.items():
        files.append(File.generated(config, name, content=picture))
    return files
