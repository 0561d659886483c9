"""Worker processes of this machine: one that is killed costs its shard, not the run."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from service import workers
from service.errors import IncompleteError, InputFileError
from service.markers import Marker, data_path, missing
from service.plan import Plan
from service.scoring import Scorer
from service.session import CUDA, gpu_count
from service.workers import MAX_DEATHS, Losses, execute_here, execute_in_processes
from tests.service.processes import children, command_of, count_shards, wait_until
from tests.service.shard_runs import Shards

ROOT = Path(__file__).parents[2]
SHARD_BYTES = 1 << 11


@pytest.fixture
def planned(cohort, toy_models_dir, tmp_path) -> tuple[Path, Plan, Scorer]:
    """A work folder, its plan, and the scorer of that."""
    shards = Shards(tmp_path, toy_models_dir, cohort)
    folder, plan = shards.plan(cohort.write(tmp_path / "in.vcf"), shard_bytes=SHARD_BYTES)
    return folder, plan, shards.scorer(plan.job)


def content(folder: Path, plan: Plan) -> bytes:
    return b"".join(data_path(folder, shard.index).read_bytes() for shard in plan.shards)


def scored_here(folder: Path, plan: Plan, scorer: Scorer) -> bytes:
    """Bytes of all shards, scored in this process; the folder is as before."""
    indices = missing(folder, plan)
    done: list[Marker] = []
    execute_here(folder, plan, indices, on_done=done.append, scorer=scorer)
    assert [marker.index for marker in done] == indices
    found = content(folder, plan)
    for path in (folder / "shards").iterdir():
        path.unlink()
    return found


def test_processes_give_the_bytes_of_one_process_and_end_with_the_run(planned):
    folder, plan, scorer = planned
    expected = scored_here(folder, plan, scorer)
    assert len(plan.shards) > 10
    done: list[Marker] = []
    seen: set[int] = set()

    def on_done(marker: Marker) -> None:
        done.append(marker)
        seen.update(process.pid for process in active_children())

    execute_in_processes(folder, plan, missing(folder, plan), workers=2, on_done=on_done)
    assert content(folder, plan) == expected
    assert sorted(marker.index for marker in done) == list(range(len(plan.shards)))
    assert len(seen) == 2
    assert not active_children()


@pytest.mark.slow
def test_a_killed_process_is_replaced_and_no_shard_is_lost(planned):
    folder, plan, scorer = planned
    expected = scored_here(folder, plan, scorer)
    killed: list[int] = []
    done: list[int] = []

    def on_done(marker: Marker) -> None:
        done.append(marker.index)
        if len(done) == 3:
            process = active_children()[0]
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)

    execute_in_processes(folder, plan, missing(folder, plan), workers=2, on_done=on_done)
    assert len(killed) == 1
    assert sorted(done) == list(range(len(plan.shards))), "each is told of once"
    assert content(folder, plan) == expected


def _die(index: int) -> Marker:
    os._exit(1)


@pytest.mark.slow
def test_processes_that_die_without_a_shard_between_end_the_run(planned, monkeypatch):
    folder, plan, _ = planned
    monkeypatch.setattr(workers, "_score", _die)
    with pytest.raises(IncompleteError, match="3 workers were lost and no shard was finished"):
        execute_in_processes(folder, plan, missing(folder, plan), workers=2, on_done=print)
    assert not active_children()


def test_a_shard_between_begins_the_count_anew():
    losses = Losses()
    for _ in range(2):
        for _ in range(MAX_DEATHS - 1):
            losses.add("killed")
        losses.reset()
    for _ in range(MAX_DEATHS - 1):
        losses.add("killed")
    with pytest.raises(IncompleteError, match=r"\(killed\)"):
        losses.add("killed")


def test_workers_that_can_be_lost_at_once_are_each_told_of():
    losses = Losses(size=4)
    for _ in range(4 * MAX_DEATHS - 1):
        losses.add("killed")
    with pytest.raises(IncompleteError, match="12 workers were lost"):
        losses.add("killed")


def test_an_error_of_a_shard_ends_the_run_and_its_processes(planned):
    folder, plan, _ = planned
    plan.text.path.write_bytes(plan.text.path.read_bytes().lower())
    with pytest.raises(InputFileError, match="has changed since the run was planned"):
        execute_in_processes(folder, plan, missing(folder, plan), workers=2, on_done=print)
    assert not active_children()


def _fail_or_linger(index: int) -> Marker:
    if index == 0:
        raise InputFileError("broken")
    time.sleep(60)
    raise AssertionError("nobody waits so long")


def test_an_error_does_not_wait_for_what_other_processes_do(planned, monkeypatch):
    folder, plan, _ = planned
    monkeypatch.setattr(workers, "_score", _fail_or_linger)
    began = time.monotonic()
    with pytest.raises(InputFileError, match="broken"):
        execute_in_processes(folder, plan, [1, 0, 2], workers=2, on_done=print)
    assert time.monotonic() - began < 40
    assert not active_children()


def test_workers_take_turns_with_the_gpus(planned, monkeypatch):
    folder, plan, _ = planned
    given: list[list[int | None]] = []

    def pool(folder, plan, gpus):
        given.append(list(gpus))
        raise InputFileError("enough")

    monkeypatch.setattr(workers, "_pool", pool)
    monkeypatch.setattr(workers, "gpu_count", lambda: 2)
    on_cuda = plan.model_copy(
        update={
            "identity": plan.identity.model_copy(
                update={"provenance": plan.provenance | {"providers": [CUDA]}}
            )
        }
    )
    for each in (on_cuda, plan):
        with pytest.raises(InputFileError, match="enough"):
            execute_in_processes(folder, each, [0, 1, 2], workers=8, on_done=print)
    assert given == [[0, 1, 0], [None, None, None]], "and no more workers than shards"


def test_a_machine_that_does_not_say_has_one_gpu():
    assert gpu_count() >= 1


@pytest.fixture
def command(cohort, toy_models_dir, tmp_path) -> list[str]:
    """A run of the command line with two workers and many shards."""
    return [
        sys.executable, "-m", "service.cli", "score", str(cohort.write(tmp_path / "in.vcf")),
        "-o", str(tmp_path / "out.vcf"), "--reference", str(cohort.fasta),
        "--models", str(toy_models_dir), "--model", "sum", "--device", "cpu",
        "--workers", "2", "--threads", "1", "--shard-bytes", "256",
    ]  # fmt: skip


def pool_of(pid: int) -> list[int]:
    """Worker processes of a run."""
    return [child for child in children(pid) if "spawn_main" in command_of(child)]


def is_deaf_to_ctrl_c(pid: int) -> bool:
    """Whether the main thread of a process blocks SIGINT."""
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    return bool(blocked >> (signal.SIGINT - 1) & 1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(command, tmp_path, number):
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite that a shell runs in the background inherits an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        wait_until(lambda: len(pool_of(process.pid)) == 2)
        started = pool_of(process.pid)
        assert all(is_deaf_to_ctrl_c(pid) for pid in started), "from their beginning"
        wait_until(lambda: count_shards(tmp_path / "out.vcf.varsigma") > 1)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as Ctrl-C does
        else:
            process.send_signal(number)
        code = process.wait(60)
        wait_until(lambda: not any(map(command_of, started)))
        assert process.stderr is not None
        error = process.stderr.read()
    assert len(started) == 2
    if number == signal.SIGKILL:
        assert code == -number
        return
    assert code == 3
    assert error.startswith("error: interrupted: ")
    assert error.endswith("shards done; run the same command to go on\n")
    assert error.count("\n") == 1
