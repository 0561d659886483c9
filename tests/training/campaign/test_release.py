"""The release set: every stored network once, both readings, and nothing of the challenge set."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.training.campaign.tiny import TINY, places
from training.campaign import release
from training.campaign.plan import plan, select
from training.campaign.predict import cagi5_effects, read_variants
from training.campaign.records import RecordError
from training.campaign.release import READINGS, read_release, score_release, variants_of
from training.campaign.runner import start
from training.datasets.cagi5 import CHALLENGE, K562_MATCHED, locate_cagi5
from training.evaluation.challenge import load_release
from training.members import load_member

RUN = select(plan(TINY), ["main"], ["quantile/42"])[0]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    place = places(tmp_path_factory.mktemp("release"))
    start(place)(RUN)
    return place


def scored(here, **changes):
    where = {"records": here.records, "runs": here.runs, "data_dir": here.data} | changes
    return read_release(score_release(plan(TINY), **where))


def test_windows_are_those_that_a_run_predicts(here):
    # The runner's own reader knows the challenge table alone.
    table = pd.read_csv(locate_cagi5(CHALLENGE, here.data).path, sep="\t")
    ours, theirs = (
        variants_of(table.rename(columns={"chrom": "contig"}), here.data),
        read_variants(here.data),
    )
    for part in ("heads", "reference", "slice_of", "alternative"):
        assert (getattr(ours, part) == getattr(theirs, part)).all()
    with pytest.raises(ValueError, match="chr1:9042"):
        variants_of(table.head(1).rename(columns={"chrom": "contig"}).assign(pos=9042), here.data)


def test_both_readings_are_spearman_correlations_on_release_variants(here):
    found = scored(here)
    assert (found["run"] == RUN.name).all()
    labels = load_release(here.data)
    member = load_member(here.runs / RUN.name / "member.safetensors", {RUN.recipe.name: RUN.recipe})
    slopes = json.loads((here.records / RUN.name / "run.json").read_text())["slopes"]
    plus, minus, cell = cagi5_effects(
        member, variants_of(labels, here.data), np.array(slopes, np.float32)
    )
    of = found.set_index("element")
    for reading, effect in zip(READINGS, ((plus + minus) / 2, cell), strict=True):
        for element in K562_MATCHED:
            rows = (labels["element"] == element).to_numpy()
            expected = stats.spearmanr(effect[rows], labels["value"][rows]).statistic
            assert of.loc[element, reading] == pytest.approx(expected, abs=1e-4)
        mean = of.loc[[*K562_MATCHED], reading].mean()
        assert of.loc["K562-matched (4)", reading] == pytest.approx(mean, abs=1e-4)


def test_challenge_labels_are_not_read(here, tmp_path, monkeypatch):
    path = locate_cagi5(CHALLENGE, here.data).path
    hidden = path.rename(tmp_path / "challenge.tsv")
    try:
        assert len(scored(here))
    finally:
        hidden.rename(path)


def test_a_network_is_scored_once_and_its_rows_outlive_it(here, tmp_path, monkeypatch):
    before = scored(here)
    monkeypatch.setattr(release, "load_member", None)  # would be called, were it scored again
    pd.testing.assert_frame_equal(scored(here), before)
    pd.testing.assert_frame_equal(scored(here, runs=tmp_path), before)


def test_no_member_and_a_stale_record_are_said(here, tmp_path):
    with pytest.raises(RecordError, match="no member"):
        score_release(plan(TINY), records=tmp_path, runs=here.runs, data_dir=here.data)
    folder = tmp_path / RUN.name
    folder.mkdir(parents=True)
    for path in (here.records / RUN.name).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    facts = json.loads((folder / "run.json").read_text()) | {"fingerprint": "0"}
    (folder / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RecordError, match="quantile/42 is stale"):
        score_release(plan(TINY), records=tmp_path, runs=here.runs, data_dir=here.data)
