"""A file in, a file out, in shards or in one pass: every ALT accounted for, the same scores."""

import math
import shutil
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import batch, stream
from service.batch import Crew, merge_plan, score_file, score_some
from service.errors import (
    InputFileError,
    ServiceError,
    Status,
    ValidationError,
    WrongAssemblyError,
)
from service.fields import EFFECT_FIELDS
from service.folder import discard, work_folder
from service.job import Job
from service.markers import missing
from service.output import OutputFormat
from service.plan import begun, load_plan
from service.records import Passed, Record, parse_line
from service.scoring import Scorer
from service.source import Source
from service.stages import chunks
from service.stream import Output, score_stream
from service.summary import Summary
from service.tables import FIXED_COLUMNS
from tests.service.cohort import HEADER, Cohort, read_lines, write_packed
from tests.service.shard_runs import Shards

WAYS = list(product((b"\n", b"\r\n"), ("plain", "bgzip"), (True, False)))


@pytest.fixture(scope="module")
def shards(cohort, toy_models_dir, tmp_path_factory) -> Shards:
    return Shards(tmp_path_factory.mktemp("runs"), toy_models_dir, cohort)


@pytest.fixture(scope="module")
def job(shards) -> Job:
    return shards.job()


@pytest.fixture(scope="module")
def scorer(shards, job) -> Scorer:
    return shards.scorer(job)


def run(vcf: Path, out: Path, scorer: Scorer, style: OutputFormat = OutputFormat.VCF) -> Summary:
    """Score in one pass."""
    packed = style.is_compressed
    with Source(str(vcf)) as source, Output(str(out), is_compressed=packed) as output:
        return score_stream(source, output, scorer, style=style)


def ours(line: bytes) -> bytes:
    """What varsigma added to a record."""
    return line.rstrip(b"\r\n").split(b"\t")[7].partition(b"VARSIGMA_STATUS=")[2]


@pytest.mark.parametrize("is_sharded", [False, True])
@pytest.mark.parametrize(("eol", "packing", "has_chr"), WAYS)
def test_1000_variants_of_all_kinds_give_1000_outputs(
    tmp_path, cohort, scorer, job, eol, packing, has_chr, is_sharded
):
    vcf = cohort.write(tmp_path / "in.vcf", eol=eol, has_chr=has_chr, packing=packing)
    style = OutputFormat.VCF_GZ if packing == "bgzip" else OutputFormat.VCF
    if is_sharded:
        task = job.model_copy(update={"style": style})
        summary = score_file(str(vcf), tmp_path / "out", task, shard_bytes=5000, crew=Crew())
    else:
        summary = run(vcf, tmp_path / "out", scorer, style)
    lines = read_lines(tmp_path / "out")

    n_header = len(lines) - len(cohort.lines)
    before = [line + eol for line in cohort.records(has_chr=has_chr)]
    assert [line for line in lines[:n_header] if not line.startswith((b"##vars", b"##INFO=<ID=V"))]
    statuses = [ours(line).partition(b";")[0].decode() for line in lines[n_header:]]
    assert ",".join(statuses).split(",") == cohort.statuses
    assert summary.tally.n_alts == len(cohort.statuses) == 1000
    assert len(set(cohort.statuses)) == len(Status) - 1, "every kind but a broken model"
    assert summary.exit_code == 0
    for line, old in zip(lines[n_header:], before, strict=True):
        new_columns, old_columns = line.split(b"\t"), old.split(b"\t")
        info = new_columns.pop(7).removesuffix(ours(line)).removesuffix(b"VARSIGMA_STATUS=")
        old_info = old_columns.pop(7)
        assert new_columns == old_columns
        assert info == (b"" if old_info == b"." else old_info + b";")


