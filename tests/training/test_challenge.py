"""The CAGI5 tables: the log of who looked at the labels, and the construct-aware reference."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import training
from service.errors import Status
from service.reference import Reference
from service.windows import make_passes, variant_windows
from tests.training.toy_cagi5 import SPAN, write_cagi5
from training.evaluation.challenge import (
    CHALLENGE_LOG,
    ELEMENTS,
    Run,
    code_version,
    element_spans,
    load_challenge,
    load_release,
    reference_path,
    variants_of,
    write_construct_reference,
)

RUN = Run(model="m", model_sha256="0" * 64, purpose="test")


@pytest.fixture(scope="module")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cagi5(tmp_path_factory.mktemp("data"))


def lines(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_the_log_grows_and_keeps_its_lines(toy_data, tmp_path):
    for _ in range(2):
        with load_challenge(toy_data, RUN, log=tmp_path / "log") as table:
            assert len(table) == 675
    assert len(lines(tmp_path / "log")) == 2


def test_no_label_is_read_where_the_log_cannot_be_written(toy_data, tmp_path):
    blocked = load_challenge(toy_data, RUN, log=tmp_path / "no folder" / "log")
    with pytest.raises(FileNotFoundError), blocked:
        pytest.fail("the labels came out")


def test_there_is_one_door_to_the_challenge_labels():
    # overlap.py needs the files to exist and asks challenge.py where the elements lie.
    naming, package = set(), Path(training.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text()
        if re.search(r"challenge\.tsv|\{split\}\.tsv|kircher2019", text):
            naming.add(path.name)
    assert naming <= {"challenge.py", "overlap.py"}
    assert "read_csv" not in (package / "datasets" / "overlap.py").read_text()


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
    assert CHALLENGE_LOG.parent == Path(training.__file__).parent
    if CHALLENGE_LOG.exists():
        for line in lines(CHALLENGE_LOG):
            assert {"date", "model", "model_sha256", "code", "split", "means"} <= line.keys()


def test_the_construct_window_is_blank_outside_the_element(toy_data, tmp_path):
    table = load_release(toy_data)
    path = write_construct_reference(toy_data, tmp_path)
    passes = make_passes(1, (0,))
    with Reference.open(path) as construct, Reference.open(reference_path(toy_data)) as genome:
        for variant in variants_of(table)[:60]:
            whole = variant_windows(genome, variant, 30, passes)[0]
            cut = variant_windows(construct, variant, 30, passes)[0]
            place = np.arange(variant.pos - 15, variant.pos + 15)
            inside = (place >= SPAN[0]) & (place <= SPAN[1])
            assert (cut[:, ~inside] == 4).all()
            np.testing.assert_array_equal(cut[:, inside], whole[:, inside])
            assert (whole != 4).all()
    assert path.read_text().count(">") == 14


def test_an_element_spans_both_splits_and_no_label_is_needed(toy_data, tmp_path):
    assert element_spans(toy_data)["GP1BB"] == ("chr1", *SPAN)
    folder = tmp_path / "cagi5"
    folder.mkdir()
    for split, pos in (("challenge", 7), ("release", 3)):
        (folder / f"{split}.tsv").write_text(f"element\tchrom\tpos\nE\tchr1\t{pos}\n")
    assert element_spans(tmp_path) == {"E": ("chr1", 3, 7)}


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
    keys = ["element", "pos", "ref", "alt"]
    assert table.merge(release, on=keys).empty
    construct = write_construct_reference(data_dir, tmp_path)
    for path in (reference_path(data_dir), construct):
        with Reference.open(path, assembly="GRCh37") as reference:
            cut = [variant_windows(reference, v, 200, make_passes(1, (0,))) for v in variants]
        statuses = [item for item in cut if isinstance(item, Status)]
        assert statuses == [Status.REF_MISMATCH] * 14
