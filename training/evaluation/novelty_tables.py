"""Does the novelty score see what it should, and leave alone what it should: -> tables.

Reads no measured effect of a variant. What it finds undetectable stands in the tables beside the
rest: an area under the curve of 0.5 is a miss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import rankdata

from service.activity import sequence_windows
from service.novelty import ASPECTS, LEVEL, Novelty, NoveltyScores
from service.sequence import UNKNOWN, Codes, encode
from training.assays import ASSAYS, INSERT
from training.datasets.cagi5 import element_spans, locus_of, reference_path
from training.datasets.homology import TEST_FOLD
from training.datasets.parsers import read_fasta
from training.evaluation.metrics import Estimate, Floats, estimate, resample, weighted_ranks
from training.evaluation.novelty import DESIGNED, codes_of, library_inserts
from training.evaluation.report import Cell, Report, Table, rows_of
from training.evaluation.strange_sequences import (
    random_bases,
    shuffled,
    shuffled_pairs,
    with_repeat,
    with_run,
    with_variant,
)

TOLD_APART = "Told apart"
FALSE_FLAGS = "Flagged among what is ordinary"
BY_LENGTH = "Flagged among inserts of the joint library that are cut to the lengths of other assays"
VARIANTS = "joint library, a random variant in each insert"
CAGI5 = "CAGI5 reference windows"
FLAGGED = f"flagged, p < {LEVEL:g}"
_REFERENCE = "joint library, test fold"
# Draws whose ranks are in memory at once.
_DRAWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of n windows; `groups` (n,) are resampled together."""

    scores: NoveltyScores
    groups: NDArray[np.int64]

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """(n,) whether each is called novel."""
        return self.scores.is_novel()

    def share(self, draws: int, rng: np.random.Generator) -> Estimate:
        """Share called novel, with its bootstrap interval over groups."""
        counts = resample(self.groups, draws, rng).astype(np.float64)
        drawn: Floats = counts @ self.flagged / counts.sum(axis=1)
        return estimate(float(self.flagged.mean()), drawn)

    @property
    def reason(self) -> str | None:
        """The aspect by which most of the flagged are so."""
        if not self.flagged.any():
            return None
        return ASPECTS[int(np.bincount(self.scores.aspect[self.flagged]).argmax())].value


def auroc(positive: Scored, negative: Scored, draws: int, rng: np.random.Generator) -> Estimate:
    """Probability that a positive scores above a negative, ties half; groups resampled in each."""
    scores = np.concatenate([positive.scores.score, negative.scores.score])
    n = len(positive.groups)
    drawn = []
    for first in range(0, draws, _DRAWS_AT_ONCE):
        size = min(_DRAWS_AT_ONCE, draws - first)
        counts = np.hstack([resample(each.groups, size, rng) for each in (positive, negative)])
        weights = counts.astype(np.float64)
        drawn.append(_area(weighted_ranks(scores, weights), weights, n))
    plain = _area(rankdata(scores)[None], np.ones((1, len(scores))), n)
    return estimate(float(plain[0]), np.concatenate(drawn))


def _area(ranks: Floats, weights: Floats, n: int) -> Floats:
    """Mann-Whitney area (B,) of the first n columns above the others, by ranks (B, ...)."""
    positive, total = weights[:, :n].sum(axis=1), weights.sum(axis=1)
    ranked = (weights[:, :n] * ranks[:, :n]).sum(axis=1)
    area: Floats = (ranked - positive * (positive + 1) / 2) / (positive * (total - positive))
    return area


