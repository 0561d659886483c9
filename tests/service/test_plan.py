"""The plan: shards of whole lines, however the text is packed; no two runs are mixed up."""

import gzip
import io
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import identity
from service.contigs import check_contigs, contig_lengths
from service.errors import DecodingError, InputFileError, ValidationError
from service.folder import SPOOL, discard, lock, work_folder
from service.identity import code_sha256
from service.merge import merge
from service.output import OutputFormat
from service.plan import Plan, begun, load_plan
from service.records import read_header
from service.scoring import ScoringOptions
from service.windows import Anchoring
from tests.genomes import genome, write_fasta
from tests.service.cohort import Cohort, read_lines, write_packed
from tests.service.shard_runs import SHARD_BYTES, Shards
from tests.toy_models import BACKGROUND, CALIBRATION, write_model

BGZF_END = 28
RECORD = b"chr1\t40\t.\tA\tC\t.\t.\t.\tGT\t0/1\t1|1\n"


@pytest.fixture
def shards(tmp_path, toy_models_dir) -> Shards:
    return Shards(tmp_path, toy_models_dir, Cohort(tmp_path / "genome.fa", 400))


@pytest.fixture
def vcf(shards) -> Path:
    return shards.cohort.write(shards.folder / "in.vcf")


def stdin(monkeypatch, content: bytes) -> str:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return "-"


def bounds(plan: Plan) -> list[tuple[int, int]]:
    return [(shard.start, shard.end) for shard in plan.shards]


def text_of(plan: Plan) -> bytes:
    return plan.header_text() + b"".join(b"".join(plan.lines(shard)) for shard in plan.shards)


def test_shards_are_whole_lines_and_together_the_whole_text(shards, vcf):
    _, plan = shards.plan(vcf)
    assert len(plan.shards) > 5
    assert plan.shards[0].start == plan.header_end
    assert [shard.index for shard in plan.shards] == list(range(len(plan.shards)))
    assert [shard.end for shard in plan.shards[:-1]] == [shard.start for shard in plan.shards[1:]]
    for shard in plan.shards:
        lines = list(plan.lines(shard))
        assert all(line.endswith(b"\n") for line in lines)
        assert sum(map(len, lines)) == shard.n_bytes
        assert SHARD_BYTES - 200 < shard.n_bytes < SHARD_BYTES + 200 or shard is plan.shards[-1]
    assert text_of(plan) == vcf.read_bytes()
    assert plan.n_header_lines == 3


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.sampled_from([b"\n", b"\r\n", RECORD, RECORD[:-1] + b"\r\n"]), max_size=12),
    ending=st.sampled_from([b"", b"x", RECORD[:-1]]),
    shard_bytes=st.integers(1, 120),
)
def test_no_line_is_lost_where_shards_meet(shards, vcf, lines, ending, shard_bytes):
    header = b"".join(vcf.read_bytes().splitlines(keepends=True)[:3])
    text = vcf.with_name("few.vcf")
    text.write_bytes(header + b"".join(lines) + ending)
    if ending == b"x":
        with pytest.raises(InputFileError, match="cut off"):
            shards.plan(text, shard_bytes=shard_bytes, name="refused")
        return
    folder, plan = shards.plan(text, shard_bytes=shard_bytes, name="few")
    assert text_of(plan) == text.read_bytes()
    discard(folder)


def test_the_code_is_known_by_its_content(tmp_path):
    digests = set()
    for limit in (1, 2, 2):  # of the same size
        package = tmp_path / str(len(list(tmp_path.iterdir()))) / "service"
        package.mkdir(parents=True)
        (package / "a.py").write_text(f"limit = {limit}\n")
        digests.add(code_sha256(package))
    assert len(digests) == 2


