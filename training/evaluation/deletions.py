"""Measured 1-bp deletions against each way to anchor their windows: model -> tables and a choice.

Where a change alters the length, the ref and the alt window cannot share both sides. Which they
share is the anchoring; several are averaged. The rule for the one that ships, fixed before any
label outside the release blocks was read: on the deletions in release blocks alone, take the best
mean Spearman over the elements; every way whose paired bootstrap interval of the deficit to it
covers 0 is as good, and of those the one with the fewest windows is chosen, then the one with the
best mean. The rest of the deletions is reported, and logged as the challenge set is.

The service's default is left+right, which is not what that rule takes (left). It has the best mean
on release blocks, within the noise, and a reason that needs no label: left and right differ by more
than their mean effect in more than half of the deletions (the table of disagreement), and only
where both are scored does `representation` say so. It was decided with the result on release
blocks known, and before the rest was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.errors import Status
from service.reference import Reference
from service.registry import Model, Registry
from service.scoring import Scorer, ScoringOptions
from service.sequence import decode
from service.windows import Anchoring
from training.datasets.cagi5 import ELEMENTS, GROUPS, reference_path
from training.datasets.deletions import KEPT
from training.evaluation.agreement import Sample, mean_sample, position_counts, sample
from training.evaluation.challenge import (
    CHALLENGE_LOG,
    Run,
    load_deletions,
    load_release_deletions,
)
from training.evaluation.metrics import Floats, Statistic
from training.evaluation.predictions import predict

HIGH_BARCODES = 50
"""Barcodes behind a deletion that counts as measured precisely."""
SIGNIFICANT = 1e-5
"""P-value below which the authors' data portal calls an effect significant."""
LONG_RUN = 4
"""Bases in a run that counts as a homopolymer."""
MIN_ROWS = 5
"""Deletions that an element needs to enter a mean; no element of the whole set has fewer."""
MEAN = "all (15)"
"""The mean that the choice is made by."""
ALL = "all"
"""The subset that holds every deletion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to show a deletion to the model.

    Attributes:
      name: as the tables have it.
      anchorings: of its windows.
      strands: orientations averaged.
    """

    name: str
    anchorings: tuple[Anchoring, ...]
    strands: Literal[1, 2] = 2

    @property
    def windows(self) -> int:
        """Pairs of sequences that one deletion costs."""
        return self.strands * len(self.anchorings)


