"""Whole runs of `varsigma` as processes: signals, kills, streams, schedulers, kinds of output."""

import csv
import gzip
import io
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path

import pysam
import pytest
from Bio.bgzf import BgzfBlocks

from service.cli import run
from service.reference import Reference
from service.sequence import decode
from tests.service.cohort import HEADER, Cohort, read_lines, write_packed
from tests.service.processes import children, command_of, count_shards, wait_until

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/chr17.hg19.part.fa"
COMMAND = [sys.executable, "-m", "service.cli"]
RECORD = b"chr1\t1\t.\tA\tC\t.\t.\t.\n"
SMALL = ["--shard-bytes", "512"]
"""Makes a hundred shards of a small file, so that a run can be caught in its middle."""


@pytest.fixture
def options(cohort, toy_models_dir) -> list[str]:
    return [
        "--reference", str(cohort.fasta), "--models", str(toy_models_dir), "--model", "sum",
        "--threads", "1", "--device", "cpu",
    ]  # fmt: skip


def example_bases() -> str:
    """The bases of chr17 that are shipped."""
    with Reference.open(EXAMPLE) as reference:
        return decode(reference.codes("chr17", 0, 40_000))


def launched(*arguments, **options) -> subprocess.CompletedProcess:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, **options)


def called(*arguments) -> subprocess.CompletedProcess:
    """As `launched`, in this process: nothing of a start, of signals, of the bytes of streams."""
    out, error = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(error):
        code = run(list(map(str, arguments)))
    texts = (text.getvalue().encode() for text in (out, error))
    return subprocess.CompletedProcess(arguments, code, *texts)


@contextmanager
def started(*arguments) -> Iterator[subprocess.Popen]:
    """A run in the background, with the signals of a terminal."""
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that a shell runs in the background inherits an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def begun(out: Path) -> Callable[[], bool]:
    """Whether the run that writes a file has done some of its shards."""
    return lambda: count_shards(out.with_name(f"{out.name}.varsigma")) > 2


def assert_one_line(text: str, *parts: str) -> None:
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    for part in parts:
        assert part in text


@pytest.fixture
def whole(vcf, options, tmp_path) -> bytes:
    """What one undisturbed process writes."""
    assert run(["score", str(vcf), "-o", str(tmp_path / "whole.vcf.gz"), *options, *SMALL]) == 0
    return (tmp_path / "whole.vcf.gz").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_in_its_middle_goes_on_and_gives_the_same_bytes(
    vcf, options, tmp_path, whole, number
):
    out = tmp_path / "out.vcf.gz"
    arguments = ["score", vcf, "-o", out, *options, *SMALL]
    with started(*arguments) as process:
        wait_until(begun(out))
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    if number is signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 3, error
        assert_one_line(error, "interrupted: ", " shards done; run the same command to go on")
    assert not out.exists()
    markers = sorted((tmp_path / "out.vcf.gz.varsigma/shards").glob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in markers}
    folder = tmp_path / "out.vcf.gz.varsigma"
    rest = called("score-shard", folder, *range(len(before) + 1))
    assert rest.returncode == 0, rest.stderr
    assert {path: path.stat().st_mtime_ns for path in markers} == before, "none is scored again"
    again = launched(*arguments)
    assert again.returncode == 0, again.stderr
    assert out.read_bytes() == whole
    assert not folder.exists()


@pytest.mark.slow
def test_a_killed_worker_does_not_end_the_run(vcf, options, tmp_path, whole):
    out = tmp_path / "out.vcf.gz"
    with started("score", vcf, "-o", out, *options, *SMALL, "--workers", "2") as process:
        wait_until(begun(out))
        workers = [pid for pid in children(process.pid) if "spawn_main" in command_of(pid)]
        os.kill(workers[0], signal.SIGKILL)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    assert len(workers) == 2
    assert out.read_bytes() == whole