def test_the_shards_do_not_depend_on_the_packing(shards, vcf, monkeypatch):
    text = vcf.read_bytes()
    ways = {
        "plain": str(vcf),
        "bgzip": str(write_packed(shards.folder / "b.vcf.gz", text, "bgzip")),
        "gzip": str(write_packed(shards.folder / "g.vcf.gz", text, "gzip")),
    }
    plans = {way: shards.plan(path, name=way)[1] for way, path in ways.items()}
    for way, content in {"stdin": text, "stdin.gz": gzip.compress(text)}.items():
        plans[way] = shards.plan(stdin(monkeypatch, content), name=way)[1]
    assert {tuple(bounds(plan)) for plan in plans.values()} == {tuple(bounds(plans["plain"]))}
    assert all(text_of(plan) == text for plan in plans.values())
    assert plans["stdin"].identity.input_sha256 == plans["plain"].identity.input_sha256
    assert [way for way, plan in plans.items() if plan.text.path.name == SPOOL] == [
        "gzip", "stdin", "stdin.gz",
    ]  # fmt: skip


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("is_stream", [True, False])
def test_bcf_is_read_as_htslib_prints_it(shards, monkeypatch, is_packed, is_stream):
    header = pysam.VariantHeader()
    header.add_line("##contig=<ID=chr1>")
    header.add_line('##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">')
    header.add_line('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">')
    header.add_sample("a")
    path = shards.folder / "in.bcf"
    with pysam.VariantFile(str(path), "wb", header=header) as file:
        for start in range(500):
            record = file.new_record("chr1", start, alleles=("A", "C"), info={"DP": start})
            record.samples["a"]["GT"] = (0, 1)
            file.write(record)
    n_lines = len(str(header).splitlines()) + 500
    if not is_packed:
        path.write_bytes(gzip.decompress(path.read_bytes()))
    printed = pysam.bcftools.view(str(path), "--no-version").encode()
    source = stdin(monkeypatch, path.read_bytes()) if is_stream else path
    _, plan = shards.plan(source)
    assert text_of(plan) == printed
    assert printed.count(b"\n") == n_lines
    monkeypatch.setattr("service.source.__htslib_version__", "9.9")
    if is_stream:
        source = stdin(monkeypatch, path.read_bytes())
    with pytest.raises(ValidationError, match=r"differs in input_reader \(htslib .*, htslib 9.9"):
        shards.plan(source)


def test_a_named_pipe_is_read_once(shards, vcf):
    pipe = shards.folder / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", f"cat {vcf} > {pipe}"]):
        _, plan = shards.plan(pipe)
    assert text_of(plan) == vcf.read_bytes()


def test_a_vcf_without_records_has_no_shards(shards):
    for name, end in {"a": b"\n", "b": b""}.items():
        path = shards.folder / name
        path.write_bytes(
            b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO" + end
        )
        assert shards.plan(path, name=name)[1].shards == ()


@pytest.mark.parametrize("shard_bytes", [1, 60, 10_000_000])
def test_a_shard_is_at_least_one_line_and_at_most_all(shards, vcf, shard_bytes):
    _, plan = shards.plan(vcf, shard_bytes=shard_bytes)
    n = {1: len(shards.cohort.lines), 10_000_000: 1}.get(shard_bytes)
    assert n is None or len(plan.shards) == n
    assert text_of(plan) == vcf.read_bytes()


