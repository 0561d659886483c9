"""The 6-mer floor: counts in their place, a planted signal found, an honest penalty."""

from __future__ import annotations

import numpy as np

from training.evaluation.metrics import pearson
from training.evaluation.ridge import fit_floor, kmer_counts

MOTIF = "GATAAG"


def sequences(n: int, length: int = 60, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(row) for row in rng.choice(list("ACGT"), (n, length))]


def test_kmers_are_counted_in_their_place():
    counts = kmer_counts(["AAAAAAA", "ACGTACGTAC", "AAANAAA", "ACG"]).toarray()
    assert counts.shape == (4, 4096)
    assert (counts[0, 0], counts[0].sum()) == (2, 2)
    at = {"ACGTAC": 2, "CGTACG": 1, "GTACGT": 1, "TACGTA": 1}
    for kmer, times in at.items():
        assert counts[1, int("".join(str("ACGT".index(base)) for base in kmer), 4)] == times
    assert counts[1].sum() == 5
    assert counts[2:].sum() == 0


def test_the_floor_recovers_a_planted_kmer():
    # Three times the features it would need by chance alone: the motif stands out of 4096.
    inserts = sequences(1500)
    for row in range(0, 1500, 2):
        inserts[row] = inserts[row][:20] + MOTIF + inserts[row][26:]
    y = np.array([insert.count(MOTIF) for insert in inserts], float)
    y += np.random.default_rng(1).normal(0, 0.3, 1500)
    counts = kmer_counts(inserts)
    model, alpha = fit_floor((counts[:1000], y[:1000]), (counts[1000:1250], y[1000:1250]))
    assert pearson(model.predict(counts[1250:]), y[1250:]) > 0.6
    assert int(np.argmax(model.coef_)) == int("203002", 4)
    assert alpha in (30.0, 100.0, 300.0, 1000.0, 3000.0)


def test_the_penalty_is_chosen_on_the_validation_rows():
    inserts = sequences(300)
    y = np.random.default_rng(0).normal(size=300)
    counts = kmer_counts(inserts)
    train, validation = (counts[:200], y[:200]), (counts[200:], y[200:])
    scores = {}
    for alpha in (1.0, 1e5):
        model, _ = fit_floor(train, validation, alphas=[alpha])
        scores[alpha] = pearson(model.predict(validation[0]), validation[1])
    assert fit_floor(train, validation, alphas=[1.0, 1e5])[1] == max(scores, key=scores.get)
