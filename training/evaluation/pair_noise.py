"""The noise of two alleles measured side by side: replicates of pairs -> their correlation.

Both alleles of a pair are measured in the same replicates, so what a replicate does to a sequence
may be shared by its variant, and the noise of their difference is then less than the sum. By how
much is a property of the measurements: no model enters, so pairs that train one serve as well as
any, and nothing needs to be cross-fitted but the check of the estimate on its own loci.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from training.evaluation.metrics import Counts, Estimate, Floats, estimate, resample
from training.evaluation.pair_noise_data import Pairs

THIRDS = ("quiet third", "middle third", "noisy third")
"""Pairs by the mean variance of their alleles."""
_NEIGHBOURS = 20
_LOCUS_FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over the replicates that both alleles of a pair have, each (n,).

    With d the deviation of a replicate from the allele's own mean, divided by `freedom` they are
    the unbiased covariance and variances; a pair without two such replicates has zeros.

    Attributes:
      cross: sum of d_ref * d_alt.
      ref: sum of d_ref^2.
      alt: sum of d_alt^2.
      freedom: replicates less one.
    """

    cross: Floats
    ref: Floats
    alt: Floats
    freedom: Floats

    @classmethod
    def of(cls, ref: Floats, alt: Floats) -> Moments:
        """Sum up two (n, R) arrays of replicates, NaN where missing."""
        shared = np.isfinite(ref) & np.isfinite(alt)
        count = shared.sum(axis=1)
        deviations = []
        for values in (ref, alt):
            held = np.where(shared, values, 0.0)
            mean = held.sum(axis=1) / np.maximum(count, 1)
            deviations.append(np.where(shared, held - mean[:, None], 0.0))
        first, second = deviations
        return cls(
            (first * second).sum(axis=1),
            (first**2).sum(axis=1),
            (second**2).sum(axis=1),
            np.maximum(count - 1.0, 0.0),
        )

    def where(self, rows: NDArray[np.bool_]) -> Moments:
        """The pairs marked."""
        return Moments(*(getattr(self, name)[rows] for name in self.__slots__))

    def rho(self, counts: Floats) -> Floats:
        """Correlation pooled over pairs that appear `counts` (B, n) times; (B,).

        With c_p, v_p and w_p the covariance and the variances of pair p, unbiased by their R_p - 1
        degrees of freedom, rho = sum (R_p - 1) c_p / sqrt(sum (R_p - 1) v_p * sum (R_p - 1) w_p).
        Numerator and radicands are unbiased from two replicates on, so rho is consistent in the
        number of pairs; a mean of one correlation per pair is not.
        """
        with np.errstate(invalid="ignore"):  # no pair that varies: NaN
            return np.asarray(
                (counts @ self.cross) / np.sqrt((counts @ self.ref) * (counts @ self.alt))
            )

    @property
    def product(self) -> Floats:
        """(n,) estimates of freedom * sigma_ref * sigma_alt.

        A product of two sample SDs is too small by c4^2 in normal samples; exact at rho 0.
        """
        f = np.maximum(self.freedom, 1.0)
        c4 = np.sqrt(2 / f) * np.exp(gammaln((f + 1) / 2) - gammaln(f / 2))
        return np.asarray(np.sqrt(self.ref * self.alt) / c4**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseCorrelation:
    """How far the noise of reference and variant goes together.

    Attributes:
      pairs: that share two replicates or more.
      loci: of these pairs.
      rho: `Moments.rho`, with its interval over loci.
      permuted: mean, and central 95 %, of rho with the replicates of references relabelled.
      unrelated: rho of references and variants of other loci with about the same activity.
    """

    pairs: int
    loci: int
    rho: Estimate
    permuted: Estimate
    unrelated: Estimate


def noise_correlation(
    pairs: Pairs, *, draws: int, rng: np.random.Generator, permutations: int = 200
) -> NoiseCorrelation:
    """Estimate the correlation of the noise of both alleles, and what it would be by chance.

    Args:
      pairs: with replicates on one scale.
      draws: bootstrap resamples of loci; the variants of a locus share a reference.
      rng: source of resamples and permutations.
      permutations: relabellings of the replicates, each alike for the variants of one locus, so
        that what they share stays.
    """
    pairs, moments = _measured(pairs)
    counts = resample(pairs.locus, draws, rng)
    _, first, locus = np.unique(pairs.locus, return_index=True, return_inverse=True)
    chance = np.empty(permutations)
    for number in range(permutations):
        relabelled = rng.permuted(pairs.ref[first], axis=1)[locus]
        chance[number] = Moments.of(relabelled, pairs.alt).rho(np.ones((1, locus.size)))[0]
    return NoiseCorrelation(
        pairs=pairs.locus.size,
        loci=first.size,
        rho=rho_of(moments, counts),
        permuted=estimate(float(chance.mean()), chance),
        unrelated=rho_of(_unrelated(pairs), counts),
    )


def _measured(pairs: Pairs) -> tuple[Pairs, Moments]:
    """The pairs that share two replicates or more, and their moments."""
    moments = Moments.of(pairs.ref, pairs.alt)
    rows = moments.freedom > 0
    return pairs.where(rows), moments.where(rows)


def _unrelated(pairs: Pairs) -> Moments:
    """Moments of each reference with variants of other loci.

    The variants are the 20 that lie 20 to 39 ranks further in the order of the references' mean
    activity: near enough to be as active, many enough not to hang on the choice. Summed over them.
    """
    known = np.isfinite(pairs.ref)
    mean = np.where(known, pairs.ref, 0.0).sum(axis=1) / known.sum(axis=1)
    order = np.argsort(mean, kind="stable")
    sums = np.zeros((4, order.size))
    for apart in range(_NEIGHBOURS, 2 * _NEIGHBOURS):
        near, far = order[:-apart], order[apart:]
        other = pairs.locus[near] != pairs.locus[far]
        near, far = near[other], far[other]
        found = Moments.of(pairs.ref[near], pairs.alt[far])
        sums[:, near] += [found.cross, found.ref, found.alt, found.freedom]
    return Moments(*sums)


def rho_of(moments: Moments, counts: Counts) -> Estimate:
    """Pooled correlation with its interval over the resamples `counts` (B, n)."""
    value = moments.rho(np.ones((1, moments.cross.size)))[0]
    return estimate(float(value), moments.rho(counts.astype(np.float64)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceCheck:
    """The variance of a measured difference against what the noise of the alleles implies.

    Attributes:
      pairs: how many.
      sd: root mean square SD of one replicate of one allele.
      rho: pooled over these pairs.
      covariance: of the noise of both alleles, log2^2.
      independent: variance over replicates of the difference, over sigma_ref^2 + sigma_alt^2.
      correlated: the same over sigma_ref^2 + sigma_alt^2 - 2 rho sigma_ref sigma_alt, with the rho
        of all pairs of other loci.
    """

    pairs: int
    sd: float
    rho: Estimate
    covariance: Estimate
    independent: Estimate
    correlated: Estimate


def check_difference(
    pairs: Pairs, *, draws: int, rng: np.random.Generator
) -> dict[str, DifferenceCheck]:
    """Compare the measured variance of a difference, per replicate, with the implied one.

    Variances are pooled by their degrees of freedom before their ratio is taken. The loci are dealt
    into 5 folds, and the rho that serves a fold comes from the pairs of the other four, of every
    third; a resample estimates it anew.

    Args:
      pairs: with replicates on one scale.
      draws: bootstrap resamples of loci.
      rng: source of resamples and folds.

    Returns:
      {which pairs: check}: all, and each of `THIRDS`.
    """
    pairs, moments = _measured(pairs)
    counts = resample(pairs.locus, draws, rng)
    # The first row counts every pair once: the estimate itself.
    weights = np.vstack([np.ones(pairs.locus.size), counts])
    _, locus = np.unique(pairs.locus, return_inverse=True)
    fold = rng.permutation(np.arange(locus.max() + 1) % _LOCUS_FOLDS)[locus]
    shared = np.empty_like(weights)
    for number in range(_LOCUS_FOLDS):
        inside = fold == number
        rho = moments.where(~inside).rho(weights[:, ~inside])
        shared[:, inside] = 2 * rho[:, None] * moments.product[inside]
    noise = moments.ref + moments.alt
    variance = noise / moments.freedom
    third = np.searchsorted(np.quantile(variance, [1 / 3, 2 / 3]), variance)
    subsets = {"all": np.ones(third.size, bool)}
    subsets |= {name: third == number for number, name in enumerate(THIRDS)}
    found = {}
    for name, held in subsets.items():
        part, taken = moments.where(held), weights[:, held]
        sums = taken @ noise[held]
        direct = sums - 2 * (taken @ part.cross)
        implied = sums - (taken * shared[:, held]).sum(axis=1)
        freedom = taken @ part.freedom
        found[name] = DifferenceCheck(
            pairs=int(held.sum()),
            sd=float(np.sqrt(sums[0] / freedom[0] / 2)),
            rho=_first(part.rho(taken)),
            covariance=_first(taken @ part.cross / freedom),
            independent=_first(direct / sums),
            correlated=_first(direct / implied),
        )
    return found


def _first(values: Floats) -> Estimate:
    """Estimate whose value comes first, its draws (B,) after it."""
    return estimate(float(values[0]), values[1:])
