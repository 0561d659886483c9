"""One made-up campaign, its report drawn once."""

from pathlib import Path

import pytest

from tests.training.report.synthetic import write_campaign
from training.report.campaign import Campaign
from training.report.page import write


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_campaign(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="session")
def campaign(records: Path) -> Campaign:
    return Campaign.read(records)


@pytest.fixture(scope="session")
def report(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(records, tmp_path_factory.mktemp("report"))
