"""Tables of how well distributions hold: coverage, scores, reliability, calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.mixture import Mixture, crps
from training.datasets.cagi5 import ELEMENTS
from training.evaluation.agreement import position_counts
from training.evaluation.drawings import COVERAGE, INTERVALS, PIT, SIGNS
from training.evaluation.metrics import Estimate, Floats, estimate
from training.evaluation.predictions import NOMINAL
from training.evaluation.report import Cell, Report, Table, rows_of
from training.evaluation.risk_tables import NOTES as RISK_NOTES
from training.evaluation.risk_tables import halves, ranked_parts, risk
from training.evaluation.triage_tables import NOTE, RATES, calls, calls_by_element, tiers_kept

if TYPE_CHECKING:
    from training.evaluation.uncertainty import Judged

HIGH_CONFIDENCE = 0.1
"""The challenge's own threshold of its confidence column."""
_BINS = 10
_ALL = "all"


def layout(
    name: str, judged: Judged, *, split: str = "challenge", draws: int, seed: int = 0
) -> Report:
    """Put a judged distribution into tables.

    Args:
      name: of the model.
      judged: the set.
      split: which set it is.
      draws: bootstrap resamples of positions.
      seed: of the resamples.
    """
    places = pd.DataFrame({"element": judged.element, "pos": judged.position})
    drawn = position_counts(places, draws, seed)
    counts = drawn.astype(np.float64)
    tables = (
        _coverage(judged),
        _reliability(judged, counts),
        _conditional(judged),
        _scores(judged, counts),
        _signs(judged, counts),
        _signs_by_direction(judged, counts),
        *risk(judged, counts),
        *halves(judged, drawn),
        calls(judged, counts),
        *(calls_by_element(judged, counts, rate) for rate in RATES),
        tiers_kept(judged, counts),
        _pit(judged, counts),
    )
    notes = (
        f"{split.capitalize()} set. For every locus the distribution and its levels were fitted on "
        "the release set without that locus (the two TERT sets are one); nothing was fitted here.",
        "one shape about zero: two normals as in ours, fitted alike, but the same for every "
        "variant. one lopsided shape: the same, but wherever its components lie best; what is "
        "gained over this one is the model's. constant width: normal about zero, its SD "
        "the root mean square of the release set's other loci, each with the same weight. as "
        "exported: normal about the effect with the model's own spread and sigma.",
        "Coverage is of the measured effect by the distribution of the true one, widened by the "
        "standard error of that measurement.",
        NOTE,
        "a repeat as served: widened by the typical standard error instead of each one's own. What "
        "is said of the true effect no measurement can check directly.",
        "Confidence follows the size of the measured effect, so a share by it conditions on the "
        "outcome, and must be too low for high confidence.",
        *RISK_NOTES,
        f"[low, high]: 95 % bootstrap over the positions of each locus ({draws} draws), paired for "
        "ratios and differences, where one is shown.",
        "Exchangeability: variants of one locus resemble each other more than those of another, "
        "so the nominal share is met on average over loci, not in each.",
    )
    return Report(f"Uncertainty: {name}", tables, notes)


def _coverage(judged: Judged) -> Table:
    inside = judged.inside(judged.measured, judged.level)
    constant, exported = judged.inside(judged.constant), judged.inside(judged.exported)
    width = _width(judged.measured, judged.level[:, NOMINAL.index(0.9)])
    whole = np.ones(len(inside), bool)

    def row(
        label: str, shares: NDArray[np.bool_], rows: NDArray[np.bool_], wide: Floats
    ) -> list[Cell]:
        return [
            label,
            int(rows.sum()),
            *shares[rows].mean(axis=0).tolist(),
            float(np.median(wide[rows])),
        ]

    rows = [row(_ALL, inside, whole, width)]
    rows += [row(element, inside, judged.element == element, width) for element in ELEMENTS]
    bare = judged.inside(judged.measured)
    at = np.full(len(inside), 0.9)
    rows.append(row("all, without levels", bare, whole, _width(judged.measured, at)))
    repeat = judged.inside(judged.repeat, judged.level)
    at_level = judged.level[:, NOMINAL.index(0.9)]
    rows.append(row("all, a repeat as served", repeat, whole, _width(judged.repeat, at_level)))
    ways = {"one shape about zero": judged.blind, "one lopsided shape": judged.lopsided}
    for label, shape in ways.items():
        rows.append(row(f"all, {label}", judged.inside(shape), whole, _width(shape, at)))
    rows.append(row("all, constant width", constant, whole, _width(judged.constant, at)))
    rows.append(row("all, as exported", exported, whole, _width(judged.exported, at)))
    columns = ("element", "n", *(f"inside {n:.0%}" for n in NOMINAL), "median width at 90%")
    return Table(COVERAGE, columns, rows_of(rows))


def _reliability(judged: Judged, counts: Floats) -> Table:
    """Share of all measurements inside each interval, and how far elements lie apart."""
    inside = judged.inside(judged.measured, judged.level).astype(np.float64)
    exported = judged.inside(judged.exported).astype(np.float64)
    rows: list[list[Cell]] = []
    for k, nominal in enumerate(NOMINAL):
        each = [inside[judged.element == name, k] for name in ELEMENTS]
        shares = [float(part.mean()) for part in each if len(part)]
        rows.append(
            [f"{nominal:.0%}", _mean(inside[:, k], counts), min(shares), max(shares),
             _mean(exported[:, k], counts)]
        )  # fmt: skip
    columns = ("interval", "calibrated", "lowest element", "highest element", "as exported")
    return Table(INTERVALS, columns, rows_of(rows))


