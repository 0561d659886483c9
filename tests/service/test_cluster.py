"""A Ray cluster of several nodes on this machine: lost workers are replaced, the bytes stay."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from service import cluster
from service.batch import Crew, score_file
from service.cluster import _Actors, execute_on_ray
from service.errors import IncompleteError, InputFileError, ValidationError
from service.folder import work_folder
from service.job import Job
from service.markers import missing
from service.output import OutputFormat
from service.plan import Plan, load_plan
from service.scoring import ScoringOptions
from service.workers import MAX_DEATHS
from tests.service.processes import command_of, count_shards, wait_until
from tests.service.shard_runs import Shards

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

ROOT = Path(__file__).parents[2]
N_NODES = 3
SHARD_BYTES = 1 << 10
STORE = {"object_store_memory": 80 << 20, "include_dashboard": False}

needs_ray = pytest.mark.skipif(
    not cluster.is_installed(), reason="the extra varsigma[ray] is not installed"
)


@pytest.fixture(scope="module")
def nodes() -> "Iterator[Cluster]":
    """A cluster of nodes with one CPU each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster  # noqa: PLC0415  (an extra)

    node = {"num_cpus": 1, **STORE}
    nodes = Cluster(initialize_head=True, head_node_args=node)
    for _ in range(N_NODES - 1):
        nodes.add_node(**node)
    yield nodes
    nodes.shutdown()


@pytest.fixture(scope="module")
def address(nodes) -> str:
    return nodes.address


@pytest.fixture
def vcf(cohort, tmp_path) -> str:
    return str(cohort.write(tmp_path / "in.vcf"))


@pytest.fixture
def shards(cohort, toy_models_dir, tmp_path) -> Shards:
    return Shards(tmp_path, toy_models_dir, cohort)


@pytest.fixture
def job(shards) -> Job:
    """What a command line without options asks for."""
    return shards.job(OutputFormat.VCF_GZ, options=ScoringOptions())


@pytest.fixture
def planned(shards, vcf) -> Plan:
    """A plan in out.vcf.gz.varsigma."""
    return shards.plan(vcf, OutputFormat.VCF_GZ, shard_bytes=SHARD_BYTES)[1]


def workers_of(address: str) -> dict[int, int]:
    """Processes of a cluster that hold a worker, and the process of the node of each.

    Other clusters may be on this machine; a node's command line tells of which cluster it is.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or "ray::_ShardActor" not in command_of(int(entry.name)):
            continue
        with suppress(OSError):  # it has just ended
            node = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if f"={address} " in f"{command_of(node)} ":
                found[int(entry.name)] = node
    return found


def most_of_a_node(address: str) -> int:
    return max(Counter(workers_of(address).values()).values(), default=0)


@needs_ray
def test_a_worker_that_is_killed_is_replaced_and_the_bytes_are_those_of_a_local_run(
    tmp_path, vcf, job, address
):
    killed: list[int] = []
    nodes: set[int] = set()

    def on_progress(position: int, n_alts: int, size: int | None) -> None:
        if not nodes and position:  # a node that starts late would find nothing left to do
            wait_until(lambda: len(set(workers_of(address).values())) == N_NODES)
        workers = workers_of(address)
        nodes.update(workers.values())
        busy = [pid for pid in workers if "_ShardActor.score" in command_of(pid)]
        if 0 < position < (size or 0) and busy and not killed:
            killed.append(busy[0])
            os.kill(busy[0], signal.SIGKILL)

    local, far = tmp_path / "local.vcf.gz", tmp_path / "far.vcf.gz"
    here = score_file(vcf, local, job, shard_bytes=SHARD_BYTES, crew=Crew())
    there = score_file(
        vcf, far, job, shard_bytes=SHARD_BYTES, crew=Crew(ray=address), on_progress=on_progress
    )
    assert len(killed) == 1
    assert killed[0] not in workers_of(address)
    assert len(nodes) == N_NODES, "every node had a worker"
    assert far.read_bytes() == local.read_bytes()
    assert there.tally == here.tally
    assert there.tally.n_alts == 1000


class Mortal:
    """A worker that ends its process as soon as it has something to do."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        pass

    def ready(self) -> None:
        pass

    def score(self, index: int) -> None:
        os._exit(1)


