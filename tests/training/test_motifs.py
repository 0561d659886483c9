"""Motif kernels: what is chosen, how it is scaled, and what it leaves alone."""

import sys

import numpy as np
import pytest
import torch

from service.sequence import encode
from training.architectures.heads import MeanHeads
from training.architectures.motifs import (
    MotifCompact,
    fitted,
    frequencies,
    information,
    jaspar_profiles,
    kernels,
    representatives,
    similarity,
)
from training.architectures.network import Network
from training.architectures.trunks import Compact
from training.assays import ASSAYS

WIDTH = 15


def profile(consensus, sites=50.0):
    """Frequencies (4, L) of a motif whose sites all read alike."""
    codes = encode(consensus)
    counts = np.zeros((4, len(codes)))
    known = np.flatnonzero(codes < 4)
    counts[codes[known], known] = sites
    counts[:, codes == 4] = sites / 4
    return frequencies(counts)


def test_a_short_profile_is_padded_on_both_sides_and_a_long_one_trimmed_to_its_core():
    short = fitted(profile("TGACTCA"), 10)
    bits = information(short)
    assert bits[[0, 8, 9]].tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    assert (bits[1:8] > 1).all()
    np.testing.assert_allclose(fitted(profile("NNNNTGACTCANN"), 7), profile("TGACTCA"))


def test_one_motif_is_alike_to_itself_on_either_strand_at_any_offset():
    consensus = ["CCGGAAGT", "NNNACTTCCGG", "TGACTCA", "CCGGAAGC"]
    alike = similarity(np.stack([fitted(profile(text), WIDTH) for text in consensus]))
    np.testing.assert_allclose(alike, alike.T)
    np.testing.assert_allclose(alike.diagonal(), 1)
    assert alike[0, 1] == pytest.approx(1)
    assert alike[0, 3] == pytest.approx(7 / 8, abs=0.05)
    assert alike[0, 2] < 0.7


def test_the_largest_cluster_comes_first_and_all_are_covered():
    # 0 is alike to 1 and 2, which are not alike; 3 and 4 stand alone, 4 with more information.
    alike = np.eye(5, dtype=bool)
    alike[0, 1] = alike[1, 0] = alike[0, 2] = alike[2, 0] = True
    assert representatives(alike, np.array([1.0, 9, 9, 2, 3])) == [0, 4, 3]


def test_kernels_come_in_pairs_of_strands_with_the_variance_of_a_default_initialisation():
    profiles = [fitted(profile(text), WIDTH) for text in ("TGACTCA", "CCGGAAGT", "GATAAG")]
    made = kernels(profiles, 5, WIDTH)
    assert made.shape == (5, 4, WIDTH)
    np.testing.assert_allclose(made[1], made[0, ::-1, ::-1])
    np.testing.assert_allclose(made.mean(axis=1), 0, atol=1e-12)
    assert (made[0][:, :4] == 0).all()  # padding says nothing
    torch.manual_seed(0)
    default = torch.nn.Conv1d(4, 512, WIDTH).weight.var().item()
    np.testing.assert_allclose((made**2).mean(axis=(1, 2)), default, rtol=0.03)
    assert kernels(profiles, 99, WIDTH).shape == (6, 4, WIDTH)


def best_match(weights, consensus):
    """Largest share of its greatest possible response that a kernel gives to a site among N."""
    codes = encode("N" * WIDTH + consensus + "N" * WIDTH)
    one_hot = np.eye(5)[codes][:, :4].T
    windows = np.lib.stride_tricks.sliding_window_view(one_hot, WIDTH, axis=1)
    response = np.einsum("kbw,bpw->kp", weights, windows).max(axis=1)
    return (response / weights.max(axis=1).sum(axis=1)).max()


def stem_of(trunk):
    network = Network(trunk, MeanHeads())
    torch.manual_seed(3)
    built = network.build(ASSAYS)
    network.initialise(built)
    return built, built.trunk.body[0]


@pytest.mark.parametrize(
    "site",
    [
        pytest.param("ATGACTCAT", id="AP-1"),
        pytest.param("ACCGGAAGT", id="ETS"),
        pytest.param("GGGGCGGGGC", id="SP/KLF"),
        pytest.param("AGATAAG", id="GATA"),
        pytest.param("TGTTTAC", id="FOX"),
    ],
)
def test_known_sites_find_a_kernel_on_either_strand(site):
    _, started = stem_of(MotifCompact())
    _, chance = stem_of(Compact())
    other = site[::-1].translate(str.maketrans("ACGT", "TGCA"))
    for strand in (site, other):
        found = best_match(started.weight.detach().numpy().astype(np.float64), strand)
        assert found > 0.75
        assert found > best_match(chance.weight.detach().numpy().astype(np.float64), strand) + 0.1


def test_nothing_but_the_kernels_differs_from_the_compact_trunk():
    started, stem = stem_of(MotifCompact())
    after = torch.rand(1)
    plain, _ = stem_of(Compact())
    assert torch.equal(after, torch.rand(1))  # no number was drawn for them
    left, right = started.state_dict(), plain.state_dict()
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert different == ["trunk.body.0.weight"]
    assert len({row.tobytes() for row in stem.weight.detach().numpy()}) == len(stem.weight)
    assert stem.weight.requires_grad


def test_a_wider_trunk_starts_with_the_same_kernels_and_more():
    _, narrow = stem_of(MotifCompact())
    _, wide = stem_of(MotifCompact(width=128))
    assert torch.equal(wide.weight[:96], narrow.weight)


def test_no_two_profiles_are_alike():
    profiles = np.stack(jaspar_profiles("JASPAR2024", WIDTH, 0.8))
    assert len(profiles) > 96
    alike = similarity(profiles)
    np.fill_diagonal(alike, 0)
    assert alike.max() < 0.8


def test_a_trained_member_loads_without_the_profiles(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyjaspar", None)  # importing it fails
    network = Network(MotifCompact(), MeanHeads()).build(ASSAYS)
    network.load_state_dict(network.state_dict())