@pytest.mark.slow
def test_a_run_goes_on_with_other_workers_and_the_threads_that_it_began_with(
    vcf, cohort, toy_models_dir, tmp_path, whole
):
    out = tmp_path / "out.vcf.gz"
    base = ["score", vcf, "-o", out, "--reference", cohort.fasta, "--models", toy_models_dir]
    base += ["--model", "sum", "--device", "cpu", *SMALL]
    with started(*base, "--threads", "1", "--workers", "2") as process:
        wait_until(begun(out))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 3
    done = launched(*base)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == whole


def test_what_would_give_other_bytes_does_not_go_on(vcf, options, tmp_path):
    out = tmp_path / "out.vcf.gz"
    assert called("plan", vcf, "-o", out, *options, *SMALL).returncode == 0
    done = called("score", vcf, "-o", out, *options, *SMALL, "--coverage", "0.5")
    assert done.returncode == 1
    assert_one_line(done.stderr.decode(), str(out), "coverage (0.9 there, 0.5 here)", "delete")
    assert called("score", vcf, "-o", out, *options, *SMALL).returncode == 0


def test_two_runs_cannot_write_one_file(vcf, options, tmp_path, whole):
    out = tmp_path / "out.vcf.gz"
    arguments = ["score", vcf, "-o", out, *options, *SMALL]
    with started(*arguments) as process:
        wait_until(begun(out))
        process.send_signal(signal.SIGSTOP)
        second = launched(*arguments)
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    assert second.returncode == 1
    assert_one_line(second.stderr.decode(), "another run is writing", "out.vcf.gz")
    assert out.read_bytes() == whole


@pytest.mark.slow
def test_plan_score_shard_and_merge_give_the_bytes_of_score(vcf, options, tmp_path, whole):
    out = tmp_path / "out.vcf.gz"
    planned = launched("plan", vcf, "-o", out, *options, *SMALL)
    assert planned.returncode == 0, planned.stderr
    folder, n_shards = planned.stdout.decode().split("\t")
    assert folder == f"{out}.varsigma"
    last = int(n_shards) - 1
    assert last > 1
    early = launched("merge", folder)
    assert early.returncode == 3
    assert_one_line(early.stderr.decode(), "missing")
    for indices in ([last], range(last)):
        scored = launched("score-shard", folder, *indices)
        assert scored.returncode == 0, scored.stderr
        assert scored.stderr.decode().count(" ALTs\n") == len(indices)
    merged = launched("merge", folder, "--summary", tmp_path / "summary.json")
    assert merged.returncode == 0, merged.stderr
    assert b"1,000 ALTs" in merged.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["exit_code"] == 0
    assert out.read_bytes() == whole
    assert not Path(folder).exists()


def test_a_shard_that_is_not_there_and_a_plan_that_is_not_there(vcf, options, tmp_path):
    folder = tmp_path / "out.vcf.varsigma"
    for arguments in (["score-shard", folder, 0], ["merge", folder]):
        done = called(*arguments)
        assert done.returncode == 1
        assert_one_line(done.stderr.decode(), str(folder), "OUT.varsigma")
    assert called("plan", vcf, "-o", tmp_path / "out.vcf", *options).returncode == 0
    for index in ("1", "99"):
        done = called("score-shard", folder, 0, index)
        assert done.returncode == 1
        assert_one_line(done.stderr.decode(), f"no shard {index}")
    assert count_shards(folder) == 0, "nothing is scored of a wrong command"
    assert called("score-shard", folder, "first").returncode == 2


def test_what_there_is_can_be_had(vcf, options, tmp_path, whole):
    out = tmp_path / "out.vcf.gz"
    planned = called("plan", vcf, "-o", out, *options, *SMALL)
    folder, n_shards = planned.stdout.decode().split("\t")
    assert called("score-shard", folder, 0, 1, 3).returncode == 0
    partial = called("merge", folder, "--partial")
    assert partial.returncode == 3
    assert f"missing of {n_shards.strip()}" in partial.stderr.decode()
    kept = [line for line in read_lines(Path(f"{out}.partial")) if not line.startswith(b"#")]
    expected = gzip.decompress(whole).splitlines(keepends=True)
    assert len(kept) > 5
    assert set(kept) < set(expected)
    assert not out.exists()
    assert called("score", vcf, "-o", out, *options, *SMALL).returncode == 0
    assert out.read_bytes() == whole