def test_the_plan_comes_back_from_disk_as_it_was(shards, vcf):
    folder, plan = shards.plan(vcf)
    assert load_plan(folder) == plan == begun(folder)
    assert load_plan(folder).job.options == ScoringOptions(batch_size=64)
    assert plan.output.is_absolute()
    assert plan.text.path.is_absolute()
    assert plan.provenance["reference_sha256"] == plan.reference.sha256


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "{",
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"K562"', '"K563"', 1),
        lambda text: text.replace('"chunk"', '"chunks"'),
    ],
)
def test_a_plan_that_is_not_ours_is_refused(shards, vcf, spoil):
    folder, _ = shards.plan(vcf)
    path = folder / "plan.json"
    changed = spoil(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(ValidationError, match="another version of varsigma") as error:
        load_plan(folder)
    assert str(folder) in error.value.message


def test_no_plan_is_no_run(tmp_path):
    assert begun(tmp_path) is None
    with pytest.raises(ValidationError, match=r"plan.json cannot be read: No such file"):
        load_plan(tmp_path)


@pytest.mark.parametrize("packing", ["plain", "bgzip", "gzip"])
@pytest.mark.parametrize("cut", [5, 12])
def test_a_last_line_that_is_cut_off_is_refused(shards, vcf, packing, cut):
    path = write_packed(shards.folder / "cut", vcf.read_bytes()[:-cut], packing)
    with pytest.raises(InputFileError, match="cut is truncated: the last line is cut off"):
        shards.plan(path)


@pytest.mark.parametrize("packing", ["plain", "bgzip", "gzip"])
def test_a_last_line_without_line_end_is_kept(shards, vcf, packing):
    path = write_packed(shards.folder / "whole", vcf.read_bytes()[:-1], packing)
    _, plan = shards.plan(path)
    assert text_of(plan) == vcf.read_bytes()[:-1]


def test_truncated_input_is_refused(shards, vcf):
    for packing in ("bgzip", "gzip"):
        path = write_packed(shards.folder / packing, vcf.read_bytes(), packing)
        whole = path.read_bytes()
        for cut in (1, BGZF_END, 1000):
            path.write_bytes(whole[:-cut])
            with pytest.raises(InputFileError, match="truncated"):
                shards.plan(path)
    assert not list(shards.folder.glob("*.varsigma/*")), "nothing stays, not even half a spool"


def test_a_damaged_block_header_is_found_without_unpacking(shards, vcf):
    path = write_packed(shards.folder / "in.vcf.gz", vcf.read_bytes() * 20, "bgzip")
    raw = bytearray(path.read_bytes())
    second = int.from_bytes(raw[16:18], "little") + 1
    raw[second] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(InputFileError, match=rf"block at byte {second} \(no block begins here\)"):
        shards.plan(path)


def test_what_is_no_vcf_is_refused(shards):
    path = shards.folder / "in.txt"
    path.write_text("chr1\t7\n")
    with pytest.raises(DecodingError, match="not a VCF"):
        shards.plan(path)


CHR1 = "##contig=<ID=chr1,length={}>\n"


def header(*lines: str):
    text = "".join((*lines, "#CHROM\tPOS\n"))
    return read_header(io.BytesIO(text.encode()), "in.vcf")


@pytest.mark.parametrize("name", ["chr1", "1", "NC_000001.10"])
def test_a_contig_of_another_length_is_another_assembly(name):
    with genome({"chr1": "ACGT" * 25}) as reference:
        check_contigs(header(f"##contig=<ID={name},length=100>\n"), reference, "in.vcf")
        with pytest.raises(InputFileError) as error:
            check_contigs(header(f"##contig=<ID={name},length=110>\n"), reference, "v")
    assert f"{name} has 110 bases in the header of v, 100 in genome.fa" in error.value.message
    assert "--mismatch-share 1 scores regardless" in error.value.message


def test_what_cannot_be_compared_is_let_through():
    with genome({"chr1": "ACGT" * 25, "chr2:11-30": "ACGT" * 5}) as reference:
        for line in (
            CHR1.format(201),  # less than half of it: an excerpt
            "##contig=<ID=chr1>\n",
            "##contig=<ID=chr2,length=5>\n",
            "##contig=<ID=chrUn,length=5>\n",
        ):
            check_contigs(header(line), reference, "in.vcf")


def test_slices_are_compared_with_the_stated_assembly():
    with genome({"chr1:11-30": "ACGT" * 5}, "GRCh37") as reference:
        check_contigs(header(CHR1.format(249_250_621)), reference, "in.vcf")
        with pytest.raises(InputFileError, match=r"248,956,422 bases .* 249,250,621 in GRCh37"):
            check_contigs(header(CHR1.format(248_956_422)), reference, "in.vcf")


def test_an_excerpt_is_compared_with_the_stated_assembly():
    with genome({"chr1": "ACGT" * 25}, "GRCh37") as reference:
        check_contigs(header(CHR1.format(249_250_621)), reference, "in.vcf")
        with pytest.raises(InputFileError, match=r"248,956,422 bases .* 249,250,621 in GRCh37"):
            check_contigs(header(CHR1.format(248_956_422)), reference, "in.vcf")


def test_contig_lengths_stop_a_plan_unless_all_is_to_be_scored(shards, vcf):
    text = vcf.read_bytes()
    vcf.write_bytes(text.replace(b"##INFO", CHR1.format(4100).encode() + b"##INFO", 1))
    with pytest.raises(InputFileError, match=r"chr1 has 4,100 bases in the header of .*4,000 in"):
        shards.plan(vcf, mismatch_share=0.99)
    assert shards.plan(vcf, mismatch_share=1.0)[1].shards


def test_contigs_for_a_header_are_spelt_as_in_the_vcf():
    with genome({"chr1": "A" * 90, "chrM": "C" * 80, "chr2:5-8": "ACGT"}) as reference:
        assert contig_lengths(reference) == {"chr1": 90, "chrM": 80}
        assert contig_lengths(reference, like="chr1") == {"chr1": 90, "chrM": 80}
        assert contig_lengths(reference, like="MT") == {"1": 90, "MT": 80}
        assert contig_lengths(reference, like="unknown") == {"chr1": 90, "chrM": 80}
        assert contig_lengths(reference, like="NC_000001.10") == {}
    with genome({"1": "A" * 90, "MT": "C" * 80}) as reference:
        assert contig_lengths(reference, like="chr1") == {"chr1": 90, "chrM": 80}


def test_the_same_command_goes_on(shards, vcf):
    folder, plan = shards.plan(vcf)
    shards.score(folder, plan, [1, 2])
    before = {path: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}
    assert shards.plan(vcf)[1] == plan
    assert {path: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()} == before


def test_what_does_not_decide_the_bytes_may_change(shards, vcf):
    folder, plan = shards.plan(vcf)
    copy = shutil.copy(vcf, shards.folder / "copy.vcf")
    _, changed = shards.plan(copy, mismatch_share=0.5, index=None)
    assert changed.fingerprint == plan.fingerprint
    assert changed.job.mismatch_share == load_plan(folder).job.mismatch_share == 0.5
    assert changed.text.path == Path(copy)


def other_input(shards, vcf, monkeypatch):
    vcf.write_bytes(vcf.read_bytes().replace(b"PASS", b"pass", 1))


def other_reference(shards, vcf, monkeypatch):
    sequences = dict(shards.cohort.genome)
    sequences["chrM"] = sequences["chrM"][::-1]
    write_fasta(shards.cohort.fasta, sequences, line=60)
    shards._scorers.clear()


def other_code(shards, vcf, monkeypatch):
    monkeypatch.setattr(identity, "code_sha256", lambda: "0")


def other_machine(shards, vcf, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")


def other_numpy(shards, vcf, monkeypatch):
    monkeypatch.setattr(np, "__version__", "9.9")


@pytest.mark.parametrize(
    ("change", "changes", "message"),
    [
        (other_input, {}, "differs in the input:"),
        (other_reference, {}, "differs in the reference:"),
        (other_code, {}, "differs in the code of varsigma:"),
        (other_numpy, {}, f"differs in libraries.numpy ({np.__version__} there, 9.9 here):"),
        (other_machine, {}, f"differs in machine ({platform.machine()} there, riscv64 here):"),
        (None, {"threads": 2}, "differs in threads (1 there, 2 here):"),
        (None, {"shard_bytes": 9999}, "differs in shard_bytes (2500 there, 9999 here):"),
        (None, {"rejects": Path("r.tsv")}, "differs in whether there is --rejects:"),
        (
            None,
            {"options": ScoringOptions(batch_size=64, strands=1, anchorings=(Anchoring.LEFT,))},
            "differs in options.strands (2 there, 1 here); options.anchorings (",
        ),
        (None, {"model": "sum_one"}, "the model"),
    ],
)
def test_a_run_that_would_give_other_bytes_is_told_apart(
    shards, vcf, monkeypatch, change, changes, message
):
    folder, plan = shards.plan(vcf)
    shards.score(folder, plan, [0])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    if change:
        change(shards, vcf, monkeypatch)
    with pytest.raises(ValidationError) as error:
        shards.plan(vcf, **changes)
    assert message in error.value.message
    assert str(folder) in error.value.message
    assert "delete the folder to begin anew" in error.value.message
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before, "all is kept"


def test_a_model_that_was_replaced_is_told_apart(shards, vcf, tmp_path):
    models = tmp_path / "models"
    write_model(models)
    shards.models = models
    shards.plan(vcf)
    shutil.rmtree(models)
    write_model(models, metadata={"recipe": "other"}, card={"recipe": "other"})
    shards._scorers.clear()
    with pytest.raises(ValidationError, match=r"differs in the model; recipe \(sum there, other"):
        shards.plan(vcf)


@pytest.mark.parametrize(
    ("key", "entry"),
    [("calibration", CALIBRATION), ("background", BACKGROUND), ("background", None)],
)
def test_another_entry_of_the_card_makes_another_run(shards, vcf, tmp_path, key, entry):
    # Else a run that goes on after a calibration would have scores of both in one file.
    before = {"background": BACKGROUND | {"seed": 9}}
    folder = write_model(tmp_path / "models", card=before)
    shards.models = folder.parent
    shards.plan(vcf)
    path = folder / "card.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"metrics": {"held_out": {}}}))
    shards._scorers.clear()
    shards.plan(vcf)
    path.write_text(json.dumps(card | {key: entry}))
    shards._scorers.clear()
    with pytest.raises(ValidationError, match=f"differs in the {key} on the model's card"):
        shards.plan(vcf)


def test_facts_of_the_same_name_are_told_apart(shards, vcf):
    mine = shards.plan(vcf)[1].identity
    for other in (
        mine.model_copy(update={"provenance": mine.provenance | {"style": "tsv"}}),
        mine.model_copy(update={"provenance": mine.provenance | {"numpy": None}}),
        mine.model_copy(update={"provenance": mine.provenance | {"extra": {}}}),
    ):
        assert mine.differences(other)
        assert other.differences(mine)
    assert not mine.differences(mine)


def test_a_table_in_parquet_depends_on_what_writes_it(shards, vcf, monkeypatch):
    shards.plan(vcf, OutputFormat.PARQUET)
    shards.plan(vcf)
    monkeypatch.setattr(identity, "version", lambda name: f"9.9 of {name}")
    with pytest.raises(ValidationError, match=r"in libraries.pyarrow \(.* there, 9.9 of pyarrow"):
        shards.plan(vcf, OutputFormat.PARQUET)
    shards.plan(vcf)


def test_a_folder_that_was_moved_is_refused(shards, vcf):
    folder, plan = shards.plan(vcf)
    link = shards.folder / "link"
    link.symlink_to(shards.folder)
    assert load_plan(link / folder.name) == plan, "another name of the same folder"
    (shards.folder / "archive").mkdir()
    moved = folder.rename(shards.folder / "archive" / folder.name)
    plan.output.write_text("of another run by now")
    for use in (load_plan, begun, merge):
        with pytest.raises(ValidationError, match="was moved: its run writes") as error:
            use(moved)
        assert str(folder) in error.value.message
    assert plan.output.read_text() == "of another run by now"


def test_another_style_is_another_run(shards, vcf):
    _, plan = shards.plan(vcf)
    assert shards.plan(vcf, OutputFormat.TSV, name="t")[1].fingerprint != plan.fingerprint


def test_standard_input_goes_on_where_it_is_the_same(shards, vcf, monkeypatch):
    text = vcf.read_bytes()
    folder, plan = shards.plan(stdin(monkeypatch, text))
    shards.score(folder, plan, [0])
    spooled = (folder / SPOOL).read_bytes()
    _, again = shards.plan(stdin(monkeypatch, text))
    assert again.fingerprint == plan.fingerprint
    with pytest.raises(ValidationError, match="differs in the input:"):
        shards.plan(stdin(monkeypatch, text.replace(b"PASS", b"pass", 1)))
    assert (folder / SPOOL).read_bytes() == spooled, "the spool of the begun run is kept"
    assert not list(folder.glob("*.tmp"))


def test_a_whole_spool_of_a_file_is_used_again(shards, vcf):
    path = write_packed(shards.folder / "in.vcf.gz", vcf.read_bytes(), "gzip")
    folder, _ = shards.plan(path)
    inode = (folder / SPOOL).stat().st_ino
    assert shards.plan(path)[1].text.path.stat().st_ino == inode
    with (folder / SPOOL).open("ab") as file:
        file.write(b"x")
    assert shards.plan(path)[1].text.path.stat().st_ino != inode, "a damaged one is not"


def test_shards_without_a_plan_are_of_no_run(shards, vcf):
    folder, plan = shards.plan(vcf)
    shards.score(folder, plan, [0])
    (folder / "plan.json").unlink()
    shards.plan(vcf, threads=2)
    assert not list((folder / "shards").iterdir())


def test_only_one_run_at_a_time_holds_a_folder(tmp_path):
    folder = work_folder(tmp_path / "out.vcf")
    assert folder.name == "out.vcf.varsigma"
    code = (
        "from pathlib import Path; from service.folder import lock\n"
        f"with lock(Path({str(folder)!r})): pass"
    )
    command = [sys.executable, "-c", code]
    with lock(folder):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another run is writing out.vcf (it holds" in done.stderr
    subprocess.run(command, check=True)  # it is released


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    with (
        pytest.raises(ValidationError, match=r"out.varsigma cannot be made or locked: No such"),
        lock(tmp_path / "gone" / "out.varsigma"),
    ):
        pass


def test_discard_takes_the_plan_first(shards, vcf, monkeypatch):
    folder, _ = shards.plan(vcf)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    discard(folder)
    assert begun(folder) is None
    monkeypatch.undo()
    discard(folder)
    assert not folder.exists()


def test_discard_takes_the_lock_last(shards, vcf, monkeypatch):
    folder, _ = shards.plan(vcf)
    rmtree = shutil.rmtree

    def watched(path: Path, **options: bool) -> None:
        assert (folder / "lock").exists(), "another run could begin in a folder that is emptied"
        rmtree(path, **options)

    with lock(folder):
        (folder / "plan.json.1f.tmp").write_bytes(b"half")
        monkeypatch.setattr(shutil, "rmtree", watched)
        discard(folder)
    assert not folder.exists()
    discard(folder)  # there is nothing to do


def test_discard_leaves_what_is_not_ours(shards, vcf):
    folder, _ = shards.plan(vcf)
    (folder / "notes.txt").write_text("mine")
    (folder / "old.tmp").write_text("mine")
    with lock(folder):
        discard(folder)
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "old.tmp"}


def test_the_plan_is_one_line_of_facts_for_each_shard(shards, vcf):
    folder, plan = shards.plan(vcf)
    content = json.loads((folder / "plan.json").read_bytes())
    assert len(content["shards"]) == len(plan.shards)
    assert content["fingerprint"] == plan.fingerprint
    assert read_lines(vcf)[plan.n_header_lines - 1].startswith(b"#CHROM")
