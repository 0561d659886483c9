"""A little of `python -m tests.fuzz_http`, and that it would find something."""

from collections import Counter

import pytest
from fastapi import HTTPException

from tests.fuzz_http import Report, fuzz, make_app, unread
from tests.hostile import LINE, MAKERS, VCF, Hostile, hostile


def upload(n: int) -> Hostile:
    """A good file, another one for each number."""
    content = VCF + LINE.replace(b"\t.\t", b"\t%d\t" % n, 1)
    return Hostile("upload", "POST", "/v1/jobs", [], [content], is_cut=False)


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
    assert unread(report) == []


def test_a_service_that_turns_requests_away_does_not_pass():
    good = Counter({(family, 200): 100 for family in MAKERS})
    assert unread(Report(families=good)) == []
    assert unread(Report(families=good + Counter({("upload", 503): 2}))) == []
    some = unread(Report(families=good + Counter({("upload", 503): 3})))
    assert some == ["upload: 3 of 103 were turned away"]
    everything = unread(Report(families=Counter({(family, 503): 100 for family in MAKERS})))
    assert "upload: no good answer" in everything
    assert len([problem for problem in everything if "100 of 100" in problem]) == len(MAKERS)


def test_there_is_room_for_the_jobs_of_any_number_of_requests(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz_http._JOBS_LAST", 20)
    monkeypatch.setattr("tests.fuzz_http._MAX_JOBS", 30)
    monkeypatch.setattr("tests.fuzz_http.hostile", lambda _, n, __: upload(n))
    app = make_app(tmp_path)
    report = fuzz(app, range(90), seed=1)
    # One that was removed before it was told of is 404.
    assert report.statuses.keys() <= {201, 404}
    assert report.statuses[201] > 80
    app.state.engine.close()


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
