"""Merging: the bytes of a run in one piece, gaps and damage refused, nothing half written."""

import errno
import gzip
import io
from pathlib import Path

import pyarrow.parquet as pq
import pysam
import pytest

from service import merge as merge_module
from service.bgzf import END, read_blocks
from service.errors import IncompleteError, InputFileError, ServiceError, ValidationError
from service.folder import discard
from service.markers import data_path, marker_path, missing, rejects_path
from service.merge import merge
from service.output import OutputFormat
from service.plan import load_plan, make_plan
from tests.service.cohort import HEADER, Cohort, read_lines, write_packed
from tests.service.shard_runs import Shards

TEXT_STYLES = [style for style in OutputFormat if style is not OutputFormat.PARQUET]


@pytest.fixture
def shards(tmp_path, toy_models_dir) -> Shards:
    return Shards(tmp_path, toy_models_dir, Cohort(tmp_path / "genome.fa", 400))


@pytest.fixture
def vcf(shards) -> Path:
    """The cohort with some lines that are no records."""
    lines = shards.cohort.records()
    for place in range(0, len(lines), 40):
        lines[place : place + 2] = [b"chr1\tx\t.\tA\tC\t.\t.\t.", b"", *lines[place : place + 2]]
    return write_packed(
        shards.folder / "in.vcf", b"".join(line + b"\n" for line in (*HEADER, *lines)), "plain"
    )


@pytest.fixture
def ordered(shards) -> Path:
    """The cohort sorted, as an index asks for."""
    names = ["chr1", "chr2", "chrM", "chrUn"]
    lines = sorted(
        (line for line in shards.cohort.records() if b"\t2147483647\t" not in line),
        key=lambda line: (names.index(line.split(b"\t")[0].decode()), int(line.split(b"\t")[1])),
    )
    content = b"".join(line + b"\n" for line in (*HEADER, *lines))
    return write_packed(shards.folder / "sorted.vcf", content, "plain")


def others(folder: Path) -> set[str]:
    """What stands beside inputs and genome."""
    return {path.name for path in folder.iterdir()} - {
        "in.vcf", "in.vcf.gz", "sorted.vcf", "genome.fa", "genome.fa.fai",
    }  # fmt: skip


@pytest.mark.parametrize("style", TEXT_STYLES)
@pytest.mark.parametrize("packing", ["plain", "bgzip", "gzip"])
def test_the_output_is_that_of_one_piece(shards, vcf, style, packing):
    path = vcf if packing == "plain" else write_packed(
        shards.folder / "in.vcf.gz", vcf.read_bytes(), packing
    )  # fmt: skip
    output, summary = shards.run(path, style)
    content = output.read_bytes()
    expected, tally = shards.at_once(vcf, style)
    assert (gzip.decompress(content) if style.is_compressed else content) == expected
    assert summary.tally == tally
    assert (summary.exit_code, summary.gaps) == (4, [])
    assert others(shards.folder) == {output.name}


@pytest.mark.parametrize("style", [style for style in TEXT_STYLES if style.is_compressed])
def test_a_packed_output_is_one_bgzf_file(shards, vcf, style):
    output, _ = shards.run(vcf, style)
    content = output.read_bytes()
    assert content.endswith(END)
    assert [block.n_text == 0 for block in read_blocks(io.BytesIO(content), "")].count(True) == 1
    with pysam.BGZFile(str(output), "rb") as file:
        assert file.read() == gzip.decompress(content)


def test_a_vcf_without_records_gives_its_header(shards, vcf):
    vcf.write_bytes(b"".join(line + b"\n" for line in HEADER))
    for style in OutputFormat:
        output, summary = shards.run(vcf, style)
        assert summary.exit_code == 0
        if style is OutputFormat.PARQUET:
            assert pq.read_table(output).num_rows == 0
        else:
            assert len(read_lines(output)) > 5
            assert read_lines(output)[-1].startswith((b"#CHROM", b"contig\t"))


