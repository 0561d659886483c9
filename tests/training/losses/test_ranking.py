"""Pair weights: what they are worth, and what they do to training."""

import pytest
import torch

from tests.training.losses.cases import case, gradient
from training.losses.base import absolute_variance
from training.losses.ranking import RankStability, weight_spread


def test_pair_weights_have_a_mean_of_one_in_every_assay():
    batch, _ = case()
    for column in range(batch.activity.shape[1]):
        one = batch._replace(
            activity=batch.activity[:, [column]],
            variance=batch.variance[:, [column]],
            noise=batch.noise[:, [column]],
            sd=batch.sd[[column]],
        )
        weights = RankStability().pair_weights(one)
        n = int((~one.activity.isnan()).sum())
        ties = 0 if one.activity[0].isnan().any() else 1
        assert len(weights) == n * (n - 1) // 2 - ties
        assert weights.mean().item() == pytest.approx(1, rel=1e-5)


def test_relative_weights_differ_where_published_ones_are_nearly_flat():
    # Variances as in the study: a mean near 0.08 and hardly any above 1.
    batch, _ = case(n=200)
    batch = batch._replace(variance=batch.noise * 0.04, sd=torch.ones(3))
    relative = weight_spread(RankStability().pair_weights(batch))
    absolute = weight_spread(RankStability(scale="absolute").pair_weights(batch))
    assert relative.sd > 0.7
    assert absolute.sd < 0.1
    assert relative.effective_share < 0.7
    assert absolute.effective_share > 0.99
    assert relative.low < relative.median < relative.high


def test_relative_weights_do_not_depend_on_the_scale_of_an_assay():
    batch, _ = case()
    louder = batch._replace(variance=batch.variance * 100, sd=batch.sd * 7)
    relative, absolute = RankStability(), RankStability(scale="absolute")
    assert torch.equal(relative.pair_weights(batch), relative.pair_weights(louder))
    assert not torch.allclose(absolute.pair_weights(batch), absolute.pair_weights(louder))


def test_the_spread_of_known_weights():
    flat = weight_spread(torch.ones(10))
    assert (flat.n_pairs, flat.sd, flat.effective_share) == (10, 0.0, 1.0)
    halves = weight_spread(torch.tensor([2.0, 2.0, 0.0, 0.0]))
    assert (halves.sd, halves.median, halves.effective_share) == (1.0, 1.0, 0.5)


def test_unknown_noise_counts_as_typical():
    batch, _ = case()
    typical = batch._replace(noise=batch.noise.nan_to_num(nan=1.0))
    assert torch.equal(RankStability().pair_weights(batch), RankStability().pair_weights(typical))
    filled = absolute_variance(batch)
    unknown = batch.variance.isnan()
    known = (batch.variance * batch.sd**2)[~unknown]
    torch.testing.assert_close(filled[~unknown], known)
    # The medians of the case are 0.25 and 0.4; its first assay has no replicates at all.
    wanted = (torch.tensor([0.0, 0.25, 0.4]) * batch.sd**2).expand_as(filled)
    torch.testing.assert_close(filled[unknown], wanted[unknown])


def test_a_pair_of_noisy_labels_pulls_less_than_a_quiet_one():
    batch, prediction = case(assays=1)
    activity = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
    noise = torch.tensor([[0.2], [0.2], [4.0], [4.0]])
    batch = batch._replace(activity=activity, noise=noise, variance=noise)
    with torch.no_grad():
        prediction.mu.zero_()
    pulled = RankStability().instability(prediction.mu[:4], batch)
    (found,) = torch.autograd.grad(pulled, prediction.mu)
    quiet, noisy = found[1].abs().item(), found[3].abs().item()
    assert quiet > 1.5 * noisy > 0


def test_an_assay_counts_by_its_labels_and_not_by_its_pairs():
    batch, prediction = case(assays=2)
    activity = batch.activity.nan_to_num(nan=0.3) + torch.arange(40)[:, None] / 1000
    activity[10:, 1] = (
        torch.nan
    )  # 40 labels against 10: four times as many, sixteen times the pairs
    batch = batch._replace(activity=activity)
    both = RankStability().instability(prediction.mu, batch)
    alone = [
        RankStability().instability(
            prediction.mu[:, [a]],
            batch._replace(activity=activity[:, [a]], noise=batch.noise[:, [a]]),
        )
        for a in (0, 1)
    ]
    assert both.item() == pytest.approx((40 * alone[0] + 10 * alone[1]).item() / 50, rel=1e-5)


def test_an_assay_with_one_label_or_one_value_counts_nothing():
    batch, prediction = case(assays=2)
    activity = batch.activity.clone()
    activity[:, 1] = torch.nan
    without = gradient(RankStability(), prediction, batch._replace(activity=activity))
    for rows in ([5], [4, 7]):
        activity = activity.clone()
        activity[rows, 1] = 0.25
        found = gradient(RankStability(), prediction, batch._replace(activity=activity))
        torch.testing.assert_close(found, without)
