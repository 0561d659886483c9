"""README's promises: its commands run, and what can be set or returned is on the page."""

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from fastapi.testclient import TestClient
from numpy.typing import NDArray

import service.cli
import training.cli
from service.app import create_app
from service.errors import Status
from service.fields import EFFECT_FIELDS
from service.registry import Registry, default_models_dir
from service.settings import ENV_PREFIX, Settings, load_settings
from tests.training.toy_table import toy_table
from training.architectures.heads import Prediction
from training.campaign.plan import SUITES, plan
from training.losses.base import Batch, masked_mean
from training.samplers import Labels
from training.trainer import split
from training.zoo import PRESETS, ZOO

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = {
    name: typer.main.get_command(app)
    for name, app in (("varsigma", service.cli.app), ("varsigma-train", training.cli.app))
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def command_lines(program: str) -> list[list[str]]:
    lines = "\n".join(blocks("sh")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith(f"{program} ")]


def rows() -> Iterator[list[str]]:
    for line in README.splitlines():
        if line.startswith("| "):
            yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("program", COMMANDS)
def test_commands_and_options_on_the_page_exist(program: str) -> None:
    spans = re.findall(rf"`({program} [^`]+)`", README)
    lines = command_lines(program) + [shlex.split(span) for span in spans]
    assert lines
    for _, name, *arguments in lines:
        command = COMMANDS[program].commands[name]
        while isinstance(command, typer.core.TyperGroup):
            command = command.commands[arguments.pop(0)]
        known = {
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        used = {word for word in arguments if word.startswith("-") and word != "-"}
        assert used <= known, (name, used - known)


@pytest.mark.parametrize("program", COMMANDS)
def test_every_command_is_on_the_page(program: str) -> None:
    assert COMMANDS[program].commands
    for name in COMMANDS[program].commands:
        assert f"{program} {name}" in README


def test_every_make_target_on_the_page_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_on_the_page_with_its_default(name: str) -> None:
    [row] = [row for row in rows() if len(row) == 4 and row[1] == f"{ENV_PREFIX}{name.upper()}"]
    option, _, default, _ = row
    options = {
        option
        for command in COMMANDS["varsigma"].commands.values()
        for parameter in command.params
        for option in parameter.opts
    } | {"--debug"}
    expected = f"--{name.replace('_', '-')}"
    assert option == (expected if expected in options else "")
    value = Settings.model_fields[name].default
    if value not in {None, ()}:
        assert default == (",".join(map(str, value)) if isinstance(value, tuple) else str(value))


def test_every_status_is_on_the_page_with_its_reason() -> None:
    listed = [tuple(row) for row in rows() if row[0] in set(Status)]
    assert listed == [(status.value, status.reason) for status in Status]


def test_every_number_of_an_effect_is_explained() -> None:
    explained = README.partition("## What the numbers mean")[2].partition("##")[0]
    for field in EFFECT_FIELDS:
        assert f"`{field.name}`" in explained
        assert f"_{field.name.upper()}`" in README


def test_models_on_the_page_are_the_models_in_the_repository() -> None:
    listed = {row[0]: row[1:] for row in rows() if row[-1].startswith("[models/")}
    registry = Registry(ROOT / "models")
    assert list(listed) == registry.names()
    for name, (targets, members, window, link) in listed.items():
        card = registry.card(name)
        assert targets == ", ".join(target["name"] for target in card["targets"])
        assert (members, window) == (str(card["members"]), f"{card['window']} bp")
        assert link == f"[models/{name}](models/{name}/README.md)"


def test_files_on_the_page_exist() -> None:
    names = re.findall(r"[\s(`](?:examples|models|training|service)/[\w./-]+", README)
    for name in (name[1:].rstrip(".") for name in names):
        assert (ROOT / name).exists(), name


def test_the_recipe_on_the_page_is_one_that_the_zoo_would_take() -> None:
    [line] = [block for block in blocks("python") if block.startswith("Recipe(")]
    [classes] = [block for block in blocks("python") if block.startswith("@dataclass")]
    namespace = dict(vars(sys.modules["training.zoo"]))
    namespace |= {"Prediction": Prediction, "Batch": Batch, "masked_mean": masked_mean}
    namespace |= {"Labels": Labels, "torch": torch, "Tensor": torch.Tensor}
    namespace |= {"np": np, "NDArray": NDArray}
    namespace |= {"huber_loss": torch.nn.functional.huber_loss, "Generator": np.random.Generator}
    exec(classes, namespace)
    recipe = eval(line, namespace)
    assert recipe.name not in ZOO
    assert recipe.fingerprint not in {known.fingerprint for known in ZOO.values()}
    # And what the new classes compute is what their lines say.
    labels = Labels(
        np.zeros((4, 1), np.float32), np.array([[3.0], [1.0], [2.0], [4.0]], np.float32)
    )
    rows = recipe.sampler.epoch(labels, batch_size=2, progress=0.0, rng=np.random.default_rng(0))
    assert sorted(rows.tolist()) == [1, 1, 2, 2]
    train = split(toy_table(20))[0]
    batch = train.batch(np.arange(8), np.zeros(8, dtype=bool))
    mu = torch.zeros(8, len(train.assays))
    (loss,) = recipe.loss.terms(Prediction(mu, None, mu), batch).values()
    y = batch.activity[~torch.isnan(batch.activity)].abs()
    expected = torch.where(y < 0.5, y**2 / 2, 0.5 * (y - 0.25)).mean()
    torch.testing.assert_close(loss, expected)


def test_the_campaign_on_the_page_is_the_one_that_is_planned() -> None:
    shown = re.findall(r"^\| `(\w+)` \| (\d+) \|", README, flags=re.MULTILINE)
    planned = [run.suite for run in plan(PRESETS["cpu"])]
    assert shown == [(suite, str(planned.count(suite))) for suite in SUITES]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the commands of the page can write."""
    (tmp_path / "examples").mkdir()
    for path in (ROOT / "examples").iterdir():
        (tmp_path / "examples" / path.name).symlink_to(path)
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
    return tmp_path


def test_scoring_commands_run(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [arguments for _, *arguments in command_lines("varsigma") if arguments[0] != "serve"]
    assert len(lines) >= 4
    for arguments in lines:
        assert service.cli.run(arguments) == 0, arguments
    assert "star_alt" in capfd.readouterr().err
    assert (workspace / "build/scored.tsv.gz").stat().st_size > 0
    for name in ("scored", "planned"):
        text = gzip.decompress((workspace / f"build/{name}.vcf.gz").read_bytes())
        assert b"VARSIGMA_K562_EFFECT=" in text
    assert (workspace / "build/scored.vcf.gz.tbi").stat().st_size > 0
    assert "ref_mismatch" in (workspace / "build/rejects.tsv").read_text()


def test_the_http_request_gets_the_answer_that_the_page_tells_of(workspace: Path) -> None:
    [_, *options] = next(line[1:] for line in command_lines("varsigma") if line[1] == "serve")
    given = dict(zip(options[::2], options[1::2], strict=True))
    [body] = re.findall(r"curl .*? -d '(.*?)'", "\n".join(blocks("sh")), re.DOTALL)
    settings = load_settings(reference=given["--reference"], assembly=given["--assembly"])
    with TestClient(create_app(settings)) as client:
        answer = client.post("/v1/score", json=json.loads(body))
        assert answer.status_code == 200
        assert [result["status"] for result in answer.json()["results"]] == ["ok", "ref_mismatch"]
        paths = client.get("/openapi.json").json()["paths"]
        for path, methods in paths.items():
            for method in methods:
                assert f"`{method.upper()} {path}`" in README


def test_the_python_example_runs(workspace: Path) -> None:
    [code] = [
        block for block in blocks("python") if not block.startswith(("Recipe(", "@dataclass"))
    ]
    command = [sys.executable, "-W", "error", "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    for target in Registry(default_models_dir()).card("dh7")["targets"]:
        assert target["name"] in done.stdout
