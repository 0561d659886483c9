"""The folder of jobs: owners, room, locks, what is kept and what goes."""

import asyncio
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from service.errors import NotFoundError, OverloadedError, ServiceError
from service.jobs.folder import JobFolder
from service.jobs.locks import held
from service.jobs.store import Admission, Store
from service.jobs.ticket import Order, Standing, State, now
from service.output import OutputFormat
from service.scoring import ScoringOptions
from tests.service.processes import wait_until

DIGEST = "a" * 64


def order(**changed) -> Order:
    given = {
        "owner": None, "input_sha256": DIGEST, "model": "sum", "model_sha256": DIGEST,
        "card_sha256": DIGEST, "reference_sha256": DIGEST, "assembly": None,
        "options": ScoringOptions(), "style": OutputFormat.VCF, "version": "1",
    }  # fmt: skip
    return Order(**given | changed)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "jobs")


def admit(store: Store, limit: int = 99, **changed) -> tuple[JobFolder, Admission]:
    with store.new_upload() as upload:
        upload.write(b"content")
        upload.sync()
        return store.admit(upload, order(**changed), limit)


def end(job: JobFolder, state: State, hours_ago: float = 0) -> None:
    then = now() - timedelta(hours=hours_ago)
    job.write_standing(Standing(state=state, queued=then, finished=then))


def test_an_id_is_the_digest_of_all_that_is_asked_for():
    ids = {order().id}
    for changed in (
        {"owner": "a"}, {"input_sha256": "b" * 64}, {"model": "other"}, {"model_sha256": "b" * 64},
        {"card_sha256": "b" * 64}, {"reference_sha256": "b" * 64}, {"assembly": "GRCh37"},
        {"options": ScoringOptions(strands=1)}, {"options": ScoringOptions(batch_size=1)},
        {"style": OutputFormat.TSV}, {"version": "2"},
    ):  # fmt: skip
        ids.add(order(**changed).id)
    assert len(ids) == 12
    assert order(version="1").id == order().id
    assert all(len(one) == 32 for one in ids)


def test_a_job_is_its_owners_alone(store):
    jobs = {owner: admit(store, owner=owner)[0].id for owner in (None, "a", "b")}
    assert len(set(jobs.values())) == 3
    for owner, id_ in jobs.items():
        assert [job.id for job in store.of(owner, 9)] == [id_]
        assert store.find(id_, owner).id == id_
        for other in jobs.keys() - {owner}:
            with pytest.raises(NotFoundError):
                store.find(id_, other)


@pytest.mark.parametrize("id_", ["", ".", "..", "uploads", "../x", "A" * 32, "0" * 33, "0" * 32])
def test_what_is_no_id_is_never_looked_for(store, id_, monkeypatch):
    looked: list[Path] = []
    if id_ != "0" * 32:
        monkeypatch.setattr(JobFolder, "ticket", lambda self: looked.append(self.path))
    with pytest.raises(NotFoundError):
        store.find(id_, None)
    assert looked == []


def test_the_same_job_is_found_and_a_failed_one_is_queued_again(store):
    job, admission = admit(store)
    assert admission is Admission.NEW
    created = job.ticket().created
    assert admit(store)[1] is Admission.KNOWN
    end(job, State.DONE)
    assert admit(store)[1] is Admission.KNOWN
    end(job, State.FAILED)
    job.input.unlink()
    assert admit(store)[1] is Admission.AGAIN
    assert job.standing().state is State.QUEUED
    assert job.standing().finished is None
    assert job.input.read_bytes() == b"content", "it may have been lost"
    assert job.ticket().created == created
    assert not list(store.uploads.iterdir())


def test_there_is_room_for_so_many_jobs_of_each_owner(store):
    jobs = [admit(store, limit=2, version=str(n))[0] for n in range(2)]
    with pytest.raises(OverloadedError) as refused:
        admit(store, limit=2, version="2")
    assert refused.value.retry_after
    assert admit(store, limit=2, version="0")[1] is Admission.KNOWN
    assert admit(store, limit=2, owner="other")[1] is Admission.NEW
    end(jobs[0], State.FAILED)
    assert admit(store, limit=2, version="2")[1] is Admission.NEW
    with pytest.raises(OverloadedError):
        admit(store, limit=2, version="0")  # it would wait again
    end(jobs[1], State.DONE)
    assert admit(store, limit=2, version="0")[1] is Admission.AGAIN
    assert not list(store.uploads.iterdir())


def test_many_at_once_get_as_many_places_as_there_are(store):
    outcomes = []

    def one(n: int) -> None:
        try:
            outcomes.append(admit(store, limit=3, version=str(n % 6))[1])
        except OverloadedError as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Admission.NEW) == 3
    assert store.counts() == {State.QUEUED: 3}
    assert not list(store.uploads.iterdir())


