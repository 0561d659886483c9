"""Export: the contract, parity with torch, and what is inside the graph."""

import dataclasses
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from service.sequence import encode
from training.architectures.heads import MeanHeads, MeanVarianceHeads
from training.architectures.network import Network
from training.architectures.trunks import Compact, DreamRNN
from training.assays import ASSAYS, LENTI_FLANKS, Assay, window_codes
from training.augment import move
from training.batches import Scale
from training.export import ExportError, build_graph, parity, served_assays
from training.members import Member, predict_constructs

SMALL_RNN = DreamRNN(channels=8, hidden=6, features=8)


def member(network: Network, seed: int) -> Member:
    torch.manual_seed(seed)
    n = len(ASSAYS)
    return Member(
        recipe="r",
        fingerprint="f" * 12,
        seed=seed,
        data_digest="d" * 12,
        assays=ASSAYS,
        scale=Scale(np.linspace(-1, 1, n), np.linspace(0.5, 2, n)),
        residual_sd=tuple(np.linspace(0.4, 0.9, n)),
        network=network.build(ASSAYS).eval(),
    )


def session(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("trunk", [Compact(width=16), SMALL_RNN], ids=["compact", "dream_rnn"])
@pytest.mark.parametrize("heads", [MeanHeads(), MeanVarianceHeads()], ids=["mean", "variance"])
def test_the_graph_agrees_with_torch_at_every_batch_size(trunk, heads):
    members = [member(Network(trunk, heads), seed) for seed in (1, 2, 3)]
    graph = build_graph(members, "toy")
    assert parity(members, graph.SerializeToString()) < 1e-5
    (bases,) = graph.graph.input
    dims = bases.type.tensor_type.shape.dim
    assert (bases.name, bases.type.tensor_type.elem_type) == ("bases", onnx.TensorProto.UINT8)
    assert dims[0].dim_param
    assert dims[1].dim_value == 200
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(metadata["targets"]) == ["K562", "HepG2", "WTC11"]
    assert metadata["window"] == "200"
    mu, sigma = session(graph).run(["mu", "sigma"], {"bases": np.zeros((5, 200), np.uint8)})
    assert mu.shape == sigma.shape == (5, 3, 3)
    assert mu.dtype == sigma.dtype == np.float32
    assert (sigma > 0).all()


def test_no_host_node_stays_behind():
    # Shape and ConstantOfShape run on the host and cost a CUDA session copies in every batch.
    for trunk in (Compact(width=16), SMALL_RNN):
        graph = build_graph([member(Network(trunk, MeanVarianceHeads()), 1)], "toy").graph
        kinds = {node.op_type for node in graph.node}
        assert not kinds & {"ConstantOfShape", "Expand", "Loop", "If"}
    lstm = [node for node in graph.node if node.op_type == "LSTM"]
    assert lstm
    assert all(not name for node in lstm for name in node.input[5:7])


def test_the_adapters_and_the_scale_are_inside():
    one = member(Network(Compact(width=16), MeanVarianceHeads()), 1)
    insert = "ACGTTGCA" * 25
    left, right = LENTI_FLANKS
    codes = torch.tensor(encode(left + insert + right).tolist())[None]
    prediction = one.network(codes)
    mu, sigma = session(build_graph([one], "toy")).run(
        ["mu", "sigma"], {"bases": encode(insert)[None]}
    )
    for target, assay in enumerate(["joint_K562", "joint_HepG2", "joint_WTC11"]):
        column = [a.name for a in ASSAYS].index(assay)
        sd, mean = one.scale.sd[column], one.scale.mean[column]
        assert mu[0, 0, target] == pytest.approx(
            prediction.mu[0, column].item() * sd + mean, abs=1e-5
        )
        expected = np.exp(0.5 * prediction.log_var[0, column].item()) * sd
        assert sigma[0, 0, target] == pytest.approx(expected, rel=1e-4)


def test_without_variance_heads_sigma_is_the_residual_sd_of_the_assay():
    one = member(Network(Compact(width=16), MeanHeads()), 1)
    bases = np.random.default_rng(0).integers(0, 4, (4, 200), dtype=np.uint8)
    (sigma,) = session(build_graph([one], "toy")).run(["sigma"], {"bases": bases})
    expected = [one.residual_sd[column] * one.scale.sd[column] for column in range(3)]
    np.testing.assert_allclose(sigma[:, 0], np.tile(expected, (4, 1)), rtol=1e-5)


def test_offsets_move_the_construct_and_are_averaged_over():
    members = [member(Network(Compact(width=16), MeanVarianceHeads()), seed) for seed in (1, 2)]
    offsets = (-1, 0, 2)
    graph = build_graph(members, "toy", offsets)
    assert parity(members, graph.SerializeToString(), offsets) < 1e-5
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(metadata["offsets"]) == list(offsets)
    assert not {node.op_type for node in graph.graph.node} & {"ConstantOfShape", "Expand", "Loop"}
    rng = np.random.default_rng(0)
    inserts = ["".join(rng.choice([*"ACGTN"], 200)) for _ in range(6)]
    mu, sigma = session(graph).run(["mu", "sigma"], {"bases": np.stack([*map(encode, inserts)])})
    codes = window_codes(inserts, LENTI_FLANKS)
    for number, one in enumerate(members):
        means, log_vars = zip(
            *(predict_constructs(one.network, move(codes, offset)) for offset in offsets),
            strict=True,
        )
        sd, mean = one.scale.sd[:3], one.scale.mean[:3]
        expected = np.mean(means, axis=0)[:, :3] * sd + mean
        np.testing.assert_allclose(mu[:, number], expected, atol=1e-5)
        expected = np.exp(0.5 * np.mean(log_vars, axis=0)[:, :3]) * sd
        np.testing.assert_allclose(sigma[:, number], expected, rtol=1e-4)
        # Each placement says something else.
        assert all(np.abs(one - means[1]).max() > 1e-4 for one in (means[0], means[2]))


def test_a_construct_that_stands_still_needs_no_word_of_offsets():
    members = [member(Network(Compact(width=16), MeanVarianceHeads()), 1)]
    plain, unmoved = build_graph(members, "toy"), build_graph(members, "toy", (0,))
    assert plain.SerializeToString() == unmoved.SerializeToString()
    assert "offsets" not in {entry.key for entry in plain.metadata_props}


def test_offsets_leave_a_constant_sigma_as_it_is():
    members = [member(Network(Compact(width=16), MeanHeads()), seed) for seed in (1, 2)]
    bases = np.random.default_rng(0).integers(0, 5, (4, 200), dtype=np.uint8)
    still, moved = (
        session(build_graph(members, "toy", offsets)).run(["mu", "sigma"], {"bases": bases})
        for offsets in [(0,), (0, 1)]
    )
    np.testing.assert_allclose(moved[1], still[1], rtol=1e-5)
    assert np.abs(moved[0] - still[0]).max() > 1e-4


@pytest.mark.parametrize("offsets", [(), (0, 0), (16,), (0, -16)])
def test_offsets_that_cannot_be_are_refused(offsets):
    members = [member(Network(Compact(width=16), MeanVarianceHeads()), 1)]
    with pytest.raises(ExportError, match="from -15 to 15"):
        build_graph(members, "toy", offsets)


def test_every_served_sigma_varies_with_the_sequence():
    one = member(Network(Compact(width=16), MeanVarianceHeads()), 1)
    bases = np.random.default_rng(0).integers(0, 4, (16, 200), dtype=np.uint8)
    (sigma,) = session(build_graph([one], "toy")).run(["sigma"], {"bases": bases})
    assert (sigma.std(axis=0) > 1e-4).all()


def test_one_window_cannot_sit_between_two_kinds_of_adapters():
    one = member(Network(Compact(width=16), MeanHeads()), 1)
    mixed = (*ASSAYS[:2], Assay("other", "K562", ("A", "C"), served="other"))
    with pytest.raises(ExportError, match="flanks"):
        served_assays([dataclasses.replace(one, assays=mixed)])
    with pytest.raises(ExportError, match="no assay"):
        served_assays([dataclasses.replace(one, assays=ASSAYS[3:])])
