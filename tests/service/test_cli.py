"""The command line: what it prints, its exit codes, and one clear line for every failure."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2 as httpx
import pysam
import pytest

from service.cli import main, run
from service.session import has_cuda
from service.settings import Settings
from tests.service.cohort import HEADER, Cohort, read_lines, write_packed
from tests.toy_models import CALIBRATION, SumModel, write_model

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "service.cli"]


@pytest.fixture
def options(cohort, toy_models_dir) -> list[str]:
    return [
        "--reference", str(cohort.fasta), "--models", str(toy_models_dir), "--model", "sum",
        "--threads", "1",
    ]  # fmt: skip


def assert_one_line(text: str, *parts: str) -> None:
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert "Traceback" not in text
    for part in parts:
        assert part in text


def fails(capsys, arguments: list, *parts: str, code: int = 1) -> None:
    """Check that a command line fails with one line that names these parts."""
    assert run([str(argument) for argument in arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert_one_line(err, *parts)


def test_score_writes_the_file_and_a_summary(capsys, tmp_path, vcf, options, cohort):
    out = tmp_path / "out.vcf.gz"
    assert run(["score", str(vcf), "-o", str(out), *options]) == 0
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert "1,000 ALTs" in stderr
    assert f"{cohort.statuses.count('star_alt')}" in stderr
    assert "intervals NOT calibrated" in stderr
    assert "device auto chose cpu: CPUExecutionProvider; 1 threads" in stderr
    assert "research use only" in stderr
    assert stderr.count("--assembly GRCh37 or GRCh38") == 1
    with pysam.VariantFile(str(out)) as scored:
        assert sum(len(record.alts or ()) or 1 for record in scored) == 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf", "out.vcf.gz"]


def test_a_sorted_gz_output_can_be_indexed(tmp_path, options, cohort):
    pos = cohort.genome["chr1"].index("A", 200) + 1
    lines = [*HEADER, f"chr1\t{pos}\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/1".encode()]
    content = b"".join(line + b"\n" for line in lines)
    vcf = write_packed(tmp_path / "in.vcf.gz", content, "gzip")
    assert run(["score", str(vcf), "-o", str(tmp_path / "out.vcf.gz"), *options]) == 0
    pysam.tabix_index(str(tmp_path / "out.vcf.gz"), preset="vcf")
    with pysam.VariantFile(str(tmp_path / "out.vcf.gz")) as scored:
        [record] = scored.fetch("chr1", pos - 1, pos)
        assert record.info["VARSIGMA_STATUS"] == ("ok",)


def test_options_reach_scores_and_provenance(tmp_path, vcf, options):
    out = tmp_path / "out.vcf"
    more = [
        "--strands", "1", "--shifts", "-2,0,2", "--coverage", "0.5", "--batch-size", "64",
        "--anchorings", "centre,left",
    ]  # fmt: skip
    assert run(["score", str(vcf), "-o", str(out), *options, *more]) == 0
    text = out.read_text()
    [stated] = [line for line in text.splitlines() if line.startswith("##varsigma=<ID=options,")]
    for fact in (
        "strands=1", "shifts=-2,0,2", "anchorings=centre,left", "coverage=0.5", "batch_size=64",
    ):  # fmt: skip
        assert fact in stated
    assert "the 50% interval" in text
    for fact in (
        "model", "model_sha256", "data_digest", "onnxruntime", "providers", "threads", "assembly",
        "calibrated", "calibrated_targets", "use",
    ):  # fmt: skip
        assert f"##varsigma=<ID={fact}," in text


def test_fast_is_one_pass(tmp_path, vcf, options):
    arguments = ["score", str(vcf), "-o", str(tmp_path / "fast.vcf"), *options, "--fast"]
    assert run(arguments) == 0
    text = (tmp_path / "fast.vcf").read_text()
    assert "strands=1 shifts=0 anchorings=left " in text
    assert "VARSIGMA_K562_REPRESENTATION=.;" in text, "one pass has no spread"


def test_the_environment_gives_what_the_command_line_leaves_out(
    monkeypatch, tmp_path, vcf, cohort, toy_models_dir
):
    values = {"REFERENCE": cohort.fasta, "MODELS": toy_models_dir, "MODEL": "sum", "STRANDS": "1"}
    for name, value in values.items():
        monkeypatch.setenv(f"VARSIGMA_{name}", str(value))
    assert run(["score", str(vcf), "-o", str(tmp_path / "out.tsv")]) == 0
    assert b"strands=1 " in b"".join(read_lines(tmp_path / "out.tsv"))
    assert run(["score", str(vcf), "-o", str(tmp_path / "out.tsv"), "--strands", "2"]) == 0
    assert b"strands=2 " in b"".join(read_lines(tmp_path / "out.tsv"))


def test_the_only_model_needs_no_name(tmp_path, vcf, cohort):
    write_model(tmp_path / "models")
    arguments = ["--reference", str(cohort.fasta), "--models", str(tmp_path / "models")]
    assert run(["score", str(vcf), "-o", str(tmp_path / "out.vcf"), *arguments]) == 0


def test_malformed_records_and_nothing_scored_exit_with_4(capsys, tmp_path, options, vcf):
    head = b"".join(line + b"\n" for line in HEADER)
    bad = write_packed(tmp_path / "bad.vcf", vcf.read_bytes() + b"chr1\t7\n", "plain")
    assert run(["score", str(bad), "-o", str(tmp_path / "out.vcf"), *options]) == 4
    assert "1 malformed records" in capsys.readouterr().err
    assert (tmp_path / "out.vcf").exists()

    other = b"chrQ\t7\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/1\n"
    unknown = write_packed(tmp_path / "unknown.vcf", head + other, "plain")
    assert run(["score", str(unknown), "-o", str(tmp_path / "out4.vcf"), *options]) == 4
    err = capsys.readouterr().err
    assert "nothing was scored: 1 of 1 ALTs are unknown_contig" in err
    assert "chrQ" in err
    assert b"VARSIGMA_STATUS=unknown_contig" in (tmp_path / "out4.vcf").read_bytes()

    empty = write_packed(tmp_path / "none.vcf", head, "plain")
    assert run(["score", str(empty), "-o", str(tmp_path / "out0.vcf"), *options]) == 0


def test_another_assembly_shows_in_the_summary(capsys, tmp_path, options, vcf):
    wrong = Cohort(tmp_path / "other.fa", seed=2)
    arguments = [*options, "--reference", str(wrong.fasta)]
    assert run(["score", str(vcf), "-o", str(tmp_path / "out.vcf"), *arguments]) == 0
    assert "wrong assembly?" in capsys.readouterr().err
    run(["score", str(vcf), "-o", str(tmp_path / "out.vcf"), *arguments, "--mismatch-share", "1"])
    assert "wrong assembly?" not in capsys.readouterr().err


def test_input_errors_are_one_line(capsys, tmp_path, options, vcf, cohort):
    out = tmp_path / "out.vcf"

    def score(source, *more):
        return ["score", source, "-o", out, *options, *more]

    (tmp_path / "empty.vcf").touch()
    (tmp_path / "text.vcf").write_text("hello\nworld\n")
    packed = cohort.write(tmp_path / "cut.vcf.gz", packing="bgzip")
    packed.write_bytes(packed.read_bytes()[:-28])
    fails(capsys, score(tmp_path / "no.vcf"), "no.vcf", "no such file")
    fails(capsys, score(tmp_path), str(tmp_path), "is a folder")
    fails(capsys, score(tmp_path / "empty.vcf"), "empty.vcf is empty")
    fails(capsys, score(tmp_path / "text.vcf"), "text.vcf is not a VCF")
    fails(capsys, score(cohort.fasta), "is not a VCF")
    fails(capsys, score(packed), "cut.vcf.gz", "truncated", "copy it again")
    assert list(tmp_path.glob("out.vcf*")) == [], "nothing is left behind"


def test_a_stream_that_breaks_off_gives_its_beginning(capfdbinary, options, cohort, tmp_path):
    vcf = cohort.write(tmp_path / "cut.vcf.gz", packing="gzip")
    vcf.write_bytes(vcf.read_bytes()[:-200])
    assert run(["score", str(vcf), "-o", "-", *options]) == 1
    out, err = capfdbinary.readouterr()
    assert_one_line(err.decode(), "cut.vcf.gz", "truncated")
    assert out.count(b"VARSIGMA_STATUS=") > 100


def test_a_file_that_breaks_off_is_known_before_the_work(capsys, tmp_path, options, cohort):
    vcf = cohort.write(tmp_path / "cut.vcf.gz", packing="gzip")
    vcf.write_bytes(vcf.read_bytes()[:-200])
    fails(capsys, ["score", vcf, "-o", tmp_path / "out.vcf", *options], "cut.vcf.gz", "truncated")
    assert list(tmp_path.glob("out.vcf*")) == []


def test_output_errors_are_one_line(capsys, tmp_path, options, vcf, cohort):
    def score(output):
        return ["score", vcf, "-o", output, *options]

    before = vcf.read_bytes(), cohort.fasta.read_bytes()
    fails(capsys, score(tmp_path / "no" / "out.vcf"), "cannot be written", "no folder")
    fails(capsys, score(tmp_path), "format is unknown")
    (tmp_path / "folder.vcf").mkdir()
    fails(capsys, score(tmp_path / "folder.vcf"), "is a folder")
    fails(capsys, score(tmp_path / "out.txt"), "out.txt", ".vcf.gz", "--format")
    fails(capsys, score(vcf), "would overwrite the input")
    fails(capsys, [*score(cohort.fasta), "--format", "tsv"], "would overwrite the reference")
    fails(capsys, [*score("-"), "--rejects", vcf], "--rejects", "would overwrite the input")
    out = tmp_path / "out.vcf"
    fails(capsys, [*score(out), "--rejects", out], "--rejects", "would overwrite --output")
    fails(capsys, [*score(out), "--summary", out], "--summary", "would overwrite --output")
    fails(capsys, [*score(out), "--summary", tmp_path / "no" / "x"], "--summary", "no folder")
    fails(capsys, [*score(out), "--summary", "/dev/null"], "--summary /dev/null is a", "device")
    no_plan = ["merge", tmp_path / "out.vcf.varsigma", "--summary"]
    fails(capsys, [*no_plan, "/dev/null"], "--summary /dev/null is a", "device")
    for kind in ("tbi", "csi"):
        index = tmp_path / f"out.vcf.gz.{kind}"
        more = ["--rejects", index]
        fails(capsys, [*score(tmp_path / "out.vcf.gz"), *more], "would overwrite the index", kind)
    link = tmp_path / "link.vcf"
    link.symlink_to(vcf)
    fails(capsys, score(link), "would overwrite the input")
    fails(capsys, score(f"{tmp_path}/./in.vcf"), "would overwrite the input")
    fails(capsys, [*score("/dev/full"), "--format", "vcf"], "No space left on device")
    assert (vcf.read_bytes(), cohort.fasta.read_bytes()) == before


def test_reference_and_model_errors_are_one_line(capsys, tmp_path, vcf, options, cohort):
    out = tmp_path / "out.vcf"
    base = ["score", vcf, "-o", out]
    fails(capsys, [*base, "--models", options[3]], "no reference", "--reference FASTA")
    fails(capsys, [*base, *options, "--reference", tmp_path / "no.fa"], "no.fa", "does not exist")
    fails(capsys, [*base, *options, "--model", "dh8"], "no model 'dh8'", "sum, sum_one")
    fails(capsys, [*base, *options, "--models", tmp_path / "no"], "no folder of models")
    fails(capsys, [*base, "--reference", cohort.fasta, "--models", options[3]], "state one --model")
    fails(capsys, [*base, *options, "--shifts", "90"], "90", "window of 20")

    corrupt = write_model(tmp_path / "models") / "model.onnx"
    corrupt.write_bytes(corrupt.read_bytes()[:-9])
    fails(
        capsys,
        [*base, *options, "--models", tmp_path / "models"],
        "model sum", "SHA-256", "damaged",
    )  # fmt: skip
    assert not out.exists()


def test_a_machine_without_cuda_says_so(capsys, tmp_path, vcf, options):
    # The GPU build of ONNX Runtime lists CUDA on every machine, so its word does not count here.
    if has_cuda():
        pytest.skip("this machine has a GPU")
    arguments = ["score", vcf, "-o", tmp_path / "out.vcf", *options, "--device", "cuda"]
    fails(capsys, arguments, "CUDA", "device cpu")


def test_wrong_command_lines_are_one_line(capsys, vcf, tmp_path, options):
    out = tmp_path / "out.vcf"
    fails(capsys, ["score", vcf], "--output", "see varsigma score --help", code=2)
    fails(capsys, ["serve", "--port", "80x"], "--port", "see varsigma serve --help", code=2)
    fails(capsys, ["score"], "'IN'", code=2)
    fails(capsys, ["scores"], "scores", code=2)
    fails(capsys, ["score", vcf, "-o", out, "--threads", "many"], "--threads", "integer", code=2)
    fails(capsys, ["score", vcf, "-o", out, "--sharts", "1"], "--sharts", code=2)
    base = ["score", vcf, "-o", out, *options]
    fails(capsys, [*base, "--threads", "0"], "--threads", "greater than or equal to 1")
    fails(capsys, [*base, "--assembly", "hg19"], "--assembly", "'GRCh37' or 'GRCh38'", "hg19")
    fails(capsys, [*base, "--shifts", "1,x"], "--shifts", "integer")
    fails(capsys, [*base, "--fast", "--strands", "2"], "--fast", "--strands 1")
    fails(capsys, [*base, "--fast", "--anchorings", "left"], "--fast", "--anchorings left")
    fails(capsys, [*base, "--anchorings", "middle"], "--anchorings", "'centre'", "middle")
    fails(capsys, [*base, "--format", "bcf"], "--format bcf", "vcf.gz")
    fails(capsys, [*base, "--format", "tsv"], "out.vcf", "--format says tsv")
    fails(capsys, [*base, "--workers", "0"], "--workers", "greater than or equal to 1")
    fails(capsys, [*base, "--index", "tbi"], "--index is for OUT.vcf.gz")
    packed = ["score", vcf, "-o", tmp_path / "out.vcf.gz", *options]
    fails(capsys, [*packed, "--index", "bai"], "--index", "'bai'", "'tbi', 'csi'", code=2)


@pytest.mark.parametrize(
    "more", [("--workers", "2"), ("--ray", "auto"), ("--format", "vcf.gz", "--index", "tbi")]
)
def test_what_needs_a_file_is_refused_for_a_stream(capsys, vcf, options, more):
    arguments = ["score", vcf, "-o", "-", *options, *more]
    fails(capsys, arguments, f"{more[-2]} needs a file", "--output - is a stream")
    fails(capsys, ["plan", vcf, "-o", "-", *options], "a plan needs a file")


def test_a_bad_variable_is_one_line(capsys, monkeypatch, vcf, tmp_path, options):
    monkeypatch.setenv("VARSIGMA_COVERAGE", "90%")
    fails(
        capsys,
        ["score", vcf, "-o", tmp_path / "out.vcf", *options],
        "VARSIGMA_COVERAGE (or --coverage)", "90%",
    )  # fmt: skip


def test_a_command_looks_at_the_variables_of_its_own_settings_only(
    capsys, monkeypatch, vcf, tmp_path, options
):
    monkeypatch.setenv("VARSIGMA_MAX_ITEMS", "many")
    monkeypatch.setenv("VARSIGMA_PORT", "tcp://10.0.0.1:8000")
    assert run(["--version"]) == 0
    assert run(["score", str(vcf), "-o", str(tmp_path / "out.vcf"), *options]) == 0
    monkeypatch.setenv("VARSIGMA_STRANDS", "both")
    assert run(["models", *options[2:4]]) == 0
    capsys.readouterr()
    fails(capsys, ["score", vcf, "-o", tmp_path / "out.vcf", *options], "VARSIGMA_STRANDS")
    monkeypatch.delenv("VARSIGMA_STRANDS")
    fails(capsys, ["serve", *options], "VARSIGMA_MAX_ITEMS (or --max-items)", "'many'")


@pytest.mark.parametrize(
    ("more", "names", "in_words"),
    [
        ([], "K562", "intervals of single-base changes calibrated for K562, NOT for WTC11"),
        (["--fast"], "none", "intervals NOT calibrated"),
    ],
)
@pytest.mark.parametrize("name", ["out.vcf", "out.tsv"])
def test_every_output_says_which_targets_are_calibrated(
    capsys, tmp_path, vcf, cohort, more, names, in_words, name
):
    model = SumModel(targets=("K562", "WTC11"))
    write_model(tmp_path / "models", model, card={"calibration": CALIBRATION})
    base = ["--reference", str(cohort.fasta), "--models", str(tmp_path / "models")]
    assert run(["score", str(vcf), "-o", str(tmp_path / name), *base, *more]) == 0
    assert f"model sum, {in_words}; research use only" in capsys.readouterr().err
    text = (tmp_path / name).read_text()
    if name.endswith("tsv"):
        assert f"\n# calibrated_targets={names}\n" in text
        return
    assert f'##varsigma=<ID=calibrated_targets,Value="{names}">' in text
    state = "uncalibrated" if more else "calibrated for single-base changes"
    for what in ("the true effect", "what a repeat of the assay would measure"):
        assert f"interval of {what}; {state}; assay target K562" in text
        assert f"interval of {what}; uncalibrated; assay target WTC11" in text


def test_a_bug_is_one_line_too_and_debug_shows_more(capsys, monkeypatch, vcf, tmp_path, options):
    def broken(*_, **__):
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr("service.cli.score_order", broken)
    arguments = ["score", vcf, "-o", tmp_path / "out.vcf", *options]
    fails(capsys, arguments, "unexpected ZeroDivisionError: oh no", "--debug")
    assert run([str(part) for part in [*arguments, "--debug"]]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("VARSIGMA_DEBUG", "1")
    assert run([str(part) for part in arguments]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_models_are_listed_for_people_and_programs(capsys, tmp_path):
    card = {
        "headline": {"name": "mean Spearman", "value": 0.3849},
        "calibration": CALIBRATION,
        "summary": "[bold]not markup[/bold]",
    }
    write_model(tmp_path, name="good", card=card)
    write_model(tmp_path, SumModel(width=30, members=1), name="plain")
    assert run(["models", "--models", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    for part in ("good", "plain", "K562, HepG2", "30 bp", "mean Spearman 0.385", "[bold]not"):
        assert part in text
    assert run(["models", "--models", str(tmp_path), "--json"]) == 0
    good, plain = json.loads(capsys.readouterr().out)
    assert good["headline"] == {"name": "mean Spearman", "value": 0.3849}
    assert (good["calibrated"], plain["calibrated"], plain["headline"]) == (True, False, None)
    assert (good["calibrated_targets"], plain["calibrated_targets"]) == (["K562"], [])
    assert (plain["window"], plain["members"], plain["targets"]) == (30, 1, ["K562", "HepG2"])


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("card.json", b"{", "card.json cannot be read"),
        ("model.onnx", None, "model.onnx cannot be read"),
        ("model.onnx", b"cut off", "model.onnx has SHA-256"),
    ],
)
def test_a_damaged_model_hides_no_other(capsys, tmp_path, name, damage, problem):
    for model in ("a", "b", "c"):
        write_model(tmp_path, name=model)
    if damage is None:
        (tmp_path / "b" / name).unlink()
    else:
        (tmp_path / "b" / name).write_bytes(damage)
    assert run(["models", "--models", str(tmp_path), "--json"]) == 1
    out, err = capsys.readouterr()
    assert [model["name"] for model in json.loads(out)] == ["a", "c"]
    assert_one_line(err, "error: model b: ", problem)


def test_a_card_with_an_entry_that_cannot_be_shown_is_told(capsys, tmp_path):
    write_model(tmp_path, name="a", card={"targets": [7]})
    write_model(tmp_path, name="b", card={"members": "many"})
    write_model(tmp_path, name="c", card={"calibration": {"version": 0}})
    assert run(["models", "--models", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == "", "no table without rows"
    problems = ("card.json: targets must be", "card.json: members: ", "calibration.version is 0")
    for line, name, problem in zip(err.splitlines(), "abc", problems, strict=True):
        assert line.startswith(f"error: model {name}: {problem}")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [({"name": "b"}, "its card name is 'b'"), ({"contract_version": "2"}, "contract version '2'")],
)
def test_a_model_that_cannot_be_loaded_is_not_listed(capsys, tmp_path, changed, problem):
    write_model(tmp_path, name="a", card=changed)
    assert run(["models", "--models", str(tmp_path)]) == 1
    assert_one_line(capsys.readouterr().err, "error: model a: ", problem)


def test_no_models_is_an_error(capsys, tmp_path):
    fails(capsys, ["models", "--models", tmp_path], "no models", "--models DIR")
    fails(capsys, ["models", "--models", tmp_path / "no"], "no folder of models")


@pytest.fixture
def started(monkeypatch) -> dict:
    """What a server that is not really run was started with."""
    seen = {}

    def pretend(server, sockets):
        seen.update(app=server.config.app, address=sockets[0].getsockname())
        raise KeyboardInterrupt

    monkeypatch.setattr("uvicorn.Server.run", pretend)
    return seen


def test_serve_takes_its_options_and_ends_on_ctrl_c(toy_models_dir, started):
    arguments = ["serve", "--models", str(toy_models_dir), "--model", "sum_one", "--model", "sum"]
    assert run([*arguments, "--port", "0", "--max-items", "5"]) == 0
    assert started["address"][0] == "127.0.0.1"
    engine = started["app"].state.engine
    assert list(engine.models) == ["sum_one", "sum"]
    assert engine.settings.max_items == 5


def test_a_server_knows_that_its_bugs_are_looked_for(toy_models_dir, started, monkeypatch):
    serve = ["serve", "--models", str(toy_models_dir), "--port", "0"]
    for more, variable, is_debug in ((["--debug"], "", True), ([], "", False), ([], "1", True)):
        if variable:
            monkeypatch.setenv("VARSIGMA_DEBUG", variable)
        assert run([*more, *serve]) == 0
        assert started["app"].state.engine.settings.debug is is_debug


def test_serve_does_not_start_without_what_it_needs(capsys, toy_models_dir, tmp_path, started):
    serve = ["serve", "--port", "0", "--models", toy_models_dir]
    fails(capsys, [*serve, "--model", "x"], "no model 'x'")
    fails(capsys, [*serve, "--reference", tmp_path / "no.fa"], "no.fa")
    fails(capsys, [*serve, "--shifts", "50"], "window of 20")
    fails(capsys, [*serve, "--host", "192.0.2.1"], "cannot listen on 192.0.2.1", "--host")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fails(capsys, [*serve, "--port", port], f"port {port}", "in use", "another")
    assert not started


def test_a_server_answers_on_its_port_and_ends_gracefully(toy_models_dir):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*COMMAND, "serve", "--models", str(toy_models_dir), "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        url, ready = f"http://127.0.0.1:{port}/health/ready", None
        deadline = time.monotonic() + 60
        while ready is None and time.monotonic() < deadline:
            try:
                ready = httpx.get(url)
            except httpx.ConnectError:
                time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert ready is not None
    assert [model["name"] for model in ready.json()["models"]] == ["sum", "sum_one"]


def test_help_and_version(capsys):
    for arguments in ([], ["--help"], ["score", "--help"], ["serve", "--help"], ["models", "-h"]):
        code = run(arguments)
        out = capsys.readouterr().out
        assert (code, "Usage: varsigma" in out) in {(0, True), (2, False)}
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("varsigma ")


def test_the_console_script_passes_the_exit_code_on(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["varsigma", "nonsense"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2
    assert_one_line(capsys.readouterr().err, "nonsense")


def test_every_setting_is_an_option(capsys):
    run(["score", "--help"])
    run(["serve", "--help"])
    run(["triage", "--help"])
    shown = capsys.readouterr().out
    hidden = {"debug"}
    names = Settings.model_fields.keys() - hidden
    assert not [name for name in names if f"--{name.replace('_', '-')}" not in shown]


@pytest.mark.parametrize("n_good", [0, 2048])
def test_a_chunk_without_any_variant_is_passed_through(capsys, tmp_path, options, n_good, cohort):
    good = [b"chr1\t10\t.\t" + cohort.genome["chr1"][9:10].encode() + b"\tN\t.\t.\t."] * n_good
    lines = [*HEADER, *good, b"chr1\tx\t.\tA\tC\t.\t.\t."]
    vcf, out = tmp_path / "in.vcf", tmp_path / "out.vcf"
    vcf.write_bytes(b"".join(line + b"\n" for line in lines))
    assert run(["score", str(vcf), "-o", str(out), *map(str, options)]) == 4
    assert out.read_bytes().splitlines()[-1] == lines[-1]
