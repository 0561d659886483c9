"""Scores and activities: one result per input, in order, with its status."""

import json

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.errors import Status
from service.fields import numbers
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer
from service.variants import Variant
from tests.genomes import CHR1
from tests.service.api.asking import MAX_ITEMS, PAIR, SNV, assert_error, score, settings
from tests.toy_models import CALIBRATION, SumModel, write_model

LONGER = (
    SNV | {"alt": f"{CHR1[40]}G"},
    SNV | {"ref": CHR1[40:43], "alt": CHR1[40]},
    SNV | {"ref": CHR1[40:42], "alt": "".join("A" if base != "A" else "C" for base in CHR1[40:42])},
)
"""An insertion, a deletion, and two bases for two."""


def test_variants_get_the_scores_of_the_scorer(client, toy_models_dir, tiny_fasta):
    variants = [SNV, SNV | {"contig": "1", "id": "mine"}, SNV | {"ref": "AC", "alt": "A"}]
    answer = score(client, model="sum", variants=variants)
    with Reference.open(tiny_fasta) as reference:
        scorer = Scorer(Registry(toy_models_dir).load("sum", threads=1), reference)
        scores = scorer.score([Variant(*map(SNV.get, ("contig", "pos", "ref", "alt")))])  # type: ignore[arg-type]
    expected = numbers(scores.effects)[0]
    for result in answer["results"][:2]:
        assert result["targets"].keys() == {"K562", "HepG2"}
        found = [list(target.values())[:-1] for target in result["targets"].values()]
        np.testing.assert_allclose(np.array(found, float), expected, rtol=1e-6)
        assert result["novelty"] == pytest.approx(scores.novelty[0])
        assert 0 < result["novelty"] <= 1
    assert [result["id"] for result in answer["results"]] == [None, "mine", None]


def test_a_model_that_reads_of_hidden_bases_answers_as_its_scorer_does(
    tmp_path, tiny_fasta, capsys
):
    block = CALIBRATION | {
        "shape": CALIBRATION["shape"] | {"by_occlusion": 0.5}, "n_occluded": 5
    }  # fmt: skip
    write_model(tmp_path, SumModel(), name="hides", card={"calibration": block})
    with TestClient(create_app(settings(tmp_path, reference=tiny_fasta))) as client:
        answer = score(client, variants=[SNV, *LONGER])
        client.post("/v1/score", json={"variants": [SNV] * 5})
        client.post("/v1/saturation", json={"contig": "chr1", "start": 30, "end": 33})
    with Reference.open(tiny_fasta) as reference:
        scorer = Scorer(Registry(tmp_path).load("hides", threads=1), reference)
        scores = scorer.score(
            [Variant(*map(one.get, ("contig", "pos", "ref", "alt"))) for one in (SNV, *LONGER)]  # type: ignore[arg-type]
        )
    for result, expected in zip(answer["results"], numbers(scores.effects), strict=True):
        found = [list(target.values())[:-1] for target in result["targets"].values()]
        np.testing.assert_allclose(np.array(found, float), expected, rtol=1e-6)
    assert answer["results"][0]["targets"]["K562"]["occlusion"] is not None
    for result in (
        answer["results"][0]["targets"]["HepG2"],
        answer["results"][1]["targets"]["K562"],
    ):
        assert result["occlusion"] is None, "of what is not calibrated, and of a longer change"
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    charged = [line["sequences"] for line in lines if line.get("event") == "request"]
    # Two strands; ref, alt and ref with hidden bases; ref, three alts and hidden bases at 4 places.
    assert charged[-2:] == [2 * 3 * 5, 2 * 5 * 4]


