"""Does noise get to where a strategy says it does: weights of pairs, batches, ceilings.

`recipes + training labels -> how far pair weights differ and what batches hold`, and the ceiling
that a predicted sigma is up against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from training.batches import LabelledSequences
from training.datasets.homology import TEST_FOLD
from training.evaluation.metrics import attainable, resample, split_half
from training.losses.ranking import RankStability, weight_spread
from training.recipe import Recipe
from training.samplers import Labels, Sampler, Shuffled
from training.samplers.composition import composition
from training.samplers.quantile import STAGES

Row = dict[str, Any]
_SCALES: tuple[Literal["relative", "absolute"], ...] = ("relative", "absolute")
_PROGRESS = tuple(start for start, _ in STAGES)
"""Shares of a run at which an epoch is drawn: one in each stage of the curriculum."""


def pair_weights(recipes: Iterable[Recipe], data: LabelledSequences, *, seed: int) -> list[Row]:
    """Spread of the pair weights of every rank-stability recipe, on both scales of noise.

    Args:
      recipes: others are passed over; of several that weigh alike the first is shown.
      data: training rows.
      seed: of the batches looked at.

    Returns:
      Rows with arm, scale (`relative`, or `absolute` as published), noise_k and the attributes of
      `WeightSpread`.
    """
    rows: list[Row] = []
    seen: set[RankStability] = set()
    for recipe in recipes:
        if not isinstance(recipe.loss, RankStability):
            continue
        order = np.random.default_rng(seed).permutation(len(data))
        looked_at = [
            data.batch(part, np.zeros(part.size, np.bool_))
            for part in _batches(order, recipe.optim.batch_size)
        ]
        for loss in (replace(recipe.loss, scale=scale) for scale in _SCALES):
            if loss not in seen:
                seen.add(loss)
                weights = torch.cat([loss.pair_weights(batch) for batch in looked_at])
                key = {"arm": recipe.name, "scale": loss.scale, "noise_k": loss.noise_k}
                rows.append(key | asdict(weight_spread(weights)))
    return rows


def batches(recipes: Iterable[Recipe], data: LabelledSequences, *, seed: int) -> list[Row]:
    """What each sampler makes of the training rows, beside a plain shuffle.

    Args:
      recipes: of several with one sampler the first is shown.
      data: training rows.
      seed: of the epochs drawn.

    Returns:
      Rows with arm, sampler, progress (share of the run at which the epoch is drawn), statistic
      (an attribute of `Composition`), value, and the value of a shuffled epoch.
    """
    labels = Labels(data.activity, data.noise)
    rows: list[Row] = []
    seen: set[Sampler] = {Shuffled()}
    for recipe in recipes:
        if recipe.sampler in seen:
            continue
        seen.add(recipe.sampler)
        size = recipe.optim.batch_size
        for progress in _PROGRESS:
            ours, plain = (
                sampler.epoch(
                    labels, batch_size=size, progress=progress, rng=np.random.default_rng(seed)
                )
                for sampler in (recipe.sampler, Shuffled())
            )
            shuffled = asdict(composition(labels, plain, size))
            rows += [
                {
                    "arm": recipe.name,
                    "sampler": str(recipe.sampler),
                    "progress": progress,
                    "statistic": statistic,
                    "value": value,
                    "shuffled": shuffled[statistic],
                }
                for statistic, value in asdict(composition(labels, ours, size)).items()
            ]
    return rows


def ceilings(
    table: pd.DataFrame, replicates: Mapping[str, pd.DataFrame], *, draws: int, seed: int
) -> list[Row]:
    """How well the measured SD agrees with itself on the test fold: what no sigma can pass.

    Args:
      table: of the campaign.
      replicates: {assay: per-replicate values by sequence}, as `replicate_values` reads them.
      draws: resamples of homology clusters.
      seed: of the resamples and of the halves.

    Returns:
      Rows with assay, n, replicates, split_half (Spearman between the SDs of two halves of the
      replicates), its interval, and attainable (by Spearman-Brown, what a perfect sigma reaches).
    """
    rows: list[Row] = []
    test = table[table["fold"] == TEST_FOLD]
    for number, (assay, part) in enumerate(test.groupby("assay", observed=True)):
        rng = np.random.default_rng([seed, number])
        values = replicates[str(assay)].reindex(part["sequence"]).to_numpy(np.float64)
        found = split_half(values, resample(part["cluster"], draws, rng), rng)
        rows.append(
            {
                "assay": str(assay),
                "n": len(part),
                "replicates": values.shape[1],
                "split_half": found.value,
                "ci_low": found.low,
                "ci_high": found.high,
                "attainable": attainable(found.value, values.shape[1]),
            }
        )
    return rows


def _batches(order: NDArray[np.int64], size: int, most: int = 20) -> list[NDArray[np.int64]]:
    """The first batches of an epoch's order, whole ones."""
    count = min(most, order.size // size)
    return [order[i * size : (i + 1) * size] for i in range(count)]
