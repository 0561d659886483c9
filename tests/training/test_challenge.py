"""The doors to the measured effects of CAGI5, and the log of who looked at the challenge labels."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import training
from service.errors import Status
from service.reference import Reference
from service.windows import make_passes, variant_windows
from tests.training.toy_cagi5 import SPAN, write_cagi5
from training.datasets.cagi5 import (
    CAGI5_SOURCES,
    CHALLENGE,
    ELEMENTS,
    MEASUREMENTS,
    RELEASE,
    reference_path,
    variants_of,
)
from training.datasets.sources import SUMS, DataError, file_digest
from training.evaluation.challenge import (
    CHALLENGE_LOG,
    Run,
    code_version,
    load_challenge,
    load_deletions,
    load_release,
    load_release_deletions,
)

ROOT = Path(training.__file__).parents[1]
RUN = Run(model="m", model_sha256="0" * 64, purpose="test")
NAMES_LABELS = re.compile(
    r"challenge\.tsv|\{split\}\.tsv|kircher2019|\bCHALLENGE\b(?!_)|\bMEASUREMENTS\b"
)


@pytest.fixture(scope="module")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cagi5(tmp_path_factory.mktemp("data"))


def lines(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_the_log_grows_by_a_start_and_an_end(toy_data, tmp_path):
    for _ in range(2):
        run = Run(model="m", model_sha256="0" * 64, purpose="test")
        with load_challenge(toy_data, run, log=tmp_path / "log") as table:
            assert len(table) == 675
            run.means["all"] = 0.123456789
    found = lines(tmp_path / "log")
    assert [line["event"] for line in found] == ["started", "finished"] * 2
    assert found[0]["run"] == found[1]["run"] != found[2]["run"] == found[3]["run"]
    for line in found:
        assert line["data_sha256"] == file_digest(toy_data / CHALLENGE.path)
        assert line["code"] == code_version()
    assert "means" not in found[0]
    assert found[1]["means"] == {"all": 0.123457}


def test_the_start_is_out_before_a_label_is_so_that_a_kill_leaves_it(toy_data, tmp_path):
    with load_challenge(toy_data, RUN, log=tmp_path / "log"):
        (line,) = lines(tmp_path / "log")
        assert line["event"] == "started"


def test_a_run_that_fails_says_so(toy_data, tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        load_challenge(toy_data, RUN, log=tmp_path / "log"),
    ):
        raise ZeroDivisionError
    assert [line["event"] for line in lines(tmp_path / "log")] == ["started", "failed"]


def test_no_label_is_read_where_the_log_cannot_be_written(toy_data, tmp_path):
    blocked = load_challenge(toy_data, RUN, log=tmp_path / "no folder" / "log")
    with pytest.raises(FileNotFoundError), blocked:
        pytest.fail("the labels came out")


@pytest.mark.parametrize("source", [CHALLENGE, RELEASE], ids=lambda source: source.name)
def test_an_altered_table_is_refused(tmp_path, source):
    folder = write_cagi5(tmp_path)
    (folder / SUMS).write_text(f"{'0' * 64}  {source.path}\n")
    with pytest.raises(DataError, match=rf"{Path(source.path).name}: SHA-256 is"):
        if source is RELEASE:
            load_release(folder)
        with load_challenge(folder, RUN, log=tmp_path / "log"):
            pytest.fail("the labels came out")
    assert not (tmp_path / "log").exists(), "nobody looked"


def test_deletions_outside_release_blocks_have_the_same_door(toy_data, tmp_path):
    run = Run(model="m", model_sha256="0" * 64, purpose="test")
    with load_deletions(toy_data, run, log=tmp_path / "log") as table:
        assert [line["event"] for line in lines(tmp_path / "log")] == ["started"]
        assert not table["in_block"].any()
        run.means["all"] = 0.5
    start, end = lines(tmp_path / "log")
    assert start["split"] == end["split"] == "deletions outside release blocks"
    assert start["data_sha256"] == file_digest(toy_data / MEASUREMENTS.path)
    assert (end["event"], end["means"]) == ("finished", {"all": 0.5})
    blocked = load_deletions(toy_data, run, log=tmp_path / "no folder" / "log")
    with pytest.raises(FileNotFoundError), blocked:
        pytest.fail("the labels came out")


def test_deletions_in_release_blocks_are_free_to_read(toy_data, tmp_path):
    inside = load_release_deletions(toy_data)
    released = set(range(SPAN[0] + 1, SPAN[1] + 1, 4))
    # Of a block of one position only a base without a neighbour of its kind lies all inside.
    assert set(inside["pos"]) <= released
    assert (inside["first"] == inside["last"]).all()
    with load_deletions(toy_data, RUN, log=tmp_path / "log") as rest:
        both = [
            *zip(inside["element"], inside["pos"], strict=True),
            *zip(rest["element"], rest["pos"], strict=True),
        ]
    places = {(element, pos) for element in ELEMENTS for pos in range(SPAN[0], SPAN[1] + 1)}
    assert set(both) == places
    assert len(both) == len(places) + 20, "PKLR was measured twice"


def test_an_altered_table_of_measurements_is_refused(tmp_path):
    folder = write_cagi5(tmp_path)
    listed = [f"{file_digest(folder / s.path)}  {s.path}\n" for s in CAGI5_SOURCES]
    (folder / SUMS).write_text("".join(listed) + f"{'0' * 64}  {MEASUREMENTS.path}\n")
    with pytest.raises(DataError, match=r"SHA-256 is"):
        load_release_deletions(folder)
    with (
        pytest.raises(DataError, match=r"SHA-256 is"),
        load_deletions(folder, RUN, log=tmp_path / "log"),
    ):
        pytest.fail("the labels came out")
    assert not (tmp_path / "log").exists(), "nobody looked"


def test_there_is_one_door_to_the_challenge_labels():
    # cagi5.py declares the file and reads places from it; its tests do without a label.
    package = ROOT / "training"
    naming = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if NAMES_LABELS.search(path.read_text())
    }
    names_variants = "campaign/predict.py"
    assert naming == {"datasets/cagi5.py", "evaluation/challenge.py", names_variants}
    reader = (package / names_variants).read_text()
    columns = 'columns = ["element", "chrom", "pos", "ref", "alt"]'
    assert reader.count("read_csv") == reader.count("usecols=columns") == reader.count(columns) == 1
    places = (package / "datasets" / "cagi5.py").read_text()
    assert places.count("read_csv") == places.count('usecols=["element", "chrom", "pos"]') == 1


def test_tests_take_the_same_door():
    writers = {
        "training/toy_cagi5.py",
        "training/tiny_mirror.py",
        "training/test_cagi5_elements.py",
    }
    # Its toy labels are taken out; here the file is only named; and the slices are compared with
    # the published alleles, which needs the first columns and no label.
    others = {"training/test_calibrate.py", "training/test_challenge.py"}
    # Toy tables again, whose variants are read without their labels.
    others |= {f"training/campaign/test_{name}.py" for name in ("analysis", "predict", "release")}
    # Here labels are blanked out, or overwritten outside the release blocks, to show that nothing
    # reads them.
    others |= {"training/test_novelty.py", "training/test_pair_noise_cagi5.py"}
    # Labels are taken out of the file, and nothing misses them.
    others |= {"training/ablation/test_store.py"}
    # The file is taken away, and nothing misses it.
    others |= {"training/test_likelihood.py"}
    exception = "service/test_reference.py"
    folder = ROOT / "tests"
    naming = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if NAMES_LABELS.search(path.read_text())
    }
    assert naming == writers | others | {exception}
    text = (folder / exception).read_text()
    assert text.count("challenge.tsv") == text.count('usecols=["element", "chrom", "pos", "ref"]')


def test_the_code_version_follows_the_code(tmp_path, monkeypatch):
    assert re.fullmatch(r".+\+[0-9a-f]{12}", code_version())
    copy = tmp_path / "training"
    copy.mkdir()
    (copy / "a.py").write_text("1")
    monkeypatch.setattr(
        "training.evaluation.challenge.__file__", str(copy / "evaluation" / "challenge.py")
    )
    before = code_version()
    (copy / "a.py").write_text("2")
    assert code_version() != before


def test_the_release_set_is_free_to_read(toy_data):
    assert load_release(toy_data)["pos"].isin(range(SPAN[0] + 1, SPAN[1] + 1, 4)).all()


def test_the_committed_log_lies_beside_the_code():
    assert CHALLENGE_LOG.name == "challenge_log.jsonl"
    assert CHALLENGE_LOG.parent == ROOT / "training"
    for line in lines(CHALLENGE_LOG):
        assert {"date", "model", "model_sha256", "code", "split", "purpose"} <= line.keys()
        # The first lines are of a time when a run left one, at its end.
        ended = line.get("event", "finished") != "started"
        assert ("means" in line) == ended


@pytest.mark.data
def test_the_real_sets_and_the_fourteen_reference_mismatches(data_dir, tmp_path):
    with load_challenge(data_dir, RUN, log=tmp_path / "log") as table:
        variants = variants_of(table)
    assert len(variants) == 13_813
    assert set(table["element"]) == set(ELEMENTS)
    high = table[table["confidence"] >= 0.1]["element"].value_counts()
    assert high[["GP1BB", "HBB", "HBG1", "PKLR"]].tolist() == [143, 64, 125, 180]
    release = load_release(data_dir)
    assert len(release) == 4_650
    assert (release["ref"].str.len() == 1).all()
    assert (release["alt"].str.len() == 1).all()
    keys = ["element", "pos", "ref", "alt"]
    assert table.merge(release, on=keys).empty
    with Reference.open(reference_path(data_dir), assembly="GRCh37") as reference:
        cut = [variant_windows(reference, v, 200, make_passes(1, (0,))) for v in variants]
    statuses = [item for item in cut if isinstance(item, Status)]
    assert statuses == [Status.REF_MISMATCH] * 14