def test_parquet_has_the_rows_of_the_table(shards, vcf):
    output, _ = shards.run(vcf, OutputFormat.PARQUET)
    table = pq.read_table(output)
    rows = shards.at_once(vcf, OutputFormat.TSV)[0].splitlines()[-len(table) :]
    assert len(table) == 400 + vcf.read_bytes().count(b"\tx\t")
    assert table["ref"].to_pylist() == [row.split(b"\t")[3].decode() for row in rows]
    assert pq.ParquetFile(output).num_row_groups > 5
    assert others(shards.folder) == {output.name}


def test_lines_have_the_numbers_of_the_whole_input(shards, vcf):
    report = shards.folder / "rejects.tsv"
    _, summary = shards.run(vcf, rejects=report)
    lines = vcf.read_bytes().splitlines()
    assert [number for number, _ in summary.tally.problems] == [
        number for number, line in enumerate(lines, 1) if b"\tx\t" in line
    ][:3]
    rows = [line.split("\t") for line in report.read_text().splitlines() if line[0] != "#"][1:]
    n_rejected = summary.tally.n_alts - summary.tally.n_scored + summary.tally.n_malformed
    assert len(rows) == n_rejected > 50
    for row in rows:
        number, contig, pos = row[:3]
        assert lines[int(number) - 1].decode().split("\t")[:2] == [contig, pos]
    assert [int(row[0]) for row in rows] == sorted(int(row[0]) for row in rows)


def test_the_report_takes_no_name_but_its_own(shards, vcf):
    other = shards.folder / "rejects.tsv.tmp"
    other.write_text("not ours")
    shards.run(vcf, rejects=shards.folder / "rejects.tsv")
    assert other.read_text() == "not ours"
    assert others(shards.folder) == {"out.vcf", "rejects.tsv", other.name}


def test_the_report_may_go_to_another_disk(shards, vcf, monkeypatch):
    report = shards.folder / "rejects.tsv"
    shards.run(vcf, rejects=report)
    expected = report.read_bytes()
    report.write_text("old")
    replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if Path(target) == report and path.parent != report.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    shards.run(vcf, rejects=report)
    assert report.read_bytes() == expected
    assert others(shards.folder) == {"out.vcf", "rejects.tsv"}


@pytest.mark.parametrize("what", ["input", "reference", "output"])
def test_a_report_that_has_become_a_link_overwrites_nothing(shards, vcf, what):
    report = shards.folder / "rejects.tsv"
    folder, plan = shards.plan(vcf, rejects=report)
    shards.score(folder, plan)
    target = {"input": vcf, "reference": shards.cohort.fasta, "output": plan.output}[what]
    report.symlink_to(target)
    with pytest.raises(ValidationError, match=f"would overwrite the {what}"):
        merge(folder)
    assert report.is_symlink()
    assert not plan.output.exists()


def test_it_may_be_repeated(shards, vcf):
    folder, plan = shards.plan(vcf, OutputFormat.VCF_GZ, rejects=shards.folder / "rejects.tsv")
    shards.score(folder, plan)
    first = merge(folder)
    content = plan.output.read_bytes(), (shards.folder / "rejects.tsv").read_bytes()
    again = merge(folder)
    assert again == first
    assert (plan.output.read_bytes(), (shards.folder / "rejects.tsv").read_bytes()) == content
    discard(folder)
    assert others(shards.folder) == {plan.output.name, "rejects.tsv"}


def test_a_gap_is_refused(shards, vcf):
    folder, plan = shards.plan(vcf, shard_bytes=1500)
    n = len(plan.shards)
    shards.score(folder, plan, [0, 2])
    with pytest.raises(IncompleteError) as error:
        merge(folder)
    assert (
        f"{n - 2} of {n} shards of {folder} are missing: 1, 3, 4, 5, 6, ...; run"
        in error.value.message
    )
    shards.score(folder, plan, range(1, n))
    marker_path(folder, 3).unlink()
    with pytest.raises(IncompleteError, match=rf"1 of {n} shards .* missing: 3; run"):
        merge(folder)
    assert others(shards.folder) == {folder.name}


