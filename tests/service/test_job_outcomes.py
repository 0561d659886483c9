"""What becomes of a job when something goes wrong: a defined outcome, and no work is lost."""

import json
import shutil

import pytest

from service.errors import ServiceError, ValidationError
from service.jobs.supervisor import Supervisor
from service.jobs.ticket import State
from service.jobs.work import main, problem_of
from tests.service.guarded import Lines
from tests.service.job_desk import error_of, finished
from tests.service.processes import count_shards, small_disk, wait_until


def failed(desk, client, job):
    """Score a job, which fails, and return its error as the interface shows it."""
    assert desk.score(client, job).state is State.FAILED
    told = client.get(f"/v1/jobs/{job['id']}").json()
    assert (told["state"], told["result"], told["summary"]) == ("failed", None, None)
    assert told["finished"] >= told["created"]
    assert str(desk.folder) not in str(told)
    error_of(client.get(f"/v1/jobs/{job['id']}/result"), 409)
    return told["error"]


def goes_on(desk, client, job):
    """Submit the same file again, and find that the job goes on to its result."""
    again = desk.submit(client)
    assert (again.status_code, again.json()["id"]) == (202, job["id"])
    assert (again.json()["state"], again.json()["error"]) == ("queued", None)
    assert desk.score(client, job).state is State.DONE
    assert client.get(f"/v1/jobs/{job['id']}/result").content == desk.offline()[0]
    assert desk.litter() == []


