"""Who is compared with whom, and where embeddings go."""

import pytest
import torch
from torch.nn.functional import normalize

from tests.training.losses.cases import case, name
from training.losses.contrastive import (
    ContrastiveAnchor,
    TripletAnchor,
    quiet_rows,
    similar_pairs,
)


def test_sequences_that_share_no_assay_are_never_similar():
    nan = torch.nan
    activity = torch.tensor([[0.0, nan], [0.01, nan], [nan, 0.0], [3.0, 0.01], [nan, 5.0]])
    similar = similar_pairs(activity, 0.5)
    assert torch.equal(similar, similar.T)
    assert not similar.diagonal().any()
    assert similar[0, 1]
    assert similar[2, 3]  # in the assay they share, whatever else one of them does
    assert not similar[0, 2]
    assert not similar[0, 3]


def test_a_row_drawn_twice_is_like_itself():
    # Samplers that draw with replacement put one sequence into a batch twice.
    activity = torch.tensor([[0.1234567], [0.1234567], [0.9], [2.0], [4.0]])
    assert similar_pairs(activity, 0.01).nonzero().tolist() == [[0, 1], [1, 0]]


def test_quiet_is_less_than_the_quantile_of_mean_noise():
    nan = torch.nan
    noise = torch.tensor([[0.2, nan], [2.0, 4.0], [nan, nan], [0.5, 0.7], [nan, 9.0]])
    assert quiet_rows(noise, 0.5).tolist() == [True, False, False, True, False]
    assert quiet_rows(noise, 0.75).tolist() == [True, False, True, True, False]
    assert not quiet_rows(torch.full((5, 2), nan), 0.5).any()


@pytest.mark.parametrize("loss", [ContrastiveAnchor(), TripletAnchor()], ids=name)
def test_only_the_direction_of_an_embedding_counts(loss):
    batch, prediction = case()
    value = loss(prediction, batch).item()
    with torch.no_grad():
        prediction.embedding.mul_(torch.linspace(0.5, 3, 40)[:, None])
    assert loss(prediction, batch).item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("loss", [ContrastiveAnchor(), TripletAnchor()], ids=name)
def test_quiet_sequences_of_like_activity_gather_and_noisy_ones_are_left_outside(loss):
    batch, prediction = case()
    similar = similar_pairs(batch.activity, loss.activity_quantile)
    quiet = quiet_rows(batch.noise, loss.noise_quantile)
    positive, negative = similar & quiet & quiet[:, None], similar & ~quiet & quiet[:, None]

    def contrast():
        z = normalize(prediction.embedding.detach(), dim=1)
        cosine = z @ z.T
        return (cosine[positive].mean() - cosine[negative].mean()).item()

    before = contrast()
    optimizer = torch.optim.Adam([prediction.embedding], lr=0.1)
    for _ in range(40):
        optimizer.zero_grad()
        loss(prediction, batch).backward()
        optimizer.step()
    assert contrast() > before + 0.3
