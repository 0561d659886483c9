"""Jobs where API keys are used: whose they are, how many, and what they cost."""

from contextlib import ExitStack

import pytest

from service.errors import OverloadedError
from service.settings import Settings
from service.web.keys import add_key
from service.web.uploads import Uploads
from tests.service.job_desk import error_of


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys.jsonl"
    return {name: add_key(file, name, limit) for name, limit in (("a", 2), ("b", None))}


@pytest.fixture
def ask(desk, keys, tmp_path):
    client = desk.client(keys=tmp_path / "keys.jsonl", max_jobs=2)

    def ask(key, method, path, **more):
        headers = {"x-api-key": keys[key]} if key else {}
        return client.request(method, path, headers=headers, **more)

    return ask


def test_a_job_belongs_to_the_key_that_made_it(desk, ask):
    error_of(ask(None, "POST", "/v1/jobs", content=desk.content), 401)
    one, other = (ask(key, "POST", "/v1/jobs", content=desk.content) for key in "ab")
    assert (one.status_code, other.status_code) == (201, 201)
    ids = {"a": one.json()["id"], "b": other.json()["id"]}
    assert ids["a"] != ids["b"], "the same file is a job of each"
    for key, stranger in ("ab", "ba"):
        path = f"/v1/jobs/{ids[key]}"
        assert ask(key, "GET", path).status_code == 200
        assert [job["id"] for job in ask(key, "GET", "/v1/jobs").json()["jobs"]] == [ids[key]]
        for method, rest in (("GET", ""), ("GET", "/result"), ("GET", "/rejects"), ("DELETE", "")):
            error_of(ask(stranger, method, path + rest), 404)
            error_of(ask(None, method, path + rest), 401)
    assert ask("a", "DELETE", f"/v1/jobs/{ids['a']}").status_code == 204
    assert ask("b", "GET", f"/v1/jobs/{ids['b']}").status_code == 200


def test_an_upload_is_one_item_of_the_quota_whatever_it_holds(desk, ask):
    for _ in range(2):
        answer = ask("a", "POST", "/v1/jobs", content=desk.content)
        assert answer.headers["x-ratelimit-limit"] == "2"
    answer = ask("a", "POST", "/v1/jobs", content=desk.content)
    assert error_of(answer, 429)["type"] == "rate_limited"
    assert ask("a", "GET", "/v1/jobs").status_code == 200, "to look costs nothing"


def test_a_key_may_have_so_many_jobs_that_are_not_over(desk, ask):
    for number in range(2):
        made = ask("b", "POST", "/v1/jobs", content=desk.content + b"\n" * number)
        assert made.status_code == 201
    refused = ask("b", "POST", "/v1/jobs", content=desk.content + b"\n" * 2)
    error = error_of(refused, 503)
    assert error["type"] == "overloaded"
    assert error["detail"] == {"limit": 2}
    assert int(refused.headers["retry-after"]) > 0
    assert desk.litter() == []
    # Another key has places of its own.
    assert ask("a", "POST", "/v1/jobs", content=desk.content).status_code == 201
    ask("b", "DELETE", f"/v1/jobs/{made.json()['id']}")
    assert ask("b", "POST", "/v1/jobs", content=desk.content + b"\n" * 2).status_code == 201


def test_a_name_that_is_given_again_opens_nothing_of_its_earlier_key(desk, ask, tmp_path):
    job = ask("b", "POST", "/v1/jobs", content=desk.content).json()
    file = tmp_path / "later.jsonl"
    key = add_key(file, "b", None)
    client = desk.client(keys=file)
    headers = {"x-api-key": key}
    assert client.get("/v1/jobs", headers=headers).json() == {"jobs": []}
    for rest in ("", "/result", "/rejects"):
        error_of(client.get(f"/v1/jobs/{job['id']}{rest}", headers=headers), 404)
    error_of(client.delete(f"/v1/jobs/{job['id']}", headers=headers), 404)


def test_a_key_cannot_take_all_places_for_uploads():
    uploads = Uploads(Settings())
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(uploads.place("slow"))
        with pytest.raises(OverloadedError, match="of yours") as refused, uploads.place("slow"):
            pass
        assert refused.value.retry_after
        with uploads.place("other"), uploads.place("other"):
            pass
    with uploads.place("slow"):
        pass
