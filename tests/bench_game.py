"""One request as a GAME evaluator makes it, beside the raw model; every number is compared.

`python -m tests.bench_game` starts `varsigma serve` and posts the lentiMPRA joint library (from
VARSIGMA_DATA or ../shared/data; made up where that is not there): 56,975 sequences, both flanks, a
range for each, three tasks; JSON in, MessagePack out. The clock runs from the first byte of the
request to the last of the answer. Raw is the same sequences through the same model in this process,
in the way that is the fastest one here: all cores inside an operator, or a batch on each. Exit code
1 where a number is wrong or missing, or where the service takes more than 1.15 times as long.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import platform
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from service.constructs import ADAPTERS
from service.game.answer import write_answer
from service.game.codec import Format, decode
from service.game.predictor import served_targets
from service.game.request import read_request
from service.registry import Model, Registry
from service.sequence import encode as encode_bases
from tests.alone import Alone, described, largest
from tests.lean_client import served as running

N_SEQUENCES = 56_975
TASKS = {
    "joint_wtc11": "induced pluripotent stem cells (iPS cells; WTC11)",
    "joint_k562": "lymphoblasts (K562)",
    "joint_hepg2": "human hepatocytes (HepG2)",
}
REPORTER = (3147, 3867)
TOLERANCE = 1e-5
MAX_RATIO = 1.15


def library(n: int) -> tuple[dict[str, str], str]:
    """Return n inserts by name, and where they are from."""
    default = Path(__file__).parents[1] / "../shared/data"
    folder = Path(os.environ.get("VARSIGMA_DATA", default)).resolve()
    path = folder / "mpra/agarwal2025/ultra_joint.fa.gz"
    if not path.is_file():
        rng = random.Random(0)
        names = (f"made_up_{number:05}:+|{number % 7};x" for number in range(n))
        return {name: "".join(rng.choices("ACGT", k=200)) for name in names}, "made up"
    left, right = map(len, ADAPTERS)
    records = gzip.decompress(path.read_bytes()).decode().split(">")[1:]
    lines = (record.splitlines() for record in records)
    inserts = {name: "".join(parts)[left:-right] for name, *parts in lines}
    return dict(list(inserts.items())[:n]), "the joint library"


def evaluator_request(inserts: dict[str, str], sends: str) -> dict[str, Any]:
    """Return the request; `sends` is insert, or whole for inserts with their adapters."""
    rng = random.Random(1)
    backbone = "".join(rng.choices("ACGT", k=2850 + 4500))
    left, right = ADAPTERS if sends == "whole" else ("", "")
    return {
        "readout": "point",
        "prediction_tasks": [
            {
                "name": name,
                "type": "expression",
                "cell_type": cell_type,
                "scale": "log",
                "species": "homo_sapiens",
            }
            for name, cell_type in TASKS.items()
        ],
        "upstream_seq": backbone[:2850] + ADAPTERS[0],
        "downstream_seq": ADAPTERS[1] + backbone[2850:],
        "sequences": {name: f"{left}{insert}{right}" for name, insert in inserts.items()},
        "prediction_ranges": {name: list(REPORTER) for name in inserts},
    }


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """Return status and body of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def worst_difference(told: dict[str, Any], model: Model, names: list[str], mu: np.ndarray) -> float:
    """Compare every number of an answer with the model's; return the largest difference."""
    tasks = told["prediction_tasks"]
    assert [task["name"] for task in tasks] == list(TASKS)
    worst = 0.0
    for task in tasks:
        predictions = task["predictions"]
        assert list(predictions) == names, "an id is missing, or there is one too many"
        column = model.info.targets.index(task["cell_type_actual"])
        assert task["cell_type_actual"] in task["cell_type_requested"]
        values = np.array([predictions[name] for name in names], float)[:, 0]
        expected = mu[:, :, column].mean(axis=1, dtype=np.float64)
        worst = max(worst, largest(np.abs(values - expected)))
    return worst


def print_codec_times(body: bytes, model: Model, mu: np.ndarray) -> None:
    """Print what the parts take that are not the model, by themselves."""
    clock = [time.perf_counter()]
    content = decode(body, Format.JSON)
    clock.append(time.perf_counter())
    asked = read_request(content, served_targets({model.info.name: model}))
    clock.append(time.perf_counter())
    asked.windows(model.info.window)
    clock.append(time.perf_counter())
    activity = {model.info.name: mu.mean(axis=1, dtype=np.float64)}
    write_answer(asked, activity, "name", Format.MSGPACK)
    clock.append(time.perf_counter())
    parts = zip(("decode", "check", "windows", "answer"), np.diff(clock), strict=True)
    print("  in the service:  " + ", ".join(f"{name} {1000 * s:.0f} ms" for name, s in parts))


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--models", help="folder of models (default: the bundled ones)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--sequences", type=int, default=N_SEQUENCES)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--sends", choices=("insert", "whole"), default="insert",
        help="the 200 bases between the adapters, or all 230",
    )  # fmt: skip
    given = parser.parse_args()

    inserts, source = library(given.sequences)
    names = list(inserts)
    body = json.dumps(evaluator_request(inserts, given.sends)).encode()
    headers = {"Content-Type": Format.JSON.value, "Accept": Format.MSGPACK.value}
    alone = Alone(Registry(given.models), given.model, given.device, given.threads)
    model = alone.shared
    codes = encode_bases("".join(inserts.values())).reshape(len(inserts), -1)
    rates = {way: alone.rate(codes, way) for way in alone.ways}
    way = max(rates, key=lambda way: rates[way])

    raw, served, n_answer, worst = [], [], 0, 0.0
    options = ["--model", given.model, "--device", given.device]
    options += ["--models", given.models] if given.models else []
    options += ["--threads", given.threads] if given.threads else []
    with running(*options, "--game-max-body-bytes", max(len(body), 1 << 27)) as server:
        few = evaluator_request(dict(list(inserts.items())[:512]), given.sends)
        ask(server.port, "POST", "/predict", json.dumps(few).encode(), headers)
        for _ in range(given.rounds):
            start = time.perf_counter()
            mu = alone.mu(codes, way)
            raw.append(time.perf_counter() - start)
            start = time.perf_counter()
            status, content = ask(server.port, "POST", "/predict", body, headers)
            served.append(time.perf_counter() - start)
            assert status == 200, content[:1000]
            n_answer = len(content)
            told = msgpack.unpackb(content)
            worst = max(worst, worst_difference(told, model, names, mu))

    print(
        f"model {given.model}, {'/'.join(model.providers)}, {platform.machine()}, {os.cpu_count()}"
        f" cores, {model.threads} threads, load {os.getloadavg()[0]:.1f}\n"
        f"{len(names):,} sequences of {source}, {len(TASKS)} tasks; request {len(body):,} bytes of"
        f" JSON, answer {n_answer:,} bytes of MessagePack"
    )
    sample = ", ".join(f"{each:,.0f}/s {described(one)}" for one, each in rates.items())
    print(f"  raw, {described(way)}: {statistics.median(raw):.2f} s ({sample} on a sample)")
    print(f"  one GAME request: {statistics.median(served):.2f} s")
    print_codec_times(body, model, mu)
    ratio = statistics.median(b / a for a, b in zip(raw, served, strict=True))
    print(f"  ratio: {ratio:.3f} (at most {MAX_RATIO})")
    print(f"  largest difference of {len(TASKS) * len(names):,} numbers: {worst:.1e}")
    sys.exit(worst > TOLERANCE or ratio > MAX_RATIO)


if __name__ == "__main__":
    main()
