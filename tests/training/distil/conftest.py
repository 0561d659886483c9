"""Two small members, and one student that they taught."""

import pytest

from tests.training.distil.small_student import PUPIL
from tests.training.small_recipe import SMALL
from tests.training.toy_table import toy_table
from training import members as members_module
from training.distil.lessons import Teacher
from training.distil.trainer import distil_student
from training.members import load_members
from training.trainer import train_member


@pytest.fixture(scope="package")
def table():
    return toy_table(100)


@pytest.fixture(scope="package", autouse=True)
def zoo():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(members_module.ZOO, "small", SMALL)
        patch.setitem(members_module.ZOO, "pupil", PUPIL)
        yield


@pytest.fixture(scope="package")
def runs(table, tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="package")
def teachers(table, runs):
    return [train_member(SMALL, seed, table, runs, progress=False) for seed in (1, 2)]


@pytest.fixture(scope="package")
def heads(teachers, table, runs):
    return distil_student(PUPIL, 7, teachers, table, runs, progress=False)


@pytest.fixture(scope="package")
def teacher(teachers):
    members = load_members(teachers)
    return Teacher(members, [assay for assay in members[0].assays if assay.served])