def test_every_way_to_write_the_file_gives_the_same_scores(tmp_path, cohort, scorer):
    added = set()
    for number, (eol, packing, has_chr) in enumerate(WAYS):
        vcf = cohort.write(tmp_path / "in.vcf", eol=eol, has_chr=has_chr, packing=packing)
        out = tmp_path / f"{number}.vcf"
        run(vcf, out, scorer)
        lines = [line for line in read_lines(out) if not line.startswith(b"#")]
        added.add(tuple(ours(line) for line in lines))
    assert len(added) == 1

    variants = [
        variant
        for number, line in enumerate(cohort.records())
        for variant in parse_line(line + b"\n", number).variants
    ]
    [found] = added
    effects = [
        value
        for line in found
        for value in dict(part.split(b"=") for part in b"=".join((b"S", line)).split(b";"))[
            b"VARSIGMA_K562_EFFECT"
        ].split(b",")
    ]
    known = scorer.score(variants).effects.effect[:, 0].tolist()
    assert effects == [b"." if math.isnan(value) else b"%.6g" % value for value in known]
    assert [value == b"." for value in effects] == [s is not Status.OK for s in cohort.statuses]


def test_a_score_that_can_be_counted_by_hand(tmp_path, cohort, scorer):
    # In the toy model a base at index i of 20 adds (i + 1) * weight, A 1, C 2, G 4, T 8, and the
    # three members scale by 1, 2, 3. The variant has index 10 on both strands: A>C there adds
    # 11 * (2 - 1) on the plus strand and, as T>G, 11 * (4 - 8) on the minus strand.
    pos = cohort.genome["chr1"].index("A", 100) + 1
    line = f"chr1\t{pos}\t.\tA\tC\t.\t.\t.\n".encode()
    vcf = write_packed(tmp_path / "in.vcf", HEADER[-1] + b"\n" + line, "plain")
    run(vcf, tmp_path / "out.vcf", scorer)
    info = dict(part.split(b"=") for part in read_lines(tmp_path / "out.vcf")[-1].split(b";")[1:])
    plus, minus = 11 * (2 - 1), 11 * (4 - 8)
    assert float(info[b"VARSIGMA_K562_EFFECT"]) == 2 * (plus + minus) / 2
    assert float(info[b"VARSIGMA_HEPG2_EFFECT"]) == 2 * 2 * (plus + minus) / 2
    assert float(info[b"VARSIGMA_K562_EPISTEMIC"]) == abs(plus + minus) / 2


@pytest.mark.slow
@pytest.mark.parametrize("style", [OutputFormat.VCF, OutputFormat.TSV])
def test_chunks_do_not_show(tmp_path, cohort, scorer, monkeypatch, style):
    vcf = cohort.write(tmp_path / "in.vcf")
    run(vcf, tmp_path / "whole", scorer, style)
    for max_alts in (1, 7, 400):
        monkeypatch.setattr(stream, "chunks", partial(chunks, max_alts=max_alts))
        run(vcf, tmp_path / "chunked", scorer, style)
        assert (tmp_path / "chunked").read_bytes() == (tmp_path / "whole").read_bytes()


def test_scoring_a_scored_file_again_changes_nothing(tmp_path, cohort, scorer):
    run(cohort.write(tmp_path / "in.vcf"), tmp_path / "once.vcf", scorer)
    summary = run(tmp_path / "once.vcf", tmp_path / "twice.vcf", scorer)
    assert summary.is_rescored
    assert (tmp_path / "twice.vcf").read_bytes() == (tmp_path / "once.vcf").read_bytes()


def test_a_table_has_a_row_per_alt(tmp_path, cohort, scorer):
    run(cohort.write(tmp_path / "in.vcf"), tmp_path / "out.tsv.gz", scorer, OutputFormat.TSV_GZ)
    rows = [line for line in read_lines(tmp_path / "out.tsv.gz") if not line.startswith(b"#")]
    names, *cells = [row.rstrip(b"\n").split(b"\t") for row in rows]
    assert [row[names.index(b"status")].decode() for row in cells] == cohort.statuses
    assert {len(row) for row in cells} == {len(names)}
    assert len(names) == len(FIXED_COLUMNS) + 2 * (1 + len(EFFECT_FIELDS))
    novelty = [row[names.index(b"novelty")] for row in cells]
    is_ok = [status == Status.OK for status in cohort.statuses]
    assert [text != b"." for text in novelty] == is_ok
    assert len(set(novelty)) > 50