def test_an_input_that_turns_out_to_be_corrupt_keeps_its_finished_shards(options, tmp_path, cohort):
    # Five blocks of BGZF, of 65,280 bytes; no shard begins in the third, so that the plan does not
    # look into it, and it belongs to the second of three shards.
    lines = [*HEADER, *cohort.records() * 8]
    content = b"".join(line + b"\n" for line in lines)
    vcf, out = write_packed(tmp_path / "in.vcf.gz", content, "bgzip"), tmp_path / "out.vcf"
    with vcf.open("rb") as file:
        starts = [start for start, *_ in BgzfBlocks(file)]
    packed = bytearray(vcf.read_bytes())
    packed[starts[2] + 1000] ^= 255
    vcf.write_bytes(packed)
    more = ["--shard-bytes", "120000", "--mismatch-share", "1"]
    done = called("score", vcf, "-o", out, *options, *more)
    folder = f"{out}.varsigma"
    n_done = count_shards(Path(folder))
    assert done.returncode == 1
    assert n_done == 1
    advice = f"shards done: `varsigma merge {folder} --partial` writes them out"
    assert_one_line(done.stderr.decode(), "in.vcf.gz", "corrupt", f"; {n_done} of ", advice)
    assert called("merge", folder, "--partial").returncode == 3
    scored = [x for x in read_lines(Path(f"{out}.partial")) if b"VARSIGMA_STATUS=" in x]
    assert [x.split(b"\t")[1] for x in scored] == [
        line.split(b"\t")[1] for line in lines[len(HEADER) :][: len(scored)]
    ]


def test_a_run_on_the_wrong_genome_is_stopped_and_can_be_told_to_go_on(options, tmp_path, cohort):
    wrong = Cohort(tmp_path / "other.fa", seed=2)
    lines = [*HEADER, *cohort.records() * 4]
    vcf = write_packed(tmp_path / "in.vcf", b"".join(line + b"\n" for line in lines), "plain")
    options = [*options, "--reference", wrong.fasta]
    for launch, out in ((called, tmp_path / "out.vcf"), (launched, "-")):
        done = launch("score", vcf, "-o", out, *options)
        assert done.returncode == 1
        assert_one_line(done.stderr.decode(), "wrong assembly?", "--mismatch-share 1")
        done = launch("score", vcf, "-o", out, *options, "--mismatch-share", "1")
        assert done.returncode == 0, done.stderr
        assert b"4,000 ALTs" in done.stderr


def test_an_index_stands_beside_a_sorted_output(options, tmp_path, cohort):
    pos = cohort.genome["chr1"].index("A", 200) + 1
    lines = [*HEADER, f"chr1\t{pos}\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/1".encode()]
    vcf = write_packed(tmp_path / "in.vcf", b"".join(line + b"\n" for line in lines), "plain")
    for kind in ("tbi", "csi"):
        out = tmp_path / f"{kind}.vcf.gz"
        assert run(["score", str(vcf), "-o", str(out), *options, "--index", kind]) == 0
        assert Path(f"{out}.{kind}").exists()
        with pysam.VariantFile(str(out)) as scored:
            [record] = scored.fetch("chr1", pos - 1, pos)
            assert record.info["VARSIGMA_STATUS"] == ("ok",)


def test_an_output_that_is_not_sorted_has_no_index(capsys, vcf, options, tmp_path):
    arguments = ["score", vcf, "-o", tmp_path / "out.vcf.gz", *options, "--index", "tbi"]
    assert run([str(argument) for argument in arguments]) == 1
    assert_one_line(capsys.readouterr().err, "not in order", "bcftools sort")


