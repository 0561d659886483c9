"""A service that ends, in any way, loses no job; `python -m tests.kill_jobs` does it at length."""

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.kill_jobs import Broken, Service, Trial, _workers
from tests.kill_resume import check_kept
from tests.kill_resume import finished as finished_shards
from tests.service.job_desk import finished
from tests.service.processes import children, count_shards, parent_of, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc"),
]


def test_a_service_that_is_killed_goes_on_to_the_same_bytes(tmp_path):
    trial = Trial(tmp_path, n_records=4000, rng=random.Random(1), shard_bytes=6000)
    trial.run(1)
    assert trial.n_kills == 1
    assert trial.n_kept > 0


def test_what_a_service_leaves_when_it_ends_is_taken_up_by_the_next_one(desk):
    # Long enough not to be over before the service is.
    records = b"".join(record + b"\n" for record in desk.cohort.records())
    with desk.open(shard_bytes=1000) as client:
        job = desk.submit(client, desk.content + 10 * records).json()
        process = None
        while not client.get(f"/v1/jobs/{job['id']}").json()["progress"]["shards_done"]:
            time.sleep(0.01)
        process = client.app.state.desk.supervisor._workers[job["id"]].process
    assert process.poll() == -signal.SIGKILL, "it does not outlive the service"
    [work] = desk.folder_of(job).path.glob("*.varsigma")
    n_before = count_shards(work)
    assert n_before
    with desk.open(shard_bytes=1000) as client:
        assert finished(client, job)["state"] == "done"


def test_one_of_several_processes_scores_and_another_one_takes_over(desk):
    with desk.open() as one, desk.open() as other:
        supervisors = [client.app.state.desk.supervisor for client in (one, other)]
        job = desk.submit(other).json()
        assert finished(one, job)["state"] == "done"
        assert finished(other, job)["state"] == "done"
        supervisors[0].stop()
        again = desk.submit(other, shifts="2").json()
        assert finished(other, again)["state"] == "done"
        wait_until(lambda: _workers(again["id"]) == [])


def test_when_the_worker_that_has_jobs_scored_is_killed_another_one_takes_over(tmp_path):
    trial = Trial(tmp_path, n_records=4000, rng=random.Random(1), shard_bytes=6000)
    expected = trial.offline()
    service = Service(
        tmp_path, jobs=tmp_path / "jobs", workers=2, drain_delay=0, **trial.settings
    )  # fmt: skip
    service.start()
    try:
        job = service.ask("POST", "/v1/jobs", trial.vcf.read_bytes())["id"]
        work = tmp_path / "jobs" / job / "result.vcf.varsigma"
        wait_until(lambda: count_shards(work) >= 3)
        [scoring] = _workers(job)
        victim = parent_of(scoring)
        assert victim in children(service.process.pid), "a worker, not the parent of all"
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: scoring not in _workers(job))
        done = finished_shards(work)
        assert done
        heirs = set()

        def is_done() -> bool:
            check_kept(work, done)
            heirs.update(parent_of(pid) for pid in _workers(job))
            with suppress(URLError, ConnectionError):  # was with the one that was killed
                return service.ask("GET", f"/v1/jobs/{job}")["state"] == "done"
            return False

        wait_until(is_done)
        assert heirs - {0, victim}
        assert service.ask("GET", f"/v1/jobs/{job}/result") == expected
        assert service.stop() == 0
    finally:
        service.kill()


def test_jobs_give_way_to_requests(desk):
    with desk.open(shard_bytes=1000) as client:
        job = desk.submit(client).json()
        wait_until(lambda: _workers(job["id"]))
        [pid] = _workers(job["id"])

        def stat() -> list[str]:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()

        wait_until(lambda: int(stat()[16]) == 10)
        client.delete(f"/v1/jobs/{job['id']}")


def test_a_service_that_does_not_start_is_said(tmp_path):
    service = Service(tmp_path, models=tmp_path / "none")
    with pytest.raises(Broken, match="does not start: error: there is no folder of models"):
        service.start()
    service.kill()


def test_the_log_tells_of_jobs_and_of_trouble_and_names_no_path(desk, monkeypatch, capsys):
    troubles = iter([OSError(28, "No space left on device", str(desk.folder))])

    def tidy(*_: object) -> None:
        for trouble in troubles:
            raise trouble

    monkeypatch.setattr("service.jobs.store.Store.tidy", tidy)
    monkeypatch.setattr("service.jobs.supervisor._TROUBLE_SECONDS", 0.1)
    with desk.open() as client:
        job = desk.submit(client).json()
        assert finished(client, job)["state"] == "done", "the thread goes on"
        client.get(f"/v1/jobs/{job['id']}/result")
        wait_until(lambda: not client.app.state.desk.supervisor._workers)
    log = capsys.readouterr().err
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    told = [(line["job"], line["state"]) for line in lines if line["event"] == "job"]
    assert told == [(job["id"], "running"), (job["id"], "done")]
    [trouble] = [line for line in lines if line["event"] == "trouble"]
    assert trouble["exception"] == ["OSError"]
    assert str(desk.folder) not in log
