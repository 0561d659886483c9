"""Mined pairs: rows 2i and 2i + 1 and nothing else."""

import pytest
import torch

from tests.training.losses.cases import case, reordered
from training.losses.pairs import HardPairs


def test_only_partners_are_ranked():
    batch, prediction = case()
    shifted = reordered(batch, prediction, torch.arange(40).roll(1))
    pairs = HardPairs().terms(prediction, batch)["pairs"]
    assert HardPairs().terms(shifted[1], shifted[0])["pairs"].item() != pytest.approx(pairs.item())


def test_a_pair_is_pushed_into_its_measured_order():
    batch, prediction = case(assays=1)
    activity = torch.tensor([[1.0], [0.9], [0.2], [0.4], [0.5], [0.5], [torch.nan], [1.0]])
    with torch.no_grad():
        prediction.mu.zero_()
    batch = batch._replace(activity=activity)
    value = HardPairs(weight=1.0).terms(prediction=_first(prediction, 8), batch=batch)["pairs"]
    (found,) = torch.autograd.grad(value, prediction.mu)
    # Ties and pairs that were not both measured are left alone.
    assert found[:8, 0].tolist() == pytest.approx([-0.25, 0.25, 0.25, -0.25, 0, 0, 0, 0])


def _first(prediction, n):
    return type(prediction)(prediction.mu[:n], None, prediction.embedding[:n])


def test_an_odd_batch_is_refused():
    batch, prediction = case(n=39)
    with pytest.raises(ValueError, match="even batch size, not 39"):
        HardPairs()(prediction, batch)
