"""Figure 7: what each family minimises or samples, in one formula."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from training.report.campaign import Campaign
from training.report.drawing import Panel, Plate
from training.report.style import FAINT, look_of


class Method(NamedTuple):
    """A family in three lines: its formula, and what noise does in it."""

    family: str
    formula: str
    words: str


METHODS = (
    Method(
        "baseline",
        r"$L=\frac{1}{N}\sum_i (f_i-y_i)^2$",
        "Squared error; blind to the noise of a label.",
    ),
    Method(
        "rank_stability",
        r"$L=\langle\, w_{ij}\,\log(1+e^{-(f_i-f_j)})\,\rangle_{y_i>y_j},\ \ "
        r"w_{ij}\propto\sigma(-k(v_i+v_j))$",
        "Order of pairs; a pair of noisy labels weighs less.",
    ),
    Method(
        "distributional",
        r"$L=\langle(\mu_i-y_i)^2\rangle+\lambda\,\langle(e^{s_i}-v_i)^2\rangle$",
        "A second head learns the replicate variance.",
    ),
    Method(
        "noise_gated",
        r"$L=\langle\frac{1}{2}(s_i+(y_i-\mu_i)^2e^{-s_i})\rangle+\alpha L_{rank}+\beta L_{var}$",
        "Likelihood, gated ranking and variance together.",
    ),
    Method(
        "contrastive",
        r"$L=L_{MSE}-\langle\log\frac{e^{c_{ip}/\tau}}"
        r"{e^{c_{ip}/\tau}+\sum_q e^{c_{iq}/\tau}}\rangle$",
        "At like activity, quiet sequences p attract and noisy ones q repel.",
    ),
    Method(
        "quantile",
        r"$P(i)\propto 1\,/\,|\,\mathrm{bin}(y_i)\times\mathrm{stratum}(v_i)\,|$",
        "Equal draws from bins of activity and strata of noise; loss: MSE.",
    ),
    Method(
        "hard_negative",
        r"$P(i,j)\propto e^{q_{ij}/T},\ \ q_{ij}=-|y_i-y_j|-\frac{1}{2}(v_i+v_j)$",
        "Mined pairs, alike and quiet; their order is learned beside the MSE.",
    ),
    Method(
        "factorized",
        r"$f=g(z_{motif},\,z_{grammar},\,z_{composition})$",
        "Separate branches; optional bottleneck and GC adversary.",
    ),
)
_HALF = len(METHODS) // 2


def _boxes(methods: tuple[Method, ...]) -> Panel:
    def draw(axes: Axes, _campaign: Campaign) -> None:
        axes.set_axis_off()
        axes.set(xlim=(0, 1), ylim=(len(methods), 0))
        for row, method in enumerate(methods):
            look = look_of(method.family)
            axes.add_patch(
                FancyBboxPatch(
                    (0.01, row + 0.06), 0.98, 0.88, boxstyle="round,pad=0,rounding_size=0.03",
                    mutation_aspect=4, fc="white", ec=look.colour, lw=1.6,
                )
            )  # fmt: skip
            axes.text(0.04, row + 0.25, look.label, color=look.colour, weight="bold", va="center")
            axes.text(0.04, row + 0.54, method.formula, va="center", fontsize=11)
            axes.text(0.04, row + 0.8, method.words, va="center", fontsize=8.5, color=FAINT)

    return Panel(methods[0].family, draw, 4.6)


METHODS_PLATE = Plate(
    7,
    "methods",
    "The strategies in one formula each",
    (_boxes(METHODS[:_HALF]), _boxes(METHODS[_HALF:])),
    caption=lambda _campaign: (
        "f, \N{GREEK SMALL LETTER MU}: predicted mean; s: predicted log-variance; y: measured "
        "activity; v: replicate variance, in weights and draws over what is typical of its assay; "
        "c: cosine of two embeddings; angle brackets: mean; \N{GREEK SMALL LETTER SIGMA}: logistic "
        "function. Drawn, no data."
    ),
    alt=lambda _campaign: " ".join(
        f"{look_of(method.family).label}: {method.words}" for method in METHODS
    ),
    # Formulas as outlines: no other font has their metrics.
    rc={"svg.fonttype": "path"},
)