@pytest.mark.parametrize("output", ["out.vcf", "-"])
def test_what_is_not_scored_is_listed(capfd, vcf, options, tmp_path, cohort, output):
    rejects = tmp_path / "rejects.tsv"
    out = "-" if output == "-" else tmp_path / output
    arguments = ["score", vcf, "-o", out, *options, "--rejects", rejects]
    assert run([str(argument) for argument in arguments]) == 0
    capfd.readouterr()
    lines = rejects.read_text().splitlines()
    counts = {status: cohort.statuses.count(status) for status in set(cohort.statuses) - {"ok"}}
    assert {f"# {status}={count}" for status, count in counts.items()} == {
        line for line in lines if line.startswith("#")
    }
    rows = list(csv.DictReader((x for x in lines if not x.startswith("#")), delimiter="\t"))
    assert [row["status"] for row in rows] == [s for s in cohort.statuses if s != "ok"]
    text = vcf.read_text().splitlines()
    for row in rows:
        assert text[int(row["line"]) - 1].split("\t")[1] == row["pos"]


@pytest.mark.parametrize("output", ["out.vcf", "-"])
def test_the_summary_is_written_for_programs(capfd, vcf, options, tmp_path, cohort, output):
    out = "-" if output == "-" else tmp_path / output
    path = tmp_path / "summary.json"
    arguments = ["score", vcf, "-o", out, *options, "--summary", path]
    assert run([str(argument) for argument in arguments]) == 0
    capfd.readouterr()
    summary = json.loads(path.read_text())
    assert summary["exit_code"] == 0
    assert summary["provenance"]["model"] == "sum"
    assert summary["counts"]["ok"] == cohort.statuses.count("ok")


def test_parquet_has_the_rows_of_the_table(vcf, options, tmp_path, cohort):
    parquet = pytest.importorskip("pyarrow.parquet")
    base = ["score", str(vcf), *options, *SMALL, "-o"]
    for name in ("out.parquet", "out.tsv"):
        assert run([*base, str(tmp_path / name)]) == 0
    table = parquet.read_table(tmp_path / "out.parquet")
    lines = [line for line in (tmp_path / "out.tsv").read_text().splitlines() if line[:2] != "# "]
    names = lines[0].lstrip("#").split("\t")
    rows = list(csv.DictReader(lines[1:], names, delimiter="\t"))
    assert table.column("status").to_pylist() == cohort.statuses == [row["status"] for row in rows]
    for name in table.column_names:
        if name.endswith("effect"):
            for value, row in zip(table.column(name).to_pylist(), rows, strict=True):
                assert row[name] == "." if value is None else float(row[name]) == value


def test_standard_input_to_standard_output(vcf, options):
    for packing in (bytes, gzip.compress):
        done = launched("score", "-", "-o", "-", *options, input=packing(vcf.read_bytes()))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(b"VARSIGMA_STATUS=") > 600
        assert b"1,000 ALTs" in done.stderr
        assert b"\x1b" not in done.stderr, "no bar and no colours where nobody looks"
    packed = launched("score", vcf, "-o", "-", "--format", "vcf.gz", *options)
    assert gzip.decompress(packed.stdout) == done.stdout
    assert packed.stdout.endswith(bytes.fromhex("1b0003000000000000000000"))


def test_a_link_keeps_pointing_at_the_file(vcf, options, tmp_path, whole):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/old.tsv").touch()
    links = {"out.vcf.gz": "real.vcf.gz", "rejects.tsv": "old.tsv", "summary.json": "new.json"}
    for name, real in links.items():
        (tmp_path / name).symlink_to(tmp_path / "data" / real)
    out, rejects, summary = (str(tmp_path / name) for name in links)
    more = ["--rejects", rejects, "--summary", summary]
    assert run(["score", str(vcf), "-o", out, *options, *more]) == 0
    assert all((tmp_path / name).is_symlink() for name in links)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == sorted(links.values())
    assert gzip.decompress(Path(out).read_bytes()) == gzip.decompress(whole)
    assert (tmp_path / "data/old.tsv").stat().st_size
    assert json.loads(Path(summary).read_text())["exit_code"] == 0


