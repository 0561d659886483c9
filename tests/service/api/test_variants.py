"""`GET /v1/variants`: what a variant in any spelling is called."""

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.web.keys import add_key
from tests.genomes import CHR1
from tests.service.api.asking import assert_error, score, settings

# chr1 of the tiny genome has six T from 85 on.
RUN = 84
SPELLINGS = [
    f"chr1:{RUN}:{CHR1[RUN - 1]}T:{CHR1[RUN - 1]}",
    "1-86-TT-T",
    "chr1:g.90del",
    "chr1:g.85_86delinsT",
    "NC_000001.10:84:TT:T",
    "1 87 87 T/- +",
    "chr1\t89\t.\tTT\tT",
]


@pytest.fixture
def client37(toy_models_dir, tiny_fasta):
    options = settings(toy_models_dir, reference=tiny_fasta, assembly="GRCh37")
    with TestClient(create_app(options), raise_server_exceptions=False) as opened:
        yield opened


def ask(client: TestClient, q: str, **more):
    return client.get("/v1/variants", params={"q": q, **more})


def test_every_spelling_gets_the_same_answer(client37):
    answers = [ask(client37, q).json() for q in SPELLINGS]
    for answer in answers:
        assert answer.pop("notes") is not None
    first = answers[0]
    assert first == {
        "identifier": f"GRCh37:chr1:{RUN}:{CHR1[RUN - 1]}T:{CHR1[RUN - 1]}",
        "spdi": f"NC_000001.10:{RUN}:TTTTTT:TTTTT",
        "contig": "chr1",
        "pos": RUN,
        "ref": f"{CHR1[RUN - 1]}T",
        "alt": CHR1[RUN - 1],
        "assembly": "GRCh37",
        "use": "research use only",
    }
    assert answers == [first] * len(SPELLINGS)


def test_what_is_answered_can_be_scored(client37):
    answer = ask(client37, "chr1:g.90del").json()
    variant = {key: answer[key] for key in ("contig", "pos", "ref", "alt")}
    [result] = score(client37, model="sum", variants=[variant])["results"]
    assert result["status"] == "ok"
    assert result["normalised"] == ":".join(str(answer[key]) for key in ("pos", "ref", "alt"))


def test_an_assembly_that_nobody_stated_is_null(client):
    answer = ask(client, f"chr1:41:{CHR1[40]}:N").json()
    assert (answer["assembly"], answer["spdi"]) == (None, None)
    assert "nobody stated the assembly" in answer["notes"][0]


@pytest.mark.parametrize(
    ("q", "parts"),
    [
        ("hello", ["'hello'", "chr17:31150:G:A"]),
        ("rs123", ["rs123", "chr17:31150:G:A"]),
        (f"chr1:41:{'A' if CHR1[40] != 'A' else 'C'}:N", ["the reference has", CHR1[40]]),
        (f"hg38:chr1:41:{CHR1[40]}:N", ["hg38", "GRCh37"]),
        (f"1 41 . {CHR1[40]} N,{CHR1[41]}", ["2 ALTs"]),
        ("\ud7ff" * 30, ["no spelling"]),
    ],
)
def test_a_bad_spelling_is_explained(client37, q, parts):
    detail = assert_error(ask(client37, q), 422, *parts)
    assert detail["field"] == "q"


def test_the_query_is_checked(client37):
    assert_error(client37.get("/v1/variants"), 422, "q", "required")
    assert_error(ask(client37, ""), 422, "q")
    assert_error(ask(client37, "chr1:g.90del", assembly="GRCh37"), 422, "assembly")
    assert_error(client37.get("/v1/variants?q=chr1:g.90del&q=chr1:g.89del"), 422, "twice")


def test_it_needs_a_reference(toy_models_dir):
    with TestClient(create_app(settings(toy_models_dir))) as client:
        assert_error(ask(client, "chr1:g.90del"), 422, "no reference")


def test_it_needs_a_key_and_counts_as_one_item(toy_models_dir, tiny_fasta, tmp_path):
    key = add_key(tmp_path / "keys", "page", 2)
    options = settings(toy_models_dir, reference=tiny_fasta, keys=tmp_path / "keys")
    with TestClient(create_app(options)) as client:
        assert ask(client, "chr1:g.90del").status_code == 401
        client.headers["x-api-key"] = key
        left = [ask(client, "chr1:g.90del").headers["x-ratelimit-remaining"] for _ in range(2)]
        assert left == ["1", "0"]
        refused = ask(client, "chr1:g.90del")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0


def test_the_page_has_examples_and_each_is_a_spelling(client37):
    operation = client37.get("/openapi.json").json()["paths"]["/v1/variants"]["get"]
    [parameter] = [one for one in operation["parameters"] if one["name"] == "q"]
    assert len(parameter["schema"]["examples"]) >= 5
    for q in parameter["schema"]["examples"]:
        # On this genome there is no chr17: so far each is read.
        assert "the reference has no contig" in ask(client37, q).json()["error"]["message"]