@needs_ray
def test_a_cluster_on_which_every_worker_dies_is_given_up(tmp_path, planned, address, monkeypatch):
    monkeypatch.setattr(cluster, "_ShardActor", Mortal)
    folder = work_folder(tmp_path / "out.vcf.gz")
    with pytest.raises(IncompleteError, match="3 workers were lost and no shard was finished"):
        execute_on_ray(folder, planned, [0, 1], address=address, workers=1, on_done=print)


@needs_ray
def test_a_machine_that_is_lost_with_all_its_workers_does_not_end_the_run(
    tmp_path, vcf, job, nodes
):
    large = nodes.add_node(num_cpus=4, **STORE)
    crew, lost = Crew(ray=nodes.address), []

    def on_progress(position: int, n_alts: int, size: int | None) -> None:
        if 0 < position < (size or 0) and not lost:
            wait_until(lambda: most_of_a_node(nodes.address) >= MAX_DEATHS)
            lost.append(most_of_a_node(nodes.address))
            nodes.remove_node(large, allow_graceful=False)

    local, far = tmp_path / "local.vcf.gz", tmp_path / "far.vcf.gz"
    score_file(vcf, local, job, shard_bytes=SHARD_BYTES, crew=Crew())
    score_file(vcf, far, job, shard_bytes=SHARD_BYTES, crew=crew, on_progress=on_progress)
    assert lost
    nodes.wait_for_nodes()  # so that the next test does not find it among the living
    assert far.read_bytes() == local.read_bytes()


class Lost(Exception):
    """What Ray raises for a worker that is no more."""


class MadeUpRay:
    """Stands for Ray; a reference is a function that gives the result.

    Args:
      n_silent: how often nothing happens while a worker is waited for.
      n_lost: workers whose machine is lost before they finish a shard.
    """

    exceptions = SimpleNamespace(RayError=Lost, RayTaskError=ZeroDivisionError)

    def __init__(self, n_silent: int = 0, n_lost: int = 0) -> None:
        self.n_silent = n_silent
        self.n_lost = n_lost

    def hire(self) -> SimpleNamespace:
        self.n_lost -= 1
        is_lost = self.n_lost >= 0

        def score(shard: int) -> Callable[[], int]:
            def result() -> int:
                if is_lost:
                    raise Lost("its machine is gone")
                return shard

            return result

        return SimpleNamespace(
            ready=SimpleNamespace(remote=lambda: lambda: None), score=SimpleNamespace(remote=score)
        )

    def wait(self, references, num_returns, timeout):
        assert timeout, "it would wait without end"
        if self.n_silent:
            self.n_silent -= 1
            return [], references
        return references[:1], references[1:]

    def get(self, reference):
        return reference()

    def kill(self, actor):
        pass


@pytest.mark.parametrize("n_lost", [MAX_DEATHS, 8, 16])
def test_workers_that_are_lost_with_their_machine_count_as_one_loss(n_lost):
    ray, done = MadeUpRay(n_lost=n_lost), []
    _Actors(ray, ray.hire, int).run(list(range(20)), 8, done.append)
    assert sorted(done) == list(range(20))


def test_workers_that_are_lost_again_and_again_end_the_run():
    ray = MadeUpRay(n_lost=1000)
    with pytest.raises(IncompleteError, match=r"24 workers were lost .*its machine is gone"):
        _Actors(ray, ray.hire, int).run(list(range(20)), 8, print)


