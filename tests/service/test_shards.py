"""Shards: whole or not there, scored once, and never mixed with those of another run."""

import gzip
import hashlib
import io
import os
from pathlib import Path

import pytest

from service import identity, reference
from service.bgzf import read_blocks
from service.durable import file_sha256
from service.errors import InputFileError, ServiceError, Status, ValidationError, WrongAssemblyError
from service.markers import data_path, marker_path, missing, read_marker, read_markers, rejects_path
from service.merge import merge
from service.output import OutputFormat
from service.registry import Model
from service.shards import ShardWorker, score_shard
from service.tally import ENOUGH, Tally, check_assembly
from tests.genomes import write_fasta
from tests.service.cohort import HEADER, Cohort, write_packed
from tests.service.processes import small_disk
from tests.service.shard_runs import Shards


@pytest.fixture
def shards(tmp_path, toy_models_dir) -> Shards:
    return Shards(tmp_path, toy_models_dir, Cohort(tmp_path / "genome.fa", 400))


@pytest.fixture
def vcf(shards) -> Path:
    return shards.cohort.write(shards.folder / "in.vcf")


@pytest.fixture
def runs(monkeypatch) -> list[int]:
    """Sizes of the batches that models were run on."""
    sizes: list[int] = []
    run = Model.run
    monkeypatch.setattr(Model, "run", lambda model, x: sizes.append(len(x)) or run(model, x))
    return sizes


def files(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, time of change and content of all files of all shards."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted((folder / "shards").iterdir())
    }


@pytest.mark.parametrize("style", [OutputFormat.VCF, OutputFormat.TSV])
def test_the_data_are_those_of_one_piece(shards, vcf, style):
    folder, plan = shards.plan(vcf, style)
    markers = shards.score(folder, plan)
    assert [marker.index for marker in markers] == [shard.index for shard in plan.shards]
    data = b"".join(data_path(folder, marker.index).read_bytes() for marker in markers)
    expected, tally = shards.at_once(vcf, style)
    assert expected.endswith(data)
    n_rows = len(shards.cohort.lines) if style is OutputFormat.VCF else 400
    assert data.count(b"\n") == n_rows
    total = Tally()
    for marker in markers:
        total = total.merged(marker.tally, total.n_lines)
    assert total == tally


