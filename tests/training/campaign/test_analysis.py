"""Records to files: every look at challenge labels logged, nothing but finished runs, no gaps."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.campaign.tiny import TINY
from tests.training.toy_cagi5 import write_cagi5
from tests.training.toy_table import toy_table
from training.batches import assays_of, training_scale
from training.campaign import analysis, scoring
from training.campaign.admission import require_whole
from training.campaign.analysis import analyse
from training.campaign.data import campaign_table, held_out_rows
from training.campaign.plan import plan
from training.campaign.predict import Predictions
from training.campaign.records import Record, RecordError, read_record, write_record
from training.campaign.scoring import COLUMNS
from training.datasets.table import load_table, table_digest

RUNS = (
    *(f"mse/{seed}" for seed in (42, 123, 456)),
    *(f"dh7/{seed}" for seed in (42, 123)),
    "rank_stability/42",
    "mse/42-noise1",
    "dh7/42-noise1",
)
FAILED = "noise_gated/42"


class Campaign:
    """Synthetic records of a few runs; the effect of a variant is the base that it brings."""

    def __init__(self, folder: Path) -> None:
        self.table, self.data = folder / "assays.parquet", folder / "data"
        self.records, self.log = folder / "records", folder / "log.jsonl"
        frame = toy_table(200)
        frame.assign(cluster=np.arange(len(frame)) // 2).to_parquet(self.table, index=False)
        write_cagi5(self.data)
        measured = campaign_table(load_table(self.table))
        self.digest = table_digest(measured)
        scale = training_scale(measured, assays_of(measured))
        place = {assay.name: i for i, assay in enumerate(assays_of(measured))}
        for run in plan(TINY):
            if run.name not in (*RUNS, FAILED):
                continue
            facts = {
                "status": "failed" if run.name == FAILED else "finished",
                "table_digest": self.digest,
                "recipe": run.recipe.name,
                "fingerprint": run.recipe.fingerprint,
                "environment": {"code": "0.1.0+abc", "threads": 1},
                "family": run.recipe.family,
                "seed": run.seed,
                "suite": run.suite,
                "level": run.level,
                "epochs": 2,
                "seconds": 1.5,
                "n_parameters": 7,
            }
            if run.name == FAILED:
                facts["traceback"] = "Traceback\nRuntimeError: diverged\n"
                write_record(self.records / run.name, facts)
                continue
            rng = np.random.default_rng(run.seed)
            has_head = run.recipe.architecture.predicts_variance
            parts: dict[str, np.ndarray | None] = {}
            for split in ("test", "validation"):
                rows = held_out_rows(measured, split)
                column = rows["assay"].map(place).to_numpy()
                y = (rows["activity"].to_numpy() - scale.mean[column]) / scale.sd[column]
                parts[f"{split}_mu"] = (y + rng.normal(0, 0.5, y.size)).astype(np.float32)
                noise = np.log(rows["noise_sd"].to_numpy() / scale.sd[column])
                parts[f"{split}_log_var"] = (2 * noise).astype(np.float32) if has_head else None
            alt = pd.read_csv(self.data / "cagi5/challenge.tsv", sep="\t", usecols=["alt"])["alt"]
            effect = alt.isin(["C", "G"]).to_numpy() + rng.normal(0, 0.3, (3, len(alt)))
            for name, values in zip(("plus", "minus", "cell"), effect, strict=True):
                parts[f"cagi5_{name}"] = values.astype(np.float32)
            history = [{"epoch": 0, "pearson": 0.6}, {"epoch": 1, "pearson": 0.5}]
            write_record(
                self.records / run.name,
                facts,
                history=history,
                predictions=Predictions(**parts),
                metrics={},
            )

    def analyse(self) -> tuple[pd.DataFrame, dict]:
        paths = analyse(
            TINY,
            records=self.records,
            table=self.table,
            data_dir=self.data,
            draws=40,
            log=self.log,
            is_partial=True,
        )
        table = pd.read_csv(paths[0], sep="\t", keep_default_na=False, na_values=[""])
        return table, json.loads(paths[1].read_text())


def replicates(data_dir: Path) -> dict[str, pd.DataFrame]:
    """Replicates as the sources would give them: four of each sequence."""
    rng = np.random.default_rng(0)
    rows = toy_table(200)
    measured = rows[rows["noise_sd"].notna()]
    return {
        assay: pd.DataFrame(
            part["noise_sd"].to_numpy()[:, None] * rng.normal(size=(len(part), 4)),
            index=part["sequence"],
        )
        for assay, part in measured.groupby("assay")
    }


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Iterator[Campaign]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "replicate_values", replicates)
        yield Campaign(tmp_path_factory.mktemp("campaign"))


@pytest.fixture(scope="module")
def found(campaign):
    return campaign.analyse()


def test_every_finished_run_and_no_other_is_in_the_table(found):
    table, shown = found
    assert tuple(table.columns) == COLUMNS
    assert set(table["run"]) == set(RUNS)
    assert shown["counts"]["failed"] == 1
    assert shown["counts"]["main"] == [2, 73]
    assert shown["counts"]["seeds"][0] == 1  # dh7 is published with one seed
    assert shown["counts"]["baseline"] == [3, 5]
    assert shown["counts"]["injection"][0] == 2
    noisy = table[table["run"] == "dh7/42-noise1"]
    assert (noisy["level"] == 1).all()
    assert (noisy["suite"] == "injection").all()
    assert not table.duplicated(["run", "split", "metric", "element"]).any()


def test_only_a_run_with_a_head_has_rows_of_sigma(found):
    table = found[0]
    of_sigma = table[table["metric"].str.startswith("sigma")]
    assert set(of_sigma["arm"]) == {"dh7"}
    assert of_sigma["value"].notna().all()


def test_facts_of_a_run(found):
    table = found[0]
    facts = table[(table["run"] == "mse/42") & (table["split"] == "run")]
    values = dict(zip(facts["metric"], facts["value"], strict=True))
    assert values == {
        "epochs": 2,
        "seconds": 1.5,
        "parameters": 7,
        "best_epoch": 1,
        "best_validation": 0.6,
        "last_validation": 0.5,
    }


def test_a_run_whose_output_stayed_constant_has_no_best_epoch(campaign):
    record = read_record(campaign.records / "mse/42")
    lines = [{"epoch": 0, "pearson": math.nan}, {"epoch": 1, "pearson": math.nan}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, "history", lambda self: lines)
        facts = scoring._facts(record)
        assert math.isnan(facts["best_epoch"])
        assert math.isnan(facts["best_validation"])
        lines[1]["pearson"] = 0.2
        assert scoring._facts(record)["best_epoch"] == 2


def test_each_run_leaves_its_look_in_the_log_and_the_same_bytes(campaign, found):
    del found  # the files are there
    paths = [campaign.records / name for name in ("metrics.tsv", "analysis.json")]
    before, logged = [path.read_bytes() for path in paths], campaign.log.read_text()
    campaign.analyse()
    assert [path.read_bytes() for path in paths] == before
    added = campaign.log.read_text().removeprefix(logged)
    lines = [json.loads(line) for line in added.splitlines()]
    assert sorted(line["model"] for line in lines if line["event"] == "finished") == sorted(
        [*(f"campaign/records/{name}" for name in RUNS), "campaign/tiny/6-mer ridge"]
    )
    assert len(lines) == 2 * (len(RUNS) + 1)
    # How far the campaign was when somebody looked.
    assert {line["purpose"] for line in lines} == {
        f"campaign --analyse: {len(RUNS)} of {len(plan(TINY))} runs finished, 1 failed; "
        "draws 40, seed 0"
    }
    means = next(line["means"] for line in lines if line["event"] == "finished")
    assert all(math.isfinite(value) for value in means.values())


def test_the_analysis_has_all_its_parts(found):
    shown = found[1]
    assert shown["baseline"] == {"arm": "mse", "seeds": [42, 123, 456]}
    assert {arm["arm"] for arm in shown["arms"]} == {"mse", "dh7", "rank_stability"}
    assert not shown["verdict"]["ready"]
    assert {row["level"] for row in shown["injection"]} == {0, 1}
    assert {row["scale"] for row in shown["pair_weights"]} == {"relative", "absolute"}
    assert {row["assay"] for row in shown["noise_ceiling"]} == set(
        campaign_table(toy_table(200))["assay"]
    )
    dh7 = next(arm for arm in shown["arms"] if arm["arm"] == "dh7")
    assert dh7["exploratory"]
    assert dh7["representative"]


def test_a_run_that_learnt_from_another_table_is_refused(campaign, tmp_path):
    other = tmp_path / "assays.parquet"
    frame = load_table(campaign.table)
    frame.loc[len(frame) - 1, "activity"] += 1
    frame.to_parquet(other)
    with pytest.raises(RecordError, match="another table"):
        analyse(
            TINY,
            records=campaign.records,
            table=other,
            data_dir=campaign.data,
            draws=20,
            log=tmp_path / "log.jsonl",
            is_partial=True,
        )


def copied(campaign, folder, name="mse/42", **changes):
    """The campaign's records in another folder, `mse/42` again as `name` with other facts."""
    records = folder / "records"
    for path in sorted(campaign.records.glob("*/*")):
        if path.is_dir():
            shutil.copytree(path, records / path.relative_to(campaign.records))
    if name != "mse/42":
        shutil.copytree(campaign.records / "mse/42", records / name)
    path = records / name / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return records


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        # All of these were scored and counted, though `--status` counted none of them.
        ("mse/42", {"fingerprint": "0" * 12}, "mse/42 is of 000000000000, its recipe is now"),
        ("gone/42", {"recipe": "gone"}, "gone/42 is in no plan"),
        ("mse/7", {"seed": 7}, "mse/7 is in no plan"),
        ("dh7/456", {}, "dh7/456 says that it is of another run"),
    ],
)
def test_a_stale_or_an_orphan_record_is_refused_by_name(campaign, tmp_path, name, changes, message):
    log = tmp_path / "log.jsonl"
    with pytest.raises(RecordError, match=message):
        analyse(
            TINY,
            records=copied(campaign, tmp_path, name, **changes),
            table=campaign.table,
            data_dir=campaign.data,
            draws=20,
            log=log,
            is_partial=True,
        )
    assert not log.exists()  # nobody looked