def test_malformed_records_stop_no_neighbour(tmp_path, cohort, scorer):
    good = cohort.records()[:6]
    bad = [b"chr1\t5", b"chr1\tfive\t.\tA\tC\t.\t.\t.", b""]
    lines = [*HEADER, *good[:2], bad[0], *good[2:4], bad[1], bad[2], *good[4:]]
    vcf = write_packed(tmp_path / "in.vcf", b"".join(line + b"\n" for line in lines), "plain")
    summary = run(vcf, tmp_path / "out.vcf", scorer)
    out = [line for line in read_lines(tmp_path / "out.vcf") if not line.startswith(b"#")]
    assert [line.rstrip(b"\n") for line in out if b"VARSIGMA_" not in line] == bad
    assert [b"VARSIGMA_" in line for line in out] == [1, 1, 0, 1, 1, 0, 0, 1, 1]
    tally = summary.tally
    assert (tally.n_records, tally.n_malformed, summary.exit_code) == (6, 2, 4)
    assert [number for number, _ in tally.problems] == [6, 9]


@pytest.mark.parametrize("packing", ["gzip", "plain"])
def test_a_truncated_file_hands_on_what_was_scored(tmp_path, cohort, scorer, packing):
    vcf = cohort.write(tmp_path / "in.vcf", packing=packing)
    n_cut = 12 if packing == "gzip" else len(cohort.records()[-1]) // 2
    vcf.write_bytes(vcf.read_bytes()[:-n_cut])
    whole = cohort.write(tmp_path / "whole.vcf")
    run(whole, tmp_path / "whole.out", scorer)
    with pytest.raises(InputFileError, match="truncated"):
        run(vcf, tmp_path / "out.vcf", scorer)
    kept = read_lines(tmp_path / "out.vcf")
    assert kept == read_lines(tmp_path / "whole.out")[: len(kept)]
    assert len(kept) >= len(cohort.lines), "only the line that was cut is missing"


def test_progress_counts_bytes_and_alts(tmp_path, cohort, scorer, monkeypatch):
    vcf = cohort.write(tmp_path / "in.vcf", packing="bgzip")
    monkeypatch.setattr(stream, "chunks", partial(chunks, max_alts=300))
    seen: list[tuple[int, int, int | None]] = []
    with (
        Source(str(vcf)) as source,
        Output(str(tmp_path / "out.vcf"), is_compressed=False) as output,
    ):
        score_stream(
            source,
            output,
            scorer,
            style=OutputFormat.VCF,
            on_progress=lambda *progress: seen.append(progress),
        )
    size = vcf.stat().st_size
    assert len(seen) == 5
    assert seen == sorted(seen)
    assert (seen[0][1], seen[-1]) == (0, (size, 1000, size))


@pytest.mark.parametrize("style", [style for style in OutputFormat if style != "parquet"])
@pytest.mark.parametrize(
    ("packing", "has_chr"), [("plain", True), ("bgzip", False), ("gzip", True)]
)
def test_shards_and_one_pass_give_the_same_text(
    tmp_path, cohort, scorer, job, style, packing, has_chr
):
    vcf = cohort.write(tmp_path / "in.vcf", packing=packing, has_chr=has_chr)
    whole = run(vcf, tmp_path / "whole", scorer, style)
    task = job.model_copy(update={"style": style})
    parts = score_file(str(vcf), tmp_path / "parts", task, shard_bytes=3000, crew=Crew())
    assert read_lines(tmp_path / "parts") == read_lines(tmp_path / "whole")
    assert parts.tally == whole.tally
    assert parts.provenance == whole.provenance
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf", "parts", "whole"]