def test_a_marker_says_what_is_in_the_files(shards, vcf):
    folder, plan = shards.plan(vcf, OutputFormat.VCF_GZ, rejects=shards.folder / "rejects.tsv")
    for marker in shards.score(folder, plan):
        data = data_path(folder, marker.index).read_bytes()
        rejects = rejects_path(folder, marker.index).read_bytes()
        lines = list(plan.lines(plan.shards[marker.index]))
        assert marker == read_marker(folder, plan, marker.index)
        assert marker.fingerprint == plan.fingerprint
        assert (marker.n_bytes, marker.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert marker.rejects_sha256 == hashlib.sha256(rejects).hexdigest()
        assert gzip.decompress(data).count(b"\n") == marker.tally.n_lines == len(lines)
        assert rejects.count(b"\n") == marker.tally.n_alts - marker.tally.n_scored
        assert marker.seconds > 0


def test_the_order_and_the_worker_do_not_matter(shards, vcf):
    folder, plan = shards.plan(vcf, OutputFormat.VCF_GZ)
    shards.score(folder, plan)
    other, same = shards.plan(vcf, OutputFormat.VCF_GZ, name="other")
    for index in reversed(range(len(same.shards))):
        score_shard(other, index)  # a new worker for each
    for index in range(len(plan.shards)):
        assert data_path(folder, index).read_bytes() == data_path(other, index).read_bytes()


def test_a_batch_never_crosses_a_shard(shards, vcf, runs):
    folder, plan = shards.plan(vcf)
    shards.score(folder, plan)
    together = runs.copy()
    other, same = shards.plan(vcf, name="other")
    runs.clear()
    for index in range(len(same.shards)):
        shards.score(other, same, [index])
    assert runs == together
    assert len(runs) > len(plan.shards)


def test_a_finished_shard_is_not_scored_again(shards, vcf, runs):
    folder, plan = shards.plan(vcf)
    first = shards.score(folder, plan)
    before = files(folder)
    runs.clear()
    assert shards.score(folder, plan, range(len(plan.shards))) == first
    assert score_shard(folder, 3) == first[3]
    assert not runs
    assert files(folder) == before
    assert missing(folder, plan) == []
    assert list(read_markers(folder, plan).values()) == first


def test_what_a_killed_process_left_is_replaced(shards, vcf):
    folder, plan = shards.plan(vcf)
    shards.score(folder, plan)
    whole = files(folder)
    marker_path(folder, 2).unlink()  # killed between data and marker
    data_path(folder, 2).write_bytes(b"other")
    data_path(folder, 4).unlink()  # its data are gone
    (folder / "shards/000002.data.1.tmp").write_bytes(b"half")
    assert missing(folder, plan) == [2, 4]
    assert [marker.index for marker in shards.score(folder, plan)] == [2, 4]
    again = files(folder)
    del again["000002.data.1.tmp"]
    assert {name: content for name, (_, _, content) in again.items() if name.endswith(".data")} == {
        name: content for name, (_, _, content) in whole.items() if name.endswith(".data")
    }
    kept = [name for name in whole if not name.startswith(("000002", "000004"))]
    assert {name: again[name] for name in kept} == {name: whole[name] for name in kept}


def test_a_damaged_marker_is_named(shards, vcf):
    folder, plan = shards.plan(vcf)
    shards.score(folder, plan, [1])
    path = marker_path(folder, 1)
    path.write_bytes(path.read_bytes()[:-5])
    for look in (lambda: missing(folder, plan), lambda: score_shard(folder, 1)):
        with pytest.raises(ValidationError, match=r"000001.json is damaged; delete it"):
            look()


def test_a_marker_of_another_run_is_refused(shards, vcf):
    folder, plan = shards.plan(vcf)
    other, twin = shards.plan(vcf, name="other", threads=2)
    shards.score(other, twin, [1, 2])
    for name in ("000001.json", "000001.data"):
        (folder / "shards" / name).write_bytes((other / "shards" / name).read_bytes())
    with pytest.raises(ValidationError, match=r"000001.json is of another run than .*out.vcf.vars"):
        shards.score(folder, plan)
    (folder / "shards/000001.json").write_bytes(marker_path(other, 2).read_bytes())
    with pytest.raises(ValidationError, match="is of another run"):
        missing(folder, twin)


@pytest.mark.parametrize("index", [-1, 10_000])
def test_a_shard_that_there_is_not_is_refused(shards, vcf, index):
    folder, plan = shards.plan(vcf)
    n = len(plan.shards)
    with pytest.raises(ValidationError, match=rf"no shard {index}: .* has {n}, counted from 0"):
        score_shard(folder, index)


def test_a_worker_on_other_terms_is_refused(shards, vcf, monkeypatch):
    folder, plan = shards.plan(vcf)
    other = shards.scorer(shards.job(threads=2))
    with pytest.raises(ServiceError, match=r"in threads \(1 there, 2 here\)"):
        next(ShardWorker(folder, plan, scorer=other).run([0]))
    monkeypatch.setattr(identity, "code_sha256", lambda: "0")
    with pytest.raises(ServiceError, match=r"cannot go on with .* the code of varsigma"):
        score_shard(folder, 0)
    assert not list((folder / "shards").iterdir())


def test_a_reference_that_changed_is_refused_and_a_touched_one_is_not(shards, vcf):
    folder, _ = shards.plan(vcf)
    fasta = shards.cohort.fasta
    os.utime(fasta, ns=(1, 1))
    score_shard(folder, 0)
    size = fasta.stat().st_size
    write_fasta(fasta, {c: s[::-1] for c, s in shards.cohort.genome.items()}, line=60)
    assert fasta.stat().st_size == size
    with pytest.raises(ServiceError, match=r"differs from .* in the reference"):
        score_shard(folder, 1)


def test_the_reference_is_not_read_in_full_where_it_is_untouched(shards, vcf, monkeypatch):
    folder, _ = shards.plan(vcf)
    read = []
    digest = file_sha256
    monkeypatch.setattr(reference, "file_sha256", lambda path: read.append(path) or digest(path))
    score_shard(folder, 0)
    assert not read
    os.utime(shards.cohort.fasta, ns=(1, 1))
    score_shard(folder, 1)
    assert read == [shards.cohort.fasta]


@pytest.mark.parametrize("packing", ["plain", "bgzip"])
def test_an_input_that_changed_is_refused(shards, vcf, packing):
    path = write_packed(shards.folder / "in", vcf.read_bytes(), packing)
    folder, plan = shards.plan(path)
    os.utime(path, ns=(1, 1))
    worker = ShardWorker(folder, plan)
    worker.score(0)
    write_packed(path, vcf.read_bytes().replace(b"PASS", b"pass", 1), packing)
    # Known to one that is at work, and to a new one.
    for index, changed in enumerate((worker, ShardWorker(folder, plan)), 1):
        with pytest.raises(InputFileError, match=r"the input .*/in has changed since the run was"):
            changed.score(index)
    path.unlink()
    with pytest.raises(InputFileError, match=r"/in cannot be read: No such file"):
        score_shard(folder, 3)
    assert missing(folder, plan) == list(range(1, len(plan.shards)))


def test_an_input_that_became_shorter_while_it_is_read_is_named(shards, vcf):
    _, plan = shards.plan(vcf)
    with vcf.open("r+b") as file:
        file.truncate(plan.shards[1].end - 10)
    with pytest.raises(InputFileError, match="or the file has become shorter"):
        list(plan.lines(plan.shards[1]))


def test_a_corrupt_block_costs_its_shards_and_no_other(shards):
    text = b"".join(line + b"\n" for line in (*HEADER, *shards.cohort.records() * 20))
    path = write_packed(shards.folder / "in.vcf.gz", text, "bgzip")
    raw = bytearray(path.read_bytes())
    victim = list(read_blocks(io.BytesIO(raw), ""))[3]  # no shard begins in it
    raw[victim.offset + len(victim.raw) // 2] ^= 0xFF
    path.write_bytes(raw)
    folder, plan = shards.plan(path, shard_bytes=140_000)
    assert len(plan.shards) == 3
    done = []
    worker = ShardWorker(folder, plan, scorer=shards.scorer(plan.job))
    with pytest.raises(InputFileError, match=f"corrupt BGZF block at byte {victim.offset} "):
        done.extend(worker.run(range(3)))
    assert [marker.index for marker in done] == [0]
    assert missing(folder, plan) == [1, 2]
    assert not list((folder / "shards").glob("*.tmp"))
    assert shards.score(folder, plan, [2])[0].index == 2, "what lies behind it can be read"


def test_a_full_disk_is_named_and_leaves_no_half_file(shards, vcf):
    folder, plan = shards.plan(vcf)
    with small_disk(1000), pytest.raises(ServiceError) as error:
        shards.score(folder, plan)
    assert "000000.data cannot be written: File too large; put that right" in error.value.message
    assert not list((folder / "shards").iterdir())
    shards.score(folder, plan)
    assert missing(folder, plan) == []


def mismatching(shards, n_good: int, n_bad: int, n_more: int = 0) -> Path:
    """SNVs, the REFs of those in the middle not those of the genome."""
    sequence = shards.cohort.genome["chr1"]
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    path = shards.folder / f"{n_good}_{n_bad}_{n_more}.vcf"
    lines = list(HEADER)
    for number in range(n_good + n_bad + n_more):
        pos = 100 + number % 3000
        is_bad = n_good <= number < n_good + n_bad
        ref = other[sequence[pos - 1]] if is_bad else sequence[pos - 1]
        alt = next(base for base in "ACGT" if base != ref)
        lines.append(f"chr1\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\tGT\t.\t.".encode())
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.mark.parametrize("shard_bytes", [1_000_000, 3000])
def test_a_run_on_the_wrong_assembly_stops(shards, shard_bytes):
    path = mismatching(shards, 100, ENOUGH + 3000)
    folder, plan = shards.plan(path, mismatch_share=0.9, shard_bytes=shard_bytes)
    with pytest.raises(WrongAssemblyError) as error:
        shards.score(folder, plan)
    assert "wrong assembly? Check --reference; --mismatch-share 1 scores" in error.value.message
    assert error.value.detail["compared"] >= ENOUGH
    assert len(missing(folder, plan)) > len(plan.shards) // 2
    # The same folder goes on where the user says so.
    folder, plan = shards.plan(path, mismatch_share=1.0, shard_bytes=shard_bytes)
    shards.score(folder, plan)
    assert missing(folder, plan) == []


def test_a_stretch_of_mismatches_in_a_good_file_stops_nobody(shards):
    path = mismatching(shards, 6000, 2 * ENOUGH, 1000)
    folder, plan = shards.plan(path, mismatch_share=0.5, shard_bytes=30_000)
    markers = {}
    for index in reversed(range(len(plan.shards))):  # each by a worker that knows no other
        [markers[index]] = shards.score(folder, plan, [index])
    assert any(marker.tally.n_mismatched == marker.tally.n_alts for marker in markers.values())
    assert merge(folder).tally.n_mismatched == 2 * ENOUGH
    again, same = shards.plan(path, mismatch_share=0.5, shard_bytes=30_000, name="again")
    assert len(shards.score(again, same)) == len(plan.shards), "nor one worker alone"


def test_the_wrong_assembly_is_found_beside_a_shard_that_is_still_at_work(shards):
    path = mismatching(shards, 0, 4000)
    folder, plan = shards.plan(path, shard_bytes=20_000)
    last = len(plan.shards) - 1
    shards.score(folder, plan, range(last - 1))
    folder, plan = shards.plan(path, shard_bytes=20_000, mismatch_share=0.9)
    with pytest.raises(WrongAssemblyError):
        shards.score(folder, plan, [last])
    assert missing(folder, plan) == [last - 1, last]


def test_what_was_scored_on_the_wrong_assembly_is_not_merged(shards):
    path = mismatching(shards, 0, 2 * ENOUGH)
    folder, plan = shards.plan(path, mismatch_share=0.9, shard_bytes=20_000)
    for index in reversed(range(1, len(plan.shards))):
        shards.score(folder, plan, [index])
    _, regardless = shards.plan(path, shard_bytes=20_000)
    shards.score(folder, regardless, [0])
    shards.plan(path, mismatch_share=0.9, shard_bytes=20_000)
    with pytest.raises(WrongAssemblyError):
        merge(folder)
    merge(folder, is_partial=True)
    shards.plan(path, shard_bytes=20_000)
    assert merge(folder).tally.n_mismatched == 2 * ENOUGH


@pytest.mark.parametrize(("n_good", "n_bad"), [(0, ENOUGH - 1), (ENOUGH, 100)])
def test_a_few_mismatches_stop_nothing(shards, n_good, n_bad):
    folder, plan = shards.plan(mismatching(shards, n_good, n_bad), mismatch_share=0.2)
    shards.score(folder, plan)
    assert missing(folder, plan) == []


def test_the_share_is_of_those_that_were_compared():
    tally = Tally()
    tally.counts[Status.OK], tally.counts[Status.REF_MISMATCH] = 900, 100
    tally.counts[Status.SYMBOLIC_ALT] = 100_000
    check_assembly(tally, 0.11)
    with pytest.raises(WrongAssemblyError, match=r"in 100 of 1,000 ALTs \(10.0%\)"):
        check_assembly(tally, 0.1)
    check_assembly(tally, 1.0)
    tally.counts[Status.OK] = 0
    tally.counts[Status.REF_MISMATCH] = ENOUGH
    check_assembly(tally, 1.0)
    tally.counts[Status.REF_MISMATCH] = ENOUGH - 1
    check_assembly(tally, 0.1)