def test_a_full_disk_fails_the_job_and_loses_nothing(desk):
    client = desk.client()
    job = desk.submit(client).json()
    folder = desk.folder_of(job)
    # A shard fits, the output does not.
    sizes = [len(desk.offline()[0]) // 2, 10_000]
    done = []
    for size in sizes:
        with small_disk(size):
            standing = desk.score(client, job)
        assert standing.state is State.FAILED
        done.append(count_shards(next(folder.path.glob("*.varsigma"))))
    error = client.get(f"/v1/jobs/{job['id']}").json()["error"]
    assert error["type"] == "disk_full"
    assert "submit the file again" in error["message"]
    assert done[0] > 5
    assert done[1] == done[0], "nothing that is scored is lost"
    goes_on(desk, client, job)


def test_a_model_that_was_replaced_fails_what_was_made_for_the_old_one(desk):
    client = desk.client()
    job = desk.submit(client).json()
    shutil.copytree(desk.models, desk.folder / "kept")
    desk.replace_model()
    error = failed(desk, client, job)
    assert error["type"] == "conflict"
    assert error["detail"]["model"] == "sum"
    assert error["detail"]["expected"] == job["provenance"]["model_sha256"]
    assert error["detail"]["found"] in error["message"]
    assert error["detail"]["expected"] in error["message"]
    # A service that has loaded the new one makes another job of the same file.
    other = desk.submit(desk.client())
    assert other.status_code == 201
    assert other.json()["id"] != job["id"]
    # The old one comes back.
    shutil.rmtree(desk.models)
    (desk.folder / "kept").rename(desk.models)
    goes_on(desk, client, job)


def test_a_card_that_was_changed_is_another_model(desk):
    client = desk.client()
    job = desk.submit(client).json()
    card = desk.models / "sum" / "card.json"
    text = card.read_text()
    card.write_text(text.replace("Weighted count", "Counted weight"))
    assert failed(desk, client, job)["type"] == "conflict"
    card.write_text(text)
    goes_on(desk, client, job)


def test_a_model_that_is_gone(desk):
    client = desk.client()
    job = desk.submit(client).json()
    desk.models.rename(desk.folder / "away")
    error = failed(desk, client, job)
    assert error["type"] == "model_not_found"
    assert "the models" in error["message"]
    (desk.folder / "away").rename(desk.models)
    goes_on(desk, client, job)


def test_a_reference_that_is_gone(desk):
    client = desk.client()
    job = desk.submit(client).json()
    desk.fasta.rename(desk.folder / "away.fa")
    error = failed(desk, client, job)
    assert error["type"] == "input_file"
    assert error["message"].startswith("the reference")
    (desk.folder / "away.fa").rename(desk.fasta)
    goes_on(desk, client, job)


def test_a_reference_that_was_replaced(desk):
    client = desk.client()
    job = desk.submit(client).json()
    text = desk.fasta.read_text()
    desk.fasta.write_text(text.replace("A", "C", 1))
    error = failed(desk, client, job)
    assert error["type"] == "conflict"
    assert "the reference has changed" in error["message"]
    desk.fasta.write_text(text)
    goes_on(desk, client, job)


def test_a_file_that_breaks_off_in_the_middle_says_where(desk):
    client = desk.client()
    job = desk.submit(
        client, desk.cohort.write(desk.folder / "x", packing="gzip").read_bytes()[:-500]
    )
    error = failed(desk, client, job.json())
    assert error["type"] == "input_file"
    assert error["message"].startswith("the upload ends in the middle of a gzip block after line")


def test_a_file_of_another_assembly(desk):
    client = desk.client(mismatch_share=0.01)
    # More than a thousand that are compared.
    error = failed(desk, client, desk.submit(client, desk.content + desk.records).json())
    assert error["type"] == "wrong_assembly"
    assert "--" not in error["message"], "a client can set no option of the server"
    assert error["message"].endswith("wrong assembly? It must be that of the server's reference")


def test_work_of_another_version_is_begun_anew(desk, monkeypatch):
    client = desk.client()
    job = desk.submit(client).json()
    with small_disk(len(desk.offline()[0]) // 2):  # the output does not fit, the shards do
        assert desk.score(client, job).state is State.FAILED
    [work] = desk.folder_of(job).path.glob("*.varsigma")
    assert count_shards(work) > 5
    plan = work / "plan.json"
    plan.write_text(plan.read_text().replace('"version": 1', '"version": 0'))
    goes_on(desk, client, job)


def test_an_option_that_is_refused_costs_nothing_that_is_scored(desk, monkeypatch):
    client = desk.client()
    job = desk.submit(client).json()
    with small_disk(len(desk.offline()[0]) // 2):
        assert desk.score(client, job).state is State.FAILED
    [work] = desk.folder_of(job).path.glob("*.varsigma")
    n_before = count_shards(work)
    with monkeypatch.context() as patch:
        patch.setattr("service.jobs.work.score_file", refused)
        assert failed(desk, client, job)["type"] == "validation_error"
    assert count_shards(work) == n_before > 5
    goes_on(desk, client, job)


def refused(*_: object, **__: object) -> None:
    raise ValidationError("pyarrow is not installed")


def test_a_job_that_cannot_be_started_holds_no_other_one_up(desk, monkeypatch):
    troubles = []
    original = Supervisor._start

    def start(self, job):
        if not troubles:
            raise OSError(12, "Cannot allocate memory")
        original(self, job)

    monkeypatch.setattr(Supervisor, "_start", start)
    with desk.open() as client:
        client.app.state.desk.supervisor.on_trouble = troubles.append
        first = desk.submit(client).json()
        wait_until(lambda: troubles)
        other = desk.submit(client, shifts="2").json()
        assert finished(client, other)["state"] == "done"
        assert client.get(f"/v1/jobs/{first['id']}").json()["state"] == "queued"
        assert len(troubles) == 1, "it is not tried again each half second"


def test_a_bug_ends_the_job_and_tells_no_more(desk, monkeypatch, capsys):
    def broken(*_: object, **__: object) -> None:
        raise KeyError("ACGTSECRET")

    monkeypatch.setattr("service.jobs.work.score_file", broken)
    client = desk.client()
    error = failed(desk, client, desk.submit(client).json())
    assert error == {
        "type": "internal_error", "detail": None,
        "message": "an internal error; the log of the job has more",
    }  # fmt: skip
    assert "ACGTSECRET" in capsys.readouterr().err


def test_messages_name_no_path():
    error = ServiceError(
        "/jobs/1/input: see /jobs/1/result.vcf.varsigma/plan.json",
        detail={"a": ["/jobs/1/x", 1], "b": None},
    )
    names = {
        "/jobs/1/input": "the upload",
        "/jobs/1": "the job",
        "/jobs/1/result.vcf.varsigma/": "",
    }
    problem = problem_of(error, names)
    assert problem.message == "the upload: see plan.json"
    assert problem.detail == {"a": ["the job/x", 1], "b": None}


def test_a_process_that_is_lost_again_and_again_fails_its_job(desk, monkeypatch):
    # What the system does where memory is short; here it fails before it reads its first line.
    monkeypatch.setattr("service.jobs.supervisor.sys.executable", "/bin/false")
    monkeypatch.setattr("service.jobs.supervisor._POLL_SECONDS", 0.01)
    lines = Lines()
    with desk.open() as client:
        client.app.state.desk.supervisor.on_change = lambda _, *told: lines.raw.append(told)
        job = desk.submit(client).json()
        told = finished(client, job)
        assert told["state"] == "failed"
        assert told["error"]["type"] == "incomplete"
        assert "lost 3 times" in told["error"]["message"]
        assert lines.raw.count(("lost", "incomplete")) == 3
        assert lines.raw[-1] == ("failed", "incomplete")
    goes_on(desk, desk.client(), job)


def test_the_log_says_of_what_a_job_failed(desk, capsys):
    with desk.open() as client:
        desk.fasta.rename(desk.folder / "away.fa")
        told = finished(client, desk.submit(client).json())
        # Queued again before the process was seen to have ended: no loss.
        (desk.folder / "away.fa").rename(desk.fasta)
        assert finished(client, desk.submit(client).json())["state"] == "done"
        desk.fasta.rename(desk.folder / "away.fa")
        other = desk.submit(client, desk.content + desk.records).json()
        assert finished(client, other)["state"] == "failed"
        wait_until(lambda: not client.app.state.desk.supervisor._workers)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    jobs = [one for one in lines if one["event"] == "job"]
    told_of = [(one["state"], one["error"], one["level"]) for one in jobs]
    assert told["state"] == "failed"
    assert "lost" not in {one["state"] for one in jobs}
    assert ("done", None, "info") in told_of
    assert told_of[-1] == ("failed", "input_file", "error")
    assert str(desk.folder) not in str(lines)


def test_a_process_does_not_touch_what_another_holds(desk, monkeypatch):
    client = desk.client()
    job = desk.submit(client).json()
    folder = desk.folder_of(job)
    before = folder.standing()
    monkeypatch.setattr("service.jobs.work._step_back", lambda: None)
    means = desk.means(client).model_dump_json().encode() + b"\n"

    class Stdin:
        buffer = type("Buffer", (), {"readline": staticmethod(lambda: means)})

    monkeypatch.setattr("sys.stdin", Stdin)
    with folder.held() as is_mine:
        assert is_mine
        assert main(folder.path) == 3
    assert folder.standing() == before
    folder.cancel()
    assert main(folder.path) == 0, "nobody wants it any more"
    assert not list(folder.path.glob("result*"))


def test_a_disk_too_full_for_the_outcome_keeps_the_job_queued(desk, monkeypatch):
    client = desk.client()
    job = desk.submit(client).json()
    folder = desk.folder_of(job)
    monkeypatch.setattr("service.jobs.work._step_back", lambda: None)
    means = desk.means(client).model_dump_json().encode() + b"\n"

    class Stdin:
        buffer = type("Buffer", (), {"readline": staticmethod(lambda: means)})

    monkeypatch.setattr("sys.stdin", Stdin)
    with small_disk(10):
        assert main(folder.path) == 4
    assert folder.standing().state is State.QUEUED


@pytest.mark.parametrize("query", [{}, {"format": "vcf.gz"}])
def test_a_running_job_can_be_cancelled_and_leaves_nothing(desk, query):
    with desk.open(shard_bytes=300) as client:
        job = desk.submit(client, desk.content + desk.content[-300:] * 300, **query).json()
        supervisor = client.app.state.desk.supervisor
        while not (told := client.get(f"/v1/jobs/{job['id']}").json())["progress"]["shards_done"]:
            assert told["state"] in {"queued", "running"}, told
        process = supervisor._workers[job["id"]].process
        assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
        assert process.poll() is not None
        assert not desk.folder_of(job).path.exists()
        wait_until(lambda: desk.litter() == [])
