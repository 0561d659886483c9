"""The table of levers: who is compared with whom, and that what helps is found to help."""

import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.training.toy_cagi5 import write_cagi5
from tests.training.toy_table import toy_table
from training import cli
from training.ablation.entries import Entry, read_entry, write_entry
from training.ablation.evidence import (
    OWN_HEAD,
    Key,
    Variants,
    folds_of,
    read_heads,
    readings,
    variant_samples,
)
from training.ablation.rows import lay_out
from training.ablation.store import assay_rows
from training.ablation.table import levers
from training.ablation.tables import sources
from training.datasets.cagi5 import ELEMENTS, GROUPS, K562_MATCHED
from training.datasets.sources import DataError
from training.datasets.table import table_digest
from training.evaluation.challenge import (
    Run,
    cagi5_variants,
    load_challenge,
    load_release,
)
from training.evaluation.metrics import Statistic, spearman
from training.evaluation.report import Report
from training.options import parse_sums

TARGETS = ("K562", "HepG2", "WTC11")
BASE = "varsigma.plain"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_cagi5(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def table():
    frame = toy_table(100)
    return frame.assign(cluster=np.arange(len(frame)) % 100)


@pytest.fixture(scope="module")
def truth(data, table, tmp_path_factory):
    """What members see with noise: measured values, toy ones, under the names of an entry."""
    run = Run(model="toy", model_sha256="0" * 64, purpose="test")
    with load_challenge(data, run, log=tmp_path_factory.mktemp("log") / "log") as labels:
        values = {"challenge": labels["value"].to_numpy()}
    values["release"] = load_release(data)["value"].to_numpy()
    inserts = {
        (split, target): assay_rows(table, f"joint_{target}", split)["activity"].to_numpy()
        for split in ("validation", "test")
        for target in TARGETS
    }
    return values, inserts


def entry_of(name, noise, seeds, truth, data, table, recipe=None, offset=0):
    """An entry whose members see the truth with independent noise of so many SDs."""
    values, inserts = truth
    rng = np.random.default_rng([len(name), *name.encode(), offset])
    m = len(seeds)

    def seen(value):
        return value + noise * value.std() * rng.normal(size=(m, *value.shape))

    effects = {}
    for split, value in values.items():
        # HepG2's head is upside down, WTC11's knows nothing.
        heads = seen(np.stack([value, -value], axis=1))
        effects[split] = np.concatenate([heads, rng.normal(size=(m, len(value), 1))], axis=2)
    origins = [{"recipe": recipe or name, "fingerprint": "f", "seed": seed} for seed in seeds]
    return Entry(
        name=name,
        provenance={
            "version": 1,
            "model": name,
            "model_sha256": "0" * 64,
            "recipe": recipe or name,
            "fingerprint": "f",
            "data_digest": table_digest(table),
            "seeds": [*seeds],
            "origins": origins,
            "targets": [*TARGETS],
            "assays": [f"joint_{target}" for target in TARGETS],
            "strands": 2,
            "shifts": [0],
            "sha256": {split: cagi5_variants(data, split)[1] for split in values},
            "code": "-",
            "versions": {},
            "use": "research use only",
        },
        inserts={key: seen(value) for key, value in inserts.items()},
        effects=effects,
    )


@pytest.fixture(scope="module")
def results(truth, data, table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for name, noise, seeds in (
        (BASE, 2.0, (42, 123, 456)),
        ("better", 0.7, (42, 123, 456)),
        ("same", 2.0, (42, 123, 456, 789, 1011)),
        ("alone", 2.0, (7,)),
    ):
        write_entry(entry_of(name, noise, seeds, truth, data, table), folder)
    return folder


@pytest.fixture(scope="module")
def options(results, data, table):
    return {"results": results, "table": table, "data_dir": data, "draws": 60, "baseline": BASE}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("looks") / "log.jsonl"


@pytest.fixture(scope="module")
def reports(options, log):
    combined = {"both": [BASE, "better"]}
    return levers(
        ["better"], combined=combined, chosen="better", is_challenge=True, log=log, **options
    )


def test_rows_are_members_ensembles_and_combinations_with_their_counterparts(results):
    entries = [read_entry(name, results) for name in ("better", "same", BASE, "alone")]
    rows = lay_out(entries, {"both": [BASE, "better"]}, BASE)
    against = {row.label: row.against for row in rows}
    assert list(against)[:4] == [
        f"{BASE}, seed 42",
        f"{BASE}, seed 123",
        f"{BASE}, seed 456",
        f"{BASE}, 3 members",
    ]
    assert not any(list(against.values())[:4])
    assert against["better, seed 123"] == f"{BASE}, seed 123"
    assert against["better, 3 members"] == f"{BASE}, 3 members"
    assert against["same, seed 789"] == f"{BASE}, seed 42", "no such seed: the first"
    assert against["same, 5 members"] == f"{BASE}, 3 members", "the largest there is"
    assert against["alone, seed 7"] == f"{BASE}, seed 42"
    assert against["both, 6 members"] == f"{BASE}, 3 members"
    assert "alone, 1 members" not in against
    whole = {row.label for row in rows if row.is_whole}
    assert whole == {
        f"{BASE}, 3 members", "better, 3 members", "same, 5 members", "alone, seed 7",
        "both, 6 members",
    }  # fmt: skip


def test_a_combination_is_the_mean_of_all_its_members(results):
    parts = [read_entry(name, results) for name in (BASE, "same")]
    [row] = [r for r in lay_out(parts, {"both": [BASE, "same"]}, BASE) if r.n_members == 8]
    whole = np.concatenate([part.effects["release"] for part in parts])
    np.testing.assert_allclose(row.effects("release"), whole.mean(axis=0))
    whole = np.concatenate([part.inserts["validation", "K562"] for part in parts])
    np.testing.assert_allclose(row.inserts("validation", "K562"), whole.mean(axis=0))


def test_the_same_members_on_other_passes_may_be_put_together(results, tmp_path):
    base = read_entry(BASE, results)
    plus = dataclasses.replace(
        base, name="plus", provenance=base.provenance | {"strands": 1, "shifts": [0]}
    )
    moved = dataclasses.replace(
        base, name="moved", provenance=base.provenance | {"offsets": [0, 1]}
    )
    for other in (plus, moved):
        labels = [row.label for row in lay_out([base, other], {"both": [BASE, other.name]}, BASE)]
        assert "both, 6 members" in labels
    still = dataclasses.replace(base, name="still", provenance=base.provenance | {"offsets": [0]})
    with pytest.raises(DataError, match="would count twice"):
        lay_out([base, still], {"both": [BASE, "still"]}, BASE)
    passes = [row[4] for row in sources(lay_out([base, moved], {}, BASE)).rows]
    assert passes == ["2 strands, shifts 0", "2 strands, shifts 0, offsets 0, 1"]


def test_a_difference_is_between_the_same_resamples(results, data, options):
    # A row that differs from the baseline by next to nothing differs from it for certain.
    base = read_entry(BASE, results)
    nudged = {name: value * 1.001 + 1e-4 for name, value in base.effects.items()}
    near = dataclasses.replace(base, name="near", effects=nudged)
    rows = lay_out([base, near], {}, BASE)
    measured = Variants.of(load_release(data), 60, 0)
    key = Key("release", "matched (7)", Statistic.PEARSON)
    one, two = (
        variant_samples(row, "release", measured)[key] for row in rows if row.n_members == 3
    )
    own, apart = one.estimate, two.minus(one).estimate
    assert apart.high - apart.low < 0.01 * (own.high - own.low)


def test_members_of_several_recipes_have_no_first_ones(truth, data, table):
    plain = entry_of(BASE, 1.0, (42, 123, 456), truth, data, table)
    mixed = entry_of("mixed", 1.0, (42, 42, 123, 123), truth, data, table)
    for origin, recipe in zip(mixed.provenance["origins"], "abab", strict=True):
        origin["recipe"] = recipe
    labels = [row.label for row in lay_out([plain, mixed], {}, BASE)]
    assert labels[4:] == [
        "mixed, a seed 42", "mixed, b seed 42", "mixed, a seed 123", "mixed, b seed 123",
        "mixed, 4 members",
    ]  # fmt: skip


def test_what_cannot_be_compared_is_refused(options, truth, data, table, tmp_path):
    def refused(said, names=(), combined=None, **other):
        with pytest.raises(DataError, match=said):
            levers(names, combined=combined or {}, **{**options, **other})

    refused("no entry 'absent'", ["absent"])
    refused("no row 'same'; there are: varsigma", chosen="same")
    refused("no entry 'absent'", [], {"x": [BASE, "absent"]})
    refused("the name of an entry", ["same"], {"same": [BASE, "better"]})
    refused("would count twice", [], {"x": [BASE, BASE]})
    refused(f"{BASE}: stored with data_digest", table=table.iloc[1:])
    odd = entry_of(BASE, 1.0, (1,), truth, data, table)
    write_entry(odd, tmp_path)
    two = entry_of("two", 1.0, (1,), truth, data, table)
    two.provenance["targets"][2] = "HeLa"
    write_entry(two, tmp_path)
    refused("two has the targets", ["two"], results=tmp_path)
    odd.provenance["sha256"]["release"] = "0" * 64
    write_entry(odd, tmp_path)
    refused(f"{BASE}: stored with release 0000", results=tmp_path)


def test_combinations_are_read_from_the_command_line():
    assert parse_sums("--combine", ["x=a+b", "y=c"]) == {"x": ["a", "b"], "y": ["c"]}
    for bad in (["x"], ["=a"], ["x=a++b"], ["x=a", "x=b"]):
        with pytest.raises(DataError, match=r"--combine .* give it as NAME=A"):
            parse_sums("--combine", bad)


@pytest.mark.parametrize(
    ("report", "title", "columns"),
    [
        (
            "choice",
            "Evidence for choice",
            ("validation pearson, mean of targets", "release spearman, all (15)"),
        ),
        ("challenge", "CAGI5 challenge", ("challenge spearman, all (15)",)),
    ],
)
def test_what_helps_is_found_to_help(reports, report, title, columns):
    values = reports[report].table(title)
    gains = reports[report].table(f"{title}, difference to {BASE}")
    for column in columns:
        found = gains.cell("better, 3 members", column)
        assert found.low > 0
        assert found.value == pytest.approx(
            values.cell("better, 3 members", column).value
            - values.cell(f"{BASE}, 3 members", column).value
        )
        assert gains.cell("better, 3 members", f"{column}: P(<= 0)") < 0.02
        singles = [values.cell(f"{BASE}, seed {seed}", column).value for seed in (42, 123, 456)]
        assert values.cell(f"{BASE}, 3 members", column).value > np.mean(singles)
        assert values.cell(f"{BASE}, seed 42", column).low < singles[0]


def test_what_is_chosen_is_set_against_every_other_ensemble(reports):
    for name, title in (("choice", "Evidence for choice"), ("challenge", "CAGI5 challenge")):
        table = reports[name].table("Chosen: better, 3 members")
        assert [row[0] for row in table.rows] == [
            f"minus {BASE}, 3 members",
            "minus both, 6 members",
        ]
        column = table.columns[-2]
        gains = reports[name].table(f"{title}, difference to {BASE}")
        same = gains.cell("better, 3 members", column)
        assert table.cell(f"minus {BASE}, 3 members", column) == same


def test_an_element_is_read_from_its_head_and_a_group_is_its_mean(results, data):
    entry = read_entry("better", results)
    [row] = [r for r in lay_out([entry], {}, "better") if r.n_members == 3]
    labels = load_release(data)
    found = variant_samples(row, "release", Variants.of(labels, 10, 0))
    effect = entry.effects["release"].mean(axis=0)
    by_hand = {}
    for name in ELEMENTS:
        here = (labels["element"] == name).to_numpy()
        column = 1 if name in GROUPS["HepG2-matched (3)"] else 0
        by_hand[name] = spearman(effect[here, column], labels["value"][here])
        assert found[Key("release", name, Statistic.SPEARMAN)].value == pytest.approx(by_hand[name])
    four = np.mean([by_hand[name] for name in K562_MATCHED])
    assert found[Key("release", "K562-matched (4)", Statistic.SPEARMAN)].value == pytest.approx(
        four
    )
    assert by_hand["F9"] < 0 < by_hand["HBB"], "the head of HepG2 is upside down here"


@pytest.mark.parametrize(("report", "split"), [("choice", "Validation"), ("challenge", "Test")])
def test_a_fold_is_held_against_its_own_activities(reports, report, split, results, table):
    entry, fold = read_entry("better", results), split.lower()
    found = reports[report].table(f"{split} fold by target")
    by_hand = []
    for target in TARGETS:
        activity = assay_rows(table, f"joint_{target}", fold)["activity"].to_numpy()
        by_hand.append(spearman(entry.inserts[fold, target].mean(axis=0), activity))
        cell = found.cell("better, 3 members", f"{fold} spearman, {target}")
        assert cell.value == pytest.approx(by_hand[-1])
    mean = found.cell("better, 3 members", f"{fold} spearman, mean of targets")
    assert mean.value == pytest.approx(np.mean(by_hand))


def test_a_resample_takes_or_leaves_whole_clusters_on_all_targets_alike(results, table):
    entry = read_entry("better", results)
    folds = folds_of(entry, table, "validation", 50, 3)
    drawn = {}
    for target in TARGETS:
        clusters = assay_rows(table, f"joint_{target}", "validation")["cluster"]
        assert folds.counts[target].shape == (50, len(clusters))
        for cluster, counts in zip(clusters, folds.counts[target].T.tolist(), strict=True):
            assert drawn.setdefault(cluster, counts) == counts
    assert len({tuple(counts) for counts in drawn.values()}) > 1
    # As many clusters as there are, in every resample.
    assert (sum(np.array(counts) for counts in drawn.values()) == len(drawn)).all()


def test_heads_can_be_combined():
    effects = np.array([[1.0, 2.0, 6.0], [1.0, 2.0, 6.0]])
    element = np.array(["HBB", "F9"])
    read = {
        name: read_heads(effects, TARGETS, element, way).tolist()
        for name, way in readings(TARGETS).items()
    }
    assert next(iter(read)) == OWN_HEAD
    assert read[OWN_HEAD] == [1, 2]
    assert read["mean of all heads"] == [3, 3]
    assert read["K562 by K562 and HepG2"] == [1.5, 2], "F9 is an element of HepG2"
    assert read["HepG2 by HepG2 and WTC11"] == [1, 4]
    assert read["WTC11 alone"] == [6, 6]
    assert list(readings(["K562"])) == [OWN_HEAD], "with one head there is one way"


def test_ways_to_combine_heads_stand_beside_the_served_one(reports):
    heads = reports["choice"].table("Which heads speak, difference to the head of the element")
    column = "release spearman, all (15)"
    served = heads.cell(f"better, 3 members: {OWN_HEAD}", column)
    alone = heads.cell("better, 3 members: K562 alone", column)
    assert alone.value > served.value, "HepG2's head is upside down here"
    gain = heads.cell("better, 3 members: K562 alone", f"{column}: difference")
    assert gain.value == pytest.approx(alone.value - served.value)
    assert heads.cell(f"better, 3 members: {OWN_HEAD}", f"{column}: difference") is None


def test_a_look_at_the_challenge_is_one_run_in_the_log_and_only_where_asked_for(
    reports, options, log, tmp_path
):
    start, end = (json.loads(line) for line in log.read_text().splitlines())
    assert (start["event"], end["event"]) == ("started", "finished")
    assert end["model"] == f"levers: {BASE}, better"
    shown = reports["challenge"].table("CAGI5 challenge")
    heads = reports["challenge"].table("Which heads speak, difference to the head of the element")
    n_own = sum(str(row[0]).endswith(OWN_HEAD) for row in heads.rows)
    assert len(end["means"]) == 3 * (len(shown.rows) + len(heads.rows) - n_own)
    alone = heads.cell("better, 3 members: K562 alone", "challenge spearman, all (15)").value
    assert alone != shown.cell("better, 3 members", "challenge spearman, all (15)").value
    assert end["means"]["better, 3 members: K562 alone, all (15), spearman"] == pytest.approx(
        alone, abs=1e-6
    )
    assert "both of base, better" in start["purpose"].replace(BASE, "base")
    value = shown.cell("both, 6 members", "challenge spearman, K562-matched (4)").value
    assert end["means"]["both, 6 members, K562-matched (4), spearman"] == pytest.approx(
        value, abs=1e-6
    )
    untouched = tmp_path / "log.jsonl"
    assert set(levers([], combined={}, log=untouched, **options)) == {"choice"}
    assert not untouched.exists()


def test_both_reports_say_what_each_row_was_made_from(reports, results):
    for report in reports.values():
        made = report.table("What each entry is")
        assert [row[0] for row in made.rows] == [BASE, "better"]
        assert made.cell(BASE, "SHA-256") == read_entry(BASE, results).sha256[:12]
        assert made.cell(BASE, "seeds") == "42, 123, 456"
        assert "Research use only" in report.notes[0]


def test_the_command_writes_markdown_and_json(results, data, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table.to_parquet("assays.parquet")
    given = ["ablation", "table", "alone", "--combine", f"both={BASE}+alone", "--draws", "100"]
    given += ["--chosen", "both"]
    given += ["--table", "assays.parquet", "--data", str(data), "--results", str(results)]
    done = CliRunner().invoke(cli.app, [*given, "--reports", "reports"])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {"choice.md", "choice.json"}
    report = Report.from_json(json.loads((tmp_path / "reports" / "choice.json").read_text()))
    assert report.table("Evidence for choice").cell("both, 4 members", "members") == 4
    against = [row[0] for row in report.table("Chosen: both, 4 members").rows]
    assert against == [f"minus {BASE}, 3 members", "minus alone, seed 7"]
    assert (tmp_path / "reports" / "choice.md").read_text() == report.to_markdown(1)
