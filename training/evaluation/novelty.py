"""What training inserts look like: assay table -> the card's `novelty` entry.

Chosen on the validation fold, by how much of shuffled, random and repetitive sequence is flagged
where one in a hundred inserts is, in trials that no command repeats (`varsigma-train novelty` says
how the choice fares on the test fold):
* The least of several shares. Their product (Fisher) sees shuffles as well, but misses repeats; the
  Mahalanobis distance of the same measures, and mixtures of normals, miss most shuffles. What is
  strange is strange in one way, which then also has a name.
* Log-probability of 7-mers is read in its lower tail alone. Its upper tail is repeats, which the
  length of a repeat shows better, and a second tail costs a share of every window.
* RARE_ORDER is what finds shuffles that keep pairs of bases, beside RARE_KMERS for all others.
* Order 6 (7-mers) found more than order 5; order 7 would make the card's entry four times as large.

Designed inserts of the library (arrays of binding sites, shuffled controls) are left out: a user's
variant lies in a genome, and they would hide what they resemble.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.composition import (
    UNIT,
    Floats,
    K,
    KmerScores,
    Measures,
    kmer_places,
    pack,
    reversed_kmers,
)
from service.novelty import Aspect, Familiar, Tail, least_share, oriented
from service.sequence import Codes, encode
from training.assays import ASSAYS, INSERT, inserts_of
from training.datasets.homology import TEST_FOLD, VALIDATION_FOLD
from training.datasets.table import table_digest

DESIGNED = r"^C:SLEA|_shuffled_|^SCRAMBLED|^(?i:random)"
"""Names of the inserts that no genome has: arrays of binding sites, shuffles, random sequence."""
PSEUDO_COUNT = 20.0
"""Of a context of k bases, spread as the context of k - 1 bases says."""
SHARES = (
    *np.linspace(0.9, 0.3, 7).tolist(),
    *(a * b for a in (0.1, 0.01, 0.001, 0.0001) for b in (2.0, 1.5, 1.0, 0.7, 0.5, 0.3)),
)
"""Where a tail is kept, about: finer where p-values matter."""
_DIGITS = 6
_METHOD = (
    "order-6 Markov log-probabilities of both strands; least of five one-sided shares, each of "
    "inserts of a training fold under the log-probabilities of the others"
)


def fit_familiar(table: pd.DataFrame) -> Familiar:
    """Describe the training inserts of the served assays.

    Args:
      table: assay table, with `name`.

    Returns:
      The card's entry. Log-probabilities come from all training folds; the tails from each fold
      under log-probabilities of the other training folds, so that a p-value holds for new inserts.

    Raises:
      ValueError: fewer than two training folds hold such inserts.
    """
    inserts = library_inserts(table)
    training = inserts[~inserts["fold"].isin((TEST_FOLD, VALIDATION_FOLD))]
    folds = [codes_of(rows) for _, rows in training.groupby("fold")]
    if len(folds) < 2:
        raise ValueError(f"inserts of two or more training folds are needed, got {len(folds)}")
    counts = [_count(codes) for codes in folds]
    total = np.sum(counts, axis=0)
    held_out = [
        Measures.of(codes, KmerScores.build(*log_probabilities(total - own)))
        for codes, own in zip(folds, counts, strict=True)
    ]
    measures = Measures(*(np.concatenate(column) for column in _columns(held_out)))
    tails = {aspect: tail_of(values) for aspect, values, _ in oriented(measures)}
    unknown = _unknown_shares(table)
    kmers, pairs = log_probabilities(total)
    return Familiar(
        version=1,
        window=INSERT,
        k=7,
        kmers=pack(kmers),
        pairs=tuple(pairs.tolist()),
        tails=tails | {Aspect.UNKNOWN_BASES: tail_of(unknown)},
        combined=tail_of(-np.log10(least_share(measures, tails))),
        method=_METHOD,
        data=f"training folds of {inserts_of(table['assay'].unique())}, without its designed "
        "inserts",
        data_sha256=table_digest(table),
        n=len(training),
        n_windows=len(unknown),
    )


def library_inserts(table: pd.DataFrame, *, is_designed: bool = False) -> pd.DataFrame:
    """Inserts of the served assays, once each: cut from the genome, or else the designed ones."""
    served = [assay.name for assay in ASSAYS if assay.served is not None]
    rows = table[table["assay"].isin(served)].drop_duplicates("sequence")
    return rows[rows["name"].str.contains(DESIGNED) == is_designed]


def codes_of(rows: pd.DataFrame) -> Codes:
    """(n, W) codes of the inserts of one length in `rows`."""
    return np.stack([encode(sequence) for sequence in rows["sequence"]])


def log_probabilities(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Estimate how probable a base is after others, both strands together.

    The context of k bases starts from what its last k - 1 bases say, as `PSEUDO_COUNT` bases.

    Args:
      counts: (4**K,) of the k-mers on one strand.

    Returns:
      (4**K,) of a base given the six before, mean of both strands, and (16,) given the one before;
      in 1 / `UNIT` nats, rounded.
    """
    other = reversed_kmers(np.arange(4**K), K)
    both = (counts + counts[other]).astype(np.float64)
    p, pairs = np.full((1, 4), 0.25), np.empty(0)
    for k in range(1, K + 1):
        seen = both.reshape(-1, 4**k).sum(axis=0).reshape(-1, 4)
        prior = np.tile(p, (len(seen) // len(p), 1))
        p = (seen + PSEUDO_COUNT * prior) / (seen.sum(axis=1, keepdims=True) + PSEUDO_COUNT)
        if k == 2:
            pairs = np.log(p).ravel()
    log_p = np.log(p).ravel()
    strands = np.rint(UNIT * (log_p + log_p[other]) / 2)
    return strands.astype(np.int64), np.rint(UNIT * pairs).astype(np.int64)


def tail_of(values: Floats) -> Tail:
    """Keep the upper tail of (n,) values at about `SHARES`, with the exact share at each place.

    Just above the greatest value the share is 1 / n, however many have that value.
    """
    places = np.quantile(values, 1 - np.array(SHARES), method="closest_observation")
    ends = float(values.min()), float(values.max())
    top = ends[1] + 10.0 ** (1 - _DIGITS) * max(1.0, abs(ends[1]))
    kept = np.unique([*_rounded([*places, *ends]), *_rounded([top])])
    ordered = np.sort(values)
    shares = 1 - np.searchsorted(ordered, kept) / len(values)
    return Tail(
        values=tuple(kept.tolist()),
        shares=tuple(_rounded(np.maximum(shares, 1 / len(values)))),
    )


def _rounded(values: Iterable[float]) -> list[float]:
    """As many digits as a tail needs."""
    return [float(f"{value:.{_DIGITS}g}") for value in values]


def _count(codes: Codes) -> NDArray[np.int64]:
    places = kmer_places(codes).ravel()
    return np.bincount(places, minlength=4**K + 1)[: 4**K]


def _columns(parts: list[Measures]) -> Iterator[list[Floats]]:
    for name in Measures.__slots__:
        yield [getattr(part, name) for part in parts]


def _unknown_shares(table: pd.DataFrame) -> Floats:
    """Share of N of the windows that the network learnt from, of all assays."""
    rows = table[~table["fold"].isin((TEST_FOLD, VALIDATION_FOLD))]
    bases = rows["sequence"].drop_duplicates()
    known = bases.str.len() - bases.str.count("N")
    return 1 - known.to_numpy(np.float64) / INSERT
