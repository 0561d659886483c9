"""A job from its upload to its result: the bytes of `varsigma score`."""

import hashlib
import stat

import pysam.bcftools
import pytest

from service.jobs.ticket import State
from service.output import OutputFormat
from tests.service.job_desk import error_of, finished, gzipped


def test_the_result_is_what_varsigma_score_writes_byte_for_byte(desk):
    with desk.open() as client:
        submitted = desk.submit(client, shifts="-2,0", coverage=0.8, strands=2)
        assert submitted.status_code == 201
        job = submitted.json()
        assert submitted.headers["location"] == f"/v1/jobs/{job['id']}"
        assert (job["state"], job["result"], job["summary"]) == ("queued", None, None)
        assert job["input"] == {
            "bytes": len(desk.content), "sha256": hashlib.sha256(desk.content).hexdigest()
        }  # fmt: skip
        done = finished(client, job)
        assert (done["state"], done["error"]) == ("done", None)
        output, rejects = desk.offline(shifts=(-2, 0), coverage=0.8)
        for name, expected in (("result", output), ("rejects", rejects)):
            answer = client.get(f"/v1/jobs/{job['id']}/{name}")
            assert answer.status_code == 200
            assert answer.content == expected
            digest = hashlib.sha256(expected).hexdigest()
            assert answer.headers["etag"] == f'"{digest}"'
            assert (done[name]["bytes"], done[name]["sha256"]) == (len(expected), digest)
            assert answer.headers["content-type"] == done[name]["content_type"]
        # What it says of itself.
        progress = done["progress"]
        assert progress["shards_done"] == progress["shards"] > 5
        assert progress["bytes_done"] == progress["bytes"] > 0
        assert (progress["share"], progress["seconds_left"]) == (1.0, 0.0)
        assert progress["alts"] == done["summary"]["n_alts"] == len(desk.cohort.statuses)
        assert done["summary"]["n_scored"] == sum(one == "ok" for one in desk.cohort.statuses)
        assert done["options"] | {"format": "vcf", "shifts": [-2, 0]} == done["options"]
        assert done["provenance"]["options"]["coverage"] == 0.8
        assert done["created"] <= done["started"] <= done["finished"]
        # The upload is not kept, and the rest is for its owner alone.
        folder = desk.folder_of(job)
        assert not folder.input.exists()
        for path in (folder.path, *folder.path.iterdir()):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode & 0o077 == 0, (path, oct(mode))
        assert 'varsigma_jobs{state="done"} 1.0' in client.get("/metrics").text
        # The same file with the same options is the same job.
        again = desk.submit(client, shifts="-2,0", coverage=0.8)
        assert (again.status_code, again.json()) == (200, done)
        assert client.get("/v1/jobs").json() == {"jobs": [done]}
        assert desk.litter() == []
        assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
        error_of(client.get(f"/v1/jobs/{job['id']}"), 404)
        assert client.get("/v1/jobs").json() == {"jobs": []}
        assert not folder.path.exists()


@pytest.mark.parametrize("style", OutputFormat)
def test_every_format_of_output_has_the_bytes_of_the_command(desk, style):
    client = desk.client()
    job = desk.submit(client, gzipped(desk.content), format=style.value).json()
    desk.score(client, job)
    answer = client.get(f"/v1/jobs/{job['id']}/result")
    assert answer.content == desk.offline(gzipped(desk.content), style=style)[0]
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="varsigma-{job["id"][:12]}.{style.value}"'
    )


@pytest.mark.parametrize("packing", ["gzip", "bgzip", "bcf"])
def test_every_packing_of_the_input_is_taken(desk, packing):
    path = desk.folder / "packed"
    if packing == "bcf":
        source = str(desk.vcf_of_contigs())
        pysam.bcftools.view("-O", "b", "-o", str(path), source, catch_stdout=False)
    else:
        desk.cohort.write(path, packing=packing)
    client, content = desk.client(), path.read_bytes()
    job = desk.submit(client, content).json()
    assert desk.score(client, job).state is State.DONE
    answer = client.get(f"/v1/jobs/{job['id']}/result")
    assert answer.content == desk.offline(content)[0]


