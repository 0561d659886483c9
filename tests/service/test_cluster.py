"""A Ray cluster of several nodes on this machine: lost workers are replaced, the bytes stay."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import cluster
from service.batch import Crew, score_file
from service.cluster import execute_on_ray
from service.errors import IncompleteError, InputFileError, ValidationError
from service.job import Job
from service.output import OutputFormat
from service.plan import Plan, load_plan, make_plan, work_folder
from service.shards import missing
from tests.service.cohort import Cohort
from tests.service.processes import command_of, count_shards, wait_until

ROOT = Path(__file__).parents[2]
N_NODES = 3
SHARD_BYTES = 1 << 10

needs_ray = pytest.mark.skipif(
    not cluster.is_installed(), reason="the extra varsigma[ray] is not installed"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of nodes with one CPU each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster  # noqa: PLC0415  (an extra)

    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=node)
    for _ in range(N_NODES - 1):
        nodes.add_node(**node)
    yield nodes.address
    nodes.shutdown()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Cohort:
    return Cohort(tmp_path_factory.mktemp("cohort") / "genome.fa")


@pytest.fixture
def vcf(cohort, tmp_path) -> str:
    return str(cohort.write(tmp_path / "in.vcf"))


@pytest.fixture
def job(cohort, toy_models_dir) -> Job:
    return Job(
        models=toy_models_dir,
        model="sum",
        reference=cohort.fasta,
        device="cpu",
        threads=1,
        style=OutputFormat.VCF_GZ,
    )


@pytest.fixture
def planned(vcf, tmp_path, job) -> Plan:
    """A plan in out.vcf.gz.varsigma."""
    folder = work_folder(tmp_path / "out.vcf.gz")
    folder.mkdir()
    return make_plan(
        vcf, tmp_path / "out.vcf.gz", job, job.open(), folder=folder, shard_bytes=SHARD_BYTES
    )


def workers_of(address: str) -> dict[int, int]:
    """Processes that hold a worker, and the process of the node that each belongs to."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and "ray::_ShardActor" in command_of(int(entry.name)):
            found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


@needs_ray
@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_the_bytes_are_those_of_a_local_run(
    tmp_path, vcf, job, address
):
    killed: list[int] = []
    nodes: set[int] = set()

    def on_progress(position: int, n_alts: int, size: int | None) -> None:
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
@pytest.mark.slow
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
    with pytest.raises(ValidationError, match=r"varsigma\[ray\]"):
        execute_on_ray(tmp_path, planned, [0], address="auto", workers=None, on_done=print)