@pytest.mark.parametrize("style", list(OutputFormat))
def test_a_partial_output_says_what_is_missing(shards, vcf, style):
    folder, plan = shards.plan(vcf, style, rejects=shards.folder / "rejects.tsv")
    done = [0, 2, 5]
    shards.score(folder, plan, done)
    summary = merge(folder, is_partial=True)
    n = len(plan.shards)
    assert summary.exit_code == 3
    second, last = plan.shards[3], plan.shards[4]
    assert summary.gaps[:2] == [
        f"shard 1 is missing of {n}: bytes {plan.shards[1].start} to {plan.shards[1].end} of the"
        f" unpacked text of {vcf}",
        f"shards 3 to 4 are missing of {n}: bytes {second.start} to {last.end} of the unpacked text"
        f" of {vcf}",
    ]
    partial = plan.output.with_name(f"{plan.output.name}.partial")
    content = partial.read_bytes()
    assert summary.gaps[0].encode() in (
        gzip.decompress(content) if style.is_compressed else content
    )
    if style is not OutputFormat.PARQUET:
        plain = gzip.decompress(content) if style.is_compressed else content
        assert plain.count(b"\n") > summary.tally.n_records
    # Lines are still those of the whole input, those of the gaps counted.
    lines = vcf.read_bytes().splitlines()
    rows = (shards.folder / "rejects.tsv.partial").read_text().splitlines()
    for row in rows[-20:]:
        number, contig, pos = row.split("\t")[:3]
        assert lines[int(number) - 1].decode().split("\t")[:2] == [contig, pos]
    assert others(shards.folder) == {folder.name, partial.name, "rejects.tsv.partial"}
    assert missing(folder, plan), "the run can still go on"


def test_a_partial_output_of_all_shards_is_whole(shards, vcf):
    folder, plan = shards.plan(vcf)
    shards.score(folder, plan)
    assert merge(folder, is_partial=True).gaps == []
    partial = plan.output.with_name(f"{plan.output.name}.partial")
    assert partial.read_bytes() == shards.at_once(vcf)[0]