def test_progress_of_a_run_in_shards_begins_with_what_was_done_before(tmp_path, cohort, job):
    vcf, out = str(cohort.write(tmp_path / "in.vcf")), tmp_path / "out.vcf"

    def seen(stop_after: int) -> list[tuple[int, int, int | None]]:
        calls: list[tuple[int, int, int | None]] = []

        def on_progress(*progress):
            calls.append(progress)
            if len(calls) == stop_after:
                raise InputFileError("enough")

        with suppress(InputFileError):
            score_file(vcf, out, job, shard_bytes=3000, crew=Crew(), on_progress=on_progress)
        return calls

    first, second = seen(4), seen(0)
    assert first[0][:2] == (0, 0)
    assert second[0] == first[3], "it goes on from there"
    assert second == sorted(second)
    position, n_alts, size = second[-1]
    assert (position, n_alts) == (size, 1000)


def test_an_error_in_the_middle_says_what_is_kept(tmp_path, cohort, job):
    vcf, out = str(cohort.write(tmp_path / "in.vcf")), tmp_path / "out.vcf"

    def stop(position: int, n_alts: int, size: int | None) -> None:
        if position:
            raise InputFileError("enough")

    with pytest.raises(InputFileError, match="enough") as error:
        score_file(vcf, out, job, shard_bytes=3000, crew=Crew(), on_progress=stop)
    [note] = error.value.__notes__
    folder = work_folder(out)
    n_shards = len(load_plan(folder).shards)
    assert (
        note == f"1 of {n_shards} shards done: `varsigma merge {folder} --partial` writes them out"
    )
    assert len(missing(folder, load_plan(folder))) == n_shards - 1


def test_an_error_before_the_plan_leaves_nothing(tmp_path, cohort, job):
    vcf = tmp_path / "in.vcf"
    vcf.write_bytes(b"hello\n")
    with pytest.raises(ServiceError):
        score_file(str(vcf), tmp_path / "out.vcf", job, shard_bytes=3000, crew=Crew())
    assert list(tmp_path.glob("out*")) == []


def begun_run(tmp_path: Path, cohort: Cohort, job: Job) -> Path:
    """A run that stops after its first shard; returns the work folder."""

    def stop(position: int, n_alts: int, size: int | None) -> None:
        if position:
            raise InputFileError("enough")

    vcf, out = str(cohort.write(tmp_path / "in.vcf")), tmp_path / "out.vcf"
    with suppress(InputFileError):
        score_file(vcf, out, job, shard_bytes=3000, crew=Crew(), on_progress=stop)
    return work_folder(out)


def test_who_does_not_hold_a_folder_removes_nothing_of_it(tmp_path, cohort, job, monkeypatch):
    folder = begun_run(tmp_path, cohort, job)

    def fail(*_, **__):
        # Meanwhile the run was merged, and another one is about to plan in the same folder.
        (folder / "plan.json").unlink()
        (folder / "spool.vcf.gz").write_bytes(b"of another run")
        raise InputFileError("the input is gone")

    monkeypatch.setattr(batch, "execute_here", fail)
    with pytest.raises(InputFileError, match="the input is gone"):
        score_some(folder, [1], print)
    assert (folder / "spool.vcf.gz").read_bytes() == b"of another run"
    assert (folder / "shards").is_dir()


def test_a_folder_that_is_gone_hides_no_error(tmp_path, cohort, job, monkeypatch):
    folder = begun_run(tmp_path, cohort, job)

    def fail(*_, **__):
        shutil.rmtree(folder)
        raise InputFileError("the input is gone")

    monkeypatch.setattr(batch, "execute_here", fail)
    with pytest.raises(InputFileError, match="the input is gone"):
        score_some(folder, [1], print)


def test_an_interrupt_after_the_merge_does_not_ask_for_another_run(
    tmp_path, cohort, job, monkeypatch
):
    calls = []

    def interrupted(folder: Path) -> None:
        calls.append(folder)
        if len(calls) == 1:
            raise KeyboardInterrupt
        discard(folder)

    monkeypatch.setattr(batch, "discard", interrupted)
    vcf, out = str(cohort.write(tmp_path / "in.vcf")), tmp_path / "out.vcf"
    summary = score_file(vcf, out, job, shard_bytes=3000, crew=Crew())
    assert summary.exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"in.vcf", "out.vcf"}


