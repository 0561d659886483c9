"""docs/tutorial.ipynb: it runs as it is, and ends with what the command line writes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.cli import run
from tests.lean_client import ROOT

NOTEBOOK = ROOT / "docs/tutorial.ipynb"


def cells(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["cells"]


def test_it_is_stored_without_what_a_run_leaves():
    found = cells(NOTEBOOK)
    code = [cell for cell in found if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in found}) == len(found)
    assert "**Research use only.**" in "".join(found[0]["source"])


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The notebook after a run, among what it needs of a clone."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "docs").mkdir()
    for name in ("examples", "models"):
        (folder / name).symlink_to(ROOT / name)
    command = [
        sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace",
        shutil.copy(NOTEBOOK, folder / "docs"),
    ]  # fmt: skip
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "IPYTHONDIR": str(folder)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
def test_it_runs_and_shows_what_it_speaks_of(clone):
    outputs = [output for cell in cells(clone / "docs/tutorial.ipynb") for output in
               cell.get("outputs", [])]  # fmt: skip
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data"}
    assert all(output.get("name", "stdout") == "stdout" for output in outputs), "no warnings"
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == sum("alt" in cell["metadata"] for cell in cells(NOTEBOOK)) > 1
    said = "".join("".join(output.get("text", [])) for output in outputs)
    for words in ("cannot tell", "likely lowers", "REF differs", "use=research use only"):
        assert words in said


@pytest.mark.slow
def test_its_list_is_that_of_the_command(clone, tmp_path):
    reference = ROOT / "examples/chr17.hg19.part.fa"
    command = [
        "triage", ROOT / "examples/variants.vcf", "--reference", reference, "--assembly", "GRCh37",
        "--model", "dh7", "--target", "K562", "--error-rate", 0.2, "--threshold", 0.1,
        "--device", "cpu", "-o", tmp_path / "triage.tsv",
    ]  # fmt: skip
    assert run(list(map(str, command))) == 0
    written = [
        [line for line in path.read_text().splitlines() if not line.startswith("#")]
        for path in (clone / "build/tutorial.tsv", tmp_path / "triage.tsv")
    ]
    assert written[0] == written[1]
    assert len(written[0]) > 20
