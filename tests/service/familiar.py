"""A card's `novelty` entry made by hand: uniform random windows are familiar."""

import json
from functools import cache

import numpy as np

from service.composition import K, KmerScores, Measures, pack, reversed_kmers
from service.novelty import Aspect, least_share, oriented
from service.novelty import Tail as _Tail

WIDTH = 80
PAIRS = [-1386] * 16


def entry(log_p=None, width=WIDTH):
    """JSON of an entry, for these log-probabilities of 7-mers, by default drawn at random."""
    return json.loads(_entry(None if log_p is None else tuple(log_p.tolist()), width))


@cache
def _entry(values, width):
    rng = np.random.default_rng(7)
    other = reversed_kmers(np.arange(4**K), K)
    drawn = rng.integers(500, 2500, 4**K)
    log_p = -np.minimum(drawn, drawn[other]) if values is None else np.array(values)
    scores = KmerScores.build(log_p, np.array(PAIRS))
    measures = Measures.of(rng.integers(0, 4, (4000, width), dtype=np.uint8), scores)
    tails = {aspect: tail(values) for aspect, values, _ in oriented(measures)}
    unknown = {"values": [0.0, 0.5, 0.500001], "shares": [1.0, 0.2, 0.001]}
    return json.dumps(
        {
            "version": 1,
            "window": width,
            "k": K,
            "kmers": pack(log_p),
            "pairs": PAIRS,
            "tails": {aspect.value: of.model_dump(mode="json") for aspect, of in tails.items()}
            | {Aspect.UNKNOWN_BASES.value: unknown},
            "combined": tail(-np.log10(least_share(measures, tails))).model_dump(mode="json"),
            "method": "by hand",
            "data": "none",
            "data_sha256": "0",
            "n": 4000,
            "n_windows": 1000,
        }
    )


def tail(values):
    """Every distinct value with the share at or above it; 1 / n above the greatest."""
    places, counts = np.unique(values, return_counts=True)
    shares = np.cumsum(counts[::-1])[::-1] / len(values)
    return _Tail(
        values=(*places.tolist(), places[-1] + 1e-6), shares=(*shares.tolist(), 1 / len(values))
    )