def evaluate_novelty(
    novelty: Novelty,
    *,
    table: pd.DataFrame,
    data_dir: Path | None = None,
    draws: int = 500,
    seed: int = 0,
) -> Report:
    """Compare strange sequences with the test fold, and count what is flagged wrongly.

    Args:
      novelty: fitted on the training folds of `table`.
      table: assay table, with `name` and `cluster`.
      data_dir: folder that holds cagi5/; None leaves the table of its reference out.
      draws: bootstrap resamples.
      seed: of the sequences that are made, and of the resamples.
    """
    rng = np.random.default_rng(seed)
    test = table[table["fold"] == TEST_FOLD]
    tables = [
        _told_apart(novelty, test, draws, rng),
        _false_flags(novelty, test, draws, rng),
        _by_length(novelty, test, draws, np.random.default_rng([seed, 1])),
    ]
    if data_dir is not None:
        tables.append(_cagi5(novelty, data_dir))
    notes = (
        "AUROC: probability that one of the kind scores above one of what it is compared with.",
        "flagged by: the aspect that is most unusual in most of the flagged windows.",
        "Inserts shorter than the window lie in its middle, between N, as in training.",
        f"[low, high]: 95 % bootstrap over homology clusters ({draws} draws).",
        "genomic: without random, scrambled and other designed inserts, which no genome has.",
        "The score knows composition, 7-mers and repeats of units up to 12 bases. It does not know "
        "species, longer units, nor whether a motif is where it should be; and what one insert in "
        "a hundred has, it cannot flag.",
        "The library is mostly enhancers: promoters in CpG islands are unlike most of it.",
    )
    return Report("Novelty of sequences", tuple(tables), notes)


def _told_apart(
    novelty: Novelty, test: pd.DataFrame, draws: int, rng: np.random.Generator
) -> Table:
    rows: list[Sequence[Cell]] = []
    for against, negatives, kinds in _comparisons(test, rng):
        ordinary = _score(novelty, *negatives)
        for kind, positives in kinds:
            if len(positives[0]):
                strange = _score(novelty, *positives)
                area = auroc(strange, ordinary, draws, rng)
                share = strange.share(draws, rng)
                rows.append([kind, against, len(strange.groups), area, share, strange.reason])
    columns = ("kind", "compared with", "n", "AUROC", FLAGGED, "flagged by")
    return Table(TOLD_APART, columns, rows_of(rows))


Windows = tuple[Codes, NDArray[np.int64]]
"""(n, W) codes and (n,) homology clusters."""


def _comparisons(
    test: pd.DataFrame, rng: np.random.Generator
) -> Iterator[tuple[str, Windows, list[tuple[str, Windows]]]]:
    """Yield what is ordinary and, to be told apart from it, the kinds of what is not."""
    inserts = library_inserts(test)
    codes, groups = codes_of(inserts), inserts["cluster"].to_numpy(np.int64)
    length = codes.shape[1]
    alone = np.arange(len(codes))
    made: list[tuple[str, Windows]] = [
        ("bases shuffled", (shuffled(codes, rng), groups)),
        ("bases shuffled, pairs kept", (shuffled_pairs(codes, rng), groups)),
        *(
            (f"random, GC {gc:.0%}", (random_bases(len(codes), length, gc, rng), alone))
            for gc in (0.2, 0.5, 0.8)
        ),
        *(
            (f"{size} bp of tandem repeat, unit {low} to {high}",
             (with_repeat(codes, size, (low, high), rng), groups))
            for size, low, high in ((20, 2, 6), (40, 2, 6), (80, 2, 6), (80, 7, 12), (80, 20, 40))
        ),
        *(
            (f"{size} A in a row", (with_run(codes, size, 0, rng), groups))
            for size in (10, 20, 40, length)
        ),
        ("the library's designed inserts", windows_of(library_inserts(test, is_designed=True))),
    ]  # fmt: skip
    yield _REFERENCE, (codes, groups), made
    for assay, start, kinds in (
        ("mattioli2019_HUES64", "HUMAN", ("MOUSE", "random_sequence")),
        ("mattioli2018", "WILDTYPE_", ("SCRAMBLED", "RANDOM")),
    ):
        rows = test[test["assay"].str.startswith(assay)].drop_duplicates("sequence")
        named = {kind: rows[rows["name"].str.startswith(kind)] for kind in (start, *kinds)}
        if len(named[start]):
            yield (
                f"{assay}: {start.rstrip('_')}",
                windows_of(named[start]),
                [(f"{assay}: {kind}", windows_of(named[kind])) for kind in kinds],
            )


