"""All changes of a region."""

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from tests.genomes import CHR1
from tests.service.api.asking import LINES, MAX_ITEMS, assert_error, lines_of, score, settings


def test_every_change_of_a_region(client):
    body = {"contig": "1", "start": 31, "end": 45}
    answer = client.post("/v1/saturation", json=body).json()
    assert (answer["contig"], answer["start"], answer["end"]) == ("chr1", 31, 45)
    assert (answer["sequence"], answer["alts"]) == (CHR1[30:45], "ACGT")
    variants = [
        {"contig": "chr1", "pos": pos, "ref": CHR1[pos - 1], "alt": alt}
        for pos in range(31, 46)
        for alt in "ACGT"
    ]
    scored = [
        result
        for first in range(0, len(variants), MAX_ITEMS)
        for result in score(client, variants=variants[first : first + MAX_ITEMS])["results"]
    ]
    for target in ("K562", "HepG2"):
        for number, result in enumerate(scored):
            place, alt = divmod(number, 4)
            for name in ("effect", "expected", "sd", "quantile"):
                found = answer["targets"][target][name][place][alt]
                if answer["sequence"][place] == "ACGT"[alt] or answer["sequence"][place] == "N":
                    assert found is None
                else:
                    assert found == pytest.approx(result["targets"][target][name])
    for number, result in enumerate(scored):
        place, alt = divmod(number, 4)
        of_variant = answer["novelty"][place][alt], answer["novel_as"][place][alt]
        if answer["sequence"][place] == "ACGT"[alt]:
            assert of_variant == (None, None)
        else:
            assert of_variant == (pytest.approx(result["novelty"]), result["novel_as"])
    head, *lines = lines_of(client.post("/v1/saturation", json=body, headers=LINES))
    assert head.keys() == answer.keys() - {"novelty", "novel_as", "targets"}
    assert lines == [{key: answer[key] for key in answer if key != "provenance"}]


def test_a_region_in_parts(client, monkeypatch):
    monkeypatch.setattr("service.calls._PART", 32)  # of each shift
    body = {"contig": "chr1", "start": 1, "end": 103, "strands": 1, "shifts": [0, 3]}
    whole = client.post("/v1/saturation", json=body).json()
    assert len(whole["targets"]["K562"]["effect"]) == 103
    _, *lines = lines_of(client.post("/v1/saturation", json=body, headers=LINES))
    assert [(line["start"], line["end"]) for line in lines] == [(1, 64), (65, 103)]
    for name in ("effect", "sd"):
        joined = [row for line in lines for row in line["targets"]["K562"][name]]
        assert joined == whole["targets"]["K562"][name]
    for name in ("novelty", "novel_as"):
        assert [row for line in lines for row in line[name]] == whole[name]
    assert "".join(line["sequence"] for line in lines) == whole["sequence"] == CHR1


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        ({"contig": "chr9"}, 422, "no contig"), ({"start": 100, "end": 104}, 422, "known sequence"),
        ({"end": 39}, 422, "end must not be less"), ({"start": 0}, 422, "start"),
        ({"end": 5000}, 413, "3000"), ({"shifts": [50]}, 422, "window of 20"),
        ({"model": "dh8"}, 404, "dh8"),
    ],
)  # fmt: skip
def test_regions_that_cannot_be_scored(client, change, code, part):
    body = {"contig": "chr1", "start": 40, "end": 42} | change
    assert_error(client.post("/v1/saturation", json=body), code, part)


def test_a_region_needs_a_reference(toy_models_dir):
    with TestClient(create_app(settings(toy_models_dir))) as client:
        body = {"contig": "chr1", "start": 1, "end": 2}
        assert_error(client.post("/v1/saturation", json=body), 422, "no reference")