def test_a_standing_is_read_again_only_when_it_has_changed(store, monkeypatch):
    job, _ = admit(store)
    assert store.counts() == {State.QUEUED: 1}
    reads = []
    written = JobFolder.written
    monkeypatch.setattr(JobFolder, "written", lambda self: reads.append(1) or written(self))
    assert store.counts() == {State.QUEUED: 1}
    assert reads == []
    end(job, State.DONE)
    assert store.counts() == {State.DONE: 1}
    assert len(reads) == 1


def test_a_job_whose_files_are_damaged_does_no_harm_to_others(store):
    job, _ = admit(store)
    other, _ = admit(store, version="2")
    (job.path / "state.json").write_text("{")
    assert [id_ for id_, _, _ in store.standings()] == [other.id]
    with pytest.raises(ServiceError, match="damaged"):
        job.standing()
    (job.path / "job.json").unlink()
    with pytest.raises(NotFoundError):
        store.find(job.id, None)


def test_a_cancelled_job_goes_when_nobody_holds_it(store):
    job, _ = admit(store)
    begun, released = threading.Event(), threading.Event()

    def hold() -> None:
        with job.held() as is_mine:
            assert is_mine
            begun.set()
            released.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert begun.wait(10)
    job.cancel()
    assert not store.remove(job)
    assert job.standing().state is State.CANCELLED
    assert store.counts() == {State.CANCELLED: 1}

    async def scenario() -> None:
        waiting = asyncio.create_task(store.until_gone(job))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        released.set()
        await waiting

    asyncio.run(scenario())
    thread.join(10)
    assert not job.path.exists()
    assert admit(store)[1] is Admission.NEW
    assert job.standing().state is State.QUEUED


def test_who_waits_for_a_job_to_go_holds_no_thread(store):
    """The default pool has few, and every other route of jobs needs them."""
    job, _ = admit(store)
    job.cancel()

    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        with job.held():
            waiting = [asyncio.create_task(store.until_gone(job)) for _ in range(8)]
            await asyncio.sleep(0.05)
            assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 10) == 1
            assert not any(one.done() for one in waiting)
        await asyncio.gather(*waiting)

    asyncio.run(scenario())
    assert not job.path.exists()


def test_what_is_not_cancelled_is_not_waited_for(store):
    job, _ = admit(store)
    with job.held():
        asyncio.run(store.until_gone(job))
    assert job.path.exists()


def test_a_job_that_does_not_stop_is_said_to_be_stopping(store, monkeypatch):
    monkeypatch.setattr("service.jobs.store._PATIENCE", 0.1)
    job, _ = admit(store)
    with job.held():
        job.cancel()
        began = time.monotonic()
        for call in (lambda: asyncio.run(store.until_gone(job)), lambda: admit(store)):
            with pytest.raises(OverloadedError) as refused:
                call()
            assert refused.value.retry_after == 1
        assert time.monotonic() - began < 10


def test_what_is_over_is_kept_for_its_time(store):
    kept, old, failed, running = (admit(store, version=str(n))[0] for n in range(4))
    end(kept, State.DONE, hours_ago=1.9)
    end(old, State.DONE, hours_ago=2.1)
    end(failed, State.FAILED, hours_ago=2.1)
    running.write_standing(Standing(state=State.RUNNING, queued=now() - timedelta(hours=9)))
    store.tidy(keep_hours=2)
    assert {id_ for id_, _, _ in store.standings()} == {kept.id, running.id}
    assert not list(store.uploads.iterdir())


def test_a_lock_is_lost_with_its_process_and_with_its_folder(tmp_path):
    path = tmp_path / "folder" / "lock"
    path.parent.mkdir()
    with held(path) as is_mine:
        assert not is_mine, "there is none"
    path.touch()
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(path, ready))
    process.start()
    assert ready.wait(30)
    with held(path) as is_mine:
        assert not is_mine
    process.kill()
    process.join()
    with held(path) as is_mine:
        assert is_mine
        # A folder of the same name is another one.
        path.parent.rename(tmp_path / "gone")
        path.parent.mkdir()
        path.touch()
        with held(path) as is_mine_too:
            assert is_mine_too


def _hold(path, ready) -> None:
    with held(path) as is_mine:
        assert is_mine
        ready.set()
        threading.Event().wait()


def test_a_lock_that_was_waited_for_is_not_held_when_its_folder_has_gone(tmp_path):
    path = tmp_path / "folder" / "lock"
    path.parent.mkdir()
    path.touch()
    outcomes = []

    def wait() -> None:
        with held(path, waits=True) as is_mine:
            outcomes.append(is_mine)

    handles = Path("/proc/self/fd")
    with held(path) as is_mine:
        assert is_mine
        before = len(list(handles.iterdir()))
        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: len(list(handles.iterdir())) > before)
        path.parent.rename(tmp_path / "gone")
    thread.join(10)
    assert outcomes == [False]