def _conditional(judged: Judged) -> Table:
    """Coverage where the effect, the SD, the confidence or the error is small or large."""
    inside = judged.inside(judged.measured, judged.level)
    parts: list[tuple[str, NDArray[np.bool_]]] = []
    for label, values in (
        ("|expected|", np.abs(judged.expected)),
        ("predicted SD", judged.true.total_sd),
        ("standard error", judged.evidence.error),
    ):
        fifth = ranked_parts(values, 5)
        parts += [(f"{label}, fifth {k + 1} of 5", fifth == k) for k in range(5)]
    high = judged.confidence >= HIGH_CONFIDENCE
    parts += [("high confidence", high), ("low confidence", ~high)]
    rows = [[label, int(at.sum()), *inside[at].mean(axis=0).tolist()] for label, at in parts]
    columns = ("variants", "n", *(f"inside {n:.0%}" for n in NOMINAL))
    return Table("Coverage by what is known of the variant", columns, rows_of(rows))


def _scores(judged: Judged, counts: Floats) -> Table:
    value = judged.evidence.value
    ways = {
        "calibrated": judged.measured,
        "one shape about zero": judged.blind,
        "one lopsided shape": judged.lopsided,
        "constant width": judged.constant,
        "as exported": judged.exported,
    }
    score = {label: crps(value, mixture) for label, mixture in ways.items()}
    loss = {label: -np.log(mixture.density(value) + 1e-300) for label, mixture in ways.items()}
    rows: list[list[Cell]] = []
    for label in ways:
        gain = _ratio(score["calibrated"], score[label], counts)
        rows.append([label, _mean(score[label], counts), _mean(loss[label], counts), gain])
    columns = ("distribution", "CRPS", "negative log-likelihood", "CRPS of calibrated, relative")
    return Table("Scores of the whole distribution", columns, rows_of(rows))


def _signs(judged: Judged, counts: Floats) -> Table:
    """How often a measurement has the predicted sign, beside how often it should."""
    parts = _parts(judged, np.ones(len(judged.expected), bool), _BINS, "tenth")
    return _sign_table(SIGNS, judged, counts, parts)


def _signs_by_direction(judged: Judged, counts: Floats) -> Table:
    """The same for variants expected to lower and to raise activity, each by themselves."""
    up = judged.expected > 0
    parts = {
        (f"{kind}, {label}" if label != _ALL else kind): rows
        for kind, said in (("lowers", ~up), ("raises", up))
        for label, rows in _parts(judged, said, 5, "fifth").items()
    }
    title = "Sign of the measurement, by the direction of what is expected"
    return _sign_table(title, judged, counts, parts)


def _parts(
    judged: Judged, rows: NDArray[np.bool_], n_parts: int, name: str
) -> dict[str, NDArray[np.bool_]]:
    """Equal parts of the rows, by the probability that a measurement has the sign of `expected`.

    Rows without a sign, of what is expected or measured, are left out; the last part is all others.
    """
    rows = rows & (judged.evidence.value != 0) & (judged.expected != 0)
    said = judged.measured.has_sign(judged.expected > 0)
    part = np.full(len(rows), -1)
    part[rows] = ranked_parts(said[rows], n_parts)
    return {
        **{f"{name} {k + 1} of {n_parts}": part == k for k in range(n_parts)},
        _ALL: rows,
    }


def _sign_table(
    title: str, judged: Judged, counts: Floats, parts: dict[str, NDArray[np.bool_]]
) -> Table:
    up = judged.expected > 0
    sure, said = judged.true.has_sign(up), judged.measured.has_sign(up)
    has = ((judged.evidence.value > 0) == up).astype(np.float64)
    rows: list[list[Cell]] = []
    for label, at in parts.items():
        means = [float(values[at].mean()) if at.any() else np.nan for values in (sure, said)]
        rows.append([label, int(at.sum()), *means, _mean(has, counts, at)])
    columns = ("variants by p_sign", "n", "p_sign, mean", "predicted share with its error", "share")
    return Table(title, columns, rows_of(rows))


def _pit(judged: Judged, counts: Floats) -> Table:
    edges = np.linspace(0, 1, _BINS + 1)
    # The last bin has its upper edge too.
    bins = [
        np.minimum((mixture.cdf(judged.evidence.value) * _BINS).astype(np.int64), _BINS - 1)
        for mixture in (judged.measured, judged.exported)
    ]
    rows: list[list[Cell]] = [
        [
            f"{edges[k]:.1f} to {edges[k + 1]:.1f}",
            *(_mean((at == k).astype(np.float64), counts) for at in bins),
        ]
        for k in range(_BINS)
    ]
    return Table(PIT, ("cdf at the measurement", "calibrated", "as exported"), rows_of(rows))


def _width(mixture: Mixture, level: Floats) -> Floats:
    lower, upper = mixture.tails((1 - level) / 2)
    return np.asarray(upper - lower)


def _mean(
    values: Floats, counts: Floats, rows: NDArray[np.bool_] | slice = slice(None)
) -> Estimate:
    chosen, drawn = values[rows], counts[:, rows]
    if not len(chosen):
        return Estimate(np.nan, np.nan, np.nan)
    total = drawn.sum(axis=1)
    with np.errstate(invalid="ignore"):
        draws = np.where(total > 0, drawn @ chosen / total, np.nan)
    return estimate(float(chosen.mean()), draws)


def _ratio(values: Floats, others: Floats, counts: Floats) -> Estimate:
    draws = (counts @ values) / (counts @ others)
    return estimate(float(values.mean() / others.mean()), draws)