def test_pairs_need_no_reference_and_one_member_has_no_epistemic_sd(toy_models_dir):
    with TestClient(create_app(settings(toy_models_dir, model="sum_one"))) as client:
        answer = score(client, sequences=[PAIR | {"id": "p"}])
        assert client.get("/health/ready").json()["reference"] is None
    [result] = answer["results"]
    effect = result["targets"]["K562"]
    # 8 bases start at index 6 of 20; T>A at index 9 adds 10 * (1 - 8); on the minus strand A>T
    # at index 10 adds 11 * (8 - 1).
    assert effect["effect"] == (10 * (1 - 8) + 11 * (8 - 1)) / 2
    assert effect["epistemic"] is None
    assert effect["representation"] > 0
    assert effect["quantile"] is None
    assert (result["novelty"], result["novel_as"]) == (None, None), "its card has no such entry"
    assert result["reason"] is None
    assert answer["provenance"]["assembly"] is None


def test_every_input_has_one_result_with_its_status(client):
    alts = ["A", "<DEL>", "*", ".", "N[chr2:5[", "R", "A" * 30]
    variants = [SNV | {"alt": alt} for alt in alts]
    variants += [SNV | {"contig": "chrX"}, SNV | {"pos": 0}, SNV | {"pos": 104}]
    variants += [SNV | {"ref": "A" if SNV["ref"] != "A" else "C"}]
    answer = score(client, variants=variants)
    statuses = [result["status"] for result in answer["results"]]
    assert statuses == [
        "ok", "symbolic_alt", "star_alt", "no_alt", "breakend_alt", "non_acgtn", "allele_too_long",
        "unknown_contig", "window_off_contig", "window_off_contig", "ref_mismatch",
    ]  # fmt: skip
    assert [result["index"] for result in answer["results"]] == list(range(len(variants)))
    for result in answer["results"][1:]:
        assert (result["targets"], result["novelty"], result["novel_as"]) == (None, None, None)
        if result["status"] not in {"unknown_contig", "ref_mismatch"}:
            assert result["reason"] == Status(result["status"]).reason
    assert answer["results"][7]["reason"] == "the reference has no contig 'chrX'; it has chr1, chrM"
    mismatch = answer["results"][-1]["reason"]
    assert mismatch == f"REF differs from the reference sequence, which has {SNV['ref']} at chr1:41"


def test_options_are_taken_and_reported(client):
    answer = score(client, sequences=[PAIR], strands=1, shifts=[-2, 0, 2], coverage=0.5)
    assert answer["provenance"]["options"] == {
        "strands": 1, "shifts": [-2, 0, 2], "anchorings": ["left", "right"], "coverage": 0.5,
        "batch_size": 64,
    }  # fmt: skip
    wide = score(client, sequences=[PAIR], strands=1, shifts=[-2, 0, 2], coverage=0.9)
    narrow_, wide_ = (a["results"][0]["targets"]["K562"] for a in (answer, wide))
    assert narrow_["effect"] == wide_["effect"]
    assert wide_["lower"] < narrow_["lower"] < narrow_["upper"] < wide_["upper"]


def test_provenance_and_calibration(client):
    answer = score(client, sequences=[PAIR])
    assert answer["calibrated"] is False
    assert answer["provenance"]["model"] == "sum"
    assert answer["provenance"]["providers"] == ["CPUExecutionProvider"]
    assert answer["provenance"]["use"] == "research use only"


def test_each_target_says_whether_its_widths_are_calibrated(tmp_path, tiny_fasta):
    model = SumModel(targets=("K562", "WTC11"))
    write_model(tmp_path / "models", model, card={"calibration": CALIBRATION})
    with TestClient(create_app(settings(tmp_path / "models", reference=tiny_fasta))) as client:
        fitted = score(client, variants=[SNV])
        others = score(client, variants=[SNV, *LONGER])
        one_strand = score(client, variants=[SNV], strands=1)
        pairs = score(client, sequences=[PAIR])
        [summary] = client.get("/v1/models").json()["models"]
    for answer, targets in ((fitted, ["K562"]), (one_strand, []), (pairs, [])):
        [result] = answer["results"]
        found = {name: block["calibrated"] for name, block in result["targets"].items()}
        assert found == {"K562": "K562" in targets, "WTC11": False}
        for part in (answer, answer["provenance"]):
            assert (part["calibrated"], part["calibrated_targets"]) == (bool(targets), targets)
    assert (summary["calibrated"], summary["calibrated_targets"]) == (True, ["K562"])
    flags = [one["targets"]["K562"]["calibrated"] for one in others["results"]]
    assert flags == [True, *[False] * len(LONGER)], "fitted on single-base changes alone"
    assert all(one["targets"]["K562"]["sd"] is not None for one in others["results"])