LEFT, RIGHT, CENTRE = Anchoring.LEFT, Anchoring.RIGHT, Anchoring.CENTRE
BASELINE = Way(name="left", anchorings=(LEFT,))
CANDIDATES = (
    BASELINE,
    Way(name="right", anchorings=(RIGHT,)),
    Way(name="centre", anchorings=(CENTRE,)),
    Way(name="left+right", anchorings=(LEFT, RIGHT)),
    Way(name="left+right+centre", anchorings=(LEFT, RIGHT, CENTRE)),
)
"""What may ship: both strands. On the minus strand an anchoring reads in that strand's direction,
so a single one already fixes the left side of the genome in one window, the right in the other."""
SHIPPED = next(way for way in CANDIDATES if way.anchorings == ScoringOptions().anchorings)
"""The service's default."""
PLUS = (
    Way(name="left, plus strand", anchorings=(LEFT,), strands=1),
    Way(name="right, plus strand", anchorings=(RIGHT,), strands=1),
)
"""Single windows, to compare with: the first is what tools usually do."""
BASELINES = (BASELINE, PLUS[0])
"""The ways that differences are taken to."""
WAYS = (*CANDIDATES, *PLUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The deletions of one region of the elements, under every way.

    Attributes:
      dropped: {why: deletions}, those that were not kept or not scored.
      table: the n kept ones, scored under every way.
      effects: {name of the way: (n,) effects of the target of each deletion's element}.
      counts: {(element, subset): deletions}.
      samples: {(way, element or group, subset, statistic): its sample}; NaN where an element has
        fewer than `MIN_ROWS`, and left out of the mean of its group.
    """

    dropped: Counter[str]
    table: pd.DataFrame
    effects: Mapping[str, Floats]
    counts: Mapping[tuple[str, str], int]
    samples: Mapping[tuple[str, str, str, Statistic], Sample]

    def of(self, way: Way, name: str, statistic: Statistic, subset: str = ALL) -> Sample:
        """The sample of one way on an element or group."""
        return self.samples[way.name, name, subset, statistic]

    def means(self) -> dict[str, float]:
        """Spearman and Pearson of each way over all its deletions, for the log."""
        return {
            f"{way.name}, {group}, {statistic}": self.of(way, group, statistic).value
            for way in WAYS
            for group in GROUPS
            for statistic in Statistic
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """What the rule takes.

    Attributes:
      way: the chosen one.
      best: the one with the best mean.
      as_good: those that the noise does not tell from the best, itself among them.
    """

    way: Way
    best: Way
    as_good: tuple[Way, ...]


def evaluate_deletions(
    name: str,
    *,
    models_dir: Path,
    data_dir: Path,
    is_release_only: bool,
    threads: int | None = None,
    draws: int = 1000,
    seed: int = 0,
    log: Path = CHALLENGE_LOG,
) -> tuple[Choice, dict[str, Measured]]:
    """Score the measured deletions under every way and choose one by those in release blocks.

    Args:
      name: of a model in `models_dir`.
      models_dir: folder of model folders.
      data_dir: folder that holds cagi5/.
      is_release_only: do not look at the rest.
      threads: of one operator, None for one per core.
      draws: bootstrap resamples of alleles.
      seed: of the resamples; the same for all ways, which pairs them.
      log: file that a look at the rest is appended to.

    Returns:
      The choice, and {region: its deletions}; the rest comes second.

    Raises:
      ValueError: an element has no deletion, or the model lacks a target.
      DataError: a file is missing or altered.
    """
    registry = Registry(models_dir)
    model = registry.load(name, "cpu", threads, with_entries=False)
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        inside = measure(model, reference, load_release_deletions(data_dir), draws, seed)
        choice = choose({way: inside.of(way, MEAN, Statistic.SPEARMAN) for way in CANDIDATES})
        found = {"release blocks": inside}
        if is_release_only:
            return choice, found
        run = Run(
            model=name,
            model_sha256=str(registry.card(name)["model_sha256"]),
            purpose=f"deletions: best on release blocks {choice.best.name}, by the rule "
            f"{choice.way.name}; draws {draws}, seed {seed}",
        )
        with load_deletions(data_dir, run, log=log) as table:
            found["rest"] = measure(model, reference, table, draws, seed)
            run.means |= found["rest"].means()
    return choice, found


def measure(
    model: Model, reference: Reference, table: pd.DataFrame, draws: int, seed: int
) -> Measured:
    """Score deletions under every way and correlate them with what was measured.

    Args:
      model: with the targets that the elements need.
      reference: GRCh37.
      table: as `load_deletions` has it.
      draws: resamples; the deletions of one allele are drawn together, as are both TERT sets.
      seed: of the resamples.

    Raises:
      ValueError: an element has no deletion left, or the model lacks a target.
    """
    is_kept = (table["dropped"] == KEPT).to_numpy()
    kept = table[is_kept].reset_index(drop=True)
    variants = anchored(kept, reference)
    status = np.full(len(kept), Status.OK, object)
    effects: dict[str, Floats] = {}
    for way in WAYS:
        options = ScoringOptions(strands=way.strands, anchorings=way.anchorings)
        predicted = predict(Scorer(model, reference, options), model.info.targets, variants)
        effects[way.name] = np.asarray(predicted.effects.effect, np.float64)
        status = np.where(predicted.scored, status, np.array(predicted.status, object))
    scored = status == Status.OK
    dropped = Counter(table.loc[~is_kept, "dropped"].tolist())
    dropped.update(f"status {name}" for name in status[~scored].tolist())
    kept = kept[scored].reset_index(drop=True)
    if missing := sorted(set(ELEMENTS) - set(kept["element"])):
        raise ValueError(f"no deletion of {', '.join(missing)} is left to compare")
    effects = {name: effect[scored] for name, effect in effects.items()}
    counts, samples = _samples(kept, effects, draws, seed)
    return Measured(dropped=dropped, table=kept, effects=effects, counts=counts, samples=samples)


def anchored(table: pd.DataFrame, reference: Reference) -> pd.DataFrame:
    """Write deletions as VCF does: the base before the deleted one in ref and alt.

    Args:
      table: columns element, contig, pos (1-based, of the deleted base), ref.
      reference: holds the base before each.

    Returns:
      The columns element, contig, pos, ref, alt, in the same order.
    """
    before = []
    for contig, pos in zip(table["contig"], table["pos"], strict=True):
        name = reference.resolve(contig)
        before.append("N" if name is None else decode(reference.codes(name, pos - 2, pos - 1)))
    ref = [base + deleted for base, deleted in zip(before, table["ref"], strict=True)]
    return table[["element", "contig"]].assign(pos=table["pos"] - 1, ref=ref, alt=before)


def choose(means: Mapping[Way, Sample]) -> Choice:
    """Apply the rule of this module to the mean Spearman of each way, on the same resamples."""
    best = max(means, key=lambda way: means[way].value)
    as_good = [
        way for way in means if way is best or not means[best].minus(means[way]).estimate.low > 0
    ]
    chosen = min(as_good, key=lambda way: (way.windows, -means[way].value))
    return Choice(chosen, best, tuple(as_good))


def subsets(table: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Deletions that are compared by themselves: {name: (n,) whether each belongs}."""
    run = (table["last"] - table["first"] + 1).to_numpy()
    return {
        ALL: np.ones(len(table), bool),
        f"at least {HIGH_BARCODES} barcodes": table["barcodes"].to_numpy() >= HIGH_BARCODES,
        f"p < {SIGNIFICANT:g}": table["p_value"].to_numpy() < SIGNIFICANT,
        "no run: one place": run == 1,
        "run of 2 or 3": (run > 1) & (run < LONG_RUN),
        f"run of {LONG_RUN} or more": run >= LONG_RUN,
    }


def _samples(
    table: pd.DataFrame, effects: Mapping[str, Floats], draws: int, seed: int
) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str, str, Statistic], Sample]]:
    resamples = position_counts(table.assign(pos=table["first"]), draws, seed)
    value = table["value"].to_numpy(np.float64)
    elements = table["element"].to_numpy(str)
    none = Sample(np.nan, np.full(draws, np.nan))
    counts: dict[tuple[str, str], int] = {}
    samples: dict[tuple[str, str, str, Statistic], Sample] = {}
    for subset, chosen in subsets(table).items():
        rows = {element: np.flatnonzero(chosen & (elements == element)) for element in ELEMENTS}
        counts |= {(element, subset): len(found) for element, found in rows.items()}
        enough = {element: found for element, found in rows.items() if len(found) >= MIN_ROWS}
        for (way, effect), statistic in ((w, s) for w in effects.items() for s in Statistic):
            parts = {
                element: sample(effect[at], value[at], resamples[:, at], statistic)
                for element, at in enough.items()
            }
            for element in ELEMENTS:
                samples[way, element, subset, statistic] = parts.get(element, none)
            for group, members in GROUPS.items():
                samples[way, group, subset, statistic] = _mean(
                    [parts[member] for member in members if member in parts], none
                )
    return counts, samples


def _mean(parts: Sequence[Sample], none: Sample) -> Sample:
    return mean_sample(parts) if parts else none
