"""Fixtures of the tests of the service: no settings from outside, and a made-up cohort."""

from pathlib import Path

import pytest

from service.settings import ENV_PREFIX, Settings
from tests.service.cohort import Cohort
from tests.service.job_desk import JobDesk


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from the environment, and processes use one thread."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{ENV_PREFIX}{name.upper()}", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """1,000 ALTs on a genome in a folder of its own, which no test changes."""
    return Cohort(tmp_path_factory.mktemp("cohort") / "genome.fa")


@pytest.fixture
def vcf(cohort: Cohort, tmp_path: Path) -> Path:
    """The cohort as a plain VCF."""
    return cohort.write(tmp_path / "in.vcf")


@pytest.fixture
def desk(cohort: Cohort, tmp_path: Path) -> JobDesk:
    """A service that takes jobs, with files of its own."""
    return JobDesk(tmp_path, cohort)