def test_what_makes_another_job(desk):
    client = desk.client()
    queries = [
        {}, {"shifts": "0,2"}, {"shifts": "2,0"}, {"strands": 1}, {"coverage": 0.5},
        {"format": "tsv"},
    ]  # fmt: skip
    jobs = [desk.submit(client, **query).json() for query in queries]
    jobs.append(desk.submit(client, desk.content.replace(b"DP=", b"DQ=")).json())
    assert len({job["id"] for job in jobs}) == len(jobs)
    assert [job["id"] for job in client.get("/v1/jobs").json()["jobs"]] == [
        job["id"] for job in reversed(jobs)
    ]
    same = [{"model": "sum"}, {"shifts": "0"}, {"strands": 2}, {"coverage": 0.9}, {"format": "vcf"}]
    for query in same:
        assert desk.submit(client, **query).json()["id"] == jobs[0]["id"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"model": "none"}, 404),
        ({"strands": 3}, 422),
        ({"shifts": "a"}, 422),
        ({"shifts": "0,0"}, 422),
        ({"shifts": "9999"}, 422),
        ({"shifts": "../../etc/passwd"}, 422),
        ({"coverage": 1}, 422),
        ({"format": "exe"}, 422),
        ({"format": "../vcf"}, 422),
        ({"Format": "vcf"}, 422),
    ],
)
def test_an_option_that_is_not_allowed_makes_no_job(desk, query, status):
    error_of(desk.submit(desk.client(), **query), status)
    assert desk.store.standings() == []
    assert desk.litter() == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("coverage=nan", "coverage: Input should be "),
        ("shifts=1,x", "shifts: must be whole numbers such as -10,0,10, at most nine"),
        ("strands=3", "strands: Input should be less than or equal to 2"),
        ("model=sum&model=sum", "model is given twice"),
    ],
)
def test_what_is_wrong_with_an_option_is_said_in_words(desk, query, message):
    answer = desk.client().post(f"/v1/jobs?{query}", content=desk.content)
    error = error_of(answer, 422)
    assert error["message"].startswith(message)
    assert "more)" not in error["message"]
    for problem in (error["detail"] or {}).get("problems", []):
        assert problem["field"] in message


@pytest.mark.parametrize(
    "id_",
    ["0" * 31, "0" * 32, "0" * 33, "A" * 32, "..", "%2e%2e", "..%2f..%2fetc", "uploads",
     "supervisor.lock", "0" * 31 + "%0a", "0" * 32 + "%00"],
)  # fmt: skip
@pytest.mark.parametrize("rest", ["", "/result", "/rejects"])
def test_what_is_no_job_is_not_found(desk, id_, rest):
    client = desk.client()
    error_of(client.get(f"/v1/jobs/{id_}{rest}"), 404)
    error_of(client.delete(f"/v1/jobs/{id_}"), 404)
    assert {path.name for path in desk.jobs.iterdir()} <= {"uploads", "admission.lock"}


def test_a_job_that_is_not_done_has_no_result(desk):
    client = desk.client()
    job = desk.submit(client).json()
    for name in ("result", "rejects"):
        error = error_of(client.get(f"/v1/jobs/{job['id']}/{name}"), 409)
        assert error["type"] == "conflict"
        assert error["detail"] == {"state": "queued"}


def test_a_service_without_a_folder_takes_no_jobs(desk):
    client = desk.client(jobs=None)
    for answer in (
        desk.submit(client), client.get("/v1/jobs"), client.get("/v1/jobs/" + "0" * 32),
        client.delete("/v1/jobs/" + "0" * 32),
    ):  # fmt: skip
        error = error_of(answer, 404)
        assert "--jobs" in error["message"]
    assert "varsigma_jobs" not in client.get("/metrics").text


def test_a_folder_that_cannot_be_used_stops_the_start(desk):
    desk.jobs.write_text("")
    with pytest.raises(Exception, match=r"--jobs .* cannot be made: File exists"):
        desk.app()


def test_a_folder_that_cannot_be_written_is_not_said_to_be_missing(desk, monkeypatch):
    desk.jobs.mkdir()
    (desk.jobs / "uploads").write_text("")  # for root every folder can be written
    with pytest.raises(Exception, match=r"--jobs .* cannot be written: .*; give a folder that"):
        desk.app()


def test_without_a_reference_there_is_nothing_to_score(desk):
    error = error_of(desk.submit(desk.client(reference=None)), 422)
    assert "--reference" in error["message"]


def test_a_queued_job_can_be_cancelled(desk):
    client = desk.client()
    job = desk.submit(client).json()
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert sorted(path.name for path in desk.jobs.iterdir()) == ["admission.lock", "uploads"]
    assert desk.litter() == []
    # It may be asked for again, as if it had never been.
    assert desk.submit(client).status_code == 201
