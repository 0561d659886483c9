"""Distillation on the command line, up to a served model."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from tests.toy_models import SumModel, write_model
from tests.training.distil.small_student import PUPIL
from tests.training.small_recipe import SMALL
from tests.training.test_folder import FILES
from training import cli
from training.card import read_card
from training.distil.lessons import DistilError
from training.distil.places import student_members
from training.distil.trainer import distil_student
from training.folder import make_model
from training.recipe import Cycle
from training.trainer import RunError, train_member
from training.zoo import ZOO


def test_from_members_to_a_model_on_the_command_line(monkeypatch, table, runs, heads, tmp_path):
    monkeypatch.chdir(tmp_path)
    table.to_parquet("assays.parquet")
    (tmp_path / "assays.json").write_text('{"files": []}')
    options = ["--table", "assays.parquet", "--runs", str(runs), "--seed", "7"]
    runner = CliRunner()
    arguments = ["distil", "small", "--student", "pupil", *options]
    done = runner.invoke(cli.app, arguments, catch_exceptions=False)
    assert done.output.splitlines() == [
        f"pupil, taught by small, head {file.stem}: {file}" for file in heads
    ]
    arguments = ["export", "pupil", "--teacher", "small", "--models", "models", *options]
    done = runner.invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert read_card(tmp_path / "models" / "pupil").seeds == (1, 2)


@pytest.mark.slow
def test_offsets_on_the_command_line_reach_graph_student_and_cards(
    monkeypatch, table, runs, teachers, tmp_path
):
    monkeypatch.chdir(tmp_path)
    table.to_parquet("assays.parquet")
    (tmp_path / "assays.json").write_text('{"files": []}')
    place = ["--table", "assays.parquet", "--runs", str(runs)]
    models, two = ["--models", "models"], ["--offset", "0", "--offset", "-1"]

    def call(*arguments):
        return CliRunner().invoke(cli.app, [*arguments], env={"COLUMNS": "1000"})

    assert call("export", "small", "--name", "moved", *two, *place, *models).exit_code == 0
    assert read_card(tmp_path / "models" / "moved").offsets == (0, -1)
    for command in ("export", "distil"):
        refused = call(command, "small", "--offset", "16", *place, *models)
        assert (refused.exit_code, "from -15 to 15" in refused.output) == (2, True)
    refused = call("distil", "moved", "--student", "pupil", *two, *place, *models)
    assert (refused.exit_code, "a model has its own" in refused.output) == (2, True)
    done = call("distil", "moved", "--student", "pupil", "--seed", "3", *place, *models)
    assert done.exit_code == 0, done.output
    folder = runs / "pupil" / "3-moved"
    assert json.loads((folder / "run.json").read_text())["offsets"] == [0, -1]
    assert (
        call("export", "pupil", "--teacher", "moved", "--seed", "3", *place, *models).exit_code == 0
    )
    card = read_card(tmp_path / "models" / "pupil")
    assert card.offsets is None, "the student itself stands still"
    assert "on average over constructs moved by 0, -1 bases" in card.summary
    with pytest.raises(DistilError, match="from -15 to 15"):
        distil_student(PUPIL, 4, teachers, table, runs, teacher_name="moved", offsets=(99,))
    assert not (runs / "pupil" / "4-moved").exists(), "a run that cannot be claims no folder"
    # The same members without offsets are another teacher.
    with pytest.raises(RunError, match="another run"):
        distil_student(PUPIL, 3, teachers, table, runs, teacher_name="moved", progress=False)


@pytest.mark.slow
def test_a_model_of_several_recipes_teaches_one_head_for_each_member(
    teachers, table, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    table.to_parquet("assays.parquet")
    (tmp_path / "assays.json").write_text('{"files": []}')
    optim = dataclasses.replace(SMALL.optim, cycles=(Cycle(1, 2e-3),))
    monkeypatch.setitem(ZOO, "brief", dataclasses.replace(SMALL, name="brief", optim=optim))
    one, options = teachers[0], ["--table", "assays.parquet", "--models", "models", "--seed", "7"]
    other = train_member(ZOO["brief"], 1, table, tmp_path / "build/runs", progress=False)
    make_model([one, other], name="duo", models_dir=tmp_path / "models", table=table, files=FILES)
    arguments = ["distil", "duo", "--student", "pupil", *options]
    done = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    heads = student_members("pupil", tmp_path / "build/runs", 7, "duo")
    assert [head.stem for head in heads] == ["1", "2"], "though both members have seed 1"
    arguments = ["export", "pupil", "--teacher", "duo", *options]
    done = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    summary = read_card(tmp_path / "models" / "pupil").summary
    assert f"(small: fingerprint {SMALL.fingerprint}; brief: fingerprint " in summary
    assert "head 1 small/1, head 2 brief/1" in summary


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["duo", "--member", "1"], "all members of a model teach"),
        (["trio"], "no recipe and no model 'trio'"),
        (["trio", "--models", "nowhere"], "models are none"),
        (["duo"], "export the model again"),
    ],
)
def test_what_is_no_teacher_is_refused_with_what_there_is(given, said, tmp_path):
    folder = write_model(tmp_path, SumModel(200), name="duo")
    models = [] if "--models" in given else ["--models", str(folder.parent)]
    done = CliRunner().invoke(cli.app, ["distil", *given, *models], env={"COLUMNS": "1000"})
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
