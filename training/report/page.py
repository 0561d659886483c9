"""Puts the report together: figures as files, and one page that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from training.report.campaign import Campaign
from training.report.claims import Claim, claims_of
from training.report.drawing import Plate
from training.report.figures_family import BY_FAMILY, NOISE
from training.report.figures_methods import METHODS_PLATE
from training.report.figures_ranked import BY_CONFIDENCE, BY_ELEMENT
from training.report.figures_scatter import GAP, TEST_AGAINST_CAGI5
from training.report.figures_summary import INJECTION, SUMMARY
from training.report.statements import STATEMENTS, injected, not_here, setting
from training.report.style import inline, style, to_png, to_svg
from training.report.tables import tables_of
from training.report.verdict import verdict

PLATES = (
    TEST_AGAINST_CAGI5,
    BY_CONFIDENCE,
    NOISE,
    BY_FAMILY,
    BY_ELEMENT,
    GAP,
    METHODS_PLATE,
    SUMMARY,
    INJECTION,
)
"""The study's eight figures, and the injection curves that it has no counterpart of."""

SUITES = ("main", "baseline", "seeds", "forms", "injection")


@dataclass(frozen=True)
class Answer:
    """A published claim with what our runs say of it."""

    claim: Claim
    here: str


@dataclass(frozen=True)
class Section:
    """One figure of the page: its panels as SVG, its caption, and the claims it answers."""

    plate: Plate
    panels: tuple[Markup, ...]
    caption: str
    answers: tuple[Answer, ...]
    finding: str


def write(records: Path, out: Path) -> Path:
    """Draw the figures and write the page of one preset.

    Args:
      records: folder with `metrics.tsv` and `analysis.json`.
      out: gets `index.html` and `figures/`.

    Returns:
      The page.

    Raises:
      DataError: the campaign has not been analysed.
    """
    campaign = Campaign.read(records)
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    sections = []
    for plate in PLATES:
        with style(**plate.rc):
            sheet = plate.figure(campaign)
            (figures / f"{plate.stem}.png").write_bytes(to_png(sheet))
            (figures / f"{plate.stem}.svg").write_text(to_svg(sheet), encoding="utf-8")
            sections.append(_section(plate, campaign))
    page = out / "index.html"
    page.write_text(_render(campaign, sections), encoding="utf-8")
    return page


def answers_of(figure: int, campaign: Campaign) -> tuple[Answer, ...]:
    """Claims beside one figure, each with our sentence."""
    return tuple(Answer(claim, STATEMENTS[claim.key](campaign)) for claim in claims_of(figure))


def _section(plate: Plate, campaign: Campaign) -> Section:
    alt = plate.alt(campaign)
    panels = []
    for place, panel in enumerate(plate.panels):
        svg = to_svg(panel.figure(campaign))
        label = escape(f"{plate.title}, {panel.slug.replace('_', ' ')}. {alt}")
        # The numbers in it are ours and every text is escaped by matplotlib.
        prefix = f"f{plate.number}-{place}"
        panels.append(Markup(inline(svg, prefix=prefix, label=label)))
    answers = answers_of(plate.number, campaign)
    finding = injected(campaign) if plate is INJECTION else ""
    return Section(plate, tuple(panels), plate.caption(campaign), answers, finding)


def _render(campaign: Campaign, sections: list[Section]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2").render(
        campaign=campaign,
        verdict=verdict(campaign),
        setting=setting(campaign),
        not_here=not_here(campaign),
        answers=answers_of(0, campaign),
        sections=sections,
        tables=tables_of(campaign),
        counts={suite: campaign.count(suite) for suite in SUITES},
    )
