"""What a student is once it is stored and exported."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch

from service.registry import Registry
from service.sequence import decode, encode
from tests.training.distil.small_student import PUPIL, SERVED
from tests.training.small_recipe import SMALL
from tests.training.test_folder import FILES
from training.architectures.student import taught
from training.assays import LENTI_FLANKS
from training.card import read_card
from training.datasets.sources import DataError
from training.distil.trainer import _one_head
from training.export import ExportError, ServedModel, build_graph, has_one_trunk, parity
from training.folder import make_model, predictor_of
from training.members import load_members, predict_constructs
from training.trainer import split


def residual_sd(head, measured):
    """Of each assay that a head predicts, row by row."""
    left, right = LENTI_FLANKS
    squares = [[] for _ in SERVED]
    for codes, (start, end), activity in zip(
        measured.codes, measured.inserts, measured.activity, strict=True
    ):
        insert = decode(codes[start:end])
        before = (200 - len(insert)) // 2
        shown = left + "N" * before + insert + "N" * (200 - len(insert) - before) + right
        mu, _ = predict_constructs(head.network, encode(shown)[None].copy())
        for of_assay, error in zip(squares, mu[0] - activity[:3], strict=True):
            if np.isfinite(error):
                of_assay.append(error**2)
    return [np.sqrt(np.mean(of_assay)) for of_assay in squares]


def test_heads_are_stored_as_members_on_one_trunk(heads, teachers, table):
    _, measured, _ = split(table)
    members, own = load_members(heads), load_members(teachers)
    assert [member.seed for member in members] == [1, 2]
    assert [assay.name for assay in members[0].assays] == SERVED
    first, second = (member.network.state_dict() for member in members)
    different = {name for name in first if not torch.equal(first[name], second[name])}
    assert different
    assert all(name.startswith("heads.") for name in different)
    for head, taught_by in zip(members, own, strict=True):
        assert (head.teacher.recipe, head.teacher.fingerprint) == ("small", SMALL.fingerprint)
        assert head.teacher.seed == 7
        np.testing.assert_array_equal(head.scale.mean, taught_by.scale.mean[:3])
        np.testing.assert_allclose(head.residual_sd, residual_sd(head, measured), rtol=1e-4)


def test_the_exported_student_runs_its_trunk_once_and_agrees_with_torch(heads):
    members = load_members(heads)
    graph = build_graph(members, "toy")
    assert parity(members, graph.SerializeToString()) < 1e-5
    alone = build_graph(members[:1], "toy")

    def count(model):
        return sum(node.op_type == "Conv" for node in model.graph.node)

    def weights(model):
        return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)

    assert count(graph) == count(alone)
    one_head = sum(p.numel() for p in members[0].network.heads.parameters())
    assert weights(graph) < weights(alone) + 1.2 * one_head
    # Side by side, as any members would be: the same numbers.
    apart = [dataclasses.replace(member, teacher=None) for member in members]
    bases = torch.randint(0, 5, (9, 200), dtype=torch.uint8)
    with torch.inference_mode():
        fused, separate = (ServedModel(one).eval()(bases) for one in (members, apart))
    for left, right in zip(fused, separate, strict=True):
        assert left.shape == (9, 2, 3)
        torch.testing.assert_close(left, right)
    assert not onnx.checker.check_model(graph, full_check=True)


def test_each_head_is_stored_under_the_number_of_its_member(teacher):
    torch.manual_seed(0)
    network = PUPIL.architecture.build(taught(teacher.assays, [1, 2]))
    for number, head in enumerate(network.heads.members):
        stored = _one_head(PUPIL, network, number, teacher.assays).heads.members[0]
        for name, value in head.state_dict().items():
            torch.testing.assert_close(stored.state_dict()[name], value)


def test_heads_of_two_students_are_not_one_model(heads):
    one, two = load_members(heads)
    assert has_one_trunk([one, two])
    with torch.no_grad():
        next(two.network.trunk.parameters()).add_(1)
    with pytest.raises(ExportError, match="share one trunk"):
        has_one_trunk([one, two])


def test_a_student_is_served_and_its_card_names_the_teacher(heads, table, tmp_path):
    folder = make_model(heads, name="toy", models_dir=tmp_path, table=table, files=FILES)
    card = read_card(folder)
    assert (card.recipe, card.seeds, card.members) == ("pupil", (1, 2), 2)
    assert "2 heads" in card.summary
    assert f"recipe small (fingerprint {SMALL.fingerprint})" in card.summary
    sources = {target.name: target.sigma_source for target in card.targets}
    assert "small" in sources["K562"]
    assert "mattioli2018_pool1_K562" in sources["K562"]
    assert "residuals of joint_WTC11" in sources["WTC11"]
    model = Registry(tmp_path).load("toy")
    assert (model.info.members, model.info.targets) == (2, ("K562", "HepG2", "WTC11"))
    mu, sigma = model.run(np.random.default_rng(0).integers(0, 4, (4, 200), dtype=np.uint8))
    assert mu.shape == sigma.shape == (4, 2, 3)
    assert (sigma > 0).all()
    assert (mu.std(axis=0) > 0).all()
    assert json.loads((folder / "card.json").read_text())["seeds"] == [1, 2]
    predict = predictor_of(folder)
    assert predict(table[table["assay"] == "joint_K562"])[0].shape == (100, 2)
    with pytest.raises(DataError, match="not inoue2017_HepG2"):
        predict(table[table["assay"] == "inoue2017_HepG2"])
