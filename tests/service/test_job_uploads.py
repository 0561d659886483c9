"""What arrives at /v1/jobs: bounded in every way, refused at once, and no litter after it."""

import asyncio
import gzip
import os
import struct
import threading
import time
from pathlib import Path

import pysam
import pytest

from service.errors import DecodingError, InputFileError, ServiceError
from service.jobs import uploads
from service.jobs.store import Store
from service.jobs.ticket import State
from service.jobs.uploads import check_head, check_unpacked
from service.settings import Settings
from service.source import Source
from tests.service.guarded import post_below
from tests.service.job_desk import error_of, gzipped
from tests.service.processes import small_disk

HEADER = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def assert_nothing_is_left(desk) -> None:
    assert desk.litter() == []
    assert desk.store.standings() == []


@pytest.mark.parametrize(
    ("content", "status", "word"),
    [
        (b"", 422, "empty"),
        (b"\0" * 1000, 400, "not a VCF"),
        (b"chr1\t1\t.\tA\tC\n", 400, "not a VCF"),
        (b"\xef\xbb\xbf" + HEADER, 400, "byte order mark"),
        (b"##fileformat=VCFv4.3\n", 400, "no #CHROM"),
        (b"%PDF-1.7", 400, "not a VCF"),
        (b"PK\x03\x04", 400, "not a VCF"),
        (b"\x1f\x8b", 400, "not a VCF"),
        (b"\x1f\x8b\x08" + b"\0" * 7 + b"\xff" * 100, 422, "corrupt gzip"),
        (gzipped(b"nothing"), 400, "not a VCF"),
        (gzipped(b"\0" * 100_000_000), 400, "not a VCF"),
        (gzipped(b""), 400, "not a VCF"),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + HEADER + b"\r\n--x--",
            400, "a form (multipart, curl -F): send the file itself as the body",
        ),
        (HEADER.replace(b"\n", b""), 400, "lost its line ends (curl -d): send"),
        (b'{"variants": []}', 400, "looks like JSON: send"),
        (b"\n<!doctype html>", 400, "looks like HTML or XML: send"),
        (b"--x\n" + HEADER, 400, "among its first 1 lines"),
    ],
)  # fmt: skip
def test_what_is_no_vcf_is_refused_at_once(desk, content, status, word):
    error = error_of(desk.submit(desk.client(), content), status)
    assert word in error["message"]
    assert "the upload" in error["message"]
    assert str(desk.folder) not in str(error)
    assert_nothing_is_left(desk)


def test_a_bgzip_file_without_its_end_is_refused_at_once(desk):
    content = desk.cohort.write(desk.folder / "in.vcf.gz", packing="bgzip").read_bytes()
    error = error_of(desk.submit(desk.client(), content[:-28]), 422)
    assert "truncated" in error["message"]
    assert_nothing_is_left(desk)


@pytest.mark.parametrize("pack", [bytes, gzipped])
def test_a_header_that_is_longer_than_what_is_looked_at_is_taken(desk, pack):
    long = b"".join(b"##contig=<ID=%d,length=%d>\n" % (n, n**3) for n in range(100_000))
    assert len(long) > uploads._TEXT_BYTES
    (desk.folder / "x").write_bytes(pack(b"##fileformat=VCFv4.3\n" + long + HEADER))
    check_head(desk.folder / "x")
    (desk.folder / "x").write_bytes(pack(b"##fileformat=VCFv4.3\n" + long[:1000]))
    with pytest.raises(DecodingError, match="no #CHROM"):
        check_head(desk.folder / "x")


def test_the_content_type_does_not_matter_but_its_encoding_does(desk):
    client = desk.client()
    for number, kind in enumerate(["text/plain", "application/json", "multipart/form-data", ""]):
        content = desk.content + b"\n" * number
        answer = client.post("/v1/jobs", content=content, headers={"content-type": kind})
        assert answer.status_code == 201
    answer = client.post("/v1/jobs", content=b"", headers={"content-encoding": "gzip"})
    assert error_of(answer, 415)["type"] == "encoding"


