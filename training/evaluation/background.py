"""How large effects of random variants are: model and test-fold inserts -> `background` entry.

The variants look like common ones as far as a draw from sequence alone can: single-base changes,
transitions and transversions in the ratio of human polymorphisms. What it leaves out (the
mutability of CpG, selection, frequency) and where it draws (elements that the library took for
regulatory, not the genome at large) stand in the entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kstest, norm

from service.background import Background, TargetBackground
from service.errors import Status
from service.reference import Reference
from service.registry import Model, Registry
from service.scoring import Scorer, ScoringOptions
from service.sequence import BASES, UNKNOWN
from service.variants import Variant
from training.assays import INSERT, inserts_of
from training.datasets.homology import TEST_FOLD
from training.datasets.table import table_digest
from training.evaluation.metrics import Floats
from training.evaluation.novelty import library_inserts
from training.evaluation.report import Cell, Report, Table, rows_of

OPTIONS = ScoringOptions(strands=2, shifts=(0,))
"""The passes that the variants are scored with: those of the service's default."""
TRANSITIONS_PER_TRANSVERSION = 2.1
"""Of human polymorphisms, whole genome: Wang et al., Bioinformatics 2015, btu668 (1000 Genomes)."""
POINTS = 201
"""Quantiles kept: as fine in the tails as a normal distribution's are far apart."""
MIDDLES = (INSERT // 2, INSERT // 2 - 1)
"""0-based places in an insert: that at the index of the variant of its window, on either strand."""
_TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}
_DIGITS = 5
_SHARES = (0.5, 0.9, 0.99)
_SIZES_AT = (*_SHARES, 0.999)
SIZES, UNIFORMITY = "Effects of random variants", "Ranks of variants in other inserts"


def make_background(
    name: str,
    *,
    models_dir: Path,
    table: pd.DataFrame,
    n: int = 10_000,
    seed: int = 0,
    threads: int | None = None,
) -> tuple[dict[str, Any], Report]:
    """Score random variants with one model.

    Args:
      name: of a model in `models_dir`.
      models_dir: folder of model folders.
      table: assay table that the model learnt from, with `name` and `cluster`.
      n: variants, at most two per insert.
      seed: of the draw.
      threads: of one operator, None for one per core.

    Returns:
      The card's `background` entry, and a report of the effects and of how uniform the ranks of
      half of the inserts are among the effects of the other half.

    Raises:
      ValueError: the test fold has too few inserts for n variants.
    """
    model = Registry(models_dir).load(name, "cpu", threads, with_entries=False)
    inserts = library_inserts(table[table["fold"] == TEST_FOLD])
    rng = np.random.default_rng(seed)
    rows, variants = draw_variants(inserts["sequence"].tolist(), n, rng)
    effect = score_variants(model, inserts["sequence"].tolist(), variants)
    targets = model.info.targets
    background = Background(
        version=1,
        **quantiles_of(effect, targets),
        strands=2,
        shifts=OPTIONS.shifts,
        variants="SNV",
        scheme=(
            "random changes of the middle base of inserts, transitions and transversions "
            f"{TRANSITIONS_PER_TRANSVERSION}:1, no regard to CpG, frequency or selection"
        ),
        n=n,
        seed=seed,
        data=f"test fold of {inserts_of(table['assay'].unique())}, without its designed inserts",
        data_sha256=table_digest(table),
    )
    clusters = inserts["cluster"].to_numpy(np.int64)[rows]
    is_transition = np.array([_TRANSITION[variant.ref] == variant.alt for variant in variants])
    tables = (
        _sizes(targets, effect, is_transition),
        _uniformity(targets, background, effect, _halved(clusters, rng)),
    )
    notes = (
        f"{background.scheme}; {background.data}; seed {seed}.",
        f"transitions among them: {is_transition.mean():.3f}",
        "Elements that the library took for regulatory, not the genome at large: an ordinary "
        "variant of a genome ranks lower than one of these.",
        "Ranks: background from half of the homology clusters, variants from the other half; "
        "shares of 0.5, 0.1 and 0.01 and no deviation are expected.",
    )
    return background.model_dump(mode="json"), Report(f"Background: {name}", tables, notes)


