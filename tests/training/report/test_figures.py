"""Figures: legible, the same baseline everywhere, the same bytes twice, whole with gaps."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats

from tests.training.report.synthetic import Plan, write_campaign
from training.datasets.sources import DataError
from training.report.campaign import Campaign, Mean, challenge
from training.report.drawing import Panel, baseline_band, spread, swarm
from training.report.figures_family import BY_FAMILY
from training.report.figures_ranked import best_arms, by_class
from training.report.figures_scatter import GAP, TEST_AGAINST_CAGI5
from training.report.figures_summary import INJECTION, SUMMARY, fixed_model
from training.report.page import PLATES
from training.report.style import FAMILIES, inline, look_of, style, to_png, to_svg

pytestmark = pytest.mark.slow

PANELS = [
    pytest.param(plate, panel, id=f"{plate.number}-{panel.slug}")
    for plate in PLATES
    for panel in plate.panels
]


def drawn(panel: Panel, campaign: Campaign, rc: dict | None = None) -> Figure:
    with style(**(rc or {})):
        figure = panel.figure(campaign)
        FigureCanvasAgg(figure).draw()
    return figure


@pytest.mark.parametrize(("plate", "panel"), PANELS)
def test_no_two_texts_overlap_and_none_is_cut_off(plate, panel, campaign: Campaign) -> None:
    figure = drawn(panel, campaign)
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and text.axes is not None
    ]
    # Tick labels beyond the limits are kept by matplotlib and never drawn.
    boxes = {text: text.get_window_extent() for text in texts if text.get_window_extent().width > 1}
    whole = figure.bbox.padded(1)
    hidden = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not _within(tick.get_loc(), axis.get_view_interval())
    }
    boxes = {text: box for text, box in boxes.items() if text not in hidden}
    for text, box in boxes.items():
        assert whole.containsx(box.x0), text
        assert whole.containsx(box.x1), text
        assert whole.containsy(box.y0), text
        assert whole.containsy(box.y1), text
    for (one, first), (other, second) in combinations(boxes.items(), 2):
        assert not first.padded(-1.5).overlaps(second.padded(-1.5)), (one, other)


def _within(place: float, limits: np.ndarray) -> bool:
    low, high = sorted(limits)
    return low <= place <= high


@pytest.mark.parametrize("plate", [TEST_AGAINST_CAGI5, GAP, BY_FAMILY, SUMMARY])
def test_every_panel_has_the_same_baseline(plate, campaign: Campaign) -> None:
    """The published figures drew three different ones."""
    arm = campaign.baseline
    assert arm is not None
    wanted = {round(arm.means[challenge(s)].value, 5) for s in ("spearman", "pearson")}
    with style():
        sheet = plate.figure(campaign)
    lines = {
        round(float(value), 5)
        for axes in sheet.findobj(lambda artist: hasattr(artist, "get_lines"))
        for line in axes.get_lines()
        if line.get_linestyle() == "--"
        for value in (line.get_ydata()[0], line.get_xdata()[0])
    }
    found = lines & wanted
    assert found == wanted if plate is not SUMMARY else len(found) == 1


def test_band_is_a_prediction_interval(campaign: Campaign) -> None:
    band = baseline_band(campaign, challenge("spearman"))
    values = campaign.values(challenge("spearman"), arm="mse")
    assert band is not None
    assert band.n == len(values) == 5
    low, high = stats.t.interval(
        0.95, 4, loc=values.mean(), scale=values.std(ddof=1) * np.sqrt(1.2)
    )
    assert (band.low, band.high) == pytest.approx((low, high))


def test_two_seeds_make_no_band(tmp_path: Path) -> None:
    campaign = Campaign.read(write_campaign(tmp_path, Plan(finished=0.0, seeds=(42, 123))))
    band = baseline_band(campaign, challenge("spearman"))
    assert band is not None
    assert np.isnan([band.low, band.high]).all()


@pytest.mark.parametrize(("plate", "panel"), PANELS[::5])
def test_drawn_twice_is_the_same_to_the_byte(plate, panel, campaign: Campaign) -> None:
    with style(**plate.rc):
        first, second = (panel.figure(campaign) for _ in range(2))
        assert to_svg(first) == to_svg(second)
        assert to_png(first) == to_png(second)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(finished=0.0, seeds=(42,)),
        Plan(finished=0.3, has_baseline=False),
    ],
    ids=["one run", "no baseline"],
)
def test_unfinished_campaigns_are_drawn(tmp_path: Path, plan: Plan) -> None:
    campaign = Campaign.read(write_campaign(tmp_path, plan))
    for plate in PLATES:
        assert plate.caption(campaign)
        assert plate.alt(campaign)
        for panel in plate.panels:
            drawn(panel, campaign)


def test_undefined_numbers_leave_a_gap(tmp_path: Path) -> None:
    """A network that predicts a constant has no correlation: an empty cell and null."""
    folder = write_campaign(tmp_path, Plan(finished=0.2))
    path = folder / "analysis.json"
    document = json.loads(path.read_text())
    for arm in document["arms"]:
        for row in (*arm["means"], *arm["differences"]):
            if (row["metric"], row["element"]) in {("spearman", "HBB"), ("r_noise", "mean")}:
                row.update(dict.fromkeys(set(row) - {"split", "metric", "element"}))
    path.write_text(json.dumps(document))
    campaign = Campaign.read(folder)
    for plate in PLATES:
        for panel in plate.panels:
            drawn(panel, campaign)


def test_each_run_counts_once(campaign: Campaign) -> None:
    assert campaign.published_as("NG8") is campaign.published_as("ABL4") is not None
    assert campaign.runs["run"].is_unique
    families = [campaign.values(challenge("spearman"), family=f) for f in campaign.families]
    assert sum(map(len, families)) == campaign.count("main").finished


def test_baseline_heads_every_ranking(campaign: Campaign) -> None:
    arms = best_arms(campaign, "spearman", 10)
    means = [arm.means[challenge("spearman")].value for arm in arms]
    assert arms[0] is campaign.baseline
    assert means[1:] == sorted(means[1:], reverse=True)
    assert len(arms) == 11


def test_fixed_model_is_not_our_best(campaign: Campaign) -> None:
    arm = fixed_model(campaign)
    assert arm is not None
    assert "DH7" in arm.aliases
    assert arm is not campaign.ranked(challenge("spearman"))[0]


def test_no_other_model_takes_the_place_of_the_fixed_one(tmp_path: Path) -> None:
    # The caption names DH7; before it had finished, another arm was drawn under that name.
    assert fixed_model(Campaign.read(write_campaign(tmp_path, Plan(finished=0.2)))) is None


def test_what_has_not_finished_is_named_and_takes_no_page(tmp_path: Path) -> None:
    # "No finished run yet" stood where one model was missing, on a page that was otherwise blank.
    early = Campaign.read(write_campaign(tmp_path, Plan(finished=0.2)))
    (fixed,) = (panel for panel in SUMMARY.panels if panel.slug == "fixed_model")
    assert [text.get_text() for text in drawn(fixed, early).axes[0].texts] == [
        "DH7 has not finished"
    ]
    rows = [row for row in early.analysis["injection"] if not row["level"]]
    clean = replace(early, analysis={**early.analysis, "injection": rows})
    assert all(panel.height_of(clean) < 1 for panel in INJECTION.panels)
    assert all(panel.height_of(early) > 4 for panel in INJECTION.panels)


def test_a_further_form_under_noise_is_told_from_its_representative(campaign: Campaign) -> None:
    rows = campaign.analysis["injection"]
    more = [row | {"arm": "dh7.log"} for row in rows if row["arm"] == "dh7"]
    both = replace(campaign, analysis={**campaign.analysis, "injection": [*rows, *more]})
    lines = drawn(INJECTION.panels[0], both).axes[0].get_lines()
    curves = [line for line in lines if line.get_marker() not in ("None", None, "")]
    assert [line.get_linestyle() for line in curves].count(":") == 1
    assert len(curves) == 9


def test_classes_of_near_values_have_names_apart(campaign: Campaign) -> None:
    means = dict(campaign.baseline.means)
    for suffix, value in {"": 0.36, "_high": 0.365, "_low": 0.362}.items():
        means[challenge(f"spearman{suffix}")] = Mean(value, 0.01, value - 0.04, value + 0.04)
    close = replace(campaign, arms=(replace(campaign.baseline, means=means),))
    panel = by_class("spearman", 10, height=5.0)
    figure = drawn(panel, close)
    boxes = [
        text.get_window_extent()
        for text in figure.findobj(Text)
        if text.get_text() in {"all", "high", "low"}
    ]
    assert len(boxes) == 3
    # Nor do the bars of a row hide each other.
    bars = [y for lines in figure.findobj(LineCollection) for y, _ in _ends(lines)]
    assert len(set(bars)) == len(bars) == 3
    for first, second in combinations(boxes, 2):
        assert not first.overlaps(second)


def _ends(lines: LineCollection) -> list[tuple[float, float]]:
    return [(float(segment[0, 1]), float(segment[1, 1])) for segment in lines.get_segments()]


def test_families_differ_in_colour_and_in_shape() -> None:
    for kind in ("colour", "marker", "label"):
        assert len({getattr(look, kind) for look in FAMILIES.values()}) == len(FAMILIES) == 8
    assert look_of("brand_new").label == "Brand new"


def test_labels_keep_their_distance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        wanted = np.sort(rng.uniform(0, 1, 9))
        placed = spread(list(wanted), 0.07)
        assert np.all(np.diff(placed) >= 0.07 - 1e-9)
        assert placed.min() >= -1e-9
        assert placed.max() <= 1 + 1e-9
    assert spread([0.1, 0.5], 0.07) == pytest.approx([0.1, 0.5])


def test_swarm_keeps_the_order_of_values_out_of_it() -> None:
    values = np.array([0.3, 0.1, 0.2])
    assert swarm(values, width=1)[np.argsort(values)].tolist() == [0.0, 0.5, -0.5]


def test_inline_renames_what_is_referred_to() -> None:
    svg = '<?xml?><svg a=""><g id="x"/><path id="y"/><use href="#y" clip-path="url(#y)"/></svg>'
    assert inline(svg, prefix="p", label="L") == (
        '<svg role="img" aria-label="L" a=""><g/><path id="p-y"/>'
        '<use href="#p-y" clip-path="url(#p-y)"/></svg>'
    )


def test_asks_for_the_analysis(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.tsv is missing: run `varsigma-train campaign"):
        Campaign.read(tmp_path)
