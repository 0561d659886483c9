"""What is shipped: metadata, pins, the files of a wheel."""

import json
import re
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHIPPED = {"model.onnx", "card.json", "README.md"}


def requirements(*extras: str) -> list[Requirement]:
    optional = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + [line for extra in extras for line in optional[extra]]
    return [Requirement(line) for line in lines]


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return dict(pairs)


def test_every_dependency_is_pinned_within_its_range(pins: dict[str, str]) -> None:
    for requirement in requirements(*PROJECT["optional-dependencies"]):
        assert pins[requirement.name] in requirement.specifier, requirement


def test_messages_name_extras_that_there_are() -> None:
    sources = [path.read_text() for path in (ROOT / "service").rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"""of_extra\(['"](\w+)""", text)}
    assert {"cuda", "parquet", "ray", "report"} <= named <= PROJECT["optional-dependencies"].keys()
    assert not any("varsigma[" in text for text in sources), "no package index has it"


def test_torch_is_pinned_without_a_local_version(pins: dict[str, str]) -> None:
    # `torch==2.13.0+cpu` would refuse the CUDA builds, and every build of other machines.
    assert pins["torch"] == "2.13.0"
    assert not [version for version in pins.values() if "+" in version]


def test_base_install_has_no_training_library() -> None:
    names = {requirement.name for requirement in requirements()}
    assert not names & {"torch", "lightning", "pandas", "scikit-learn", "onnx"}


@pytest.mark.parametrize(
    ("platform", "machine", "runtime"),
    [
        ("linux", "x86_64", "onnxruntime-gpu"),
        ("win32", "AMD64", "onnxruntime-gpu"),
        ("linux", "aarch64", "onnxruntime"),
        ("darwin", "arm64", "onnxruntime"),
        ("darwin", "x86_64", "onnxruntime"),
    ],
)
def test_each_platform_gets_exactly_one_runtime(platform: str, machine: str, runtime: str) -> None:
    # The two packages install one module over each other.
    environment = {"sys_platform": platform, "platform_machine": machine}
    runtimes = [
        requirement.name
        for requirement in requirements()
        if requirement.name.startswith("onnxruntime")
        if requirement.marker is None or requirement.marker.evaluate(environment)
    ]
    assert runtimes == [runtime]


def test_licence_is_complete() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    # Built through the sdist, as a release is, and without a network: the backend is installed.
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return ZipFile(path)


@pytest.mark.slow
def test_wheel_holds_both_packages_and_the_models(wheel: ZipFile) -> None:
    names = set(wheel.namelist())
    for package in ("service", "training"):
        sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
        assert sources <= names
    models = [path.parent for path in (ROOT / "models").glob("*/model.onnx")]
    assert models
    expected = {f"service/_models/{model.name}/{name}" for model in models for name in SHIPPED}
    assert {name for name in names if name.startswith("service/_models/")} == expected


@pytest.mark.slow
def test_wheel_holds_nothing_else(wheel: ZipFile) -> None:
    # Training weights, tests, caches and data have no business in an installation.
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {"service", "training", f"varsigma-{PROJECT['version']}.dist-info"}
    assert not [
        name for name in wheel.namelist() if name.endswith((".safetensors", ".pyc", ".npz"))
    ]
    evidence = ("training/results/", "training/reports/")
    assert not [name for name in wheel.namelist() if name.startswith(evidence)]


@pytest.mark.slow
def test_models_in_the_wheel_are_the_ones_their_cards_describe(wheel: ZipFile) -> None:
    for card in (name for name in wheel.namelist() if name.endswith("/card.json")):
        model = wheel.read(card.replace("card.json", "model.onnx"))
        assert sha256(model).hexdigest() == json.loads(wheel.read(card))["model_sha256"], card