def test_challenge_labels_are_not_read_while_runs_are_left(campaign, tmp_path):
    log = tmp_path / "log.jsonl"
    with pytest.raises(RecordError, match=r"154 of 163 planned runs have no record yet.*--partial"):
        analyse(
            TINY, records=campaign.records, table=campaign.table, data_dir=campaign.data, log=log
        )
    assert not log.exists()


def test_a_campaign_is_whole_when_every_run_has_a_record():
    require_whole([None] * 3, [None], 4)
    with pytest.raises(RecordError, match="1 of 5"):
        require_whole([None] * 3, [None], 5)


def test_environments_and_failures_are_told(found):
    shown = found[1]
    assert shown["environments"] == [{"code": "0.1.0+abc", "threads": 1, "runs": len(RUNS)}]
    assert shown["failures"] == [
        {
            "run": FAILED,
            "arm": "noise_gated",
            "seed": 42,
            "level": 0.0,
            "error": "RuntimeError: diverged",
        }
    ]


def test_the_floor_is_judged_as_a_run_is(campaign, found):
    shown = found[1]["floor"]
    assert shown["name"] == "6-mer ridge"
    measured = campaign_table(load_table(campaign.table))
    assert set(shown["penalties"]) == set(measured["assay"])
    means = {(m["split"], m["metric"], m["element"]): m for m in shown["means"]}
    gaps = {(m["split"], m["metric"], m["element"]): m for m in shown["baseline_minus_floor"]}
    mse = next(arm for arm in found[1]["arms"] if arm["arm"] == "mse")
    ours = {(m["split"], m["metric"], m["element"]): m["value"] for m in mse["means"]}
    for cell in (("test", "spearman", "mean"), ("challenge", "spearman", "K562-matched (4)")):
        # Stored to five digits.
        assert gaps[cell]["value"] == pytest.approx(ours[cell] - means[cell]["value"], abs=1e-4)
        assert gaps[cell]["ci_low"] < gaps[cell]["value"] < gaps[cell]["ci_high"]


def test_folds_are_counted_row_by_row(campaign, found):
    measured = campaign_table(load_table(campaign.table))
    for row in found[1]["folds"]:
        for split in ("test", "validation"):
            part = held_out_rows(measured, split)
            clusters = part.loc[part["assay"] == row["assay"], "cluster"].tolist()
            assert row[f"{split}_rows"] == len(clusters)
            assert row[f"{split}_clusters"] == len(set(clusters))
            assert row[f"{split}_largest_cluster"] == max(map(clusters.count, clusters))


def test_without_a_finished_run_there_is_nothing_to_analyse(campaign, tmp_path):
    with pytest.raises(RecordError, match="no finished run"):
        analyse(TINY, records=tmp_path, table=campaign.table, data_dir=campaign.data)
