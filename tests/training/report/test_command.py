"""`varsigma-train report` finds the preset's records and says what it wrote."""

from pathlib import Path
from unittest.mock import patch

import typer
from typer.testing import CliRunner

from training.report.command import report

APP = typer.Typer()
APP.command()(report)


def test_names_the_preset_on_both_sides(tmp_path: Path) -> None:
    with patch(
        "training.report.page.write", side_effect=lambda _, out: out / "index.html"
    ) as write:
        result = CliRunner().invoke(
            APP, ["--preset", "gpu", "--records", str(tmp_path / "in"), "--out", str(tmp_path)]
        )
    assert result.exit_code == 0, result.output
    write.assert_called_once_with(tmp_path / "in" / "gpu", tmp_path / "gpu")
    assert result.output.replace("\n", "") == f"wrote {tmp_path / 'gpu' / 'index.html'}"
