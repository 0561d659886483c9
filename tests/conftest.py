"""Fixtures that every test may use: a tiny genome, toy models, the measured data."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from service.reference import Reference
from service.registry import Model, Registry
from service.session import has_cuda
from tests.genomes import CHR1, CHR_M, write_fasta
from tests.service.familiar import entry
from tests.toy_models import BACKGROUND, SumModel, write_model

# The clock of a busy machine is no property of the code.
settings.register_profile("varsigma", deadline=None)
settings.load_profile("varsigma")


_IN_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 1 << 30


def pytest_configure(config: pytest.Config) -> None:
    """Prepare what this process and those that it starts inherit.

    Temporary files are in memory, unless TMPDIR says where: the tests make thousands of small
    folders and flush their files, and on a disk that takes half of their time. Processes that share
    the tests (pytest -n) compute on one thread each.
    """
    if getattr(config.option, "numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if "TMPDIR" in os.environ or not os.access(_IN_MEMORY, os.W_OK):
        return
    if shutil.disk_usage(_IN_MEMORY).free >= _ENOUGH_BYTES:
        os.environ.setdefault("RAY_TMPDIR", tempfile.gettempdir())  # Ray leaves its logs behind
        os.environ["TMPDIR"] = tempfile.tempdir = str(_IN_MEMORY)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs a GPU where there is none."""
    if item.get_closest_marker("gpu") and not has_cuda():
        pytest.skip("no CUDA here")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the measured tables."""
    default = Path(__file__).parents[1] / "../shared/data"
    folder = Path(os.environ.get("VARSIGMA_DATA", default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no measured data at {folder}; set VARSIGMA_DATA")
    return folder


@pytest.fixture
def tiny_fasta(tmp_path: Path) -> Path:
    """A FASTA of chr1 (103 bases, partly lower case) and chrM, in lines of 30."""
    path = tmp_path / "tiny.fa"
    chr1 = CHR1[:40] + CHR1[40:60].lower() + CHR1[60:]
    return write_fasta(path, {"chr1": chr1, "chrM": CHR_M})


@pytest.fixture
def reference(tiny_fasta: Path) -> Iterator[Reference]:
    """The tiny genome, opened; its assembly is not stated."""
    with Reference.open(tiny_fasta) as opened:
        yield opened


@pytest.fixture(scope="session")
def toy_models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: `sum` (3 members, K562 and HepG2) and `sum_one` (one member, K562); W is 20.

    The card of `sum` has novelty and background, that of `sum_one` is as cards were before them.
    """
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, card={"novelty": entry(width=20), "background": BACKGROUND})
    write_model(folder, SumModel(members=1, targets=("K562",)), name="sum_one")
    return folder


@pytest.fixture(scope="session")
def toy_model(toy_models_dir: Path) -> Model:
    """The model `sum` on one thread of the CPU."""
    return Registry(toy_models_dir).load("sum", threads=1)