def test_an_upload_may_be_longer_than_other_bodies_but_not_longer_than_its_limit(desk):
    n = len(desk.content)
    client = desk.client(max_body_bytes=1000, max_upload_bytes=n)
    assert desk.submit(client).status_code == 201
    too_long = desk.content + b"\n"
    error = error_of(desk.submit(client, too_long), 413)
    assert error["detail"] == {"limit": n}
    # The same where the length is not said beforehand.
    answer = client.post("/v1/jobs", content=iter([too_long[:n], too_long[n:]]))
    error_of(answer, 413)
    assert desk.litter() == []
    assert len(desk.store.standings()) == 1


def test_a_client_that_leaves_leaves_nothing_behind(desk):
    app = desk.app()
    messages = iter([
        {"type": "http.request", "body": desk.content[:5000], "more_body": True},
        {"type": "http.disconnect"},
    ])  # fmt: skip
    seen = []

    async def receive():
        seen.append(desk.litter())
        return next(messages)

    assert post_below(app, receive, "/v1/jobs") == []
    assert len(seen[0]) == 1, "the upload has begun"
    assert_nothing_is_left(desk)


def test_an_upload_that_comes_too_slowly_is_refused(desk):
    app = desk.app(body_timeout=0.2)

    async def receive():
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"#", "more_body": True}

    began = time.monotonic()
    sent = post_below(app, receive, "/v1/jobs")
    assert sent[0]["status"] == 408
    assert time.monotonic() - began < 10
    assert_nothing_is_left(desk)


def test_a_long_upload_has_more_time_the_more_has_come(desk):
    # 3 MiB in more than the timeout of one body, each MiB at more than the pace.
    settings = {"body_timeout": 0.6, "max_body_bytes": 1 << 20}
    pieces = [HEADER + b"\n" * (1 << 20), b"\n" * (1 << 20), b"\n" * (1 << 20), b""]
    left = iter(pieces)

    async def receive():
        await asyncio.sleep(0.4)
        body = next(left)
        return {"type": "http.request", "body": body, "more_body": bool(body)}

    assert post_below(desk.app(**settings), receive, "/v1/jobs")[0]["status"] == 201


def test_a_full_disk_refuses_an_upload_and_leaves_no_litter(desk):
    client = desk.client()
    with small_disk(20_000):
        error = error_of(desk.submit(client), 507)
    assert error["type"] == "disk_full"
    assert str(desk.folder) not in error["message"]
    assert_nothing_is_left(desk)
    assert desk.submit(client).status_code == 201


def test_what_the_disk_could_not_hold_is_refused_before_it_is_read(desk, monkeypatch):
    client = desk.client(max_upload_bytes=1 << 62)
    n_read = 0

    async def receive():
        nonlocal n_read
        n_read += 1
        return {"type": "http.request", "body": b"#" * 1000, "more_body": True}

    headers = [(b"content-length", b"%d" % (1 << 61))]
    sent = post_below(client.app, receive, "/v1/jobs", headers)
    assert (sent[0]["status"], n_read) == (507, 0)


def test_so_many_uploads_arrive_at_once_and_no_more(desk):
    app = desk.app()
    n = 8
    arrived, go_on = [], asyncio.Event()

    async def one(number: int) -> list[dict]:
        sent, parts = [], iter([desk.content + b"\n" * number, b""])

        async def receive():
            body = next(parts)
            if not body:
                arrived.append(number)
                await go_on.wait()
            return {"type": "http.request", "body": body, "more_body": bool(body)}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "path": "/v1/jobs", "raw_path": b"/v1/jobs", "query_string": b"", "headers": [],
            "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
        }  # fmt: skip
        await app(scope, receive, send)
        return sent

    async def scenario() -> None:
        tasks = [asyncio.create_task(one(number)) for number in range(n)]
        while len(arrived) < n:
            await asyncio.sleep(0.01)
        refused = await one(n)
        assert refused[0]["status"] == 503
        assert dict(refused[0]["headers"])[b"retry-after"]
        go_on.set()
        for task in tasks:
            assert (await task)[0]["status"] == 201

    asyncio.run(scenario())
    assert desk.litter() == []


