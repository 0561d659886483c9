"""A little of `python -m tests.fuzz_http`, and that it would find something."""

import pytest
from fastapi import HTTPException

from tests.fuzz_http import fuzz, make_app
from tests.hostile import MAKERS, hostile


@pytest.fixture
def app(tmp_path):
    app = make_app(tmp_path)
    yield app
    app.state.engine.close()


def test_hostile_requests_get_documented_answers(app):
    report = fuzz(app, range(1000), seed=1)
    assert report.problems == []
    assert report.n == 1000
    assert {family for family, _ in report.families} == MAKERS.keys()
    assert {200, 400, 404, 405, 413, 415, 422} <= report.statuses.keys()


def test_a_request_is_made_of_its_number():
    assert hostile(1, 7, 5000) == hostile(1, 7, 5000)
    assert len({repr(hostile(1, n, 5000)) for n in range(50)}) > 45


@pytest.mark.parametrize(
    "fault",
    [ZeroDivisionError(), HTTPException(418), b"[NaN]", b"nonsense", b'"/tmp/models"'],
    ids=["bug", "undocumented", "NaN", "no JSON", "tells of a file"],
)
def test_it_finds_what_is_wrong(app, monkeypatch, fault):
    async def broken(*_) -> bytes:
        if isinstance(fault, Exception):
            raise fault
        return fault

    monkeypatch.setattr("service.calls.sequences", broken)
    assert fuzz(app, range(500), seed=1, max_problems=1).problems