def test_standard_output_may_be_a_file_and_have_another_name(vcf, options, tmp_path, whole):
    (tmp_path / "link.vcf").symlink_to("/proc/self/fd/1")
    for name in ("/dev/stdout", tmp_path / "link.vcf", "-"):
        # As `{ echo before; varsigma score ...; } > FILE` does.
        with (tmp_path / "redirected").open("wb") as file:
            file.write(b"before\n")
            file.flush()
            command = [*COMMAND, "score", vcf, "-o", name, "--format", "vcf", *options]
            done = subprocess.run(
                command, cwd=ROOT, stdout=file, stderr=subprocess.PIPE, check=False
            )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "redirected").read_bytes() == b"before\n" + gzip.decompress(whole)
    assert (tmp_path / "link.vcf").is_symlink()
    assert list(tmp_path.glob("*.varsigma")) == []


def test_standard_output_that_goes_on_in_the_input_is_refused(vcf, options):
    before = vcf.read_bytes()
    with vcf.open("ab") as file:
        command = [*COMMAND, "score", vcf, "-o", "/dev/stdout", "--format", "vcf", *options]
        done = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert_one_line(done.stderr.decode(), "would overwrite the input")
    assert vcf.read_bytes() == before


def test_a_reader_that_goes_away_gets_no_traceback(options, tmp_path, cohort):
    lines = [*HEADER, *cohort.records() * 20]
    vcf = write_packed(tmp_path / "in.vcf", b"".join(line + b"\n" for line in lines), "plain")
    command = [*COMMAND, "score", str(vcf), "-o", "-", *options, "--mismatch-share", "1"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
        assert process.wait(60) == 1
    assert error == b"error: the reader of standard output went away\n"


def test_ctrl_c_ends_a_stream_in_one_line(options, tmp_path, cohort):
    fifo = tmp_path / "in.vcf"
    os.mkfifo(fifo)
    with started("score", fifo, "-o", "-", *options) as process, fifo.open("wb", 0) as writer:
        writer.write(b"".join(line + b"\n" for line in HEADER) + RECORD)
        assert process.stdout is not None
        assert process.stdout.readline() == "##fileformat=VCFv4.3\n"
        process.send_signal(signal.SIGINT)
        writer.write(RECORD)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert_one_line(process.stderr.read(), "interrupted")


def test_an_interrupt_in_the_middle_of_a_long_run_of_the_model_ends_at_once(tmp_path):
    # The process used to wait for the run, then to be aborted by ONNX Runtime's own threads.
    sites = ((pos, base) for pos, base in enumerate(example_bases(), 1) if base in "ACGT")
    rows = "".join(
        f"chr17\t{pos}\t.\t{base}\t{'C' if base == 'A' else 'A'}\t.\t.\t.\n"
        for pos, base in islice(sites, 3000)
    )
    vcf = tmp_path / "in.vcf"
    vcf.write_text(f"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{rows}")
    out = tmp_path / "out.vcf"
    arguments = ["--reference", EXAMPLE, "--model", "dh7", "--device", "cpu"]
    with started("score", vcf, "-o", out, *arguments) as process:
        wait_until((tmp_path / "out.vcf.varsigma/plan.json").exists)
        time.sleep(1)  # windows are cut, the model runs
        before = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        taken = time.monotonic() - before
    assert_one_line(error, "interrupted: 0 of 1 shards done")
    assert process.returncode == 3
    assert taken < 8


def test_a_full_disk_behind_standard_output_is_noticed(vcf, options, tmp_path):
    # With an unbuffered standard output, as containers set it, short writes used to pass.
    with (tmp_path / "scored.vcf").open("wb") as file:
        done = subprocess.run(
            [*COMMAND, "score", str(vcf), "-o", "-", *options],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        )
    assert done.returncode == 1
    assert_one_line(done.stderr, "File too large")


@pytest.mark.parametrize(("closed", "code"), [("<&-", "standard input is closed"), (">&-", "")])
def test_closed_standard_streams_are_named(options, closed, code):
    command = shlex.join([*COMMAND, "score", "-", "-o", "-", *options])
    given = subprocess.run(
        f"{command} {closed}", shell=True, cwd=ROOT, capture_output=True, text=True, check=False,
        input="" if closed == ">&-" else None,
    )  # fmt: skip
    assert given.returncode == 1
    assert "this is a bug" not in given.stderr
    assert_one_line(given.stderr, code)
