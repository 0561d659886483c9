"""Metrics of one run: against scipy, and honest where scale, noise and width are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from training.campaign.calibration import Affine, Width
from training.campaign.data import held_out_rows
from training.campaign.labels import POOLED, held_out, variants
from training.campaign.metrics import (
    CAGI5,
    MEAN,
    TEST,
    Measure,
    challenge_metrics,
    held_out_metrics,
)
from training.campaign.predict import Predictions
from training.datasets.cagi5 import ELEMENTS, GROUPS, K562_MATCHED
from training.evaluation.metrics import partial_spearman

ASSAYS = ("mattioli2018_pool1_K562", "mattioli2018_pool1_HepG2")
PER_FOLD = 150
DRAWS = 60


def toy_table(seed: int = 0) -> pd.DataFrame:
    """Two assays of 10 folds; labels = truth + noise of known SD, which falls with activity."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, assay in enumerate(ASSAYS):
        n = 10 * PER_FOLD
        truth = rng.normal(number, 1 + number, n)
        noise_sd = np.exp(rng.normal(-1, 0.7, n) - 0.2 * truth)
        parts.append(
            pd.DataFrame(
                {
                    "sequence": [f"{assay}{i}" for i in range(n)],
                    "assay": assay,
                    "truth": truth,
                    "activity": truth + rng.normal(size=n) * noise_sd,
                    "noise_sd": noise_sd,
                    "cluster": np.arange(n) // 2,
                    "fold": np.arange(n) % 10,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


TABLE = toy_table()
LABELS = held_out(TABLE, draws=DRAWS, seed=0)


def standardised(split: str, column: str = "truth") -> np.ndarray:
    """A column of a held-out fold in each assay's training units."""
    train = TABLE[TABLE["fold"] > 1].groupby("assay")["activity"]
    rows = held_out_rows(TABLE, split)
    mean, sd = rows["assay"].map(train.mean()), rows["assay"].map(train.std())
    shift = 0.0 if column == "noise_sd" else mean
    return ((rows[column] - shift) / sd).to_numpy()


def predictions(
    scale: float = 1.0, offset: float = 0.0, *, has_head: bool = True, error: float = 0.3
) -> Predictions:
    rng = np.random.default_rng(7)
    mu, log_var = {}, {}
    for split in ("test", "validation"):
        truth = standardised(split)
        f = truth + rng.normal(0, error, truth.size)
        mu[split] = (offset + scale * f).astype(np.float32)
        log_var[split] = (2 * np.log(standardised(split, "noise_sd"))).astype(np.float32)
    return Predictions(
        test_mu=mu["test"],
        test_log_var=log_var["test"] if has_head else None,
        validation_mu=mu["validation"],
        validation_log_var=log_var["validation"] if has_head else None,
        cagi5_plus=np.zeros(0, np.float32),
        cagi5_minus=np.zeros(0, np.float32),
        cagi5_cell=np.zeros(0, np.float32),
    )


def values(found, element=ASSAYS[0]):
    return {m.metric: sample.value for m, sample in found.items() if m.element == element}


def test_each_metric_is_what_scipy_says():
    run = predictions(scale=2.0, offset=0.5)
    found = values(held_out_metrics(run, LABELS))
    rows = (held_out_rows(TABLE, "test")["assay"] == ASSAYS[0]).to_numpy()
    seen = (held_out_rows(TABLE, "validation")["assay"] == ASSAYS[0]).to_numpy()
    y, n = standardised("test", "activity")[rows], standardised("test", "noise_sd")[rows]
    mu = run.test_mu[rows].astype(float)
    fit = stats.linregress(run.validation_mu[seen], standardised("validation", "activity")[seen])
    error = np.abs(y - fit.intercept - fit.slope * mu)
    assert found["pearson"] == pytest.approx(stats.pearsonr(mu, y).statistic)
    assert found["spearman"] == pytest.approx(stats.spearmanr(mu, y).statistic)
    assert found["scale"] == pytest.approx(fit.slope)
    assert found["offset"] == pytest.approx(fit.intercept)
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert found["rmse_raw"] == pytest.approx(np.sqrt(np.mean((y - mu) ** 2)))
    assert found["r_noise"] == pytest.approx(stats.pearsonr(error, n).statistic)
    assert found["r_noise_raw"] == pytest.approx(stats.pearsonr(np.abs(y - mu), n).statistic)
    assert found["r_noise_partial"] == pytest.approx(partial_spearman(error, n, y), abs=1e-9)
    order = np.argsort(n)
    for name, part in {"quiet": order[:30], "noisy": order[-30:]}.items():
        expected = stats.spearmanr(mu[part], y[part]).statistic
        assert found[f"spearman_{name}"] == pytest.approx(expected)
    assert found["spearman_noise_gap"] == pytest.approx(
        found["spearman_quiet"] - found["spearman_noisy"]
    )
    sigma = np.exp(run.test_log_var[rows] / 2).astype(float)
    raw = stats.norm.logpdf(y, mu, sigma)
    assert found["nll_raw"] == pytest.approx(-raw.mean())
    inside = np.abs(y - mu) <= stats.norm.ppf(0.9) * sigma
    assert found["coverage80_raw"] == pytest.approx(inside.mean())
    assert found["sigma_spearman"] == pytest.approx(stats.spearmanr(sigma, n).statistic)
    # Logarithms of both, and an SD below a hundredth of the median counts as that.
    floored = np.log(np.maximum(n, 0.01 * np.median(n)))
    expected = stats.pearsonr(run.test_log_var[rows] / 2, floored).statistic
    assert found["sigma_log_pearson"] == pytest.approx(expected)
    # The width, too, is fitted on the validation fold alone.
    y_seen, mu_seen = standardised("validation", "activity")[seen], run.validation_mu[seen]
    width = Width.fit(
        y_seen - fit.intercept - fit.slope * mu_seen, run.validation_log_var[seen].astype(float)
    )
    sd = width(run.test_log_var[rows].astype(float), y.size)
    calibrated = stats.norm.logpdf(y, fit.intercept + fit.slope * mu, sd)
    assert found["nll"] == pytest.approx(-calibrated.mean(), rel=1e-4)
    assert found["sigma_given_activity"] == pytest.approx(partial_spearman(sigma, n, y), abs=1e-9)


def test_the_mean_is_over_assays_and_is_unweighted():
    found = held_out_metrics(predictions(), LABELS)
    for metric in ("pearson", "r_noise", "nll", "sigma_spearman"):
        of_assays = [found[Measure(TEST, metric, assay)].value for assay in ASSAYS]
        assert found[Measure(TEST, metric, MEAN)].value == pytest.approx(np.mean(of_assays))


def test_replicates_that_agree_by_chance_do_not_outweigh_all_others():
    table = TABLE.copy()
    first = table.index[(table["fold"] == 0) & (table["assay"] == ASSAYS[0])][:5]
    table.loc[first, "noise_sd"] = 1e-9
    rows = held_out(table, draws=20, seed=0).test[ASSAYS[0]]
    least = np.log(0.01 * np.median(rows.noise.values))
    assert rows.log_noise.values[:5] == pytest.approx(np.full(5, least))
    assert (rows.log_noise.values[5:] > least).all()


def test_assays_that_share_clusters_are_resampled_together():
    # Apart, the mean of two assays of the same sequences had an interval narrower by sqrt(2).
    first = TABLE[TABLE["assay"] == ASSAYS[0]]
    table = pd.concat([first, first.assign(assay=ASSAYS[1])], ignore_index=True)
    labels = held_out(table, draws=DRAWS, seed=0)
    rows = (held_out_rows(TABLE, "test")["assay"] == ASSAYS[0]).to_numpy()
    parts = {name: getattr(predictions(), name) for name in Predictions.__dataclass_fields__}
    for name in ("test_mu", "test_log_var", "validation_mu", "validation_log_var"):
        parts[name] = np.tile(parts[name][rows], 2)
    found = held_out_metrics(Predictions(**parts), labels)
    one, both = (found[Measure(TEST, "spearman", e)].draws for e in (ASSAYS[0], MEAN))
    np.testing.assert_allclose(both, one)
    assert one.std() > 0


def test_intervals_hold_the_value_and_calibration_has_none():
    found = held_out_metrics(predictions(), LABELS)
    for measure, sample in found.items():
        held = sample.estimate
        if measure.metric in {"scale", "offset"}:
            assert np.isnan(held.low)
        else:
            assert held.low <= held.value <= held.high, measure


def test_scale_and_offset_of_a_ranking_loss_change_nothing_but_what_is_raw():
    plain = values(held_out_metrics(predictions(), LABELS))
    moved = values(held_out_metrics(predictions(scale=6.0, offset=3.0), LABELS))
    free = {name for name in plain if not name.endswith("_raw")} - {"scale", "offset"}
    for name in free:
        assert moved[name] == pytest.approx(plain[name], abs=2e-4), name
    assert moved["rmse_raw"] > 5 * plain["rmse_raw"]
    # The published artefact: uncalibrated, |f - y| is a function of f, and so of the noise.
    assert abs(moved["r_noise_raw"] - plain["r_noise_raw"]) > 0.1


def test_a_head_that_knows_the_noise_earns_likelihood_and_coverage():
    found = values(held_out_metrics(predictions(), LABELS), MEAN)
    assert found["nll"] < found["nll_constant"] - 0.05
    assert found["sigma_spearman"] == pytest.approx(1)
    assert found["coverage80"] == pytest.approx(0.8, abs=0.06)
    # The network's own error is missing from the head: too narrow as it is.
    assert found["coverage80_raw"] < found["coverage80"] - 0.05
    assert found["nll_raw"] > found["nll"]


def test_without_a_head_there_is_one_width_and_nothing_of_sigma():
    found = values(held_out_metrics(predictions(has_head=False), LABELS))
    assert found["nll"] == pytest.approx(found["nll_constant"])
    assert not {name for name in found if name.startswith("sigma") or name.endswith("0_raw")}


def test_a_constant_prediction_is_undefined_and_not_0():
    run = predictions(has_head=False)
    flat = Predictions(
        test_mu=np.full_like(run.test_mu, 0.1),
        test_log_var=None,
        validation_mu=np.full_like(run.validation_mu, 0.1),
        validation_log_var=None,
        cagi5_plus=run.cagi5_plus,
        cagi5_minus=run.cagi5_minus,
        cagi5_cell=run.cagi5_cell,
    )
    found = values(held_out_metrics(flat, LABELS), MEAN)
    assert np.isnan(found["pearson"])
    assert np.isnan(found["spearman"])
    assert found["rmse"] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("column", ["test_mu", "validation_mu", "test_log_var"])
def test_predictions_of_other_rows_or_not_finite_are_refused(column):
    run = predictions()
    for value in (getattr(run, column)[:-1], np.full_like(getattr(run, column), np.nan)):
        parts = {name: getattr(run, name) for name in Predictions.__dataclass_fields__}
        with pytest.raises(ValueError, match="finite predictions"):
            held_out_metrics(Predictions(**parts | {column: value}), LABELS)


def test_validation_labels_decide_the_calibration_and_test_labels_do_not():
    other = TABLE.copy()
    is_test = other["fold"] == 0
    other.loc[is_test, "activity"] = other.loc[is_test, "activity"].to_numpy()[::-1]
    found = values(held_out_metrics(predictions(), held_out(other, draws=20, seed=0)))
    plain = values(held_out_metrics(predictions(), LABELS))
    assert (found["scale"], found["offset"]) == (plain["scale"], plain["offset"])
    assert found["pearson"] < 0.3 < plain["pearson"]


def test_affine_of_a_constant_is_the_mean():
    assert Affine.fit(np.full(9, 0.3), np.arange(9.0)) == Affine(0.0, 4.0)


def test_width_finds_noise_and_error():
    rng = np.random.default_rng(0)
    log_var = rng.normal(-1, 1, 4000)
    residual = rng.normal(size=4000) * np.sqrt(0.2 + 1.5 * np.exp(log_var))
    found = Width.fit(residual, log_var)
    assert found.floor == pytest.approx(0.2, abs=0.06)
    assert found.slope == pytest.approx(1.5, rel=0.15)
    alone = Width.fit(residual, None)
    assert alone(None, 3) == pytest.approx(np.full(3, np.sqrt(np.mean(residual**2))))
    # A head that says nothing is not believed.
    assert Width.fit(rng.normal(size=4000), log_var).slope < 0.05


def toy_variants(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 60 * len(ELEMENTS)
    return pd.DataFrame(
        {
            "element": np.repeat(ELEMENTS, 60),
            "pos": np.tile(np.arange(60) // 3, len(ELEMENTS)),
            "value": rng.normal(size=n),
            "confidence": rng.uniform(0, 0.2, n),
        }
    )


def test_challenge_metrics_are_what_scipy_says_of_both_strands():
    table = toy_variants()
    rng = np.random.default_rng(3)
    plus, minus, cell = table["value"].to_numpy() + rng.normal(size=(3, len(table)))
    run = predictions()
    parts = {name: getattr(run, name) for name in Predictions.__dataclass_fields__}
    effects = {"cagi5_plus": plus, "cagi5_minus": minus, "cagi5_cell": cell}
    parts |= {name: effect.astype(np.float32) for name, effect in effects.items()}
    found = challenge_metrics(Predictions(**parts), variants(table, draws=DRAWS, seed=0))
    both, value = (plus + minus) / 2, table["value"].to_numpy()
    chosen = (table["element"] == "HBB").to_numpy()
    high = (table["confidence"] >= 0.1).to_numpy()
    for metric, rows in {
        "spearman": chosen,
        "spearman_high": chosen & high,
        "spearman_low": chosen & ~high,
    }.items():
        sample = found[Measure(CAGI5, metric, "HBB")]
        assert sample.value == pytest.approx(stats.spearmanr(both[rows], value[rows]).statistic)
        assert sample.estimate.low <= sample.value <= sample.estimate.high
    gap = found[Measure(CAGI5, "spearman_gap", "HBB")].value
    parts_of = [found[Measure(CAGI5, f"spearman_{s}", "HBB")].value for s in ("high", "low")]
    assert gap == pytest.approx(parts_of[0] - parts_of[1])
    group = found[Measure(CAGI5, "pearson", "K562-matched (4)")].value
    members = [
        stats.pearsonr(both[rows], value[rows]).statistic
        for rows in ((table["element"] == e).to_numpy() for e in K562_MATCHED)
    ]
    assert group == pytest.approx(np.mean(members))
    for split, effect in {"challenge_minus": minus, "challenge_cell": cell}.items():
        alone = found[Measure(split, "spearman", "HBB")].value
        assert alone == pytest.approx(stats.spearmanr(effect[chosen], value[chosen]).statistic)
    assert {m.element for m in found if m.split == CAGI5} == {*ELEMENTS, *GROUPS}


def test_alleles_of_one_position_and_cells_of_one_locus_are_drawn_together():
    table = toy_variants()
    ready = variants(table, draws=DRAWS, seed=0)
    of_hbb = ready.labels["HBB", "all"].weights.counts
    pos = table["pos"].to_numpy()[ready.rows["HBB", "all"]]
    for position in np.unique(pos):
        alleles = of_hbb[:, pos == position]
        assert alleles.shape[1] == 3
        assert (alleles == alleles[:, :1]).all()
    assert (of_hbb[:, ::3] != of_hbb[:, :1]).any()  # positions do differ
    glioblastoma, kidney = (
        ready.labels[f"TERT-{cell}", "all"].weights.counts for cell in ("GBM", "HEK293T")
    )
    assert (glioblastoma == kidney).all()
    assert (of_hbb != ready.labels["HBG1", "all"].weights.counts).any()


@pytest.mark.parametrize("group", POOLED)
def test_pooled_ranks_the_variants_of_a_group_in_one_list(group):
    table = toy_variants()
    table["value"] += np.repeat(np.arange(len(ELEMENTS)), 60)  # so that pooling matters
    plus, minus, cell = table["value"].to_numpy() + np.random.default_rng(3).normal(
        size=(3, len(table))
    )
    run = predictions()
    parts = {name: getattr(run, name) for name in Predictions.__dataclass_fields__}
    parts |= {"cagi5_plus": plus, "cagi5_minus": minus, "cagi5_cell": cell}
    found = challenge_metrics(Predictions(**parts), variants(table, draws=DRAWS, seed=0))
    rows = table["element"].isin(GROUPS[group]).to_numpy()
    both = ((plus + minus) / 2)[rows], table["value"].to_numpy()[rows]
    pooled = found[Measure(CAGI5, "spearman_pooled", group)]
    assert pooled.value == pytest.approx(stats.spearmanr(*both).statistic)
    assert pooled.value > 0.1 + found[Measure(CAGI5, "spearman", group)].value
    assert pooled.estimate.low < pooled.value < pooled.estimate.high
    in_line = found[Measure(CAGI5, "pearson_pooled", group)].value
    assert in_line == pytest.approx(stats.pearsonr(*both).statistic)


def test_effects_of_other_variants_are_refused():
    ready = variants(toy_variants(), draws=20, seed=0)
    with pytest.raises(ValueError, match="finite predictions"):
        challenge_metrics(predictions(), ready)