def test_workers_are_not_waited_for_where_no_machine_is_left():
    rooms, done = iter([1, 1]), []

    def find_room() -> int:
        for room in rooms:
            return room
        raise ValidationError("no machine of the Ray cluster has 1 CPUs")

    ray = MadeUpRay(n_silent=2)
    _Actors(ray, ray.hire, find_room).run([0, 1], 1, done.append)
    assert done == [0, 1], "while there is room, it waits"
    ray = MadeUpRay(n_silent=1)
    with pytest.raises(IncompleteError, match="no machine of the Ray cluster has 1 CPUs"):
        _Actors(ray, ray.hire, find_room).run([0, 1], 1, print)


@needs_ray
def test_an_error_of_a_shard_is_the_error_of_the_run(tmp_path, planned, vcf, address):
    Path(vcf).write_bytes(Path(vcf).read_bytes().lower())
    folder = work_folder(tmp_path / "out.vcf.gz")
    with pytest.raises(InputFileError, match=r"in\.vcf has changed since the run was planned"):
        execute_on_ray(folder, planned, [0], address=address, workers=None, on_done=print)
    assert len(missing(folder, load_plan(folder))) == len(planned.shards)


@needs_ray
def test_a_worker_that_no_node_can_hold_is_refused(tmp_path, planned, address):
    large = planned.model_copy(update={"job": planned.job.model_copy(update={"threads": 2})})
    folder = work_folder(tmp_path / "out.vcf.gz")
    with pytest.raises(ValidationError, match=r"has 2 CPUs .* the largest has 1 CPUs; .*--threads"):
        execute_on_ray(folder, large, [0], address=address, workers=None, on_done=print)


@needs_ray
def test_more_workers_than_the_cluster_can_hold_are_no_obstacle(tmp_path, planned, address):
    folder, done = work_folder(tmp_path / "out.vcf.gz"), []
    indices = range(min(2 * N_NODES, len(planned.shards)))
    execute_on_ray(
        folder,
        planned,
        indices,
        address=address,
        workers=2 * N_NODES,
        on_done=lambda marker: done.append(marker.index),
    )
    assert sorted(done) == list(indices)


@needs_ray
def test_sigterm_ends_a_run_on_a_cluster_and_it_goes_on_from_there(
    tmp_path, vcf, job, address, cohort
):
    local, far = tmp_path / "local.vcf.gz", tmp_path / "far.vcf.gz"
    score_file(vcf, local, job, shard_bytes=SHARD_BYTES, crew=Crew())
    command = [
        sys.executable, "-m", "service.cli", "score", vcf, "-o", str(far), "--ray", address,
        "--reference", str(job.reference), "--models", str(job.models), "--model", "sum",
        "--shard-bytes", str(SHARD_BYTES), "--device", "cpu",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: count_shards(work_folder(far)) > 1)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        error = process.stderr.read()
        assert process.wait(60) == 3, error
    assert error.startswith("error: interrupted: ")
    assert error.count("\n") == 1
    wait_until(lambda: not workers_of(address))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert far.read_bytes() == local.read_bytes()


@needs_ray
@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("127.0.0.1:9", "nobody answers there"),
        ("ray://127.0.0.1:9", "nobody answers there"),
        ("here", "give auto, HOST:PORT or ray://HOST:PORT"),
        ("http://127.0.0.1:9", "give auto, HOST:PORT or ray://HOST:PORT"),
        ("host:port", "give auto, HOST:PORT or ray://HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_refused_at_once(tmp_path, planned, address, problem):
    began = time.monotonic()
    with pytest.raises(ValidationError, match=f"--ray {address}: {problem}"):
        execute_on_ray(tmp_path, planned, [0], address=address, workers=None, on_done=print)
    assert time.monotonic() - began < 20, "Ray itself tries for minutes"


def test_without_the_extra_the_error_names_it(tmp_path, planned, monkeypatch):
    monkeypatch.setattr(cluster, "is_installed", lambda: False)
    with pytest.raises(ValidationError, match=r'pip install "\.\[ray\]"'):
        execute_on_ray(tmp_path, planned, [0], address="auto", workers=None, on_done=print)
