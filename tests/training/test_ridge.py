"""The 6-mer floor: counts in their place, a planted signal found, an honest penalty."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation import ridge
from training.evaluation.metrics import pearson
from training.evaluation.ridge import LIMITS, fit_floor, kmer_counts

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
    assert LIMITS[0] < alpha < LIMITS[1]


class Scored:
    """Stands in for the ridge: the nearer its penalty to the best, the better it correlates."""

    def __init__(self, best: float) -> None:
        self.best, self.tried = best, []

    def __call__(self, alpha, train, validation):
        self.tried.append(alpha)
        return -abs(np.log(alpha / self.best)), alpha


@pytest.mark.parametrize(
    ("best", "found", "tried"),
    [
        (300.0, 300.0, [100.0, 300.0, 1000.0]),
        (900.0, 1000.0, [100.0, 300.0, 1000.0, 1000.0 * 10 / 3]),
        (11.0, 100 / 9, [100.0, 300.0, 1000.0, 100 / 3, 100 / 9, 100 / 27]),
    ],
)
def test_the_grid_goes_on_while_the_best_is_at_an_end(monkeypatch, best, found, tried):
    scored = Scored(best)
    monkeypatch.setattr(ridge, "_fit", scored)
    model, alpha = fit_floor((), (), alphas=(100.0, 300.0, 1000.0))
    assert alpha == model == pytest.approx(found)
    assert scored.tried == pytest.approx(tried)


@pytest.mark.parametrize("best", [0.0 + 1e-300, 1e300])
def test_the_grid_ends_somewhere(monkeypatch, best):
    monkeypatch.setattr(ridge, "_fit", Scored(best))
    _, alpha = fit_floor((), ())
    assert LIMITS[0] <= alpha <= LIMITS[1]


def test_a_single_penalty_is_taken_as_it_is(monkeypatch):
    monkeypatch.setattr(ridge, "_fit", Scored(1.0))
    assert fit_floor((), (), alphas=[30.0]) == (30.0, 30.0)


def test_the_penalty_is_chosen_on_the_validation_rows():
    inserts = sequences(300)
    y = np.random.default_rng(0).normal(size=300)
    counts = kmer_counts(inserts)
    train, validation = (counts[:200], y[:200]), (counts[200:], y[200:])
    _, alpha = fit_floor(train, validation)
    scores = {}
    for other in (alpha / 3, alpha, alpha * 3):
        model, _ = fit_floor(train, validation, alphas=[other])
        scores[other] = pearson(model.predict(validation[0]), validation[1])
    assert scores[alpha] == max(scores.values())
