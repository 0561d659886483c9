"""Requests of which the server itself is in no state to answer."""

import json
import os

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.genomes import CHR1, write_fasta

FAR = 300_001
BODIES = {
    "/v1/score": {"variants": [{"contig": "chr1", "pos": FAR, "ref": "A", "alt": "C"}]},
    "/v1/triage": {"variants": [{"contig": "chr1", "pos": FAR, "ref": "A", "alt": "C"}]},
    "/v1/saturation": {"contig": "chr1", "start": FAR, "end": FAR + 9},
}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_a_reference_that_is_cut_short_is_no_fault_of_the_request(
    path, accept, toy_models_dir, tmp_path
):
    # It was answered with 422.
    fasta = write_fasta(tmp_path / "own.fa", {"chr1": CHR1 * (2 * FAR // len(CHR1))})
    app = create_app(Settings(models=toy_models_dir, reference=fasta, threads=1, device="cpu"))
    os.truncate(fasta, FAR)
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.post(path, json=BODIES[path], headers={"accept": accept})
        is_streamed = path == "/v1/score" and accept != "application/json"
        assert response.status_code == (200 if is_streamed else 500)
        error = json.loads(response.text.splitlines()[-1])["error"]
        assert error["type"] == "internal_error"
        assert error["message"].startswith("own.fa ends inside chr1")
        assert str(tmp_path) not in response.text
        assert client.post("/v1/sequences", json={"sequences": []}).status_code == 200
