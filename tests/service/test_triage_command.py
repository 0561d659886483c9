"""`varsigma triage` and `POST /v1/triage`: one list, two doors, the same answer."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.cli import run
from service.client import Client, SequencePair, VariantBody
from service.errors import InputFileError, Status
from service.fields import EFFECT_FIELDS
from service.settings import Settings
from service.tables import MALFORMED
from service.triage import Tier
from service.triage_facts import EVIDENCE_FACTS, RATIO_FACTS
from service.triage_list import CALL_NUMBERS
from tests.genomes import write_fasta
from tests.service.api.asking import assert_error
from tests.service.test_likelihood import entry
from tests.service.test_ranking import BAD, FITTED, GENOME, MODEL, OTHERS, VARIANTS
from tests.toy_models import write_model

HEADER = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1"]
RATE, THRESHOLD = 0.1, 0.1
PLACED = [*VARIANTS[:30], *(variant for variant, _ in BAD), *OTHERS, *VARIANTS[30:]]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("triage")
    write_model(folder / "models", MODEL, card={"calibration": FITTED})
    write_fasta(folder / "g.fa", {"chr1": GENOME})
    lines = [
        f"{v.contig}\t{v.pos}\tv{number}\t{v.ref}\t{v.alt}\t.\tPASS\tDP=3\tGT\t0/1"
        for number, v in enumerate(PLACED)
    ]
    lines.insert(7, "chr1\tx\tbroken\tA\tC\t.\t.\t.")
    both = VARIANTS[0]
    lines.append(f"chr1\t{both.pos}\t.\t{both.ref}\t{both.alt},*\t.\t.\t.\tGT\t1/2")
    (folder / "in.vcf").write_text("\n".join([*HEADER, *lines[:20], "", *lines[20:]]) + "\n")
    return folder


@pytest.fixture(scope="module")
def client(place):
    settings = Settings(models=place / "models", reference=place / "g.fa", threads=1, device="cpu")
    with TestClient(create_app(settings), raise_server_exceptions=False) as opened:
        yield opened


def triage(place: Path, out: Path | str, *options: object, vcf: str = "in.vcf") -> int:
    given = ["--reference", place / "g.fa", "--models", place / "models", "--threads", 1]
    words = ["triage", place / vcf, "-o", out, *given, "--device", "cpu", *options]
    return run(list(map(str, words)))


def table(text: str) -> list[dict[str, str]]:
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE))


def numbers(block: dict) -> dict[str, float]:
    return {name: value for name, value in block.items() if type(value) is float}


@pytest.fixture(scope="module")
def found(place) -> dict:
    options = ("--error-rate", RATE, "--compare", "--target", "HepG2")
    assert triage(place, place / "out.json", *options) == 4, "one line is malformed"
    return json.loads((place / "out.json").read_text())


def test_every_alt_has_a_row_by_rank_and_those_without_a_score_are_last(found):
    results = found["results"]
    assert sorted(row["index"] for row in results) == list(range(len(PLACED) + 3))
    ranks = [row["rank"] for row in results if row["rank"] is not None]
    assert ranks == list(range(1, len(VARIANTS) + len(OTHERS) + 2))
    rest = results[len(ranks) :]
    expected = [MALFORMED, *(status for _, status in BAD), "star_alt"]
    assert [row["status"] for row in rest] == expected
    for row in rest:
        assert row["reason"]
        assert (row["tier"], row["targets"]) == (None, None)
    assert rest[0] | {"reason": None} == rest[0] | {
        "reason": None, "line": 10, "contig": "chr1", "pos": None, "id": "broken",
    }  # fmt: skip
    assert rest[0]["reason"].startswith("POS 'x' is no integer")
    assert found["n_unscored"] == len(rest)
    one = next(row for row in results if row["id"] == "v40")
    variant = PLACED[40]
    assert (one["pos"], one["ref"], one["alt"]) == (variant.pos, variant.ref, variant.alt)
    assert one["line"] == 45, "after 2 lines of header, a malformed and a blank one"


def test_the_head_says_what_made_it(found):
    assert found["research_use_only"] is True
    made = found["provenance"]
    assert made["use"] == "research use only"
    assert made["triage"]["targets"] == ["HepG2", "K562"]
    assert (made["triage"]["error_rate"], made["triage"]["threshold"]) == (RATE, THRESHOLD)
    assert made["model_sha256"]
    assert made["reference_sha256"]
    for target, counts in found["counts"].items():
        tiers = [row["targets"][target]["tier"] for row in found["results"] if row["targets"]]
        assert counts == {tier.value: tiers.count(tier.value) for tier in Tier}
    assert min(found["counts"]["K562"].values()) > 0, "each tier occurs"


def test_the_tsv_has_the_same_rows(place, found, capfd):
    options = ("--error-rate", RATE, "--compare", "--target", "HepG2")
    assert triage(place, "-", *options) == 4
    shown = capfd.readouterr()
    assert "# use=research use only" in shown.out.splitlines()
    rows = table(shown.out)
    assert len(rows) == len(found["results"])
    for row, result in zip(rows, found["results"], strict=True):
        assert (row["rank"], row["tier"]) == (str(result["rank"] or "."), result["tier"] or ".")
        assert row["index"] == str(result["index"])
        targets = result["targets"] or {}
        for prefix, target in (("", "HepG2"), ("K562_", "K562")):
            block = targets.get(target, {})
            for name in (*CALL_NUMBERS, *(field.name for field in EFFECT_FIELDS)):
                value = block.get(name)
                text = row[prefix + name]
                assert text == "." if value is None else float(text) == pytest.approx(value, 1e-5)
    assert {row["target"] for row in rows} == {"HepG2"}
    assert "likely lowers activity" in shown.err
    assert "no single-base changes" in shown.err
    assert "position" not in shown.err, "rows are shown where they went into a file"


def test_a_file_gets_its_first_rows_on_the_terminal(place, tmp_path, capsys):
    assert triage(place, tmp_path / "out.tsv", "--error-rate", RATE) == 4
    error = capsys.readouterr().err
    assert "position" in error
    assert "calls at an error rate of 0.1, effects beyond 0.1 log2; K562 decides" in error
    assert "research use only" in error
    best = table((tmp_path / "out.tsv").read_text())[0]
    assert f"{best['contig']}:{int(best['pos']):,}" in error


def test_no_text_of_a_file_gives_orders_to_a_terminal(place, tmp_path, capsys):
    one, other = VARIANTS[:2]
    lines = [
        f"chr1\t{one.pos}\ta\x1b[2Jb\t{one.ref}\t{one.alt}\t.\t.\t.",
        f"chr1\t{other.pos}\tc\u202ed\x85\t{other.ref}\t{other.alt}\t.\t.\t.",
        "chrX\x1b[31m\t5\t.\tA\tC\t.\t.\t.",
    ]
    (tmp_path / "in.vcf").write_text("\n".join([HEADER[0], HEADER[1][:-10], *lines, ""]))
    options = ("--reference", place / "g.fa", "--models", place / "models")
    assert triage(tmp_path, tmp_path / "out.tsv", *options) == 0
    error = capsys.readouterr().err
    assert "a\ufffd[2Jb" in error
    assert "c\ufffdd\ufffd" in error
    assert "does not have: chrX\ufffd[31m" in error
    assert not set("\x1b\u202e\x85") & set(error)
    assert "\ta\x1b[2Jb\t" in (tmp_path / "out.tsv").read_text(), "a file keeps what it was given"


def test_both_doors_give_the_same(client, found):
    by_index = sorted(found["results"], key=lambda row: row["index"])
    records = [row for row in by_index if row["status"] != MALFORMED]
    variants = [
        {"contig": row["contig"], "pos": row["pos"], "ref": row["ref"], "alt": row["alt"]}
        for row in records
    ]
    body = {"variants": variants, "error_rate": RATE, "target": "HepG2", "compare": True}
    response = client.post("/v1/triage", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    of_file = {"line", "contig", "pos", "ref", "alt", "index", "id"}
    for row, result in zip(records, answer["results"], strict=True):
        assert result.keys() == row.keys() - of_file | {"index", "id"}
        for name in result.keys() - of_file - {"targets"}:
            assert result[name] == row[name], name
        for target, block in (row["targets"] or {}).items():
            other = result["targets"][target]
            assert numbers(other) == pytest.approx(numbers(block), rel=1e-6)
            assert other | numbers(block) == block
    assert [result["index"] for result in answer["results"]] == list(range(len(records)))
    for name in ("counts", "target", "error_rate", "threshold", "no_calls", "research_use_only"):
        assert answer[name] == found[name]
    assert answer["provenance"]["triage"] == found["provenance"]["triage"]


def test_fast_calls_nothing_and_says_so_once(place, tmp_path, capsys):
    assert triage(place, tmp_path / "out.tsv", "--fast") == 4
    error = capsys.readouterr().err
    assert error.count("warning: no calls: the calibration holds for strands 2") == 1
    assert "] *" in error, "an interval without measurements behind it is marked"
    assert error.count("* not calibrated: no measured effects of such changes stand behind it") == 1
    text = (tmp_path / "out.tsv").read_text()
    assert "# not called on K562: the calibration holds" in text
    scored = [row for row in table(text) if row["status"] == Status.OK]
    assert {row["tier"] for row in scored} == {"cannot_tell"}
    assert all(row["no_call"].startswith("the calibration holds for strands 2") for row in scored)
    assert {row["calibrated"] for row in scored} == {"false"}


def test_rate_and_threshold_come_from_the_environment_too(place, tmp_path, monkeypatch):
    monkeypatch.setenv("VARSIGMA_ERROR_RATE", "0.01")
    monkeypatch.setenv("VARSIGMA_THRESHOLD", "0.3")
    assert triage(place, tmp_path / "out.json", "--threshold", 0.2) == 4
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["error_rate"], found["threshold"]) == (0.01, 0.2)


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("out.tsv", ["--max-triage", 20], "more than 20 ALTs, the most that one triage takes"),
        ("out.tsv", ["--max-triage", 20], "`varsigma score`"),
        ("out.tsv", ["--target", "HeLa"], "sum has no target 'HeLa'; it has WTC11, K562, HepG2"),
        ("out.tsv", ["--error-rate", 1], "--error-rate: Input should be less than 1"),
        ("out.tsv", ["--threshold", -1], "--threshold: Input should be greater than or equal"),
        ("out.vcf", [], "end the name in .tsv or .json"),
        ("out.tsv", ["--format", "json"], "is named as tsv, but --format says json"),
        ("no/out.tsv", [], "/no; make it first"),
        ("out.tsv", ["--assembly", "GRCh38", "--reference", "none.fa"], "none.fa"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_writes_nothing(
    place, tmp_path, capsys, out, options, message
):
    assert triage(place, tmp_path / out, *options) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_output_may_have_any_name_that_is_free(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # An option that is not given had a name of its own once.
    assert triage(place, "None", "--format", "json", "--error-rate", RATE) == 4
    assert json.loads((tmp_path / "None").read_text())["research_use_only"] is True
    assert triage(place, "None", "--format", "json", "--evidence", "None") == 1
    assert "would overwrite the measured effects None" in capsys.readouterr().err


def test_the_input_is_not_overwritten(place, tmp_path, capsys):
    vcf = tmp_path / "calls.tsv"
    vcf.write_bytes((place / "in.vcf").read_bytes())
    assert triage(tmp_path, vcf, "--reference", place / "g.fa", "--models", place / "models",
                  vcf="calls.tsv") == 1  # fmt: skip
    assert "would overwrite the input" in capsys.readouterr().err


def test_a_list_in_which_nothing_could_be_scored_is_doubtful(place, tmp_path, capsys):
    (tmp_path / "in.vcf").write_text("\n".join([*HEADER[:1], HEADER[1], ""]))
    options = ("--reference", place / "g.fa", "--models", place / "models")
    assert triage(tmp_path, tmp_path / "out.tsv", *options) == 0, "nothing at all is complete"
    assert table((tmp_path / "out.tsv").read_text()) == []
    with (tmp_path / "in.vcf").open("a") as vcf:
        vcf.write("chrX\t5\t.\tA\tC\t.\t.\t.\tGT\t0\n")
    assert triage(tmp_path, tmp_path / "out.tsv", *options) == 4
    assert "nothing was scored" in capsys.readouterr().err


@pytest.fixture(scope="module")
def beside(place, tmp_path_factory) -> Path:
    """A folder with a table of one measured effect and a model whose card has ratios."""
    folder, first = tmp_path_factory.mktemp("beside"), VARIANTS[0]
    (folder / "measured.tsv").write_text(
        f"chrom\tpos\tref\talt\tvalue\nchr1\t{first.pos}\t{first.ref}\t{first.alt}\t0.7\n"
    )
    shutil.copytree(place / "models", folder / "models")
    card = folder / "models/sum/card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"likelihood_ratios": entry()}))
    return folder


def test_facts_stand_in_the_file_and_change_no_call(place, beside, tmp_path, capsys):
    plain, told = tmp_path / "plain.json", tmp_path / "told.json"
    assert triage(place, plain) == triage(place, told, *facts_of(beside))
    before, after = (json.loads(path.read_text()) for path in (plain, told))
    facts = {*EVIDENCE_FACTS, *RATIO_FACTS}
    assert [{k: v for k, v in row.items() if k not in facts} for row in after["results"]] == (
        before["results"]
    )
    [row] = [row for row in after["results"] if row["id"] == "v0"]
    assert (row["measured_is_exact"], row["measured_value"]) == (True, 0.7)
    assert row["likelihood_ratio_lower"] <= row["likelihood_ratio"] <= row["likelihood_ratio_upper"]
    assert after["provenance"]["evidence"]["file"] == "measured.tsv"
    assert after["provenance"]["likelihood_ratios"]["effect"] == entry()["effect"]
    error = capsys.readouterr().err
    assert error.count("ALTs were measured themselves") == 1
    assert error.count("ALTs have a likelihood ratio") == 1


def facts_of(folder: Path) -> list[object]:
    evidence = "--evidence", folder / "measured.tsv"
    return ["--models", folder / "models", *evidence, "--likelihood-ratios"]


def test_the_service_puts_the_same_beside_its_rows(place, beside, tmp_path):
    assert triage(place, tmp_path / "told.json", *facts_of(beside)) == 4
    told = json.loads((tmp_path / "told.json").read_text())
    expected = {row["id"]: row for row in told["results"]}
    settings = Settings(
        models=beside / "models", reference=place / "g.fa", evidence=beside / "measured.tsv",
        threads=1, device="cpu",
    )  # fmt: skip
    given = [
        VariantBody(contig=v.contig, pos=v.pos, ref=v.ref, alt=v.alt, id=f"v{number}")
        for number, v in enumerate(PLACED)
    ]
    with (
        TestClient(create_app(settings)) as http,
        Client("http://varsigma.test", http=http) as client,
    ):
        plain = client.triage(given)
        asked = client.triage(given, likelihood_ratios=True)
    said = asked.model_dump(mode="json", exclude_unset=True)
    for result in said["results"]:
        row = expected[result["id"]]
        for name in EVIDENCE_FACTS:
            assert result[name] == row[name]
        for name in RATIO_FACTS:
            assert (result[name] is None) == (row[name] is None)
            assert result[name] is None or result[name] == pytest.approx(row[name], rel=1e-6)
    assert said["results"][0]["measured_value"] == 0.7
    assert any(result["likelihood_ratio"] for result in said["results"])
    for name in ("evidence", "likelihood_ratios"):
        assert said["provenance"][name] == told["provenance"][name]
    # Ratios are there where they are asked for, and no call hangs on them.
    facts = {*EVIDENCE_FACTS, *RATIO_FACTS}
    for one, other in zip(
        plain.model_dump(exclude_unset=True)["results"],
        asked.model_dump(exclude_unset=True)["results"],
        strict=True,
    ):
        assert other.keys() - one.keys() == set(RATIO_FACTS)
        assert {k: v for k, v in one.items() if k not in facts} == {
            k: v for k, v in other.items() if k not in facts
        }


def test_a_service_does_not_start_with_a_table_that_has_a_bad_row(place, tmp_path):
    table = tmp_path / "measured.tsv"
    table.write_text("chrom\tpos\tref\talt\tvalue\nchr1\tx\tA\tC\t0.1\n")
    settings = Settings(models=place / "models", reference=place / "g.fa", evidence=table)
    with pytest.raises(InputFileError, match=r"line 2 of measured.tsv: pos is 'x'"):
        create_app(settings)


def test_facts_that_are_not_there_stop_the_start(place, tmp_path, capsys):
    out = tmp_path / "out.tsv"
    assert triage(place, out, "--likelihood-ratios") == 1
    assert "has no likelihood ratios" in capsys.readouterr().err
    assert triage(place, out, "--evidence", tmp_path / "none.tsv") == 1
    assert "none.tsv" in capsys.readouterr().err
    assert not out.exists()


# --- HTTP alone ----------------------------------------------------------------------------------


def body(*variants, **options) -> dict:
    chosen = variants or VARIANTS[:5]
    given = [{"contig": v.contig, "pos": v.pos, "ref": v.ref, "alt": v.alt} for v in chosen]
    return {"variants": given, **options}


def test_the_server_has_the_defaults(client):
    answer = client.post("/v1/triage", json=body()).json()
    assert (answer["error_rate"], answer["threshold"], answer["target"]) == (0.2, 0.1, "K562")
    assert client.post("/v1/triage", json={"sequences": []}).json()["results"] == []
    assert client.post("/v1/triage", json=body(threshold=0)).json()["threshold"] == 0


def test_pairs_get_numbers_and_no_call(client):
    answer = client.post("/v1/triage", json={"sequences": [{"ref": "ACGT", "alt": "ACTT"}]}).json()
    [result] = answer["results"]
    assert (result["status"], result["tier"], result["rank"]) == ("ok", "cannot_tell", 1)
    assert result["targets"]["K562"]["effect"] is not None
    assert "never calibrated" in answer["no_calls"]["K562"]
    assert answer["provenance"]["calibrated"] is False


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        ({"target": "HeLa"}, 422, "no target 'HeLa'"),
        ({"error_rate": 0}, 422, "error_rate"),
        ({"error_rate": 1.0}, 422, "error_rate"),
        ({"threshold": -0.1}, 422, "threshold"),
        ({"compare": 1}, 422, "compare"),
        ({"likelihood_ratios": True}, 422, "the card of sum has no likelihood ratios"),
        ({"likelihood_ratios": 1}, 422, "likelihood_ratios"),
        ({"errorrate": 0.1}, 422, "errorrate"),
        ({"model": "none"}, 404, "no model 'none'"),
        ({"strands": 3}, 422, "strands"),
    ],
)
def test_what_is_refused(client, options, code, part):
    assert_error(client.post("/v1/triage", json=body(**options)), code, part)


def test_a_long_list_is_sent_to_the_command(client):
    response = client.post("/v1/triage", json=body(*VARIANTS * 17))
    assert_error(response, 413, "at most 1000", "`varsigma triage`")


def test_the_client_asks_for_it(client):
    items = [
        VariantBody(contig=v.contig, pos=v.pos, ref=v.ref, alt=v.alt, id="mine")
        for v in VARIANTS[:5]
    ]
    with Client("http://varsigma.test", http=TestClient(client.app)) as caller:
        found = caller.triage(items, error_rate=0.3, target="HepG2", threshold=0.05)
        pairs = caller.triage([SequencePair(ref="ACGT", alt="ACTT")])
    given = body(error_rate=0.3, target="HepG2", threshold=0.05)
    for one in given["variants"]:
        one["id"] = "mine"
    answer = client.post("/v1/triage", json=given).json()
    assert found.model_dump(mode="json", exclude_unset=True) == answer
    assert pairs.results[0].tier is Tier.UNKNOWN
