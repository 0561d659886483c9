"""The script for a CUDA machine: what it counts is right, and it runs where there is no card."""

import json
import subprocess
import sys

import numpy as np
import pytest

from service.session import CPU, CUDA
from tests.gpu.machine import Machine
from tests.gpu.parity import Parity, changes, compared, elements
from tests.gpu.placement import Node, heavy_on_host, n_moved, profiled, table
from tests.gpu.rates import flops_of, windows
from tests.gpu.sessions import PRECISIONS, content_of, model_of
from tests.lean_client import ROOT

pytestmark = pytest.mark.slow

HERE = Machine("cpu", "this one", 0.0)
CARD = Machine("cuda", "the card", 0.0)
MODELS = ROOT / "models"


def test_a_heavy_node_on_the_host_is_found():
    conv, big = Node("FusedConv", CUDA, 100, 1000), Node("Add", CUDA, 100, 1000)
    small, shape = Node("Shape", CPU, 1, 8), Node("Gather", CPU, 8, 8)
    assert heavy_on_host([conv, big, small, shape]) == []
    for node in (Node("Conv", CPU, 1, 1), Node("LSTM", CPU, 1, 1), Node("Add", CPU, 1, 500)):
        assert heavy_on_host([conv, big, small, node]) == [node]
    assert n_moved([conv, small]) == 1109
    assert table([conv, big, small])[1] == f"{CPU}: 1 nodes, 0.40 % of the bytes written: 1 Shape"


def test_a_profile_has_every_node_and_its_bytes():
    content = content_of(MODELS / "dh7", "fp32")
    nodes = {n: profiled(content, HERE, windows(n, 200)) for n in (1, 3)}
    assert [node.op for node in nodes[1]] == [node.op for node in nodes[3]]
    assert {node.provider for node in nodes[1]} == {CPU}
    assert sum(node.op == "Conv" for node in nodes[1]) == 27
    written = {n: sum(node.n_written for node in found) for n, found in nodes.items()}
    assert 2.9 < written[3] / written[1] <= 3


def test_operations_of_a_sequence_are_those_of_its_convolutions():
    # 230 positions of 96 channels from 4 through a kernel of 15, in each of three members, are a
    # lower bound; the whole is some hundred millions.
    assert 3 * 2 * 230 * 96 * 4 * 15 < flops_of("dh7", 200) < 3e8


@pytest.mark.parametrize("largest", [np.nan, np.inf, 0.02])
def test_parity_does_not_pass_what_is_off(largest):
    assert Parity("fp16", 0.001, 0, 0, 0).passes
    assert not Parity("fp16", largest, 0, 0, 0).passes


def test_changes_are_different_and_on_known_sequence():
    with elements() as (reference, _):
        found = changes(reference, 50)
        assert len(set(found)) == 50
        for one in found:
            assert one.ref != one.alt
            assert reference.covers(one.contig, one.pos - 100, one.pos + 100)


def test_half_the_precision_differs_and_keeps_the_contract():
    bases = windows(4, 200)
    full, half = (model_of("mse", HERE, precision).run(bases)[0] for precision in ("fp32", "fp16"))
    assert half.dtype == np.float32
    assert 0 < np.abs(full - half).max() < 0.05
    assert set(PRECISIONS) >= {"fp32", "fp16"}


def test_without_a_card_it_runs_on_the_cpu_and_says_so(tmp_path):
    options = "--model mse --device cpu --sizes 2 --seconds 0.01 --variants 6 --snvs 20 --many 4"
    command = [sys.executable, "-m", "tests.bench_gpu", *options.split(), "--no-compile"]
    command += ["--json", tmp_path / "told.json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "NO CUDA HERE" in done.stdout
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["has_cuda"] is False
    assert {rate["way"] for rate in told["rates"]} == {"ONNX Runtime", "PyTorch eager"}
    assert all(rate["host"] > 0 for rate in told["rates"])
    assert [parity["precision"] for parity in told["parity"]] == ["fp32", "fp16"]
    assert len(told["whole"]) == 3
    assert all(whole["variants"] > 0 for whole in told["whole"])


@pytest.mark.gpu
def test_no_heavy_node_runs_on_the_host():
    for folder in sorted(path.parent for path in MODELS.glob("*/model.onnx")):
        nodes = profiled(content_of(folder, "fp32"), CARD, windows(64, 200))
        assert CUDA in {node.provider for node in nodes}
        assert heavy_on_host(nodes) == []


@pytest.mark.gpu
def test_effects_on_the_card_are_those_of_the_cpu():
    parities, _ = compared("dh7", CARD, 300)
    assert parities[0].precision == "fp32"
    assert parities[0].passes, parities[0]
