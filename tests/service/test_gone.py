"""Clients that are there no longer, or as good as: what they held is free for others."""

import asyncio
import json

import pytest

from service.app import create_app
from service.settings import Settings
from tests.genomes import CHR1, write_fasta

PAIR = {"ref": "ACGTACGT", "alt": "ACGAACGT"}
BODIES = {
    "/v1/score": {"sequences": [PAIR] * 1000, "model": "sum"},
    "/v1/saturation": {"contig": "chr1", "start": 1, "end": len(CHR1), "model": "sum"},
}
HEADERS = [(b"content-type", b"application/json"), (b"accept", b"application/x-ndjson")]


@pytest.mark.parametrize("path", BODIES)
def test_a_reader_of_lines_that_takes_none_holds_no_place(path, toy_models_dir, tmp_path):
    fasta = write_fasta(tmp_path / "tiny.fa", {"chr1": CHR1})
    app = create_app(
        Settings(models=toy_models_dir, reference=fasta, threads=1, device="cpu", body_timeout=0.2)
    )
    engine, held = app.state.engine, []
    messages = [{"type": "http.request", "body": json.dumps(BODIES[path]).encode()}]

    async def receive() -> dict:
        if messages:
            return messages.pop()
        await asyncio.sleep(30)
        raise AssertionError("it was waited for")

    async def send(message: dict) -> None:
        if message.get("body"):
            held.append(engine._n_long)
            await asyncio.sleep(30)

    async def scenario() -> None:
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "path": path, "raw_path": path.encode(), "query_string": b"", "headers": HEADERS,
            "scheme": "http", "root_path": "", "server": ("here", 80), "client": ("there", 1),
        }  # fmt: skip
        await asyncio.wait_for(app(scope, receive, send), 10)
        assert engine._n_long == 0

    asyncio.run(scenario())
    engine.close()
    assert held == [1]