def test_a_bomb_fails_soon_and_fills_no_disk(desk):
    # 40 MB of valid lines in 0.2 MB.
    line = b"chr1\t1\t.\tA\tC\t.\t.\t.\n"
    bomb = gzip.compress(HEADER + line * (40_000_000 // len(line)), 1)
    client = desk.client(max_upload_unpacked_bytes=1 << 20)
    job = desk.submit(client, bomb).json()
    began = time.monotonic()
    standing = desk.score(client, job)
    assert time.monotonic() - began < 5
    assert standing.state is State.FAILED
    assert standing.error.type == "input_file"
    assert standing.error.detail == {"limit": 1 << 20}
    used = sum(path.stat().st_size for path in desk.jobs.rglob("*") if path.is_file())
    assert used < len(bomb) + 100_000


def test_what_a_file_unpacks_to_is_bounded(desk):
    n = len(desk.content)
    for packing in ("plain", "gzip", "bgzip"):
        path = desk.cohort.write(desk.folder / "packed", packing=packing)
        check_unpacked(path, n)
        if packing != "plain":
            with pytest.raises(InputFileError, match=f"more than {n - 1} bytes"):
                check_unpacked(path, n - 1)


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize(
    ("n", "n_fields", "n_samples"), [((64 << 20) + 1, 0, 0), (10, 255, (1 << 24) - 1)]
)
def test_a_record_that_expands_never_gets_to_htslib(
    desk, monkeypatch, is_packed, n, n_fields, n_samples
):
    path = desk.folder / "in.bcf"

    def write(*what: int) -> None:
        write_bcf(path, *what)
        if not is_packed:
            path.write_bytes(gzip.decompress(path.read_bytes()))

    write(1000)
    check_unpacked(path, 1 << 20)
    monkeypatch.setattr(Source, "__iter__", lambda _: pytest.fail("it is read"))
    write(n, n_fields, n_samples)
    with pytest.raises(InputFileError, match="a record is longer than 67108864 bytes"):
        check_unpacked(path, 1 << 40)


def write_bcf(path: Path, n: int, n_fields: int = 0, n_samples: int = 0) -> None:
    """A BCF with one record, whose INFO holds so many numbers, all of them zero."""
    head = HEADER.replace(
        b"#CHROM", b'##INFO=<ID=X,Number=.,Type=Integer,Description="">\n##contig=<ID=1>\n#CHROM'
    )
    record = struct.pack("<iiifHHI", 0, 9, 1, 1.0, 1, 2, n_fields << 24 | n_samples)
    record += b"\x07\x17A\x17C\x00"  # no ID, A, C, no FILTER
    record += b"\x11\x01\xf1\x13" + struct.pack("<i", n)  # X is a list of n bytes
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(b"BCF\2\2" + struct.pack("<I", len(head) + 1) + head + b"\0")
        file.write(struct.pack("<II", len(record) + n, 0) + record)
        file.write(bytes(n))


def test_a_crash_leaves_litter_that_the_next_start_sweeps(desk):
    store = desk.store
    crashed = store.new_upload()
    crashed.write(b"x" * 1000)
    os.close(crashed._handle)  # as a kill does
    (store.uploads / "gone-x").mkdir()
    (store.uploads / "gone-x" / "job.json").write_text("{}")
    with store.new_upload() as alive:
        alive.write(b"x")
        Store(desk.jobs).tidy(keep_hours=1)
        assert desk.litter() == [alive.folder.name]
        assert alive.path.read_bytes() == b"x"
    assert desk.litter() == []


def test_an_upload_that_is_given_up_is_not_written_any_more(desk):
    upload = desk.store.new_upload()
    began, go_on = threading.Event(), threading.Event()
    problems = []

    def at_work() -> None:
        with upload.busy():
            began.set()
            go_on.wait(10)

    def late() -> None:
        try:
            upload.write(b"x")
        except ServiceError as error:
            problems.append(error)

    threads = [threading.Thread(target=at_work), threading.Thread(target=upload.close)]
    threads[0].start()
    began.wait(10)
    threads[1].start()
    assert upload.folder.exists(), "it waits for the thread that is at work on it"
    go_on.set()
    for thread in threads:
        thread.join(10)
    late()
    assert len(problems) == 1
    assert desk.litter() == []


def test_the_defaults_bound_what_a_stranger_may_send():
    settings = Settings()
    assert settings.max_upload_bytes == 4 << 30
    assert settings.max_upload_unpacked_bytes == 64 << 30
