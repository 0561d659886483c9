"""Each loss, term by term, against the slow twin of its formula."""

import pytest

from tests.training.losses import naive
from tests.training.losses.cases import LOSSES, case, name
from training.losses.contrastive import ContrastiveAnchor, TripletAnchor
from training.losses.gating import AdaptiveNoiseGated, NoiseGated, NoiseGatedMSE
from training.losses.pairs import HardPairs
from training.losses.ranking import RankedMeanVariance, RankStability
from training.losses.regression import Heteroscedastic, MaskedMSE, MeanVariance


def expected(loss, d):  # noqa: PLR0911 (one case per loss)
    match loss:
        case MaskedMSE():
            return {"mse": naive.mse(d)}
        case MeanVariance(space, lambda_var, lambda_residual):
            terms = {
                "mse": naive.mse(d),
                "variance": lambda_var * naive.variance(d, space),
                "residual": lambda_residual * naive.residual(d),
            }
            if isinstance(loss, RankedMeanVariance):
                terms["rank"] = loss.alpha * naive.rank(d, 1.0)
            return terms
        case Heteroscedastic(space, lambda_var):
            return {"nll": naive.nll(d), "variance": lambda_var * naive.variance(d, space)}
        case RankStability(noise_k, scale, floor):
            return {"rank": naive.rank(d, noise_k, scale, floor)}
        case NoiseGated(alpha, beta, noise_k, space):
            if isinstance(loss, AdaptiveNoiseGated):
                alpha *= max(0.0, (d.progress - loss.quiet_share) / (1 - loss.quiet_share))
            return {
                "nll": naive.nll(d),
                "rank": alpha * naive.rank(d, noise_k),
                "variance": beta * naive.variance(d, space),
            }
        case NoiseGatedMSE(alpha, noise_k):
            return {"mse": naive.gated_mse(d), "rank": alpha * naive.rank(d, noise_k)}
        case ContrastiveAnchor(temperature, noise_quantile, activity_quantile, weight):
            anchors = naive.neighbours(d, activity_quantile, noise_quantile)
            assert len(anchors) > 5
            contrast = naive.contrast(d, temperature, anchors)
            return {"mse": naive.mse(d), "contrast": weight * contrast}
        case TripletAnchor(margin, noise_quantile, activity_quantile, weight):
            anchors = naive.neighbours(d, activity_quantile, noise_quantile)
            return {"mse": naive.mse(d), "triplet": weight * naive.triplet(d, margin, anchors)}
        case HardPairs(weight):
            return {"mse": naive.mse(d), "pairs": weight * naive.pairs(d)}
    raise NotImplementedError(f"write the twin of {loss} in naive.py")


CASES = (
    *LOSSES,
    RankStability(noise_k=2.5, floor=0.05),
    ContrastiveAnchor(temperature=0.05, noise_quantile=0.6, activity_quantile=0.2, weight=0.5),
    TripletAnchor(margin=0.2, noise_quantile=0.4, activity_quantile=0.3, weight=2.0),
)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("loss", CASES, ids=name)
def test_a_loss_equals_its_formula(loss, seed):
    batch, prediction = case(seed)
    terms = loss.terms(prediction, batch)
    wanted = expected(loss, naive.Labels(batch, prediction))
    assert {key: value.item() for key, value in terms.items()} == pytest.approx(wanted, rel=2e-5)
    assert loss(prediction, batch).item() == pytest.approx(sum(wanted.values()), rel=2e-5)


def test_rank_stability_is_the_published_loss_on_the_published_data():
    # One assay, every label with an SD n in log2 units: v = n^2, nothing relative, nothing missing.
    batch, prediction = case(assays=1)
    kept = ~batch.noise.isnan().squeeze(1)
    batch = batch._replace(
        activity=batch.activity[kept], variance=batch.variance[kept], noise=batch.noise[kept]
    )
    mu = prediction.mu[kept]
    d = naive.Labels(batch, prediction)
    d.mu, d.v = mu.detach().double().numpy(), d.v * d.sd**2
    d.sd = d.sd * 0 + 1
    loss = RankStability(scale="absolute").instability(mu, batch)
    assert loss.item() == pytest.approx(naive.rank(d, scale="absolute"), rel=1e-5)


@pytest.mark.parametrize(("epoch", "alpha"), [(0, 0.0), (10, 0.0), (45, 0.25), (80, 0.5)])
def test_the_adaptive_gate_opens_as_in_the_study(epoch, alpha):
    batch, _ = case()
    assert AdaptiveNoiseGated().gate(batch.progress * 0 + epoch / 80).item() == pytest.approx(alpha)