def test_what_was_scored_before_a_corrupt_block_comes_out(shards):
    text = b"".join(line + b"\n" for line in (*HEADER, *shards.cohort.records() * 20))
    path = write_packed(shards.folder / "in.vcf.gz", text, "bgzip")
    raw = bytearray(path.read_bytes())
    victim = list(read_blocks(io.BytesIO(raw), ""))[3]  # no shard begins in it
    raw[victim.offset + len(victim.raw) // 2] ^= 0xFF
    path.write_bytes(raw)
    folder, plan = shards.plan(path, shard_bytes=140_000)
    for index in (0, 1, 2):
        try:
            shards.score(folder, plan, [index])
        except InputFileError:
            assert index == 1
    summary = merge(folder, is_partial=True)
    assert summary.gaps[0].startswith("shard 1 is missing of 3")
    partial = read_lines(plan.output.with_name(f"{plan.output.name}.partial"))
    assert len([line for line in partial if line[:1] != b"#"]) == summary.tally.n_records > 1000


@pytest.mark.parametrize("style", [OutputFormat.VCF, OutputFormat.VCF_GZ, OutputFormat.PARQUET])
@pytest.mark.parametrize("is_longer", [False, True])
def test_damaged_data_are_refused(shards, vcf, style, is_longer):
    folder, plan = shards.plan(vcf, style)
    shards.score(folder, plan)
    path = data_path(folder, 2)
    content = path.read_bytes()
    path.write_bytes(content + b"x" if is_longer else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ServiceError) as error:
        merge(folder)
    assert (
        f"{path} is damaged: its digest is not the one in its marker; delete" in error.value.message
    )
    assert str(marker_path(folder, 2)) in error.value.message
    assert others(shards.folder) == {folder.name}
    marker_path(folder, 2).unlink()
    shards.score(folder, plan)
    merge(folder)


def test_a_damaged_report_is_refused(shards, vcf):
    folder, plan = shards.plan(vcf, rejects=shards.folder / "rejects.tsv")
    shards.score(folder, plan)
    path = rejects_path(folder, 1)
    path.write_bytes(path.read_bytes().replace(b"chr", b"CHR"))
    with pytest.raises(ServiceError, match=r"000001.rejects is damaged"):
        merge(folder)
    assert others(shards.folder) == {folder.name}


def test_shards_of_another_run_are_refused(shards, vcf):
    folder, plan = shards.plan(vcf)
    shards.score(folder, plan)
    other, twin = shards.plan(vcf, name="other", threads=2)
    shards.score(other, twin)
    for path in (data_path, marker_path):
        path(folder, 1).write_bytes(path(other, 1).read_bytes())
    with pytest.raises(ValidationError, match=r"000001.json is of another run"):
        merge(folder)


def test_an_input_that_changed_is_refused(shards, vcf):
    folder, plan = shards.plan(vcf)
    shards.score(folder, plan)
    vcf.write_bytes(b"##x\n" + vcf.read_bytes())
    with pytest.raises(InputFileError, match="has changed since the run was planned"):
        merge(folder)
    assert others(shards.folder) == {folder.name}


def test_an_older_output_stays_until_the_new_one_is_whole(shards, vcf):
    folder, plan = shards.plan(vcf)
    plan.output.write_text("old")
    shards.score(folder, plan, [0])
    with pytest.raises(IncompleteError):
        merge(folder)
    assert plan.output.read_text() == "old"
    shards.score(folder, plan)
    merge(folder)
    assert plan.output.read_bytes() == shards.at_once(vcf)[0]


@pytest.mark.parametrize("kind", ["tbi", "csi"])
def test_the_output_is_indexed(shards, ordered, kind):
    text = ordered.read_bytes().replace(b"##INFO", b"##contig=<ID=chr2>\n##INFO", 1)
    ordered.write_bytes(text)
    output, _ = shards.run(ordered, OutputFormat.VCF_GZ, index=kind)
    assert others(shards.folder) == {output.name, f"{output.name}.{kind}"}
    with pysam.TabixFile(str(output), index=f"{output}.{kind}") as file:
        fetched = list(file.fetch("chr2", 499, 1500))
    expected = [
        line
        for line in read_lines(ordered)
        if line.startswith(b"chr2\t") and 500 <= int(line.split(b"\t")[1]) <= 1500
    ]
    assert len(fetched) >= len(expected) > 20, "deletions that reach into it too"
    assert (shards.folder / f"{output.name}.{kind}").stat().st_mtime_ns >= output.stat().st_mtime_ns


@pytest.mark.parametrize("kind", [None, "csi"])
def test_an_older_index_does_not_stay_beside_new_data(shards, ordered, kind):
    output = shards.folder / "out.vcf.gz"
    for old in ("tbi", "csi"):
        Path(f"{output}.{old}").write_text("old")
    shards.run(ordered, OutputFormat.VCF_GZ, index=kind)
    assert not Path(f"{output}.tbi").exists()
    assert Path(f"{output}.csi").exists() is (kind == "csi")


def test_the_index_is_on_the_disk_before_its_name(shards, ordered, monkeypatch):
    synced = []
    sync = merge_module.sync_file
    monkeypatch.setattr(merge_module, "sync_file", lambda path: synced.append(path) or sync(path))
    shards.run(ordered, OutputFormat.VCF_GZ, index="tbi")
    assert [path.name for path in synced] == ["out.vcf.gz.tbi"]


def test_records_out_of_order_keep_their_shards(shards, vcf):
    folder, plan = shards.plan(vcf, OutputFormat.VCF_GZ, index="tbi")
    shards.score(folder, plan)
    with pytest.raises(InputFileError, match=r"out.vcf.gz cannot be indexed") as error:
        merge(folder)
    assert "without --index finishes the run" in error.value.__notes__[0]
    assert others(shards.folder) == {folder.name}
    job = plan.job.model_copy(update={"index": None})
    make_plan(
        str(vcf), plan.output, job, shards.scorer(job), folder=folder, shard_bytes=2500
    )  # fmt: skip
    assert load_plan(folder).job.index is None
    assert missing(folder, plan) == []
    merge(folder)
    assert gzip.decompress(plan.output.read_bytes()) == shards.at_once(vcf)[0]