def windows_of(rows: pd.DataFrame) -> Windows:
    """Windows and homology clusters of inserts."""
    codes = sequence_windows(rows["sequence"].tolist(), INSERT, 1).sequences
    return codes, rows["cluster"].to_numpy(np.int64)


def _score(novelty: Novelty, codes: Codes, groups: NDArray[np.int64]) -> Scored:
    return Scored(novelty.score(codes), groups)


def _false_flags(
    novelty: Novelty, test: pd.DataFrame, draws: int, rng: np.random.Generator
) -> Table:
    inserts = library_inserts(test)
    variants = novelty.score_variants(with_variant(codes_of(inserts), rng))
    rows = [
        _flags(VARIANTS, None, Scored(variants, inserts["cluster"].to_numpy(np.int64)), draws, rng)
    ]
    for assay in ASSAYS:
        of_assay = test[test["assay"] == assay.name]
        if len(of_assay):
            is_designed = of_assay["name"].str.contains(DESIGNED)
            everything = _score(novelty, *windows_of(of_assay))
            genomic = _score(novelty, *windows_of(of_assay[~is_designed]))
            rows.append(_flags(assay.name, everything, genomic, draws, rng))
    columns = ("test fold of", "n", FLAGGED, "n genomic", "genomic flagged", "flagged by")
    return Table(FALSE_FLAGS, columns, rows_of(rows))


def _by_length(novelty: Novelty, test: pd.DataFrame, draws: int, rng: np.random.Generator) -> Table:
    """Share flagged when N stand outside the middle bases: no more than of whole inserts, it must.

    Lengths are the medians of the other assays.
    """
    inserts = library_inserts(test)
    codes, groups = codes_of(inserts), inserts["cluster"].to_numpy(np.int64)
    whole = codes.shape[1]
    medians = test["sequence"].str.len().groupby(test["assay"].to_numpy()).median().astype(int)
    rows: list[Sequence[Cell]] = []
    for length in sorted({whole, *medians[medians < whole].tolist()}, reverse=True):
        cut = np.full_like(codes, UNKNOWN)
        kept = slice((whole - length) // 2, (whole - length) // 2 + length)
        cut[:, kept] = codes[:, kept]
        found = _score(novelty, cut, groups)
        rows.append([f"{length} bases", len(groups), found.share(draws, rng), found.reason])
    return Table(BY_LENGTH, ("of each insert", "n", FLAGGED, "flagged by"), rows_of(rows))


def _flags(
    name: str,
    everything: Scored | None,
    genomic: Scored,
    draws: int,
    rng: np.random.Generator,
) -> list[Cell]:
    cells: list[Cell] = [name]
    for scored in (everything, genomic):
        if scored is None or not len(scored.groups):
            cells += [None, None]
        else:
            cells += [len(scored.groups), scored.share(draws, rng)]
    return [*cells, genomic.reason]


def _cagi5(novelty: Novelty, data_dir: Path) -> Table:
    """Flags among the windows around every position of each locus, on GRCh37."""
    slices = read_fasta(reference_path(data_dir))
    windows: dict[str, list[Codes]] = {}
    for element, (contig, first, last) in element_spans(data_dir).items():
        if locus_of(element) in windows:
            continue
        for name, bases in slices.items():
            at, _, region = name.rpartition(":")
            start = int(region.partition("-")[0])
            low, high = first - INSERT // 2 - start, last + INSERT // 2 - start
            if at == contig and low >= 0 and high <= len(bases):
                codes = sliding_window_view(encode(bases[low:high]), INSERT)
                windows.setdefault(locus_of(element), []).append(codes)
    rows: list[Sequence[Cell]] = []
    for locus, parts in sorted(windows.items()):
        scored = Scored(novelty.score(np.concatenate(parts)), np.arange(len(parts[0])))
        median = float(np.median(scored.scores.p))
        rows.append([locus, len(scored.flagged), float(scored.flagged.mean()), median,
                     scored.reason])  # fmt: skip
    return Table(CAGI5, ("locus", "windows", FLAGGED, "median p", "flagged by"), rows_of(rows))
