"""A made-up campaign in the two files that the report reads: no training, every number planted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.datasets.cagi5 import ELEMENTS, GROUPS

SEEDS = (42, 123, 456, 789, 1011)
ASSAYS = ("mattioli2018_pool1_K562", "mattioli2018_pool2_K562", "inoue2017_HepG2")
MATCHED = "K562-matched (4)"
# arm, family, seeds of the main suite, published ids
ARMS: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    ("rank_stability", "rank_stability", 3, ("RS1", "RS2", "RS3")),
    ("rank_stability.k0.5", "rank_stability", 1, ("RS8",)),
    ("rank_stability.k1.5", "rank_stability", 1, ("ABL7",)),
    ("rank_stability.k2", "rank_stability", 1, ("RS7",)),
    ("factorized.rank_stability", "rank_stability", 3, ("RS4", "RS5", "RS6")),
    ("distributional", "distributional", 3, ("DH1", "DH2", "DH3")),
    ("distributional.lambda2", "distributional", 1, ("DH8",)),
    ("dh7", "distributional", 1, ("DH7",)),
    ("heteroscedastic", "distributional", 3, ("DH4", "DH5", "DH6")),
    ("contrastive_anchor", "contrastive", 3, ("CA1", "CA2", "CA3")),
    ("triplet_anchor", "contrastive", 3, ("CA4", "CA5", "CA6")),
    ("noise_gated", "noise_gated", 3, ("NG1", "NG2", "NG3")),
    ("noise_gated.alpha0.5", "noise_gated", 1, ("NG8=ABL4",)),
    ("adaptive_noise_gated", "noise_gated", 3, ("NG4", "NG5", "NG6")),
    ("factorized_full.noise_gated.quantile", "noise_gated", 1, ("BEST4",)),
    ("quantile", "quantile", 3, ("QS1", "QS2", "QS3")),
    ("quantile_noise", "quantile", 3, ("QS4", "QS5", "QS6")),
    ("factorized.quantile_curriculum", "quantile", 3, ("QC4", "QC5", "QC6")),
    ("hard_negative", "hard_negative", 3, ("HN1", "HN2", "HN3")),
    ("hard_negative.t0.5", "hard_negative", 1, ("HN6",)),
    ("factorized", "factorized", 3, ("FE1", "FE2", "FE3")),
    ("factorized_vib", "factorized", 3, ("FE4", "FE5", "FE6")),
)
REPRESENTATIVES = (
    "rank_stability", "dh7", "contrastive_anchor", "noise_gated", "quantile_noise",
    "hard_negative", "factorized",
)  # fmt: skip
PLANNED = (
    ("main", sum(count for _, _, count, _ in ARMS)),
    ("baseline", 5),
    ("seeds", 16),
    ("injection", 24),
)
WITH_SIGMA = ("distributional", "dh7", "heteroscedastic", "noise_gated")


@dataclass
class Plan:
    """What a made-up campaign shows.

    Attributes:
      gain: true difference of every arm to the baseline in CAGI5 Spearman.
      winner: an arm that gets `bonus` more, None for none.
      finished: share of the arms that have finished.
      seeds: of the representatives and the baseline.
      p_holm: of every difference; None makes it follow the difference.
      p_above: the same.
      half: half of the width of a difference's interval.
      failures: names of failed runs.
    """

    gain: float = -0.01
    winner: str | None = None
    bonus: float = 0.06
    finished: float = 1.0
    seeds: tuple[int, ...] = SEEDS
    has_baseline: bool = True
    p_holm: float | None = None
    p_above: float | None = None
    half: float = 0.03
    failures: tuple[str, ...] = ()
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))


def write_campaign(folder: Path, plan: Plan | None = None) -> Path:
    """Write `metrics.tsv` and `analysis.json` under `folder`."""
    plan = plan or Plan()
    folder.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame([row for run in _runs(plan) for row in _metrics(run, plan)])
    rows.to_csv(folder / "metrics.tsv", sep="\t", index=False, float_format="%.6g")
    (folder / "analysis.json").write_text(json.dumps(_analysis(rows, plan)))
    release = pd.DataFrame([row for run in _runs(plan) for row in _released(run)])
    release.to_csv(folder / "release.tsv", sep="\t", index=False, float_format="%.5g")
    return folder


def _runs(plan: Plan) -> Iterator[dict[str, Any]]:
    base = {"arm": "mse", "family": "baseline", "suite": "baseline", "level": 0.0, "aliases": ()}
    if plan.has_baseline:
        for seed in plan.seeds:
            yield {**base, "seed": seed}
    kept = round(plan.finished * len(ARMS))
    for arm, family, count, _ in ARMS[:kept]:
        seeds = plan.seeds if arm in REPRESENTATIVES else SEEDS[:count]
        for place, seed in enumerate(seeds):
            suite = "main" if place < count else "seeds"
            yield {"arm": arm, "family": family, "suite": suite, "level": 0.0, "seed": seed}
    for arm in ("mse", *REPRESENTATIVES):
        family = next((f for name, f, *_ in ARMS[:kept] if name == arm), None)
        family = "baseline" if arm == "mse" and plan.has_baseline else family
        for level in (0.5, 1.0, 2.0) if family else ():
            yield {"arm": arm, "family": family, "suite": "injection", "level": level, "seed": 42}


def _released(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """On the release set dh7 is below all others; all assays are above the own cell type."""
    luck = run["seed"] % 7 / 1000
    name = f"{run['arm']}/{run['seed']}" + (f"-noise{run['level']}" if run["level"] else "")
    value = (0.16 if run["arm"] == "dh7" else 0.2) + luck
    for element in (*ELEMENTS, *GROUPS):
        yield {
            "run": name, "arm": run["arm"], "seed": run["seed"], "level": run["level"],
            "member": "0" * 12, "element": element, "all_assays": value,
            "cell_type": value - 0.02,
        }  # fmt: skip


def _metrics(run: dict[str, Any], plan: Plan) -> Iterator[dict[str, Any]]:
    level, arm, rng = run["level"], run["arm"], plan.rng
    name = f"{arm}/{run['seed']}" + (f"-noise{level}" if level else "")
    head = {
        "run": name, "family": run["family"], "seed": run["seed"], "arm": arm,
        "suite": run["suite"], "level": level,
    }  # fmt: skip

    def row(split: str, metric: str, element: str, value: float, half: float) -> dict[str, Any]:
        ends = {"ci_low": value - half, "ci_high": value + half}
        return {
            **head,
            "split": split,
            "metric": metric,
            "element": element,
            "value": value,
            **ends,
        }

    shift = 0.0 if arm == "mse" else plan.gain + (plan.bonus if arm == plan.winner else 0.0)
    shift += rng.normal(0, 0.012) - 0.05 * level
    high: dict[str, dict[str, float]] = {}
    for suffix, level_of in (("", 0.33), ("_high", 0.60), ("_low", 0.18)):
        for statistic, more in (("spearman", 0.0), ("pearson", 0.12)):
            found = {
                element: level_of + more + shift + 0.08 * np.sin(place) + rng.normal(0, 0.02)
                for place, element in enumerate(ELEMENTS)
            }
            for group, members in GROUPS.items():
                found[group] = float(np.mean([found[element] for element in members]))
            if level or statistic == "pearson":  # of the others nothing is drawn
                found = {element: found[element] for element in (*GROUPS[MATCHED], MATCHED)}
            for element, value in found.items():
                yield row("challenge", statistic + suffix, element, value, 0.05)
            if suffix == "_high":
                high[statistic] = found
            if suffix == "_low":
                for element, value in found.items():
                    yield row(
                        "challenge",
                        f"{statistic}_gap",
                        element,
                        high[statistic][element] - value,
                        0.06,
                    )
    for assay in ("mean",) if level else (*ASSAYS, "mean"):
        noise = rng.normal(0, 0.006)
        raw = -0.08 if "rank" in arm else 0.02
        values = {
            "spearman": 0.55 + shift, "pearson": 0.58 + shift, "rmse": 0.8 - shift,
            "r_noise": 0.06 + noise, "r_noise_raw": raw + noise, "r_noise_partial": 0.05 + noise,
            "spearman_quiet": 0.62 + shift, "spearman_noisy": 0.48 + shift,
            "spearman_noise_gap": 0.14, "nll": 1.2, "nll_constant": 1.3,
            "coverage50": 0.51, "coverage80": 0.8,
            "coverage90": 0.9, "coverage95": 0.94,
        }  # fmt: skip
        if arm in WITH_SIGMA:
            values |= {"sigma_spearman": 0.25 + noise, "sigma_given_activity": 0.2 + noise}
        for metric, value in values.items():
            yield row("test", metric, assay, value, 0.02)
    for place, split in enumerate(("challenge_plus", "challenge_minus", "challenge_cell")):
        yield row(split, "spearman", MATCHED, 0.2 + shift + 0.01 * place, 0.05)
    yield row("challenge", "spearman_pooled", MATCHED, 0.21 + shift, 0.05)
    yield row("run", "epochs", "run", 8, np.nan)
    yield row("run", "best_epoch", "run", 7, np.nan)
    yield row("run", "best_validation", "run", 0.71, np.nan)
    yield row("run", "last_validation", "run", 0.7, np.nan)
    yield row("run", "seconds", "run", 9.0, np.nan)
    yield row("run", "parameters", "run", 50123, np.nan)


def _analysis(rows: pd.DataFrame, plan: Plan) -> dict[str, Any]:
    clean = rows[rows["level"] == 0]
    keys = ["split", "metric", "element"]
    tables = {
        arm: group.groupby(keys)["value"].agg(["mean", "std"])
        for arm, group in clean.groupby("arm", sort=False)
    }
    base = tables["mse"]["mean"].to_dict() if "mse" in tables else {}
    arms = []
    for arm, table in tables.items():
        seeds = sorted(set(clean.loc[clean["arm"] == arm, "seed"].tolist()))
        means, gains = [], []
        for cell, mean, sd in table.itertuples(name=None):
            where = dict(zip(keys, cell, strict=True))
            spread = None if np.isnan(sd) else sd
            means.append(
                {**where, "value": mean, "seed_sd": spread, "ci_low": mean - 0.04}
                | {"ci_high": mean + 0.04}
            )
            if arm == "mse" or cell not in base:
                continue
            gap = mean - base[cell]
            chosen = arm in REPRESENTATIVES
            p = 1e-3 if abs(gap) > 0.035 else 0.4
            gains.append(
                {**where, "value": gap, "ci_low": gap - plan.half, "ci_high": gap + plan.half}
                | {"p_above": plan.p_above or 0.5 + np.sign(gap) * (0.5 - p / 2)}
                | {"p_value": p, "p_max_t": p}
                | {"p_holm": (plan.p_holm or p) if chosen else None}
            )
        aliases = next((list(ids) for name, _, _, ids in ARMS if name == arm), [])
        family = clean.loc[clean["arm"] == arm, "family"].iloc[0]
        arms.append(
            {"arm": arm, "family": family, "representative": arm in REPRESENTATIVES}
            | {"exploratory": len(seeds) < 5, "seeds": seeds, "aliases": aliases}
            | {"means": means, "differences": gains}
        )
    return {
        "preset": "cpu", "draws": 2000, "seed": 0, "table_digest": "0" * 16, "code": "0",
        "counts": {
            suite: [int(rows.loc[rows["suite"] == suite, "run"].nunique()), planned]
            for suite, planned in PLANNED
        } | {"failed": len(plan.failures)},
        "environments": [{"code": "0", "threads": 1, "runs": len(rows["run"].unique())}],
        "failures": [
            {"run": name, "arm": name.partition("/")[0], "seed": int(name.partition("/")[2]),
             "level": 0.0, "error": "RuntimeError: diverged"}
            for name in plan.failures
        ],
        "folds": [
            {"assay": assay, "test_rows": 600, "test_clusters": 300, "test_largest_cluster": 9,
             "validation_rows": 500, "validation_clusters": 200,
             "validation_largest_cluster": 125 if place == 1 else 8}
            for place, assay in enumerate(ASSAYS)
        ],
        "floor": {
            "name": "6-mer ridge", "penalties": dict.fromkeys(ASSAYS, 300.0),
            "means": [
                {"split": split, "metric": "spearman", "element": element, "value": value,
                 "ci_low": value - 0.02, "ci_high": value + 0.02}
                for split, element, value in (
                    *(("test", assay, 0.7 if place == 0 else 0.3)
                      for place, assay in enumerate(ASSAYS)),
                    ("test", "mean", 0.434), ("challenge", MATCHED, 0.123),
                )
            ],
            "baseline_minus_floor": [
                {"split": "challenge", "metric": "spearman", "element": MATCHED, "value": 0.02,
                 "ci_low": -0.01, "ci_high": 0.05, "p_above": 0.9}
            ],
        },
        "baseline": {"arm": "mse", "seeds": list(plan.seeds) if plan.has_baseline else []},
        "seed_sd": [
            {"split": "challenge", "metric": "spearman", "element": MATCHED, "value": 0.012,
             "freedom": 40}
        ],
        "arms": arms,
        "injection": list(_injection(rows)),
        "noise_ceiling": [
            {"assay": ASSAYS[0], "n": 900, "replicates": 3, "split_half": None, "ci_low": None,
             "ci_high": None, "attainable": None},
            {"assay": ASSAYS[2], "n": 230, "replicates": 8, "split_half": 0.74, "ci_low": 0.7,
             "ci_high": 0.78, "attainable": 0.93},
        ],
        "pair_weights": [
            {"arm": "rank_stability", "scale": "relative", "noise_k": 1.0,
             "n_pairs": 9000, "sd": 0.61, "low": 0.2, "median": 1.0, "high": 1.7,
             "effective_share": 0.73},
        ],
        "batches": [
            {"arm": arm, "sampler": "QuantileStratified()", "progress": progress,
             "statistic": statistic, "value": value, "shuffled": 0.1}
            for arm, later in (("quantile_noise", 0.3), ("quantile_curriculum", 0.4))
            for progress, value in ((0.0, 0.3), (0.125, later))
            for statistic in ("top", "bottom")
        ],
        "verdict": _verdict(arms, plan),
    }  # fmt: skip


def _injection(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for cell in (("test", "spearman", "mean"), ("challenge", "spearman", MATCHED)):
        where = dict(zip(("split", "metric", "element"), cell, strict=True))
        mask = np.logical_and.reduce([rows[key] == value for key, value in where.items()])
        chosen = rows[mask & rows["arm"].isin(("mse", *REPRESENTATIVES))]
        for (arm, family, level), group in chosen.groupby(["arm", "family", "level"], sort=False):
            mean = group["value"].mean()
            yield {
                "arm": arm, "family": family, "level": level, "seeds": group["seed"].tolist(),
                **where, "value": mean, "ci_low": mean - 0.02, "ci_high": mean + 0.02,
                "difference": None if arm == "mse" else 0.01, "difference_low": -0.01,
                "difference_high": 0.03, "p_above": 0.8,
            }  # fmt: skip


def _verdict(arms: list[dict[str, Any]], plan: Plan) -> dict[str, Any]:
    found, wins = [], []
    for arm in arms:
        for row in arm["differences"] if arm["representative"] else ():
            entry = {"arm": arm["arm"], "family": arm["family"], "difference": row["value"]}
            entry |= {
                key: row[key] for key in ("ci_low", "ci_high", "p_above", "p_holm", "p_max_t")
            }
            if (row["split"], row["metric"], row["element"]) == ("challenge", "spearman", MATCHED):
                found.append(entry)
            if row["split"] == "challenge" and (row["ci_low"] > 0 or row["ci_high"] < 0):
                wins.append(
                    {
                        **entry,
                        "split": row["split"],
                        "metric": row["metric"],
                        "element": row["element"],
                    }
                )
    best = max(found, key=lambda entry: entry["difference"], default=None)
    ready = len(found) == len(REPRESENTATIVES) and plan.has_baseline and len(plan.seeds) == 5
    return {
        "measure": {"split": "challenge", "metric": "spearman", "element": MATCHED},
        "beats": any(e["difference"] > 0 and e["p_holm"] < 0.05 for e in found),
        "declared": len(REPRESENTATIVES), "representatives": [*REPRESENTATIVES],
        "visible": {"half_width": plan.half, "smallest": 1.8 * plan.half} if found else None,
        "best": best, "ready": ready, "wins": wins,
    }  # fmt: skip
