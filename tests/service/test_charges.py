"""What each route charges: the variants or sequences that it is asked for, whatever the answer."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.web.keys import add_key
from tests.genomes import CHR1, write_fasta
from tests.service.api.asking import PAIR, SNV
from tests.service.game.asking import SEQUENCES, request
from tests.service.test_kserve import tensor

LIMIT = 1000
CODES = np.zeros((7, 20), np.uint8)
REQUESTS: dict[str, tuple[str, dict[str, Any], int, int]] = {
    "pairs": ("/v1/score", {"sequences": [PAIR] * 5, "strands": 1}, 5, 10),
    "shifts": ("/v1/score", {"sequences": [PAIR] * 5, "shifts": [0, 1, 2]}, 5, 60),
    "variants": ("/v1/score", {"variants": [SNV, SNV | {"alt": "<DEL>"}]}, 2, 8),
    "triage": ("/v1/triage", {"variants": [SNV, SNV | {"alt": "<DEL>"}, SNV]}, 3, 12),
    "sequences": ("/v1/sequences", {"sequences": [{"sequence": "ACGT"}] * 6}, 6, 12),
    "one-strand": ("/v1/sequences", {"sequences": [{"sequence": "A"}] * 6, "strands": 1}, 6, 6),
    "saturation": ("/v1/saturation", {"contig": "chr1", "start": 30, "end": 33}, 12, 32),
    "KServe": ("/v2/models/sum/infer", {"inputs": [tensor(CODES)]}, 7, 7),
    "GAME": ("/predict", request(), len(SEQUENCES), len(SEQUENCES)),
}


@pytest.fixture(scope="module")
def ask(toy_models_dir, tmp_path_factory, fasta) -> Callable[..., Any]:
    folder = tmp_path_factory.mktemp("charges")
    keys = {name: add_key(folder / "keys", name, LIMIT) for name in REQUESTS}
    few = add_key(folder / "keys", "few", 1)
    settings = Settings(
        models=toy_models_dir, model=("sum",), reference=fasta, threads=1, device="cpu",
        keys=folder / "keys",
    )  # fmt: skip
    client = TestClient(create_app(settings))

    def post(name: str, *, has_few: bool = False, **more: Any) -> Any:
        path, body, *_ = REQUESTS[name]
        key = few if has_few else keys[name]
        return client.post(path, json=body, headers={"x-api-key": key, **more})

    return post


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    return write_fasta(tmp_path_factory.mktemp("genome") / "tiny.fa", {"chr1": CHR1})


@pytest.mark.parametrize("name", REQUESTS)
def test_what_is_asked_for_is_what_is_charged(ask, capsys, name):
    _, _, items, sequences = REQUESTS[name]
    response = ask(name)
    assert response.status_code == 200, response.text
    assert LIMIT - int(response.headers["x-ratelimit-remaining"]) == items
    [line] = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["items"], line["sequences"]) == (items, sequences)


@pytest.mark.parametrize("name", ["pairs", "saturation"])
def test_lines_cost_the_same(ask, name):
    before = int(ask(name).headers["x-ratelimit-remaining"])
    response = ask(name, accept="application/x-ndjson")
    assert before - int(response.headers["x-ratelimit-remaining"]) == REQUESTS[name][2]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_key_that_may_not_ask_for_that_many_is_refused(ask, name):
    response = ask(name, has_few=True)
    assert response.status_code == 413
    assert "may ask for 1 in a minute" in response.text