def test_an_empty_list_has_an_empty_answer(client):
    assert score(client, sequences=[])["results"] == []
    assert score(client, variants=[])["results"] == []


def test_a_model_that_returns_nan_gives_a_status_and_valid_json(tmp_path):
    # Twenty T sum to 210 * 5e36, which is infinity in float32.
    weights = (1, 1, 1, 5e36, 0)
    write_model(tmp_path, SumModel(members=1, targets=("K562",), base_weights=weights))
    with TestClient(create_app(settings(tmp_path))) as client:
        pairs = [{"ref": "T" * 20, "alt": "T" * 19 + "A"}, PAIR]
        response = client.post("/v1/score", json={"sequences": pairs})
    assert response.status_code == 200

    def refuse(name: str) -> None:
        raise AssertionError(name)

    body = json.loads(response.text, parse_constant=refuse)
    assert body["results"][0]["status"] == "model_nan"
    assert body["results"][0]["targets"] is None
    assert body["results"][1]["status"] == "ok"


def test_a_pair_that_is_too_long_is_no_change_that_is(client):
    answer = score(client, sequences=[{"ref": "A" * 21, "alt": "A" * 21}])
    [result] = answer["results"]
    assert result["status"] == "allele_too_long"
    assert result["reason"] == "a sequence of the pair is longer than the model's window"


def test_activity_of_sequences(client):
    texts = ["ACGT", "acgtn" * 4, "A" * 21, "AXC", "G"]
    response = client.post(
        "/v1/sequences", json={"sequences": [{"sequence": text, "id": text} for text in texts]}
    )
    results = response.json()["results"]
    statuses = ["ok", "ok", "allele_too_long", "non_acgtn", "ok"]
    assert [result["status"] for result in results] == statuses
    assert [result["id"] for result in results] == texts
    assert results[2]["reason"] == "the sequence is longer than the model's window"
    assert results[2]["targets"] is results[3]["targets"] is None
    # ACGT is its own reverse complement and starts at index 8 of 20: weights 9 to 12.
    mean = 9 * 1 + 10 * 2 + 11 * 4 + 12 * 8
    found = results[0]["targets"]["HepG2"]
    # Members scale by 1, 2 and 3, HepG2 by 2; sigma is scale / 4 x (1 + one G).
    assert found["activity"] == pytest.approx(mean * 2 * 2)
    assert found["epistemic"] == pytest.approx(mean * 2)
    assert found["sigma"] == pytest.approx(np.sqrt(np.mean(np.square([1, 2, 3]))))
    assert response.json()["provenance"]["calibrated"] is False


def test_activity_of_one_strand_and_of_one_member(client):
    def activity(text, **options):
        body = {"sequences": [{"sequence": text}], **options}
        return client.post("/v1/sequences", json=body).json()["results"][0]["targets"]["K562"]

    assert activity("A", strands=1, model="sum_one")["activity"] == 10
    assert activity("A", model="sum_one")["activity"] == (10 * 1 + 11 * 8) / 2
    assert activity("A", model="sum_one")["epistemic"] is None
    assert activity("AC", strands=1, model="sum_one")["activity"] == 10 * 1 + 11 * 2


def test_limits_of_sequences(client):
    many = [{"sequence": "A"}] * (MAX_ITEMS + 1)
    assert_error(client.post("/v1/sequences", json={"sequences": many}), 413, str(MAX_ITEMS))
    assert client.post("/v1/sequences", json={"sequences": []}).json()["results"] == []
    assert_error(client.post("/v1/sequences", json={"sequences": ["A"]}), 422, "sequences.0")
