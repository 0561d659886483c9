"""Networks: the published sizes, shapes, and what shares what."""

import pytest
import torch

from training.architectures.heads import LOG_VAR_BOUND, MeanHeads, MeanVarianceHeads
from training.architectures.network import Network
from training.architectures.trunks import Compact, DreamRNN
from training.assays import ASSAYS, Assay

ONE = (Assay("joint_K562", "K562"),)


def n_parameters(network: Network, assays: tuple[Assay, ...] = ONE) -> int:
    return sum(p.numel() for p in network.build(assays).parameters())


@pytest.mark.parametrize(
    ("heads", "published"),
    [
        (MeanHeads(), 6_226_433),
        (MeanVarianceHeads(mean="mlp"), 6_259_202),
        # DH7 as it effectively trained: the dual model without the 64-unit head (256 * 64 + 64
        # + 64 + 1 = 16,513 parameters) that never received a gradient.
        (MeanVarianceHeads(mean="linear"), 6_259_459 - 16_513),
    ],
)
def test_dream_rnn_has_the_published_number_of_parameters(heads, published):
    assert n_parameters(Network(DreamRNN(), heads)) == published


def test_compact_is_about_a_quarter_of_a_million():
    assert 200_000 < n_parameters(Network(Compact(), MeanVarianceHeads()), ASSAYS) < 300_000


@pytest.mark.parametrize("trunk", [Compact(), DreamRNN(channels=16, hidden=8, features=12)])
@pytest.mark.parametrize("heads", [MeanHeads(), MeanVarianceHeads(), MeanVarianceHeads("mlp")])
def test_shapes(trunk, heads):
    network = Network(trunk, heads).build(ASSAYS).eval()
    prediction = network(torch.randint(0, 5, (2, 230), dtype=torch.uint8))
    assert prediction.mu.shape == (2, len(ASSAYS))
    assert prediction.embedding.shape == (2, trunk.n_features)
    assert (prediction.log_var is not None) == heads.predicts_variance
    if prediction.log_var is not None:
        assert prediction.log_var.shape == (2, len(ASSAYS))


def test_an_n_is_an_all_zero_column_and_each_base_has_its_own():
    network = Network(Compact(), MeanHeads()).build(ONE)
    seen = {}
    network.trunk.register_forward_hook(lambda _, args, __: seen.update(x=args[0]))
    network.eval()(torch.tensor([[0, 1, 2, 3, 4] * 46], dtype=torch.uint8))
    assert seen["x"][0, :, :4].tolist() == torch.eye(4).tolist()
    assert seen["x"][0, :, 4].tolist() == [0.0] * 4


def test_assays_of_one_cell_type_share_their_variance_up_to_an_offset():
    network = Network(Compact(), MeanVarianceHeads()).build(ASSAYS).eval()
    with torch.no_grad():
        network.heads.offset.copy_(torch.arange(float(len(ASSAYS))) / 10)
    log_var = network(torch.randint(0, 4, (6, 230), dtype=torch.uint8)).log_var
    names = [assay.name for assay in ASSAYS]
    joint, pool = names.index("joint_K562"), names.index("mattioli2018_pool1_K562")
    other = names.index("joint_WTC11")
    assert (log_var[:, pool] - log_var[:, joint]).std() < 1e-5
    assert (log_var[:, other] - log_var[:, joint]).std() > 1e-4


def test_log_variances_are_bounded():
    network = Network(Compact(), MeanVarianceHeads()).build(ONE).eval()
    with torch.no_grad():
        network.heads.offset.fill_(1e6)
    assert network(torch.zeros(1, 230, dtype=torch.uint8)).log_var.item() == LOG_VAR_BOUND