def test_threads_are_what_is_stated_then_the_plans_then_a_share_of_the_cores(
    tmp_path, cohort, job, monkeypatch
):
    folder = tmp_path / "no.varsigma"
    monkeypatch.setattr("service.batch.usable_cores", lambda: 8)
    assert Crew().threads(None, folder) == 8
    assert Crew(workers=3).threads(None, folder) == 2
    assert Crew(workers=20).threads(None, folder) == 1
    assert Crew(ray="auto", workers=2).threads(None, folder) == 1
    assert Crew(workers=3).threads(5, folder) == 5
    with suppress(InputFileError):
        score_file(
            str(cohort.write(tmp_path / "in.vcf")),
            tmp_path / "out.vcf",
            job,
            shard_bytes=3000,
            crew=Crew(),
            on_progress=_stop_at_once,
        )
    assert begun(work_folder(tmp_path / "out.vcf")) is not None
    assert Crew(workers=3).threads(None, work_folder(tmp_path / "out.vcf")) == job.threads


def _stop_at_once(position: int, n_alts: int, size: int | None) -> None:
    raise InputFileError("enough")


@pytest.mark.parametrize("is_sharded", [False, True])
def test_the_wrong_genome_stops_a_run(tmp_path, cohort, job, is_sharded):
    wrong = Cohort(tmp_path / "other.fa", seed=2)
    lines = [*HEADER, *cohort.records() * 4]
    vcf = write_packed(tmp_path / "in.vcf", b"".join(line + b"\n" for line in lines), "plain")
    task = job.model_copy(update={"reference": wrong.fasta, "mismatch_share": 0.2})
    with pytest.raises(WrongAssemblyError, match="wrong assembly"):
        if is_sharded:
            score_file(str(vcf), tmp_path / "out.vcf", task, shard_bytes=1 << 20, crew=Crew())
        else:
            with (
                Source(str(vcf)) as source,
                Output(str(tmp_path / "out.vcf"), is_compressed=False) as output,
            ):
                score_stream(source, output, task.open(), style=task.style, mismatch_share=0.2)


def test_a_shard_that_is_not_in_the_plan_is_named(tmp_path, cohort, job):
    with pytest.raises(ValidationError, match="plan"):
        score_some(tmp_path / "out.vcf.varsigma", [0], print)
    with pytest.raises(ValidationError, match="plan"):
        merge_plan(tmp_path / "out.vcf.varsigma")


LINES = st.lists(
    st.one_of(
        st.integers(1, 5).map(lambda n: b"1\t7\t.\tA\t" + b",".join([b"C"] * n) + b"\t.\t.\t.\n"),
        st.integers(0, 50).map(lambda n: b"x" * n + b"\n"),
    ).map(lambda line: parse_line(line, 1)),
    max_size=40,
)


@given(LINES, st.integers(1, 9), st.integers(1, 200))
def test_chunks_keep_every_line_and_are_bounded(lines, max_alts, max_bytes):
    grouped = list(chunks(lines, max_alts=max_alts, max_bytes=max_bytes))
    assert [line for chunk in grouped for line in chunk] == lines
    for chunk in grouped:
        assert chunk
        alts = [len(line.variants) if isinstance(line, Record) else 1 for line in chunk]
        assert sum(alts[:-1]) < max_alts
        assert sum(line.n_bytes for line in chunk[:-1]) < max_bytes


def test_lines_before_an_error_come_out_before_the_error():
    def broken():
        yield Passed(1, b"a\n", None)
        raise InputFileError("cut")

    grouped = chunks(broken())
    assert [line.line for line in next(grouped)] == [b"a\n"]
    with pytest.raises(InputFileError, match="cut"):
        next(grouped)


def test_thousands_of_samples_do_not_fill_the_memory():
    line = b"1\t7\t.\tA\tC\t.\t.\t.\tGT" + b"\t0/1:35:99" * 3000 + b"\n"
    parsed = [parse_line(line, number) for number in range(2000)]
    sizes = [sum(x.n_bytes for x in chunk) for chunk in chunks(parsed, max_bytes=1 << 20)]
    assert max(sizes) < (1 << 20) + len(line)