def draw_variants(
    sequences: Sequence[str], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], list[Variant]]:
    """Draw single-base changes that sit in the middle of inserts, as served ones do of windows.

    A window of an even width has no middle base: on one strand the insert is the window of one of
    its `MIDDLES`, on the other that window has a single N at its end.

    Args:
      sequences: inserts of 200 bases; insert i is the contig `insert<i>`.
      n: changes, each of another base.
      rng: source of randomness.

    Returns:
      (n,) rows of `sequences`, and the n variants.

    Raises:
      ValueError: fewer than n known middle bases.
    """
    places = [
        (row, middle)
        for row, sequence in enumerate(sequences)
        for middle in MIDDLES
        if sequence[middle] != BASES[UNKNOWN]
    ]
    if len(places) < n:
        raise ValueError(f"{len(places)} middle bases of inserts are too few for {n} variants")
    chosen = [places[at] for at in rng.permutation(len(places))[:n]]
    is_transition = rng.random(n) < 1 - 1 / (1 + TRANSITIONS_PER_TRANSVERSION)
    variants = []
    for (row, middle), keeps_ring in zip(chosen, is_transition, strict=True):
        ref = sequences[row][middle]
        others = [base for base in BASES[:UNKNOWN] if base not in {ref, _TRANSITION[ref]}]
        alt = _TRANSITION[ref] if keeps_ring else str(rng.choice(others))
        variants.append(Variant(f"insert{row}", middle + 1, ref, alt))
    return np.array([row for row, _ in chosen], np.intp), variants


def score_variants(model: Model, sequences: Sequence[str], variants: Sequence[Variant]) -> Floats:
    """Score variants of inserts as the service does, with the inserts as its genome: (n, T).

    Raises:
      ValueError: a variant has no effect (which says why).
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "inserts.fa")
        records = (f">insert{row}\n{bases}\n" for row, bases in enumerate(sequences))
        path.write_text("".join(records), encoding="ascii")
        with Reference.open(path) as reference:
            scores = Scorer(model, reference, OPTIONS).score(variants)
    for variant, status in zip(variants, scores.status, strict=True):
        if status is not Status.OK:
            raise ValueError(f"{variant}: {status}")
    return np.asarray(scores.effects.effect, np.float64)


def quantiles_of(effect: Floats, targets: Sequence[str]) -> dict[str, Any]:
    """Levels, and quantiles of each target's effects.

    Args:
      effect: (n, T).
      targets: T names.

    Returns:
      `levels` and `targets` of a `Background`; the k-th of n effects has the level k / (n + 1).
    """
    end = float(norm.ppf(len(effect) / (len(effect) + 1)))
    levels = np.round(norm.cdf(np.linspace(-end, end, POINTS)), _DIGITS + 1)
    # A rounded level may lie outside the first and last effect's.
    within = np.clip(levels, 1 / (len(effect) + 1), len(effect) / (len(effect) + 1))
    return {
        "levels": tuple(levels.tolist()),
        "targets": {
            name: TargetBackground(
                effect=_quantiles(effect[:, column], within),
                magnitude=_quantiles(np.abs(effect[:, column]), within),
            )
            for column, name in enumerate(targets)
        },
    }


def _quantiles(values: Floats, levels: Floats) -> tuple[float, ...]:
    found = np.quantile(values, levels, method="weibull")
    return tuple(float(f"{value:.{_DIGITS}g}") + 0.0 for value in found)  # no minus zero


def _halved(clusters: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n,) whether the cluster of each is in the first of two random halves of the clusters."""
    labels, which = np.unique(clusters, return_inverse=True)
    is_first: NDArray[np.bool_] = (rng.permutation(len(labels)) % 2 == 0)[which]
    return is_first


def _sizes(targets: Sequence[str], effect: Floats, is_transition: NDArray[np.bool_]) -> Table:
    rows: list[Sequence[Cell]] = []
    for column, target in enumerate(targets):
        values, size = effect[:, column], np.abs(effect[:, column])
        rows.append(
            [
                target,
                len(values),
                *np.quantile(size, _SIZES_AT).tolist(),
                float(np.mean(values < 0)),
                float(np.median(size[is_transition])),
                float(np.median(size[~is_transition])),
            ]
        )
    columns = (
        "target",
        "n",
        *(f"{share:.1%} of sizes below" for share in _SIZES_AT),
        "share negative",
        "median size, transitions",
        "median size, transversions",
    )
    return Table(SIZES, columns, rows_of(rows))


def _uniformity(
    targets: Sequence[str],
    background: Background,
    effect: Floats,
    is_first: NDArray[np.bool_],
) -> Table:
    """Rank the effects of one half among those of the other."""
    half = background.model_copy(update=quantiles_of(effect[is_first], targets))
    ranks = half.ranks(effect[~is_first], targets)
    rows: list[Sequence[Cell]] = []
    for column, target in enumerate(targets):
        quantile, rank = np.abs(ranks.quantile[:, column]), ranks.rank[:, column]
        above = [float(np.mean(quantile > share)) for share in _SHARES]
        rows.append([target, len(rank), *above, float(kstest(rank, "uniform").statistic)])
    columns = (
        "target",
        "n",
        *(f"size of quantile > {share}" for share in _SHARES),
        "largest deviation of rank",
    )
    return Table(UNIFORMITY, columns, rows_of(rows))
